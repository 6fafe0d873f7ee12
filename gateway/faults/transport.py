"""A TCP connection that can be made to misbehave, between asyncio and aiohttp's protocol."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

_HIGH_WATER_BYTES = 64 * 1024
"""Bytes held back after which the writer is asked to wait (asyncio's own default)."""
_LOW_WATER_BYTES = 16 * 1024


class FaultTransport(asyncio.Transport):
    """Passes everything on to the real transport, until told otherwise."""

    def __init__(self, real: asyncio.Transport, writer: asyncio.Protocol) -> None:
        super().__init__()
        self._real = real
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes, bool]] = deque()
        self._held_bytes = 0
        self._asked_to_wait = False
        self._last_due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False
        self._closing = False
        self._stalled_until_s = 0.0
        self.restore()

    def restore(self) -> None:
        """Write and hear as it comes; what is held back keeps its time."""
        self._delay: Callable[[], float] = lambda: 0.0
        self._piece_bytes: int | None = None
        self._piece_s = 0.0
        self._alone = False
        self.deaf_s = 0.0
        """How late what the peer sends is heard."""

    # -- what faults do to it ---------------------------------------------------------------------

    def reset(self) -> None:
        """End the connection with RST at once."""
        peer: socket.socket | None = self._real.get_extra_info("socket")
        if peer is not None:
            # Zero linger: the kernel answers with RST instead of FIN.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._frozen = False
        self.abort()

    def freeze(self) -> None:
        """Neither read nor write any more, but keep the connection open."""
        self._frozen = True
        self._drop_held()
        self._real.pause_reading()

    @property
    def frozen(self) -> bool:
        """Whether the connection is half open."""
        return self._frozen

    def thaw(self) -> None:
        """End a half-open connection for good: its peer learns at last."""
        if self._frozen:
            self._frozen = False
            self._real.abort()

    def stall(self, seconds: float) -> None:
        """Write nothing for a while, then all of it."""
        self._stalled_until_s = self._loop.time() + seconds

    def delay(self, seconds: float, *, jitter_s: float, chance: random.Random) -> None:
        """Let all that is written from now on arrive later, in order."""
        self._delay = lambda: max(0.0, seconds + chance.uniform(-jitter_s, jitter_s))

    def slice(self, size: int) -> None:
        """Write in pieces of this size from now on, each in its own turn of the event loop.

        Without the turns in between, the kernel would hand all pieces to the peer in one read.
        """
        self._piece_bytes, self._piece_s, self._alone = size, 0.0, True

    def drip(self, bytes_per_s: int) -> None:
        """Write byte by byte at this rate from now on."""
        self._piece_bytes, self._piece_s, self._alone = 1, 1 / bytes_per_s, False

    # -- asyncio.Transport ------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send, or hold back."""
        if self._frozen or self._closing:
            return
        for piece in self._pieces(bytes(data)):
            now_s = self._loop.time()
            due_s = max(now_s + self._delay(), self._stalled_until_s, self._last_due_s)
            if self._piece_s:
                due_s = max(due_s, self._last_due_s + self._piece_s)
            self._last_due_s = due_s
            if due_s <= now_s and not self._held and not self._alone:
                self._real.write(piece)
            else:
                self._hold(due_s, piece)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send, or hold back."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close after what is held back has been sent; a half-open connection stays as it is."""
        if self._frozen or self._closing:
            return
        if self._held:
            self._closing = True
        else:
            self._real.close()

    def abort(self) -> None:
        """Close at once."""
        if self._frozen:
            return
        self._drop_held()
        self._real.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing or self._real.is_closing()

    def pause_reading(self) -> None:
        """Stop reading."""
        self._real.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless half open."""
        if not self._frozen:
            self._real.resume_reading()

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self._real.is_reading()

    def can_write_eof(self) -> bool:
        """Whether half a close is possible."""
        return False

    def get_write_buffer_size(self) -> int:
        """Bytes that have not been sent."""
        return self._held_bytes + self._real.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the real transport's limits."""
        self._real.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the real transport."""
        return self._real.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change who is told of flow control (the protocol that reads is the shim's matter)."""
        self._writer = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who writes."""
        return self._writer

    # -- held back --------------------------------------------------------------------------------

    def _pieces(self, data: bytes) -> Iterable[bytes]:
        if self._piece_bytes is None:
            return (data,)
        size = self._piece_bytes
        return (data[start : start + size] for start in range(0, len(data), size))

    def _hold(self, due_s: float, piece: bytes) -> None:
        self._held.append((due_s, piece, self._alone))
        self._held_bytes += len(piece)
        if self._held_bytes > _HIGH_WATER_BYTES and not self._asked_to_wait:
            self._asked_to_wait = True
            self._writer.pause_writing()
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._send_due)

    def _send_due(self) -> None:
        self._timer = None
        while self._held and self._held[0][0] <= self._loop.time():
            _, piece, alone = self._held.popleft()
            self._held_bytes -= len(piece)
            self._real.write(piece)
            if alone:
                break
        if self._asked_to_wait and self._held_bytes <= _LOW_WATER_BYTES:
            self._asked_to_wait = False
            self._writer.resume_writing()
        if self._held:
            self._timer = self._loop.call_at(self._held[0][0], self._send_due)
        elif self._closing:
            self._real.close()

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class FaultProtocol(asyncio.Protocol):
    """Sits between a real transport and the protocol that serves it."""

    def __init__(self, served: asyncio.Protocol) -> None:
        self._served = served
        self._transport: FaultTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the fault transport in between."""
        self._transport = FaultTransport(cast("asyncio.Transport", transport), self._served)
        self._served.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what the peer sent, late if the connection is deaf."""
        assert self._transport is not None
        if self._transport.deaf_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self._transport.deaf_s, self._served.data_received, data)
        else:
            self._served.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._served.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self._served.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._served.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._served.resume_writing()
