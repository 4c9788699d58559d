//! Cells and tracks with their scores. A withheld score never leaves this file as a number.

use super::{Cursor, Page, page, score_of, statements};
use crate::id::{BundleId, CellId, FovId, FrameId, TrackId};
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

macro_rules! cell_rows {
    ($rest:literal) => {
        concat!(
            "SELECT cells.cell_id, cells.frame_id, cells.number, cells.track_id, tracks.number AS track_number,
                frames.fov_id, frames.time_index, frames.acquired_unix_ms, frames.verdict, frames.pixel_size_um,
                cells.x_px, cells.y_px, cells.outline, cells.touches_border, cells.area_um2, cells.perimeter_um,
                cells.eccentricity, cells.solidity, cells.major_axis_um, cells.minor_axis_um,
                cells.protrusion_count, cells.protrusion_total_um, cells.protrusion_longest_um, cells.scattering,
                inferences.latent, inferences.logit, inferences.distance, inferences.withheld
            FROM cells
            JOIN frames ON frames.frame_id = cells.frame_id
            LEFT JOIN tracks ON tracks.track_id = cells.track_id
            LEFT JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?1 ",
            $rest
        )
    };
}

macro_rules! track_rows {
    ($rest:literal) => {
        concat!(
            "SELECT tracks.track_id, tracks.fov_id, tracks.number, tracks.parent_number, tracks.first_time_index,
                tracks.last_time_index, tracks.cell_count, tracks.path_px, tracks.net_px, tracks.last_x_px, tracks.last_y_px,
                coalesce(track_scores.scored_count, 0) AS scored_count,
                coalesce(track_scores.withheld_count, 0) AS withheld_count,
                track_scores.logit_sum / nullif(track_scores.scored_count, 0) AS mean_logit
            FROM tracks
            LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?1 ",
            $rest
        )
    };
}

statements! {
    CELLS_OF_FRAME = cell_rows!("WHERE cells.frame_id = ?2 ORDER BY cells.number LIMIT 5000");
    CELL = cell_rows!("WHERE cells.cell_id = ?2");
    CELLS_OF_TRACK = cell_rows!(
        "WHERE cells.track_id = ?2 AND (frames.time_index, cells.cell_id) > (?3, ?4)
        ORDER BY frames.time_index, cells.cell_id LIMIT ?5"
    );
    TRACKS = track_rows!("WHERE tracks.fov_id = ?2 AND tracks.number > ?3 ORDER BY tracks.number LIMIT ?4");
    TRACK = track_rows!("WHERE tracks.track_id = ?2");
    CHILDREN = "
        SELECT child.track_id FROM tracks AS child
        JOIN tracks AS parent ON parent.fov_id = child.fov_id AND parent.number = child.parent_number
        WHERE parent.track_id = ?1 ORDER BY child.number LIMIT 100";
    PARENT = "
        SELECT parent.track_id FROM tracks AS child
        JOIN tracks AS parent ON parent.fov_id = child.fov_id AND parent.number = child.parent_number
        WHERE child.track_id = ?1";
}

#[derive(FromRow)]
struct CellRow {
    cell_id: CellId,
    frame_id: FrameId,
    number: i64,
    track_id: Option<TrackId>,
    track_number: Option<i64>,
    fov_id: Option<FovId>,
    time_index: Option<i64>,
    acquired_unix_ms: Option<i64>,
    verdict: Option<String>,
    pixel_size_um: Option<f64>,
    x_px: f64,
    y_px: f64,
    outline: Vec<u8>,
    touches_border: bool,
    area_um2: f64,
    perimeter_um: f64,
    eccentricity: f64,
    solidity: f64,
    major_axis_um: f64,
    minor_axis_um: f64,
    protrusion_count: i64,
    protrusion_total_um: f64,
    protrusion_longest_um: f64,
    scattering: f64,
    latent: Option<Vec<u8>>,
    logit: Option<f64>,
    distance: Option<f64>,
    withheld: Option<String>,
}

/// A cell as it is drawn over its frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellInFrame {
    /// Which.
    pub cell_id: CellId,
    /// Its number in the frame.
    pub number: i64,
    /// Its track.
    pub track_id: Option<TrackId>,
    /// The track's number in the field of view.
    pub track_number: Option<i64>,
    /// Centroid, px.
    pub x_px: f64,
    /// Centroid, px.
    pub y_px: f64,
    /// Closed polygon, `[x, y]` px.
    pub outline_px: Vec<[f32; 2]>,
    /// Partly outside the frame.
    pub touches_border: bool,
    /// Area, um2.
    pub area_um2: f64,
    /// Score, 0..1; `None` when withheld or not scored.
    pub score: Option<f64>,
    /// Why the score is withheld.
    pub withheld: Option<String>,
}

/// Everything about one cell in one frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellDetail {
    /// As drawn.
    #[serde(flatten)]
    pub cell: CellInFrame,
    /// Its frame.
    pub frame_id: FrameId,
    /// Its field of view.
    pub fov_id: Option<FovId>,
    /// When, as the instrument counts.
    pub time_index: Option<i64>,
    /// When the frame was acquired.
    pub acquired_unix_ms: Option<i64>,
    /// Whether the frame's cells can be believed.
    pub frame_verdict: Option<String>,
    /// The side of a pixel, um.
    pub pixel_size_um: Option<f64>,
    /// Length of the outline, um.
    pub perimeter_um: f64,
    /// 0 (circle) ..1.
    pub eccentricity: f64,
    /// Area over convex hull's area.
    pub solidity: f64,
    /// Long axis, um.
    pub major_axis_um: f64,
    /// Short axis, um.
    pub minor_axis_um: f64,
    /// Pseudopodial extensions.
    pub protrusion_count: i64,
    /// Their summed length, um.
    pub protrusion_total_um: f64,
    /// The longest, um.
    pub protrusion_longest_um: f64,
    /// Light scattering, relative to the background.
    pub scattering: f64,
    /// Distance from the model's training set.
    pub distance: Option<f64>,
    /// The latent descriptor, 56 values; `None` when not scored.
    pub latent: Option<Vec<f32>>,
}

/// A cell of a track: enough to plot it over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackCell {
    /// Which.
    pub cell_id: CellId,
    /// Its frame.
    pub frame_id: FrameId,
    /// When, as the instrument counts.
    pub time_index: Option<i64>,
    /// Centroid, px.
    pub x_px: f64,
    /// Centroid, px.
    pub y_px: f64,
    /// Area, um2.
    pub area_um2: f64,
    /// Pseudopodial extensions.
    pub protrusion_count: i64,
    /// Their summed length, um.
    pub protrusion_total_um: f64,
    /// Light scattering, relative to the background.
    pub scattering: f64,
    /// Score, 0..1; `None` when withheld or not scored.
    pub score: Option<f64>,
    /// Why the score is withheld.
    pub withheld: Option<String>,
}

/// A track in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackSummary {
    /// Which.
    pub track_id: TrackId,
    /// Its field of view.
    pub fov_id: FovId,
    /// Its number there.
    pub number: i64,
    /// The number of the track it divided from.
    pub parent_number: Option<i64>,
    /// First time index.
    pub first_time_index: i64,
    /// Last time index.
    pub last_time_index: i64,
    /// Detections.
    pub cell_count: i64,
    /// Length of its path, px.
    pub path_px: f64,
    /// Straight way from its first to its newest place, px.
    pub net_px: f64,
    /// Mean way from one time index to the next, px; `None` for a track of one time index.
    pub speed_px_per_frame: Option<f64>,
    /// Share of the path that the straight way is, 0..=1; `None` for a cell that has not moved.
    pub directness: Option<f64>,
    /// Where it was last, px.
    pub last_x_px: f64,
    /// Where it was last, px.
    pub last_y_px: f64,
    /// Detections whose score counts.
    pub scored_count: i64,
    /// Detections whose score is withheld.
    pub withheld_count: i64,
    /// Sigmoid of the mean logit; `None` when nothing counts.
    pub score: Option<f64>,
}

/// A track with its relatives and a page of its cells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackDetail {
    /// As in a list.
    #[serde(flatten)]
    pub track: TrackSummary,
    /// The track it divided from.
    pub parent_track_id: Option<TrackId>,
    /// The tracks that divided from it.
    pub child_track_ids: Vec<TrackId>,
    /// Its cells in time order.
    pub cells: Page<TrackCell>,
}

#[derive(FromRow)]
struct TrackRow {
    track_id: TrackId,
    fov_id: FovId,
    number: i64,
    parent_number: Option<i64>,
    first_time_index: i64,
    last_time_index: i64,
    cell_count: i64,
    path_px: f64,
    net_px: f64,
    last_x_px: f64,
    last_y_px: f64,
    scored_count: i64,
    withheld_count: i64,
    mean_logit: Option<f64>,
}

impl From<TrackRow> for TrackSummary {
    fn from(row: TrackRow) -> Self {
        let frames = row.last_time_index - row.first_time_index;
        Self {
            track_id: row.track_id,
            fov_id: row.fov_id,
            number: row.number,
            parent_number: row.parent_number,
            first_time_index: row.first_time_index,
            last_time_index: row.last_time_index,
            cell_count: row.cell_count,
            path_px: row.path_px,
            net_px: row.net_px,
            speed_px_per_frame: (frames > 0).then(|| row.path_px / frames as f64),
            directness: (row.path_px > 0.0).then(|| (row.net_px / row.path_px).min(1.0)),
            last_x_px: row.last_x_px,
            last_y_px: row.last_y_px,
            scored_count: row.scored_count,
            withheld_count: row.withheld_count,
            score: row.mean_logit.map(score_of),
        }
    }
}

impl CellRow {
    fn score(&self) -> Option<f64> {
        if self.withheld.is_some() { None } else { self.logit.map(score_of) }
    }

    fn in_frame(&self) -> CellInFrame {
        CellInFrame {
            cell_id: self.cell_id,
            number: self.number,
            track_id: self.track_id,
            track_number: self.track_number,
            x_px: self.x_px,
            y_px: self.y_px,
            outline_px: floats(&self.outline).chunks_exact(2).filter_map(|xy| xy.try_into().ok()).collect(),
            touches_border: self.touches_border,
            area_um2: self.area_um2,
            score: self.score(),
            withheld: self.withheld.clone(),
        }
    }

    fn in_track(&self) -> TrackCell {
        TrackCell {
            cell_id: self.cell_id,
            frame_id: self.frame_id,
            time_index: self.time_index,
            x_px: self.x_px,
            y_px: self.y_px,
            area_um2: self.area_um2,
            protrusion_count: self.protrusion_count,
            protrusion_total_um: self.protrusion_total_um,
            scattering: self.scattering,
            score: self.score(),
            withheld: self.withheld.clone(),
        }
    }

    fn detail(&self) -> CellDetail {
        CellDetail {
            cell: self.in_frame(),
            frame_id: self.frame_id,
            fov_id: self.fov_id,
            time_index: self.time_index,
            acquired_unix_ms: self.acquired_unix_ms,
            frame_verdict: self.verdict.clone(),
            pixel_size_um: self.pixel_size_um,
            perimeter_um: self.perimeter_um,
            eccentricity: self.eccentricity,
            solidity: self.solidity,
            major_axis_um: self.major_axis_um,
            minor_axis_um: self.minor_axis_um,
            protrusion_count: self.protrusion_count,
            protrusion_total_um: self.protrusion_total_um,
            protrusion_longest_um: self.protrusion_longest_um,
            scattering: self.scattering,
            distance: self.distance,
            latent: self.latent.as_deref().map(floats),
        }
    }
}

/// Little-endian f32 as they are stored.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(f32::from_le_bytes).collect()
}

/// The cells of a frame with their outlines and scores, at most 5000.
///
/// # Errors
/// When the database cannot be read.
pub async fn cells_of_frame(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    frame: FrameId,
) -> Result<Vec<CellInFrame>, StoreError> {
    let rows: Vec<CellRow> = sqlx::query_as(CELLS_OF_FRAME)
        .bind(bundle.map(|id| id.0))
        .bind(frame.0)
        .fetch_all(readers)
        .await
        .map_err(doing("list a frame's cells"))?;
    Ok(rows.iter().map(CellRow::in_frame).collect())
}

/// One cell; `None` when there is no such one.
///
/// # Errors
/// When the database cannot be read.
pub async fn cell(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    cell: CellId,
) -> Result<Option<CellDetail>, StoreError> {
    let row: Option<CellRow> = sqlx::query_as(CELL)
        .bind(bundle.map(|id| id.0))
        .bind(cell.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a cell"))?;
    Ok(row.as_ref().map(CellRow::detail))
}

/// The tracks of a field of view by number.
///
/// # Errors
/// When the database cannot be read.
pub async fn tracks(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    fov: FovId,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<TrackSummary>, StoreError> {
    let rows: Vec<TrackRow> = sqlx::query_as(TRACKS)
        .bind(bundle.map(|id| id.0))
        .bind(fov.0)
        .bind(after.unwrap_or(Cursor::START).major)
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list a field of view's tracks"))?;
    let tracks = rows.into_iter().map(TrackSummary::from).collect();
    Ok(page(tracks, limit, |row: &TrackSummary| Cursor { major: row.number, minor: 0 }))
}

/// One track with a page of its cells; `None` when there is no such one.
///
/// # Errors
/// When the database cannot be read.
pub async fn track(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    track: TrackId,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Option<TrackDetail>, StoreError> {
    let bundle = bundle.map(|id| id.0);
    let found: Option<TrackRow> = sqlx::query_as(TRACK)
        .bind(bundle)
        .bind(track.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a track"))?;
    let Some(found) = found else { return Ok(None) };
    let after = after.unwrap_or(Cursor::START);
    let rows: Vec<CellRow> = sqlx::query_as(CELLS_OF_TRACK)
        .bind(bundle)
        .bind(track.0)
        .bind(after.major)
        .bind(after.minor)
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list a track's cells"))?;
    let children: Vec<(TrackId,)> =
        sqlx::query_as(CHILDREN).bind(track.0).fetch_all(readers).await.map_err(doing("list a track's children"))?;
    let parent: Option<(TrackId,)> = sqlx::query_as(PARENT)
        .bind(track.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a track's parent"))?;
    let cells = page(rows.iter().map(CellRow::in_track).collect(), limit, |cell: &TrackCell| Cursor {
        major: cell.time_index.unwrap_or(0),
        minor: cell.cell_id.0,
    });
    Ok(Some(TrackDetail {
        track: found.into(),
        parent_track_id: parent.map(|row| row.0),
        child_track_ids: children.into_iter().map(|row| row.0).collect(),
        cells,
    }))
}
