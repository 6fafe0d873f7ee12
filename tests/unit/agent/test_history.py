from __future__ import annotations

from livekit.agents import llm

from agent.history import window


def conversation(turns: int) -> llm.ChatContext:
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="system", content="Be kind.")
    for number in range(turns):
        ctx.add_message(role="user", content=f"question {number}")
        ctx.add_message(role="assistant", content=f"answer {number}")
    return ctx


def texts(ctx: llm.ChatContext) -> list[str]:
    return [message.text_content or "" for message in ctx.messages()]


def test_a_short_conversation_is_sent_whole() -> None:
    ctx = conversation(2)
    assert window(ctx, max_items=10, summary="ignored") is ctx


def test_a_long_one_keeps_instructions_and_the_last_items() -> None:
    ctx = conversation(20)
    cut = texts(window(ctx, max_items=4, summary=""))
    assert cut == ["Be kind.", "question 18", "answer 18", "question 19", "answer 19"]
    assert len(ctx.items) == 41, "the session's own history must not change"


def test_the_summary_stands_between_instructions_and_window() -> None:
    cut = texts(window(conversation(20), max_items=4, summary="They spoke of lamps."))
    assert cut[0] == "Be kind."
    assert cut[1] == "Summary of the conversation so far: They spoke of lamps."
    assert cut[2] == "question 18"


def test_a_window_never_opens_with_half_a_tool_call() -> None:
    ctx = conversation(20)
    ctx.items.insert(-2, llm.FunctionCallOutput(call_id="1", output="{}", is_error=False, name="t"))
    cut = window(ctx, max_items=3, summary="")
    assert [item.type for item in cut.items] == ["message", "message", "message"]
