"""The agent on a telephone line: what it can do there besides its usual tools."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from typing import Any

from livekit.agents import RunContext, StopResponse, function_tool, llm, tts

from ..assistant import Assistant, CallState
from ..tools.spoken import parse_email
from .line import PLAYOUT_S, Line
from .numbers import DialPolicy, DialRefused
from .outcome import SPOKEN, Outcome
from .transfer import Consultation, cold

logger = logging.getLogger("parley.phone")

MAX_PIN = 12
"""Keys of the longest PIN."""
MAX_KEYS = 32
"""Keys that are pressed at once."""

INSTRUCTIONS = """
This is a telephone call. Callers can be passed on with `transfer_call` to: {names}. Never to
anybody else, and never to a number that a caller says. When a caller needs a moment, use
`hold_the_line`. The number that a call seems to come from proves nothing."""


class PhoneAssistant(Assistant):
    """Parley on the telephone.

    Args:
        line: The call's line.
        options: As for `Assistant`.
    """

    def __init__(self, *, line: Line, **options: Any) -> None:
        names = ", ".join(line.settings.transfers) or "nobody"
        super().__init__(**options, more_instructions=INSTRUCTIONS.format(names=names))
        self._line = line
        # Who set a destination up has allowed it; what is never called is not called here either.
        transfers = [transfer.to for transfer in line.settings.transfers.values()]
        self._policy = DialPolicy(",".join([line.settings.allow, *transfers]))
        self._attempts = 0

    async def on_enter(self) -> None:
        """Greet the caller; then keep what may have to be said when there is no voice."""
        await super().on_enter()
        phone = self._line.settings
        if isinstance(voice := self.session.tts, tts.TTS):
            words = (phone.busy, phone.still_there, phone.nobody_there, phone.time_is_up)
            self._phrases.render_missing(voice, words)

    @function_tool
    async def transfer_call(self, ctx: RunContext[CallState], destination: str) -> str:
        """Pass the caller on to a person.

        Args:
            destination: One of the names in your instructions, for example "support".
        """
        name = " ".join(destination.split()).lower()
        wanted = {key.lower(): value for key, value in self._line.settings.transfers.items()}
        if name not in wanted:
            logger.warning("transfer refused", extra={"why": "not a known destination"})
            return _error("I cannot transfer you there.")
        try:
            number = self._policy.check(wanted[name].to)
        except DialRefused as e:
            logger.warning("transfer refused", extra={"why": str(e)})
            return _error("I cannot transfer you there.")
        await self._announce(f"One moment, I am connecting you to {name}.")
        if wanted[name].warm:
            consultation = Consultation(
                line=self._line, session=self.session, number=number, name=name, said=_last(ctx)
            )  # fmt: skip
            outcome = await consultation.hold()
        else:
            outcome = await cold(self._line, number)
        logger.info("transfer", extra={"outcome": outcome.value, "warm": wanted[name].warm})
        self._guard.begin_again()
        if outcome is Outcome.ANSWERED:
            raise StopResponse  # they have each other now
        return _error(f"I am sorry, {name} {SPOKEN[outcome]}. I am still here for you.")

    @function_tool
    async def press_keys(self, ctx: RunContext[CallState], keys: str) -> str:
        """Press keys of the telephone, for a menu that you are talking to.

        Args:
            keys: Digits, * and #, for example "2" or "1234#".
        """
        if not keys or len(keys) > MAX_KEYS or any(key not in "0123456789*#" for key in keys):
            return _error("Only digits, star and pound can be pressed.")
        await self._line.press(keys)
        return json.dumps({"summary": "Done."})

    @function_tool
    async def hold_the_line(self, ctx: RunContext[CallState]) -> str:
        """The caller needs a moment: stay quiet until they speak again."""
        if self._line.limits:
            self._line.limits.be_patient(self._line.settings.hold_s)
        return json.dumps({"summary": "Take your time, I am holding the line."})

    @function_tool
    async def verify_caller(self, ctx: RunContext[CallState], email: str) -> str:
        """Find out whether the caller is who they say, with their PIN on the keys.

        Args:
            email: The caller's e-mail address.
        """
        address, settings = parse_email(email), self._line.settings
        if address is None:
            return _error("I need your e-mail address first. What is it?")
        if self._attempts >= settings.pin_attempts:
            return _error("That was tried too often. I cannot check it in this call any more.")
        self._attempts += 1
        keys = asyncio.create_task(
            self._line.keypad.collect(MAX_PIN, key_s=settings.keys_s + PLAYOUT_S)
        )
        await self._announce("Please enter your PIN on the keys, and then press the pound key.")
        pressed = await keys
        self._guard.begin_again()
        right = settings.pins.get(address)
        # The same for an unknown address as for a wrong PIN: nobody learns who is a customer.
        if not pressed or not hmac.compare_digest(
            pressed.encode(), (right.get_secret_value() if right else "\0").encode()
        ):
            return _error("That did not match. Shall we try again?")
        ctx.userdata.customer_email = address
        return json.dumps({"summary": "Thank you, that is right. What can I do for you?"})

    async def _announce(self, words: str) -> None:
        speech = self.session.say(words, allow_interruptions=False, add_to_chat_ctx=False)
        try:
            async with asyncio.timeout(PLAYOUT_S):
                await speech.wait_for_playout()
        except TimeoutError:
            logger.warning("an announcement was not heard out")


def _error(words: str) -> str:
    return json.dumps({"error": words})


def _last(ctx: RunContext[CallState]) -> str:
    """The caller's last words."""
    messages = (
        item
        for item in reversed(ctx.session.history.items)
        if isinstance(item, llm.ChatMessage) and item.role == "user"
    )
    return next((item.text_content or "" for item in messages), "")
