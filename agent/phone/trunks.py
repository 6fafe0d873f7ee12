"""Trunks and dispatch rules on a LiveKit server, as a small YAML file says."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

import yaml
from google.protobuf.duration_pb2 import Duration
from livekit import api
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from ..config import ConfigError, Settings

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_TRANSPORTS = {
    "udp": api.SIPTransport.SIP_TRANSPORT_UDP,
    "tcp": api.SIPTransport.SIP_TRANSPORT_TCP,
    "tls": api.SIPTransport.SIP_TRANSPORT_TLS,
}
CALLER = "parley.caller"
"""Attribute of the participant: the From header, with the number that the call says it comes from.
Anybody can write anything there."""
DEPARTURE_S = 2
"""Seconds that a call's room outlives its last participant."""


class Inbound(BaseModel):
    """Calls that come in."""

    model_config = ConfigDict(extra="forbid")

    name: str = "parley-inbound"
    numbers: list[str] = Field(min_length=1)
    """The numbers that this trunk owns; a call to any other is not taken."""
    username: str = ""
    password: SecretStr = SecretStr("")
    allowed_addresses: list[str] = Field(default_factory=list)
    """Addresses or networks that calls may come from; empty: any, so then set a password."""

    @field_validator("allowed_addresses")
    @classmethod
    def _networks(cls, values: list[str]) -> list[str]:
        return [str(ip_network(value, strict=False)) for value in values]


class Outbound(BaseModel):
    """Calls that go out."""

    model_config = ConfigDict(extra="forbid")

    name: str = "parley-outbound"
    address: str = Field(min_length=1)
    """The provider's host, with a port if it is not SIP's own."""
    numbers: list[str] = Field(min_length=1)
    """Numbers that calls may show as theirs."""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    username: str = ""
    password: SecretStr = SecretStr("")


class PhoneConfig(BaseModel):
    """The whole file; each part may be left out."""

    model_config = ConfigDict(extra="forbid")

    inbound: Inbound | None = None
    outbound: Outbound | None = None


@dataclass(frozen=True)
class Change:
    """What `setup` did about one thing.

    Attributes:
        what: As in "inbound trunk".
        name: Its name.
        id: Its id on the server.
        done: "made", "changed" or "unchanged".
    """

    what: str
    name: str
    id: str
    done: Literal["made", "changed", "unchanged"]


def load_config(path: Path) -> PhoneConfig:
    """Read the file; `${NAME}` in it stands for an environment variable.

    Raises:
        ConfigError: It cannot be read; the message says what is wrong and shows no secret.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path} is not YAML.") from None
    try:
        config = PhoneConfig.model_validate(_filled(data or {}, path))
    except ValidationError as e:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in e.errors(include_input=False)
        )
        raise ConfigError(f"{path}: {problems}. See docs/phone.md.") from None
    _require_a_lock(config, path)
    return config


def _require_a_lock(config: PhoneConfig, path: Path) -> None:
    """Anybody on the internet can send an INVITE."""
    inbound = config.inbound
    if inbound and not inbound.allowed_addresses and not inbound.password.get_secret_value():
        raise ConfigError(
            f"{path}: the inbound trunk is open to anyone. Set a username and a password, "
            "allowed_addresses, or both."
        )
    for side in (config.inbound, config.outbound):
        if side and bool(side.username) != bool(side.password.get_secret_value()):
            raise ConfigError(f"{path}: {side.name} has a username or a password, but not both.")


def _filled(data: Any, path: Path) -> Any:
    if isinstance(data, dict):
        return {key: _filled(value, path) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled(value, path) for value in data]
    if not isinstance(data, str):
        return data
    for name in _VARIABLE.findall(data):
        if name not in os.environ:
            raise ConfigError(f"{path} wants the environment variable {name}, which is not set.")
    return _VARIABLE.sub(lambda match: os.environ[match[1]], data)


async def setup(server: api.LiveKitAPI, config: PhoneConfig, settings: Settings) -> list[Change]:
    """Make the server's trunks and rule as `config` says; what is right already is left alone."""
    changes = []
    if config.inbound:
        trunk = await _inbound(server, config.inbound, settings)
        changes += [trunk, await _rule(server, config.inbound.name, trunk.id, settings)]
    if config.outbound:
        changes.append(await _outbound(server, config.outbound))
    return changes


async def _inbound(server: api.LiveKitAPI, wanted: Inbound, settings: Settings) -> Change:
    info = api.SIPInboundTrunkInfo(
        name=wanted.name,
        numbers=wanted.numbers,
        allowed_addresses=wanted.allowed_addresses,
        auth_username=wanted.username,
        auth_password=wanted.password.get_secret_value(),
        headers_to_attributes={"From": CALLER},
        # The agent ends a long call with a word; this is for when it cannot.
        max_call_duration=Duration(seconds=round(settings.phone.max_call_s) + 60),
    )
    listed = await server.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    request = api.CreateSIPInboundTrunkRequest(trunk=info)
    return await _keep(
        "inbound trunk",
        info,
        key="sip_trunk_id",
        listed=listed.items,
        make=lambda: server.sip.create_inbound_trunk(request),
        change=server.sip.update_inbound_trunk,
    )


async def _outbound(server: api.LiveKitAPI, wanted: Outbound) -> Change:
    info = api.SIPOutboundTrunkInfo(
        name=wanted.name,
        address=wanted.address,
        numbers=wanted.numbers,
        transport=_TRANSPORTS[wanted.transport],
        auth_username=wanted.username,
        auth_password=wanted.password.get_secret_value(),
    )
    listed = await server.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    request = api.CreateSIPOutboundTrunkRequest(trunk=info)
    return await _keep(
        "outbound trunk",
        info,
        key="sip_trunk_id",
        listed=listed.items,
        make=lambda: server.sip.create_outbound_trunk(request),
        change=server.sip.update_outbound_trunk,
    )


async def _rule(
    server: api.LiveKitAPI, name: str, trunk_id: str, settings: Settings
) -> Change:  # fmt: skip
    agents = [api.RoomAgentDispatch(agent_name=settings.agent_name)] if settings.agent_name else []
    info = api.SIPDispatchRuleInfo(
        name=name,
        trunk_ids=[trunk_id],
        # The individual rule would put the caller's number into the room's name, and not hidden it
        # would be in the participant's identity: both are in every log line of server and worker.
        rule=api.SIPDispatchRule(
            dispatch_rule_callee=api.SIPDispatchRuleCallee(
                room_prefix=settings.phone.room_prefix, randomize=True
            )
        ),
        hide_phone_number=True,
        room_config=api.RoomConfiguration(agents=agents, departure_timeout=DEPARTURE_S),
    )
    listed = await server.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())
    request = api.CreateSIPDispatchRuleRequest(dispatch_rule=info)
    return await _keep(
        "dispatch rule",
        info,
        key="sip_dispatch_rule_id",
        listed=listed.items,
        make=lambda: server.sip.create_dispatch_rule(request),
        change=server.sip.update_dispatch_rule,
    )


async def _keep(
    what: str,
    wanted: Any,
    *,
    key: str,
    listed: Iterable[Any],
    make: Callable[[], Awaitable[Any]],
    change: Callable[[str, Any], Awaitable[Any]],
) -> Change:
    """Make what is not there by its name, change what differs; `key` is the field of its id."""
    there = next((item for item in listed if item.name == wanted.name), None)
    if there is None:
        return Change(what, wanted.name, getattr(await make(), key), "made")
    found = getattr(there, key)
    setattr(wanted, key, found)
    if _same(wanted, there):
        return Change(what, wanted.name, found, "unchanged")
    await change(found, wanted)
    return Change(what, wanted.name, found, "changed")


def _same(wanted: Any, there: Any) -> bool:
    """Whether every field that we would set is as wanted; the server adds some of its own."""
    return all(getattr(there, field.name) == value for field, value in wanted.ListFields())


async def find_outbound(server: api.LiveKitAPI, name_or_id: str) -> str:
    """The id of an outbound trunk.

    Raises:
        ConfigError: There is none of that name or id.
    """
    listed = (await server.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
    for item in listed:
        if name_or_id in (item.name, item.sip_trunk_id):
            return item.sip_trunk_id
    raise ConfigError(
        f"There is no outbound trunk {name_or_id!r}. Run `python agent.py phone setup FILE` with "
        "an outbound part, or set AGENT_PHONE_TRUNK to one that `phone list` shows."
    )
