//! The database on one screen: how many frames are in which state, how many cells, what each sample looks like.

use super::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

/// Number of frames in a state, with the reason or code that they share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct StateCount {
    /// The ledger's state.
    pub state: String,
    /// Failure code, or why the frames wait; empty when neither.
    pub reason: String,
    /// How many.
    pub frames: i64,
}

/// A sample at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SampleGlance {
    /// Session's name.
    pub session: String,
    /// Sample's name.
    pub sample: String,
    /// Tracks.
    pub tracks: i64,
    /// Detections with a score that counts.
    pub scored_cells: i64,
    /// Mean score over tracks; `None` when none has one.
    pub score: Option<f64>,
}

/// The database at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Frames by state and reason.
    pub frames: Vec<StateCount>,
    /// Detections.
    pub cells: i64,
    /// Samples in the order of their names.
    pub samples: Vec<SampleGlance>,
}

/// The database at a glance.
///
/// # Errors
/// When the database refuses.
pub async fn summary(readers: &SqlitePool) -> Result<Summary, StoreError> {
    let frames = sqlx::query_as(
        "SELECT state, CASE state WHEN 'done' THEN '' ELSE coalesce(code, reason, '') END AS reason, count(*) AS frames
         FROM frames GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100",
    )
    .fetch_all(readers)
    .await
    .map_err(doing("count the frames"))?;
    let cells =
        sqlx::query_scalar("SELECT count(*) FROM cells").fetch_one(readers).await.map_err(doing("count the cells"))?;
    let samples = sqlx::query_as(
        "SELECT sessions.name AS session, samples.name AS sample, count(DISTINCT tracks.track_id) AS tracks,
                coalesce(sum(scored_count), 0) AS scored_cells, avg(track_scores.score) AS score
         FROM samples JOIN sessions USING (session_id)
              LEFT JOIN fields_of_view ON fields_of_view.sample_id = samples.sample_id
              LEFT JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
              LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?1
         GROUP BY samples.sample_id ORDER BY sessions.name, samples.name LIMIT 200",
    )
    .bind(super::query::bundle(readers).await?.map(|bundle| bundle.bundle_id.0))
    .fetch_all(readers)
    .await
    .map_err(doing("summarise the samples"))?;
    Ok(Summary { frames, cells, samples })
}
