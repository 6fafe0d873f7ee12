"""What the benchmark makes of what it measured; above all, that it can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.config import TurnSettings
from bench import baseline, document, report
from bench.account import differences, records_of
from bench.call import stopped_by
from bench.cutoffs import cache
from bench.cutoffs.measure import FRAMEWORK, OURS, Point, worse_than_the_framework
from bench.delays import Shift, problems
from bench.lines import CALL, NOISES
from bench.profiles import PROFILES
from bench.results import Result, Run, Turn, percentile, ratio
from bench.run import FULL, QUICK
from caller.activity import Span
from caller.floor import Floor


def heard(name: str, *times: float, ours: bool = False, added_ms: float = 0.0) -> Result:
    turns = [Turn(kind="plain", heard_ms=ms, llm_requests=1) for ms in times]
    return Result(name=name, turns=turns, ours=ours, added_ms=added_ms)


def run_of(*results: Result) -> Run:
    floor = Floor(p50=120.0, least=110.0, most=130.0, count=20)
    return Run(profile=PROFILES["budget"], floor=floor, results=list(results))


PEERS = (heard("slow", 1200.0), heard("fast", 1000.0), heard("loop", 700.0, added_ms=120.0))


def test_the_ratio_is_to_the_fastest_peer_in_a_room() -> None:
    results = [heard("parley", 500.0, 600.0, 700.0, ours=True), *PEERS]
    assert ratio(results, "parley") == pytest.approx(0.6)
    assert ratio(results[:1], "parley") is None


@pytest.mark.parametrize(("p50", "fails"), [(600.0, False), (689.0, False), (691.0, True)])
def test_a_ratio_fifteen_percent_worse_than_the_committed_one_fails(
    p50: float, fails: bool, tmp_path: Path
) -> None:
    file = tmp_path / "baseline.json"
    baseline.save(report.ratios(run_of(heard("parley", 600.0, ours=True), *PEERS)), file)
    now = report.ratios(run_of(heard("parley", p50, ours=True), *PEERS))
    assert bool(baseline.regressions(now, baseline.load(file))) is fails


def test_without_a_committed_ratio_nothing_regresses(tmp_path: Path) -> None:
    assert baseline.regressions({"budget/parley": 2.0}, baseline.load(tmp_path / "none")) == []


def test_other_profiles_stay_in_the_baseline(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    baseline.save({"telco/parley": 0.5}, file)
    baseline.save({"budget/parley": 0.6}, file)
    assert baseline.load(file) == {"telco/parley": 0.5, "budget/parley": 0.6}


def test_percentiles_are_interpolated() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile([10.0, 20.0, 30.0, 40.0], 50) == 25.0


@pytest.mark.parametrize(
    ("spans", "stopped"),
    [
        ([(0.0, 0.8), (1.5, 6.0)], [False, False]),  # paused for 0.7 s, resumed
        ([(0.0, 0.8), (2.0, 6.0)], [True]),  # silent for 1.2 s
        ([(0.0, 3.4)], [False, True]),  # never came back
        ([(0.0, 5.2)], [False, False]),  # that was its own end
    ],
)
def test_a_noise_stops_a_reply_that_falls_silent_for_a_second(
    spans: list[tuple[float, float]], stopped: list[bool]
) -> None:
    sounds = [Span(*span) for span in spans]
    assert stopped_by(sounds, [0.7, 3.2], ends_s=5.5) == stopped


def test_the_workers_account_is_held_against_the_ear_turn_by_turn(tmp_path: Path) -> None:
    log = tmp_path / "parley.log"
    totals = (510.0, 640.0, 999.0, 500.0)
    lines = [{"room": "a", "parts": [], "total_ms": ms} for ms in totals]
    log.write_text("\n".join(["not JSON", *map(json.dumps, [*lines, lines[0] | {"room": "b"}])]))
    turns = [
        Turn(kind="plain", heard_ms=500.0),
        Turn(kind="barge", heard_ms=650.0),  # the reply to the interrupting line is not timed
        Turn(kind="pause"),
    ]
    assert differences(records_of(log, "a"), turns) == [10.0, -10.0]
    assert differences(records_of(log, "a"), turns[:2]) == []


def test_a_full_run_has_what_the_table_promises() -> None:
    kinds = [step.kind for step in FULL.steps] * FULL.calls
    assert sum(kind != "pause" for kind in kinds) >= 20
    assert kinds.count("noise") * len(NOISES) + kinds.count("barge") >= 10
    assert {step.kind for step in QUICK.steps} == {step.kind for step in CALL}


def test_a_section_is_replaced_and_others_are_kept(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    run = run_of(heard("parley", 600.0, ours=True), *PEERS)
    document.write_section(page, name="cutoffs", title="Cutoffs", body="A curve.")
    document.add_run(run, page)
    document.add_run(run, page)
    text = page.read_text()
    assert text.count("## Profile `budget`") == 1
    assert "A curve." in text
    assert "0.60 of the best peer" in text
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<svg")


def test_a_delay_that_shows_elsewhere_is_a_problem() -> None:
    quiet = {"uplink": 30.0, "stt": 1.0, "commit": 2.0, "llm": -3.0, "tts": 0.0, "output": 1.0}
    right = Shift(stage="llm", grown_ms=quiet | {"llm": 140.0})
    wrong = Shift(stage="tts", grown_ms=quiet | {"tts": 120.0, "output": 17.0})
    assert problems([right]) == []
    assert len(problems([right, wrong])) == 1
    assert "17 ms elsewhere" in problems([wrong])[0]


def test_kept_cutoffs_are_stale_when_a_setting_changes(tmp_path: Path) -> None:
    file, point = tmp_path / "cutoffs.json", Point(
        policy=OURS, setting="", is_default=True, wait_p50_s=0.4, wait_p95_s=1.0,
        reply_p50_s=0.6, cut_offs=1, pauses=100,
    )  # fmt: skip
    now, patient = cache.key(TurnSettings()), cache.key(TurnSettings(unsure_s=1.0))
    assert cache.load(file, now) is None
    cache.save(file, now, [point], "some cases")
    assert cache.load(file, now) == ([point], "some cases")
    assert cache.load(file, patient) is None


def test_the_cutoffs_fail_when_the_framework_cuts_off_less() -> None:
    def point(policy: str, cut_offs: int) -> Point:
        return Point(
            policy=policy, setting="", is_default=True, wait_p50_s=0.4, wait_p95_s=1.0,
            reply_p50_s=0.6, cut_offs=cut_offs, pauses=100,
        )  # fmt: skip

    assert worse_than_the_framework([point(FRAMEWORK, 36), point(OURS, 36)]) == ""
    assert "37 of 100" in worse_than_the_framework([point(FRAMEWORK, 36), point(OURS, 37)])
