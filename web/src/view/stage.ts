/** The big button: it starts the call, mutes in it, and shows both voices. */

import { perceived } from "../audio.ts";
import type { Phase } from "../call.ts";
import { ICON, h, icon } from "../dom.ts";
import type { ToolActivity } from "../protocol.ts";

const STATE_TEXT: Record<Phase, string> = {
  idle: "Press to talk",
  connecting: "Connecting…",
  waiting: "Waiting for the agent…",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking",
  ended: "The call is over",
};

export class Stage {
  readonly element: HTMLElement;
  private readonly button = h("button", { type: "button", class: "orb" });
  private readonly label = h("span", { class: "orb-label" });
  private readonly state = h("p", { class: "state", role: "status" });
  private readonly hangUp = h(
    "button",
    { type: "button", class: "hang-up", hidden: true },
    icon(ICON.hangUp),
    "Hang up",
  );
  private phase: Phase = "idle";
  private muted = false;
  private tools: string[] = [];

  constructor(actions: { talk(): void; mute(): void; hangUp(): void }) {
    this.button.append(
      h("span", { class: "halo halo-agent", "aria-hidden": "true" }),
      h("span", { class: "halo halo-caller", "aria-hidden": "true" }),
      h("span", { class: "orb-face" }, icon(ICON.microphone), this.label),
    );
    this.button.addEventListener("click", () => (this.inCall ? actions.mute() : actions.talk()));
    this.hangUp.addEventListener("click", () => actions.hangUp());
    this.element = h("div", { class: "stage" }, this.button, this.state, this.hangUp);
    this.render();
  }

  get inCall(): boolean {
    return !["idle", "connecting", "ended"].includes(this.phase);
  }

  show(phase: Phase, muted: boolean): void {
    this.phase = phase;
    this.muted = muted;
    if (phase === "ended" || phase === "idle") this.tools = [];
    this.render();
  }

  tool({ name, state }: ToolActivity): void {
    this.tools = state === "started" ? [...this.tools, name] : this.tools.filter((t) => t !== name);
    this.render();
  }

  levels(caller: number, agent: number): void {
    this.button.style.setProperty("--caller-level", perceived(caller).toFixed(3));
    this.button.style.setProperty("--agent-level", perceived(agent).toFixed(3));
  }

  private render(): void {
    const [path, text] = this.inCall
      ? this.muted
        ? [ICON.muted, "Unmute"]
        : [ICON.microphone, "Mute"]
      : [ICON.microphone, this.phase === "connecting" ? "…" : "Talk"];
    this.button.querySelector(".icon")?.replaceWith(icon(path));
    this.label.textContent = text;
    this.button.setAttribute("aria-disabled", String(this.phase === "connecting"));
    this.button.dataset["phase"] = this.phase;
    this.button.dataset["muted"] = String(this.inCall && this.muted);
    this.hangUp.hidden = !this.inCall && this.phase !== "connecting";
    const tool = this.tools.at(-1);
    this.state.textContent = tool ? `Using a tool: ${tool.replaceAll("_", " ")}…` : STATE_TEXT[this.phase];
    this.state.dataset["phase"] = this.phase;
  }
}
