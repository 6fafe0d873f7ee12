/**
 * The page as a button in the corner of another site:
 * `<script async src="https://voice.example/widget.js" data-endpoint="https://voice.example/api/token"></script>`
 */

import { App } from "./app.ts";
import { ICON, h, icon } from "./dom.ts";
import style from "./style.css?inline";
import widgetStyle from "./style/widget.css?inline";

const script = document.currentScript;

function mount(): void {
  const source = script instanceof HTMLScriptElement ? script : null;
  const endpoint = source?.dataset["endpoint"] ?? new URL("/api/token", source?.src ?? location.href).href;
  const label = source?.dataset["label"] ?? "Talk to us";
  const host = h("div", { "data-parley": "" });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // a constructed sheet needs no `unsafe-inline` from the site
  sheet.replaceSync(style + widgetStyle);
  root.adoptedStyleSheets = [sheet];

  const app = new App(endpoint);
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close" }, icon(ICON.close));
  app.element.querySelector(".top")?.append(close);
  const box = h("dialog", { class: "widget-box", "aria-label": label }, app.element);
  const open = h(
    "button",
    { type: "button", class: "widget-open" },
    icon(ICON.microphone),
    label,
  );
  open.addEventListener("click", () => box.show());
  close.addEventListener("click", () => {
    void app.call?.hangUp();
    box.close();
  });
  root.append(box, open);
  document.body.append(host);
}

if (document.body) mount();
else addEventListener("DOMContentLoaded", mount);
