// Numbers and codes as people read them.

const NONE = "–";

/** 12345 -> 12,345 */
export const count = (value) => (value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en"));

/** 0.7349 -> 0.73 */
export const score = (value) => (value === null || value === undefined ? NONE : value.toFixed(2));

/** One decimal with its unit. */
export const measure = (value, unit, digits = 1) =>
  value === null || value === undefined ? NONE : `${value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits })} ${unit}`;

/** Seconds in the one or two units that matter. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.max(0, seconds);
  if (whole === 0) return "0 s";
  if (whole < 1) return `${Math.max(1, Math.round(whole * 1000))} ms`;
  if (whole < 10) return `${whole.toFixed(1)} s`;
  if (whole < 90) return `${Math.round(whole)} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.round((whole % 86400) / 3600)} h`;
}

/** How long ago, by the server's clock. */
export const ago = (unixMs, nowMs) => (unixMs === null || unixMs === undefined ? NONE : `${span((nowMs - unixMs) / 1000)} ago`);

/** Local date and time. */
export const moment = (unixMs) =>
  unixMs === null || unixMs === undefined ? NONE
    : new Date(unixMs).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** Bytes in the unit that fits. */
export function bytes(value) {
  if (value === null || value === undefined) return [NONE, ""];
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return [size >= 100 || unit === 0 ? Math.round(size).toString() : size.toFixed(1), units[unit]];
}

const CODES = {
  touches_border: "cut off by the frame's edge",
  no_crop: "too near the frame's edge for a whole picture",
  pixel_size: "pixel size unknown or too coarse for the model",
  not_scored: "no whole picture: too near the edge, or pixel size unknown",
  truncated: "file still being written",
  corrupt: "file not whole yet",
  growing: "file still growing",
  no_reason_given: "no reason given",
  steady: "steady",
  drifted: "drifted",
  cannot_say: "cannot say",
  out_of_domain: "looks unlike what the model was trained on",
  unlike_training: "its grain and light are unlike those of the training cells",
  not_redrawn: "the model cannot draw it: it sees something else",
  saturated: "too bright for the camera",
  out_of_focus: "out of focus",
  pixel_size: "the file tells another pixel size than the configuration",
  several_cells: "several cells in its box",
  cell_size: "the frame's cells are of another size than the training cells: is the pixel size right?",
  too_dense: "cells overlap too much",
  wrong_kind: "not a phase-contrast picture of adherent cells, or of much smaller ones than cell_diameter_um says: are it and the pixel size right?",
  empty: "no cells, or an empty file",
  usable: "usable",
  called: "the evidence is sufficient",
  too_few_cells: "too few cells so far",
  at_threshold: "the score lies at the threshold",
  not_settled: "too near the threshold for this many cells",
  too_few_fields: "fields differ: more cells in them will not settle it",
  taken_back: "an earlier call was taken back",
  most_withheld: "most scores are withheld",
  stalled: "Field stalled",
  folder_gone: "Folder gone",
  disk_low: "Disk low",
  focus_lost: "Focus lost",
  finder_doubts: "Finder in doubt",
  drift: "Drift",
  withheld_high: "Many scores withheld",
  failures_rising: "Failures rising",
  call_reached: "Call reached",
  stage_silent: "Stage silent",
};

/** A stable code in words; an unknown one as it is, without underscores. */
export const words = (code) => (code ? CODES[code] ?? code.replaceAll("_", " ") : NONE);

/** With its sign: +1.5, −0.3 */
export const signed = (value, digits) => `${value < 0 ? "−" : value > 0 ? "+" : ""}${Math.abs(value).toFixed(digits)}`;

/** Why a cell shows no score; null when it does. */
export const unscored = (cell) => cell.withheld ?? (cell.score !== null ? null : cell.touches_border ? "touches_border" : "not_scored");

/** A value with a small unit behind it, for the figures. */
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

export const VERDICTS = { high: "High", low: "Low", undecided: "Undecided", withheld: "Withheld" };
