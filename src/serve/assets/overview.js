// The session at a glance: is all well, what is called, the newest frame, where every field stands.
import { all, get } from "./api.js";
import { empty, ghost, glyph, h, panel, swap } from "./dom.js";
import { fieldPicker, frameStrip } from "./field.js";
import { interval, spark } from "./plot.js";
import { colour, legend } from "./scale.js";
import { viewer } from "./viewer.js";
import { VERDICTS, ago, bytes, count, moment, plural, score, span, words } from "./words.js";

/** One line that says whether all is well. */
export function headline(status) {
  const daemon = status.daemon;
  const broken = status.health.checks.filter((check) => !check.ok);
  if (broken.length > 0) return ["bad", "Needs attention", `${broken[0].name.replace("stage.", "stage ")}: ${broken[0].detail}`];
  if (!daemon) return ["calm", "Finished session", "Nothing is being watched; this is what was recorded."];
  if (!daemon.ready) return ["warn", "Starting", "Opening the database and loading the model."];
  if (daemon.paused) return ["warn", "Paused", daemon.paused];
  if (daemon.engine_warning) return ["warn", "Watching, on the slower engine", daemon.engine_warning];
  const severe = status.open_alerts.filter((alert) => alert.severity !== "info");
  if (severe.length > 0) return ["warn", "Watching", `${plural(severe.length, "alert is", "alerts are")} open.`];
  return ["good", "All is well", "Every stage moves, every file is accounted for."];
}

function figure(name, value, unit, note) {
  return h("div", {}, h("dt", {}, name), h("dd", { class: "value" }, value, unit && h("span", { class: "unit" }, unit)), h("dd", { class: "note" }, note));
}

function figures(status, fovs) {
  const daemon = status.daemon;
  const sum = (of) => fovs.reduce((total, fov) => total + of(fov), 0);
  const done = sum((fov) => fov.frames.done);
  const missing = sum((fov) => fov.missing_count);
  const known = sum((fov) => Object.values(fov.frames).reduce((a, b) => a + b, 0)) - sum((fov) => fov.frames.skipped);
  const failed = sum((fov) => fov.frames.failed);
  const newest = Math.max(0, ...fovs.map((fov) => fov.newest_committed_unix_ms ?? 0));
  const backlog = sum((fov) => fov.frames.ready + fov.frames.processing);
  const [free, unit] = bytes(status.disk?.free_bytes);
  const filling = daemon?.disk_filling_bytes_per_s;
  const full = filling && status.disk ? `full in about ${span(status.disk.free_bytes / filling)}` : null;
  const held = sum((fov) => fov.frames.waiting + fov.frames.seen);
  const gone = [missing && `${missing} missing`, failed && `${failed} failed`].filter(Boolean).join(", ");
  return h("dl", { class: "figures" },
    figure("Frames analysed", count(done), `of ${count(known + missing)} expected`, `${count(known)} received, ${gone || "none missing, none failed"}`),
    figure("Cells in view", count(sum((fov) => fov.newest_cell_count)), null, `${count(sum((fov) => fov.track_count))} followed so far`),
    figure("Newest result", newest ? ago(newest, status.now_unix_ms) : "–", null, newest ? moment(newest) : "none yet"),
    daemon && figure("File to result", daemon.latency_p50_ms === null ? "–" : span(daemon.latency_p50_ms / 1000), "median", daemon.latency_p99_ms === null ? "no frame yet" : `99 of 100 within ${span(daemon.latency_p99_ms / 1000)}`),
    daemon && figure("Backlog", backlog ? count(backlog) : "none", backlog ? (backlog === 1 ? "frame" : "frames") : null, [backlog && daemon.backlog_eta_s !== null ? `done in about ${span(daemon.backlog_eta_s)}` : backlog ? null : "keeping up", held && `${count(held)} held back`].filter(Boolean).join(", ")),
    figure("Disk", free, `${unit} free`, [full, `database ${bytes(status.database_size_bytes).join(" ")}`].filter(Boolean).join(", ")));
}

/** What is called for a sample, in a few lines. */
export function sampleCard(sample, trend) {
  const call = sample.call;
  const verdict = call?.verdict ?? "undecided";
  const value = call?.score ?? null;
  const needs = verdict === "high" || verdict === "low" ? null : call?.cells_needed ? `About ${plural(call.cells_needed, "more cell", "more cells")} would settle it.` : call?.fovs_needed ? `More cells here will not settle it; about ${plural(call.fovs_needed, "more field", "more fields")} would.` : null;
  const said = call === null ? "Not looked at yet."
    : verdict === "high" || verdict === "low" ? `Score ${score(value)} (${score(call.interval_low)} to ${score(call.interval_high)}) from ${plural(call.cell_count, "cell", "cells")} in ${plural(call.fov_count, "field", "fields")}.`
      : `${words(call.reason).replace(/^./, (c) => c.toUpperCase())}: ${score(value)} (${score(call.interval_low)} to ${score(call.interval_high)}), ${plural(call.cell_count, "cell", "cells")}.`;
  return h("article", { class: "sample" },
    h("div", { class: "name" }, h("a", { href: "#/samples", "data-key": `sample-${sample.sample_id}` }, sample.name),
      sample.label && h("span", { class: "tag" }, `known ${sample.label}`),
      h("span", { class: `verdict ${verdict}` }, VERDICTS[verdict])),
    interval({ score: value, low: call?.interval_low, high: call?.interval_high }),
    trend && spark(trend.map((point) => ({ t: point.time_index, value: point.score }))),
    h("p", { class: "words" }, said, needs && ` ${needs}`));
}

function fovState(fov, now) {
  if (fov.newest_verdict && fov.newest_verdict !== "usable") return ["is-warn", words(fov.newest_verdict)];
  if (fov.waiting_frame_id) return ["is-warn", `t${fov.waiting_time_index} waits: ${words(fov.waiting_reason)}`];
  if (fov.frames.ready + fov.frames.processing > 0) return ["", `${plural(fov.frames.ready + fov.frames.processing, "frame", "frames")} on the way`];
  if (!fov.newest_frame_id) return ["", "no result yet"];
  const bad = [fov.missing_count && `${fov.missing_count} missing`, fov.frames.failed && `${fov.frames.failed} failed`].filter(Boolean);
  return bad.length ? ["", `up to date, ${bad.join(", ")}`] : ["is-good", "up to date"];
}

function fovTable(fovs, now) {
  if (fovs.length === 0) return empty("No field of view yet", "They appear as soon as the first file is seen.", true);
  return h("div", { class: "scroll" }, h("table", { class: "table fields" },
    h("thead", {}, h("tr", {}, ["Field", "Sample", "Last frame", "Cells", "Analysed", "State"].map((name, i) => h("th", { scope: "col", class: i === 3 ? "num" : null }, name)))),
    h("tbody", {}, fovs.map((fov) => {
      const total = fov.last_time_index === null ? 0 : fov.last_time_index - fov.first_time_index + 1;
      const [tone, text] = fovState(fov, now);
      const lag = fov.newest_closed_unix_ms && fov.newest_committed_unix_ms ? span((fov.newest_committed_unix_ms - fov.newest_closed_unix_ms) / 1000) : null;
      return h("tr", {},
        h("th", { scope: "row" }, h("a", { href: `#/field/${fov.fov_id}`, "data-key": `fov-${fov.fov_id}`, "aria-label": `Field ${fov.name} of ${fov.sample_name}` }, fov.name)),
        h("td", {}, fov.sample_name),
        h("td", {}, fov.newest_frame_id ? [`t${fov.newest_time_index}, ${ago(fov.newest_committed_unix_ms, now)}`, lag && h("span", { class: "muted" }, ` · lag ${lag}`)] : "–"),
        h("td", { class: "num hide" }, count(fov.newest_cell_count)),
        h("td", { class: "hide" }, h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${total ? (100 * fov.frames.done) / total : 0}%` } })), `${count(fov.frames.done)} of ${count(total)}`),
        h("td", { class: `wide ${tone}` }, text));
    }))));
}

/** What is held back and why, field by field. */
function waitingList(fovs, now) {
  const held = fovs.filter((fov) => fov.waiting_frame_id);
  if (held.length === 0) return null;
  return panel("Held back", h("span", { class: "hint" }, "and why"), h("ul", { class: "body held" }, held.slice(0, 6).map((fov) => h("li", {},
    h("a", { href: `#/field/${fov.fov_id}` }, `${fov.sample_name} · ${fov.name}, t${fov.waiting_time_index ?? "?"}`), h("span", {}, words(fov.waiting_reason)),
    h("span", { class: "hint" }, `for ${span((now - fov.waiting_since_unix_ms) / 1000)}${fov.frames.waiting > 1 ? `, ${fov.frames.waiting} frames` : ""}`))),
    held.length > 6 && h("li", { class: "hint" }, `and ${held.length - 6} more fields`)));
}

/** The view. */
export function overview(root, context) {
  const head = h("div", { class: "headline" });
  const numbers = h("div", {});
  const samplesBody = h("div", {}, ghost(90, 90));
  const fieldsBody = h("div", {}, ghost(180));
  const picture = viewer({ label: "Newest frame with the outlines of its cells" });
  const title = h("h2", {}, "Newest frame");
  const told = h("span", { class: "hint" });
  const strip = h("div", {});
  const choice = h("span", {});
  const frames = h("section", { class: "panel" }, h("header", {}, title, told, h("span", { class: "push header-row" }, choice, legend())), picture.root);
  const left = h("div", { class: "stack" }, frames, strip);
  const right = panel("Samples", h("a", { class: "push hint", href: "#/samples" }, "Compare"), samplesBody);
  right.classList.add("first-on-phone");
  const heldBody = h("div", {});
  swap(root, head, numbers, h("div", { class: "two" }, left, h("div", { class: "stack side" }, right, heldBody)), panel("Fields of view", null, fieldsBody));

  let fovs = [];
  let trends = new Map();
  let shown = null;
  let chosen = sessionStorage.getItem("cytowatch-field") ?? "";

  const pick = (id) => {
    chosen = id;
    sessionStorage.setItem("cytowatch-field", id);
    loadFrame().catch(() => {});
  };
  const drawHead = (status) => {
    const [state, words1, words2] = headline(status);
    swap(head, glyph(state), h("h1", {}, words1), h("p", {}, words2));
    swap(numbers, figures(status, fovs));
  };

  async function loadFrame(signal) {
    const done = fovs.filter((fov) => fov.newest_frame_id).sort((a, b) => b.newest_committed_unix_ms - a.newest_committed_unix_ms);
    const newest = done.find((fov) => String(fov.fov_id) === chosen) ?? done[0];
    if (!choice.contains(document.activeElement)) swap(choice, fovs.length > 1 && fieldPicker(fovs, done.some((fov) => String(fov.fov_id) === chosen) ? chosen : "", pick, "newest of all fields"));
    if (!newest) {
      picture.root.style.aspectRatio = "4 / 3";
      picture.say("No frame yet", "The first one appears here as soon as its result is recorded.");
      return;
    }
    if (newest.newest_frame_id === shown) return;
    shown = newest.newest_frame_id;
    const [frame, page] = await Promise.all([get(`frames/${shown}`, signal), get(`fovs/${newest.fov_id}/frames?limit=9`, signal)]);
    picture.show(frame);
    swap(title, h("a", { href: `#/field/${frame.fov_id}` }, `${frame.sample_name} · ${frame.fov_name}, t${frame.time_index}`));
    told.textContent = `${plural(frame.cells.length, "cell", "cells")} · ${moment(frame.acquired_unix_ms ?? frame.committed_unix_ms)}`;
    swap(strip, frameStrip(page, { current: shown, fov: newest.fov_id }));
  }

  async function load(signal) {
    const status = await context.status();
    const session = status.session ? `session_id=${status.session.session_id}` : "";
    const [fields, samples] = await Promise.all([all(`fovs?${session}`, 500, signal), all(`samples?${session}`, 100, signal)]);
    fovs = fields;
    drawHead(status);
    swap(fieldsBody, fovTable(fovs, status.now_unix_ms));
    swap(heldBody, waitingList(fovs, status.now_unix_ms));
    const draw = () => swap(samplesBody, samples.length ? samples.map((sample) => sampleCard(sample, trends.get(sample.sample_id))) : empty("No sample yet", "Samples are named by the folder or the file name.", true));
    draw();
    await loadFrame(signal);
    trends = new Map(await Promise.all(samples.slice(0, 6).map(async (sample) => [sample.sample_id, await get(`samples/${sample.sample_id}/trend`, signal)])));
    draw();
  }

  return { load, status: drawHead, stop: picture.stop };
}
