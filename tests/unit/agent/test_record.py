"""The turn record's form: pages, metrics and benchmarks read it."""

from __future__ import annotations

import json

from agent.observe.record import Part, TurnRecord


def test_a_record_is_plain_json_with_its_parts_in_order() -> None:
    record = TurnRecord(
        turn=3,
        total_ms=230.06,
        parts=(Part(name="uplink", ms=90.0), Part(name="stt", ms=140.06)),
        opener="hit",
        characters_saved=5,
        llm_requests=2,
        tools=("lookup_order",),
        routes={"llm": ("local:a", "local:b")},
    )
    assert json.loads(json.dumps(record.as_dict())) == {
        "turn": 3,
        "total_ms": 230.1,
        "parts": [{"name": "uplink", "ms": 90.0}, {"name": "stt", "ms": 140.1}],
        "opener": "hit",
        "characters_saved": 5,
        "llm_requests": 2,
        "hedged_requests": 0,
        "hedged_tokens": 0,
        "interrupted": False,
        "tools": ["lookup_order"],
        "routes": {"llm": ["local:a", "local:b"]},
    }


def test_a_part_is_found_by_name() -> None:
    record = TurnRecord(turn=1, total_ms=5.0, parts=(Part(name="tts", ms=5.0),))
    assert record.part_ms("tts") == 5.0
    assert record.part_ms("llm") == 0.0
