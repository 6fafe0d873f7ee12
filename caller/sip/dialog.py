"""What two phones remember of a call between them (RFC 3261, section 12), with no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex

from caller.sip.message import Message, Request, Response, parse_address, parse_uri, split_commas

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY, INFO"
AGENT = "parley-test-phone"


@dataclass(frozen=True, kw_only=True)
class Contact:
    """How this phone can be reached.

    Attributes:
        user: Its name or number.
        host: The address that it listens on.
        port: And the port.
    """

    user: str
    host: str
    port: int

    @property
    def uri(self) -> str:
        """As a SIP address."""
        return f"sip:{self.user}@{self.host}:{self.port}"

    def via(self) -> tuple[str, str]:
        """A `Via` header of a new transaction."""
        return "via", f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{token_hex(10)};rport"


@dataclass(kw_only=True)
class Dialog:
    """One side's view of a call.

    Attributes:
        me: How this side can be reached.
        call_id: The `Call-ID` of everything in it.
        local: Our `From` (their `To`), with the tag.
        remote: Theirs.
        target: The URI that requests go to.
        route: Proxies on the way, nearest first.
        cseq: Number of our newest request.
    """

    me: Contact
    call_id: str
    local: str
    remote: str
    target: str
    route: tuple[str, ...] = ()
    cseq: int = field(default=1)

    def request(
        self, method: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> Request:
        """The next request in this call; an ACK repeats the number of its INVITE."""
        if method != "ACK":
            self.cseq += 1
        return Request(
            method=method,
            uri=self.target,
            headers=(
                self.me.via(),
                *(("route", hop) for hop in self.route),
                *common_headers(self.call_id, self.cseq, method),
                ("from", self.local),
                ("to", self.remote),
                ("contact", f"<{self.me.uri}>"),
                *headers,
            ),
            body=body,
        )

    def next_hop(self, fallback: tuple[str, int]) -> tuple[str, int]:
        """Where requests are sent; `fallback` if the address has no host."""
        uri = parse_uri(parse_address(self.route[0])[0] if self.route else self.target)
        return uri.address if uri.host else fallback


def common_headers(call_id: str, cseq: int, method: str) -> tuple[tuple[str, str], ...]:
    """What every request carries."""
    return (
        ("max-forwards", "70"),
        ("call-id", call_id),
        ("cseq", f"{cseq} {method}"),
        ("user-agent", AGENT),
        ("allow", ALLOW),
    )


def as_caller(invite: Request, answer: Response, me: Contact) -> Dialog:
    """The dialog that our INVITE and its 2xx make."""
    contact = parse_address(answer.get("contact"))[0]
    return Dialog(
        me=me,
        call_id=invite.call_id,
        local=invite.get("from"),
        remote=answer.get("to"),
        target=contact or invite.uri,
        route=tuple(reversed(answer.all("record-route"))),
        cseq=invite.cseq[0],
    )


def as_called(invite: Request, tag: str, me: Contact) -> Dialog:
    """The dialog that their INVITE makes when we answer it."""
    contact = parse_address(split_commas(invite.get("contact"))[0])[0]
    return Dialog(
        me=me,
        call_id=invite.call_id,
        local=with_tag(invite.get("to"), tag),
        remote=invite.get("from"),
        target=contact or parse_address(invite.get("from"))[0],
        route=tuple(invite.all("record-route")),
        cseq=0,
    )


def response_to(
    request: Request, status: int, reason: str, *, tag: str = "",
    headers: tuple[tuple[str, str], ...] = (), body: bytes = b"",
) -> Response:  # fmt: skip
    """A response with the headers that have to be repeated."""
    to = request.get("to")
    repeated = [(name, value) for name, value in request.headers if name in ("via", "record-route")]
    return Response(
        status=status,
        reason=reason,
        headers=(
            *repeated,
            ("from", request.get("from")),
            ("to", with_tag(to, tag) if tag and status > 100 else to),
            ("call-id", request.call_id),
            ("cseq", request.get("cseq")),
            *headers,
        ),
        body=body,
    )


def ack_of_failure(invite: Request, response: Response) -> Request:
    """The ACK of an INVITE that was refused: part of its transaction, so with its `Via`."""
    return _beside(invite, "ACK", to=response.get("to"))


def cancel_of(invite: Request) -> Request:
    """The CANCEL of an INVITE that nobody has answered."""
    return _beside(invite, "CANCEL", to=invite.get("to"))


def with_tag(value: str, tag: str) -> str:
    """An address with our tag, unless it has one."""
    return value if "tag" in parse_address(value)[1] else f"{value};tag={tag}"


def has_tag(message: Message) -> bool:
    """Whether a request belongs to a call that exists already."""
    return "tag" in parse_address(message.get("to"))[1]


def _beside(invite: Request, method: str, *, to: str) -> Request:
    kept = [(name, value) for name, value in invite.headers if name in ("via", "route")]
    number = invite.cseq[0]
    return Request(
        method=method,
        uri=invite.uri,
        headers=(
            *kept,
            ("from", invite.get("from")),
            ("to", to),
            ("call-id", invite.call_id),
            ("cseq", f"{number} {method}"),
            ("max-forwards", "70"),
        ),
    )
