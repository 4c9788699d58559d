//! Sessions, bundles, and the certificate: frames expected, analysed, and every exception with its reason.

use super::{Cursor, Page, page, statements};
use crate::id::{BundleId, SessionId};
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

statements! {
    SESSIONS = "
        SELECT session_id, instrument, name, first_seen_unix_ms,
            (SELECT count(*) FROM samples WHERE samples.session_id = sessions.session_id) AS sample_count,
            (SELECT count(*) FROM fields_of_view WHERE fields_of_view.session_id = sessions.session_id) AS fov_count
        FROM sessions WHERE session_id < ?1 ORDER BY session_id DESC LIMIT ?2";
    /// The bundle of the newest run that names one, else the newest bundle.
    BUNDLE = "
        SELECT bundle_id, name, version, sha256, first_used_unix_ms FROM bundles
        WHERE bundle_id = coalesce(
            (SELECT bundle_id FROM runs WHERE bundle_id IS NOT NULL ORDER BY run_id DESC LIMIT 1),
            (SELECT max(bundle_id) FROM bundles))";
    NEWEST_COMMIT = "
        SELECT max(newest) FROM (
            SELECT (SELECT committed_unix_ms FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id
                ORDER BY time_index DESC LIMIT 1) AS newest
            FROM fields_of_view AS fov)";
    SESSION_NAME = "SELECT instrument, name FROM sessions WHERE session_id = ?1";
    /// Expected: the span of time indices, times the planes per time index that the field of view usually has.
    EXPECTED = "
        SELECT coalesce(sum(span * planes), 0) AS promised, coalesce(sum(known), 0) AS known,
            coalesce(sum(done), 0) AS done, coalesce(sum(failed), 0) AS failed,
            coalesce(sum(skipped), 0) AS skipped, coalesce(sum(open_frames), 0) AS open_frames
        FROM (
            SELECT max(time_index) - min(time_index) + 1 AS span,
                max(1, CAST(round(1.0 * count(time_index) / max(1, count(DISTINCT time_index))) AS INTEGER)) AS planes,
                count(*) AS known,
                count(*) FILTER (WHERE state = 'done') AS done,
                count(*) FILTER (WHERE state = 'failed') AS failed,
                count(*) FILTER (WHERE state = 'skipped') AS skipped,
                count(*) FILTER (WHERE state NOT IN ('done', 'failed', 'skipped')) AS open_frames
            FROM frames JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
            WHERE fields_of_view.session_id = ?1 GROUP BY frames.fov_id)";
    EXCEPTIONS = "
        SELECT frames.state, coalesce(frames.code, frames.reason, 'no_reason_given') AS reason,
            count(*) AS frame_count, min(sources.path) AS first_path
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN sources ON sources.source_id = frames.source_id
        WHERE fields_of_view.session_id = ?1 AND frames.state <> 'done'
        GROUP BY frames.state, 2 ORDER BY frames.state, 2 LIMIT 500";
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SessionSummary {
    /// Which.
    pub session_id: SessionId,
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub name: String,
    /// When its first frame was seen.
    pub first_seen_unix_ms: i64,
    /// Samples known.
    pub sample_count: i64,
    /// Fields of view known.
    pub fov_count: i64,
}

/// A model bundle that has been used.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct BundleSummary {
    /// Which.
    pub bundle_id: BundleId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Hash over its files.
    pub sha256: String,
    /// When it was used first.
    pub first_used_unix_ms: i64,
}

/// Frames that are not analysed, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Exception {
    /// The ledger's state.
    pub state: String,
    /// Failure code or reason of waiting.
    pub reason: String,
    /// How many frames.
    pub frame_count: i64,
    /// The first such source by name, relative to the watched folder.
    pub first_path: String,
}

/// What became of a session's frames: expected = analysed + explained exceptions + unexplained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// Which session.
    pub session_id: SessionId,
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub name: String,
    /// Frames that the time indices seen promise.
    pub expected_frames: i64,
    /// Frames in the ledger.
    pub known_frames: i64,
    /// Frames whose result is committed.
    pub analysed_frames: i64,
    /// Frames that failed, each with a code.
    pub failed_frames: i64,
    /// Frames that are not for analysis (another channel, another plane), each with a reason.
    pub skipped_frames: i64,
    /// Frames still on their way.
    pub open_frames: i64,
    /// Expected frames that never came: gaps in the time index.
    pub missing_frames: i64,
    /// Frames that are neither analysed nor failed nor skipped nor on their way; always 0 in a sound ledger.
    pub unexplained_frames: i64,
    /// Whether nothing is open and nothing is unexplained.
    pub complete: bool,
    /// Everything that was not analysed, by state and reason.
    pub exceptions: Vec<Exception>,
}

/// Sessions, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn sessions(
    readers: &SqlitePool,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<SessionSummary>, StoreError> {
    let rows = sqlx::query_as(SESSIONS)
        .bind(after.unwrap_or(Cursor::END).major)
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list sessions"))?;
    Ok(page(rows, limit, |row: &SessionSummary| Cursor { major: row.session_id.0, minor: 0 }))
}

/// The bundle in use: that of the newest run; `None` before any was used.
///
/// # Errors
/// When the database cannot be read.
pub async fn bundle(readers: &SqlitePool) -> Result<Option<BundleSummary>, StoreError> {
    sqlx::query_as(BUNDLE).fetch_optional(readers).await.map_err(doing("look up the bundle in use"))
}

#[derive(FromRow)]
struct Expected {
    promised: i64,
    known: i64,
    done: i64,
    failed: i64,
    skipped: i64,
    open_frames: i64,
}

/// A session's certificate; `None` when there is no such session.
///
/// # Errors
/// When the database cannot be read.
pub async fn certificate(readers: &SqlitePool, session: SessionId) -> Result<Option<Certificate>, StoreError> {
    let named: Option<(String, String)> = sqlx::query_as(SESSION_NAME)
        .bind(session.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a session"))?;
    let Some((instrument, name)) = named else { return Ok(None) };
    let sums: Expected =
        sqlx::query_as(EXPECTED).bind(session.0).fetch_one(readers).await.map_err(doing("count a session's frames"))?;
    let exceptions = sqlx::query_as(EXCEPTIONS)
        .bind(session.0)
        .fetch_all(readers)
        .await
        .map_err(doing("list a session's exceptions"))?;
    let unexplained = sums.known - sums.done - sums.failed - sums.skipped - sums.open_frames;
    Ok(Some(Certificate {
        session_id: session,
        instrument,
        name,
        expected_frames: sums.promised.max(sums.known),
        known_frames: sums.known,
        analysed_frames: sums.done,
        failed_frames: sums.failed,
        skipped_frames: sums.skipped,
        open_frames: sums.open_frames,
        missing_frames: (sums.promised - sums.known).max(0),
        unexplained_frames: unexplained,
        complete: sums.open_frames == 0 && unexplained == 0,
        exceptions,
    }))
}

/// When the newest result was committed; `None` before the first.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest_commit(readers: &SqlitePool) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar(NEWEST_COMMIT).fetch_one(readers).await.map_err(doing("look up the newest result"))
}
