"""livekit-agents as its quickstart has it: `python -m bench.peers.livekit_stock start`.

https://docs.livekit.io/agents/start/voice-ai: Deepgram's plugin, OpenAI's, a streaming voice,
Silero and LiveKit's turn detector, all with their defaults.
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, inference
from livekit.plugins import deepgram, openai

from bench.peers.gateway_livekit import GatewayTTS

GATEWAY = os.environ["BENCH_GATEWAY"]  # http://host:port/v1
SOCKETS = GATEWAY.replace("http://", "ws://")

# `load_fnc`: by default a busy machine gets no job at all, silently. `port`: 8081 is taken once.
server = AgentServer(load_fnc=lambda _: 0.0, port=0)


def stages() -> tuple[deepgram.STT, openai.LLM, GatewayTTS]:
    """Speech to text, model and voice, all from the gateway."""
    return (
        deepgram.STT(
            model="sim/stt", base_url=f"{SOCKETS}/audio/transcriptions/stream", api_key="none"
        ),
        openai.LLM(model="sim/llm", base_url=GATEWAY, api_key="none"),
        GatewayTTS(url=f"{SOCKETS}/audio/speech/stream?model=sim/tts"),
    )


@server.rtc_session(agent_name=os.environ["AGENT_NAME"])
async def entrypoint(ctx: JobContext) -> None:
    """Hold one call."""
    stt, llm, tts = stages()
    session = AgentSession[None](
        stt=stt,
        llm=llm,
        tts=tts,
        # The default; the version is what a self-hosted worker gets, whatever mode it runs in.
        turn_handling={"turn_detection": inference.TurnDetector(version="v1-mini")},
    )
    await session.start(Agent(instructions="You are a helpful voice assistant."), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
