from __future__ import annotations

from pathlib import Path

import pytest

from caller.expect import Phrase
from caller.script import ScriptError, load_script

GOOD = """
hang_up = "agent"
silence_ms = 900

[[turn]]
listen = true
expect = "hello"

[[turn]]
say = "Where is my order?"
expect = ["shipped", "on its way"]
expect_all = ["desk lamp", "/monday|tuesday/"]

[[turn]]
wav = "stop.wav"
barge_in_after_ms = 800

[[turn]]
wait_s = 2
"""


def load(tmp_path: Path, text: str) -> None:
    (tmp_path / "call.toml").write_text(text)
    load_script(tmp_path / "call.toml")


def test_a_script_is_read(tmp_path: Path) -> None:
    (tmp_path / "stop.wav").touch()
    (tmp_path / "call.toml").write_text(GOOD)
    script = load_script(tmp_path / "call.toml")
    greeting, order, stop, wait = script.turns
    assert (script.hang_up, script.silence_ms, script.reply_timeout_s) == ("agent", 900, 20)
    assert greeting.listen
    assert greeting.expect == (Phrase("hello"),)
    assert order.say == "Where is my order?"
    assert stop.wav == tmp_path / "stop.wav"
    assert stop.barge_in_after_ms == 800
    assert wait.wait_s == 2
    assert script.lines == ["Where is my order?", tmp_path / "stop.wav"]
    assert order.unmet("The desk lamp shipped and arrives Monday.") == ""
    assert order.unmet("The lamp shipped, it arrives Monday.") == "expected to hear 'desk lamp'"
    assert order.unmet("The desk lamp arrives Monday.") == (
        "expected to hear 'shipped' or 'on its way'"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("turn = ", "is not TOML"),
        ("", "has no turns"),
        ("turn = 3", "has no turns"),
        ("turn = [3]", r"turn 1: write it under a \[\[turn\]\] heading"),
        ('hang_up = "nobody"\n[[turn]]\nlisten = true', 'hang_up is "agent" or "caller"'),
        ("hangup = 1\n[[turn]]\nlisten = true", "'hangup' is not known"),
        ("[[turn]]\nlisten = true\n[[turn]]\n", "turn 2: give exactly one of"),
        ('[[turn]]\nsay = "a"\nwait_s = 1', "turn 1: give exactly one of .* not say and wait_s"),
        ("[[turn]]\nlisten = false", "turn 1: listen is true or left out"),
        ("[[turn]]\nsay = 3", "turn 1: say is a text"),
        ('[[turn]]\nsay = " "', "turn 1: say is a text"),
        ('[[turn]]\nsai = "a"', "turn 1: 'sai' is not known"),
        ("[[turn]]\nwait_s = -1", "turn 1: wait_s is a number above 0"),
        ("[[turn]]\nwait_s = true", "turn 1: wait_s is a number above 0"),
        ('[[turn]]\nwait_s = 1\nexpect = "a"', "turn 1: nothing is heard while waiting"),
        ('[[turn]]\nwav = "none.wav"', "turn 1: there is no sound file"),
        ('[[turn]]\nsay = "a"\nexpect = 3', "turn 1: expect is a text, or a list of texts"),
        ('[[turn]]\nsay = "a"\nexpect = "/(/"', "turn 1: expect: .* not a regular expression"),
        ('[[turn]]\nsay = "a"\nbarge_in_after_ms = 900', "turn 1: there is nothing to barge in on"),
        (
            "[[turn]]\nlisten = true\n[[turn]]\nlisten = true\nbarge_in_after_ms = 900",
            "turn 2: barge_in_after_ms needs something to say",
        ),
        (
            '[[turn]]\nlisten = true\n[[turn]]\nsay = "a"\nbarge_in_after_ms = 10',
            "turn 2: barge_in_after_ms is at least 50",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ScriptError, match=why) as caught:
        load(tmp_path, text)
    assert "call.toml" in str(caught.value)
    assert caught.value.__cause__ is None
    assert str(caught.value).count("\n") == 0


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"none\.toml cannot be read"):
        load_script(tmp_path / "none.toml")
