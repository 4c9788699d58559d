//! Frames: one frame, the film strip of a field of view, the ledger, and what failed or waits.

use super::{Cursor, Page, page, statements};
use crate::id::{BundleId, FovId, FrameId, SampleId, SourceId};
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

macro_rules! frame_rows {
    ($rest:literal) => {
        concat!(
            "SELECT frames.frame_id, frames.source_id, sources.path, frames.plane_index, frames.fov_id,
                fields_of_view.name AS fov_name, fields_of_view.sample_id, samples.name AS sample_name,
                frames.time_index, frames.channel, frames.z_index, frames.state, frames.reason, frames.code,
                frames.attempts, frames.first_seen_unix_ms, frames.closed_unix_ms, frames.committed_unix_ms,
                frames.acquired_unix_ms, frames.width_px, frames.height_px, frames.pixel_size_um,
                frames.background_counts, frames.evenness, frames.focus, frames.saturated_share, frames.verdict, frames.in_doubt
            FROM frames
            JOIN sources ON sources.source_id = frames.source_id
            LEFT JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
            LEFT JOIN samples ON samples.sample_id = fields_of_view.sample_id ",
            $rest
        )
    };
}

macro_rules! ledger_rows {
    ($rest:literal) => {
        concat!(
            "SELECT frames.frame_id, sources.path, frames.plane_index, frames.fov_id,
                fields_of_view.name AS fov_name, frames.time_index, frames.state, frames.reason, frames.code,
                frames.attempts, frames.first_seen_unix_ms, frames.committed_unix_ms
            FROM frames
            JOIN sources ON sources.source_id = frames.source_id
            LEFT JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id ",
            $rest
        )
    };
}

statements! {
    FRAME = frame_rows!("WHERE frames.frame_id = ?1");
    FRAME_SOURCE = "
        SELECT frames.frame_id, sources.path, frames.plane_index, frames.pixel_size_um,
            sources.size_bytes, sources.modified_unix_ns
        FROM frames JOIN sources ON sources.source_id = frames.source_id WHERE frames.frame_id = ?1";
    STRIP = "
        SELECT frames.frame_id, frames.time_index, frames.state, frames.code, frames.verdict,
            frames.acquired_unix_ms, frames.committed_unix_ms, frames.focus, frames.background_counts,
            frames.evenness,
            (SELECT count(*) FROM cells WHERE cells.frame_id = frames.frame_id) AS cell_count,
            (SELECT avg(inferences.score) FROM cells JOIN inferences ON inferences.cell_id = cells.cell_id
                WHERE cells.frame_id = frames.frame_id AND inferences.bundle_id = ?5
                AND inferences.withheld IS NULL) AS score
        FROM frames WHERE frames.fov_id = ?1 AND frames.state IN ('done', 'failed') AND frames.time_index IS NOT NULL
            AND (frames.time_index, frames.frame_id) < (?2, ?3)
        ORDER BY frames.time_index DESC, frames.frame_id DESC LIMIT ?4";
    LEDGER = ledger_rows!("WHERE frames.frame_id < ?1 ORDER BY frames.frame_id DESC LIMIT ?2");
    LEDGER_BY_STATE = ledger_rows!(
        "WHERE frames.frame_id < ?1 AND frames.state = ?3 AND (?4 IS NULL OR frames.code = ?4)
            AND (?5 IS NULL OR frames.fov_id = ?5)
        ORDER BY frames.frame_id DESC LIMIT ?2"
    );
    LEDGER_BY_FOV = ledger_rows!(
        "WHERE frames.frame_id < ?1 AND frames.fov_id = ?3 ORDER BY frames.frame_id DESC LIMIT ?2"
    );
    FAILURES = "
        SELECT grouped.code, grouped.frame_count, grouped.newest_frame_id, sources.path AS newest_path,
            newest.committed_unix_ms AS newest_unix_ms, newest.reason AS newest_reason
        FROM (SELECT code, count(*) AS frame_count, max(frame_id) AS newest_frame_id FROM frames
            WHERE state = 'failed' GROUP BY code) AS grouped
        JOIN frames AS newest ON newest.frame_id = grouped.newest_frame_id
        JOIN sources ON sources.source_id = newest.source_id
        ORDER BY grouped.frame_count DESC, grouped.code LIMIT 100";
    WAITING = "
        SELECT coalesce(reason, 'no_reason_given') AS reason, count(*) AS frame_count,
            min(first_seen_unix_ms) AS oldest_unix_ms
        FROM frames WHERE state = 'waiting' GROUP BY reason ORDER BY frame_count DESC LIMIT 100";
}

/// A frame with everything the ledger knows.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
#[expect(missing_docs, reason = "the fields are the columns of the table `frames`, documented there")]
pub struct FrameDetail {
    pub frame_id: FrameId,
    pub source_id: SourceId,
    pub path: String,
    pub plane_index: i64,
    pub fov_id: Option<FovId>,
    pub fov_name: Option<String>,
    pub sample_id: Option<SampleId>,
    pub sample_name: Option<String>,
    pub time_index: Option<i64>,
    pub channel: Option<String>,
    pub z_index: Option<i64>,
    pub state: String,
    pub reason: Option<String>,
    pub code: Option<String>,
    pub attempts: i64,
    pub first_seen_unix_ms: i64,
    pub closed_unix_ms: Option<i64>,
    pub committed_unix_ms: Option<i64>,
    pub acquired_unix_ms: Option<i64>,
    pub width_px: Option<i64>,
    pub height_px: Option<i64>,
    pub pixel_size_um: Option<f64>,
    pub background_counts: Option<f64>,
    pub evenness: Option<f64>,
    pub focus: Option<f64>,
    pub saturated_share: Option<f64>,
    pub verdict: Option<String>,
    pub in_doubt: bool,
}

/// Where a frame's pixels lie: what is needed to read them again.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct FrameSource {
    /// Which frame.
    pub frame_id: FrameId,
    /// Its source, relative to the watched folder.
    pub path: String,
    /// Which plane of the source.
    pub plane_index: i64,
    /// The side of a pixel, um.
    pub pixel_size_um: Option<f64>,
    /// The source's size when it was admitted, bytes.
    pub size_bytes: i64,
    /// The source's modification time when it was admitted.
    pub modified_unix_ns: i64,
}

/// A frame in the film strip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrameInStrip {
    /// Which.
    pub frame_id: FrameId,
    /// When, as the instrument counts.
    pub time_index: i64,
    /// `done` or `failed`.
    pub state: String,
    /// Why it failed.
    pub code: Option<String>,
    /// Whether its cells can be believed.
    pub verdict: Option<String>,
    /// When it was acquired.
    pub acquired_unix_ms: Option<i64>,
    /// When its result was committed.
    pub committed_unix_ms: Option<i64>,
    /// Focus measure.
    pub focus: Option<f64>,
    /// Typical background, counts.
    pub background_counts: Option<f64>,
    /// Darkest over brightest background, 0..1.
    pub evenness: Option<f64>,
    /// Cells found.
    pub cell_count: i64,
    /// Mean score of the cells whose score counts.
    pub score: Option<f64>,
}

#[derive(FromRow)]
struct StripRow {
    frame_id: FrameId,
    time_index: i64,
    state: String,
    code: Option<String>,
    verdict: Option<String>,
    acquired_unix_ms: Option<i64>,
    committed_unix_ms: Option<i64>,
    focus: Option<f64>,
    background_counts: Option<f64>,
    evenness: Option<f64>,
    cell_count: i64,
    score: Option<f64>,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
#[expect(missing_docs, reason = "the fields are the columns of the table `frames`, documented there")]
pub struct LedgerEntry {
    pub frame_id: FrameId,
    pub path: String,
    pub plane_index: i64,
    pub fov_id: Option<FovId>,
    pub fov_name: Option<String>,
    pub time_index: Option<i64>,
    pub state: String,
    pub reason: Option<String>,
    pub code: Option<String>,
    pub attempts: i64,
    pub first_seen_unix_ms: i64,
    pub committed_unix_ms: Option<i64>,
}

/// Which rows of the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerFilter {
    /// Only this state.
    pub state: Option<String>,
    /// Only this failure code; needs `state`.
    pub code: Option<String>,
    /// Only this field of view.
    pub fov_id: Option<FovId>,
}

/// Failed frames with the same code.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct FailureGroup {
    /// Stable code.
    pub code: String,
    /// How many.
    pub frame_count: i64,
    /// The newest such frame.
    pub newest_frame_id: FrameId,
    /// Its file, relative to the watched folder.
    pub newest_path: String,
    /// When it was given up.
    pub newest_unix_ms: Option<i64>,
    /// What was said about it.
    pub newest_reason: Option<String>,
}

/// Waiting frames with the same reason.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct WaitingGroup {
    /// Why they wait.
    pub reason: String,
    /// How many.
    pub frame_count: i64,
    /// Since when the oldest is known.
    pub oldest_unix_ms: i64,
}

/// One frame; `None` when there is no such one.
///
/// # Errors
/// When the database cannot be read.
pub async fn frame(readers: &SqlitePool, frame: FrameId) -> Result<Option<FrameDetail>, StoreError> {
    sqlx::query_as(FRAME).bind(frame.0).fetch_optional(readers).await.map_err(doing("look up a frame"))
}

/// Where a frame's pixels lie; `None` when there is no such frame.
///
/// # Errors
/// When the database cannot be read.
pub async fn frame_source(readers: &SqlitePool, frame: FrameId) -> Result<Option<FrameSource>, StoreError> {
    sqlx::query_as(FRAME_SOURCE).bind(frame.0).fetch_optional(readers).await.map_err(doing("look up a frame's source"))
}

/// The done and failed frames of a field of view back in time, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn strip(
    readers: &SqlitePool,
    fov: FovId,
    bundle: Option<BundleId>,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<FrameInStrip>, StoreError> {
    let after = after.unwrap_or(Cursor::END);
    let rows: Vec<StripRow> = sqlx::query_as(STRIP)
        .bind(fov.0)
        .bind(after.major)
        .bind(after.minor)
        .bind(limit + 1)
        .bind(bundle.map(|id| id.0))
        .fetch_all(readers)
        .await
        .map_err(doing("list a field of view's frames"))?;
    let frames = rows
        .into_iter()
        .map(|row| FrameInStrip {
            frame_id: row.frame_id,
            time_index: row.time_index,
            state: row.state,
            code: row.code,
            verdict: row.verdict,
            acquired_unix_ms: row.acquired_unix_ms,
            committed_unix_ms: row.committed_unix_ms,
            focus: row.focus,
            background_counts: row.background_counts,
            evenness: row.evenness,
            cell_count: row.cell_count,
            score: row.score,
        })
        .collect();
    Ok(page(frames, limit, |row: &FrameInStrip| Cursor { major: row.time_index, minor: row.frame_id.0 }))
}

/// Rows of the ledger, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn ledger(
    readers: &SqlitePool,
    filter: &LedgerFilter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<LedgerEntry>, StoreError> {
    let after = after.unwrap_or(Cursor::END).major;
    let fov = filter.fov_id.map(|id| id.0);
    let query = match (&filter.state, fov) {
        (Some(state), _) => sqlx::query_as(LEDGER_BY_STATE)
            .bind(after)
            .bind(limit + 1)
            .bind(state.as_str())
            .bind(filter.code.as_deref())
            .bind(fov),
        (None, Some(fov)) => sqlx::query_as(LEDGER_BY_FOV).bind(after).bind(limit + 1).bind(fov),
        (None, None) => sqlx::query_as(LEDGER).bind(after).bind(limit + 1),
    };
    let rows = query.fetch_all(readers).await.map_err(doing("list the ledger"))?;
    Ok(page(rows, limit, |row: &LedgerEntry| Cursor { major: row.frame_id.0, minor: 0 }))
}

/// Failed frames by code, the most frequent first.
///
/// # Errors
/// When the database cannot be read.
pub async fn failures(readers: &SqlitePool) -> Result<Vec<FailureGroup>, StoreError> {
    sqlx::query_as(FAILURES).fetch_all(readers).await.map_err(doing("count failures"))
}

/// Waiting frames by reason, the most frequent first.
///
/// # Errors
/// When the database cannot be read.
pub async fn waiting(readers: &SqlitePool) -> Result<Vec<WaitingGroup>, StoreError> {
    sqlx::query_as(WAITING).fetch_all(readers).await.map_err(doing("count waiting frames"))
}
