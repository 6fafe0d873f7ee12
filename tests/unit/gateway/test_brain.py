from __future__ import annotations

import json
import re

import pytest

from gateway.engines.brain import replies
from gateway.engines.brain.policy import Action, CallTool, Say, decide
from gateway.wire.openai_chat import ChatMessage, ChatRequest, ToolCall

TOOLS = frozenset({"lookup_order", "check_calendar", "book_flight", "order_the_usual"})
SYSTEM = ChatMessage(role="system", text="You are Parley, a voice assistant. Be brief.")


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", text=text)


def agent(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", text=text)


def called(name: str, result: str, **arguments: str) -> list[ChatMessage]:
    call = ToolCall(call_id="c1", name=name, arguments=json.dumps(arguments))
    return [
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", tool_call_id="c1", text=result),
    ]


def ask(*messages: ChatMessage, tools: frozenset[str] = TOOLS) -> Action:
    request = ChatRequest(
        model="local/brain",
        messages=messages,
        tools=tools,
        stream=True,
        include_usage=False,
        max_tokens=None,
        body={},
    )
    return decide(request)


def say(*messages: ChatMessage, tools: frozenset[str] = TOOLS) -> str:
    action = ask(*messages, tools=tools)
    assert isinstance(action, Say), action
    return action.text


def test_order_with_email_at_once() -> None:
    assert ask(user("Where is my order? My email is anna at example dot com.")) == CallTool(
        "lookup_order", {"email": "anna@example.com"}
    )


def test_order_asks_for_the_email_and_takes_the_answer() -> None:
    assert say(SYSTEM, user("Where is my order?")) == replies.ASK_EMAIL
    talk = [SYSTEM, user("Where is my order?"), agent(replies.ASK_EMAIL)]
    assert ask(*talk, user("Anna at example.com")) == CallTool(
        "lookup_order", {"email": "anna@example.com"}
    )


def test_email_that_cannot_be_told_is_asked_for_again() -> None:
    talk = [user("Where is my order?"), agent(replies.ASK_EMAIL)]
    assert say(*talk, user("My email is annaexample.com")) == replies.ASK_EMAIL_AGAIN


def test_email_is_remembered() -> None:
    talk = [
        user("My email is anna at example dot com."),
        *called("lookup_order", '{"summary": "It is on its way."}', email="anna@example.com"),
        agent("It is on its way."),
    ]
    assert ask(*talk, user("And my other order?")) == CallTool(
        "lookup_order", {"email": "anna@example.com"}
    )


def test_email_is_remembered_from_a_summary() -> None:
    note = ChatMessage(role="system", text="Summary so far: The user is anna@example.com.")
    assert ask(SYSTEM, note, user("Where is my order?")) == CallTool(
        "lookup_order", {"email": "anna@example.com"}
    )


def test_a_new_email_replaces_the_old_one() -> None:
    talk = called("lookup_order", '{"error": "There is no such order."}', email="an@example.com")
    assert ask(*talk, agent("There is no such order."), user("It's anna at example dot com")) == (
        CallTool("lookup_order", {"email": "anna@example.com"})
    )


@pytest.mark.parametrize(
    ("result", "spoken"),
    [
        (
            '{"summary": "Your desk lamp has shipped.", "number": 4812}',
            "Your desk lamp has shipped.",
        ),
        ('{"error": "There is no such order."}', "There is no such order."),
        ("Something went wrong.", "Something went wrong."),
        ('{"number": 4812}', replies.DONE),
        ("", replies.DONE),
        ("[1, 2]", replies.DONE),
    ],
)
def test_tool_results_are_spoken(result: str, spoken: str) -> None:
    assert say(user("Where is my order?"), *called("lookup_order", result)) == spoken


def test_calendar() -> None:
    assert ask(user("What is on my calendar tomorrow?")) == CallTool(
        "check_calendar", {"day": "tomorrow"}
    )
    assert ask(user("What is on my calendar?")) == CallTool("check_calendar", {"day": "today"})


def test_another_day_after_the_calendar_was_told() -> None:
    talk = [
        user("What is on my calendar tomorrow?"),
        *called("check_calendar", '{"summary": "Nothing."}', day="tomorrow"),
        agent("Nothing."),
    ]
    assert ask(*talk, user("And on Friday?")) == CallTool("check_calendar", {"day": "Friday"})


def test_a_failed_booking_can_be_mended() -> None:
    talk = [
        user("Book me a flight to Lisbon on March 5."),
        *called("book_flight", '{"error": "Which day?"}', destination="Lisbon", day="March 5"),
        agent("Which day?"),
    ]
    assert ask(*talk, user("On Friday.")) == CallTool(
        "book_flight", {"destination": "Lisbon", "day": "Friday"}
    )


def test_a_request_that_was_interrupted_is_not_carried_out_later() -> None:
    talk = [user("Order the usual."), agent("Sure, I")]
    assert say(*talk, user("I like turtles.")) == replies.FALLBACK
    assert say(user("Order the usual."), user("No, never mind.")) == replies.CANCELLED
    assert say(user("Order the usual. No wait, cancel that.")) == replies.CANCELLED


def test_a_request_in_two_utterances_is_carried_out() -> None:
    assert ask(user("Order the usual."), user("Please.")) == CallTool("order_the_usual")
    assert ask(user("Book me a flight to Lisbon."), user("On Friday.")) == CallTool(
        "book_flight", {"destination": "Lisbon", "day": "Friday"}
    )


def test_flight_asks_for_what_is_missing() -> None:
    assert ask(user("Book me a flight to Lisbon on Friday.")) == CallTool(
        "book_flight", {"destination": "Lisbon", "day": "Friday"}
    )
    talk = [user("Book me a flight."), agent(replies.ASK_DESTINATION)]
    assert say(talk[0]) == replies.ASK_DESTINATION
    day = replies.ASK_DAY.format(destination="Lisbon")
    assert say(*talk, user("Lisbon.")) == day
    assert ask(*talk, user("Lisbon"), agent(day), user("On Friday.")) == CallTool(
        "book_flight", {"destination": "Lisbon", "day": "Friday"}
    )


def test_flight_asks_again_in_other_words() -> None:
    day = replies.ASK_DAY.format(destination="Lisbon")
    talk = [user("Book a flight to Lisbon."), agent(day)]
    assert say(*talk, user("I like turtles.")) == replies.ASK_DAY_AGAIN


def test_an_open_question_survives_an_aside() -> None:
    talk = [user("Book a flight to Lisbon."), agent("On which day?")]
    assert say(*talk, user("Tell me a joke.")) == replies.JOKE
    talk += [user("Tell me a joke."), agent(replies.JOKE)]
    assert ask(*talk, user("Friday.")) == CallTool(
        "book_flight", {"destination": "Lisbon", "day": "Friday"}
    )


@pytest.mark.parametrize("answer", ["No.", "Never mind.", "Cancel that."])
def test_an_open_question_can_be_dropped(answer: str) -> None:
    talk = [user("Book a flight to Lisbon."), agent("On which day?")]
    assert say(*talk, user(answer)) == replies.CANCELLED
    talk += [user(answer), agent(replies.CANCELLED)]
    assert say(*talk, user("I like turtles.")) == replies.FALLBACK


def test_a_finished_booking_is_not_repeated() -> None:
    talk = [
        user("Book me a flight to Lisbon on Friday."),
        *called("book_flight", '{"summary": "Booked."}', destination="Lisbon", day="Friday"),
        agent("Booked."),
    ]
    for text, reply in (
        ("Thank you.", replies.THANKS),
        ("Yes.", replies.YES),
        ("No.", replies.NO),
        ("On Friday.", replies.FALLBACK),
    ):
        assert say(*talk, user(text)) == reply


def test_usual() -> None:
    assert ask(user("Order the usual, please.")) == CallTool("order_the_usual")


@pytest.mark.parametrize(
    "text", ["Where is my order?", "Order the usual.", "Book a flight.", "What's on my calendar?"]
)
def test_tools_that_are_not_offered_are_not_called(text: str) -> None:
    assert say(user(text), tools=frozenset()) == replies.NO_TOOL


def test_repeat() -> None:
    assert say(user("Say that again.")) == replies.NOTHING_TO_REPEAT
    assert say(user("Hi"), agent("The lamp is blue."), user("Pardon?")) == "The lamp is blue."


def test_small_talk() -> None:
    assert say(SYSTEM, user("Hello")) == "Hello, this is Parley. How can I help you today?"
    assert say(user("Hello")) == "Hello. How can I help you today?"
    assert say(agent("Hi."), user("Hello")) == replies.GREETING_AGAIN
    assert say(SYSTEM, user("What's your name?")) == "I am Parley, your voice assistant."
    assert say(user("Who are you?")) == replies.NAME_UNKNOWN
    assert say(user("Goodbye.")) == replies.GOODBYE


def test_opening_greets() -> None:
    assert say(SYSTEM) == "Hello, this is Parley. How can I help you today?"


@pytest.mark.parametrize(
    ("instruction", "reply"),
    [
        (
            "Greet the user and offer your assistance.",
            "Hello, this is Parley. How can I help you today?",
        ),
        ("Say goodbye to the caller.", replies.GOODBYE),
        ("Apologise for the delay.", replies.APOLOGY),
        ('Tell the user: "Your table is ready."', "Your table is ready."),
        ("Say: One moment, please.", "One moment, please."),
        ("Tell the caller what you can do.", replies.ABOUT),
    ],
)
def test_instructions_for_one_reply(instruction: str, reply: str) -> None:
    told = ChatMessage(role="system", text=instruction)
    assert say(SYSTEM, told) == reply
    assert say(SYSTEM, user("hm"), agent("Yes?"), told) == reply


def test_instruction_to_go_on_answers_the_user() -> None:
    told = ChatMessage(role="developer", text="Reply to the caller.")
    assert say(SYSTEM, user("Tell me a joke."), told) == replies.JOKE


def _sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?:\s|$)", text))


def test_long_answers_can_be_interrupted_and_others_are_short() -> None:
    assert _sentences(say(user("Tell me a long story."))) >= 6
    assert _sentences(say(user("What can you do?"))) >= 5
    for name, text in vars(replies).items():
        if name.isupper() and name not in ("STORY", "ABOUT"):
            assert _sentences(text) <= 3, name


def test_nothing_spoken_has_markup() -> None:
    for name, text in vars(replies).items():
        if name.isupper():
            assert not re.search(r"[*_#`|<>\[\]]", text), name


def test_summary() -> None:
    told = ChatMessage(role="system", text="Summarise this conversation in three sentences.")
    talk = user(
        "Summary so far: The user's email address is anna@example.com.\n"
        "user: Book me a flight to Lisbon on Friday.\n"
        "assistant: Booked. It leaves at nine.\n"
        "user: Where is my order?\n"
        "assistant: Your desk lamp has shipped. It arrives on Monday."
    )
    summary = say(told, talk, tools=frozenset())
    assert "anna@example.com" in summary
    assert "a flight to Lisbon (Friday)" in summary
    assert "Your desk lamp has shipped" in summary
    assert _sentences(summary) <= 3


def test_summary_of_a_plain_conversation() -> None:
    told = ChatMessage(role="system", text="Summarize the conversation.")
    summary = say(told, user("Order the usual."), agent("Done."), tools=frozenset())
    assert summary == "The user asked about the usual order. The assistant said last: Done."
    assert say(told, user("hm"), tools=frozenset()) == "Nothing of note has been said yet."


def test_same_conversation_same_answer() -> None:
    talk = (SYSTEM, user("Where is my order?"))
    assert ask(*talk) == ask(*talk)
