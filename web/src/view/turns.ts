/** Where the time of each turn went, as a waterfall, and what the call has cost. */

import { h } from "../dom.ts";
import type { Cost, TurnRecord } from "../protocol.ts";
import { PART_LABEL, bars, inWords, scaleOf } from "../waterfall.ts";

const SHOWN_TURNS = 50;

export class Turns {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "turns" });
  private readonly cost = h("p", { class: "cost" });
  private readonly axis = h("div", { class: "axis", "aria-hidden": "true" });
  private readonly scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Turns" });
  private readonly legend = h("ul", { class: "legend" });
  private records: TurnRecord[] = [];

  constructor() {
    const legend = Object.entries(PART_LABEL).map(([name, label]) =>
      h("li", {}, h("span", { class: "swatch", "data-part": name }), label),
    );
    this.legend.append(...legend);
    this.scroller.append(this.list, this.legend);
    this.element = h(
      "section",
      { class: "card timing", "aria-label": "Response times" },
      h("div", { class: "title" }, h("h2", {}, "Response time"), this.cost),
      this.axis,
      this.scroller,
    );
    this.clear();
  }

  clear(): void {
    this.records = [];
    this.cost.textContent = "";
    this.render();
  }

  add(record: TurnRecord): void {
    this.records = [...this.records.filter((r) => r.turn !== record.turn), record].slice(-SHOWN_TURNS);
    this.render();
    this.scroller.scrollTop = 0;
  }

  spent({ usd, stt_s, llm_in, llm_out, tts_chars }: Cost): void {
    const used = `${Math.round(stt_s)} s heard · ${llm_in + llm_out} tokens · ${tts_chars} characters spoken`;
    this.cost.textContent = usd === null ? "price not known" : `$${usd.toFixed(usd === 0 ? 2 : 4)} so far`;
    this.cost.title = `${used}; model requests that were given up report no use`;
    this.cost.dataset["usd"] = usd === null ? "" : String(usd);
  }

  private render(): void {
    const scale = scaleOf(this.records);
    this.axis.replaceChildren(h("span", {}, "0"), h("span", {}, `${scale / 2} ms`), h("span", {}, `${scale} ms`));
    this.axis.hidden = this.legend.hidden = this.records.length === 0;
    const rows = [...this.records].reverse().map((record) => row(record, scale));
    this.list.replaceChildren(
      ...(rows.length
        ? rows
        : [h("li", { class: "empty" }, "From the end of your words to the agent's first sound, turn by turn.")]),
    );
  }
}

function row(record: TurnRecord, scale: number): HTMLLIElement {
  const track = h("div", { class: "bars", role: "img", "aria-label": inWords(record) });
  for (const bar of bars(record, scale)) {
    const piece = h("span", {
      class: "bar",
      "data-part": bar.name,
      "data-ms": String(bar.ms),
      title: `${bar.label}: ${Math.round(bar.ms)} ms`,
    });
    piece.style.left = `${bar.left}%`;
    piece.style.width = `${bar.width}%`;
    track.append(piece);
  }
  const notes = [
    record.tools.length ? record.tools.join(", ").replaceAll("_", " ") : "",
    record.opener === "hit" ? "kept opener" : "",
    record.opener === "acknowledged" ? "acknowledged" : "",
    record.interrupted ? "interrupted" : "",
  ].filter(Boolean);
  return h(
    "li",
    { class: "turn", "data-turn": String(record.turn), "data-total": String(record.total_ms) },
    h(
      "div",
      { class: "turn-head" },
      h("span", {}, `Turn ${record.turn}`),
      h("span", { class: "notes" }, notes.join(" · ")),
      h("strong", {}, `${Math.round(record.total_ms)} ms`),
    ),
    track,
  );
}
