/** Turn records as bars. No DOM in here. */

import type { TurnRecord } from "./protocol.ts";

/** In the order in which they follow each other; `--part-…` in the style sheet has their colours. */
export const PART_LABEL: Record<string, string> = {
  uplink: "your words on their way",
  stt: "speech to text",
  commit: "waiting for the end of the turn",
  llm: "language model",
  clause: "first clause",
  tts: "voice",
  output: "output buffer",
  downlink: "reply on its way",
};

export interface Bar {
  name: string;
  label: string;
  ms: number;
  /** Offset and width in per cent of the scale. */
  left: number;
  width: number;
}

/** Bars of one turn on a scale of `scaleMs`. Parts of no length are left out. */
export function bars(record: TurnRecord, scaleMs: number): Bar[] {
  let begun = 0;
  return record.parts
    .map((part) => {
      const ms = Number.isFinite(part.ms) ? Math.max(0, part.ms) : 0;
      const label = PART_LABEL[part.name] ?? part.name;
      const bar = { name: part.name, label, ms, left: (100 * begun) / scaleMs, width: (100 * ms) / scaleMs };
      begun += ms;
      return bar;
    })
    .filter((bar) => bar.ms > 0);
}

/** A round scale that the longest turn fits on. */
export function scaleOf(records: readonly TurnRecord[]): number {
  const longest = Math.max(1, ...records.map((r) => r.total_ms));
  const step = longest > 4000 ? 1000 : longest > 1500 ? 500 : 250;
  return Math.ceil(longest / step) * step;
}

export function isTurnRecord(value: Partial<TurnRecord> | null): value is TurnRecord {
  return (
    !!value &&
    typeof value.turn === "number" &&
    typeof value.total_ms === "number" &&
    Array.isArray(value.parts) &&
    value.parts.every((p) => typeof p?.name === "string" && typeof p?.ms === "number")
  );
}

/** One sentence for those who do not see the bars. */
export function inWords(record: TurnRecord): string {
  const parts = bars(record, 1).map((b) => `${b.label} ${Math.round(b.ms)}`);
  return `Turn ${record.turn}: ${Math.round(record.total_ms)} milliseconds (${parts.join(", ")})`;
}
