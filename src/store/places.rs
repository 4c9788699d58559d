//! Where the cells of followed tracks stood, so that their crops can be cut again.

use super::query::{FrameSource, statements};
use super::{StoreError, doing};
use crate::id::{RunId, SessionId};
use crate::units::PointPx;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

statements! {
    /// Tracks in one piece, in time order.
    PLACES = "
        SELECT sessions.session_id, sessions.instrument, sessions.name AS session, samples.name AS sample,
            fields_of_view.name AS fov, tracks.number AS track_number, frames.time_index,
            date(frames.acquired_unix_ms / 1000, 'unixepoch') AS acquired_day,
            cells.x_px, cells.y_px, frames.run_id, frames.frame_id, sources.path, frames.plane_index,
            frames.pixel_size_um, sources.size_bytes, sources.modified_unix_ns
        FROM sessions
        JOIN fields_of_view ON fields_of_view.session_id = sessions.session_id
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
        JOIN cells ON cells.track_id = tracks.track_id
        JOIN frames ON frames.frame_id = cells.frame_id
        JOIN sources ON sources.source_id = frames.source_id
        WHERE (?1 IS NULL OR sessions.session_id = ?1) AND frames.state = 'done' AND frames.verdict = 'usable'
            AND frames.run_id IS NOT NULL
        ORDER BY sessions.session_id, fields_of_view.fov_id, tracks.number, frames.time_index, cells.cell_id";
}

/// A cell of a track in one usable frame.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct PlacedCell {
    /// Its session.
    pub session_id: SessionId,
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub session: String,
    /// Sample's name.
    pub sample: String,
    /// Field of view's name.
    pub fov: String,
    /// Number of its track within the field.
    pub track_number: i64,
    /// Time as the instrument counts.
    pub time_index: i64,
    /// Day of acquisition, `2026-03-14`, UTC; `None` where the file does not tell.
    pub acquired_day: Option<String>,
    x_px: f64,
    y_px: f64,
    /// The run that found it.
    pub run_id: RunId,
    /// Where the frame's pixels lie.
    #[sqlx(flatten)]
    pub source: FrameSource,
}

impl PlacedCell {
    /// Its centre.
    pub fn centre(&self) -> PointPx {
        PointPx { x: self.x_px, y: self.y_px }
    }
}

/// The cells of all tracks of a session, or of every session, by session, field, track and time.
///
/// # Errors
/// When the database cannot be read.
pub async fn placed_cells(readers: &SqlitePool, session: Option<SessionId>) -> Result<Vec<PlacedCell>, StoreError> {
    let session = session.map(|it| it.0);
    sqlx::query_as(PLACES).bind(session).fetch_all(readers).await.map_err(doing("list the cells of tracks"))
}
