/** Choice of microphone and loudspeaker, and the microphone's level. */

import { Room } from "livekit-client";
import { perceived } from "../audio.ts";
import { h } from "../dom.ts";

type Kind = "audioinput" | "audiooutput";

const CHOICE: Record<Kind, string> = { audioinput: "parley.microphone", audiooutput: "parley.speaker" };

export class Devices {
  readonly element: HTMLElement;
  private readonly selects: Record<Kind, HTMLSelectElement>;
  private readonly meter = h("div", {
    class: "meter",
    role: "meter",
    "aria-label": "Microphone level",
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    "aria-valuenow": "0",
  });
  private shown = -1;

  constructor(private readonly chosen: (kind: Kind, deviceId: string) => void) {
    this.selects = { audioinput: this.select("audioinput"), audiooutput: this.select("audiooutput") };
    const microphone = device("Microphone", this.selects.audioinput);
    microphone.append(this.meter); // beside the label: a level is no part of a name
    const speaker = device("Speaker", this.selects.audiooutput);
    speaker.hidden = !("setSinkId" in HTMLMediaElement.prototype);
    this.element = h("section", { class: "devices", "aria-label": "Devices" }, microphone, speaker);
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.refresh());
  }

  /** What was chosen on an earlier visit, if anything. */
  get microphone(): string | undefined {
    return remembered("audioinput");
  }

  get speaker(): string | undefined {
    return remembered("audiooutput");
  }

  /** List what there is; names are known once the microphone was allowed. */
  async refresh(): Promise<void> {
    for (const kind of ["audioinput", "audiooutput"] as const) {
      const devices = await Room.getLocalDevices(kind, false).catch(() => []);
      const select = this.selects[kind];
      const options = devices
        .filter((device) => device.deviceId)
        .map((device, i) => new Option(device.label || `Device ${i + 1}`, device.deviceId));
      select.replaceChildren(...(options.length ? options : [new Option("Default", "")]));
      select.disabled = options.length < 2;
      const wanted = remembered(kind);
      if (wanted && options.some((o) => o.value === wanted)) select.value = wanted;
    }
  }

  level(rms: number): void {
    const percent = Math.round(perceived(rms) * 20) * 5;
    if (percent === this.shown) return;
    this.shown = percent;
    this.meter.style.setProperty("--level", `${percent}%`);
    this.meter.setAttribute("aria-valuenow", String(percent));
  }

  private select(kind: Kind): HTMLSelectElement {
    const select = h("select", { disabled: true });
    select.append(new Option("Default", ""));
    select.addEventListener("change", () => {
      try {
        localStorage.setItem(CHOICE[kind], select.value);
      } catch {
        // No storage: the choice holds for this visit.
      }
      this.chosen(kind, select.value);
    });
    return select;
  }
}

function device(name: string, select: HTMLSelectElement): HTMLElement {
  select.id = `parley-${name.toLowerCase()}`;
  return h("div", { class: "device" }, h("label", { for: select.id }, name), select);
}

function remembered(kind: Kind): string | undefined {
  try {
    return localStorage.getItem(CHOICE[kind]) || undefined;
  } catch {
    return undefined;
  }
}
