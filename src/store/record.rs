//! The result of one frame, written in one transaction together with its ledger row and its field's tracking memory.

use super::{Store, StoreError, doing};
use crate::cells::{Cell, FrameVerdict};
use crate::frame::FrameQuality;
use crate::id::{BundleId, CellId, FovId, FrameId, RunId, TimeIndex, TrackId};
use crate::infer::Latent;
use crate::infer::discriminant::score;
use crate::units::{PixelSize, PointPx};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use std::collections::BTreeMap;

/// Rows per multi-row insert: 21 columns stay below SQLite's 32,766 variables.
const ROWS_PER_INSERT: usize = 500;

/// What the model said about a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellScore {
    /// Latent descriptor.
    pub latent: Latent,
    /// Discriminant before the sigmoid.
    pub logit: f64,
    /// Posterior of "high", 0..=1.
    pub score: f64,
    /// Mahalanobis distance from the training set.
    pub distance: f64,
    /// Why the score must not be shown or counted.
    pub withheld: Option<&'static str>,
}

/// The track that a cell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellTrack {
    /// Track's number within the field of view, from 1.
    pub number: u32,
    /// Number of the track that it came from by division.
    pub parent: Option<u32>,
}

/// One cell with everything that is known about it.
#[derive(Debug, Clone)]
pub struct CellRecord {
    /// Outline, shape, place; its crop is not stored.
    pub cell: Cell,
    /// What the model said; `None` for a cell without a crop.
    pub score: Option<CellScore>,
    /// Its track; `None` in a frame that was not linked.
    pub track: Option<CellTrack>,
}

/// The result of one frame.
#[derive(Debug, Clone)]
pub struct FrameRecord {
    /// The frame.
    pub frame: FrameId,
    /// Its field of view.
    pub fov: FovId,
    /// Its time point.
    pub time: TimeIndex,
    /// The bundle that scored it.
    pub bundle: BundleId,
    /// The run that did it.
    pub run: RunId,
    /// Pixels per row and number of rows.
    pub size_px: (usize, usize),
    /// Pixel size.
    pub pixel_size: PixelSize,
    /// The frame as a whole.
    pub quality: FrameQuality,
    /// Whether its cells can be believed.
    pub verdict: FrameVerdict,
    /// Whether the network that finds cells was in doubt about it.
    pub in_doubt: bool,
    /// Its cells in their order.
    pub cells: Vec<CellRecord>,
    /// The tracker's memory after this frame, JSON; `None` when the frame was not linked.
    pub linker_state: Option<String>,
}

impl Store {
    /// Commits a frame's result: cells, tracks, scores, the tracker's memory and the ledger row, all or nothing.
    /// A result that the frame had before is replaced.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn record(&self, record: &FrameRecord, committed_unix_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin to store a frame"))?;
        forget_result(&mut tx, record.frame).await?;
        let tracks = upsert_tracks(&mut tx, record).await?;
        for (chunk_number, chunk) in record.cells.chunks(ROWS_PER_INSERT).enumerate() {
            let first_number = chunk_number * ROWS_PER_INSERT + 1;
            insert_cells(&mut tx, record, (chunk, first_number), &tracks).await?;
        }
        let of_tracks: Vec<(TrackId, &CellScore)> = (record.cells.iter())
            .filter_map(|entry| Some((*tracks.get(&entry.track?.number)?, entry.score.as_ref()?)))
            .collect();
        add_track_scores(&mut tx, record.bundle, &of_tracks).await?;
        finish_frame(&mut tx, record, committed_unix_ms).await?;
        tx.commit().await.map_err(doing("commit a frame"))
    }

    /// Commits what another bundle says about the cells of a frame that has its result, by their numbers. What is stored stays
    /// as it is; `false` when this bundle has spoken about the frame before (then nothing is written).
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn record_scores(
        &self,
        frame: FrameId,
        bundle: BundleId,
        scores: &BTreeMap<usize, CellScore>,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "store another bundle's scores";
        let mut tx = self.writer().begin().await.map_err(doing(OPERATION))?;
        let known: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM cells JOIN inferences USING (cell_id) WHERE frame_id = ?1 AND bundle_id = ?2",
        )
        .bind(frame.0)
        .bind(bundle.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(doing(OPERATION))?;
        if known > 0 {
            return Ok(false);
        }
        let cells: Vec<(i64, CellId, Option<TrackId>)> =
            sqlx::query_as("SELECT number, cell_id, track_id FROM cells WHERE frame_id = ?1 ORDER BY number")
                .bind(frame.0)
                .fetch_all(&mut *tx)
                .await
                .map_err(doing(OPERATION))?;
        let score_of = |number: &i64| usize::try_from(*number).ok().and_then(|number| scores.get(&number));
        let of_cells: Vec<(CellId, &CellScore)> =
            cells.iter().filter_map(|(number, cell, _)| Some((*cell, score_of(number)?))).collect();
        let of_tracks: Vec<(TrackId, &CellScore)> =
            cells.iter().filter_map(|(number, _, track)| Some(((*track)?, score_of(number)?))).collect();
        insert_scores(&mut tx, bundle, &of_cells).await?;
        add_track_scores(&mut tx, bundle, &of_tracks).await?;
        tx.commit().await.map_err(doing(OPERATION))?;
        Ok(true)
    }

    /// The tracker's memory of a field of view, JSON.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn linker_state(&self, fov: FovId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT linker_state FROM fields_of_view WHERE fov_id = ?1")
            .bind(fov.0)
            .fetch_optional(self.readers())
            .await
            .map(Option::flatten)
            .map_err(doing("load the tracker's memory"))
    }
}

/// Takes out what a frame gave before (it was rewritten since); its cells leave their tracks.
async fn forget_result(tx: &mut SqliteConnection, frame: FrameId) -> Result<(), StoreError> {
    let tracks: Vec<i64> =
        sqlx::query_scalar("SELECT DISTINCT track_id FROM cells WHERE frame_id = ?1 AND track_id IS NOT NULL")
            .bind(frame.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(doing("find an earlier result"))?;
    sqlx::query("DELETE FROM cells WHERE frame_id = ?1")
        .bind(frame.0)
        .execute(&mut *tx)
        .await
        .map_err(doing("take out an earlier result"))?;
    for track in tracks {
        for statement in [
            "UPDATE track_scores SET (scored_count, withheld_count, logit_sum) = (
                 SELECT count(*) FILTER (WHERE withheld IS NULL), count(withheld),
                        coalesce(sum(logit) FILTER (WHERE withheld IS NULL), 0.0)
                 FROM cells JOIN inferences USING (cell_id)
                 WHERE cells.track_id = track_scores.track_id AND inferences.bundle_id = track_scores.bundle_id)
             WHERE track_id = ?1",
            "UPDATE tracks SET cell_count = max(1, (SELECT count(*) FROM cells WHERE cells.track_id = tracks.track_id))
             WHERE track_id = ?1",
            "DELETE FROM track_scores WHERE track_id = ?1
             AND NOT EXISTS (SELECT 1 FROM cells WHERE cells.track_id = track_scores.track_id)",
            "DELETE FROM tracks WHERE track_id = ?1
             AND NOT EXISTS (SELECT 1 FROM cells WHERE cells.track_id = tracks.track_id)",
        ] {
            sqlx::query(statement)
                .bind(track)
                .execute(&mut *tx)
                .await
                .map_err(doing("recompute a track without a rewritten frame"))?;
        }
        let sums =
            sqlx::query_as("SELECT track_id, bundle_id, scored_count, logit_sum FROM track_scores WHERE track_id = ?1")
                .bind(track)
                .fetch_all(&mut *tx)
                .await
                .map_err(doing("look up a track without a rewritten frame"))?;
        set_track_scores(tx, &sums).await?;
    }
    Ok(())
}

/// Where a track began, where it is, and how far it went in between.
struct Way {
    first: PointPx,
    last: PointPx,
    path_px: f64,
}

/// Extends the tracks of the frame's cells, begins new ones; gives their identities by number.
async fn upsert_tracks(tx: &mut SqliteConnection, record: &FrameRecord) -> Result<BTreeMap<u32, TrackId>, StoreError> {
    let mut linked: Vec<(CellTrack, PointPx)> =
        record.cells.iter().filter_map(|cell| Some((cell.track?, cell.cell.centroid))).collect();
    linked.sort_by_key(|(track, _)| track.number);
    let mut known: BTreeMap<u32, Way> = BTreeMap::new();
    for chunk in linked.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT number, first_x_px, first_y_px, last_x_px, last_y_px, path_px FROM tracks WHERE fov_id = ",
        );
        query.push_bind(record.fov.0).push(" AND number IN (");
        let mut numbers = query.separated(", ");
        for (track, _) in chunk {
            numbers.push_bind(i64::from(track.number));
        }
        query.push(")");
        let rows = query.build().fetch_all(&mut *tx).await.map_err(doing("find tracks"))?;
        for row in rows {
            let read = || -> Result<_, sqlx::Error> {
                let first = PointPx { x: row.try_get(1)?, y: row.try_get(2)? };
                let last = PointPx { x: row.try_get(3)?, y: row.try_get(4)? };
                Ok((row.try_get::<i64, _>(0)? as u32, Way { first, last, path_px: row.try_get(5)? }))
            };
            let (number, way) = read().map_err(doing("read a track"))?;
            known.insert(number, way);
        }
    }
    let mut tracks = BTreeMap::new();
    for chunk in linked.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO tracks (fov_id, number, parent_number, first_time_index, last_time_index, cell_count,
                                 first_x_px, first_y_px, last_x_px, last_y_px, path_px, net_px) ",
        );
        query.push_values(chunk, |mut row, (track, at)| {
            let way = known.get(&track.number);
            let path_px = way.map_or(0.0, |way| way.path_px + way.last.distance_px(*at));
            let net_px = way.map_or(0.0, |way| way.first.distance_px(*at));
            row.push_bind(record.fov.0)
                .push_bind(i64::from(track.number))
                .push_bind(track.parent.map(i64::from))
                .push_bind(record.time.0)
                .push_bind(record.time.0)
                .push_bind(1_i64)
                .push_bind(at.x)
                .push_bind(at.y)
                .push_bind(at.x)
                .push_bind(at.y)
                .push_bind(path_px)
                .push_bind(net_px);
        });
        query.push(
            " ON CONFLICT (fov_id, number) DO UPDATE SET last_time_index = excluded.last_time_index,
                  cell_count = tracks.cell_count + 1, last_x_px = excluded.last_x_px, last_y_px = excluded.last_y_px,
                  path_px = excluded.path_px, net_px = excluded.net_px
              RETURNING number, track_id",
        );
        let rows = query.build().fetch_all(&mut *tx).await.map_err(doing("store tracks"))?;
        for row in rows {
            let read =
                || -> Result<_, sqlx::Error> { Ok((row.try_get::<i64, _>(0)? as u32, TrackId(row.try_get(1)?))) };
            let (number, track) = read().map_err(doing("read a stored track"))?;
            tracks.insert(number, track);
        }
    }
    Ok(tracks)
}

async fn insert_cells(
    tx: &mut SqliteConnection,
    record: &FrameRecord,
    (cells, first_number): (&[CellRecord], usize),
    tracks: &BTreeMap<u32, TrackId>,
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO cells (frame_id, number, track_id, x_px, y_px, outline, touches_border, area_um2, perimeter_um,
                            eccentricity, solidity, major_axis_um, minor_axis_um, protrusion_count,
                            protrusion_total_um, protrusion_longest_um, scattering) ",
    );
    query.push_values(cells.iter().zip(first_number..), |mut row, (entry, number)| {
        let cell = &entry.cell;
        row.push_bind(record.frame.0)
            .push_bind(number as i64)
            .push_bind(entry.track.and_then(|track| tracks.get(&track.number)).map(|track| track.0))
            .push_bind(cell.centroid.x)
            .push_bind(cell.centroid.y)
            .push_bind(outline_bytes(&cell.outline))
            .push_bind(cell.touches_border)
            .push_bind(cell.shape.area_um2)
            .push_bind(cell.shape.perimeter_um)
            .push_bind(cell.shape.eccentricity)
            .push_bind(cell.shape.solidity)
            .push_bind(cell.shape.major_axis_um)
            .push_bind(cell.shape.minor_axis_um)
            .push_bind(i64::from(cell.shape.protrusion_count))
            .push_bind(cell.shape.protrusion_total_um)
            .push_bind(cell.shape.protrusion_longest_um)
            .push_bind(cell.shape.scattering);
    });
    query.push(" RETURNING number, cell_id");
    let rows = query.build().fetch_all(&mut *tx).await.map_err(doing("store cells"))?;
    let mut ids: BTreeMap<usize, CellId> = BTreeMap::new();
    for row in rows {
        let read = || -> Result<_, sqlx::Error> { Ok((row.try_get::<i64, _>(0)? as usize, CellId(row.try_get(1)?))) };
        let (number, id) = read().map_err(doing("read a stored cell"))?;
        ids.insert(number, id);
    }
    let scored: Vec<(CellId, &CellScore)> = cells
        .iter()
        .zip(first_number..)
        .filter_map(|(entry, number)| Some((*ids.get(&number)?, entry.score.as_ref()?)))
        .collect();
    insert_scores(tx, record.bundle, &scored).await
}

/// What `bundle` said about cells that are stored.
async fn insert_scores(
    tx: &mut SqliteConnection,
    bundle: BundleId,
    scored: &[(CellId, &CellScore)],
) -> Result<(), StoreError> {
    for chunk in scored.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO inferences (cell_id, bundle_id, latent, logit, score, distance, withheld) ",
        );
        query.push_values(chunk, |mut row, (cell, score)| {
            row.push_bind(cell.0)
                .push_bind(bundle.0)
                .push_bind(latent_bytes(&score.latent))
                .push_bind(score.logit)
                .push_bind(score.score)
                .push_bind(score.distance)
                .push_bind(score.withheld);
        });
        query.build().execute(&mut *tx).await.map_err(doing("store scores"))?;
    }
    Ok(())
}

/// Adds one frame's scores to the sums of their tracks. A track has at most one cell in a frame.
async fn add_track_scores(
    tx: &mut SqliteConnection,
    bundle: BundleId,
    scored: &[(TrackId, &CellScore)],
) -> Result<(), StoreError> {
    for chunk in scored.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO track_scores (track_id, bundle_id, scored_count, withheld_count, logit_sum) ",
        );
        query.push_values(chunk, |mut row, (track, score)| {
            let counts = score.withheld.is_none();
            row.push_bind(track.0)
                .push_bind(bundle.0)
                .push_bind(i64::from(counts))
                .push_bind(i64::from(!counts))
                .push_bind(if counts { score.logit } else { 0.0 });
        });
        query.push(
            " ON CONFLICT (track_id, bundle_id) DO UPDATE SET scored_count = track_scores.scored_count + excluded.scored_count,
                  withheld_count = track_scores.withheld_count + excluded.withheld_count,
                  logit_sum = track_scores.logit_sum + excluded.logit_sum
              RETURNING track_id, bundle_id, scored_count, logit_sum",
        );
        let sums = query.build_query_as().fetch_all(&mut *tx).await.map_err(doing("store track scores"))?;
        set_track_scores(tx, &sums).await?;
    }
    Ok(())
}

/// A track's sums: track, bundle, number of logits, their sum.
type TrackSums = (i64, i64, i64, f64);

/// Brings the scores of tracks up to date with their sums; SQLite has no exponential of its own.
async fn set_track_scores(tx: &mut SqliteConnection, sums: &[TrackSums]) -> Result<(), StoreError> {
    if sums.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Sqlite>::new("WITH new (track_id, bundle_id, score) AS (");
    query.push_values(sums, |mut row, (track, bundle, count, logit_sum)| {
        let score = (*count > 0).then(|| score(logit_sum / *count as f64));
        row.push_bind(*track).push_bind(*bundle).push_bind(score);
    });
    query.push(
        ") UPDATE track_scores SET score = new.score FROM new
           WHERE track_scores.track_id = new.track_id AND track_scores.bundle_id = new.bundle_id",
    );
    query.build().execute(&mut *tx).await.map(drop).map_err(doing("store the scores of tracks"))
}

async fn finish_frame(
    tx: &mut SqliteConnection,
    record: &FrameRecord,
    committed_unix_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE frames SET state = 'done', reason = NULL, code = NULL, committed_unix_ms = ?2, run_id = ?3, width_px = ?4,
                height_px = ?5, pixel_size_um = ?6, background_counts = ?7, evenness = ?8, focus = ?9,
                saturated_share = ?10, verdict = ?11, linked = ?12, in_doubt = ?13
         WHERE frame_id = ?1",
    )
    .bind(record.frame.0)
    .bind(committed_unix_ms)
    .bind(record.run.0)
    .bind(record.size_px.0 as i64)
    .bind(record.size_px.1 as i64)
    .bind(record.pixel_size.um())
    .bind(record.quality.background_counts)
    .bind(record.quality.evenness)
    .bind(record.quality.focus)
    .bind(record.quality.saturated_share)
    .bind(verdict_name(record.verdict))
    .bind(record.linker_state.is_some())
    .bind(record.in_doubt)
    .execute(&mut *tx)
    .await
    .map_err(doing("finish a frame"))?;
    let Some(linker_state) = &record.linker_state else { return Ok(()) };
    sqlx::query("UPDATE fields_of_view SET last_linked_time_index = ?2, linker_state = ?3 WHERE fov_id = ?1")
        .bind(record.fov.0)
        .bind(record.time.0)
        .bind(linker_state)
        .execute(&mut *tx)
        .await
        .map(drop)
        .map_err(doing("store the tracker's memory"))
}

/// The name of a verdict in the database.
pub fn verdict_name(verdict: FrameVerdict) -> &'static str {
    match verdict {
        FrameVerdict::Usable => "usable",
        FrameVerdict::Empty => "empty",
        FrameVerdict::OutOfFocus => "out_of_focus",
        FrameVerdict::TooDense => "too_dense",
        FrameVerdict::WrongKind => "wrong_kind",
    }
}

/// An outline as it is stored: little-endian f32 pairs x, y in px.
pub fn outline_bytes(outline: &[PointPx]) -> Vec<u8> {
    outline.iter().flat_map(|point| [point.x as f32, point.y as f32]).flat_map(f32::to_le_bytes).collect()
}

/// The outline in a stored blob; an incomplete last pair is left out.
pub fn outline_from_bytes(bytes: &[u8]) -> Vec<PointPx> {
    floats(bytes)
        .collect::<Vec<_>>()
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [x, y] => Some(PointPx { x: f64::from(*x), y: f64::from(*y) }),
            _ => None,
        })
        .collect()
}

/// A descriptor as it is stored: 56 little-endian f32.
pub fn latent_bytes(latent: &Latent) -> Vec<u8> {
    latent.iter().copied().flat_map(f32::to_le_bytes).collect()
}

/// The descriptor in a stored blob; `None` when it does not hold exactly 56 values.
pub fn latent_from_bytes(bytes: &[u8]) -> Option<Latent> {
    floats(bytes).collect::<Vec<_>>().try_into().ok().filter(|_| bytes.len().is_multiple_of(4))
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?)))
}
