//! Stored results as rows of named texts, and recomputed results in the same form: equal texts are equal bits.
//!
//! Numbers are written with the fewest digits that read back to the same bits, blobs as their hash.

use super::query::statements;
use super::record::{CellRecord, latent_bytes, outline_bytes, verdict_name};
use super::{StoreError, doing};
use crate::cells::FoundCells;
use crate::frame::FrameQuality;
use crate::id::{BundleId, FovId, FrameId, RunId, SessionId, TimeIndex};
use crate::units::PixelSize;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{FromRow, Row as _};

statements! {
    /// Fields of view in one piece, in time order: the order in which they were linked.
    FRAMES = "
        SELECT frames.frame_id, frames.fov_id, fields_of_view.name AS fov, sources.path, frames.plane_index,
            frames.time_index, frames.linked, frames.run_id, frames.width_px, frames.height_px, frames.pixel_size_um,
            frames.background_counts, frames.evenness, frames.focus, frames.saturated_share, frames.verdict,
            frames.in_doubt
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN sources ON sources.source_id = frames.source_id
        WHERE fields_of_view.session_id = ?1 AND frames.state = 'done'
        ORDER BY frames.fov_id, frames.time_index, frames.frame_id";
    RUNS = "
        SELECT DISTINCT runs.run_id, runs.settings_json, runs.engine, runs.bundle_id, bundles.sha256
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN runs ON runs.run_id = frames.run_id
        JOIN bundles ON bundles.bundle_id = runs.bundle_id
        WHERE fields_of_view.session_id = ?1 AND frames.state = 'done' ORDER BY runs.run_id";
    /// The newest run that let a bundle look again at what another one had scored.
    LATER_RUN = "
        SELECT runs.run_id, runs.settings_json, runs.engine, runs.bundle_id, bundles.sha256
        FROM runs JOIN bundles ON bundles.bundle_id = runs.bundle_id
        WHERE runs.bundle_id = ?1 AND runs.purpose = 'scores' ORDER BY runs.run_id DESC LIMIT 1";
    /// The newest run that analysed frames.
    NEWEST_RUN = "
        SELECT runs.run_id, runs.settings_json, runs.engine, runs.bundle_id, bundles.sha256
        FROM runs JOIN bundles ON bundles.bundle_id = runs.bundle_id
        WHERE runs.purpose = 'frames' ORDER BY runs.run_id DESC LIMIT 1";
    PLACE_OF_FRAME = "
        SELECT sessions.session_id, frames.run_id, sessions.instrument, sessions.name AS session, samples.name AS sample,
            fields_of_view.name AS fov
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        JOIN sessions ON sessions.session_id = fields_of_view.session_id
        WHERE frames.frame_id = ?1 AND frames.run_id IS NOT NULL";
    CELLS = "
        SELECT cells.number, tracks.number AS track, cells.x_px, cells.y_px, cells.outline, cells.touches_border,
            cells.area_um2, cells.perimeter_um, cells.eccentricity, cells.solidity, cells.major_axis_um,
            cells.minor_axis_um, cells.protrusion_count, cells.protrusion_total_um, cells.protrusion_longest_um,
            cells.scattering, inferences.latent, inferences.logit, inferences.score, inferences.distance,
            inferences.withheld
        FROM cells
        LEFT JOIN tracks ON tracks.track_id = cells.track_id
        LEFT JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?2
        WHERE cells.frame_id = ?1 ORDER BY cells.number";
}

/// One result: named values as texts.
pub type ResultRow = Vec<(&'static str, String)>;

/// A frame whose result is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFrame {
    /// Which.
    pub frame: FrameId,
    /// Its field of view.
    pub fov: FovId,
    /// The field's name.
    pub fov_name: String,
    /// Its source, relative to the watched folder.
    pub path: String,
    /// Number of the plane inside its source.
    pub plane_index: usize,
    /// Its time point.
    pub time: TimeIndex,
    /// Whether its cells were linked.
    pub linked: bool,
    /// The run that did it.
    pub run: RunId,
    /// Its result as a whole.
    pub result: ResultRow,
}

/// What a run worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// Which.
    pub run: RunId,
    /// Its settings, JSON.
    pub settings_json: String,
    /// Its engine.
    pub engine: String,
    /// Its bundle.
    pub bundle: BundleId,
    /// The bundle's hash.
    pub bundle_sha256: String,
}

/// Where a frame was taken, and by which run it was analysed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredPlace {
    /// Its session.
    #[sqlx(rename = "session_id")]
    pub session: SessionId,
    /// Its run.
    #[sqlx(rename = "run_id")]
    pub run: RunId,
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    #[sqlx(rename = "session")]
    pub session_name: String,
    /// Sample's name.
    pub sample: String,
    /// Field of view's name.
    pub fov: String,
}

impl StoredPlace {
    /// `instrument / session / sample / field of view`.
    pub fn in_words(&self) -> String {
        [&self.instrument, &self.session_name, &self.sample, &self.fov].map(String::as_str).join(" / ")
    }
}

/// Where a frame was taken; `None` for a frame without a place or a result.
///
/// # Errors
/// When the database cannot be read.
pub async fn place_of_frame(readers: &SqlitePool, frame: FrameId) -> Result<Option<StoredPlace>, StoreError> {
    sqlx::query_as(PLACE_OF_FRAME).bind(frame.0).fetch_optional(readers).await.map_err(doing("look up a frame's place"))
}

/// The analysed frames of a session, by field of view and time.
///
/// # Errors
/// When the database cannot be read.
pub async fn stored_frames(readers: &SqlitePool, session: SessionId) -> Result<Vec<StoredFrame>, StoreError> {
    let rows = sqlx::query(FRAMES).bind(session.0).fetch_all(readers).await.map_err(doing("list stored frames"))?;
    rows.iter().map(frame).collect::<Result<_, _>>().map_err(doing("read a stored frame"))
}

/// The runs that analysed frames of a session.
///
/// # Errors
/// When the database cannot be read.
pub async fn stored_runs(readers: &SqlitePool, session: SessionId) -> Result<Vec<StoredRun>, StoreError> {
    let rows = sqlx::query(RUNS).bind(session.0).fetch_all(readers).await.map_err(doing("list a session's runs"))?;
    rows.iter().map(stored_run).collect::<Result<_, sqlx::Error>>().map_err(doing("read a run"))
}

/// The newest run that let `bundle` look again at a session that another bundle had scored; `None` when it never did.
///
/// # Errors
/// When the database cannot be read.
pub async fn later_run(readers: &SqlitePool, bundle: BundleId) -> Result<Option<StoredRun>, StoreError> {
    let row =
        sqlx::query(LATER_RUN).bind(bundle.0).fetch_optional(readers).await.map_err(doing("look up a later run"))?;
    row.as_ref().map(stored_run).transpose().map_err(doing("read a run"))
}

/// The newest run that analysed frames; `None` before the first.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest_run(readers: &SqlitePool) -> Result<Option<StoredRun>, StoreError> {
    let row = sqlx::query(NEWEST_RUN).fetch_optional(readers).await.map_err(doing("look up the newest run"))?;
    row.as_ref().map(stored_run).transpose().map_err(doing("read a run"))
}

fn stored_run(row: &SqliteRow) -> Result<StoredRun, sqlx::Error> {
    Ok(StoredRun {
        run: row.try_get(0)?,
        settings_json: row.try_get(1)?,
        engine: row.try_get(2)?,
        bundle: row.try_get(3)?,
        bundle_sha256: row.try_get(4)?,
    })
}

/// The stored cells of a frame with what `bundle` said, by number.
///
/// # Errors
/// When the database cannot be read.
pub async fn stored_cells(
    readers: &SqlitePool,
    frame: FrameId,
    bundle: BundleId,
) -> Result<Vec<ResultRow>, StoreError> {
    let query = sqlx::query(CELLS).bind(frame.0).bind(bundle.0);
    let rows = query.fetch_all(readers).await.map_err(doing("list stored cells"))?;
    rows.iter().map(cell).collect::<Result<_, _>>().map_err(doing("read a stored cell"))
}

fn frame(row: &SqliteRow) -> Result<StoredFrame, sqlx::Error> {
    let real = |column: usize| row.try_get::<Option<f64>, _>(column).map(optional);
    Ok(StoredFrame {
        frame: row.try_get(0)?,
        fov: row.try_get(1)?,
        fov_name: row.try_get(2)?,
        path: row.try_get(3)?,
        plane_index: row.try_get::<i64, _>(4)?.unsigned_abs() as usize,
        time: TimeIndex(row.try_get::<Option<i64>, _>(5)?.unwrap_or_default()),
        linked: row.try_get(6)?,
        run: row.try_get(7)?,
        result: vec![
            ("width_px", optional(row.try_get::<Option<i64>, _>(8)?)),
            ("height_px", optional(row.try_get::<Option<i64>, _>(9)?)),
            ("pixel_size_um", real(10)?),
            ("background_counts", real(11)?),
            ("evenness", real(12)?),
            ("focus", real(13)?),
            ("saturated_share", real(14)?),
            ("verdict", row.try_get::<Option<String>, _>(15)?.unwrap_or_default()),
            ("in_doubt", row.try_get::<bool, _>(16)?.to_string()),
        ],
    })
}

fn cell(row: &SqliteRow) -> Result<ResultRow, sqlx::Error> {
    const REALS: [(usize, &str); 11] = [
        (2, "x_px"),
        (3, "y_px"),
        (6, "area_um2"),
        (7, "perimeter_um"),
        (8, "eccentricity"),
        (9, "solidity"),
        (10, "major_axis_um"),
        (11, "minor_axis_um"),
        (13, "protrusion_total_um"),
        (14, "protrusion_longest_um"),
        (15, "scattering"),
    ];
    let mut values: ResultRow = Vec::with_capacity(21);
    values.push(("number", row.try_get::<i64, _>(0)?.to_string()));
    values.push(("track", optional(row.try_get::<Option<i64>, _>(1)?)));
    for (column, name) in REALS {
        values.push((name, real(row.try_get(column)?)));
    }
    values.push(("outline", hash(&row.try_get::<Vec<u8>, _>(4)?)));
    values.push(("touches_border", row.try_get::<bool, _>(5)?.to_string()));
    values.push(("protrusion_count", row.try_get::<i64, _>(12)?.to_string()));
    let latent: Option<Vec<u8>> = row.try_get(16)?;
    values.push(("latent", latent.map_or_else(String::new, |blob| hash(&blob))));
    for (column, name) in [(17, "logit"), (18, "score"), (19, "distance")] {
        values.push((name, optional(row.try_get::<Option<f64>, _>(column)?)));
    }
    values.push(("withheld", row.try_get::<Option<String>, _>(20)?.unwrap_or_default()));
    Ok(values)
}

/// A recomputed frame in the form of [`StoredFrame::result`].
pub fn frame_result(
    size_px: (usize, usize),
    pixel_size: PixelSize,
    quality: &FrameQuality,
    cells: &FoundCells,
) -> ResultRow {
    vec![
        ("width_px", size_px.0.to_string()),
        ("height_px", size_px.1.to_string()),
        ("pixel_size_um", real(pixel_size.um())),
        ("background_counts", real(quality.background_counts)),
        ("evenness", real(quality.evenness)),
        ("focus", real(quality.focus)),
        ("saturated_share", real(quality.saturated_share)),
        ("verdict", verdict_name(cells.verdict).to_owned()),
        ("in_doubt", cells.in_doubt.to_string()),
    ]
}

/// Recomputed cells in the form of [`stored_cells`].
pub fn cell_results(cells: &[CellRecord]) -> Vec<ResultRow> {
    cells.iter().zip(1..).map(|(cell, number)| cell_result(cell, number)).collect()
}

fn cell_result(entry: &CellRecord, number: usize) -> ResultRow {
    let (cell, shape, score) = (&entry.cell, &entry.cell.shape, entry.score.as_ref());
    vec![
        ("number", number.to_string()),
        ("track", optional(entry.track.map(|track| i64::from(track.number)))),
        ("x_px", real(cell.centroid.x)),
        ("y_px", real(cell.centroid.y)),
        ("area_um2", real(shape.area_um2)),
        ("perimeter_um", real(shape.perimeter_um)),
        ("eccentricity", real(shape.eccentricity)),
        ("solidity", real(shape.solidity)),
        ("major_axis_um", real(shape.major_axis_um)),
        ("minor_axis_um", real(shape.minor_axis_um)),
        ("protrusion_total_um", real(shape.protrusion_total_um)),
        ("protrusion_longest_um", real(shape.protrusion_longest_um)),
        ("scattering", real(shape.scattering)),
        ("outline", hash(&outline_bytes(&cell.outline))),
        ("touches_border", cell.touches_border.to_string()),
        ("protrusion_count", shape.protrusion_count.to_string()),
        ("latent", score.map_or_else(String::new, |it| hash(&latent_bytes(&it.latent)))),
        ("logit", optional(score.map(|it| it.logit))),
        ("score", optional(score.map(|it| it.score))),
        ("distance", optional(score.map(|it| it.distance))),
        ("withheld", score.and_then(|it| it.withheld).unwrap_or_default().to_owned()),
    ]
}

fn real(value: f64) -> String {
    format!("{value:?}")
}

fn optional<T: std::fmt::Debug>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| format!("{value:?}"))
}

fn hash(blob: &[u8]) -> String {
    let digest = Sha256::digest(blob);
    let short: Vec<String> = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", short.concat())
}
