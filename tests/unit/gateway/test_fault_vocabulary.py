from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError, ProtocolError
from gateway.faults.frames import bad_message
from gateway.faults.plan import FaultPlan, load_script
from gateway.faults.vocabulary import KINDS, Do, Point, decode_fault, decode_script
from gateway.stats import Stats
from gateway.wire.strict_json import JsonObject

DOCS = Path(__file__).parents[3] / "docs" / "faults-vocabulary.md"


def test_defaults() -> None:
    fault = decode_fault({"stage": "tts", "do": "stall"})
    assert (fault.connections, fault.at, fault.probability) == (None, None, 1.0)
    assert fault.number("ms") == 1_000


def test_all_fields() -> None:
    line: JsonObject = {
        "stage": "stt",
        "do": "close",
        "connection": [1, 3],
        "key": 2,
        "at": {"word": 4},
        "probability": 0.5,
        "code": 4000,
    }
    fault = decode_fault(line)
    assert fault.connections == frozenset({1, 3})
    assert fault.key == 2
    assert fault.at is not None
    assert (fault.at.point, fault.at.count) == (Point.WORD, 4)
    assert fault.number("code") == 4000
    assert decode_fault(json.loads(json.dumps(fault.as_object()))) == fault


@pytest.mark.parametrize(
    "wrong",
    [
        "reset",
        {},
        {"stage": "stt"},
        {"stage": "ears", "do": "reset"},
        {"stage": ["stt"], "do": "reset"},
        {"stage": "stt", "do": "explode"},
        {"stage": "stt", "do": 7},
        {"stage": "stt", "do": ["reset"]},
        {"stage": "stt", "do": "odd_bytes"},
        {"stage": "stt", "do": "reset", "at": {"byte": 1, "ms": 2}},
        {"stage": "stt", "do": "reset", "at": {"hour": 1}},
        {"stage": "stt", "do": "reset", "at": {"byte": 0}},
        {"stage": "stt", "do": "reset", "at": {"byte": 1.5}},
        {"stage": "stt", "do": "reset", "at": 5},
        {"stage": "stt", "do": "reset", "connection": 0},
        {"stage": "stt", "do": "reset", "connection": True},
        {"stage": "stt", "do": "reset", "connection": ["1"]},
        {"stage": "stt", "do": "reset", "key": 0},
        {"stage": "stt", "do": "reset", "key": "sk-1"},
        {"stage": "stt", "do": "reset", "probability": 1.5},
        {"stage": "stt", "do": "reset", "probability": True},
        {"stage": "stt", "do": "reset", "code": 1000},
        {"stage": "stt", "do": "close", "code": 999},
        {"stage": "stt", "do": "close", "code": "1000"},
        {"stage": "stt", "do": "refuse", "at": {"ms": 1}},
        {"stage": "llm", "do": "half_tool_call", "at": {"message": 1}},
        {"stage": "stt", "do": "late_final", "at": {"byte": 1}},
        {"stage": "llm", "do": "redirect"},
        {"stage": "llm", "do": "redirect", "location": "http://a\r\nX: y"},
        {"stage": "llm", "do": "non_finite", "value": "7"},
        {"stage": "llm", "do": "http_status", "retry_after": 7},
    ],
)
def test_wrong_faults(wrong: Any) -> None:
    with pytest.raises(ProtocolError):
        decode_fault(wrong)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists))
def test_any_value_is_taken_or_refused_and_nothing_else(value: Any) -> None:
    for line in (
        value,
        {"stage": "stt", "do": value},
        {"stage": "stt", "do": "reset", "at": value},
    ):
        with suppress(ProtocolError):
            decode_fault(line)


def test_scripts() -> None:
    script = decode_script({"seed": 3, "faults": [{"stage": "stt", "do": "reset"}]})
    assert (script.seed, len(script.faults)) == (3, 1)
    wrongs: list[JsonObject] = [
        {},
        {"faults": {}},
        {"faults": [], "seed": -1},
        {"faults": [], "x": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(ProtocolError):
            decode_script(wrong)
    with pytest.raises(ProtocolError, match="fault 2: 'stage'"):
        decode_script({"faults": [{"stage": "stt", "do": "reset"}, {}]})
    with pytest.raises(ProtocolError, match="at most 1000"):
        decode_script({"faults": [{"stage": "stt", "do": "reset"}] * 1_001})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "faults: []"),
        ("a.yaml", "{"),
        ("a.yaml", "faults: [.nan]"),
        ("a.yaml", "faults: [!!python/object/apply:os.getcwd []]"),
        ("a.yml", "- 1"),
        ("a.yml", "faults: [2020-01-01]"),
    ],
)
def test_wrong_script_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=name):
        load_script(tmp_path / name)
    with pytest.raises(ConfigError):
        load_script(tmp_path / "missing.json")


def test_a_plan_without_a_seed_picks_one_and_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    plan = FaultPlan(Stats())
    with caplog.at_level("INFO"):
        plan.set([{"stage": "stt", "do": "reset"}])
    assert str(plan.seed) in caplog.text


def test_a_connection_of_an_old_script_is_not_counted_in_the_new_one() -> None:
    plan = FaultPlan(Stats())
    plan.set([{"stage": "stt", "do": "reset"}])
    old = plan.choose("stt")[0]
    plan.set([{"stage": "stt", "do": "stall"}])
    old.note_fired()
    assert plan.fired("stall") == 0


def test_messages_exist_for_every_stage() -> None:
    for do in Do:
        for stage in KINDS[do].stages:
            line: JsonObject = {"stage": stage, "do": do.value}
            if do is Do.REDIRECT:
                line["location"] = "http://a"
            fault = decode_fault(line)
            if do in (Do.GARBAGE, Do.OVERSIZE, Do.ERROR_MESSAGE):
                assert bad_message(fault)
            elif do in (Do.RESET, Do.REFUSE):
                with pytest.raises(ValueError, match=do.value):
                    bad_message(fault)


def test_the_documentation_has_every_word_and_its_examples_work() -> None:
    text = DOCS.read_text()
    examples = [
        decode_fault(json.loads(block)) for block in re.findall(r"```json\n(\{.*?\})\n```", text)
    ]
    assert {example.do for example in examples} == set(Do)
    for do, kind in KINDS.items():
        section = text.split(f"### `{do}`")[1].split("### ")[0]
        for name in kind.parameters:
            assert f"`{name}`" in section or f'"{name}"' in section, (do, name)
    for point in Point:
        assert f"`{point}`" in text
