//! `status`, `sessions`, `fovs`, `failures`, `waiting`: the session at a glance.

use super::{Answer, Fresh, bundle_in_use};
use crate::id::{FovId, SampleId, SessionId};
use crate::sample::certificate::Certificate;
use crate::serve::ServeState;
use crate::serve::extract::{CursorParam, IdParam, Limit, ListParams, Nothing, Params, RowId};
use crate::serve::health::{self, Health};
use crate::serve::problem::Problem;
use crate::status::{DiskSpace, StatusReport, disk_space, unix_ms};
use crate::store::alerts::{self, AlertRow};
use crate::store::query::{
    self, BundleSummary, FailureGroup, FovSummary, FrameInStrip, Gap, Page, SessionSummary, TrackSummary, WaitingGroup,
};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<ServeState> {
    Router::new()
        .route("/status", get(status))
        .route("/sessions", get(sessions))
        .route("/sessions/{session_id}/certificate", get(certificate))
        .route("/failures", get(failures))
        .route("/waiting", get(waiting))
        .route("/fovs", get(fovs))
        .route("/fovs/{fov_id}", get(fov))
        .route("/fovs/{fov_id}/frames", get(strip))
        .route("/fovs/{fov_id}/gaps", get(gaps))
        .route("/fovs/{fov_id}/tracks", get(tracks))
}

/// Everything about the process and the session that is on.
#[derive(Debug, Serialize)]
struct StatusAnswer {
    /// `watching`, or `viewing` for a finished session.
    mode: &'static str,
    /// The server's clock, UTC.
    now_unix_ms: i64,
    version: &'static str,
    /// `null` for a viewer.
    daemon: Option<StatusReport>,
    health: Health,
    /// Where the database lies.
    disk: Option<DiskSpace>,
    database_size_bytes: u64,
    bundle: Option<BundleSummary>,
    session: Option<SessionSummary>,
    open_alerts: Vec<AlertRow>,
}

async fn status(State(state): State<ServeState>, Params(Nothing {}): Params<Nothing>) -> Answer<StatusAnswer> {
    let readers = &state.readers;
    let (health, bundle, sessions, open_alerts) = tokio::join!(
        health::health(&state),
        query::bundle(readers),
        query::sessions(readers, None, 1),
        alerts::open_alerts(readers),
    );
    Ok(Fresh(StatusAnswer {
        mode: if state.status.is_some() { "watching" } else { "viewing" },
        now_unix_ms: unix_ms(),
        version: env!("CARGO_PKG_VERSION"),
        daemon: state.status.as_ref().map(|status| status.report()),
        health,
        disk: disk_space(&state.database),
        database_size_bytes: super::database_size_bytes(&state.database).await,
        bundle: bundle?,
        session: sessions?.items.into_iter().next(),
        open_alerts: open_alerts?,
    }))
}

async fn sessions(State(state): State<ServeState>, Params(list): Params<ListParams>) -> Answer<Page<SessionSummary>> {
    Ok(Fresh(query::sessions(&state.readers, list.after(), list.limit.into()).await?))
}

async fn certificate(
    State(state): State<ServeState>,
    RowId(session): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<Certificate> {
    // Hashing reads every row, longer than an answer may take: `cytowatch certify` does that.
    let found =
        query::certificate(&state.readers, SessionId(session), None, query::Results::Counted, unix_ms()).await?;
    found.map(Fresh).ok_or_else(|| Problem::not_found("session"))
}

async fn failures(State(state): State<ServeState>, Params(Nothing {}): Params<Nothing>) -> Answer<Vec<FailureGroup>> {
    Ok(Fresh(query::failures(&state.readers).await?))
}

async fn waiting(State(state): State<ServeState>, Params(Nothing {}): Params<Nothing>) -> Answer<Vec<WaitingGroup>> {
    Ok(Fresh(query::waiting(&state.readers).await?))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct FovParams {
    session_id: Option<IdParam>,
    sample_id: Option<IdParam>,
    cursor: Option<CursorParam>,
    #[serde(default)]
    limit: Limit,
}

async fn fovs(State(state): State<ServeState>, Params(wanted): Params<FovParams>) -> Answer<Page<FovSummary>> {
    let session = wanted.session_id.map(|id| SessionId(id.0));
    let sample = wanted.sample_id.map(|id| SampleId(id.0));
    let after = wanted.cursor.map(|cursor| cursor.0);
    Ok(Fresh(query::fovs(&state.readers, (session, sample), after, wanted.limit.into()).await?))
}

async fn known_fov(state: &ServeState, fov: i64) -> Result<FovSummary, Problem> {
    query::fov(&state.readers, FovId(fov)).await?.ok_or_else(|| Problem::not_found("field of view"))
}

async fn fov(
    State(state): State<ServeState>,
    RowId(fov): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<FovSummary> {
    known_fov(&state, fov).await.map(Fresh)
}

async fn strip(
    State(state): State<ServeState>,
    RowId(fov): RowId,
    Params(list): Params<ListParams>,
) -> Answer<Page<FrameInStrip>> {
    let fov = known_fov(&state, fov).await?.fov_id;
    let bundle = bundle_in_use(&state).await?;
    Ok(Fresh(query::strip(&state.readers, fov, bundle, list.after(), list.limit.into()).await?))
}

async fn gaps(
    State(state): State<ServeState>,
    RowId(fov): RowId,
    Params(list): Params<ListParams>,
) -> Answer<Page<Gap>> {
    let fov = known_fov(&state, fov).await?.fov_id;
    Ok(Fresh(query::gaps(&state.readers, fov, list.after(), list.limit.into()).await?))
}

async fn tracks(
    State(state): State<ServeState>,
    RowId(fov): RowId,
    Params(list): Params<ListParams>,
) -> Answer<Page<TrackSummary>> {
    let fov = known_fov(&state, fov).await?.fov_id;
    let bundle = bundle_in_use(&state).await?;
    Ok(Fresh(query::tracks(&state.readers, bundle, fov, list.after(), list.limit.into()).await?))
}
