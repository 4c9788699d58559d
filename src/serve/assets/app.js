// Starts the page: which view, the header, the stream of happenings.
import { get, listen } from "./api.js";
import { cellView } from "./cell.js";
import { NARROW, empty, h, swap } from "./dom.js";
import { field } from "./field.js";
import { healthView } from "./health.js";
import { overview } from "./overview.js";
import { samplesView } from "./samples.js";
import { ago, words } from "./words.js";

const main = document.getElementById("main");
const link = document.getElementById("link");
const VIEWS = { "": overview, field, samples: samplesView, cell: cellView, health: healthView };
const TABS = [["", "Live"], ["field", "Fields"], ["samples", "Samples"], ["health", "Health"]];

/** How long a good news stays on top of every view; it stays under Health. */
const NEWS_MS = 600000;

let status = null;
let view = null;
let running = null;
let loading = false;
let again = false;

const context = {
  async status() {
    status = await get("status");
    drawFrame();
    return status;
  },
};

function drawFrame() {
  const session = status?.session;
  document.getElementById("where").textContent = session ? `${session.name} · ${session.instrument}` : status?.daemon?.folder ?? "";
  const [name, rest] = route();
  const here = name === "cell" ? "field" : name;
  const called = name === "cell" ? `Cell ${rest[0] ?? ""}` : TABS.find(([path]) => path === name)?.[1];
  document.title = [called, session?.name, "cytowatch"].filter(Boolean).join(" · ");
  swap(document.getElementById("tabs"), TABS.map(([path, text]) => h("a", { href: `#/${path}`, "aria-current": path === here ? "page" : null, "data-key": `tab-${path}` }, text)));
  swap(document.getElementById("banner"), (status?.open_alerts ?? []).filter((alert) => alert.severity !== "info" || status.now_unix_ms - alert.raised_unix_ms < NEWS_MS).slice(-3).map((alert) =>
    h("div", { class: `alert ${alert.severity}` }, h("strong", {}, words(alert.rule)), h("span", {}, alert.text), h("time", {}, `since ${ago(alert.raised_unix_ms, status.now_unix_ms).replace(" ago", "")}`))));
  if (status?.mode === "viewing") setLink("viewing");
}

function setLink(state) {
  if (status?.mode === "viewing" && state === "live") state = "viewing";
  link.dataset.state = state;
  link.textContent = { live: "live", waiting: "reconnecting", viewing: "recorded" }[state];
}

function route() {
  const [, name = "", ...rest] = location.hash.split("/");
  return [name, rest];
}

async function refresh() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  const mine = view;
  try {
    await mine.load(running.signal);
  } catch (error) {
    if (mine === view && error.name !== "AbortError") fault(error);
  }
  loading = false;
  if (again || mine !== view) {
    again = false;
    refresh();
  }
}

function fault(error) {
  if (link.dataset.state === "waiting" && main.childElementCount > 1) return;
  const lost = error.status === 404;
  swap(main, empty(lost ? "Not here" : "This view cannot be loaded", error.message));
  main.append(h("div", { class: "empty small" }, lost ? h("a", { href: "#/" }, "Back to the session") : h("button", { type: "button", onclick: () => open() }, "Try again")));
}

async function open() {
  view?.stop?.();
  running?.abort();
  running = new AbortController();
  let [name, rest] = route();
  if (name === "field" && !rest[0]) {
    try {
      const first = await get("fovs?limit=1");
      if (first.items[0]) rest = [String(first.items[0].fov_id)];
      else name = "";
    } catch (error) {
      fault(error);
      return;
    }
  }
  if (!(name in VIEWS)) name = "";
  view = VIEWS[name](main, context, rest);
  drawFrame();
  if (!status) context.status().catch(() => {});
  scrollTo(0, 0);
  if (document.activeElement?.closest("main") || document.activeElement === document.body) main.focus({ preventScroll: true });
  refresh();
}

// Happenings come in bursts; one reload per second is enough.
let due = null;
function soon() {
  if (due || view?.still) return;
  due = setTimeout(() => {
    due = null;
    refresh();
  }, 1000);
}

addEventListener("hashchange", open);
// Plots are drawn for the width they have.
NARROW.addEventListener("change", () => refresh());
open();
listen((kind, data) => {
  if (kind === "status" && status) {
    status = { ...status, daemon: data, now_unix_ms: status.now_unix_ms + 2000 };
    view?.status?.(status);
  } else soon();
}, (state) => {
  const back = link.dataset.state === "waiting" && state === "live";
  setLink(state);
  if (back) soon();
});
// Ages grow even when nothing happens; a check every 20 s also sees a health that turned.
setInterval(() => {
  if (!document.hidden && !view?.still) soon();
}, 20000);
