// Small helpers that build HTML and SVG without strings of markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. */
export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Replaces what is in `node`; the focus stays on the element with the same `data-key`. */
export function swap(node, ...children) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = [...node.querySelectorAll("[data-scroll]")].map((it) => [it.dataset.scroll, it.scrollLeft]);
  node.replaceChildren(...children.flat(3).filter(Boolean));
  for (const [name, left] of scrolled) {
    const again = node.querySelector(`[data-scroll="${name}"]`);
    if (again) again.scrollLeft = left;
  }
  if (key) node.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** Scrolls a strip inside `node` sideways until its current item is seen; the page itself stays where it is. */
export function showCurrent(node) {
  const here = node.querySelector("[data-scroll] > [aria-current]");
  if (!here) return;
  const [item, box] = [here.getBoundingClientRect(), here.parentElement.getBoundingClientRect()];
  if (item.left < box.left || item.right > box.right) here.parentElement.scrollLeft += item.left - box.left - box.width / 2;
}

/** Whether the page stands on a narrow screen. */
export const NARROW = matchMedia("(max-width: 760px)");

/** A plot's width: drawn as wide as it is shown, so that its words keep their size. */
export const fit = (width) => Math.min(width, Math.max(280, innerWidth - 64));

/** A panel with a title and what stands beside it. */
export const panel = (title, beside, ...body) =>
  h("section", { class: "panel" }, h("header", {}, h("h2", {}, title), beside), ...body);

/** A quiet place where nothing is yet. */
export const empty = (title, text, small) =>
  h("div", { class: small ? "empty small" : "empty" },
    !small && s("svg", { viewBox: "0 0 56 56", "aria-hidden": "true" },
      s("circle", { cx: 28, cy: 28, r: 20, "stroke-dasharray": "4 5" }), s("circle", { cx: 28, cy: 28, r: 5 })),
    h("p", { class: "empty-title" }, title), text && h("p", {}, text));

/** Grey blocks in the shape of what is loading. */
export const ghost = (...heights) =>
  h("div", { class: "stack", "aria-busy": "true", "aria-label": "Loading" },
    heights.map((height) => h("div", { class: "ghost", style: { height: `${height}px` } })));

/** A shape that tells the state without colour: circle, triangle, square. */
export function glyph(state) {
  const shape = {
    good: () => s("circle", { cx: 7, cy: 7, r: 6 }),
    calm: () => s("circle", { cx: 7, cy: 7, r: 6 }),
    warn: () => s("path", { d: "M7 0.5 L14 13.5 H0 Z" }),
    bad: () => s("rect", { x: 1, y: 1, width: 12, height: 12 }),
  }[state];
  return s("svg", { class: `glyph ${state}`, viewBox: "0 0 14 14", "aria-hidden": "true" }, shape());
}
