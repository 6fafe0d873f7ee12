"""A caller in a room: it speaks, hears, interrupts, and knows when everything happened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from livekit import rtc

import caller.native  # noqa: F401 - registers its exit hook before LiveKit does
from caller.access import caller_token
from caller.ear import Ear
from caller.errors import AgentMissing, CallEnded, CallerError, ServerUnreachable
from caller.mouth import Mouth
from caller.party import REPLY_TIMEOUT_S, Party
from caller.quality import Quality
from caller.reasons import AGENT_HUNG_UP, CONNECT_TIMEOUT_S, why_ended, why_unreachable
from caller.recording import Recording
from caller.transcript import Transcript
from caller.voice import Voice

AGENT_STATE = "lk.agent.state"


class Caller(Party):
    """Someone who calls: `async with Caller(...) as c` is in the room until the block is left.

    All times are `time.monotonic` seconds on the sample timeline of what left the microphone and
    of what would have come out of the loudspeaker; see `docs/caller.md`.

    Args:
        url: The LiveKit server, `ws://…` or `wss://…`.
        api_key: Its key.
        api_secret: Its secret.
        room: The room to join, made if it is not there.
        identity: The caller's name in the room.
        agent_name: The agent to call into the room; "" for one that comes by itself.
        agent_identity: Whom to listen to; "" for whoever joins as an agent.
        voice: What it speaks with.
        record: Where to write both sides as a stereo WAV; None for nowhere.
        transcript: Collects what the room says was said; None for one of its own.

    Raises:
        ServerUnreachable: On entering: the server is not there or refuses the token.
        CallerError: On entering: the recording cannot be written.
    """

    mouth: Mouth
    ear: Ear
    quality: Quality

    def __init__(
        self,
        url: str,
        api_key: str,
        api_secret: str,
        *,
        room: str,
        identity: str = "caller",
        agent_name: str = "",
        agent_identity: str = "",
        voice: Voice,
        record: Path | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        super().__init__(voice=voice)
        self.identity = identity
        self.transcript = transcript or Transcript()
        self.quality = Quality()
        self._url = url
        self._token = caller_token(
            api_key=api_key, api_secret=api_secret, room=room, identity=identity,
            agent_name=agent_name,
        )  # fmt: skip
        self._agent_identity = agent_identity
        self._record = record
        self._recording: Recording | None = None
        self._room = rtc.Room()
        self._agent: rtc.RemoteParticipant | None = None

    async def __aenter__(self) -> Self:
        try:
            self._recording = Recording(self._record) if self._record else None
        except OSError as e:
            raise CallerError(f"The recording cannot be written: {e}.") from None
        self.mouth = Mouth(recording=self._recording)
        self.ear = Ear(recording=self._recording)
        self._listen_to_room()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._room.connect(self._url, self._token)
                await self.mouth.open(self._room)
        except (rtc.ConnectError, TimeoutError) as e:
            await self._close()
            raise ServerUnreachable(why_unreachable(self._url, e)) from None
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def wait_for_agent(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Wait until the agent is in the room with a voice.

        Raises:
            AgentMissing: Nobody came in time.
            CallEnded: The call ended first.
        """
        came = await self.ear.until(
            lambda: self.ear.track or self.ended.is_set() or None, timeout_s=timeout_s
        )
        if came is None:
            raise AgentMissing(
                f"No agent came within {timeout_s:g} s. Is the worker running and registered with "
                "this server, under this agent name, and has it load to spare?"
            )
        if self.ear.track is None:
            raise CallEnded(f"The call ended before an agent came: {self.ended_reason}.")

    @property
    def agent_state(self) -> str | None:
        """What the agent says it does: the attribute `lk.agent.state`, as in "listening"."""
        return self._agent.attributes.get(AGENT_STATE) if self._agent else None

    async def _sample_quality(self) -> None:
        await self.quality.sample(self.ear.track)

    def _over(self) -> bool:
        return super()._over() or self.ear.track is None

    def _is_agent(self, participant: rtc.RemoteParticipant) -> bool:
        if self._agent_identity:
            return participant.identity == self._agent_identity
        return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

    def _listen_to_room(self) -> None:
        self.transcript.register(self._room)

        def subscribed(
            track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
        ) -> None:
            if track.kind == rtc.TrackKind.KIND_AUDIO and self._is_agent(participant):
                self._agent = participant
                self.ear.attach(track)

        def unsubscribed(
            track: rtc.Track, _: rtc.RemoteTrackPublication, __: rtc.RemoteParticipant
        ) -> None:
            self.ear.detach(track)

        def left(participant: rtc.RemoteParticipant) -> None:
            if self._agent and participant.identity == self._agent.identity:
                self._end(AGENT_HUNG_UP)

        def disconnected(reason: rtc.DisconnectReason.ValueType) -> None:
            self._end(why_ended(reason))

        self._room.on("track_subscribed", subscribed)
        self._room.on("track_unsubscribed", unsubscribed)
        self._room.on("participant_disconnected", left)
        self._room.on("disconnected", disconnected)

    async def _close(self) -> None:
        self._end("the caller hung up")
        try:
            # The streams go first: native code must not call into a loop that has ended.
            await self.mouth.aclose()
            await self.ear.aclose()
            await self.transcript.aclose()
            await self._room.disconnect()
        finally:
            if self._recording:
                self._recording.close()
