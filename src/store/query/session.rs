//! Sessions and bundles.

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
    /// The bundle of the newest run that took frames, else the newest bundle: who lets another bundle look at a finished
    /// session again does not change what is shown.
    BUNDLE = "
        SELECT bundle_id, name, version, sha256, first_used_unix_ms FROM bundles
        WHERE bundle_id = coalesce(
            (SELECT bundle_id FROM runs WHERE bundle_id IS NOT NULL AND purpose = 'frames' ORDER BY run_id DESC LIMIT 1),
            (SELECT max(bundle_id) FROM bundles))";
    NEWEST_COMMIT = "
        SELECT max(newest) FROM (
            SELECT (SELECT committed_unix_ms FROM frames WHERE state = 'done' AND frames.fov_id = fov.fov_id
                ORDER BY time_index DESC LIMIT 1) AS newest
            FROM fields_of_view AS fov)";
    /// The bundles that have scores in the database and that a name, a version, both, a number, or the beginning of a hash
    /// (8 digits or more) may mean.
    BUNDLES_NAMED = "
        SELECT bundle_id, name, version, sha256, first_used_unix_ms FROM bundles
        WHERE ?1 IS NULL OR name = ?1 OR version = ?1 OR name || ' ' || version = ?1
            OR CAST(bundle_id AS TEXT) = ?1 OR (length(?1) >= 8 AND substr(sha256, 1, length(?1)) = ?1)
        ORDER BY bundle_id LIMIT 100";
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

/// The bundles that `name` may mean: a name, a version, both with a space between, a number, or the beginning of a hash; all
/// bundles without a name.
///
/// # Errors
/// When the database cannot be read.
pub async fn bundles_named(readers: &SqlitePool, name: Option<&str>) -> Result<Vec<BundleSummary>, StoreError> {
    sqlx::query_as(BUNDLES_NAMED).bind(name).fetch_all(readers).await.map_err(doing("look up a bundle"))
}

/// When the newest result was committed; `None` before the first.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest_commit(readers: &SqlitePool) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar(NEWEST_COMMIT).fetch_one(readers).await.map_err(doing("look up the newest result"))
}
