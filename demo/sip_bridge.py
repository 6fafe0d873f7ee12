"""Find the phone bridge (livekit-sip) and its Redis, or get them. Standard library only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import debian, redis
from .media_server import ROOT

VERSION = "1.8.0"
_BUILT = ROOT / ".parley" / "bin" / f"livekit-sip-{VERSION}"
_FOLDER = ROOT / ".parley" / "build" / "sip"
_MODULE = ROOT / "deploy" / "sip" / "go.mod"
_PACKAGE = "github.com/livekit/sip/cmd/livekit-sip"
_BUILD_TIMEOUT_S = 1800
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
        health_port: Its health page.
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
    if configured := os.environ.get("LIVEKIT_SIP_BIN"):
        return Path(configured)
    if on_path := shutil.which("livekit-sip"):
        return Path(on_path)
    return _BUILT if _BUILT.exists() else None


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
    run = subprocess.run(
        ["go", "build", "-mod=mod", "-ldflags=-s -w", "-o", str(built), _PACKAGE],  # noqa: S607 - the Go on PATH is the one the user chose
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["go build failed"])[-1]
        raise BridgeError(
            f"Building livekit-sip failed: {last}. Check the network, or put `livekit-sip` on PATH."
        )
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
