/** The page: one call at a time, shown and steered. The widget is the same thing in a box. */

import { ConnectionState } from "livekit-client";
import { DeadMicrophone, LevelMeter } from "./audio.ts";
import { Call, type CallEvents, type Phase } from "./call.ts";
import { ICON, h, icon } from "./dom.ts";
import type { Action, Cause } from "./notices.ts";
import { type KeptCall, forgetCall, keepCall, keptCall } from "./seat.ts";
import { Conversation } from "./view/conversation.ts";
import { Devices } from "./view/devices.ts";
import { Notices } from "./view/notices.ts";
import { Stage } from "./view/stage.ts";
import { Turns } from "./view/turns.ts";

const DEAD_MICROPHONE_MS = 15_000;
const THEMES = ["light", "dark"] as const;

export class App {
  readonly element: HTMLElement;
  call: Call | null = null;
  private readonly endpoint: string;
  private readonly stage: Stage;
  private readonly conversation: Conversation;
  private readonly turns = new Turns();
  private readonly devices: Devices;
  private readonly notices = new Notices((action) => void this.act(action));
  private readonly dead = new DeadMicrophone(DEAD_MICROPHONE_MS);
  private kept: KeptCall | null = null;
  private leaving = false;
  private meters: { context: AudioContext; caller: LevelMeter; agent: LevelMeter } | null = null;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
    this.stage = new Stage({
      talk: () => void this.talk(),
      mute: () => void this.toggleMute(),
      hangUp: () => void this.call?.hangUp(),
    });
    this.conversation = new Conversation({
      type: (text) => void this.type(text),
      save: () => this.saveTranscript(),
    });
    this.devices = new Devices((kind, id) => void this.call?.room.switchActiveDevice(kind, id));
    const theme = h("button", { type: "button", class: "quiet", "aria-label": "Dark or light" }, icon(ICON.theme));
    theme.addEventListener("click", () => this.toggleTheme());
    const name = h("h1", { class: "wordmark" }, icon(ICON.mark), "Parley");
    this.element = h(
      "div",
      { class: "parley" },
      h("header", { class: "top" }, name, theme),
      h(
        "main",
        {},
        h("section", { class: "call", "aria-label": "Call" }, this.stage.element, this.notices.element),
        this.conversation.element,
        this.turns.element,
        this.devices.element,
      ),
    );
    void this.devices.refresh();
    this.offerToResume();
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", (event) => event.persisted && this.offerToResume()); // from the back button
    addEventListener("offline", () => this.inCall && this.notices.show("offline"));
    addEventListener("online", () => this.online());
  }

  private get inCall(): boolean {
    return this.stage.inCall;
  }

  private async talk(options: { microphone: boolean; resume?: KeptCall } = { microphone: true }): Promise<void> {
    if (this.call && !["idle", "ended"].includes(this.call.phase)) return;
    this.kept = null;
    this.notices.show(null);
    this.conversation.clear();
    this.turns.clear();
    const call = new Call(this.endpoint, this.events(), options.resume ?? null);
    this.call = call;
    for (const line of call.captions.all) this.conversation.show(line);
    const { microphone, speaker } = this.devices;
    const started = call.start({ microphone: options.microphone, ...(microphone ? { deviceId: microphone } : {}) });
    this.openMeters(); // which takes a moment: the token is on its way meanwhile
    await started;
    if (speaker) await call.room.switchActiveDevice("audiooutput", speaker).catch(() => undefined);
    await this.devices.refresh();
    if (!options.microphone) this.conversation.focus();
  }

  private events(): CallEvents {
    return {
      phase: (phase) => this.phaseChanged(phase),
      caption: (line) => this.conversation.show(line),
      turn: (record) => this.turns.add(record),
      tool: (activity) => this.stage.tool(activity),
      cost: (cost) => this.turns.spent(cost),
      notice: (cause) => this.notices.show(cause === "signal-lost" && !navigator.onLine ? "offline" : cause),
      settled: (...causes) => this.settled(causes),
      tracks: () => this.tracksChanged(),
    };
  }

  private phaseChanged(phase: Phase): void {
    this.stage.show(phase, this.call?.muted ?? false);
    this.conversation.allowTyping(this.inCall);
    if (phase === "ended" && !this.leaving) forgetCall();
  }

  private settled(causes: Cause[]): void {
    if (this.notices.cause && causes.includes(this.notices.cause)) this.notices.show(null);
  }

  /** The device has a network again; the call may not have noticed yet, or still be reconnecting. */
  private online(): void {
    if (this.notices.cause !== "offline") return;
    this.notices.show(this.call?.room.state === ConnectionState.Connected ? null : "signal-lost");
  }

  private offerToResume(): void {
    this.leaving = false;
    this.kept = keptCall(Date.now());
    if (this.kept) this.notices.show("resume-offer");
  }

  private tracksChanged(): void {
    this.meters?.caller.listen(this.call?.microphone ?? null);
    this.meters?.agent.listen(this.call?.agentVoice ?? null);
    this.dead.reset();
    this.stage.show(this.call?.phase ?? "idle", this.call?.muted ?? false);
  }

  private async toggleMute(): Promise<void> {
    const call = this.call;
    if (!call) return;
    try {
      await call.setMuted(!call.muted);
    } catch {
      this.notices.show("mic-failed");
    }
  }

  private async type(text: string): Promise<void> {
    try {
      await this.call?.type(text);
    } catch {
      this.notices.show("signal-lost");
    }
  }

  private async act(action: Action): Promise<void> {
    const kept = this.kept;
    this.notices.show(null);
    if (action === "wait") return this.call?.waitForAgent();
    if (action === "sound") return this.call?.room.startAudio();
    if (action === "dismiss") return undefined;
    if (this.call && this.call.phase !== "ended") await this.call.hangUp();
    if (action === "type") return this.talk({ microphone: false });
    if (action === "resume" && kept) return this.talk({ microphone: true, resume: kept });
    return this.talk();
  }

  /** Keep what a reload needs to come back; a call that is over leaves nothing. */
  private leave(): void {
    const call = this.call;
    if (!call?.seat || !this.inCall) return;
    this.leaving = true;
    call.leave();
    if (!call.seat.resume_token) return;
    keepCall({
      resume_token: call.seat.resume_token,
      room_sid: call.roomSid,
      left_at: Date.now(),
      within_s: call.seat.resume_within_s ?? 0,
      captions: [...call.captions.all],
    });
  }

  private saveTranscript(): void {
    const text = this.call?.captions.asText() ?? "";
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    const day = new Date().toISOString().slice(0, 10);
    h("a", { href: url, download: `parley-${day}.txt` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  private toggleTheme(): void {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = this.element.dataset["theme"] ?? (dark ? "dark" : "light");
    this.element.dataset["theme"] = THEMES.find((theme) => theme !== now) ?? "light";
  }

  private openMeters(): void {
    if (this.meters) return;
    const context = new AudioContext();
    this.meters = { context, caller: new LevelMeter(context), agent: new LevelMeter(context) };
    const frame = () => {
      requestAnimationFrame(frame);
      this.measure();
    };
    frame();
  }

  private measure(): void {
    if (!this.meters || !this.inCall) return;
    const caller = this.meters.caller.rms();
    this.stage.levels(caller, this.meters.agent.rms());
    this.devices.level(caller);
    const listening = this.call?.microphone && !this.call.muted;
    if (listening && this.dead.suspects(caller, performance.now()) && !this.notices.cause) {
      this.dead.reset();
      this.notices.show("mic-silent");
    }
  }
}
