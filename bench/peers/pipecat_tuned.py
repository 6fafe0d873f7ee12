"""Pipecat with its documented settings for speed.

`python -m bench.peers.pipecat_tuned`, in the peers' environment; holds one call. Sources are in the
package itself, as cited. Of its turn strategies this one answered soonest here: Smart Turn v3 took
about 300 ms longer, `SpeechTimeoutUserTurnStopStrategy(0)` about 140. Text goes to the voice by the
sentence: this wire takes "one clause or sentence" a message, which rules out
`TextAggregationMode.TOKEN`.
"""

# The peers' environment is not the one that types are checked in.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio

from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from bench.peers.gateway_pipecat import GatewaySTTService, run

if __name__ == "__main__":
    # pipecat/turns/user_turn_strategies.py: for a recogniser that finds the end of the turn itself,
    # here 140 ms after speech. It proposes, and this decides at once.
    user = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    # pipecat/transports/base_transport.py: "Number of 10ms chunks to buffer for output", 4 by
    # default; livekit/transport.py: "Buffer size of the outgoing audio source", 1000 ms by default.
    transport = {"audio_out_10ms_chunks": 2}
    asyncio.run(run(stt=GatewaySTTService(owns_turns=True), user=user, transport=transport))
