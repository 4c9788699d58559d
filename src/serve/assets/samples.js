// Samples side by side: calls on one axis, scores over time in one plot, distributions beside each other.
import { all, get } from "./api.js";
import { NARROW, empty, fit, ghost, h, panel, swap } from "./dom.js";
import { sampleCard } from "./overview.js";
import { histogram, interval, timeline } from "./plot.js";
import { VERDICTS, count, moment, plural, score, words } from "./words.js";

// Neither blue nor orange, which mean low and high; lines carry their names, so colour is only a help.
const TONES = ["#00936b", "#a06bd6", "#b58900", "#d05c9a", "#5c8f9e", "#8a7f6d", "#4c9f38", "#7d7bd0"];
/** Samples compared when nobody chose. */
const AT_FIRST = 6;

/** Cells so far, and of how many. */
function progress(sample) {
  const call = sample.call;
  const so_far = call?.cell_count ?? sample.track_count;
  if (!call?.cells_needed || call.verdict === "high" || call.verdict === "low") return count(so_far);
  const share = so_far / (so_far + call.cells_needed);
  return [h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * share}%` } })), `${count(so_far)} of about ${count(so_far + call.cells_needed)}`];
}

function needs(call) {
  if (call === null) return "not looked at yet";
  if (call.standing_since_unix_ms) return `stands since ${moment(call.standing_since_unix_ms)}`;
  const reason = words(call.reason);
  if (call.cells_needed) return [h("div", {}, `about ${count(call.cells_needed)} more cells`), h("div", { class: "hint" }, reason)];
  if (call.fovs_needed) return [h("div", {}, `about ${plural(call.fovs_needed, "more field", "more fields")}`), h("div", { class: "hint" }, reason)];
  return reason;
}

function callTable(samples) {
  return h("div", { class: "scroll" }, h("table", { class: "table calls" },
    h("thead", {}, h("tr", {}, ["Sample", "Call", "Score and 95 % interval", "Cells so far", "Fields", "Withheld", "What it would take"].map((name, i) => h("th", { scope: "col", class: i > 2 && i < 6 ? "num" : null }, name)))),
    h("tbody", {}, samples.map((sample) => {
      const call = sample.call;
      const verdict = call?.verdict ?? "undecided";
      return h("tr", {},
        h("th", { scope: "row" }, sample.name, sample.label && h("span", { class: "tag", style: { marginLeft: "8px" } }, `known ${sample.label}`)),
        h("td", {}, h("span", { class: `verdict ${verdict}` }, VERDICTS[verdict])),
        h("td", { style: { minWidth: "260px" } }, interval({ score: call?.score ?? null, low: call?.interval_low, high: call?.interval_high, width: 280 }),
          call && h("span", { class: "hint" }, `${score(call.score)} (${score(call.interval_low)} to ${score(call.interval_high)})`)),
        h("td", { class: "num" }, progress(sample)),
        h("td", { class: "num" }, count(call?.fov_count ?? sample.fov_count)),
        h("td", { class: "num" }, call ? `${Math.round(100 * call.withheld_share)} %` : "–"),
        h("td", {}, needs(call)));
    }))));
}

/** The view of `#/samples[/<sample>,<sample>]`. */
export function samplesView(root, context, [chosen]) {
  const calls = h("div", {}, ghost(160));
  const trend = h("div", { class: "body" }, ghost(220));
  const spread = h("div", { class: "halves" });
  const chips = h("div", { class: "chips push", role: "group", "aria-label": "Samples to compare" });
  swap(root, h("div", { class: "headline" }, h("h1", {}, "Samples"), h("p", {}, "Research use: a score says how alike cells are to the training set's metastatic ones. It is not a diagnosis.")),
    panel("Calls", null, calls), panel("Score over time", [h("span", { class: "hint" }, "mean over cells, band: one standard error"), chips], trend), spread);

  async function load(signal) {
    const samples = await all("samples", 100, signal);
    if (samples.length === 0) {
      swap(calls, empty("No sample yet", "Samples are named by the folder or the file name.", true));
      swap(trend, empty("Nothing to plot yet", null, true));
      return;
    }
    swap(calls, NARROW.matches ? samples.map((sample) => sampleCard(sample)) : callTable(samples));
    const wanted = new Set(chosen ? chosen.split(",").map(Number) : samples.slice(0, AT_FIRST).map((sample) => sample.sample_id));
    const tone = new Map(samples.map((sample, i) => [sample.sample_id, TONES[i % TONES.length]]));
    const toggle = (id) => {
      const next = new Set(wanted);
      if (!next.delete(id)) next.add(id);
      location.hash = `#/samples/${[...next].join(",")}`;
    };
    swap(chips, samples.length > 1 && samples.map((sample) => h("button", { type: "button", class: "chip", "aria-pressed": String(wanted.has(sample.sample_id)), "data-key": `chip-${sample.sample_id}`, onclick: () => toggle(sample.sample_id) },
      h("i", { class: "dot", style: { background: tone.get(sample.sample_id) } }), sample.name)));
    const compared = samples.filter((sample) => wanted.has(sample.sample_id)).slice(0, TONES.length);
    const [trends, spreads] = await Promise.all(["trend", "distribution"].map((what) => Promise.all(compared.map((sample) => get(`samples/${sample.sample_id}/${what}`, signal)))));
    const series = trends.map((points, i) => ({ name: compared[i].name, tone: tone.get(compared[i].sample_id), points: points.map((p) => ({ t: p.time_index, value: p.score, low: p.score_low, high: p.score_high })) })).filter((one) => one.points.length > 0);
    swap(trend, timeline(series, { width: fit(1100), height: NARROW.matches ? 220 : 300, label: `Score over time for ${series.map((one) => one.name).join(", ")}` }) ?? empty("No scores yet", null, true));
    swap(spread, spreads.map((one, i) => panel(`Cells of ${compared[i].name} by score`, h("span", { class: "hint push" }, one.median === null ? "no score" : `median ${score(one.median)}, ${plural(one.scored_tracks, "cell", "cells")}, ${one.unscored_tracks} without a score`),
      h("div", { class: "body" }, histogram(one.track_counts, { width: fit(520), height: 130, label: `Cells of ${compared[i].name} by score` })))));
  }

  return { load };
}
