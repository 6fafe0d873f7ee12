"""A telephone without a person: calls and is called over SIP, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from secrets import token_hex
from types import TracebackType
from typing import Self

from caller.sip import sdp
from caller.sip.call import SDP_TYPE, Call, CallRefused
from caller.sip.dialog import (
    Contact,
    ack_of_failure,
    as_called,
    as_caller,
    cancel_of,
    common_headers,
    has_tag,
    response_to,
)
from caller.sip.digest import Credentials, DigestError, accepts, answer, challenge
from caller.sip.endpoint import Address, Endpoint, Transaction
from caller.sip.media import Media
from caller.sip.message import Request, Response, parse_address, parse_uri
from caller.sip.network import PERFECT, Line
from caller.sip.sdp import Codec, SdpError

RING_S = 30.0
"""How long it lets the other side ring."""
CANCEL_S = 5.0
"""How long a call that was given up may take to say so."""

_CHALLENGES = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}


class Phone:
    """One telephone: `async with Phone(...) as phone`.

    Args:
        user: Its number, or whatever it says its number is.
        credentials: With which it answers a request for a password.
        wants: Credentials that callers must show; None to take any call.
        codecs: What it offers, preferred first.
        line: What the line does to the packets of its calls.
        host: The address that it listens on.
        port: 0 for any free one.
    """

    def __init__(
        self,
        *,
        user: str = "caller",
        credentials: Credentials | None = None,
        wants: Credentials | None = None,
        codecs: tuple[Codec, ...] = ("PCMU",),
        line: Line = PERFECT,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.user = user
        self.calls: list[Call] = []
        """Calls that were answered, over or not."""
        self._credentials, self._wants = credentials, wants
        self._codecs, self._line = codecs, line
        self._host, self._port = host, port
        self._ringing: asyncio.Queue[Ringing] = asyncio.Queue()
        self._waiting: dict[str, Ringing] = {}
        self._challenges: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self.endpoint = await Endpoint.open(self._host, self._port, self._on_request)
        host, port = self.endpoint.address
        self.contact = Contact(user=self.user, host=host, port=port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for call in list(self.calls):
            await call.aclose()
        self.endpoint.close()

    @property
    def uri(self) -> str:
        """How others call it."""
        return self.contact.uri

    async def dial(self, uri: str, *, ring_s: float = RING_S) -> Call:
        """Call somebody and return once they have answered.

        Args:
            uri: As in `sip:100@127.0.0.1:5060`.
            ring_s: Seconds after which the call is given up (with CANCEL).

        Raises:
            CallRefused: It was not answered: `status` says why, 408 that nobody did.
            SipSyntaxError: That is not an address.
        """
        address = parse_uri(uri).address
        media = await Media.open(self._host, codecs=self._codecs, line=self._line)
        try:
            async with asyncio.timeout(ring_s):
                invite, response = await self._invite(uri, address, media)
            theirs = sdp.parse(response.body)
        except TimeoutError:
            await media.aclose()
            raise CallRefused(408, "nobody answered") from None
        except SdpError as e:
            await media.aclose()
            raise CallRefused(488, str(e)) from None
        except BaseException:
            await media.aclose()
            raise
        dialog = as_caller(invite, response, self.contact)
        call = self._add(Call(endpoint=self.endpoint, dialog=dialog, media=media, address=address,
                              dial=self.dial))  # fmt: skip
        self.endpoint.send(dialog.request("ACK").encode(), dialog.next_hop(address))
        media.start(theirs)
        return call

    async def ringing(self, *, timeout_s: float = RING_S) -> Ringing:
        """The next call that comes in.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(timeout_s):
            return await self._ringing.get()

    def _add(self, call: Call) -> Call:
        self.calls.append(call)
        return call

    async def _invite(self, uri: str, address: Address, media: Media) -> tuple[Request, Response]:
        call_id, tag = f"{token_hex(12)}@{self._host}", token_hex(6)
        authorization: tuple[tuple[str, str], ...] = ()
        for cseq in (1, 2):
            invite = Request(
                method="INVITE",
                uri=uri,
                headers=(
                    self.contact.via(),
                    *common_headers(call_id, cseq, "INVITE"),
                    ("from", f"<{self.contact.uri}>;tag={tag}"),
                    ("to", f"<{uri}>"),
                    ("contact", f"<{self.contact.uri}>"),
                    *authorization,
                    SDP_TYPE,
                ),
                body=sdp.encode(media.description(), session=1),
            )
            response = await self._outcome(invite, address)
            if response.status < 300:
                return invite, response
            if cseq == 1 and response.status in _CHALLENGES and self._credentials:
                authorization = self._authorize(response, uri)
                continue
            raise CallRefused(response.status, response.reason)
        raise AssertionError("the second attempt has no outcome")

    def _authorize(self, response: Response, uri: str) -> tuple[tuple[str, str], ...]:
        asked, given = _CHALLENGES[response.status]
        assert self._credentials is not None
        try:
            value = answer(response.get(asked), self._credentials, method="INVITE", uri=uri)
        except DigestError as e:
            raise CallRefused(response.status, str(e)) from None
        return ((given, value),)

    async def _outcome(self, invite: Request, address: Address) -> Response:
        transaction = self.endpoint.ask(invite, address)
        try:
            response = await transaction.final()
        except BaseException:  # given up, by time or by whoever called us
            await asyncio.shield(self._cancel(transaction))
            raise
        finally:
            transaction.close()
        if response.status >= 300:
            self.endpoint.send(ack_of_failure(invite, response).encode(), address)
        return response

    async def _cancel(self, transaction: Transaction) -> None:
        invite, address = transaction.request, transaction.address
        cancel = self.endpoint.ask(cancel_of(invite), address)
        try:
            with contextlib.suppress(TimeoutError):
                response = await transaction.final(timeout_s=CANCEL_S)
                if response.status >= 300:
                    self.endpoint.send(ack_of_failure(invite, response).encode(), address)
                else:
                    await self._hang_up_at_once(invite, response, address)
        finally:
            cancel.close()

    async def _hang_up_at_once(self, invite: Request, response: Response, to: Address) -> None:
        """The answer and the CANCEL crossed."""
        dialog = as_caller(invite, response, self.contact)
        self.endpoint.send(dialog.request("ACK").encode(), to)
        bye = self.endpoint.ask(dialog.request("BYE"), to)
        try:
            await bye.final(timeout_s=CANCEL_S)
        finally:
            bye.close()

    def _on_request(self, request: Request, address: Address) -> None:
        call = next((c for c in self.calls if c.dialog.call_id == request.call_id), None)
        waiting = self._waiting.get(request.call_id)
        if call and not call.ended.is_set():
            call.take(request, address)
        elif request.method == "ACK":
            return
        elif request.method == "CANCEL" and waiting:
            self._respond(request, 200, "OK", address)
            waiting.cancel()
        elif request.method == "INVITE" and not has_tag(request):
            self._on_invite(request, address)
        elif request.method in ("OPTIONS", "BYE"):
            self._respond(request, 200, "OK", address)
        else:
            self._respond(request, 481, "Call/Transaction Does Not Exist", address)

    def _on_invite(self, invite: Request, address: Address) -> None:
        if self._wants and not self._shows_credentials(invite, self._wants):
            asked = self._challenges[invite.call_id] = challenge("phone")
            self._respond(invite, 407, "Proxy Authentication Required", address,
                          (("proxy-authenticate", asked),))  # fmt: skip
            return
        self._respond(invite, 180, "Ringing", address, tag=token_hex(6))
        ringing = Ringing(phone=self, invite=invite, address=address)
        self._waiting[invite.call_id] = ringing
        self._ringing.put_nowait(ringing)

    def _shows_credentials(self, invite: Request, wanted: Credentials) -> bool:
        asked = self._challenges.get(invite.call_id)
        given = invite.get("proxy-authorization")
        return bool(asked and given) and accepts(asked or "", given, wanted, method="INVITE")

    def _respond(
        self, request: Request, status: int, reason: str, address: Address,
        headers: tuple[tuple[str, str], ...] = (), tag: str = "",
    ) -> None:  # fmt: skip
        response = response_to(request, status, reason, tag=tag or token_hex(6), headers=headers)
        self.endpoint.respond(request, response, address)

    async def _answer(self, ringing: Ringing) -> Call:
        self._waiting.pop(ringing.invite.call_id, None)
        invite, tag = ringing.invite, token_hex(6)
        media = await Media.open(self._host, codecs=self._codecs, line=self._line)
        dialog = as_called(invite, tag, self.contact)
        call = self._add(Call(endpoint=self.endpoint, dialog=dialog, media=media,
                              address=ringing.address, dial=self.dial))  # fmt: skip
        media.start(sdp.parse(invite.body))
        response = call.answer(invite, tag)
        self.endpoint.respond(invite, response, ringing.address)
        call.repeat_until_acknowledged(response.encode())
        return call

    def _reject(self, ringing: Ringing, status: int, reason: str) -> None:
        self._waiting.pop(ringing.invite.call_id, None)
        self._respond(ringing.invite, status, reason, ringing.address)


class Ringing:
    """A call that comes in and was not answered yet.

    Args:
        phone: The phone that rings.
        invite: The INVITE.
        address: Where it came from.
    """

    def __init__(self, *, phone: Phone, invite: Request, address: Address) -> None:
        self.invite = invite
        self.address = address
        self.cancelled = asyncio.Event()
        self._phone = phone

    @property
    def caller(self) -> str:
        """The number that the call says it comes from."""
        return parse_uri(parse_address(self.invite.get("from"))[0]).user

    async def answer(self) -> Call:
        """Pick up.

        Raises:
            SdpError: The call offers nothing that this phone understands.
        """
        return await self._phone._answer(self)

    def reject(self, status: int = 486, reason: str = "Busy Here") -> None:
        """Refuse the call."""
        self._phone._reject(self, status, reason)

    def cancel(self) -> None:
        """The caller has given up."""
        if not self.cancelled.is_set():
            self.cancelled.set()
            self.reject(487, "Request Terminated")
