// One field of view: any of its frames, the film strip back in time, its cells.
import { all, get } from "./api.js";
import { empty, ghost, h, panel, showCurrent, swap } from "./dom.js";
import { colour, legend } from "./scale.js";
import { viewer } from "./viewer.js";
import { count, measure, moment, plural, score, unscored, words } from "./words.js";

const STRIP = 24;

/** Thumbnails newest first; `more` loads older ones. */
export function frameStrip(page, { current, fov, more }) {
  const items = page.items.map((frame) => {
    const failed = frame.state === "failed";
    const thumb = h("div", { class: "thumb" }, failed ? h("span", {}, words(frame.code)) : h("img", { src: `/api/v1/frames/${frame.frame_id}/image.png?width_px=208`, alt: "", width: 100, height: 74, loading: "lazy", onerror: (event) => event.target.replaceWith("no picture") }));
    const name = failed ? `t${frame.time_index}, failed: ${words(frame.code)}` : `t${frame.time_index}, ${plural(frame.cell_count, "cell", "cells")}, mean score ${score(frame.score)}`;
    return h("a", { href: `#/field/${fov}/${frame.frame_id}`, "aria-label": name, "aria-current": frame.frame_id === current ? "true" : null, "data-key": `frame-${frame.frame_id}` },
      thumb, h("div", { class: "meta" }, h("span", {}, `t${frame.time_index}`),
        !failed && h("span", {}, frame.score !== null && h("i", { class: "dot", style: { background: colour(frame.score) } }), score(frame.score))));
  });
  return h("nav", { class: "panel", "aria-label": "Frames back in time, newest first" },
    h("div", { class: "strip", "data-scroll": "strip" }, items, more && page.next_cursor && h("button", { type: "button", onclick: more, "data-key": "older" }, "older")));
}

/** A choice among fields of view; `first` stands for none. */
export function fieldPicker(fovs, chosen, pick, first) {
  const options = fovs.map((fov) => h("option", { value: fov.fov_id, selected: String(fov.fov_id) === String(chosen) }, `${fov.sample_name} · ${fov.name}`));
  return h("select", { "aria-label": "Field of view", "data-key": "field-picker", onchange: (event) => pick(event.target.value) }, first && h("option", { value: "", selected: !chosen }, first), options);
}

function cellTable(cells) {
  if (cells.length === 0) return empty("No cells in this frame", null, true);
  return h("div", { class: "scroll tall" }, h("table", { class: "table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Cell"), h("th", { scope: "col" }, "Score"), h("th", { scope: "col", class: "num" }, "Area"))),
    h("tbody", {}, [...cells].sort((a, b) => (a.track_number ?? 1e9) - (b.track_number ?? 1e9)).map((cell) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/cell/${cell.cell_id}`, "data-key": `row-${cell.track_number ?? cell.number}` }, cell.track_number ?? `(${cell.number})`)),
      h("td", {}, unscored(cell) ? h("span", { class: "muted" }, words(unscored(cell))) : [h("i", { class: "dot", style: { background: colour(cell.score) } }), score(cell.score)]),
      h("td", { class: "num" }, measure(cell.area_um2, "µm²", 0)))))));
}

/** The view of `#/field/<fov>[/<frame>]`. */
export function field(root, context, [fovId, frameId]) {
  const head = h("div", { class: "headline" }, h("h1", {}, "Field of view"));
  const picture = viewer({ label: "Frame with the outlines of its cells" });
  const told = h("span", { class: "hint" });
  const title = h("h2", {}, "Frame");
  const strip = h("div", {}, ghost(110));
  const cells = h("div", {}, ghost(200));
  const gaps = h("p", { class: "hint" });
  const step = (name, by) => h("button", { type: "button", class: "step", "aria-label": `${name} frame`, title: `${name} frame (${by > 0 ? "[" : "]"})`, onclick: () => go(by) }, by > 0 ? "‹" : "›");
  const older1 = step("Earlier", 1);
  const newer1 = step("Later", -1);
  const newest = h("a", { class: "hint", href: `#/field/${fovId}`, hidden: true }, "newest");
  const frames = h("section", { class: "panel" }, h("header", {}, older1, title, newer1, told, newest, h("span", { class: "push" }, legend())), picture.root);
  const film = h("div", { class: "stack" }, frames, strip, gaps);
  swap(root, head, h("div", { class: "two" }, film, panel("Cells in this frame", null, cells)));

  let page = null;
  let shown = null;
  let fov = null;
  let fovs = null;

  async function older() {
    const next = await get(`fovs/${fovId}/frames?limit=${STRIP}&cursor=${page.next_cursor}`);
    page = { items: [...page.items, ...next.items], next_cursor: next.next_cursor };
    drawStrip();
  }

  /** To the frame `by` places further back in the strip. */
  function go(by) {
    const at = page?.items.findIndex((frame) => frame.frame_id === shown) ?? -1;
    const next = at < 0 ? null : page.items[at + by];
    if (next) location.hash = `#/field/${fovId}/${next.frame_id}`;
  }
  const keys = (event) => {
    if (event.target.closest?.("input, select")) return;
    if (event.key === "[") go(1);
    if (event.key === "]") go(-1);
  };
  addEventListener("keydown", keys);

  const drawStrip = () => {
    swap(strip, page.items.length ? frameStrip(page, { current: shown, fov: fovId, more: older }) : empty("No frame is analysed yet", null, true));
    const at = page.items.findIndex((frame) => frame.frame_id === shown);
    older1.disabled = at < 0 || at + 1 >= page.items.length;
    newer1.disabled = at <= 0;
    showCurrent(strip);
  };

  /** A frame further back than the strip reaches is looked for there, within reason. */
  async function reach(signal) {
    for (let pages = 0; pages < 4 && page.next_cursor && !page.items.some((frame) => frame.frame_id === shown); pages += 1) {
      const next = await get(`fovs/${fovId}/frames?limit=500&cursor=${page.next_cursor}`, signal);
      page = { items: [...page.items, ...next.items], next_cursor: next.next_cursor };
    }
  }

  async function showFrame(id, signal) {
    const frame = await get(`frames/${id}`, signal);
    const changed = shown !== frame.frame_id;
    shown = frame.frame_id;
    swap(title, `t${frame.time_index ?? "?"}`);
    newest.hidden = !frameId || frame.frame_id === fov.newest_frame_id;
    told.textContent = [frame.acquired_unix_ms ?? frame.committed_unix_ms ? moment(frame.acquired_unix_ms ?? frame.committed_unix_ms) : null, frame.verdict && words(frame.verdict), frame.in_doubt ? "the finder is in doubt" : null, frame.channel].filter(Boolean).join(" · ");
    if (changed) picture.show(frame);
    if (frame.state === "failed") picture.say(`Failed: ${words(frame.code)}`, `${frame.path}${frame.reason ? ` — ${frame.reason}` : ""}`);
    swap(cells, cellTable(frame.cells));
  }

  async function load(signal) {
    const [found, strip1, holes] = await Promise.all([get(`fovs/${fovId}`, signal), get(`fovs/${fovId}/frames?limit=${STRIP}`, signal), get(`fovs/${fovId}/gaps?limit=20`, signal)]);
    fov = found;
    if (!page || page.items.length <= STRIP) page = strip1;
    else {
      const known = new Set(page.items.map((frame) => frame.frame_id));
      page.items.unshift(...strip1.items.filter((frame) => !known.has(frame.frame_id)));
    }
    const drawHead = () => swap(head, h("h1", {}, fovs && fovs.length > 1 ? fieldPicker(fovs, fovId, (id) => { location.hash = `#/field/${id}`; }) : `${fov.sample_name} · ${fov.name}`),
      h("p", {}, `${count(fov.frames.done)} of ${count(fov.last_time_index === null ? 0 : fov.last_time_index - fov.first_time_index + 1)} frames analysed · ${count(fov.track_count)} cells followed${fov.waiting_reason ? ` · t${fov.waiting_time_index} waits: ${words(fov.waiting_reason)}` : ""}`));
    if (!head.contains(document.activeElement)) drawHead();
    gaps.textContent = holes.items.length ? `Never came: ${holes.items.map((gap) => (gap.first_time_index === gap.last_time_index ? `t${gap.first_time_index}` : `t${gap.first_time_index} to t${gap.last_time_index}`)).join(", ")}${holes.next_cursor ? " and more" : ""}.` : "";
    const wanted = frameId ?? fov.newest_frame_id ?? page.items[0]?.frame_id;
    if (wanted) await showFrame(wanted, signal);
    else {
      picture.root.style.aspectRatio = "4 / 3";
      picture.say("No frame is analysed yet", "The first one appears here as soon as its result is recorded.");
      swap(cells, empty("No cells yet", null, true));
    }
    if (shown) await reach(signal);
    drawStrip();
    if (!fovs) {
      fovs = await all(`fovs?session_id=${fov.session_id}`, 500, signal);
      if (!head.contains(document.activeElement)) drawHead();
    }
  }

  return {
    load,
    stop() {
      removeEventListener("keydown", keys);
      picture.stop();
    },
  };
}
