"""What a caller hears of the agent, whatever else it says before: a filler, an announcement."""

from __future__ import annotations

from caller.ears import Ears
from caller.errors import CallerError
from caller.phone import PhoneCaller

REPLY_S = 30.0
"""How long the agent may be silent on a busy machine."""


async def hears(caller: PhoneCaller, ears: Ears, *words: str) -> str:
    """Listen until one of `words` (lower case) was said, and return all that was."""
    heard = ""
    while not any(word in heard for word in words):
        try:
            reply = await caller.hear_reply(timeout_s=REPLY_S)
        except CallerError as e:
            raise AssertionError(f"heard {heard!r} and none of {words}: {e}") from None
        heard += (await ears.transcribe(reply.pcm)).lower() + " "
    return heard
