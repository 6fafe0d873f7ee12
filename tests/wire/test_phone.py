"""Two test phones call each other over real sockets."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from caller.activity import Samples
from caller.sip.call import Call, CallRefused
from caller.sip.digest import Credentials
from caller.sip.message import Request
from caller.sip.network import Line
from caller.sip.phone import Phone, Ringing
from caller.sip.sdp import CODECS, Codec
from tests.descriptors import no_leaked_sockets

WAIT_S = 10.0
TONE: Samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)).astype(np.int16)
"""Half a second."""


class Recorder:
    """Keeps what a phone hears."""

    def __init__(self, call: Call) -> None:
        self.samples: list[Samples] = []
        call.media.on_heard = self._take

    def _take(self, samples: Samples, _: float) -> None:
        self.samples.append(samples)

    async def loudest_hz(self) -> float:
        """The pitch of what came, once half a second of sound did."""
        async with asyncio.timeout(WAIT_S):
            while sum(abs(s.astype(int)).max() > 1000 for s in self.samples) < 20:
                await asyncio.sleep(0.02)
        heard = np.concatenate(self.samples)
        spectrum = abs(np.fft.rfft(heard))
        return float(np.fft.rfftfreq(len(heard), 1 / 8000)[spectrum.argmax()])


async def connected(one: Phone, other: Phone) -> tuple[Call, Call]:
    dialing = asyncio.create_task(one.dial(other.uri))
    ringing = await other.ringing(timeout_s=WAIT_S)
    answered = await ringing.answer()
    return await dialing, answered


@pytest.mark.parametrize(("codec", "keys"), [("PCMU", "1"), ("PCMA", "0123456789*#")])
async def test_sound_and_keys_go_both_ways_and_either_side_hangs_up(
    codec: Codec, keys: str
) -> None:
    async with no_leaked_sockets():  # noqa: SIM117 - the phones must be gone before it looks
        async with Phone(codecs=(codec,)) as one, Phone(user="200") as other:
            if codec == "PCMA":
                other._codecs = CODECS
            mine, theirs = await connected(one, other)
            assert mine.media.codec == theirs.media.codec == codec
            heard_here, heard_there = Recorder(mine), Recorder(theirs)
            begun, end, late = await mine.media.play(TONE)
            assert end - begun == pytest.approx(0.5 + late, abs=0.05)
            await theirs.media.play(TONE)
            assert await heard_there.loudest_hz() == pytest.approx(440, abs=5)
            assert await heard_here.loudest_hz() == pytest.approx(440, abs=5)
            await mine.media.press(keys)
            assert await theirs.media.wait_for_keys(len(keys), timeout_s=WAIT_S) == keys
            await theirs.hang_up()
            await asyncio.wait_for(mine.ended.wait(), WAIT_S)
            assert mine.ended_reason == "the other side hung up"


async def test_keys_and_sound_come_through_a_bad_line() -> None:
    line = Line(loss=0.1, jitter_ms=40)
    async with Phone(line=line) as one, Phone(user="200") as other:
        mine, theirs = await connected(one, other)
        heard = Recorder(theirs)
        await mine.media.press("123")
        assert await theirs.media.wait_for_keys(3, timeout_s=WAIT_S) == "123"
        await mine.media.play(TONE)
        assert await heard.loudest_hz() == pytest.approx(440, abs=5)
        assert theirs.media.lost > 0


@pytest.mark.parametrize(("status", "reason"), [(486, "Busy Here"), (403, "Forbidden")])
async def test_a_refused_call_tells_why(status: int, reason: str) -> None:
    async with Phone() as one, Phone(user="200") as other:
        dialing = asyncio.create_task(one.dial(other.uri))
        (await other.ringing(timeout_s=WAIT_S)).reject(status, reason)
        with pytest.raises(CallRefused) as refused:
            await dialing
    assert (refused.value.status, refused.value.reason) == (status, reason)


async def test_nobody_answers_and_the_ringing_is_cancelled() -> None:
    async with Phone() as one, Phone(user="200") as other:
        dialing = asyncio.create_task(one.dial(other.uri, ring_s=0.3))
        ringing = await other.ringing(timeout_s=WAIT_S)
        with pytest.raises(CallRefused, match="nobody answered"):
            await dialing
        await asyncio.wait_for(ringing.cancelled.wait(), WAIT_S)


async def test_a_password_is_asked_for_and_checked() -> None:
    right = Credentials(user="one", password="s3cret")
    async with Phone(user="200", wants=right) as other:
        async with Phone(user="one", credentials=right) as one:
            mine, _ = await connected(one, other)
            await mine.hang_up()
        wrong = Credentials(user="one", password="guess")
        async with Phone(user="one", credentials=wrong) as stranger:
            with pytest.raises(CallRefused) as refused:
                await stranger.dial(other.uri)
            assert refused.value.status == 407
        async with Phone() as nobody:
            with pytest.raises(CallRefused):
                await nobody.dial(other.uri)
        assert len(other.calls) == 1, "only the right password was answered"


async def test_hold_is_offered_and_taken_back() -> None:
    async with Phone() as one, Phone(user="200") as other:
        mine, theirs = await connected(one, other)
        await mine.hold()
        await mine.hold(on=False)
        heard = Recorder(theirs)
        await mine.media.play(TONE)
        assert await heard.loudest_hz() == pytest.approx(440, abs=5)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_refer_is_followed_and_its_outcome_told(answers: bool) -> None:
    async with Phone() as one, Phone(user="200") as other, Phone(user="300") as third:
        mine, theirs = await connected(one, other)
        told: list[bytes] = []
        take = theirs.take

        def listen_in(request: Request, address: tuple[str, int]) -> None:
            if request.method == "NOTIFY":
                told.append(request.body)
            take(request, address)

        theirs.take = listen_in  # type: ignore[method-assign]  # and goes on as before
        refer = theirs.dialog.request("REFER", headers=(("refer-to", f"<{third.uri}>"),))
        asked = other.endpoint.ask(refer, one.endpoint.address)
        assert (await asked.final(timeout_s=WAIT_S)).status == 202
        asked.close()
        ringing: Ringing = await third.ringing(timeout_s=WAIT_S)
        if answers:
            await ringing.answer()
            await asyncio.wait_for(mine.transferred, WAIT_S)
        else:
            ringing.reject()
        async with asyncio.timeout(WAIT_S):
            while len(told) < 2:
                await asyncio.sleep(0.01)
    assert mine.referred_to == third.contact.uri
    expected = b"SIP/2.0 200 OK\r\n" if answers else b"SIP/2.0 486 Busy Here\r\n"
    assert told == [b"SIP/2.0 100 Trying\r\n", expected]


async def test_a_lost_answer_is_sent_again() -> None:
    async with Phone() as one, Phone(user="200") as other:
        send = other.endpoint.send
        dropped: list[bytes] = []

        def lossy(data: bytes, address: tuple[str, int]) -> None:
            if data.startswith(b"SIP/2.0 200") and not dropped:
                dropped.append(data)
            else:
                send(data, address)

        other.endpoint.send = lossy  # type: ignore[method-assign]  # a hole in the line
        mine, _ = await connected(one, other)
        assert dropped
        await mine.hang_up()
