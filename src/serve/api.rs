//! The API under `/api/v1`: JSON that reads, never writes. Described by the `OpenAPI` document that it serves.

mod drift;
mod events;
mod frames;
mod overview;
mod samples;

use super::ServeState;
use super::extract::{ListParams, Nothing, Params};
use super::problem::Problem;
use crate::id::BundleId;
use crate::store::{alerts, query};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::path::Path;

/// The `OpenAPI` 3.1 document.
pub const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn routes() -> Router<ServeState> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/alerts", get(list_alerts))
        .merge(overview::routes())
        .merge(frames::routes())
        .merge(samples::routes())
        .merge(drift::routes())
        .merge(events::routes())
}

/// JSON that no cache keeps.
struct Fresh<T>(T);

impl<T: Serialize> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], Json(self.0)).into_response()
    }
}

type Answer<T> = Result<Fresh<T>, Problem>;

async fn openapi(Params(Nothing {}): Params<Nothing>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], OPENAPI).into_response()
}

async fn list_alerts(
    State(state): State<ServeState>,
    Params(list): Params<ListParams>,
) -> Answer<query::Page<alerts::AlertRow>> {
    Ok(Fresh(alerts::alerts(&state.readers, list.after(), list.limit.into()).await?))
}

/// The bundle whose scores are shown.
async fn bundle_in_use(state: &ServeState) -> Result<Option<BundleId>, Problem> {
    Ok(query::bundle(&state.readers).await?.map(|bundle| bundle.bundle_id))
}

/// The database with its write-ahead log, bytes; 0 where the file system does not tell.
pub(super) async fn database_size_bytes(database: &Path) -> u64 {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let size = async |path: &Path| tokio::fs::metadata(path).await.map_or(0, |meta| meta.len());
    size(database).await + size(Path::new(&log)).await
}
