"""Keys, silence and duration, with time that is given and a session that notes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.agents import UserStateChangedEvent

from agent.config import load_settings
from agent.phone.keypad import Keypad
from agent.phone.limits import Limits
from agent.phone.line import tuned
from agent.phone.settings import PhoneSettings
from tests import virtual_time

SETTINGS = PhoneSettings()


class Emitter:
    """Events of a room or a session."""

    def __init__(self) -> None:
        self.handlers: dict[str, list[Callable[[Any], None]]] = {}

    def on(self, name: str, handler: Callable[[Any], None]) -> None:
        self.handlers.setdefault(name, []).append(handler)

    def off(self, name: str, handler: Callable[[Any], None]) -> None:
        self.handlers[name].remove(handler)

    def emit(self, name: str, event: Any) -> None:
        for handler in list(self.handlers.get(name, [])):
            handler(event)


class Speech:
    async def wait_for_playout(self) -> None:
        """It is said at once."""


class Session(Emitter):
    """Notes what is said, and that it was shut down."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.over = asyncio.Event()

    def say(self, words: str, **_: Any) -> Speech:
        self.said.append(words)
        return Speech()

    async def interrupt(self, **_: Any) -> None:
        """Nothing is being said."""

    def shutdown(self, **_: Any) -> None:
        self.over.set()

    def user(self, state: Any) -> None:
        self.emit(
            "user_state_changed", UserStateChangedEvent(old_state="listening", new_state=state)
        )


def press(room: Emitter, keys: str, identity: str = "caller") -> None:
    for key in keys:
        event = SimpleNamespace(digit=key, participant=SimpleNamespace(identity=identity))
        room.emit("sip_dtmf_received", event)


def keypad(room: Any, chosen: list[str]) -> Keypad:
    pad = Keypad(room=room, identity="caller", on_key=chosen.append)
    pad.start()
    return pad


async def collected(pad: Keypad, room: Emitter, keys: str, *, most: int = 8) -> str:
    wanted = asyncio.create_task(pad.collect(most, key_s=5.0))
    await asyncio.sleep(0)
    press(room, keys)
    return await wanted


@pytest.mark.parametrize(
    ("keys", "most", "got"), [("4711#99", 8, "4711"), ("4711", 4, "4711"), ("47", 8, "47")]
)
def test_keys_are_collected_to_the_pound_key_the_count_or_the_pause(
    keys: str, most: int, got: str
) -> None:
    room, chosen = Emitter(), list[str]()
    pad = keypad(room, chosen)
    assert virtual_time.run(collected(pad, room, keys, most=most)) == got
    assert chosen == []


def test_other_keys_are_a_choice_and_others_keys_are_nothing() -> None:
    room, chosen = Emitter(), list[str]()
    pad = keypad(room, chosen)
    press(room, "1")
    press(room, "2", identity="somebody else")
    room.emit("sip_dtmf_received", SimpleNamespace(digit="3", participant=None))
    assert chosen == ["1"]
    pad.stop()
    press(room, "1")
    assert chosen == ["1"]


def test_a_flood_of_keys_is_cut_off() -> None:
    room = Emitter()
    pad = keypad(room, [])
    assert len(virtual_time.run(collected(pad, room, "1" * 500, most=1000))) <= 64


def watched(during: Callable[[Session, Limits], Awaitable[None]]) -> tuple[Session, float]:
    """What a session was told, and after how many seconds it was over."""

    async def main() -> tuple[Session, float]:
        started, session = asyncio.get_running_loop().time(), Session()
        limits = Limits(session=cast(Any, session), settings=SETTINGS)
        limits.start()
        await during(session, limits)
        await session.over.wait()
        took = asyncio.get_running_loop().time() - started
        await limits.aclose()
        return session, took

    return virtual_time.run(main())


def test_silence_is_asked_about_and_then_hung_up_on() -> None:
    async def silent(session: Session, _: Limits) -> None:
        session.user("away")

    session, took = watched(silent)
    assert session.said == [SETTINGS.still_there, SETTINGS.nobody_there]
    assert took == SETTINGS.silence_hang_up_s


def test_who_speaks_again_goes_on_to_the_longest_call() -> None:
    async def there(session: Session, _: Limits) -> None:
        session.user("away")
        await asyncio.sleep(SETTINGS.silence_hang_up_s / 2)
        session.user("speaking")

    session, took = watched(there)
    assert session.said == [SETTINGS.still_there, SETTINGS.time_is_up]
    assert took == SETTINGS.max_call_s


def test_who_asked_for_a_moment_gets_it() -> None:
    async def away(session: Session, limits: Limits) -> None:
        limits.be_patient(SETTINGS.hold_s)
        session.user("away")
        await asyncio.sleep(SETTINGS.hold_s - 1)
        assert session.said == []

    session, took = watched(away)
    assert session.said == [SETTINGS.still_there, SETTINGS.nobody_there]
    assert took == pytest.approx(SETTINGS.hold_s + SETTINGS.silence_hang_up_s)


def test_a_line_is_given_more_time_and_nobodys_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_PHONE_PINS", '{"peter@example.com": "4711"}')
    settings = load_settings()
    line: Any = SimpleNamespace(outbound=False)
    on_the_phone = tuned(settings, line)
    assert on_the_phone.turn.finished_s > settings.turn.finished_s
    assert on_the_phone.turn.aec_warmup_s == 0
    assert on_the_phone.customer_email == ""
    assert on_the_phone.greeting == settings.greeting
    line.outbound = True
    assert tuned(settings, line).greeting == ""
    assert "4711" not in repr(settings)
