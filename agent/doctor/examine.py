"""The whole examination: machine, media server, gateways, and each route of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp
from livekit.agents import APIError
from livekit.agents.utils import http_context

from ..config import ConfigError, Settings, missing_keys
from ..providers import build_llm, build_stt, build_tts
from ..routes import Route
from ..turns import load_vad
from . import probes, verdicts
from .areas import Area
from .clock import ClockReadings
from .findings import Finding, Report, State
from .gateways import Gateway, Reached, examine_errors, gateway_of, reach_with_each_key, stop_ms
from .machine import examine_machine
from .media_server import examine_media_server
from .verdicts import Subject

Progress = Callable[[str], None]


EVERYTHING = frozenset(Area)


async def examine(
    settings: Settings,
    *,
    progress: Progress,
    areas: Collection[Area] = EVERYTHING,
    wall_clock: Callable[[], float] = time.time,
) -> Report:
    """Look at everything a call needs; takes half a minute at most on each route.

    Args:
        settings: What to look at.
        progress: Told what is being looked at.
        areas: Nothing else is looked at.
        wall_clock: Seconds since the epoch.
    """
    clocks = ClockReadings(wall_clock=wall_clock)
    findings: list[Finding] = []
    if Area.MACHINE in areas:
        progress("this machine")
        findings += await examine_machine(settings)
    if Area.SERVER in areas:
        progress("the media server")
        findings += await examine_media_server(settings, clocks)
    chains = {
        Area.STT: settings.stt_routes,
        Area.LLM: settings.llm_routes,
        Area.TTS: settings.tts_routes,
    }
    if settings.realtime_route:  # it hears and thinks; the voice is still needed for fixed phrases
        chains = {Area.TTS: settings.tts_routes}
    chains = {stage: chain for stage, chain in chains.items() if stage in areas}
    async with http_context.open() as http:
        routes = _Routes(settings=settings, http=http, clocks=clocks, progress=progress)
        if realtime := settings.realtime_route:
            findings += await routes.provider(realtime.provider)
        for stage, chain in chains.items():
            for route in chain:
                findings += await routes.examine(stage, route)
    return Report(
        findings=[clocks.finding(), *findings],
        stages=[[f"{stage} {route}" for route in chain] for stage, chain in chains.items()],
    )


@dataclass(kw_only=True)
class _Routes:
    """Examines routes, one after the other so that none slows another; a gateway once."""

    settings: Settings
    http: aiohttp.ClientSession
    clocks: ClockReadings
    progress: Progress
    reached: dict[str, Reached] = field(default_factory=dict)

    async def examine(self, stage: str, route: Route) -> list[Finding]:
        """Everything about one route, beginning with its gateway if that is new."""
        self.progress(f"{stage} {route}")
        plain = Subject(stage=stage, route=str(route), model=route.model)
        for variable, provider in missing_keys(self.settings).items():
            if provider == route.provider:
                fix = f"Put {variable} into .env (start from .env.example)."
                return [plain.finding("key", State.FAIL, "not set", fix)]
        gateway = gateway_of(route.provider, self.settings)
        if gateway is None:
            return await self._probe(plain)
        findings = await self._gateway(gateway)
        reached = self.reached[gateway.provider]
        subject = Subject(
            stage=stage,
            route=str(route),
            model=route.model,
            gateway=gateway.provider,
            models=reached.models or frozenset(),
        )
        if reached.models is None:
            found = f"{gateway.provider} cannot be used"
            unusable = plain.finding("works", State.FAIL, found, "See above.")
            return [*findings, unusable]
        findings += await self._probe(subject)
        if stage == "tts" and gateway.speaks_over_sockets and findings[-1].state is not State.FAIL:
            findings.append(await self._stop(subject, gateway, route))
        return findings

    async def provider(self, name: str) -> list[Finding]:
        """The gateway behind a provider's name."""
        gateway = gateway_of(name, self.settings)
        return await self._gateway(gateway) if gateway else []

    async def _gateway(self, gateway: Gateway) -> list[Finding]:
        if gateway.provider in self.reached:
            return []
        reached = self.reached[gateway.provider] = await reach_with_each_key(
            gateway, self.http, self.clocks
        )
        if reached.models is None:
            return reached.findings
        return [*reached.findings, *await examine_errors(gateway, self.http)]

    async def _probe(self, subject: Subject) -> list[Finding]:
        try:
            match subject.stage:
                case "stt":
                    return await self._hear(subject)
                case "llm":
                    return await self._answer(subject)
            return await self._speak(subject)
        except (APIError, TimeoutError, ValueError, ConfigError) as e:
            return [verdicts.judge_error(subject, e)]

    async def _hear(self, subject: Subject) -> list[Finding]:
        alone = self.settings.model_copy(update={"stt": subject.route})
        async with build_stt(alone, vad=load_vad(alone)) as engine:
            return verdicts.judge_hearing(subject, await probes.hear(engine))

    async def _answer(self, subject: Subject) -> list[Finding]:
        alone = self.settings.model_copy(update={"llm": subject.route})
        async with build_llm(alone) as engine:
            said = await probes.answer(engine, probes.QUESTION)
            used = await probes.answer(engine, probes.TOOL_QUESTION)
        return [*verdicts.judge_answer(subject, said), verdicts.judge_tools(subject, used)]

    async def _speak(self, subject: Subject) -> list[Finding]:
        alone = self.settings.model_copy(update={"tts": subject.route})
        async with build_tts(alone) as engine:
            return verdicts.judge_speech(subject, await probes.speak(engine))

    async def _stop(self, subject: Subject, gateway: Gateway, route: Route) -> Finding:
        path = f"/audio/speech/stream?model={quote(route.slug, safe='')}"
        if route.voice:
            path += f"&voice={quote(route.voice, safe='')}"
        try:
            return verdicts.judge_stop(subject, await stop_ms(gateway, path, self.http))
        except (aiohttp.ClientError, TimeoutError, TypeError) as e:
            return subject.finding("cancels", State.UNKNOWN, f"not tried ({type(e).__name__})")
