// A frame with its cells: outlines coloured by score, withheld cells dashed and hatched, zoom and pan.
import { h, s } from "./dom.js";
import { colour } from "./scale.js";
import { score, unscored, words } from "./words.js";

const STEP = 1.5;
const MOST = 12;
/** How long the frame before stays while the next picture is on its way, ms. */
const PATIENCE_MS = 400;

/** A viewer; `show(frame)` takes what `/api/v1/frames/{id}` gives. */
export function viewer({ label }) {
  const hatch = s("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("line", { x1: 0, y1: 0, x2: 0, y2: 8, stroke: "#e2e5e8", "stroke-width": 2.4, opacity: 0.55 }));
  const image = s("image", { x: -0.5, y: -0.5, preserveAspectRatio: "none" });
  const cells = s("g", {});
  const picture = s("svg", { role: "group", "aria-label": label, preserveAspectRatio: "xMidYMid meet" }, s("defs", {}, hatch), image, cells);
  const notice = h("div", { class: "notice", hidden: true });
  const bar = h("div", { class: "scalebar", "aria-hidden": "true" });
  const outlines = h("button", { type: "button", class: "wide", "aria-pressed": "true", onclick: () => showOutlines(outlines.getAttribute("aria-pressed") !== "true") }, "Outlines");
  const controls = h("div", { class: "controls" }, outlines,
    h("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoom(1 / STEP) }, "−"),
    h("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoom(STEP) }, "+"),
    h("button", { type: "button", class: "wide", onclick: () => reset() }, "Fit"));
  const root = h("div", { class: "viewer" }, picture, notice, bar, controls);

  let frame = null;
  let wanted = null;
  let view = { x: 0, y: 0, width: 1, height: 1 };

  function showOutlines(on) {
    outlines.setAttribute("aria-pressed", on);
    cells.style.display = on ? "" : "none";
  }

  function apply() {
    if (!frame) return;
    view.x = Math.min(Math.max(view.x, 0), frame.width_px - view.width);
    view.y = Math.min(Math.max(view.y, 0), frame.height_px - view.height);
    picture.setAttribute("viewBox", `${view.x - 0.5} ${view.y - 0.5} ${view.width} ${view.height}`);
    root.classList.toggle("zoomed", view.width < frame.width_px - 1);
    const shown = picture.clientWidth || 800;
    const perUm = (shown / view.width) / (frame.pixel_size_um ?? NaN);
    const length = [500, 200, 100, 50, 20, 10, 5].find((um) => um * perUm < shown * 0.22);
    bar.hidden = !length;
    if (length) {
      bar.textContent = `${length} µm`;
      bar.style.width = `${length * perUm}px`;
    }
  }

  function reset() {
    if (!frame) return;
    view = { x: 0, y: 0, width: frame.width_px, height: frame.height_px };
    apply();
  }

  /** Zooms by `factor` around a point given as shares of what is shown. */
  function zoom(factor, atX = 0.5, atY = 0.5) {
    if (!frame) return;
    const width = Math.min(frame.width_px, Math.max(frame.width_px / MOST, view.width / factor));
    const height = (width * frame.height_px) / frame.width_px;
    view = { x: view.x + (view.width - width) * atX, y: view.y + (view.height - height) * atY, width, height };
    apply();
  }

  function drawCell(cell) {
    const points = cell.outline_px.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const why = unscored(cell);
    const what = why ? `${cell.withheld ? "score withheld" : "not scored"}: ${words(why)}` : `score ${score(cell.score)}`;
    const name = `Cell ${cell.track_number ?? cell.number}, ${what}`;
    return s("a", { href: `#/cell/${cell.cell_id}`, "aria-label": name, tabindex: -1, "data-key": `cell-${cell.track_number ?? cell.number}` },
      s("title", {}, name),
      s("polygon", { class: "under", points }),
      s("polygon", { class: why ? "outline withheld" : "outline", points, stroke: why ? null : colour(cell.score), style: { fill: why ? "url(#hatch)" : "transparent" } }));
  }

  /** Puts a frame's outlines and its picture on the screen in one go: outlines never lie over another frame's picture. */
  function draw(next, source) {
    const same = frame && frame.width_px === next.width_px && frame.height_px === next.height_px;
    const again = frame?.frame_id === next.frame_id;
    frame = { ...next, width_px: next.width_px ?? 1024, height_px: next.height_px ?? 768 };
    root.style.aspectRatio = `${frame.width_px} / ${frame.height_px}`;
    if (source) {
      image.setAttribute("width", frame.width_px);
      image.setAttribute("height", frame.height_px);
      image.setAttribute("href", source);
    } else image.removeAttribute("href");
    if (again) return;
    cells.replaceChildren(...(next.cells ?? []).map(drawCell));
    cells.querySelector("a")?.setAttribute("tabindex", 0);
    if (same) apply();
    else reset();
  }

  function show(next) {
    wanted = next.frame_id;
    notice.hidden = true;
    notice.classList.remove("quiet");
    const source = `/api/v1/frames/${next.frame_id}/image.png?width_px=2048`;
    const ready = new Image();
    // The frame before stays a moment so that the screen does not flicker; then outlines come alone and the picture follows.
    const alone = setTimeout(() => {
      if (wanted === next.frame_id) draw(next, null);
    }, frame ? PATIENCE_MS : 0);
    ready.onload = () => {
      clearTimeout(alone);
      if (wanted === next.frame_id) draw(next, source);
    };
    ready.onerror = () => {
      clearTimeout(alone);
      if (wanted !== next.frame_id) return;
      draw(next, null);
      if (!notice.hidden) return;
      notice.replaceChildren(h("strong", {}, "The picture cannot be shown"), h("span", {}, "Its file is not where it was, or was changed. Outlines and scores are kept."));
      // With cells to look at, a line at the foot is enough.
      notice.classList.toggle("quiet", (next.cells ?? []).length > 0);
      notice.hidden = false;
    };
    ready.src = source;
  }

  function say(title, text) {
    notice.replaceChildren(h("strong", {}, title), h("span", {}, text));
    notice.hidden = false;
  }

  // One tab stop for all cells; arrows walk through them, + - 0 zoom.
  root.addEventListener("keydown", (event) => {
    const all = [...cells.querySelectorAll("a")];
    const at = all.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && at >= 0) {
      const next = all[(at + step + all.length) % all.length];
      all[at].setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    } else if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") reset();
    else return;
    event.preventDefault();
  });

  root.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !root.classList.contains("zoomed")) return;
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 300), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }, { passive: false });

  picture.addEventListener("dblclick", (event) => {
    const box = picture.getBoundingClientRect();
    zoom(STEP * STEP, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });

  const fingers = new Map();
  let moved = 0;
  picture.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    moved = 0;
  });
  picture.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const box = picture.getBoundingClientRect();
    if (fingers.size === 2) {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY);
      zoom(apart(event) / Math.max(1, apart(before)), ((event.clientX + other.clientX) / 2 - box.left) / box.width, ((event.clientY + other.clientY) / 2 - box.top) / box.height);
      moved = 99;
    } else if (root.classList.contains("zoomed")) {
      moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
      if (moved > 4) {
        root.classList.add("dragging");
        view.x -= ((event.clientX - before.clientX) / box.width) * view.width;
        view.y -= ((event.clientY - before.clientY) / box.height) * view.height;
        apply();
      }
    }
    fingers.set(event.pointerId, event);
  });
  const lift = (event) => {
    fingers.delete(event.pointerId);
    root.classList.remove("dragging");
  };
  for (const kind of ["pointerup", "pointercancel", "pointerleave"]) picture.addEventListener(kind, lift);
  // A drag is not a click on the cell under it.
  picture.addEventListener("click", (event) => {
    if (moved > 4) event.preventDefault();
  }, true);
  picture.addEventListener("dragstart", (event) => event.preventDefault());

  const resized = new ResizeObserver(apply);
  resized.observe(root);
  return { root, show, say, stop: () => resized.disconnect() };
}
