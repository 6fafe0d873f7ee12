from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.brain.email import find_email


@pytest.mark.parametrize(
    "heard",
    [
        "anna@example.com",
        "My email is Anna@example.com.",
        "My e-mail is anna at example dot com.",
        "It's Anna at example.com",
        "anna at example. com",
        "Anna, at example dot com, please",
        "anna @ example.com",
        "anna @ example . com",
        "A N N A at example dot com",
        "a-n-n-a at example.com",
        "it's anna at example com",
        "Where is my order? My email is Anna at example.com, thanks.",
        "my email address is anna at example dot com thank you",
        "Not bob at example dot com, but anna at example dot com",
    ],
)
def test_anna(heard: str) -> None:
    assert find_email(heard) == "anna@example.com"


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("john dot smith at mail dot example dot org", "john.smith@mail.example.org"),
        ("john underscore smith at example.co.uk", "john_smith@example.co.uk"),
        ("mary dash ann at my-shop.com", "mary-ann@my-shop.com"),
        ("mary-ann@example.com", "mary-ann@example.com"),
        ("anna plus lamp at example dot com", "anna+lamp@example.com"),
        ("bob at example dot co dot uk", "bob@example.co.uk"),
        ("bob 2 at example dot com", "2@example.com"),
        ("b o b one two at example dot com", "bob12@example.com"),
        ("an at example dot com", "an@example.com"),
        ("Hannah at example dot com", "hannah@example.com"),
    ],
)
def test_others(heard: str, expected: str) -> None:
    assert find_email(heard) == expected


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "I am at home",
        "look at example dot com",
        "meet me at noon. Please.",
        "My email is annaexample.com",
        "anna at example",
        "at example dot com",
        "my email is at example dot com",
        "what is on my calendar at five",
        "dot at dot com",
    ],
)
def test_no_address(heard: str) -> None:
    assert find_email(heard) is None


@given(st.text(max_size=100))
def test_never_fails(heard: str) -> None:
    email = find_email(heard)
    assert email is None or email.count("@") == 1
