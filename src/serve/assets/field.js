// One field of view: any of its frames, the film strip back in time, its cells.
import { get } from "./api.js";
import { empty, ghost, h, panel, swap } from "./dom.js";
import { colour, legend } from "./scale.js";
import { viewer } from "./viewer.js";
import { count, measure, moment, plural, score, words } from "./words.js";

/** Thumbnails newest first; `more` loads older ones. */
export function frameStrip(page, { current, fov, more }) {
  const items = page.items.map((frame) => {
    const failed = frame.state === "failed";
    const thumb = h("div", { class: "thumb" }, failed ? h("span", {}, words(frame.code)) : h("img", { src: `/api/v1/frames/${frame.frame_id}/image.png?width_px=208`, alt: "", loading: "lazy", onerror: (event) => event.target.replaceWith("no picture") }));
    const name = failed ? `t${frame.time_index}, failed: ${words(frame.code)}` : `t${frame.time_index}, ${plural(frame.cell_count, "cell", "cells")}, mean score ${score(frame.score)}`;
    return h("a", { href: `#/field/${fov}/${frame.frame_id}`, "aria-label": name, "aria-current": frame.frame_id === current ? "true" : null, "data-key": `frame-${frame.frame_id}` },
      thumb, h("div", { class: "meta" }, h("span", {}, `t${frame.time_index}`),
        !failed && h("span", {}, frame.score !== null && h("i", { class: "dot", style: { background: colour(frame.score) } }), score(frame.score))));
  });
  return h("nav", { class: "panel", "aria-label": "Frames back in time, newest first" },
    h("div", { class: "strip", "data-scroll": "strip" }, items, more && page.next_cursor && h("button", { type: "button", onclick: more, "data-key": "older" }, "older")));
}

function cellTable(cells) {
  if (cells.length === 0) return empty("No cells in this frame", null, true);
  return h("div", { class: "scroll" }, h("table", { class: "table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Cell"), h("th", { scope: "col" }, "Score"), h("th", { scope: "col", class: "num" }, "Area"))),
    h("tbody", {}, cells.map((cell) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/cell/${cell.cell_id}`, "data-key": `row-${cell.track_number ?? cell.number}` }, cell.track_number ?? `(${cell.number})`)),
      h("td", {}, cell.withheld ? h("span", { class: "muted" }, `withheld: ${words(cell.withheld)}`) : [h("i", { class: "dot", style: { background: colour(cell.score) } }), score(cell.score)]),
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
  const frames = h("section", { class: "panel" }, h("header", {}, title, told, h("span", { class: "push" }, legend())), picture.root);
  swap(root, head, h("div", { class: "two" }, h("div", { class: "stack" }, frames, strip, gaps), panel("Cells in this frame", null, cells)));

  let page = null;
  let shown = null;
  let fov = null;

  async function older() {
    const next = await get(`fovs/${fovId}/frames?limit=24&cursor=${page.next_cursor}`);
    page = { items: [...page.items, ...next.items], next_cursor: next.next_cursor };
    drawStrip();
  }

  const drawStrip = () => swap(strip, page.items.length ? frameStrip(page, { current: shown, fov: fovId, more: older }) : empty("No frame is analysed yet", null, true));

  async function showFrame(id, signal) {
    const frame = await get(`frames/${id}`, signal);
    shown = frame.frame_id;
    swap(title, `t${frame.time_index ?? "?"}`);
    told.textContent = [moment(frame.acquired_unix_ms ?? frame.committed_unix_ms), frame.verdict && words(frame.verdict), frame.channel].filter(Boolean).join(" · ");
    picture.show(frame);
    if (frame.state === "failed") picture.say(`Failed: ${words(frame.code)}`, `${frame.path}${frame.reason ? ` — ${frame.reason}` : ""}`);
    swap(cells, cellTable(frame.cells));
  }

  async function load(signal) {
    const [found, strip1, holes] = await Promise.all([get(`fovs/${fovId}`, signal), get(`fovs/${fovId}/frames?limit=24`, signal), get(`fovs/${fovId}/gaps?limit=20`, signal)]);
    fov = found;
    if (!page || page.items.length <= 24) page = strip1;
    else {
      const known = new Set(page.items.map((frame) => frame.frame_id));
      page.items.unshift(...strip1.items.filter((frame) => !known.has(frame.frame_id)));
    }
    swap(head, h("h1", {}, `Field ${fov.name}`), h("p", {}, `${fov.sample_name} · ${count(fov.frames.done)} frames analysed · ${count(fov.track_count)} cells followed${fov.waiting_reason ? ` · t${fov.waiting_time_index} waits: ${words(fov.waiting_reason)}` : ""}`));
    gaps.textContent = holes.items.length ? `Never came: ${holes.items.map((gap) => (gap.first_time_index === gap.last_time_index ? `t${gap.first_time_index}` : `t${gap.first_time_index} to t${gap.last_time_index}`)).join(", ")}${holes.next_cursor ? " and more" : ""}.` : "";
    const wanted = frameId ?? fov.newest_frame_id ?? page.items[0]?.frame_id;
    if (wanted) await showFrame(wanted, signal);
    else {
      picture.root.style.aspectRatio = "4 / 3";
      picture.say("No frame is analysed yet", "The first one appears here as soon as its result is recorded.");
      swap(cells, empty("No cells yet", null, true));
    }
    drawStrip();
  }

  return { load, stop: picture.stop };
}
