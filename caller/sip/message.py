"""SIP messages (RFC 3261): bytes to message and back, with no I/O.

What is not understood raises `SipSyntaxError` and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_BYTES = 65_535
"""The largest datagram there is."""
MAX_HEADERS = 128
"""More header lines than this are refused."""
VERSION = "SIP/2.0"

_COMPACT = {
    "i": "call-id", "m": "contact", "e": "content-encoding", "l": "content-length",
    "c": "content-type", "f": "from", "s": "subject", "k": "supported", "t": "to", "v": "via",
    "r": "refer-to", "b": "referred-by", "o": "event", "u": "allow-events",
}  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?")
_REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+) (\S+) SIP/2\.0")
_NAME_ADDR = re.compile(r"""(?:"(?:[^"\\]|\\.)*"\s*|[^<"]*)<([^<>]*)>(.*)""", re.DOTALL)
_URI = re.compile(
    r"(?P<scheme>sips?|tel):(?:(?P<user>[^@;?]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:;?@\[\]\s]+)"
    r"(?::(?P<port>\d{1,5}))?(?P<rest>[;?].*)?",
    re.IGNORECASE,
)


class SipSyntaxError(ValueError):
    """The bytes are not a SIP message; the text says in which respect."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What requests and responses have in common.

    Attributes:
        headers: Names and values in order, names in lower case and in their long form.
        body: As it came.
    """

    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def get(self, name: str) -> str:
        """The first value of a header; empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header that may be repeated, or joined with commas."""
        return [part for key, value in self.headers if key == name for part in split_commas(value)]

    @property
    def call_id(self) -> str:
        """The `Call-ID`."""
        return self.get("call-id")

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of `CSeq`.

        Raises:
            SipSyntaxError: There is none.
        """
        number, _, method = self.get("cseq").partition(" ")
        if not number.isascii() or not number.isdigit() or len(number) > 10 or not method.strip():
            raise SipSyntaxError("no usable CSeq")
        return int(number), method.strip()

    @property
    def branch(self) -> str:
        """The `branch` of the topmost `Via`, which names the transaction."""
        vias = self.all("via")
        return params_of(vias[0].partition(";")[2]).get("branch", "") if vias else ""

    def _lines(self, start: str) -> bytes:
        lines = [start, *(f"{title(name)}: {value}" for name, value in self.headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""])
        return head.encode() + self.body


@dataclass(frozen=True, kw_only=True)
class Request(Message):
    """A request such as INVITE."""

    method: str
    uri: str

    def encode(self) -> bytes:
        """The bytes of the datagram."""
        return self._lines(f"{self.method} {self.uri} {VERSION}")


@dataclass(frozen=True, kw_only=True)
class Response(Message):
    """A response such as 200 OK."""

    status: int
    reason: str = ""

    @property
    def final(self) -> bool:
        """Whether it settles the request."""
        return self.status >= 200

    def encode(self) -> bytes:
        """The bytes of the datagram."""
        return self._lines(f"{VERSION} {self.status} {self.reason}")


@dataclass(frozen=True)
class Uri:
    """A `sip:`, `sips:` or `tel:` address.

    Attributes:
        scheme: In lower case.
        user: Before the @; for `tel:` the number.
        host: Empty for `tel:`.
        port: 0 if none is given.
    """

    scheme: str
    user: str
    host: str
    port: int = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where to send, with SIP's own port if none is given."""
        return self.host, self.port or 5060


def parse(data: bytes) -> Request | Response:
    """Read one datagram.

    Raises:
        SipSyntaxError: It is not a SIP message.
    """
    if len(data) > MAX_BYTES:
        raise SipSyntaxError("longer than a datagram")
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise SipSyntaxError("no end of the headers")
    try:
        lines = _unfolded(head.decode("utf-8"))
    except UnicodeDecodeError:
        raise SipSyntaxError("the headers are not UTF-8") from None
    headers = tuple(_header(line) for line in lines[1:])
    if len(headers) > MAX_HEADERS:
        raise SipSyntaxError(f"more than {MAX_HEADERS} headers")
    body = _cut(body, dict(reversed(headers)).get("content-length"))
    if status := _STATUS_LINE.fullmatch(lines[0]):
        return Response(
            headers=headers, body=body, status=int(status[1]), reason=status[2] or ""
        )  # fmt: skip
    if request := _REQUEST_LINE.fullmatch(lines[0]):
        return Request(headers=headers, body=body, method=request[1], uri=request[2])
    raise SipSyntaxError("neither a request nor a status line")


def parse_uri(text: str) -> Uri:
    """Read an address such as `sip:100@192.0.2.1:5060;transport=udp` or `tel:+15551234`.

    Raises:
        SipSyntaxError: It is none.
    """
    match = _URI.fullmatch(text.strip())
    if match is None:
        raise SipSyntaxError("not a SIP address")
    scheme, port = match["scheme"].lower(), int(match["port"] or 0)
    if port > 65_535:
        raise SipSyntaxError("no such port")
    if scheme == "tel":
        return Uri(scheme, match["host"], "")
    return Uri(scheme, match["user"] or "", match["host"].strip("[]"), port)


def parse_address(value: str) -> tuple[str, dict[str, str]]:
    """The URI and the header's own parameters of a `From`, `To`, `Contact` or `Refer-To`."""
    if named := _NAME_ADDR.fullmatch(value.strip()):
        return named[1].strip(), params_of(named[2].strip().lstrip(";"))
    uri, _, rest = value.strip().partition(";")
    return uri, params_of(rest)


def params_of(text: str) -> dict[str, str]:
    """`a=1;b` as names (lower case) and values."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def split_commas(value: str) -> list[str]:
    """The parts of a header value, leaving commas in quotes and in angle brackets alone."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, char in enumerate(value):
        if char == '"' and not (quoted and value[at - 1] == "\\"):
            quoted = not quoted
        elif not quoted and char in "<>":
            depth = max(0, depth + (1 if char == "<" else -1))
        elif char == "," and not quoted and depth == 0:
            parts.append(value[start:at].strip())
            start = at + 1
    return [*parts, value[start:].strip()]


def title(name: str) -> str:
    """A header's name as it is usually written."""
    special = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}
    return special.get(name) or "-".join(part.capitalize() for part in name.split("-"))


def _unfolded(head: str) -> list[str]:
    lines: list[str] = []
    for line in head.split("\r\n"):
        if line[:1] in (" ", "\t") and len(lines) > 1:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t").lower()
    if not colon or not _TOKEN.fullmatch(name):
        raise SipSyntaxError("a header without a name")
    if any(ord(char) < 32 and char != "\t" for char in value):
        raise SipSyntaxError("a control character in a header")
    return _COMPACT.get(name, name), value.strip()


def _cut(body: bytes, length: str | None) -> bytes:
    if length is None:
        return body
    if not length.isascii() or not length.isdigit() or len(length) > 5 or int(length) > len(body):
        raise SipSyntaxError("Content-Length is not the body's")
    return body[: int(length)]
