//! Fields of view: where each stands, and which frames never came.

use super::{Cursor, Page, page, statements};
use crate::id::{FovId, FrameId, SampleId, SessionId};
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

/// The newest done and the first waiting frame are each one step in an index; the counts scan one covering index.
macro_rules! fov_rows {
    ($rest:literal) => {
        concat!(
            "SELECT fov.fov_id, fov.session_id, fov.sample_id, fov.name, samples.name AS sample_name,
                newest.frame_id AS newest_frame_id, newest.time_index AS newest_time_index,
                newest.committed_unix_ms AS newest_committed_unix_ms, newest.closed_unix_ms AS newest_closed_unix_ms,
                newest.verdict AS newest_verdict, newest.focus AS newest_focus,
                (SELECT count(*) FROM cells WHERE cells.frame_id = newest.frame_id) AS newest_cell_count,
                held.frame_id AS waiting_frame_id, held.time_index AS waiting_time_index,
                held.reason AS waiting_reason, held.first_seen_unix_ms AS waiting_since_unix_ms,
                span.first_time_index, span.last_time_index,
                coalesce(span.last_time_index - span.first_time_index + 1 - span.time_count, 0) AS missing_count,
                span.seen, span.waiting, span.ready, span.processing, span.done, span.failed, span.skipped,
                (SELECT count(*) FROM tracks WHERE tracks.fov_id = fov.fov_id) AS track_count
            FROM fields_of_view AS fov
            JOIN samples ON samples.sample_id = fov.sample_id
            LEFT JOIN frames AS newest ON newest.frame_id = (
                SELECT frame_id FROM frames
                WHERE state = 'done' AND fov_id = fov.fov_id ORDER BY time_index DESC LIMIT 1)
            LEFT JOIN frames AS held ON held.frame_id = (
                SELECT frame_id FROM frames
                WHERE state = 'waiting' AND fov_id = fov.fov_id ORDER BY time_index LIMIT 1)
            JOIN (
                SELECT picked.fov_id, min(time_index) AS first_time_index, max(time_index) AS last_time_index,
                    count(DISTINCT time_index) AS time_count,
                    count(*) FILTER (WHERE state = 'seen') AS seen,
                    count(*) FILTER (WHERE state = 'waiting') AS waiting,
                    count(*) FILTER (WHERE state = 'ready') AS ready,
                    count(*) FILTER (WHERE state = 'processing') AS processing,
                    count(*) FILTER (WHERE state = 'done') AS done,
                    count(*) FILTER (WHERE state = 'failed') AS failed,
                    count(*) FILTER (WHERE state = 'skipped') AS skipped
                FROM fields_of_view AS picked
                LEFT JOIN (
                    SELECT fov_id, time_index, state FROM frames INDEXED BY frames_by_state
                    WHERE state IN ('seen', 'waiting', 'ready', 'processing', 'done', 'failed', 'skipped')
                ) AS frames ON frames.fov_id = picked.fov_id
                GROUP BY picked.fov_id
            ) AS span ON span.fov_id = fov.fov_id ",
            $rest
        )
    };
}

statements! {
    FOVS = fov_rows!(
        "WHERE fov.fov_id > ?1 AND (?2 IS NULL OR fov.session_id = ?2) AND (?3 IS NULL OR fov.sample_id = ?3)
        ORDER BY fov.fov_id LIMIT ?4"
    );
    FOV = fov_rows!("WHERE fov.fov_id = ?1");
    GAPS = "
        SELECT previous + 1 AS first_time_index, time_index - 1 AS last_time_index FROM (
            SELECT time_index, lag(time_index) OVER (ORDER BY time_index) AS previous
            FROM (SELECT DISTINCT time_index FROM frames WHERE fov_id = ?1 AND time_index IS NOT NULL))
        WHERE time_index > previous + 1 AND previous >= ?2 ORDER BY previous LIMIT ?3";
}

/// How many frames stand in each state of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct StateCounts {
    /// Known, not looked at.
    pub seen: i64,
    /// Not complete, or held for an earlier one.
    pub waiting: i64,
    /// Complete.
    pub ready: i64,
    /// In the stages now.
    pub processing: i64,
    /// Committed.
    pub done: i64,
    /// Failed with a code.
    pub failed: i64,
    /// Not for analysis.
    pub skipped: i64,
}

/// A field of view and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct FovSummary {
    /// Which.
    pub fov_id: FovId,
    /// Its session.
    pub session_id: SessionId,
    /// What is in the well.
    pub sample_id: SampleId,
    /// Its name.
    pub name: String,
    /// The sample's name.
    pub sample_name: String,
    /// The done frame latest in time.
    pub newest_frame_id: Option<FrameId>,
    /// Its time index.
    pub newest_time_index: Option<i64>,
    /// When its result was committed.
    pub newest_committed_unix_ms: Option<i64>,
    /// When its file was closed.
    pub newest_closed_unix_ms: Option<i64>,
    /// Whether its cells can be believed.
    pub newest_verdict: Option<String>,
    /// Its focus measure.
    pub newest_focus: Option<f64>,
    /// Cells found in it.
    pub newest_cell_count: i64,
    /// The first waiting frame.
    pub waiting_frame_id: Option<FrameId>,
    /// Its time index.
    pub waiting_time_index: Option<i64>,
    /// Why it waits.
    pub waiting_reason: Option<String>,
    /// Since when it is known.
    pub waiting_since_unix_ms: Option<i64>,
    /// The smallest time index seen.
    pub first_time_index: Option<i64>,
    /// The largest time index seen.
    pub last_time_index: Option<i64>,
    /// Time indices between them that never came.
    pub missing_count: i64,
    /// Tracks so far.
    pub track_count: i64,
    /// Frames by state.
    #[sqlx(flatten)]
    pub frames: StateCounts,
}

/// A run of time indices that never came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Gap {
    /// First missing.
    pub first_time_index: i64,
    /// Last missing.
    pub last_time_index: i64,
}

/// Fields of view of a session, of a sample or of all, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn fovs(
    readers: &SqlitePool,
    (session, sample): (Option<SessionId>, Option<SampleId>),
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<FovSummary>, StoreError> {
    let rows = sqlx::query_as(FOVS)
        .bind(after.unwrap_or(Cursor::START).major)
        .bind(session.map(|id| id.0))
        .bind(sample.map(|id| id.0))
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list fields of view"))?;
    Ok(page(rows, limit, |row: &FovSummary| Cursor { major: row.fov_id.0, minor: 0 }))
}

/// One field of view; `None` when there is no such one.
///
/// # Errors
/// When the database cannot be read.
pub async fn fov(readers: &SqlitePool, fov: FovId) -> Result<Option<FovSummary>, StoreError> {
    sqlx::query_as(FOV).bind(fov.0).fetch_optional(readers).await.map_err(doing("look up a field of view"))
}

/// Runs of time indices that never came, in time order.
///
/// # Errors
/// When the database cannot be read.
pub async fn gaps(
    readers: &SqlitePool,
    fov: FovId,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<Gap>, StoreError> {
    let rows = sqlx::query_as(GAPS)
        .bind(fov.0)
        .bind(after.unwrap_or(Cursor::START).major)
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list a field of view's gaps"))?;
    Ok(page(rows, limit, |gap: &Gap| Cursor { major: gap.last_time_index, minor: 0 }))
}
