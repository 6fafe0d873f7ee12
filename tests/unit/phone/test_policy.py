"""What may be called, what an error means, and how many calls there may be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api

from agent.phone.numbers import PREMIUM, DialPolicy, DialRefused, normalise, sip_or_tel
from agent.phone.outcome import SPOKEN, Outcome, outcome_of
from agent.phone.slots import Slots


@pytest.mark.parametrize(
    ("allow", "number", "called"),
    [
        ("+4930123456", "+49 (30) 123-456", "+4930123456"),
        ("+4930*", "0049 30 123456", "+4930123456"),
        ("+49 30 123456, 2*", "200", "200"),
        ("sip:200@pbx.example", "sip:200@pbx.example", "sip:200@pbx.example"),
        ("+1*", "tel:+15551234567", "+15551234567"),
    ],
)
def test_what_is_allowed_is_called_in_one_spelling(allow: str, number: str, called: str) -> None:
    assert DialPolicy(allow).check(number) == called


@pytest.mark.parametrize(
    ("allow", "number"),
    [
        ("", "+4930123456"),
        ("+4930123456", "+49301234567"),
        ("+4930*", "+4940123456"),
        ("*", "+4930123456"),
        ("+1*", "+1 900 555 0100"),
        ("+44*", "+44 909 8790 100"),
        ("+44*", "0044 871 000 0000"),
        ("1*, 9*, 112, 911", "112"),
        ("1*, 9*, 112, 911", "911"),
        ("2*", "sip:200@pbx.example"),
        ("sip:200@pbx.example", "sip:200@evil.example"),
        ("+1*", "+1555\r\nRefer-To: x"),
        ("+1*", "+1555１２３４５６７"),
        ("+1*", ""),
        ("+1*", "one two three"),
    ],
)
def test_anything_else_is_refused_without_showing_the_number(allow: str, number: str) -> None:
    with pytest.raises(DialRefused) as refused:
        DialPolicy(allow).check(number)
    assert not number or number not in str(refused.value)


@given(st.text(max_size=40))
def test_no_text_gets_past_an_empty_list(text: str) -> None:
    with pytest.raises(DialRefused):
        DialPolicy("").check(text)


@given(st.sampled_from(PREMIUM), st.from_regex(r"[0-9]{4,6}", fullmatch=True))
def test_premium_ranges_are_refused_whatever_is_allowed(prefix: str, rest: str) -> None:
    with pytest.raises(DialRefused):
        DialPolicy("+*").check(prefix + rest)


@given(st.text(max_size=60))
def test_what_is_normalised_stays_so(text: str) -> None:
    try:
        number = normalise(text)
    except DialRefused:
        return
    assert normalise(number) == number
    assert sip_or_tel(number).startswith(("sip", "tel:"))


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        ("486", None, Outcome.BUSY),
        ("600", None, Outcome.BUSY),
        ("403", None, Outcome.REJECTED),
        ("603", None, Outcome.REJECTED),
        ("480", None, Outcome.NO_ANSWER),
        ("408", None, Outcome.NO_ANSWER),
        ("503", None, Outcome.FAILED),
        (None, "STR_RINGING_TIMEOUT", Outcome.NO_ANSWER),
        (None, "STR_CALL_ENDED", Outcome.FAILED),
    ],
)
def test_a_sip_status_is_an_outcome(
    status: str | None, reason: str | None, outcome: Outcome
) -> None:
    known = {"sip_status_code": status, "sip_transfer_reason": reason}
    metadata = {key: value for key, value in known.items() if value}
    error = api.SipCallError("unknown", "x", status=500, metadata=metadata)
    assert outcome_of(error) is outcome


def test_other_errors_are_outcomes_too() -> None:
    assert outcome_of(TimeoutError()) is Outcome.NO_ANSWER
    late = api.ServerError("deadline_exceeded", "x", status=408)
    assert outcome_of(late) is Outcome.NO_ANSWER
    assert outcome_of(api.ServerError("internal", "x", status=500)) is Outcome.FAILED
    assert set(SPOKEN) == set(Outcome) - {Outcome.ANSWERED}


async def test_a_slot_is_free_again_when_released_or_when_its_process_dies(tmp_path: Path) -> None:
    slots = Slots(folder=tmp_path / "lines", count=2)
    first, second = slots.take(), slots.take()
    assert first
    assert second
    assert slots.take() is None
    first.release()
    first.release()
    third = slots.take()
    assert third
    third.release()
    holder = await asyncio.create_subprocess_exec(
        "python3", "-c",
        "import sys; from pathlib import Path; from agent.phone.slots import Slots;"
        f"s = Slots(folder=Path({str(tmp_path / 'lines')!r}), count=2).take(); print(bool(s));"
        "sys.stdout.flush(); sys.stdin.read()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout
    assert (await holder.stdout.readline()).strip() == b"True"
    assert slots.take() is None
    holder.kill()
    await holder.wait()
    assert slots.take()
    second.release()
