//! `frames`, `cells`, `tracks`: one of each with its picture, and the ledger.

use super::{Answer, Fresh, bundle_in_use};
use crate::id::{CellId, FovId, FrameId, TrackId};
use crate::serve::ServeState;
use crate::serve::course::TrackCourse;
use crate::serve::explanation::{Asked, Explanation, ExplanationFault};
use crate::serve::extract::{CursorParam, IdParam, Limit, ListParams, Nothing, Params, RowId};
use crate::serve::problem::Problem;
use crate::store::query::{
    self, CellDetail, CellInFrame, FrameDetail, FrameSource, LedgerEntry, LedgerFilter, Page, TrackDetail,
};
use crate::units::PointPx;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Widest picture that is sent, px.
const WIDEST_PX: i64 = 4096;
/// Width when the client does not say, px.
const USUAL_PX: i64 = 1600;

pub(super) fn routes() -> Router<ServeState> {
    Router::new()
        .route("/frames", get(ledger))
        .route("/frames/{frame_id}", get(frame))
        .route("/frames/{frame_id}/image.png", get(frame_image))
        .route("/cells/{cell_id}", get(cell))
        .route("/cells/{cell_id}/crop.png", get(cell_crop))
        .route("/cells/{cell_id}/explanation", get(explanation))
        .route("/cells/{cell_id}/explanation.png", get(explanation_strip))
        .route("/tracks/{track_id}", get(track))
        .route("/tracks/{track_id}/course", get(course))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerParams {
    state: Option<LedgerState>,
    code: Option<String>,
    fov_id: Option<IdParam>,
    cursor: Option<CursorParam>,
    #[serde(default)]
    limit: Limit,
}

/// The ledger's states.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LedgerState {
    Seen,
    Waiting,
    Ready,
    Processing,
    Done,
    Failed,
    Skipped,
}

impl LedgerState {
    fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

async fn ledger(State(state): State<ServeState>, Params(wanted): Params<LedgerParams>) -> Answer<Page<LedgerEntry>> {
    // Only failed frames have a code.
    let state_of_code = wanted.code.is_some().then_some(LedgerState::Failed);
    let filter = LedgerFilter {
        state: wanted.state.or(state_of_code).map(|state| state.name().to_owned()),
        code: wanted.code,
        fov_id: wanted.fov_id.map(|id| FovId(id.0)),
    };
    let after = wanted.cursor.map(|cursor| cursor.0);
    Ok(Fresh(query::ledger(&state.readers, &filter, after, wanted.limit.into()).await?))
}

/// A frame with everything drawn over it.
#[derive(Debug, Serialize)]
struct FrameAnswer {
    #[serde(flatten)]
    frame: FrameDetail,
    cells: Vec<CellInFrame>,
}

async fn frame(
    State(state): State<ServeState>,
    RowId(frame): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<FrameAnswer> {
    let found = query::frame(&state.readers, FrameId(frame)).await?.ok_or_else(|| Problem::not_found("frame"))?;
    let bundle = bundle_in_use(&state).await?;
    let cells = query::cells_of_frame(&state.readers, bundle, found.frame_id).await?;
    Ok(Fresh(FrameAnswer { frame: found, cells }))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageParams {
    width_px: Option<IdParam>,
}

async fn frame_image(
    State(state): State<ServeState>,
    RowId(frame): RowId,
    Params(wanted): Params<ImageParams>,
) -> Result<Response, Problem> {
    let width_px = wanted.width_px.map_or(USUAL_PX, |width| width.0);
    if !(16..=WIDEST_PX).contains(&width_px) {
        return Err(Problem::invalid("width_px is a whole number from 16 to 4096"));
    }
    let source = source_of(&state, FrameId(frame)).await?;
    Ok(png(state.pictures.frame_png(source, width_px as usize).await?))
}

async fn source_of(state: &ServeState, frame: FrameId) -> Result<FrameSource, Problem> {
    query::frame_source(&state.readers, frame).await?.ok_or_else(|| Problem::not_found("frame"))
}

/// A picture that the browser may keep for a while: a frame's pixels do not change.
fn png(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=3600")], bytes).into_response()
}

async fn known_cell(state: &ServeState, cell: i64) -> Result<CellDetail, Problem> {
    let bundle = bundle_in_use(state).await?;
    query::cell(&state.readers, bundle, CellId(cell)).await?.ok_or_else(|| Problem::not_found("cell"))
}

async fn cell(
    State(state): State<ServeState>,
    RowId(cell): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<CellDetail> {
    known_cell(&state, cell).await.map(Fresh)
}

async fn cell_crop(
    State(state): State<ServeState>,
    RowId(cell): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let cell = known_cell(&state, cell).await?;
    let source = source_of(&state, cell.frame_id).await?;
    Ok(png(state.pictures.crop_png(source, cell.cell.x_px, cell.cell.y_px).await?))
}

async fn explained(state: &ServeState, cell: i64) -> Result<Arc<Explanation>, Problem> {
    let cell = known_cell(state, cell).await?;
    if let Some(reason) = cell.cell.withheld.clone() {
        return Err(ExplanationFault::Withheld { reason }.into());
    }
    let bundle = query::bundle(&state.readers).await?;
    let (Some(latent), Some(bundle)) = (cell.latent.clone(), bundle) else {
        return Err(ExplanationFault::NotScored.into());
    };
    let source = query::frame_source(&state.readers, cell.frame_id).await?;
    let seen = source.map(|source| (source, PointPx { x: cell.cell.x_px, y: cell.cell.y_px }));
    let asked = Asked { bundle_sha256: bundle.sha256, latent, seen };
    Ok(state.explanations.of(cell.cell.cell_id.0, asked).await?)
}

async fn explanation(
    State(state): State<ServeState>,
    RowId(cell): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<Explanation> {
    Ok(Fresh(Explanation::clone(&*explained(&state, cell).await?)))
}

async fn explanation_strip(
    State(state): State<ServeState>,
    RowId(cell): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    Ok(png(explained(&state, cell).await?.strip_png.clone()))
}

async fn course(
    State(state): State<ServeState>,
    RowId(track): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<TrackCourse> {
    let track = TrackId(track);
    let session = query::session_of_track(&state.readers, track).await?.ok_or_else(|| Problem::not_found("track"))?;
    let Some(bundle) = bundle_in_use(&state).await? else { return Ok(Fresh(TrackCourse::default())) };
    Ok(Fresh(state.courses.of(&state.readers, (session, bundle), track).await?))
}

async fn track(
    State(state): State<ServeState>,
    RowId(track): RowId,
    Params(list): Params<ListParams>,
) -> Answer<TrackDetail> {
    let bundle = bundle_in_use(&state).await?;
    let found = query::track(&state.readers, bundle, TrackId(track), list.after(), list.limit.into()).await?;
    found.map(Fresh).ok_or_else(|| Problem::not_found("track"))
}
