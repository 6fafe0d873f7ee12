"""A UDP socket that speaks SIP: sends again what is not answered, answers again what is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Self, cast

from caller.sip.message import Request, Response, SipSyntaxError, parse

logger = logging.getLogger("caller.sip")

T1_S = 0.5
"""First interval after which a request is sent again (RFC 3261)."""
T2_S = 4.0
"""Longest interval, for all but INVITE."""
GIVE_UP_S = 32.0
"""A request without any answer is given up: 64 times T1."""
REMEMBERED = 256
"""Responses kept for requests that come again."""

Address = tuple[str, int]
RequestHandler = Callable[[Request, Address], None]


class Transaction:
    """A request that was sent, and the responses to it."""

    def __init__(self, endpoint: Endpoint, request: Request, address: Address) -> None:
        self.request = request
        self.address = address
        self.responses: asyncio.Queue[Response] = asyncio.Queue()
        self._endpoint = endpoint
        self._data = request.encode()
        self._interval_s = T1_S
        self._timer: asyncio.TimerHandle | None = None

    def send(self) -> None:
        """Send it, now and again until something comes back."""
        self._endpoint.send(self._data, self.address)
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self.send)
        longest = GIVE_UP_S if self.request.method == "INVITE" else T2_S
        self._interval_s = min(2 * self._interval_s, longest)

    def take(self, response: Response) -> None:
        """A response has come."""
        if response.final or self.request.method == "INVITE":
            self._stop_sending()
        self.responses.put_nowait(response)

    async def final(self, *, timeout_s: float = GIVE_UP_S) -> Response:
        """The first final response.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(timeout_s):
            while not (response := await self.responses.get()).final:
                pass
        return response

    def close(self) -> None:
        """Forget about it."""
        self._stop_sending()
        self._endpoint.forget(self)

    def _stop_sending(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


class Endpoint(asyncio.DatagramProtocol):
    """One socket; `await Endpoint.open(...)`.

    Args:
        on_request: Told each new request; retransmissions are answered here.
    """

    def __init__(self, on_request: RequestHandler) -> None:
        self._on_request = on_request
        self._transport: asyncio.DatagramTransport | None = None
        self._transactions: dict[tuple[str, str], Transaction] = {}
        self._answered: OrderedDict[tuple[str, str], bytes | None] = OrderedDict()

    @classmethod
    async def open(cls, host: str, port: int, on_request: RequestHandler) -> Self:
        """Listen on `host` and `port` (0 for any free one)."""
        loop = asyncio.get_running_loop()
        _, endpoint = await loop.create_datagram_endpoint(
            lambda: cls(on_request), local_addr=(host, port)
        )
        return endpoint

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Take a datagram; what is not SIP is dropped."""
        with contextlib.suppress(SipSyntaxError):
            message = parse(data)
            if isinstance(message, Response):
                self._take_response(message)
            else:
                self._take_request(message, addr)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, if the socket is still open."""
        if self._transport and not self._transport.is_closing():
            self._transport.sendto(data, address)

    def ask(self, request: Request, address: Address) -> Transaction:
        """Send a request and keep sending it until there is an answer."""
        transaction = Transaction(self, request, address)
        self._transactions[_key(request)] = transaction
        transaction.send()
        return transaction

    def respond(self, request: Request, response: Response, address: Address) -> None:
        """Answer a request, and answer the same when it comes again."""
        data = response.encode()
        self._remember((request.branch, request.method), data)
        self.send(data, address)

    def forget(self, transaction: Transaction) -> None:
        """Responses to this one no longer matter."""
        self._transactions.pop(_key(transaction.request), None)

    def close(self) -> None:
        """Close the socket."""
        for transaction in list(self._transactions.values()):
            transaction.close()
        if self._transport:
            self._transport.close()

    def _take_response(self, response: Response) -> None:
        transaction = self._transactions.get((response.branch, response.cseq[1]))
        if transaction:
            transaction.take(response)

    def _take_request(self, request: Request, address: Address) -> None:
        _ = request.cseq  # a request without one is dropped
        key = (request.branch, request.method)
        if request.method != "ACK" and key in self._answered:
            if data := self._answered[key]:
                self.send(data, address)
            return
        if request.method != "ACK":
            self._remember(key, None)
        self._on_request(request, address)

    def _remember(self, key: tuple[str, str], data: bytes | None) -> None:
        self._answered[key] = data
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)


def _key(request: Request) -> tuple[str, str]:
    return request.branch, request.method
