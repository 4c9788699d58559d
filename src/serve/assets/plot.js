// Plots as plain SVG: they scale, print, and carry their words for screen readers.
import { s } from "./dom.js";
import { colour, gradient } from "./scale.js";
import { score as words } from "./words.js";

const svg = (width, height, label, ...children) =>
  s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...children);

/** Score with its interval on the scale from low to high. */
export function interval({ score, low, high, width = 340 }) {
  const [id, definition] = gradient();
  const x = (value) => 8 + value * (width - 16);
  const has = score !== null && score !== undefined;
  const label = has ? `Score ${words(score)}, interval ${words(low)} to ${words(high)}` : "No score yet";
  return svg(width, 34, label, s("defs", {}, definition),
    s("rect", { x: 8, y: 13, width: width - 16, height: 8, rx: 4, fill: `url(#${id})`, opacity: has ? 0.85 : 0.25 }),
    s("line", { class: "threshold", x1: x(0.5), x2: x(0.5), y1: 6, y2: 28 }),
    has && low !== null && low !== undefined && s("line", { class: "interval", x1: x(low), x2: x(high), y1: 17, y2: 17 }),
    has && s("circle", { class: "point", cx: x(score), cy: 17, r: 6 }));
}

/** Bars of tracks by score. */
export function histogram(bins, { width = 340, height = 96, label = "Cells by score" } = {}) {
  const most = Math.max(1, ...bins);
  const step = (width - 16) / bins.length;
  const base = height - 18;
  return svg(width, height, `${label}: ${bins.map((n, i) => `${n} from ${(i / bins.length).toFixed(2)}`).filter((_, i) => bins[i]).join(", ") || "none"}`,
    bins.map((n, i) => n > 0 && s("rect", { x: 8 + i * step + 1, width: Math.max(1, step - 2), y: base - (n / most) * (base - 14), height: (n / most) * (base - 14), rx: 1.5, fill: colour((i + 0.5) / bins.length) },
      s("title", {}, `${n} cells, score ${(i / bins.length).toFixed(2)} to ${((i + 1) / bins.length).toFixed(2)}`))),
    s("line", { class: "axis", x1: 8, x2: width - 8, y1: base + 0.5, y2: base + 0.5 }),
    s("line", { class: "threshold", x1: width / 2, x2: width / 2, y1: 4, y2: base }),
    s("text", { x: 8, y: height - 4 }, "0"), s("text", { x: width / 2, y: height - 4, "text-anchor": "middle" }, "0.5"),
    s("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, "1"),
    s("text", { x: 8, y: 10 }, `${most} ${most === 1 ? "cell" : "cells"}`),
    s("line", { class: "grid", x1: 8, x2: width - 8, y1: 14, y2: 14 }));
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** Ticks at round time indices. */
function ticks(first, last, most) {
  const rough = Math.max(1, (last - first) / most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((of) => of * power).find((of) => of >= rough) ?? 1;
  const found = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) found.push(at);
  return found;
}

/**
 * `marks`: [{ t, text }], moments with a name; `smooth`: a second, quiet line.
 * Lines over the time index. `series`: [{ name, tone, points: [{ t, value, low?, high?, fill? }] }]; `range` [low, high]; `domain`: further times to show.
 */
export function timeline(series, { width = 720, height = 240, range = [0, 1], unit = "score", label, threshold = 0.5, now = null, dots = false, domain = [], marks = [], smooth = [] } = {}) {
  const times = [...domain, ...series.flatMap((one) => one.points.map((point) => point.t))];
  if (times.length === 0) return null;
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const named = series.length > 1;
  const [left, right, top, bottom] = [38, named ? 92 : 12, 12, 30];
  const x = (t) => left + ((t - first) / Math.max(1, last - first)) * (width - left - right);
  const y = (value) => top + (1 - (value - range[0]) / (range[1] - range[0] || 1)) * (height - top - bottom);
  const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => range[0] + share * (range[1] - range[0]));
  const digits = range[1] - range[0] > 8 ? 0 : range[1] - range[0] > 1.5 ? 1 : 2;
  const ends = [];
  for (const one of [...series].sort((a, b) => (b.points.at(-1)?.value ?? 0) - (a.points.at(-1)?.value ?? 0))) {
    const wanted = y(one.points.at(-1)?.value ?? range[0]) + 4;
    ends.push([one, Math.max(wanted, (ends.at(-1)?.[1] ?? -99) + 16)]);
  }
  return svg(width, height, label ?? `${unit} over time`,
    steps.map((mark) => [s("line", { class: "grid", x1: left, x2: width - right, y1: y(mark), y2: y(mark) }),
      s("text", { x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, mark.toFixed(digits))]),
    threshold !== null && s("line", { class: "threshold", x1: left, x2: width - right, y1: y(threshold), y2: y(threshold) }),
    ticks(first, last, width / 90).map((t) => s("text", { x: x(t), y: height - 10, "text-anchor": "middle" }, `t${t}`)),
    marks.map((mark) => [s("line", { class: "mark", x1: x(mark.t), x2: x(mark.t), y1: top, y2: height - bottom }),
      s("text", { class: "strong", x: x(mark.t) + (x(mark.t) > width * 0.8 ? -6 : 6), y: top + 10, "text-anchor": x(mark.t) > width * 0.8 ? "end" : "start" }, mark.text)]),
    smooth.length > 1 && s("path", { class: "path", d: line(smooth.map((p) => [x(p.t), y(p.value)])), stroke: "var(--text)", opacity: 0.55 }),
    now !== null && s("line", { class: "now", x1: x(now), x2: x(now), y1: top, y2: height - bottom }),
    series.map(({ tone, points }) => {
      const banded = points.filter((point) => point.low !== undefined);
      const band = banded.length > 1 && `${line(banded.map((p) => [x(p.t), y(p.high)]))}L${line([...banded].reverse().map((p) => [x(p.t), y(p.low)])).slice(1)}Z`;
      return [band && s("path", { class: "band", d: band, fill: tone }),
        s("path", { class: "path", d: line(points.map((p) => [x(p.t), y(p.value)])), stroke: tone, opacity: dots ? 0.35 : 1 }),
        dots && points.map((p) => s("circle", { cx: x(p.t), cy: y(p.value), r: 3, fill: p.fill ?? tone }, s("title", {}, `t${p.t}: ${p.value.toFixed(2)}`)))];
    }),
    named && ends.map(([one, at]) => s("text", { class: "strong", x: width - right + 10, y: at, style: { fill: one.tone } }, one.name)));
}

/** A line without axes. */
export function spark(points, { width = 340, height = 44 } = {}) {
  if (points.length < 2) return null;
  const [first, last] = [points[0].t, points.at(-1).t];
  const x = (t) => 8 + ((t - first) / Math.max(1, last - first)) * (width - 20);
  const y = (value) => 4 + (1 - value) * (height - 8);
  const end = points.at(-1);
  return svg(width, height, `Score over time, from ${words(points[0].value)} to ${words(end.value)}`,
    s("line", { class: "threshold", x1: 8, x2: width - 8, y1: y(0.5), y2: y(0.5) }),
    s("path", { class: "path", d: line(points.map((p) => [x(p.t), y(p.value)])), stroke: "var(--muted)", "stroke-width": 1.5 }),
    s("circle", { cx: x(end.t), cy: y(end.value), r: 4, fill: colour(end.value) }));
}
