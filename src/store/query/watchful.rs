//! What the alerts look at: how each field of view moves, how the newest frames look, how much fails or is withheld.

use super::statements;
use crate::id::{BundleId, FovId, FrameId};
use crate::store::{StoreError, doing};
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

statements! {
    /// The newest 20 time steps of each field of view tell its pace, by our clock and by the instrument's.
    FOV_PULSES = "
        SELECT fov.fov_id, fov.name, sessions.name AS session_name, max(recent.frame_id) AS newest_frame_id,
            (SELECT count(*) FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id) AS done_count,
            count(*) AS frame_count, max(recent.first_seen_unix_ms) AS newest_seen_unix_ms,
            max(recent.first_seen_unix_ms) - min(recent.first_seen_unix_ms) AS span_ms,
            coalesce(max(recent.acquired_unix_ms) - min(recent.acquired_unix_ms), 0) AS acquired_span_ms,
            max(recent.time_index) - min(recent.time_index) AS time_steps
        FROM fields_of_view AS fov
        JOIN sessions ON sessions.session_id = fov.session_id
        JOIN frames AS recent ON recent.fov_id = fov.fov_id AND recent.time_index > (
            SELECT max(time_index) FROM frames WHERE frames.fov_id = fov.fov_id) - 20
        WHERE fov.session_id = ?1 GROUP BY fov.fov_id ORDER BY fov.fov_id LIMIT 2000";
    RECENT_QUALITY = "
        SELECT fov.fov_id, fov.name,
            (SELECT count(*) FROM (SELECT verdict FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id
                ORDER BY time_index DESC LIMIT ?2) WHERE verdict = 'out_of_focus') AS blurred,
            (SELECT count(*) FROM (SELECT in_doubt FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id
                ORDER BY time_index DESC LIMIT ?2) WHERE in_doubt = 1) AS doubted,
            (SELECT count(*) FROM (SELECT verdict FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id
                ORDER BY time_index DESC LIMIT ?2)) AS recent,
            (SELECT avg(background_counts) FROM (SELECT background_counts FROM frames
                WHERE state = 'done' AND frames.fov_id = fov.fov_id ORDER BY time_index DESC LIMIT ?2))
                AS recent_background_counts,
            (SELECT avg(background_counts) FROM (SELECT background_counts FROM frames
                WHERE state = 'done' AND frames.fov_id = fov.fov_id ORDER BY time_index LIMIT ?2))
                AS first_background_counts,
            (SELECT count(*) FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id) AS done_count
        FROM fields_of_view AS fov WHERE fov.session_id = ?1 ORDER BY fov.fov_id LIMIT 2000";
    NEWEST_SESSION = "
        SELECT fields_of_view.session_id FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id ORDER BY frames.frame_id DESC LIMIT 1";
    WITHHELD = "
        SELECT count(*) AS cells, count(inferences.withheld) AS withheld
        FROM (SELECT frame_id FROM frames WHERE state = 'done' ORDER BY frame_id DESC LIMIT ?2) AS recent
        JOIN cells ON cells.frame_id = recent.frame_id
        JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?1";
    FAILED_AMONG_NEWEST = "
        SELECT count(*) FILTER (WHERE state = 'failed') AS failed, count(*) AS ended
        FROM (SELECT state FROM frames WHERE state IN ('done', 'failed') ORDER BY frame_id DESC LIMIT ?1)";
}

/// How a field of view moves.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct FovPulse {
    /// Which.
    pub fov_id: FovId,
    /// Its name.
    pub name: String,
    /// Its session's name.
    pub session_name: String,
    /// The frame that was seen last.
    pub newest_frame_id: FrameId,
    /// Frames done.
    pub done_count: i64,
    /// Frames among the last 20 time steps.
    pub frame_count: i64,
    /// When the newest of them was seen.
    pub newest_seen_unix_ms: i64,
    /// Between the oldest and the newest of them, by our clock.
    pub span_ms: i64,
    /// Between the oldest and the newest of them, by the instrument's clock; 0 when it does not tell.
    pub acquired_span_ms: i64,
    /// Time steps between the oldest and the newest of them.
    pub time_steps: i64,
}

/// How the newest frames of a field of view look beside its first.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RecentQuality {
    /// Which.
    pub fov_id: FovId,
    /// Its name.
    pub name: String,
    /// Newest frames that are out of focus.
    pub blurred: i64,
    /// Newest frames about which the network that finds cells was in doubt.
    pub doubted: i64,
    /// Newest frames looked at.
    pub recent: i64,
    /// Mean background of the newest frames, counts.
    pub recent_background_counts: Option<f64>,
    /// Mean background of the first frames, counts.
    pub first_background_counts: Option<f64>,
    /// Frames done.
    pub done_count: i64,
}

/// The fields of view of the session that moved last.
///
/// # Errors
/// When the database cannot be read.
pub async fn fov_pulses(readers: &SqlitePool) -> Result<Vec<FovPulse>, StoreError> {
    sqlx::query_as(FOV_PULSES)
        .bind(newest_session(readers).await?)
        .fetch_all(readers)
        .await
        .map_err(doing("look how the fields of view move"))
}

/// The newest `frames` frames of each field of view of the session that moved last, beside its first.
///
/// # Errors
/// When the database cannot be read.
pub async fn recent_quality(readers: &SqlitePool, frames: u32) -> Result<Vec<RecentQuality>, StoreError> {
    sqlx::query_as(RECENT_QUALITY)
        .bind(newest_session(readers).await?)
        .bind(frames)
        .fetch_all(readers)
        .await
        .map_err(doing("look how the newest frames are"))
}

async fn newest_session(readers: &SqlitePool) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar(NEWEST_SESSION).fetch_optional(readers).await.map_err(doing("find the newest session"))
}

/// Share of withheld scores among the cells of the newest `frames` frames; `None` without scored cells.
///
/// # Errors
/// When the database cannot be read.
pub async fn withheld_share(readers: &SqlitePool, bundle: BundleId, frames: u32) -> Result<Option<f64>, StoreError> {
    let (cells, withheld): (i64, i64) = sqlx::query_as(WITHHELD)
        .bind(bundle.0)
        .bind(frames)
        .fetch_one(readers)
        .await
        .map_err(doing("count withheld scores"))?;
    Ok((cells > 0).then(|| withheld as f64 / cells as f64))
}

/// Failed frames, and all that ended, among the newest `frames` that ended.
///
/// # Errors
/// When the database cannot be read.
pub async fn failed_among_newest(readers: &SqlitePool, frames: u32) -> Result<(i64, i64), StoreError> {
    sqlx::query_as(FAILED_AMONG_NEWEST).bind(frames).fetch_one(readers).await.map_err(doing("count new failures"))
}
