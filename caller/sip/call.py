"""One call on the test phone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from secrets import randbits

from caller.errors import CallerError
from caller.sip import sdp
from caller.sip.dialog import Dialog, response_to
from caller.sip.endpoint import T1_S, Address, Endpoint
from caller.sip.media import Media
from caller.sip.message import Request, Response, SipSyntaxError, parse_address
from caller.sip.sdp import Direction, SdpError

BYE_TIMEOUT_S = 3.0
"""How long the other side may take to say that it has understood a hang-up."""
SDP_TYPE = ("content-type", "application/sdp")

Dial = Callable[[str], Awaitable["Call"]]


class CallRefused(CallerError):
    """The call did not come about.

    Attributes:
        status: The SIP status; 0 if nobody said anything.
        reason: The text beside it.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"The call was refused: {status} {reason}.".replace("  ", " "))


class Call:
    """A call that was answered.

    Args:
        endpoint: The socket of the phone.
        dialog: What both sides remember.
        media: Its sound.
        address: Where the other side is.
        dial: How the phone calls somebody else when it is referred to them.
    """

    def __init__(
        self, *, endpoint: Endpoint, dialog: Dialog, media: Media, address: Address, dial: Dial
    ) -> None:
        self.dialog = dialog
        self.media = media
        self.ended = asyncio.Event()
        self.ended_reason = ""
        self.referred_to = ""
        """Where a REFER has sent this phone."""
        self.transferred: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        """The call that a REFER led to, once it is answered."""
        self.on_end: Callable[[Call], None] = lambda _: None
        self._endpoint = endpoint
        self._address = address
        self._dial = dial
        self._session, self._version = randbits(31), 1
        self._acknowledged = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, invite: Request, tag: str, *, version: int = 1) -> Response:
        """The 200 OK that answers an INVITE of this call."""
        body = sdp.encode(self.media.description(), session=self._session, version=version)
        headers = (("contact", f"<{self.dialog.me.uri}>"), SDP_TYPE)
        return response_to(invite, 200, "OK", tag=tag, headers=headers, body=body)

    def repeat_until_acknowledged(self, data: bytes) -> None:
        """Send a 200 OK again and again until the ACK comes, as UDP may lose either."""
        self._spawn(self._repeat(data), "phone 200")

    async def hold(self, *, on: bool = True) -> None:
        """Put the other side on hold, or take it back.

        Raises:
            CallRefused: It does not want to.
        """
        self._version += 1
        direction: Direction = "sendonly" if on else "sendrecv"
        mine = self.media.description()
        offer = sdp.Description(
            host=mine.host, port=mine.port, codecs=(self.media.codec,), direction=direction
        )
        body = sdp.encode(offer, session=self._session, version=self._version)
        invite = self.dialog.request("INVITE", headers=(SDP_TYPE,), body=body)
        response = await self._ask(invite)
        if response.status >= 300:
            raise CallRefused(response.status, response.reason)
        self._endpoint.send(self.dialog.request("ACK").encode(), self._hop())

    async def hang_up(self) -> None:
        """End the call."""
        if self.ended.is_set():
            return
        bye = self.dialog.request("BYE")
        self.end("the phone hung up")
        with contextlib.suppress(TimeoutError):
            await self._ask(bye, timeout_s=BYE_TIMEOUT_S)

    async def aclose(self) -> None:
        """Hang up and close the sound."""
        await self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.transferred.cancel()
        await self.media.aclose()

    def take(self, request: Request, address: Address) -> None:
        """A request within this call has come."""
        if request.method == "ACK":
            self._acknowledged.set()
        elif request.method == "BYE":
            self._respond(request, 200, "OK", address)
            self.end("the other side hung up")
        elif request.method == "REFER":
            self._refer(request, address)
        elif request.method == "INVITE":
            self._renegotiate(request, address)
        else:
            self._respond(request, 200, "OK", address)

    def end(self, reason: str) -> None:
        """The call is over."""
        if not self.ended.is_set():
            self.ended_reason = reason
            self.ended.set()
            self.on_end(self)

    def _renegotiate(self, invite: Request, address: Address) -> None:
        try:
            self.media.start(sdp.parse(invite.body))
        except SdpError:
            self._respond(invite, 488, "Not Acceptable Here", address)
            return
        self._version += 1
        self._endpoint.respond(invite, self.answer(invite, "", version=self._version), address)

    def _refer(self, request: Request, address: Address) -> None:
        self.referred_to = parse_address(request.get("refer-to"))[0]
        self._respond(request, 202, "Accepted", address)
        self._spawn(self._follow(request.cseq[0]), "phone transfer")

    async def _follow(self, number: int) -> None:
        """Call whom the REFER names, and tell the one who sent it what became of it."""
        await self._notify(number, "SIP/2.0 100 Trying", "active;expires=60")
        try:
            call = await self._dial(self.referred_to)
        except CallRefused as e:
            await self._notify(number, f"SIP/2.0 {e.status or 408} {e.reason}", "terminated")
            return
        except (SipSyntaxError, OSError):
            await self._notify(number, "SIP/2.0 400 Bad Refer-To", "terminated")
            return
        if not self.transferred.done():
            self.transferred.set_result(call)
        await self._notify(number, "SIP/2.0 200 OK", "terminated")

    async def _notify(self, number: int, fragment: str, state: str) -> None:
        headers = (
            ("event", f"refer;id={number}"),
            ("subscription-state", state),
            ("content-type", "message/sipfrag;version=2.0"),
        )
        notify = self.dialog.request("NOTIFY", headers=headers, body=f"{fragment}\r\n".encode())
        with contextlib.suppress(TimeoutError):
            await self._ask(notify, timeout_s=BYE_TIMEOUT_S)

    async def _repeat(self, data: bytes) -> None:
        interval_s = T1_S
        while not self._acknowledged.is_set() and not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._acknowledged.wait(), interval_s)
                return
            self._endpoint.send(data, self._address)
            interval_s = min(2 * interval_s, 4.0)

    async def _ask(self, request: Request, *, timeout_s: float = 5.0) -> Response:
        transaction = self._endpoint.ask(request, self._hop())
        try:
            return await transaction.final(timeout_s=timeout_s)
        finally:
            transaction.close()

    def _respond(self, request: Request, status: int, reason: str, address: Address) -> None:
        self._endpoint.respond(request, response_to(request, status, reason), address)

    def _hop(self) -> Address:
        return self.dialog.next_hop(self._address)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
