"""SIP, SDP and digest: what is written is read back, and garbage is refused in the named way."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caller.sip import digest, sdp
from caller.sip.digest import Credentials, DigestError
from caller.sip.message import (
    MAX_HEADERS,
    Request,
    Response,
    SipSyntaxError,
    parse,
    parse_address,
    parse_uri,
    split_commas,
)
from caller.sip.sdp import Description, SdpError

INVITE = b"""INVITE sip:100@192.0.2.7;transport=udp SIP/2.0\r
v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc;rport, SIP/2.0/TCP 192.0.2.2;branch=z9\r
f: "Peter, at home" <sip:4711@192.0.2.1>;tag=88\r
To: <sip:100@192.0.2.7>\r
i: xyz@192.0.2.1\r
CSeq: 7 INVITE\r
Subject: a long\r
  one\r
l: 4\r
\r
v=0\nand more than was announced"""

names = st.from_regex(r"[a-z][a-z0-9\-]{0,12}", fullmatch=True).filter(
    lambda name: name != "content-length"
)
values = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40
).map(str.strip)  # fmt: skip
headers = st.lists(st.tuples(names, values), max_size=8).map(tuple)


def long_form(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """One-letter names are short for longer ones."""
    return tuple((name, value) for name, value in pairs if len(name) > 1)


def test_a_request_is_read_with_short_names_folding_and_several_vias() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:100@192.0.2.7;transport=udp")
    assert request.branch == "z9hG4bKabc"
    assert len(request.all("via")) == 2
    assert request.call_id == "xyz@192.0.2.1"
    assert request.cseq == (7, "INVITE")
    assert request.get("subject") == "a long one"
    assert request.body == b"v=0\n"
    assert parse_address(request.get("from")) == ("sip:4711@192.0.2.1", {"tag": "88"})


@given(pairs=headers, body=st.binary(max_size=200), status=st.integers(100, 699))
def test_what_is_written_is_read_back(
    pairs: tuple[tuple[str, str], ...], body: bytes, status: int
) -> None:
    response = Response(status=status, reason="Some Reason", headers=long_form(pairs), body=body)
    request = Request(method="INFO", uri="sip:a@b", headers=long_form(pairs), body=body)
    for message in (response, request):
        again = parse(message.encode())
        assert isinstance(again, type(message))
        kept = tuple(pair for pair in again.headers if pair[0] != "content-length")
        assert (kept, again.body) == (message.headers, body)


@given(st.binary(max_size=600))
def test_garbage_is_refused_as_documented(data: bytes) -> None:
    with contextlib.suppress(SipSyntaxError):
        parse(data)


@given(st.data())
def test_a_damaged_invite_is_read_or_refused_as_documented(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(INVITE) - 1))
    cut = data.draw(st.integers(0, 4))
    damaged = INVITE[:at] + data.draw(st.binary(max_size=4)) + INVITE[at + cut :]
    with contextlib.suppress(SipSyntaxError):
        message = parse(damaged)
        _ = message.cseq, message.branch, message.all("via")
        parse_uri(parse_address(message.get("from"))[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"INVITE sip:a SIP/2.0\r\nno colon\r\n\r\n",
        b"INVITE sip:a SIP/2.0\r\nContent-Length: 10\r\n\r\nshort",
        b"INVITE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"INVITE sip:a SIP/2.0\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"SIP/2.0 999 No\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
)
def test_what_is_not_sip_is_refused(data: bytes) -> None:
    with pytest.raises(SipSyntaxError):
        parse(data)


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:100@192.0.2.1", "100", "192.0.2.1", 0),
        ("SIP:+15551234@example.com:5080;user=phone", "+15551234", "example.com", 5080),
        ("sips:[2001:db8::1]:5061", "", "2001:db8::1", 5061),
        ("tel:+1555", "+1555", "", 0),
    ],
)
def test_addresses(text: str, user: str, host: str, port: int) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert uri.address == (host, port or 5060)


@pytest.mark.parametrize("text", ["", "mailto:a@b", "sip:", "sip:a@b:99999", "sip:a@b c"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_uri(text)


def test_commas_split_only_outside_of_quotes_and_brackets() -> None:
    assert split_commas('"a, b" <sip:x,y@z>, <sip:c@d>') == ['"a, b" <sip:x,y@z>', "<sip:c@d>"]


def test_the_digest_of_rfc_2617() -> None:
    asked = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    mine = Credentials(user="Mufasa", password="Circle Of Life")
    value = digest.answer(asked, mine, method="GET", uri="/dir/index.html")
    assert digest.accepts(asked, value, mine, method="GET")
    given = digest.fields_of(value)
    assert given["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"
    fixed = {
        "username": "Mufasa", "realm": "testrealm@host.com", "uri": "/dir/index.html",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "qop": "auth", "nc": "00000001",
        "cnonce": "0a4f113b", "response": "6629fae49393a05397450978507c4ef1",
    }  # fmt: skip
    example = "Digest " + ", ".join(f'{key}="{value}"' for key, value in fixed.items())
    assert digest.accepts(asked, example, mine, method="GET")


@pytest.mark.parametrize("password", ["", "wrong", "Secret"])
def test_a_wrong_password_is_not_accepted(password: str) -> None:
    asked = digest.challenge("phone")
    right = Credentials(user="me", password="secret")
    value = digest.answer(asked, Credentials(user="me", password=password), method="INVITE", uri="")
    assert not digest.accepts(asked, value, right, method="INVITE")
    old = digest.answer(digest.challenge("phone"), right, method="INVITE", uri="")
    assert not digest.accepts(asked, old, right, method="INVITE"), "an old nonce"
    assert "secret" not in repr(right)


@pytest.mark.parametrize("value", ["Basic abc", 'Digest algorithm=SHA-256, nonce="a"', "Digest x"])
def test_a_challenge_that_is_not_understood_is_said_so(value: str) -> None:
    with pytest.raises(DigestError):
        digest.answer(value, Credentials(user="", password=""), method="INVITE", uri="sip:a")


@given(
    st.builds(
        Description,
        host=st.ip_addresses(v=4).map(str),
        port=st.integers(0, 65535),
        codecs=st.permutations(sdp.CODECS).map(tuple),
        dtmf_type=st.none() | st.integers(96, 127),
        direction=st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    )
)
def test_a_description_is_read_back(mine: Description) -> None:
    assert sdp.parse(sdp.encode(mine, session=3)) == mine


@given(st.binary(max_size=400) | st.text().map(lambda t: f"m=audio {t}".encode()))
def test_garbage_is_no_description(body: bytes) -> None:
    with contextlib.suppress(SdpError):
        sdp.parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"v=0\r\nc=IN IP4 1.2.3.4\r\nm=video 9 RTP/AVP 96\r\n",
        b"c=IN IP4 1.2.3.4\r\nm=audio 9 RTP/AVP 9 18\r\n",
        b"m=audio 9 RTP/AVP 0\r\n",
        b"c=IN IP4 1.2.3.4\r\nm=audio 99999 RTP/AVP 0\r\n",
    ],
)
def test_a_description_without_a_telephone_call_is_refused(body: bytes) -> None:
    with pytest.raises(SdpError):
        sdp.parse(body)
