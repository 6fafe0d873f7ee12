"""Addresses and the key."""

from __future__ import annotations

import pytest
from livekit.agents.types import NOT_GIVEN
from livekit.plugins.gatewaykit.url import Account, resolve_base_url, resolve_keys, ws_url

ACCOUNT = Account(
    name="Some gateway",
    default_base_url="https://some.gateway/v1",
    base_url_variable="SOME_BASE_URL",
    api_key_variable="SOME_API_KEY",
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://h/v1/", "https://h/v1"),
        ("wss://h:8443/v1", "https://h:8443/v1"),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
        ("http://[::1]:8787/v1", "http://[::1]:8787/v1"),
        ("https://user:secret@h/v1?x=1#y", "https://h/v1"),
        ("", ACCOUNT.default_base_url),
    ],
)
def test_base_urls(given: str, expected: str) -> None:
    assert resolve_base_url(given, ACCOUNT) == expected


@pytest.mark.parametrize("given", ["ftp://h/secret", "h/secret", "http://", "http://h:secret/v1"])
def test_what_is_no_address_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(ValueError, match="base_url") as failure:
        resolve_base_url(given, ACCOUNT)
    assert "secret" not in str(failure.value)


def test_the_default_address_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_base_url(NOT_GIVEN, ACCOUNT) == ACCOUNT.default_base_url
    monkeypatch.setenv("SOME_BASE_URL", "http://gate/v3")
    assert resolve_base_url(NOT_GIVEN, ACCOUNT) == "http://gate/v3"


@pytest.mark.parametrize("given", [NOT_GIVEN, "", "  ", " , "])
def test_a_missing_key(given: str) -> None:
    with pytest.raises(ValueError, match="SOME_API_KEY"):
        resolve_keys(given, ACCOUNT)


def test_one_key_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", " a , b,,a ")
    ring = resolve_keys(NOT_GIVEN, ACCOUNT)
    assert len(ring) == 2
    assert resolve_keys(ring, ACCOUNT) is ring
    assert len(resolve_keys("c", ACCOUNT)) == 1


def test_queries_are_escaped_and_may_repeat() -> None:
    url = ws_url("https://h/v1", "/x", [("model", "a/b"), ("keyterm", "A B"), ("keyterm", "&c")])
    assert url == "wss://h/v1/x?model=a%2Fb&keyterm=A+B&keyterm=%26c"
