// Health: what was tested, the stages, what failed or waits, alerts, what became of the frames, drift.
import { all, get } from "./api.js";
import { empty, ghost, glyph, h, panel, swap } from "./dom.js";
import { count, moment, plural, span, words } from "./words.js";

const NAMES = { watch: "Watch the folder", admit: "Admit frames", cells: "Find cells", infer: "Run the model", record: "Link and record" };

function stages(daemon) {
  if (!daemon) return empty("Nothing is running", "This is the record of a finished session.", true);
  return h("div", { class: "stages" }, daemon.stages.map((stage) => h("div", { class: "stage" },
    h("h3", {}, glyph(stage.alive ? "good" : "bad"), NAMES[stage.name] ?? stage.name, !stage.alive && h("span", { class: "is-bad" }, "silent")),
    h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${stage.queue_capacity ? (100 * stage.queue_depth) / stage.queue_capacity : 0}%` } })),
    h("dl", {}, [["queue", stage.queue_capacity ? `${stage.queue_depth} of ${stage.queue_capacity}` : "none"], stage.frames > 0 && [stage.name === "watch" ? "changes seen" : "frames", count(stage.frames)], stage.busy_s > 0 && ["worked", span(stage.busy_s)], ["blocked", span(stage.blocked_s)], ["sign of life", `${span(stage.beat_age_s)} ago`]].filter(Boolean)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))))));
}

function checks(health) {
  const bad = health.checks.filter((check) => !check.ok);
  if (bad.length === 0) return null;
  return panel("What is wrong", null, h("ul", { class: "body" }, bad.map((check) => h("li", {}, h("strong", { class: "is-bad" }, check.name), ` ${check.detail}`))));
}

/** A table that becomes a list of cards on a phone. */
const table = (head, rows) => h("div", { class: "scroll" }, h("table", { class: "table cards" }, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
  h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => h(i ? "td" : "th", { scope: i ? null : "row", "data-head": head[i] }, cell)))))));

/** How long answers about the whole session (drift, certificate) are shown before they are asked for again: they look at every cell. */
const ASK_AGAIN_MS = 600000;

function driftTable(days) {
  if (days.length === 0) return empty("Nothing to compare yet", "A day is compared once its cells are scored.", true);
  const tone = { steady: "is-good", drifted: "is-warn", cannot_say: "muted" };
  return table(["Day", "Verdict", "What"], days.slice(-14).reverse().map((day) => [[day.day, h("div", { class: "hint" }, day.instrument)], h("span", { class: tone[day.verdict] }, words(day.verdict)), day.text]));
}

/** What became of the session's frames, from what its fields of view say now. */
function account(fovs, certified) {
  const sum = (of) => fovs.reduce((total, fov) => total + of(fov), 0);
  const received = sum((fov) => Object.values(fov.frames).reduce((a, b) => a + b, 0));
  const rows = [["expected", received + sum((fov) => fov.missing_count)], ["analysed", sum((fov) => fov.frames.done)], ["failed, with a code", sum((fov) => fov.frames.failed)], ["left out, with a reason", sum((fov) => fov.frames.skipped)],
    ["still on the way", sum((fov) => fov.frames.seen + fov.frames.waiting + fov.frames.ready + fov.frames.processing)], ["never came", sum((fov) => fov.missing_count)]];
  return h("div", { class: "body" }, h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, `Frames ${name}`), h("dd", {}, h("strong", { class: name === "never came" && value ? "is-bad" : null }, count(value)))])),
    h("p", { class: "hint" }, certified));
}

/** The certificate in one line. */
function certificate(of, session) {
  const said = of.complete ? "complete" : `${plural(of.unexplained, "frame is", "frames are")} not accounted for (on the way, or never came)`;
  return ["Certificate: ", h("strong", { class: of.complete ? "is-good" : "is-warn" }, said), ". In full: ", h("code", {}, `cytowatch certify ${session}`)];
}

/** The view. */
export function healthView(root, context) {
  const head = h("div", { class: "headline" }, h("h1", {}, "Health"));
  const wrong = h("div", {});
  const stageBody = h("div", {}, ghost(120));
  const failed = h("div", {}, ghost(80));
  const held = h("div", {}, ghost(80));
  const alerts = h("div", {}, ghost(120));
  const proof = h("div", {}, ghost(120));
  const drift = h("div", {}, ghost(80));
  let askedAt = -Infinity;
  let certified = "";
  swap(root, head, wrong, panel("Stages", h("span", { class: "hint" }, "in the order of a frame's way"), stageBody),
    h("div", { class: "halves" }, panel("Failed frames", null, failed), panel("Waiting frames", null, held)),
    h("div", { class: "halves" }, panel("Alerts", null, alerts), panel("Frames of the session", null, proof)),
    panel("Drift", h("span", { class: "hint" }, "is each day like the training set and the days before?"), drift));

  function drawStatus(status) {
    const daemon = status.daemon;
    swap(head, glyph(status.health.ok ? "good" : "bad"), h("h1", {}, status.health.ok ? "Healthy" : "Needs attention"),
      h("p", {}, daemon ? `${daemon.folder} · ${daemon.bundle} on ${daemon.engine} · up ${span(daemon.uptime_s)} · ${Math.round(daemon.resident_bytes / 1e6)} MB · cytowatch ${status.version}` : `cytowatch ${status.version}`));
    swap(wrong, checks(status.health));
    swap(stageBody, stages(daemon));
  }

  async function load(signal) {
    const status = await context.status();
    drawStatus(status);
    const session = status.session?.session_id;
    const [failures, waiting, raised, fovs] = await Promise.all([get("failures", signal), get("waiting", signal), get("alerts?limit=30", signal), session ? all(`fovs?session_id=${session}`, 500, signal) : []]);
    swap(failed, failures.length === 0 ? empty("No frame failed", null, true) : table(["Code", "Frames", "Newest"], failures.map((one) => [[words(one.code), h("div", { class: "hint" }, h("code", {}, one.code))], count(one.frame_count), [h("code", {}, one.newest_path), one.newest_reason && h("div", { class: "hint" }, one.newest_reason)]])));
    swap(held, waiting.length === 0 ? empty("No frame waits", null, true) : table(["Reason", "Frames", "Oldest since"], waiting.map((one) => [words(one.reason), count(one.frame_count), moment(one.oldest_unix_ms)])));
    swap(alerts, raised.items.length === 0 ? empty("No alert so far", null, true) : table(["Alert", "What", "Raised", "Cleared"], raised.items.map((one) => [[words(one.rule), one.subject && h("div", { class: "hint" }, one.subject)], one.text, moment(one.raised_unix_ms), one.cleared_unix_ms ? moment(one.cleared_unix_ms) : h("span", { class: "is-warn" }, "open")])));
    const drawProof = () => swap(proof, session ? account(fovs, certified) : empty("No session yet", null, true));
    drawProof();
    if (Date.now() - askedAt < ASK_AGAIN_MS) return;
    askedAt = Date.now();
    try {
      if (session) certified = certificate(await get(`sessions/${session}/certificate`, signal), session);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      certified = [`The certificate cannot be shown here: ${error.message} In full: `, h("code", {}, `cytowatch certify ${session}`)];
    }
    drawProof();
    try {
      swap(drift, driftTable(await get("drift", signal)));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      swap(drift, empty("Drift cannot be told here", `${error.message.replace(/[.]?$/, ".")} \`cytowatch drift\` tells it as well.`, true));
    }
  }

  return { load, status: drawStatus };
}
