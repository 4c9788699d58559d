// One cell: its crop with the outline, its track, its score over time, its hallmarks.
import { get } from "./api.js";
import { NARROW, empty, fit, ghost, h, panel, s, swap } from "./dom.js";
import { timeline } from "./plot.js";
import { colour } from "./scale.js";
import { count, measure, moment, plural, score, words } from "./words.js";

const CROP_UM = 70.5;

function crop(cell) {
  const side = cell.pixel_size_um ? Math.round(CROP_UM / cell.pixel_size_um) : 217;
  const left = Math.round(cell.x_px) - Math.floor(side / 2);
  const top = Math.round(cell.y_px) - Math.floor(side / 2);
  const points = cell.outline_px.map(([x, y]) => `${(x - left).toFixed(1)},${(y - top).toFixed(1)}`).join(" ");
  return h("div", { class: "cropbox viewer" }, s("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "The cell with its outline" },
    s("image", { href: `/api/v1/cells/${cell.cell_id}/crop.png`, width: side, height: side }),
    s("polygon", { class: "under", points }), s("polygon", { class: cell.withheld ? "outline withheld" : "outline", points, stroke: cell.withheld ? null : colour(cell.score) })));
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function facts(cell) {
  return h("dl", { class: "facts" },
    fact("Area", measure(cell.area_um2, "µm²", 0)), fact("Perimeter", measure(cell.perimeter_um, "µm")),
    fact("Long × short axis", `${cell.major_axis_um.toFixed(1)} × ${cell.minor_axis_um.toFixed(1)} µm`),
    fact("Eccentricity", cell.eccentricity.toFixed(2)), fact("Solidity", cell.solidity.toFixed(2)),
    fact("Pseudopodial extensions", count(cell.protrusion_count)), fact("Their length", measure(cell.protrusion_total_um, "µm")), fact("The longest", measure(cell.protrusion_longest_um, "µm")),
    fact("Light scattering", cell.scattering.toFixed(2)), fact("Distance from the training set", cell.distance === null ? "–" : cell.distance.toFixed(1)));
}

/** Up to `most` cells evenly over the track. */
function sampled(cells, most) {
  if (cells.length <= most) return cells;
  return Array.from({ length: most }, (_, i) => cells[Math.round((i * (cells.length - 1)) / (most - 1))]);
}

function hallmark(cells, name, of, unit, now) {
  const points = cells.map((cell) => ({ t: cell.time_index, value: of(cell) }));
  const most = Math.max(...points.map((point) => point.value), 1e-9);
  const least = Math.min(0, ...points.map((point) => point.value));
  return panel(name, h("span", { class: "hint push" }, unit), h("div", { class: "body" },
    timeline([{ name, tone: "var(--accent)", points }], { width: fit(520), height: 170, range: [least, most * 1.08], threshold: null, unit: name, label: `${name} over time`, now })));
}

/** Where the score goes from one side to the other and stays there for five frames. */
function transitions(points) {
  const found = [];
  let side = null;
  for (let i = 0; i + 5 <= points.length; i += 1) {
    const next = points.slice(i, i + 5);
    const here = next.every((p) => p.value > 0.5) ? "high" : next.every((p) => p.value < 0.5) ? "low" : side;
    if (side !== null && here !== side) found.push({ t: next[0].t, to: here });
    side = here;
  }
  return found;
}

/** The view of `#/cell/<cell>`. */
export function cellView(root, context, [cellId]) {
  swap(root, ghost(40, 300, 240));

  async function load(signal) {
    const cell = await get(`cells/${cellId}`, signal);
    const [track, fov] = await Promise.all([cell.track_id ? get(`tracks/${cell.track_id}?limit=500`, signal) : null, cell.fov_id ? get(`fovs/${cell.fov_id}`, signal) : null]);
    const cells = track?.cells.items.filter((one) => one.time_index !== null) ?? [];
    const points = cells.filter((one) => one.score !== null).map((one) => ({ t: one.time_index, value: one.score, fill: colour(one.score) }));
    const turns = transitions(points);
    const relatives = [track?.parent_track_id && ["mother", track.parent_track_id], ...(track?.child_track_ids ?? []).map((id) => ["daughter", id])].filter(Boolean);
    const shownCells = sampled(cells, 16);
    swap(root,
      h("div", { class: "headline" }, h("h1", {}, `Cell ${cell.track_number ?? cell.number}`),
        h("p", {}, fov && [h("a", { href: `#/field/${fov.fov_id}/${cell.frame_id}` }, `${fov.name}, t${cell.time_index}`), ` · ${fov.sample_name} · ${moment(cell.acquired_unix_ms)}`])),
      h("div", { class: "two" },
        h("div", { class: "stack" },
          panel("Score over time", h("span", { class: "hint push" }, track ? `${count(track.scored_count)} of ${plural(track.cell_count, "frame counts", "frames count")}` : null),
            h("div", { class: "body" }, points.length > 1 ? timeline([{ name: "score", tone: "var(--muted)", points }], { width: fit(860), height: NARROW.matches ? 200 : 260, dots: true, now: cell.time_index, domain: [track.first_time_index, track.last_time_index], label: "Score of this cell over time" }) : empty("No score over time", track ? "Its scores are withheld." : "This cell was not followed.", true),
              h("p", { class: "hint" }, turns.length ? `Transitions that lasted: ${turns.map((turn) => `to ${turn.to} at t${turn.t}`).join(", ")}.` : points.length > 5 ? "No lasting transition." : ""))),
          shownCells.length > 1 && panel("Over time", h("span", { class: "hint push" }, `t${track.first_time_index} to t${track.last_time_index}`),
            h("div", { class: "crops" }, shownCells.map((one) => h("a", { href: `#/cell/${one.cell_id}`, "aria-current": one.cell_id === cell.cell_id ? "true" : null, "aria-label": `t${one.time_index}, score ${score(one.score)}` },
              h("img", { src: `/api/v1/cells/${one.cell_id}/crop.png`, alt: "", loading: "lazy", style: { borderColor: one.withheld ? "transparent" : colour(one.score) } }), `t${one.time_index}`)))),
          cells.length > 1 && h("div", { class: "halves" }, hallmark(cells, "Pseudopodial extensions", (one) => one.protrusion_total_um, "summed length, µm", cell.time_index), hallmark(cells, "Light scattering", (one) => one.scattering, "relative to the background", cell.time_index))),
        h("div", { class: "stack first-on-phone" },
          panel(`At t${cell.time_index}`, h("span", { class: "hint push" }, `${CROP_UM} µm`), crop(cell)),
          panel("Score", null, h("div", { class: "body" },
            cell.withheld ? [h("p", { class: "big muted" }, "Withheld"), h("p", { class: "hint" }, `This cell ${/^(cut|looks)/.test(words(cell.withheld)) ? "is " : ""}${words(cell.withheld)}`.replace("is looks", "looks"))]
              : [h("p", { class: "big" }, h("i", { class: "dot", style: { background: colour(cell.score), width: "16px", height: "16px", marginRight: "10px" } }), score(cell.score)), h("p", { class: "hint" }, track?.score !== null && track ? `Over its whole track: ${score(track.score)}` : "Not followed")])),
          panel("Shape", null, h("div", { class: "body" }, facts(cell))),
          relatives.length > 0 && panel("Relatives", null, h("div", { class: "body" }, relatives.map(([kind, id]) => h("p", {}, `${kind}: track ${id}`)))))));
  }

  return { load, still: true };
}
