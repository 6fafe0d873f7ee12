"""Which engine answers to which model name; engines are loaded once, when first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeVar, cast

from gateway.config import GatewayConfig
from gateway.engines.base import ChatEngine, SttEngine, TtsEngine
from gateway.engines.brain.engine import BrainEngine
from gateway.engines.sim.llm import SimLlm
from gateway.engines.sim.script import SimScript
from gateway.engines.sim.stt import SimStt
from gateway.engines.sim.tts import SimTts
from gateway.engines.upstream import UpstreamLlm
from gateway.errors import ConfigError, UnknownModel
from gateway.stats import Stage

BRAIN = "local/brain"


class _Closable(Protocol):
    def close(self) -> None:
        """Let go of threads."""


_Engine = TypeVar("_Engine")


class EngineRegistry:
    """Finds engines by model name.

    Raises:
        ConfigError: if an alias points nowhere, or the script of the sim engines is wrong.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._engines: dict[str, object] = {}
        self._loading = asyncio.Lock()
        script = SimScript.load(config.sim)
        self._stt: dict[str, Callable[[], SttEngine]] = {
            "sim/stt": lambda: SimStt(config.sim, script=script)
        }
        self._tts: dict[str, Callable[[], TtsEngine]] = {"sim/tts": lambda: SimTts(config.sim)}
        self._chat: dict[str, Callable[[], ChatEngine]] = {
            BRAIN: lambda: BrainEngine(config.brain),
            "sim/llm": lambda: SimLlm(config.sim, script=script),
        }
        for name, model in config.whisper_models.items():
            self._stt[f"local/whisper-{name}"] = partial(self._load_whisper, model)
        for name, voice in config.piper_voices.items():
            self._tts[f"local/piper-{name}"] = partial(self._load_piper, voice)
        self.upstream = None if config.upstream is None else UpstreamLlm(config.upstream)
        known = set(self.names())
        for alias, model in config.aliases.items():
            if model not in known:
                raise ConfigError(f"the alias {alias!r} points to {model!r}, which does not exist")
        for stage, model in [*config.stand_ins.items(), *config.template.items()]:
            if model not in known:
                raise ConfigError(f"the model {model!r} for {stage} does not exist")

    def names(self) -> list[str]:
        """All model names, aliases included, in the order in which they are told."""
        return [*self._stt, *self._chat, *self._tts, *self._config.aliases]

    async def stt(self, model: str) -> SttEngine:
        """Return the recogniser of this name, loading it if needed.

        Raises:
            UnknownModel: if no recogniser has this name.
            EngineUnavailable: if its package or weights are missing.
        """
        return await self._get(model, self._stt, "stt")

    async def tts(self, model: str) -> TtsEngine:
        """Return the voice of this name, loading it if needed; raises as `stt` does."""
        return await self._get(model, self._tts, "tts")

    async def chat(self, model: str) -> ChatEngine | None:
        """Return the local engine of this name; None means: the upstream server answers.

        Raises:
            UnknownModel: if no engine has this name and there is no upstream.
        """
        name = self._config.aliases.get(model, model)
        if self.upstream is not None and (name == BRAIN or name not in self._chat):
            return None
        return await self._get(model, self._chat, "llm")

    async def preload(self, models: Iterable[str]) -> None:
        """Load these models now; raises as `stt` does."""
        for model in models:
            name = self._config.aliases.get(model, model)
            if name in self._stt:
                await self.stt(name)
            elif name in self._tts:
                await self.tts(name)
            elif name not in self._chat:  # those are loaded in no time
                raise UnknownModel(model)

    def close(self) -> None:
        """Let go of the engines' threads."""
        for engine in self._engines.values():
            if hasattr(engine, "close"):
                cast("_Closable", engine).close()

    async def _get(
        self, model: str, family: Mapping[str, Callable[[], _Engine]], stage: Stage
    ) -> _Engine:
        name = self._config.aliases.get(model, model)
        if name not in family:
            name = self._config.stand_ins.get(stage, name)
        load = family.get(name)
        if load is None:
            raise UnknownModel(model)
        if name not in self._engines:
            async with self._loading:
                if name not in self._engines:  # another request may have loaded it meanwhile
                    self._engines[name] = await asyncio.to_thread(load)
        return cast("_Engine", self._engines[name])

    def _load_whisper(self, model: str) -> SttEngine:
        # Imported here: the packages behind it are an optional extra and slow to import.
        from gateway.engines.local_speech import WhisperStt
        from gateway.engines.whisper import WhisperEngine

        engine = WhisperEngine(model, cpu_threads=self._config.stt.cpu_threads)
        engine.warm_up()
        return WhisperStt(engine, config=self._config.stt, limits=self._config.limits)

    def _load_piper(self, voice: str) -> TtsEngine:
        from gateway.engines.local_speech import PiperTts
        from gateway.engines.piper import PiperEngine

        engine = PiperEngine(voice, cpu_threads=self._config.tts.cpu_threads)
        engine.warm_up()
        return PiperTts(engine, config=self._config.tts)
