/** One call: a LiveKit room with the agent in it. Tells what happens as events; no DOM in here. */

import {
  ConnectionQuality,
  ConnectionState,
  DisconnectReason,
  type LocalAudioTrack,
  type Participant,
  type RemoteTrack,
  Room,
  RoomEvent,
  type TextStreamReader,
  Track,
  createLocalAudioTrack,
} from "livekit-client";
import { Captions, type Caption } from "./captions.ts";
import { type Cause, microphoneCause } from "./notices.ts";
import {
  AGENT_STATE_ATTRIBUTE,
  type Cost,
  type Cut,
  FINAL_ATTRIBUTE,
  HANG_UP_METHOD,
  SEGMENT_ATTRIBUTE,
  TOPIC,
  type ToolActivity,
  type TurnRecord,
  parseObject,
} from "./protocol.ts";
import { type KeptCall, type Seat, SeatError, requestSeat } from "./seat.ts";
import { isTurnRecord } from "./waterfall.ts";

const AGENT_TIMEOUT_S = 15;
const AGENT_GRACE_MS = 1_500;
const HANG_UP_TIMEOUT_MS = 1_000;

/** idle → connecting → waiting (for the agent) → the agent's own states → ended. */
export type Phase = "idle" | "connecting" | "waiting" | "listening" | "thinking" | "speaking" | "ended";

export interface CallEvents {
  phase(phase: Phase): void;
  caption(line: Caption): void;
  turn(record: TurnRecord): void;
  tool(activity: ToolActivity): void;
  cost(cost: Cost): void;
  /** Something to tell. */
  notice(cause: Cause): void;
  /** What was told is over. */
  settled(...causes: Cause[]): void;
  /** A microphone or the agent's voice came or went. */
  tracks(): void;
}

export class Call {
  readonly room = new Room({
    disconnectOnPageLeave: false, // the page does, once it has kept what a reload needs
    audioCaptureDefaults: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  readonly captions: Captions;
  phase: Phase = "idle";
  seat: Seat | null = null;
  roomSid = "";
  private readonly endpoint: string;
  private readonly kept: KeptCall | null;
  private readonly events: CallEvents;
  private agentTimer = 0;
  private leaving = false;

  constructor(endpoint: string, events: CallEvents, kept: KeptCall | null = null) {
    this.endpoint = endpoint;
    this.events = events;
    this.kept = kept;
    this.captions = new Captions((line) => events.caption(line), kept?.captions);
    this.follow();
    this.read();
  }

  get agent(): Participant | undefined {
    return [...this.room.remoteParticipants.values()].find((p) => p.isAgent);
  }

  get microphone(): MediaStreamTrack | null {
    return this.room.localParticipant.getTrackPublication(Track.Source.Microphone)?.track?.mediaStreamTrack ?? null;
  }

  get agentVoice(): MediaStreamTrack | null {
    return this.agent?.getTrackPublication(Track.Source.Microphone)?.track?.mediaStreamTrack ?? null;
  }

  get muted(): boolean {
    return !this.room.localParticipant.isMicrophoneEnabled;
  }

  /** Place the call. Resolves when in the room; a failure is told as a notice, and the call is over. */
  async start(options: { microphone: boolean; deviceId?: string }): Promise<void> {
    this.enter("connecting");
    const microphone = options.microphone ? openMicrophone(options.deviceId) : Promise.resolve(null);
    try {
      const [seat, track] = await Promise.all([requestSeat(this.endpoint, this.kept?.resume_token), microphone]);
      if (this.leaving) return track?.stop();
      this.seat = seat;
      await this.join(seat, track);
    } catch (error) {
      void microphone.then((track) => track?.stop(), () => undefined);
      if (!this.leaving) await this.fail(error instanceof SeatError ? error.reason : "media-server");
    }
  }

  async setMuted(muted: boolean): Promise<void> {
    await this.room.localParticipant.setMicrophoneEnabled(!muted);
    this.events.tracks();
  }

  async type(text: string): Promise<void> {
    await this.room.localParticipant.sendText(text, { topic: TOPIC.chat });
    this.captions.typed(text);
  }

  async hangUp(): Promise<void> {
    this.leaving = true;
    const agent = this.agent;
    if (agent && this.room.state === ConnectionState.Connected) {
      // Without this goodbye the agent would wait for a caller whose line has broken.
      await this.room.localParticipant
        .performRpc({
          destinationIdentity: agent.identity,
          method: HANG_UP_METHOD,
          payload: "",
          responseTimeout: HANG_UP_TIMEOUT_MS,
        })
        .catch(() => undefined);
    }
    await this.room.disconnect();
    this.end();
  }

  /** The page goes away; the agent waits in case it comes back. */
  leave(): void {
    this.leaving = true;
    void this.room.disconnect();
  }

  /** Look for the agent again from now on, after the caller chose to wait. */
  waitForAgent(): void {
    const timeoutS = this.seat?.agent_within_s ?? AGENT_TIMEOUT_S;
    this.missAgentAfter(timeoutS * 1000, "no-agent");
  }

  private async join(seat: Seat, track: LocalAudioTrack | null): Promise<void> {
    await this.room.connect(seat.server_url, seat.participant_token);
    this.enter("waiting");
    if (track) await this.room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
    this.events.tracks();
    if (this.agent) this.agentCame();
    else this.waitForAgent();
    this.roomSid = await this.room.getSid();
    if (this.kept && this.kept.room_sid !== this.roomSid) this.events.notice("resume-other");
  }

  private async fail(cause: Cause): Promise<void> {
    this.leaving = true;
    await this.room.disconnect();
    this.end();
    this.events.notice(cause);
  }

  private end(): void {
    clearTimeout(this.agentTimer);
    for (const line of this.captions.all) this.captions.finish(line.id);
    if (this.phase !== "ended") this.enter("ended");
  }

  private enter(phase: Phase): void {
    if (phase === this.phase) return;
    this.phase = phase;
    this.events.phase(phase);
  }

  private follow(): void {
    this.room
      .on(RoomEvent.SignalReconnecting, () => this.events.notice("signal-lost"))
      .on(RoomEvent.Reconnecting, () => this.events.notice("media-lost"))
      .on(RoomEvent.Reconnected, () => this.reconnected())
      .on(RoomEvent.Disconnected, (reason) => this.disconnected(reason))
      .on(RoomEvent.ParticipantConnected, (p) => p.isAgent && this.agentCame())
      .on(RoomEvent.ParticipantDisconnected, (p) => p.isAgent && this.agentWent())
      .on(RoomEvent.ParticipantAttributesChanged, (_, p) => p.isAgent && this.showAgent())
      .on(RoomEvent.TrackSubscribed, (track) => this.play(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => this.silence(track))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => {
        if (this.room.canPlaybackAudio) this.events.settled("no-sound");
        else this.events.notice("no-sound");
      })
      .on(RoomEvent.ConnectionQualityChanged, (quality, p) => {
        if (!p.isLocal || quality === ConnectionQuality.Unknown) return;
        if (quality === ConnectionQuality.Lost) this.events.notice("line-bad");
        else this.events.settled("line-bad");
      });
  }

  private read(): void {
    this.room.registerTextStreamHandler(TOPIC.transcription, (reader, { identity }) => {
      void this.readCaption(reader, identity);
    });
    this.onObject<Partial<TurnRecord>>(TOPIC.turn, (r) => isTurnRecord(r) && this.events.turn(r));
    this.onObject<ToolActivity>(TOPIC.tool, (activity) => this.events.tool(activity));
    this.onObject<Cost>(TOPIC.cost, (cost) => this.events.cost(cost));
    this.onObject<Cut>(TOPIC.cut, ({ said, cut }) => this.captions.interrupt(String(said), String(cut)));
  }

  private onObject<T extends object>(topic: string, take: (value: T) => void): void {
    this.room.registerTextStreamHandler(topic, async (reader, { identity }) => {
      const text = await reader.readAll().catch(() => "");
      const value = parseObject<T>(text);
      if (value && identity === this.agent?.identity) take(value);
    });
  }

  private async readCaption(reader: TextStreamReader, identity: string): Promise<void> {
    const attributes = reader.info.attributes ?? {};
    const id = attributes[SEGMENT_ATTRIBUTE] ?? reader.info.id;
    const own = identity === this.room.localParticipant.identity;
    try {
      if (own) {
        const text = await reader.readAll();
        this.captions.replace(id, "caller", text, attributes[FINAL_ATTRIBUTE] === "true");
      } else {
        for await (const delta of reader) this.captions.append(id, "agent", delta);
      }
    } catch {
      // The sender went in the middle of a line (full reconnect, killed worker): what came of it stays.
    }
    if (!own) this.captions.finish(id);
  }

  private play(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    track.attach(); // an element is needed to be heard; it plays without being in the page
    this.events.tracks();
  }

  private silence(track: RemoteTrack): void {
    track.detach();
    this.events.tracks();
  }

  private agentCame(): void {
    clearTimeout(this.agentTimer);
    this.events.settled("no-agent", "agent-left");
    this.showAgent();
  }

  private agentWent(): void {
    if (this.leaving || this.agent) return;
    for (const line of this.captions.all) this.captions.finish(line.id);
    this.enter("waiting");
    // An agent that hangs up leaves a moment before the room is closed.
    this.missAgentAfter(AGENT_GRACE_MS, "agent-left");
  }

  private missAgentAfter(ms: number, cause: Cause): void {
    clearTimeout(this.agentTimer);
    this.agentTimer = window.setTimeout(() => {
      // A room that is joined anew is empty at first; `reconnected` looks who is in it.
      if (this.room.state === ConnectionState.Connected) this.events.notice(cause);
    }, ms);
  }

  private showAgent(): void {
    const state = this.agent?.attributes[AGENT_STATE_ATTRIBUTE];
    if (state === "listening" || state === "thinking" || state === "speaking") this.enter(state);
  }

  private reconnected(): void {
    this.events.settled("signal-lost", "media-lost", "offline");
    this.events.tracks();
    if (this.agent) return this.showAgent();
    this.enter("waiting"); // in a room made anew, to which an agent is only called
    this.waitForAgent();
  }

  private disconnected(reason?: DisconnectReason): void {
    if (this.phase === "connecting") return; // `start` tells why
    const quiet = this.leaving;
    this.leaving = true;
    this.end();
    if (quiet) return;
    this.events.notice(endedBy(reason));
  }
}

async function openMicrophone(deviceId?: string): Promise<LocalAudioTrack> {
  if (!navigator.mediaDevices) throw new SeatError("insecure");
  try {
    return await createLocalAudioTrack(deviceId ? { deviceId } : {});
  } catch (error) {
    throw new SeatError(microphoneCause(error));
  }
}

function endedBy(reason?: DisconnectReason): Cause {
  switch (reason) {
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return "agent-ended";
    case DisconnectReason.DUPLICATE_IDENTITY:
      return "elsewhere";
    case DisconnectReason.PARTICIPANT_REMOVED:
      return "removed";
    default:
      return "server-gone";
  }
}
