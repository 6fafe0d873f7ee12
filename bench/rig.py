"""What every contestant shares: one media server and one sim gateway, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from bench.profiles import Profile
from demo import media_server
from demo.binaries import ROOT
from demo.processes import Child, ProcessError
from demo.stack import HOST, Ports

API_KEY = "bench"
_START_S = 30.0


class Rig:
    """The media server and the gateway. Use as an async context manager.

    Args:
        folder: Where logs and the script go.
        profile: How fast the stages are.
        script: What the sim engines hear and answer.

    Raises:
        ProcessError: A part did not start.
        MediaServerError: There is no media server.
    """

    def __init__(self, *, folder: Path, profile: Profile, script: dict[str, object]) -> None:
        self.folder = folder
        self.api_secret = secrets.token_urlsafe(36)
        self._ports = Ports.free()
        self.livekit_url = f"ws://{HOST}:{self._ports.livekit}"
        self.gateway_url = f"http://{HOST}:{self._ports.gateway}/v1"
        script_path = folder / "script.json"
        script_path.write_text(json.dumps(script, indent=1))
        self._gateway = self.child(
            "gateway", [sys.executable, *self._gateway_arguments(profile, script_path)], env={}
        )
        self._server = self.child("livekit-server", self._server_command(), env={})
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            await self._server.start()
            await self._gateway.start(marker="gateway ready")
            await self._gateway.ready("gateway ready", timeout_s=_START_S)
            await self._server_answers()
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

    def child(self, name: str, command: list[str], *, env: dict[str, str]) -> Child:
        """A process that finds server and gateway in its environment; not yet started."""
        shared = {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": API_KEY,
            "LIVEKIT_API_SECRET": self.api_secret,
            "LIVEKIT_KEYS": f"{API_KEY}: {self.api_secret}",
            "LIVEKIT_LOG_LEVEL": "INFO",
            "BENCH_GATEWAY": self.gateway_url,
            "LOCAL_GATEWAY_URL": self.gateway_url,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        log = self.folder / f"{name}.log"
        # In a folder of its own, where no `.env` of the user's can change what is measured.
        return Child(name, command, env=os.environ | shared | env, log=log, cwd=self.folder)

    async def llm_requests(self) -> int:
        """Chat requests that the gateway has accepted so far."""
        assert self._http is not None
        url = f"http://{HOST}:{self._ports.gateway}/admin/stats"
        async with self._http.get(url) as answer:
            answer.raise_for_status()
            return int((await answer.json())["llm"]["opened"])

    async def inject(self, stage: str, delay_ms: int) -> None:
        """Delay what the gateway's stage says by so much from now on; "" for no stage."""
        assert self._http is not None
        faults = [{"stage": stage, "do": "delay", "ms": delay_ms}] if stage else []
        url = f"http://{HOST}:{self._ports.gateway}/admin/faults"
        async with self._http.put(url, json={"faults": faults}) as answer:
            answer.raise_for_status()

    def _server_command(self) -> list[str]:
        ports = self._ports
        options = {
            "--config": str(ROOT / "livekit.yaml"),
            "--bind": HOST,
            "--node-ip": HOST,
            "--port": str(ports.livekit),
            "--rtc.tcp_port": str(ports.rtc_tcp),
            "--udp-port": str(ports.rtc_udp),
        }
        return [*media_server.command(), *(part for option in options.items() for part in option)]

    def _gateway_arguments(self, profile: Profile, script: Path) -> list[str]:
        # Extended: the end-of-audio markers and word times that the peers' plugins live on.
        options = {
            "--host": HOST,
            "--port": str(self._ports.gateway),
            "--preload": "none",
            "--log-level": "WARNING",
            "--sim-script": str(script),
            "--sim-stt-final-ms": str(profile.stt_final),
            "--sim-llm-first-token-ms": str(profile.llm_first_token),
            "--sim-tts-first-audio-ms": str(profile.tts_first_audio),
        }
        return ["-m", "gateway", "--extended", *(part for o in options.items() for part in o)]

    async def _server_answers(self) -> None:
        assert self._http is not None
        deadline = time.monotonic() + _START_S
        url = f"http://{HOST}:{self._ports.livekit}/"
        while time.monotonic() < deadline:
            try:
                async with self._http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        raise ProcessError(
            f"livekit-server did not answer in {_START_S:.0f} s; see its log in {self.folder}"
        )

    async def _stop(self) -> None:
        await self._gateway.stop()
        await self._server.stop()
        if self._http:
            await self._http.close()
