/** Captions of both sides, and a line to type into. */

import type { Caption } from "../captions.ts";
import { ICON, h, icon } from "../dom.ts";

const MAX_TYPED = 2000;
const NEAR_END_PX = 80;
const EXAMPLES = ["Where is my order?", "What is on my calendar tomorrow?", "Book me a flight to Lisbon on Friday."];

export class Conversation {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "captions" });
  private readonly scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Captions" });
  private readonly empty = h(
    "div",
    { class: "empty" },
    h("p", {}, "What you and the agent say is written here as you say it. You could begin with:"),
    h("ul", { class: "examples" }, ...EXAMPLES.map((example) => h("li", {}, `“${example}”`))),
  );
  private readonly input = h("input", {
    type: "text",
    maxlength: String(MAX_TYPED),
    autocomplete: "off",
    enterkeyhint: "send",
    placeholder: "Or type here",
    "aria-label": "Type to the agent",
  });
  private readonly send = h("button", { type: "submit", class: "quiet", "aria-label": "Send" }, icon(ICON.send));
  private readonly save = h(
    "button",
    { type: "button", class: "quiet", disabled: true },
    icon(ICON.download),
    "Transcript",
  );
  private readonly lines = new Map<string, HTMLLIElement>();

  constructor(actions: { type(text: string): void; save(): void }) {
    const form = h("form", { class: "typed" }, this.input, this.send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (!text) return;
      this.input.value = "";
      actions.type(text);
    });
    this.save.addEventListener("click", () => actions.save());
    this.scroller.append(this.empty, this.list);
    const title = h("div", { class: "title" }, h("h2", {}, "Conversation"), this.save);
    this.element = h("section", { class: "card conversation", "aria-label": "Conversation" }, title, this.scroller, form);
    this.allowTyping(false);
  }

  clear(): void {
    this.lines.clear();
    this.list.replaceChildren();
    this.empty.hidden = false;
    this.save.disabled = true;
  }

  allowTyping(allowed: boolean): void {
    this.input.disabled = !allowed;
    this.send.disabled = !allowed;
  }

  focus(): void {
    this.input.focus();
  }

  show(line: Caption): void {
    if (!line.text && !line.cut) return;
    const atEnd = this.isAtEnd();
    const item = this.lines.get(line.id) ?? this.added(line);
    item.className = `line ${line.side} ${line.final ? "final" : "interim"}`;
    const words: (Node | string)[] = [line.text];
    if (line.cut) words.push(" ", h("s", {}, line.cut));
    if (line.interrupted) words.push(" ", h("small", {}, "interrupted"));
    item.querySelector("p")?.replaceChildren(...words);
    this.empty.hidden = true;
    this.save.disabled = false;
    if (atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  private added(line: Caption): HTMLLIElement {
    const who = line.side === "agent" ? "Agent" : line.typed ? "You, typed" : "You";
    const item = h("li", {}, h("span", { class: "who" }, who), h("p"));
    this.lines.set(line.id, item);
    this.list.append(item);
    return item;
  }

  private isAtEnd(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }
}
