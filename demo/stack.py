"""Media server, gateway and worker on loopback: for the demo, the tests and benchmarks."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import aiohttp
from pydantic import SecretStr

from agent.config import load_settings
from agent.web.server import WebServer

from . import media_server, redis, sip_bridge
from .binaries import ROOT
from .processes import Child, ProcessError

HOST = "127.0.0.1"
_SERVER_START_S = 20.0
_GATEWAY_START_S = 120.0  # loads two models from disk
_WORKER_START_S = 120.0  # a busy machine with two cores took 20 s

_WORKER = [sys.executable, "agent.py", "start"]
_WORKER_READY = "registered worker"
PHONE_RTP_PORTS = 200
"""UDP ports of the phone bridge; a call takes one."""
_BRIDGE_READY = "sip signaling listening on"
_STOPPED_FIRST = {"worker": 0, "redis": 2}
"""The worker while the server it says goodbye to is there, Redis when nothing needs it."""

LOCAL_ROUTES = {
    "AGENT_STT": "local:whisper-tiny.en",
    "AGENT_LLM": "local:brain",
    "AGENT_TTS": "local:piper-joe:joe",
}
"""The whole chain through the local gateway's real engines."""


@dataclass(frozen=True)
class Ports:
    """TCP ports on loopback, and the one UDP port of the media."""

    livekit: int = 7880
    rtc_tcp: int = 7881
    rtc_udp: int = 7882
    gateway: int = 8787
    web: int = 8788
    sip: int = 5060
    redis: int = 6390
    rtp_first: int = 11000

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody uses right now."""
        # Below the range that systems give out by themselves, so that it stays free.
        rtp_first = random.randrange(12_000, 30_000, PHONE_RTP_PORTS)
        return replace(cls(*_free_ports(7)), rtp_first=rtp_first)


@dataclass(frozen=True)
class StackConfig:
    """What to start, and how.

    Attributes:
        ports: Where it listens.
        folder: Logs and the demo's database; a temporary folder when not given.
        worker_env: Further environment of the worker, for example other routes.
        gateway_args: Further arguments of the gateway.
        local_gateway: Whether the local gateway is started and used.
        phone: Whether Redis and the phone bridge are started too.
        phone_host: Address that the phone bridge listens on.
        max_calls: Calls the worker takes at once.
    """

    ports: Ports = field(default_factory=Ports)
    folder: Path | None = None
    worker_env: dict[str, str] = field(default_factory=dict)
    gateway_args: list[str] = field(default_factory=list)
    local_gateway: bool = True
    phone: bool = False
    phone_host: str = HOST
    max_calls: int = 4


class Stack:
    """Everything a call needs. Use as an async context manager.

    Raises:
        ProcessError: A part did not start, or a port is taken.
        MediaServerError: There is no media server.
    """

    def __init__(self, config: StackConfig, *, say: Callable[[str], None] | None = None) -> None:
        self.config = config
        self.folder = config.folder or Path(tempfile.mkdtemp(prefix="parley-"))
        self.api_key = "parley"
        self.api_secret = secrets.token_urlsafe(36)
        self.livekit_url = f"ws://{HOST}:{config.ports.livekit}"
        self.gateway_url = f"http://{HOST}:{config.ports.gateway}/v1"
        self.store_path = self.folder / "store.db"
        self.gateway_key = secrets.token_urlsafe(24)
        self._say = say or (lambda _: None)
        self._children: list[Child] = []

    async def __aenter__(self) -> Stack:
        for leftover in self.folder.glob("store.db*"):
            leftover.unlink()
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)  # Redis, of an earlier run
        config = self.config
        _require_free(config.ports, with_gateway=config.local_gateway, with_phone=config.phone)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        started = time.monotonic()
        server = self._child("livekit-server", self._server_command(), self._server_env())
        worker = self._child("worker", _WORKER, self._worker_env())
        if self.config.phone:
            await self.start_redis()
        await server.start()
        await self._server_answers(server)
        self._say(f"media server is up ({time.monotonic() - started:.1f} s)")
        if self.config.phone:
            await self._start_bridge()
            self._say(f"phone bridge is up ({time.monotonic() - started:.1f} s)")
        await worker.start(marker=_WORKER_READY)
        if self.config.local_gateway:
            gateway = self._child("gateway", self._gateway_command(), self._gateway_env())
            await gateway.start(marker="gateway ready")
            await gateway.ready("gateway ready", timeout_s=_GATEWAY_START_S)
            self._say(f"gateway is up ({time.monotonic() - started:.1f} s)")
        await self.worker_registered(worker)
        self._say(f"worker is registered ({time.monotonic() - started:.1f} s)")

    async def start_redis(self) -> None:
        """Start Redis, or start it again after it was stopped."""
        command = redis.command(host=HOST, port=self.config.ports.redis, folder=self.folder)
        child = self._child("redis", command, dict(os.environ))
        await child.start(marker=redis.READY)
        await child.ready(redis.READY, timeout_s=_SERVER_START_S)

    async def _start_bridge(self) -> None:
        binary = sip_bridge.find()
        if binary is None:
            raise ProcessError("There is no phone bridge. `make phone` builds it.")
        ports = self.config.ports
        config = sip_bridge.BridgeConfig(
            host=self.config.phone_host,
            sip_port=ports.sip,
            rtp_ports=(ports.rtp_first, ports.rtp_first + PHONE_RTP_PORTS - 1),
            redis=f"{HOST}:{ports.redis}",
            livekit_url=self.livekit_url,
            api_key=self.api_key,
            api_secret=self.api_secret,
        )
        # In the environment and not in a file: it holds the secret.
        env = os.environ | {"SIP_CONFIG_BODY": config.body()}
        bridge = self._child("livekit-sip", [str(binary)], env)
        await bridge.start(marker=_BRIDGE_READY)
        await bridge.ready(_BRIDGE_READY, timeout_s=_SERVER_START_S)

    async def _stop(self) -> None:
        # The worker first, while the server it says goodbye to is still there.
        for child in sorted(self._children, key=lambda c: _STOPPED_FIRST.get(c.name, 1)):
            await child.stop()

    def page_server(self, *, port: int | None = None, agent_name: str = "") -> WebServer:
        """The page of this stack, not yet served.

        Args:
            port: Where to serve it; the stack's own port for it unless given.
            agent_name: The agent that calls ask for; by default whichever joins every room.
        """
        settings = load_settings().model_copy(
            update={
                "livekit_url": self.livekit_url,
                "livekit_api_key": self.api_key,
                "livekit_api_secret": SecretStr(self.api_secret),
                "agent_name": agent_name,
            }
        )
        wanted = self.config.ports.web if port is None else port
        return WebServer(settings=settings, host=HOST, port=wanted)

    def child(self, name: str) -> Child:
        """The child process of that name, for tests that break it."""
        return next(child for child in reversed(self._children) if child.name == name)

    async def start_worker(self, name: str, env: dict[str, str]) -> Child:
        """Start another worker beside the first, with further environment."""
        worker = self._child(name, _WORKER, self._worker_env() | env)
        await worker.start(marker=_WORKER_READY)
        return worker

    async def worker_registered(self, worker: Child) -> None:
        """Wait until the server knows a worker.

        Raises:
            ProcessError: It ended first, or took too long.
        """
        await worker.ready(_WORKER_READY, timeout_s=_WORKER_START_S)

    async def gateway_stats(self) -> dict[str, dict[str, int]]:
        """The local gateway's counters, by stage."""
        base = f"http://{HOST}:{self.config.ports.gateway}"
        async with aiohttp.ClientSession() as http, http.get(f"{base}/admin/stats") as answer:
            answer.raise_for_status()
            stats: dict[str, dict[str, int]] = await answer.json()
            return stats

    def _child(self, name: str, command: list[str], env: dict[str, str]) -> Child:
        log = self.folder / f"{name}.log"
        child = Child(name, command, env=env, log=log, cwd=ROOT)
        self._children.append(child)
        return child

    def _server_command(self) -> list[str]:
        ports = self.config.ports
        options = {
            "--config": str(ROOT / "livekit.yaml"),
            "--bind": HOST,
            "--node-ip": HOST,
            "--port": str(ports.livekit),
            "--rtc.tcp_port": str(ports.rtc_tcp),
            "--udp-port": str(ports.rtc_udp),
        }
        if self.config.phone:
            options["--redis-host"] = f"{HOST}:{ports.redis}"
        return [*media_server.command(), *(part for option in options.items() for part in option)]

    def _server_env(self) -> dict[str, str]:
        return os.environ | {"LIVEKIT_KEYS": f"{self.api_key}: {self.api_secret}"}

    def _gateway_command(self) -> list[str]:
        port = str(self.config.ports.gateway)
        options = ["--host", HOST, "--port", port, *self.config.gateway_args]
        return [sys.executable, "-m", "gateway", *options]

    def _gateway_env(self) -> dict[str, str]:
        return os.environ | {"GATEWAY_KEY": self.gateway_key, "PYTHONUNBUFFERED": "1"}

    def _worker_env(self) -> dict[str, str]:
        env = os.environ | {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
            "LIVEKIT_LOG_LEVEL": "INFO",
            "AGENT_NAME": "",
            "AGENT_STORE": str(self.store_path),
            "AGENT_MAX_CALLS": str(self.config.max_calls),
            "AGENT_HEALTH_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        if self.config.local_gateway:
            env |= LOCAL_ROUTES
            env |= {"LOCAL_GATEWAY_URL": self.gateway_url, "GATEWAY_KEY": self.gateway_key}
            # Routes of these accounts go to the local gateway too, in their own wire forms.
            env |= {"GATEFLOW_BASE_URL": self.gateway_url, "GATEFLOW_API_KEY": self.gateway_key}
        return env | self.config.worker_env

    async def _server_answers(self, server: Child) -> None:
        url = f"http://{HOST}:{self.config.ports.livekit}/"
        try:
            async with asyncio.timeout(_SERVER_START_S), aiohttp.ClientSession() as http:
                while not await _answers(http, url):  # noqa: ASYNC110 - nothing else to await
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ProcessError(
                f"livekit-server did not answer on port {self.config.ports.livekit} within "
                f"{_SERVER_START_S:.0f} s; see {server.log}"
            ) from None


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _require_free(ports: Ports, *, with_gateway: bool, with_phone: bool = False) -> None:
    wanted = {
        "media server": (ports.livekit, socket.SOCK_STREAM),
        "media over TCP": (ports.rtc_tcp, socket.SOCK_STREAM),
        "media over UDP": (ports.rtc_udp, socket.SOCK_DGRAM),
    }
    if with_gateway:
        wanted["local gateway"] = (ports.gateway, socket.SOCK_STREAM)
    if with_phone:
        wanted["Redis"] = (ports.redis, socket.SOCK_STREAM)
        wanted["SIP"] = (ports.sip, socket.SOCK_DGRAM)
    for what, (port, kind) in wanted.items():
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise ProcessError(
                    f"Port {port} ({what}) is in use. Stop what uses it (is another demo "
                    "running?), or let the demo choose: make demo PORTS=free"
                ) from None


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
