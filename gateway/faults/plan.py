"""Which connection gets which fault, and how often each one has acted."""

from __future__ import annotations

import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from gateway.errors import ConfigError, ProtocolError
from gateway.faults.transport import FaultTransport
from gateway.faults.vocabulary import Fault, Script, decode_fault, decode_script
from gateway.stats import Stage, Stats
from gateway.wire.strict_json import JsonValue, dumps, loads_object

logger = logging.getLogger("gateway.faults")

MAX_SCRIPT_BYTES = 1024 * 1024
"""Longest script that is read."""
_MAX_SCRIPT_DEPTH = 8
_SEED_BITS = 32


@dataclass(frozen=True)
class Chosen:
    """A fault for one connection, with the randomness that it may use."""

    fault: Fault
    chance: random.Random
    note_fired: Callable[[], None]
    """To be called when it acts."""
    spent: Callable[[], bool]
    """Whether it has acted as often as it may."""


class Connection(Protocol):
    """A connection that is open while scripts come and go."""

    @property
    def stage(self) -> Stage:
        """What it serves."""

    @property
    def key(self) -> int:
        """Which key the client came with."""

    def rearm(self, chosen: list[Chosen]) -> None:
        """Forget all faults and take these."""


class FaultPlan:
    """The faults of one gateway.

    Setting a script counts connections from one again, beginning with the sockets that are open, in
    the order in which they were opened.
    """

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._script = Script(faults=())
        self._seed = 0
        self._connections: Counter[Stage] = Counter()
        self._fired: Counter[int] = Counter()  # by place in the script
        self._transports: set[FaultTransport] = set()
        self._open: dict[Connection, None] = {}  # a set that keeps the order
        self._keys: dict[bytes, int] = {}

    @property
    def seed(self) -> int:
        """What all chance of the script in force comes from."""
        return self._seed

    def set(
        self, faults: Sequence[Fault | Mapping[str, object]], *, seed: int | None = None
    ) -> None:
        """Put these faults in force instead of all earlier ones.

        Args:
            faults: as objects of the vocabulary (the lines of a script), or decoded.
            seed: for everything left to chance; None picks one, which is logged.

        Raises:
            ProtocolError: if a fault is not in the vocabulary.
        """
        decoded = tuple(
            item if isinstance(item, Fault) else decode_fault(cast("JsonValue", dict(item)))
            for item in faults
        )
        self.apply(Script(faults=decoded, seed=seed))

    def apply(self, script: Script) -> None:
        """Put a script in force."""
        self.clear()
        self._script = script
        self._seed = random.getrandbits(_SEED_BITS) if script.seed is None else script.seed
        if script.faults:
            # The seed is what makes a run that went wrong repeatable.
            logger.info("fault script: %d faults, seed %d", len(script.faults), self._seed)
        for connection in list(self._open):
            connection.rearm(self.choose(connection.stage, key=connection.key))

    def opened(self, connection: Connection) -> None:
        """Remember a connection, which a later script can hit as well."""
        self._open[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    def clear(self) -> None:
        """Take all faults out of force; half-open connections end."""
        self._script = Script(faults=())
        self._connections.clear()
        self._fired = Counter()
        for transport in self._transports:
            transport.thaw()
        self._transports.clear()
        for connection in list(self._open):
            connection.rearm([])

    def key_number(self, header: str) -> int:
        """Which key this is, in the order in which keys first came: scripts never hold one."""
        digest = hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()
        return self._keys.setdefault(digest, len(self._keys) + 1)

    def choose(self, stage: Stage, *, key: int = 1) -> list[Chosen]:
        """Count a new connection and return the faults meant for it."""
        if not self._script.faults:
            return []
        self._connections[stage] += 1
        number = self._connections[stage]
        chosen = []
        for place, fault in enumerate(self._script.faults):
            if fault.stage != stage or number not in (fault.connections or (number,)):
                continue
            if fault.key not in (None, key):
                continue
            # Seeded by what the fault is for: the order in which the connections of other stages
            # come, which no seed governs, has no influence.
            chance = random.Random(f"{self._seed}:{stage}:{number}:{place}")
            if chance.random() < fault.probability:
                # The counter of this script: a later one starts anew while this connection goes on.
                note = partial(self._note_fired, self._fired, place, stage)
                spent = partial(_is_spent, self._fired, place, fault.limit)
                chosen.append(Chosen(fault, chance, note, spent))
        return chosen

    def _note_fired(self, fired: Counter[int], place: int, stage: Stage) -> None:
        fired[place] += 1
        self._stats.stages[stage].faults += 1

    def fired(self, do: str) -> int:
        """Return how often faults of a kind have acted since the script was set."""
        faults = self._script.faults
        return sum(count for place, count in self._fired.items() if faults[place].do == do)

    def note_frozen(self, transport: FaultTransport) -> None:
        """Remember a half-open connection, which only this plan can end."""
        self._transports.add(transport)

    def as_object(self) -> dict[str, object]:
        """Return the script in force, with how often each fault has acted."""
        return {
            "seed": self._seed,
            "faults": [
                fault.as_object() | {"fired": self._fired[place]}
                for place, fault in enumerate(self._script.faults)
            ],
        }


def _is_spent(fired: Counter[int], place: int, limit: int | None) -> bool:
    return limit is not None and fired[place] >= limit


def parse_script(data: bytes) -> Script:
    """Read a script in JSON.

    Raises:
        ProtocolError: with a sentence that says what is wrong.
    """
    return decode_script(
        loads_object(data, max_bytes=MAX_SCRIPT_BYTES, max_depth=_MAX_SCRIPT_DEPTH)
    )


def load_script(path: Path) -> Script:
    """Read a script file: YAML if its name ends in .yaml or .yml, else JSON.

    Raises:
        ConfigError: if it cannot be read or is not a script.
    """
    try:
        data = path.read_bytes()
        if path.suffix in (".yaml", ".yml"):
            data = _yaml_to_json(data)
        return parse_script(data)
    except (OSError, ProtocolError) as error:
        raise ConfigError(f"the fault script {path.name!r}: {error}") from None


def _yaml_to_json(data: bytes) -> bytes:
    try:
        import yaml
    except ImportError:
        raise ProtocolError("reading YAML needs the package PyYAML; JSON needs none") from None
    try:
        return dumps(yaml.safe_load(data)).encode()
    except (yaml.YAMLError, TypeError, ValueError):
        raise ProtocolError("not valid YAML") from None
