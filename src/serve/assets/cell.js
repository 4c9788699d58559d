// One cell: its crop with the outline, its score over time with the changes of state, what drives the score, its hallmarks, its path.
import { get } from "./api.js";
import { NARROW, empty, fit, ghost, h, panel, s, showCurrent, swap } from "./dom.js";
import { timeline } from "./plot.js";
import { colour } from "./scale.js";
import { count, measure, moment, plural, score, signed, unscored, words } from "./words.js";

const CROP_UM = 70.5;
const MOST_FRAMES = 3000;

function crop(cell) {
  const side = cell.pixel_size_um ? Math.round(CROP_UM / cell.pixel_size_um) : 217;
  const left = Math.round(cell.x_px) - Math.floor(side / 2);
  const top = Math.round(cell.y_px) - Math.floor(side / 2);
  const points = cell.outline_px.map(([x, y]) => `${(x - left).toFixed(1)},${(y - top).toFixed(1)}`).join(" ");
  const none = unscored(cell) !== null;
  const notice = h("div", { class: "notice", hidden: true }, h("strong", {}, "The picture cannot be shown"), h("span", {}, "Its file is not where it was, or was changed."));
  const image = s("image", { href: `/api/v1/cells/${cell.cell_id}/crop.png`, width: side, height: side });
  image.addEventListener("error", () => { image.remove(); notice.hidden = false; });
  return h("div", { class: "cropbox viewer" }, s("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "The cell with its outline" }, image,
    s("polygon", { class: "under", points }), s("polygon", { class: none ? "outline withheld" : "outline", points, stroke: none ? null : colour(cell.score) })), notice);
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function facts(cell) {
  return h("dl", { class: "facts" },
    fact("Area", measure(cell.area_um2, "µm²", 0)), fact("Perimeter", measure(cell.perimeter_um, "µm")),
    fact("Long × short axis", `${cell.major_axis_um.toFixed(1)} × ${cell.minor_axis_um.toFixed(1)} µm`),
    fact("Eccentricity", cell.eccentricity.toFixed(2)), fact("Solidity", cell.solidity.toFixed(2)),
    fact("Pseudopodial extensions", count(cell.protrusion_count)), fact("Their length", measure(cell.protrusion_total_um, "µm")), fact("The longest", measure(cell.protrusion_longest_um, "µm")),
    fact("Light scattering", measure(cell.scattering, "µm²")), fact("Distance from the training set", cell.distance === null ? "–" : cell.distance.toFixed(1)));
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

/** Where the cell went: its path in the frame, the present place marked. */
function path(cells, cell) {
  const um = cell.pixel_size_um ?? null;
  const [xs, ys] = [cells.map((one) => one.x_px), cells.map((one) => one.y_px)];
  const middle = (all) => (Math.min(...all) + Math.max(...all)) / 2;
  const reach = Math.max(20, ...[xs, ys].map((all) => Math.max(...all) - Math.min(...all))) * 0.6;
  const [left, top] = [middle(xs) - reach, middle(ys) - reach];
  const travelled = cells.slice(1).reduce((sum, one, i) => sum + Math.hypot(one.x_px - cells[i].x_px, one.y_px - cells[i].y_px), 0);
  const net = Math.hypot(xs.at(-1) - xs[0], ys.at(-1) - ys[0]);
  const told = um ? `${measure(travelled * um, "µm", 0)} travelled, ${measure(net * um, "µm", 0)} from its start` : `${count(travelled)} px travelled`;
  const r = reach / 42;
  return panel("Path", h("span", { class: "hint push" }, `${measure(2 * reach * (um ?? 1), um ? "µm" : "px", 0)} across`),
    h("div", { class: "body" }, s("svg", { class: "plot path-plot", viewBox: `${left} ${top} ${2 * reach} ${2 * reach}`, role: "img", "aria-label": `Path of the cell: ${told}` },
      s("polyline", { class: "path", points: cells.map((one) => `${one.x_px.toFixed(1)},${one.y_px.toFixed(1)}`).join(" "), stroke: "var(--muted)", "vector-effect": "non-scaling-stroke" }),
      s("circle", { cx: xs[0], cy: ys[0], r: r * 1.1, fill: "none", stroke: "var(--muted)", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }),
      s("circle", { cx: cell.x_px, cy: cell.y_px, r: r * 1.6, fill: "var(--accent)" })),
      h("p", { class: "hint" }, `${told}. Ring: where it was first.`)));
}

/** The cell from low to high along the driving feature: exaggerated, as the decoder draws it, and training cells; and the features in numbers. */
function explanation(cell, found) {
  const [driving] = found.features;
  const [own, kin] = [found.exaggerated.length > 0, found.kin.length > 0];
  const rows = 2 + (own ? 1 : 0) + (kin ? 1 : 0);
  const measured = (one) => one.scattering_um2 === null ? "" : `: ${measure(one.protrusion_total_um, "µm", 1)}, ${measure(one.scattering_um2, "µm²", 2)}`;
  const relatives = found.kin.map((one) => `${signed(one.shift_sd, 1)} sd${one.high === null ? "" : one.high ? ", high" : ", low"}${measured(one)}`).join("; ");
  const exaggerated = found.exaggerated.map((one) => measured(one).slice(2) || "not measured").join("; ");
  const captions = (all, digits) => h("figcaption", { style: { gridTemplateColumns: `repeat(${all.length}, 1fr)` } }, all.map(caption(digits)));
  const caption = (digits) => (one) => h("span", {}, h("b", {}, one.shift_sd === 0 ? "as it is" : `${signed(one.shift_sd, digits)} sd`), one.score === null ? "withheld" : [h("i", { class: "dot", style: { background: colour(one.score) } }), score(one.score)]);
  const alt = [
    own && `This cell with its protrusions and granules exaggerated, from low to high.`,
    `What the model's decoder draws for it when feature ${driving.feature} is moved by ${found.shifts[0].shift_sd} to ${found.shifts.at(-1).shift_sd} standard deviations, and below each where it is brighter than the unmoved picture.`,
    kin && "At the bottom training cells that lie as far along the feature.",
  ];
  return [h("div", { class: "strips" },
    h("figure", { class: "explained" },
      own && captions(found.exaggerated, 1),
      h("img", { src: `/api/v1/cells/${cell.cell_id}/explanation.png`, width: 1804, height: rows * 258 - 2, alt: alt.filter(Boolean).join(" ") }),
      captions(found.shifts, 0))),
  h("div", { class: "body" },
    own && h("p", { class: "hint" }, `Top: this cell's own picture with longer or shorter protrusions and denser or fainter granules, drawn by a network that was taught on simulated cells; both are changed in the proportion in which they move feature ${driving.feature}. Above each, by how much the model reads that feature higher, and its score. From left to right, protrusions and scattering, measured: ${exaggerated}.`),
    h("p", { class: "hint" }, `${own ? "Then" : "Top"}: what the decoder draws when feature ${driving.feature}, which goes most strongly with this model's score, is moved as written below the pictures; under it, where that is brighter than the middle picture (${found.gain.toFixed(1)} times stretched). Drawn by the model, not photographed; a decoder draws neither grain nor thin protrusions.`),
    kin && h("p", { class: "hint" }, `Bottom: training cells whose feature really lies that far from this cell's, otherwise as like it as there are. From left to right, with protrusions and scattering: ${relatives}.`),
    h("div", { class: "scroll" }, h("table", { class: "table small-table" }, h("thead", {}, h("tr", {}, ["Feature", "Goes with the score", "This cell", "Adds to the log odds"].map((name, i) => h("th", { scope: "col", class: i ? "num" : null }, name)))),
      h("tbody", {}, found.features.map((one) => h("tr", {}, h("th", { scope: "row" }, one.feature), h("td", { class: "num" }, `r ${signed(one.correlation, 2)}`), h("td", { class: "num" }, `${signed(one.value_sd, 1)} sd`), h("td", { class: "num" }, signed(one.adds_logit, 2))))))))];
}

function verdict(cell, track) {
  const why = unscored(cell);
  if (why === null) return [h("p", { class: "big" }, h("i", { class: "dot", style: { background: colour(cell.score), width: "16px", height: "16px", marginRight: "10px" } }), score(cell.score)), h("p", { class: "hint" }, track && track.score !== null ? `Over its whole track: ${score(track.score)}` : track ? "No score over its track" : "Not followed")];
  const text = words(why);
  return [h("p", { class: "big muted" }, cell.withheld ? "Withheld" : "Not scored"), h("p", { class: "hint" }, `${text.charAt(0).toUpperCase()}${text.slice(1)}.`)];
}

async function wholeTrack(id, signal) {
  const track = await get(`tracks/${id}?limit=500`, signal);
  let next = track.cells.next_cursor;
  while (next && track.cells.items.length < MOST_FRAMES) {
    const more = await get(`tracks/${id}?limit=500&cursor=${next}`, signal);
    track.cells.items.push(...more.cells.items);
    next = more.cells.next_cursor;
  }
  return track;
}

/** Links to mother and daughters: to the cell nearest in time. */
async function relatives(track, signal) {
  const known = [track.parent_track_id && ["Mother", track.parent_track_id], ...track.child_track_ids.map((id) => ["Daughter", id])].filter(Boolean);
  return Promise.all(known.map(async ([kind, id]) => {
    const of = await get(`tracks/${id}?limit=1`, signal);
    return h("li", {}, h("a", { href: `#/cell/${of.cells.items[0]?.cell_id}` }, `${kind}: cell ${of.number}`), h("span", { class: "hint" }, ` t${of.first_time_index} to t${of.last_time_index}, score ${score(of.score)}`));
  }));
}

/** The view of `#/cell/<cell>`. */
export function cellView(root, context, [cellId]) {
  swap(root, ghost(40, 300, 240));

  async function load(signal) {
    const cell = await get(`cells/${cellId}`, signal);
    const [track, fov] = await Promise.all([cell.track_id ? wholeTrack(cell.track_id, signal) : null, cell.fov_id ? get(`fovs/${cell.fov_id}`, signal) : null]);
    const cells = track?.cells.items.filter((one) => one.time_index !== null) ?? [];
    const points = cells.filter((one) => one.score !== null).map((one) => ({ t: one.time_index, value: one.score, fill: colour(one.score) }));
    const shownCells = sampled(cells, 16);
    const plot = h("div", { class: "body" });
    const why = h("div", {}, ghost(180));
    const kin = h("div", {});
    const drawScore = (course) => swap(plot,
      points.length > 1 ? timeline([{ name: "score", tone: "var(--muted)", points }], { width: fit(860), height: NARROW.matches ? 210 : 260, dots: true, now: cell.time_index, domain: [track.first_time_index, track.last_time_index], label: "Score of this cell over time", marks: (course?.changes ?? []).map((turn) => ({ t: turn.time_index, text: `to ${turn.to}` })), smooth: (course?.frames ?? []).map((one) => ({ t: one.time_index, value: one.smoothed_score })) })
        : empty("No score over time", track ? "Its scores are withheld." : "This cell was not followed.", true),
      h("p", { class: "hint" }, course === null ? "" : changes(course)));
    swap(root,
      h("div", { class: "headline" }, h("h1", {}, `Cell ${cell.track_number ?? cell.number}`),
        h("p", {}, fov && [h("a", { href: `#/field/${fov.fov_id}/${cell.frame_id}` }, `${fov.sample_name} · ${fov.name}, t${cell.time_index}`), cell.acquired_unix_ms !== null && ` · ${moment(cell.acquired_unix_ms)}`])),
      h("div", { class: "two" },
        h("div", { class: "stack" },
          panel("Score over time", h("span", { class: "hint push" }, track ? `${count(track.scored_count)} of ${plural(track.cell_count, "frame counts", "frames count")}` : null), plot),
          shownCells.length > 1 && panel("Over time", h("span", { class: "hint push" }, `t${track.first_time_index} to t${track.last_time_index}`),
            h("div", { class: "crops", "data-scroll": "crops" }, shownCells.map((one) => h("a", { href: `#/cell/${one.cell_id}`, "aria-current": one.cell_id === cell.cell_id ? "true" : null, "aria-label": `t${one.time_index}, ${one.score === null ? "no score" : `score ${score(one.score)}`}` },
              h("img", { src: `/api/v1/cells/${one.cell_id}/crop.png`, alt: "", width: 84, height: 84, loading: "lazy", onerror: (event) => event.target.replaceWith(h("span", { class: "lost" }, "no picture")), ...(one.score === null ? { class: "withheld" } : { style: { borderColor: colour(one.score) } }) }), `t${one.time_index}`)))),
          panel("What drives the score", h("span", { class: "hint push" }, "the model's own view"), why),
          cells.length > 1 && h("div", { class: "halves" }, hallmark(cells, "Pseudopodial extensions", (one) => one.protrusion_total_um, "summed length, µm", cell.time_index), hallmark(cells, "Light scattering", (one) => one.scattering, "area weighted by light and grain, µm²", cell.time_index))),
        h("div", { class: "stack side" },
          h("div", { class: "stack first-on-phone" }, panel(`At t${cell.time_index}`, h("span", { class: "hint push" }, `${CROP_UM} µm`), crop(cell)),
            panel("Score", null, h("div", { class: "body" }, verdict(cell, track)))),
          panel("Shape and hallmarks", null, h("div", { class: "body" }, facts(cell))),
          cells.length > 1 && path(cells, cell), kin)));
    drawScore(null);
    showCurrent(root);
    // What takes longer comes when it is there; each says for itself when it cannot.
    const later = async (into, work) => {
      try {
        await work();
      } catch (error) {
        if (error.name !== "AbortError") into(error);
      }
    };
    await Promise.all([
      later(() => drawScore(null), async () => {
        let course = track && await get(`tracks/${track.track_id}/course`, signal);
        if (course) drawScore(course);
        while (course?.pending) {
          await new Promise((done) => setTimeout(done, 5000));
          course = await get(`tracks/${track.track_id}/course`, signal);
          if (!course.pending) drawScore(course);
        }
      }),
      later((error) => swap(why, empty("No explanation", error.message, true)), async () => {
        if (unscored(cell) !== null) swap(why, empty("No explanation", "The score is not shown, so there is nothing to explain.", true));
        else swap(why, explanation(cell, await get(`cells/${cell.cell_id}/explanation`, signal)));
      }),
      later(() => {}, async () => {
        const found = track ? await relatives(track, signal) : [];
        if (found.length) swap(kin, panel("Relatives", null, h("ul", { class: "body" }, found)));
      }),
    ]);
  }

  return { load, still: true };
}

function changes(course) {
  if (course.reason) return `Changes of state cannot be told: ${course.reason}.`;
  const assumed = course.minutes_assumed ? " A minute per time point was taken: the files do not tell when they were acquired." : "";
  if (course.changes.length === 0) return `No lasting change of state.${assumed}`;
  return `Changed its state: ${course.changes.map((turn) => `to ${turn.to} at t${turn.time_index} (${turn.confidence > 0.99 ? "over 99" : Math.round(100 * turn.confidence)} % sure)`).join(", ")}.${assumed}`;
}
