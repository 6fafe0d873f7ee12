/** Elements without a template language. Text is only ever set as text. */

type Attributes = Record<string, string | boolean>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An icon from path data on a grid of 24, drawn with the text's colour. */
export function icon(path: string): SVGSVGElement {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const line = document.createElementNS(ns, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const ICON = {
  mark: "M15.5 3.5a9 9 0 1 0 0 17M14.5 8.5a4 4 0 1 1 0 7",
  microphone: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21",
  muted: "M4 4l16 16M9 9v2a3 3 0 0 0 4.5 2.6M15 11V6a3 3 0 0 0-5.8-1M5.5 11a6.5 6.5 0 0 0 10 5.4M18.5 11a6.5 6.5 0 0 1-.6 2.7M12 17.5V21",
  hangUp: "M3 15.5c0-1 .3-1.8 1-2.5 4.5-4 11.5-4 16 0 .7.7 1 1.5 1 2.5v1.3c0 .9-.8 1.5-1.7 1.3l-2.8-.6c-.7-.2-1.2-.8-1.2-1.5v-1.6c-2.2-.7-4.4-.7-6.6 0V16c0 .7-.5 1.3-1.2 1.5l-2.8.6C3.8 18.3 3 17.7 3 16.8z",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  theme: "M12 3a9 9 0 0 0 0 18zM12 3a9 9 0 0 1 0 18",
  send: "M4 12h15M13 5.5l6.5 6.5-6.5 6.5",
  close: "M6 6l12 12M18 6L6 18",
} as const;
