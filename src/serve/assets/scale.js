// The score's colours: blue (low) over pale to orange (high), which every kind of colour vision tells apart. On grey paper both ends
// look alike: every cell also carries its number in words.
import { h, s } from "./dom.js";

const STOPS = [
  [0.0, [46, 125, 235]],
  [0.28, [132, 184, 245]],
  [0.5, [240, 236, 222]],
  [0.72, [255, 184, 112]],
  [1.0, [240, 96, 0]],
];

/** Colour of a score 0..1. */
export function colour(value) {
  if (value === null || value === undefined) return "#b9bec2";
  const at = Math.min(1, Math.max(0, value));
  const upper = Math.max(1, STOPS.findIndex(([stop]) => stop >= at));
  const [from, a] = STOPS[upper - 1];
  const [to, b] = STOPS[upper];
  const share = (at - from) / (to - from);
  return `rgb(${a.map((part, index) => Math.round(part + (b[index] - part) * share)).join(" ")})`;
}

let gradients = 0;

/** The scale as an SVG gradient; gives its id and its definition. */
export function gradient() {
  gradients += 1;
  const id = `scale-${gradients}`;
  return [id, s("linearGradient", { id }, STOPS.map(([stop, rgb]) => s("stop", { offset: stop, "stop-color": `rgb(${rgb.join(" ")})` })))];
}

/** Legend: low to high, and what hatching means. */
export function legend() {
  const [id, definition] = gradient();
  return h("div", { class: "legend", role: "img", "aria-label": "Colours: score from low, blue, to high, orange. Dashed and hatched: no score." },
    h("span", {}, "low 0"),
    s("svg", { width: 96, height: 10, "aria-hidden": "true" }, s("defs", {}, definition), s("rect", { width: 96, height: 10, rx: 5, fill: `url(#${id})` })),
    h("span", {}, "1 high"),
    s("svg", { width: 18, height: 14, "aria-hidden": "true", style: { marginLeft: "8px" } },
      s("rect", { x: 1, y: 1, width: 16, height: 12, rx: 4, fill: "none", stroke: "currentColor", "stroke-dasharray": "3 2" }),
      s("path", { d: "M4 12 L12 2 M8 13 L15 4", stroke: "currentColor" })),
    h("span", {}, "no score"));
}
