"""livekit-agents with its own documented settings for speed.

`python -m bench.peers.livekit_tuned start`. Every setting that is not a default has its source
beside it; the pages are under https://docs.livekit.io.
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, room_io, tokenize

from bench.peers.gateway_livekit import GatewayTTS
from bench.peers.livekit_stock import SOCKETS, stages

server = AgentServer(load_fnc=lambda _: 0.0, port=0)


@server.rtc_session(agent_name=os.environ["AGENT_NAME"])
async def entrypoint(ctx: JobContext) -> None:
    """Hold one call."""
    stt, llm, _ = stages()
    session = AgentSession[None](
        stt=stt,
        llm=llm,
        tts=GatewayTTS(
            url=f"{SOCKETS}/audio/speech/stream?model=sim/tts",
            # The shortest sentence that is sent by itself, and how much of the next must be seen:
            # livekit.agents.tokenize.blingfire.SentenceTokenizer, defaults 20 and 10.
            tokenizer=tokenize.blingfire.SentenceTokenizer(
                min_sentence_len=5, stream_context_len=1
            ),
        ),
        # /reference/agents/turn-handling-options
        turn_handling={
            # "stt": the recogniser's own endpoint ends the turn, here 140 ms after speech.
            "turn_detection": "stt",
            # "Reduce min_delay for faster responses"; the endpoint has been waited for already.
            "endpointing": {"min_delay": 0.0},
            # Speech is synthesised before the turn is confirmed, too.
            "preemptive_generation": {"preemptive_tts": True},
            # "Minimum detected speech duration to trigger an interruption", default 0.5.
            "interruption": {"mode": "vad", "min_duration": 0.1},
        },
        # By default deaf to interruptions in the first 3 s of speech, for echo cancellers.
        aec_warmup_duration=None,
    )
    await session.start(
        Agent(instructions="You are a helpful voice assistant."),
        room=ctx.room,
        # 50 ms by default.
        room_options=room_io.RoomOptions(audio_input=room_io.AudioInputOptions(frame_size_ms=20)),
    )


if __name__ == "__main__":
    cli.run_app(server)
