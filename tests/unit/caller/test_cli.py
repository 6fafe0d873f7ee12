from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from caller import cli
from caller.conversation import CallResult, Progress, TurnResult
from caller.errors import AgentMissing

ENV = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a-secret-nobody-should-see"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(cli.call)

    def invoke(*args: str, env: dict[str, str] = ENV, outcome: object = None) -> Result:
        async def place(call: cli.Call, *, progress: Progress) -> CallResult:
            calls.append(call)
            if isinstance(outcome, BaseException):
                raise outcome
            assert isinstance(outcome, CallResult)
            for turn in outcome.turns:
                progress.turn_done(turn)
            progress.ended(outcome)
            return outcome

        monkeypatch.setattr(cli, "place", place)
        monkeypatch.delenv("LIVEKIT_API_KEY", raising=False)
        monkeypatch.delenv("LIVEKIT_API_SECRET", raising=False)
        return CliRunner().invoke(app, args, env=env)

    calls: list[cli.Call] = []
    invoke.calls = calls  # type: ignore[attr-defined]
    return invoke


def turn(*, ok: bool = True) -> TurnResult:
    return TurnResult(
        said="Hi.", heard="Hello.", reply_ms=612.4, barge_in_stop_ms=231.0, ok=ok,
        why="" if ok else "expected to hear 'lamp'",
    )  # fmt: skip


def test_a_good_call_prints_one_object_and_nothing_else(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", "--json", outcome=CallResult(ok=True, turns=[turn()]))
    assert done.exit_code == 0
    assert json.loads(done.stdout)["turns"][0]["reply_ms"] == 612.4
    assert done.stdout.count("\n") == 1
    assert "answered after 612 ms" in done.stderr
    assert "fell silent 231 ms after being interrupted" in done.stderr


def test_without_json_stdout_stays_empty(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", outcome=CallResult(ok=True, turns=[turn()]))
    assert done.stdout == ""


def test_a_failed_expectation_is_exit_1(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", "--json", outcome=CallResult(ok=False, turns=[turn(ok=False)]))
    assert done.exit_code == 1
    assert "not ok: expected to hear 'lamp'" in done.stderr


def test_a_call_that_cannot_be_held_is_one_sentence_and_exit_1(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", "--json", outcome=AgentMissing("No agent came."))
    assert done.exit_code == 1
    assert done.stderr == "No agent came.\n"
    assert json.loads(done.stdout)["why"] == "No agent came."


def test_ctrl_c_tells_where_the_recording_is(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", "--record", "a.wav", outcome=KeyboardInterrupt())
    assert done.exit_code == 130
    assert done.stderr == "Hung up. The recording is in a.wav.\n"


@pytest.mark.parametrize("args", [[], ["--say", "a", "--wav", "b.wav"], ["--nonsense"]])
def test_a_command_that_is_not_understood_is_exit_2(
    run: Callable[..., Result], args: list[str]
) -> None:
    assert run(*args).exit_code == 2


def test_a_script_that_is_not_understood_is_exit_2(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    script = tmp_path / "call.toml"
    script.write_text('[[turn]]\nsai = "Hi."')
    done = run("--script", str(script))
    assert done.exit_code == 2
    assert "call.toml, turn 1: 'sai' is not known" in done.stderr


def test_missing_keys_are_exit_2(run: Callable[..., Result]) -> None:
    done = run("--say", "Hi.", env={})
    assert done.exit_code == 2
    assert "LIVEKIT_API_KEY" in done.stderr


def test_lines_become_turns_after_the_greeting(run: Callable[..., Result]) -> None:
    run("--say", "a", "--say", "b", outcome=CallResult(ok=True))
    run("--wav", "a.wav", "--no-greeting", outcome=CallResult(ok=True))
    first, second = run.calls  # type: ignore[attr-defined]
    assert [t.listen or t.line for t in first.script.turns] == [True, "a", "b"]
    assert [t.line for t in second.script.turns] == [Path("a.wav")]
    assert first.room != second.room
    assert "a-secret" not in repr(first)
