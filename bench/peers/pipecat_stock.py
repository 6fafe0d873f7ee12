"""Pipecat as its quickstart has it: Silero and Smart Turn v3, all with their defaults.

`python -m bench.peers.pipecat_stock`, in the peers' environment; holds one call.
https://docs.pipecat.ai/getting-started/quickstart
"""

# The peers' environment is not the one that types are checked in.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams

from bench.peers.gateway_pipecat import GatewaySTTService, run

if __name__ == "__main__":
    user = LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    asyncio.run(run(stt=GatewaySTTService(), user=user, transport={}))
