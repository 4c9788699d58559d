//! Health that tests the work: every stage, the store, the watched folder; and the metrics.
//!
//! `/healthz` is 200 while frames can be worked on and 503 with the reasons when not; `/readyz` is 200 once the
//! start-up has ended.

use super::problem::Problem;
use super::{ServeState, api};
use crate::metrics::StoreFacts;
use crate::store::{alerts, query};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::time::Duration;

/// How long the store may take to answer before it counts as stuck.
const STORE_LIMIT: Duration = Duration::from_secs(3);
/// How old the answer whether the store takes a write may be.
const WRITE_ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// One thing that was tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name: `stage.watch` .. `stage.record`, `store`, `folder`.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// What is wrong and what to do.
    pub detail: Option<String>,
}

/// Whether frames can be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Every check passed.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

pub(super) fn routes() -> Router<ServeState> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

async fn healthz(State(state): State<ServeState>) -> Response {
    let health = health(&state).await;
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

async fn readyz(State(state): State<ServeState>) -> Response {
    if state.status.as_ref().is_none_or(|status| status.is_ready()) {
        return ([(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "ready": true }))).into_response();
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "the start-up has not ended").into_response()
}

/// Tests everything now.
pub(super) async fn health(state: &ServeState) -> Health {
    let mut checks = Vec::new();
    if let Some(status) = &state.status {
        for stage in status.report().stages {
            let detail = (!stage.alive).then(|| {
                format!("no sign of life for {:.0} s: restart the daemon if it does not recover", stage.beat_age_s)
            });
            checks.push(Check { name: format!("stage.{}", stage.name), ok: stage.alive, detail });
        }
    }
    let store = tokio::time::timeout(STORE_LIMIT, alerts::open_alerts(&state.readers)).await;
    let detail = match store {
        Ok(Ok(_)) => state.status.as_ref().and_then(|status| status.store_fault(WRITE_ANSWER_LIMIT)),
        Ok(Err(error)) => Some(format!("the database cannot be read: {error}")),
        Err(_late) => Some("the database does not answer: see whether the disk is slow or full".to_owned()),
    };
    checks.push(Check { name: "store".to_owned(), ok: detail.is_none(), detail });
    if let Some(folder) = &state.folder {
        let detail = folder.fault().await;
        checks.push(Check { name: "folder".to_owned(), ok: detail.is_none(), detail });
    }
    Health { ok: checks.iter().all(|check| check.ok), checks }
}

async fn metrics(State(state): State<ServeState>) -> Result<Response, Problem> {
    let Some(metrics) = &state.metrics else { return Err(Problem::not_found("page: metrics are off")) };
    let facts = StoreFacts {
        database_size_bytes: api::database_size_bytes(&state.database).await,
        open_alerts: alerts::open_alerts(&state.readers).await?.len(),
        last_frame_unix_ms: query::newest_commit(&state.readers).await?,
    };
    let report = state.status.as_ref().map(|status| status.report());
    let text = metrics.render(report.as_ref(), facts);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response())
}
