// The server: JSON by fetch, happenings by event stream that comes back by itself.

/** An answer that is an error, with its stable code. */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** JSON from `/api/v1/<path>`. */
export async function get(path, signal) {
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "no_answer", "The server does not answer. Is the daemon running?");
  }
  if (answer.status === 401) location.assign("/login");
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, body.code ?? "unknown", body.detail ?? answer.statusText);
  return body;
}

/** Everything of a list that the page shows: up to `most` rows. */
export async function all(path, most, signal) {
  const items = [];
  let cursor = null;
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await get(`${path}${mark}limit=${Math.min(500, most)}${cursor ? `&cursor=${cursor}` : ""}`, signal);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}

const KINDS = ["frame_recorded", "frame_failed", "sample_called", "alert_raised", "alert_cleared", "status", "reset"];

/**
 * Listens for ever; `onEvent(kind, data)`, `onLink("live" | "waiting")`.
 * A page that nobody sees lets its stream go: a browser opens six connections to a server, for all its tabs together.
 */
export function listen(onEvent, onLink) {
  let source = null;
  let pause = 1000;
  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource("/api/v1/events");
    source.onopen = () => {
      pause = 1000;
      onLink("live");
    };
    source.onerror = () => {
      onLink("waiting");
      // The browser tries again by itself unless it was refused; then we do.
      if (source?.readyState !== EventSource.CLOSED) return;
      source = null;
      setTimeout(connect, pause);
      pause = Math.min(pause * 2, 30000);
    };
    for (const kind of KINDS) source.addEventListener(kind, (event) => onEvent(kind, JSON.parse(event.data)));
  };
  const rest = () => {
    if (!source) return;
    source.close();
    source = null;
    onLink("waiting");
  };
  addEventListener("pagehide", rest);
  addEventListener("pageshow", connect);
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : connect()));
  connect();
}
