/** The conversation in writing: both sides, as it forms. No DOM in here. */

export type Side = "caller" | "agent";

export interface Caption {
  id: string;
  side: Side;
  text: string;
  /** What a barge-in kept the agent from saying. */
  cut: string;
  final: boolean;
  interrupted: boolean;
  typed: boolean;
  /** Milliseconds since the epoch. */
  at: number;
}

export class Captions {
  private readonly lines: Caption[];
  private readonly changed: (line: Caption) => void;

  constructor(changed: (line: Caption) => void, kept: Caption[] = []) {
    this.changed = changed;
    this.lines = kept.map((line) => ({ ...line, final: true }));
  }

  get all(): readonly Caption[] {
    return this.lines;
  }

  /** The caller's words: each message holds the whole utterance so far. */
  replace(id: string, side: Side, text: string, final: boolean): void {
    const line = this.line(id, side);
    if (line.final && !final) return; // an interim that was overtaken
    line.text = text.trim();
    line.final = final;
    this.changed(line);
  }

  /** The agent's words: each message holds what is new. */
  append(id: string, side: Side, delta: string): void {
    const line = this.line(id, side);
    line.text += delta;
    this.changed(line);
  }

  finish(id: string): void {
    const line = this.lines.find((l) => l.id === id);
    if (!line || line.final) return;
    line.final = true;
    line.text = line.text.trim();
    this.changed(line);
  }

  typed(text: string): void {
    const line = this.line(`typed-${crypto.randomUUID()}`, "caller");
    Object.assign(line, { text, final: true, typed: true });
    this.changed(line);
  }

  /** The agent's newest reply was interrupted after `said`; `cut` was not heard. */
  interrupt(said: string, cut: string): void {
    const agent = this.lines.filter((l) => l.side === "agent").reverse();
    const same = (l: Caption) => !l.interrupted && said !== "" && plain(said).startsWith(plain(l.text));
    const line = agent.find(same) ?? agent.find((l) => !l.interrupted);
    if (!line) return;
    if (said) line.text = said.trim();
    Object.assign(line, { cut: cut.trim(), interrupted: true, final: true });
    this.changed(line);
  }

  /** The whole conversation as a plain text file. */
  asText(): string {
    return this.lines
      .filter((line) => line.text || line.cut)
      .map((line) => {
        const who = line.side === "agent" ? "Agent" : line.typed ? "You (typed)" : "You";
        const cut = line.interrupted ? ` [interrupted${line.cut ? `; not said: ${line.cut}` : ""}]` : "";
        return `${new Date(line.at).toISOString().slice(11, 19)}  ${who}: ${line.text}${cut}\n`;
      })
      .join("");
  }

  private line(id: string, side: Side): Caption {
    const known = this.lines.find((l) => l.id === id);
    if (known) return known;
    const line: Caption = {
      id, side, text: "", cut: "", final: false, interrupted: false, typed: false, at: Date.now(),
    };
    this.lines.push(line);
    return line;
  }
}

function plain(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}
