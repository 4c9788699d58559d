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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the store or the folder may take to answer before it counts as stuck.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

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
    let store = tokio::time::timeout(PROBE_LIMIT, alerts::open_alerts(&state.readers)).await;
    let detail = match store {
        Ok(Ok(_)) => None,
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

/// Asks the file system for the watched folder. On a share that hangs, the question may never come back: only one is
/// asked at a time, and an old one that is still open counts as a fault.
#[derive(Debug)]
pub struct FolderProbe {
    folder: PathBuf,
    state: Mutex<Probe>,
}

#[derive(Debug, Default)]
struct Probe {
    asked: Option<Instant>,
    fault: Option<String>,
    answered: Option<Instant>,
}

impl FolderProbe {
    /// A probe of `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, state: Mutex::default() }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong with the folder; `None` when it answers. Waits a bounded time.
    pub(super) async fn fault(self: &Arc<Self>) -> Option<String> {
        let ask = {
            let mut probe = self.lock();
            let open = probe.asked.is_some();
            if !open {
                probe.asked = Some(crate::status::monotonic_now());
            }
            !open
        };
        if ask {
            let probe = Arc::clone(self);
            let asked = tokio::task::spawn_blocking(move || probe.answer(look(&probe.folder)));
            if tokio::time::timeout(PROBE_LIMIT, asked).await.is_err() {
                return Some(self.hanging());
            }
        }
        let probe = self.lock();
        if probe.asked.is_some_and(|asked| asked.elapsed() > PROBE_LIMIT) || probe.answered.is_none() {
            drop(probe);
            return Some(self.hanging());
        }
        probe.fault.clone()
    }

    fn answer(&self, fault: Option<String>) {
        let mut probe = self.lock();
        *probe = Probe { asked: None, fault, answered: Some(crate::status::monotonic_now()) };
    }

    fn hanging(&self) -> String {
        format!("{} does not answer: see whether the share is mounted and its server up", self.folder.display())
    }

    fn lock(&self) -> MutexGuard<'_, Probe> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(folder: &Path) -> Option<String> {
    match std::fs::read_dir(folder) {
        Ok(_) => None,
        Err(error) => Some(format!("{} cannot be read ({error}): mount or create it", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_goes_is_seen_and_its_return_too() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("watched");
        let probe = Arc::new(FolderProbe::new(folder.clone()));
        assert!(probe.fault().await.unwrap().contains("cannot be read"));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(probe.fault().await, None);
        std::fs::remove_dir(&folder).unwrap();
        assert!(probe.fault().await.is_some());
    }
}
