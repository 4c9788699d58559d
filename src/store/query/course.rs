//! What changes of state are computed from: the logits of one track, and which tracks are long enough to measure by.

use super::statements;
use crate::cells::Shape;
use crate::id::{BundleId, SessionId, TrackId};
use crate::infer::state::StateReading;
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

statements! {
    /// Withheld scores are left out.
    LOGITS = "
        SELECT frames.time_index, frames.acquired_unix_ms, inferences.logit,
            cells.protrusion_count, cells.protrusion_total_um, cells.protrusion_longest_um, cells.scattering
        FROM cells
        JOIN frames ON frames.frame_id = cells.frame_id
        JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?2
        WHERE cells.track_id = ?1 AND inferences.withheld IS NULL AND frames.time_index IS NOT NULL
        ORDER BY frames.time_index, cells.cell_id LIMIT 20000";
    LONG_TRACKS = "
        SELECT tracks.track_id, track_scores.scored_count
        FROM fields_of_view
        JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
        JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?2
        WHERE fields_of_view.session_id = ?1 AND track_scores.scored_count >= ?3
        ORDER BY fields_of_view.fov_id, tracks.number";
    SESSION_OF_TRACK = "
        SELECT fields_of_view.session_id FROM tracks
        JOIN fields_of_view ON fields_of_view.fov_id = tracks.fov_id WHERE tracks.track_id = ?1";
}

/// One scored frame of a track.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, FromRow)]
pub struct LogitOfTrack {
    /// When, as the instrument counts.
    pub time_index: i64,
    /// When, by the instrument's clock.
    pub acquired_unix_ms: Option<i64>,
    /// The discriminant before the sigmoid.
    pub logit: f64,
    /// Protrusions on its outline.
    pub protrusion_count: u32,
    /// Their summed length, um.
    pub protrusion_total_um: f64,
    /// The longest, um.
    pub protrusion_longest_um: f64,
    /// Bright, fine-grained light, um2.
    pub scattering: f64,
}

impl LogitOfTrack {
    /// What its state is read from.
    pub fn read(&self, reading: &StateReading) -> f64 {
        let hallmarks = Shape {
            protrusion_count: self.protrusion_count,
            protrusion_total_um: self.protrusion_total_um,
            protrusion_longest_um: self.protrusion_longest_um,
            scattering: self.scattering,
            ..Shape::default()
        };
        reading.read(self.logit, &hallmarks)
    }
}

/// A track and how many of its frames count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct TrackLength {
    /// Which.
    pub track_id: TrackId,
    /// Frames whose score counts.
    pub scored_count: i64,
}

/// The logits of a track in time order, withheld ones left out.
///
/// # Errors
/// When the database cannot be read.
pub async fn logits_of_track(
    readers: &SqlitePool,
    bundle: BundleId,
    track: TrackId,
) -> Result<Vec<LogitOfTrack>, StoreError> {
    sqlx::query_as(LOGITS).bind(track.0).bind(bundle.0).fetch_all(readers).await.map_err(doing("load a track's scores"))
}

/// The tracks of a session with at least `fewest` frames that count, by field of view and number.
///
/// # Errors
/// When the database cannot be read.
pub async fn long_tracks(
    readers: &SqlitePool,
    bundle: BundleId,
    session: SessionId,
    fewest: u32,
) -> Result<Vec<TrackLength>, StoreError> {
    sqlx::query_as(LONG_TRACKS)
        .bind(session.0)
        .bind(bundle.0)
        .bind(fewest)
        .fetch_all(readers)
        .await
        .map_err(doing("list a session's long tracks"))
}

/// The session of a track; `None` when there is no such track.
///
/// # Errors
/// When the database cannot be read.
pub async fn session_of_track(readers: &SqlitePool, track: TrackId) -> Result<Option<SessionId>, StoreError> {
    sqlx::query_scalar(SESSION_OF_TRACK).bind(track.0).fetch_optional(readers).await.map_err(doing("find a track"))
}
