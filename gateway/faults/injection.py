"""The faults of one connection, applied as it goes along."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from gateway.config import TTS_SAMPLE_RATE_HZ
from gateway.faults.frames import bad_message
from gateway.faults.plan import Chosen, FaultPlan
from gateway.faults.transport import FaultTransport
from gateway.faults.vocabulary import KINDS, Do, Fault, Point, When
from gateway.speech.pcm import Resampler, SampleAligner, to_pcm, to_samples
from gateway.stages.outlet import AnswerEnded, BodyOutlet, Outgoing, Outlet
from gateway.stats import Call, Stage

_MESSAGES = frozenset(
    {
        Do.GARBAGE,
        Do.WRONG_TYPES,
        Do.WRONG_KIND,
        Do.NON_FINITE,
        Do.DEEP_NESTING,
        Do.OVERSIZE,
        Do.ZERO_LENGTH,
        Do.ERROR_MESSAGE,
        Do.BAD_BASE64,
    }
)
"""Faults that send a wrong message in front of the one they act at."""


class Injection:
    """The faults of one connection.

    Args:
        stage: what the connection serves.
        plan: says which faults it gets, now and when another script comes into force.
        transport: the connection.
        key: which key the client came with.
    """

    def __init__(
        self, stage: Stage, *, plan: FaultPlan, transport: FaultTransport, key: int
    ) -> None:
        self.stage = stage
        self.key = key
        self._pending = plan.choose(stage, key=key)
        self._plan = plan
        self._transport = transport
        self._outlet: FaultyOutlet | None = None
        self._call: Call | None = None
        self._failed = False
        if stage != "llm":  # a request is over soon: a later script is for those that come later
            plan.opened(self)

    def take(self, when: When) -> list[Chosen]:
        """Take out the faults of this moment that have no trigger."""
        taken = [
            item
            for item in self._pending
            if KINDS[item.fault.do].when is when and item.fault.at is None
        ]
        self._pending = [item for item in self._pending if item not in taken]
        return [item for item in taken if not item.spent()]

    def rearm(self, chosen: list[Chosen]) -> None:
        """Take the faults of another script, which came into force while the connection is open."""
        self._pending = list(chosen)
        if self._outlet is None:
            return  # not answered yet: the answer goes by the new script
        self._transport.restore()
        self.take(When.BEFORE_ANSWER)  # too late for these
        self._outlet.rearm([*self.take(When.FROM_CONNECT), *self.take(When.ONCE_OPEN)])

    def before_answer(self) -> Fault | None:
        """Apply what acts before the answer; return the fault to answer with instead, if any."""
        for item in self.take(When.FROM_CONNECT):
            self.shape(item)
        answers = self.take(When.BEFORE_ANSWER)
        if not answers:
            return None
        answers[0].note_fired()
        return answers[0].fault

    def shape(self, item: Chosen) -> None:
        """Apply a fault of the TCP connection."""
        fault = item.fault
        item.note_fired()
        match fault.do:
            case Do.RESET:
                self.fail()
                self._transport.reset()
            case Do.HALF_OPEN:
                self.fail()
                self._plan.note_frozen(self._transport)
                self._transport.freeze()
            case Do.STALL:
                self._transport.stall(fault.number("ms") / 1000)
            case Do.DELAY:
                self._transport.delay(
                    fault.number("ms") / 1000,
                    jitter_s=fault.number("jitter_ms") / 1000,
                    chance=item.chance,
                )
            case Do.DRIP:
                self._transport.drip(fault.number("bytes_per_s"))
            case Do.SLICE:
                self._transport.slice(fault.number("bytes"))
            case Do.AUDIO_AFTER_CANCEL:
                self._transport.deaf_s = fault.number("ms") / 1000
            case _:
                raise ValueError(f"{fault.do} does not shape a connection")

    def fail(self) -> None:
        """Say that a fault ends the connection, which is then not the client's doing."""
        self._failed = True
        if self._call is not None:
            self._call.fail()

    async def open(self, outlet: Outlet, call: Call) -> Outlet:
        """Return an outlet with the remaining faults in it; those due at once have acted."""
        self._call = call
        if self._failed:
            call.fail()
        at_once = self.take(When.ONCE_OPEN)
        self._outlet = FaultyOutlet(outlet, self)
        await self._outlet.start(at_once)
        return self._outlet

    @property
    def pending(self) -> list[Chosen]:
        """The faults that wait for their moment."""
        return list(self._pending)

    def forget(self) -> None:
        """Have no part in later scripts any more."""
        self._plan.closed(self)

    async def aclose(self) -> None:
        """End the connection's faults; a connection that is used again is sound again."""
        self.forget()
        self._transport.restore()
        if self._outlet is not None:
            await self._outlet.aclose()


class FaultyOutlet:
    """An outlet that misbehaves at the points that its faults name."""

    def __init__(self, outlet: Outlet, injection: Injection) -> None:
        self._outlet = outlet
        self._injection = injection
        self._counts_received_bytes = injection.stage in ("stt", "realtime")
        self._timers: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()  # a timer must not send into the middle of a message
        self._words = 0  # told on this connection so far
        self._begin()

    def _begin(self) -> None:
        """Count from zero, with the faults that the connection has now."""
        self._pending = self._injection.pending
        self._counts = {Point.BYTE: 0, Point.MESSAGE: 0, Point.WORD: 0}
        self._words_before = self._words
        self._finals = 0
        self._halve_frames = False
        self._rate: tuple[Resampler, SampleAligner] | None = None

    async def start(self, at_once: list[Chosen]) -> None:
        """Apply what is due at once and set the timers."""
        for item in at_once:
            await self._act(item)
        self._set_timers()

    def rearm(self, at_once: list[Chosen]) -> None:
        """Forget the faults so far; apply what is due at once of the new ones, set their timers."""
        for timer in self._timers:
            timer.cancel()
        self._begin()
        for item in at_once:
            self._later(item, 0.0)
        self._set_timers()

    def _set_timers(self) -> None:
        for item in list(self._pending):
            if item.fault.at is not None and item.fault.at.point is Point.MS:
                self._pending.remove(item)
                self._later(item, item.fault.at.count / 1000)

    def _later(self, item: Chosen, seconds: float) -> None:
        timer = asyncio.create_task(self._act_later(item, seconds), name="fault-timer")
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def aclose(self) -> None:
        """Forget the timers."""
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*self._timers, return_exceptions=True)

    async def send(self, message: Outgoing) -> None:
        """Send one message, or what its faults make of it."""
        async with self._lock:
            self._counts[Point.MESSAGE] += 1
            self._words = max(self._words, message.words)
            self._counts[Point.WORD] = self._words - self._words_before
            for item in self._due(Point.MESSAGE, Point.WORD):
                await self._act(item, message)
            message = self._reshaped(message)
            if isinstance(message.data, bytes):
                message = await self._up_to_due_byte(message)
            await self._deliver(message)

    async def note_received(self, size: int) -> None:
        """Count audio from the client."""
        self._counts[Point.BYTE] += size
        for item in self._due(Point.BYTE):
            async with self._lock:
                await self._act(item)

    async def close(self, code: int) -> None:
        """End the connection."""
        await self._outlet.close(code)

    # -- when -------------------------------------------------------------------------------------

    def _due(self, *points: Point) -> list[Chosen]:
        due = [
            item
            for item in self._pending
            if item.fault.at is not None
            and KINDS[item.fault.do].when is not When.AT_FINALS
            and item.fault.at.point in points
            and self._counts[item.fault.at.point] >= item.fault.at.count
        ]
        self._pending = [item for item in self._pending if item not in due]
        return [item for item in due if not item.spent()]

    async def _act_later(self, item: Chosen, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._lock:
            try:
                if not item.spent():
                    await self._act(item)
            except (ConnectionError, AnswerEnded):
                return  # the handler notices by itself

    async def _up_to_due_byte(self, message: Outgoing) -> Outgoing:
        """Send what comes before the byte at which a fault acts; return the rest."""
        assert isinstance(message.data, bytes)
        data = message.data
        if self._counts_received_bytes:
            return message
        for item in self._pending_at_bytes(within=len(data)):
            assert item.fault.at is not None
            head = item.fault.at.count - self._counts[Point.BYTE]
            if head:
                await self._outlet.send(Outgoing(data=data[:head], words=message.words))
            self._counts[Point.BYTE] += head
            data = data[head:]
            self._pending.remove(item)
            await self._act(item)
        self._counts[Point.BYTE] += len(data)
        return Outgoing(data=data, words=message.words, in_arguments=message.in_arguments)

    def _pending_at_bytes(self, *, within: int) -> list[Chosen]:
        end = self._counts[Point.BYTE] + within
        due = [
            item
            for item in self._pending
            if item.fault.at is not None
            and item.fault.at.point is Point.BYTE
            and item.fault.at.count <= end
            and not item.spent()
        ]
        return sorted(due, key=lambda item: item.fault.at.count if item.fault.at else 0)

    # -- what -------------------------------------------------------------------------------------

    async def _act(self, item: Chosen, message: Outgoing | None = None) -> None:
        fault = item.fault
        if fault.do in _MESSAGES:
            await self._send_wrong(item)
            return
        match fault.do:
            case Do.CLOSE:
                item.note_fired()
                await self._end(fault.number("code"))
            case Do.ODD_BYTES:
                item.note_fired()
                self._halve_frames = True
            case Do.WRONG_RATE:
                item.note_fired()
                resampler = Resampler(from_hz=TTS_SAMPLE_RATE_HZ, to_hz=fault.number("rate_hz"))
                self._rate = (resampler, SampleAligner())
            case Do.TRUNCATE:
                item.note_fired()
                await self._truncate(message)
            case _:
                self._injection.shape(item)
                if fault.do is Do.RESET:
                    raise ConnectionResetError

    async def _send_wrong(self, item: Chosen) -> None:
        fault = item.fault
        item.note_fired()
        message = Outgoing(data=bad_message(fault))
        times = fault.number("times") if "times" in KINDS[fault.do].parameters else 1
        for _ in range(times):
            await self._outlet.send(message)

    async def _end(self, code: int) -> NoReturn:
        self._injection.fail()
        await self._outlet.close(code)
        raise ConnectionResetError

    async def _truncate(self, message: Outgoing | None) -> NoReturn:
        """End the body properly in the middle of an event."""
        assert isinstance(self._outlet, BodyOutlet)
        half = b'data: {"id":"chatcmpl-'
        if message is not None and isinstance(message.data, bytes):
            half = message.data[: len(message.data) // 2]
        await self._outlet.send(Outgoing(data=half))
        await self._outlet.end()
        self._injection.fail()
        raise AnswerEnded

    def _reshaped(self, message: Outgoing) -> Outgoing:
        if self._rate is None or not isinstance(message.data, bytes):
            return message
        resampler, aligner = self._rate
        audio = to_pcm(resampler.push(to_samples(aligner.push(message.data))))
        return Outgoing(data=audio, words=message.words)

    async def _deliver(self, message: Outgoing) -> None:
        if message.is_final:
            await self._deliver_final(message)
            return
        if message.in_arguments:
            await self._maybe_half_a_call(message)
        if self._halve_frames and isinstance(message.data, bytes) and len(message.data) > 1:
            middle = len(message.data) // 2 | 1
            await self._outlet.send(Outgoing(data=message.data[:middle]))
            await self._outlet.send(Outgoing(data=message.data[middle:]))
            return
        if message.data or not isinstance(message.data, bytes):
            await self._outlet.send(message)

    async def _deliver_final(self, message: Outgoing) -> None:
        self._finals += 1
        copies = 1
        for item in self._pending:
            fault = item.fault
            number = fault.at.count if fault.at is not None else self._finals
            if KINDS[fault.do].when is not When.AT_FINALS or number != self._finals:
                continue
            if item.spent():
                continue
            item.note_fired()
            if fault.do is Do.LATE_FINAL:
                await asyncio.sleep(fault.number("ms") / 1000)
            else:
                copies = 2 if fault.do is Do.DUPLICATE_FINAL else 0
        for _ in range(copies):
            await self._outlet.send(message)

    async def _maybe_half_a_call(self, message: Outgoing) -> None:
        for item in self._pending:
            if item.fault.do is Do.HALF_TOOL_CALL and not item.spent():
                item.note_fired()
                await self._outlet.send(message)
                await self._end(code=0)
