/** What happened and what can be done, in the place where people look. */

import { h } from "../dom.ts";
import { ACTION_LABEL, type Action, type Cause, NOTICE } from "../notices.ts";

export class Notices {
  readonly element = h("div", { class: "notices", "aria-live": "assertive" });
  cause: Cause | null = null;

  constructor(private readonly act: (action: Action) => void) {}

  show(cause: Cause | null): void {
    if (cause === this.cause) return;
    this.cause = cause;
    if (!cause) {
      this.element.replaceChildren();
      return;
    }
    const { title, text, actions, alert } = NOTICE[cause];
    const buttons = actions.map((action, i) => {
      const button = h("button", { type: "button", class: i === 0 ? "primary" : "quiet" }, ACTION_LABEL[action]);
      button.addEventListener("click", () => this.act(action));
      return button;
    });
    this.element.replaceChildren(
      h(
        "div",
        { class: `notice ${alert ? "wrong" : "news"}`, "data-cause": cause },
        h("h2", {}, title),
        h("p", {}, text),
        ...(buttons.length ? [h("div", { class: "actions" }, ...buttons)] : []),
      ),
    );
  }
}
