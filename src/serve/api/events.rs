//! `events`: the stream of what happens, resumed with `Last-Event-ID`.

use crate::serve::ServeState;
use crate::serve::extract::{Nothing, Params};
use crate::serve::problem::Problem;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::StreamExt as _;

/// A comment this often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<ServeState> {
    Router::new().route("/events", get(events))
}

async fn events(
    State(state): State<ServeState>,
    headers: HeaderMap,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let Some(stream) = state.live.subscribe(last_id) else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            "too many pages are open: close some, or ask /api/v1/status now and then",
        ));
    };
    let events = stream.map(|published| {
        let event = Event::default().event(published.name).data(&published.data);
        Ok::<_, Infallible>(if published.id.is_empty() { event } else { event.id(&published.id) })
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}
