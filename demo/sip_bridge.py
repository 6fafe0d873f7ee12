"""Find the phone bridge (livekit-sip) and its Redis, or get them. Standard library only."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import binaries, debian, redis
from .binaries import BUILT, ROOT

VERSION = "1.8.0"
_BUILT = BUILT / f"livekit-sip-{VERSION}"
_FOLDER = ROOT / ".parley" / "build" / "sip"
_MODULE = ROOT / "deploy" / "sip" / "go.mod"
_PACKAGE = "github.com/livekit/sip/cmd/livekit-sip"
_LIBRARIES = ("opus", "opusfile", "soxr")
_DEBIAN = ("gcc", "libc6-dev", "libopus-dev", "libopusfile-dev", "libsoxr-dev", "pkg-config")


class BridgeError(debian.PackagesMissing):
    """There is no phone bridge and none can be made; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """Where the bridge listens and what it talks to.

    Attributes:
        host: Address for SIP and RTP; it is also what other phones are told.
        sip_port: UDP and TCP port of SIP.
        rtp_ports: First and last UDP port of RTP; a call takes one.
        redis: Redis, as host:port.
        livekit_url: The LiveKit server.
        api_key: Its key.
        api_secret: Its secret.
    """

    host: str
    sip_port: int
    rtp_ports: tuple[int, int]
    redis: str
    livekit_url: str
    api_key: str
    api_secret: str

    def __repr__(self) -> str:
        return f"BridgeConfig(host={self.host!r}, sip_port={self.sip_port})"

    def body(self) -> str:
        """The bridge's configuration; JSON is YAML as well."""
        return json.dumps(
            {
                "api_key": self.api_key,
                "api_secret": self.api_secret,
                "ws_url": self.livekit_url,
                "redis": {"address": self.redis},
                "sip_port": self.sip_port,
                "listen_ip": self.host,
                "nat_1_to_1_ip": self.host,
                "rtp_port": f"{self.rtp_ports[0]}-{self.rtp_ports[1]}",
                # It would refuse calls above 90 % CPU: beside engines on one machine, that is soon.
                "max_cpu_utilization": 1.0,
                # A port is free again as soon as its call is over.
                "rtp_draining_idle_timeout": "-1s",
                "rtp_draining_duration": "-1s",
                "logging": {"level": "info"},
            }
        )


def find() -> Path | None:
    """The binary: `LIVEKIT_SIP_BIN`, `livekit-sip` on PATH, or the one built here."""
    return binaries.find("livekit-sip", variable="LIVEKIT_SIP_BIN", built=_BUILT)


def ensure(say: Callable[[str], None]) -> None:
    """Make sure that there are Redis and a bridge; installs what the bridge is built from.

    Args:
        say: Told what is going on, since a build takes some minutes.

    Raises:
        debian.PackagesMissing: Something is missing and cannot be had.
    """
    redis.ensure(say)
    if find() is None:
        _build(say)


def _build(say: Callable[[str], None]) -> None:
    if shutil.which("go") is None:
        raise BridgeError(
            "The phone bridge is built with Go: install it (go.dev/dl), put `livekit-sip` on PATH, "
            "or use `docker compose --profile phone up`."
        )
    if not _has_libraries():
        debian.install(_DEBIAN, "What the phone bridge is built with", say)
    say(f"building livekit-sip {VERSION} with Go, once (2 to 4 minutes)")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _BUILT.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_MODULE, _FOLDER / "go.mod")
    built = _FOLDER / "livekit-sip"
    try:
        binaries.build(
            ["build", "-mod=mod", "-ldflags=-s -w", "-o", str(built), _PACKAGE], cwd=_FOLDER
        )
    except binaries.BuildError as e:
        raise BridgeError(
            f"Building livekit-sip failed: {e}. Check the network, or put `livekit-sip` on PATH."
        ) from None
    built.replace(_BUILT)


def _has_libraries() -> bool:
    if not all(shutil.which(program) for program in ("gcc", "pkg-config")):
        return False
    run = subprocess.run(
        ["pkg-config", "--exists", *_LIBRARIES],  # noqa: S607 - the one that the build uses
        capture_output=True,
        check=False,
    )
    return run.returncode == 0
