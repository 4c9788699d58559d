//! Tracks with their descriptors over time, and frames with their light.
//!
//! What drift, changes of state and the ranking of features are computed from. Tracks are streamed one by one; memory does not grow with the session.

use super::query::statements;
use super::record::latent_from_bytes;
use super::{StoreError, doing};
use crate::cells::Shape;
use crate::id::{BundleId, SessionId};
use crate::infer::state::StateReading;
use crate::infer::{LATENT_LEN, Latent};
use crate::sample::drift::{DayDrift, DayFacts, DriftLimits, FovLatents, TrackOfDay, TrainingSet, course};
use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use std::collections::BTreeMap;

statements! {
    /// Withheld scores are left out; tracks in one piece, in time order.
    SERIES = "
        SELECT sessions.instrument, sessions.name AS session, samples.name AS sample, fields_of_view.name AS fov,
            tracks.track_id, tracks.number AS track_number, frames.time_index, frames.acquired_unix_ms,
            date(coalesce(frames.acquired_unix_ms, frames.first_seen_unix_ms) / 1000, 'unixepoch') AS day,
            inferences.latent, inferences.logit,
            cells.protrusion_count, cells.protrusion_total_um, cells.protrusion_longest_um, cells.scattering
        FROM sessions
        JOIN fields_of_view ON fields_of_view.session_id = sessions.session_id
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
        JOIN cells ON cells.track_id = tracks.track_id
        JOIN frames ON frames.frame_id = cells.frame_id
        JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?1
        WHERE (?2 IS NULL OR sessions.session_id = ?2) AND inferences.withheld IS NULL
        ORDER BY sessions.session_id, fields_of_view.fov_id, tracks.number, frames.time_index, cells.cell_id";
    TRAINING = "SELECT training FROM bundles WHERE bundle_id = ?1";
    LIGHT = "
        SELECT sessions.instrument,
            date(coalesce(frames.acquired_unix_ms, frames.first_seen_unix_ms) / 1000, 'unixepoch') AS day,
            frames.background_counts, frames.evenness, frames.focus, frames.saturated_share
        FROM sessions
        JOIN fields_of_view ON fields_of_view.session_id = sessions.session_id
        JOIN frames ON frames.fov_id = fields_of_view.fov_id
        WHERE frames.state = 'done' AND frames.verdict = 'usable' AND frames.background_counts IS NOT NULL
        ORDER BY sessions.instrument, day, frames.frame_id";
}

/// One scored frame of a track.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint {
    /// Time as the instrument counts.
    pub time_index: i64,
    /// Moment of acquisition, UTC.
    pub acquired_unix_ms: Option<i64>,
    /// Day of acquisition (of arrival where the file does not tell), `2026-03-14`, UTC.
    pub day: String,
    /// Latent descriptor.
    pub latent: Latent,
    /// Discriminant before the sigmoid.
    pub logit: f64,
    /// The two hallmarks on its outline; the shape's other figures are 0.
    pub hallmarks: Shape,
}

/// One track with the frames whose score counts.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSeries {
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub session: String,
    /// Sample's name.
    pub sample: String,
    /// Field of view's name.
    pub fov: String,
    /// Number within the field.
    pub track_number: i64,
    /// Its frames in time order, at least one.
    pub points: Vec<SeriesPoint>,
    track: i64,
}

impl TrackSeries {
    /// Mean descriptor over the frames.
    pub fn mean_latent(&self) -> Latent {
        let mut sums = [0.0_f64; LATENT_LEN];
        for point in &self.points {
            for (sum, value) in sums.iter_mut().zip(point.latent) {
                *sum += f64::from(value);
            }
        }
        sums.map(|sum| (sum / self.points.len().max(1) as f64) as f32)
    }

    /// Mean logit over the frames.
    pub fn mean_logit(&self) -> f64 {
        self.points.iter().map(|point| point.logit).sum::<f64>() / self.points.len().max(1) as f64
    }
}

/// Gives every track that `bundle` scored (of one session, or of all) to `each`, by session, field and track number.
///
/// # Errors
/// When the database cannot be read, or holds a descriptor that is none.
pub async fn for_each_track(
    readers: &SqlitePool,
    bundle: BundleId,
    session: Option<SessionId>,
    each: &mut (dyn FnMut(TrackSeries) + Send),
) -> Result<(), StoreError> {
    let mut current: Option<TrackSeries> = None;
    let mut rows = sqlx::query(SERIES).bind(bundle.0).bind(session.map(|it| it.0)).fetch(readers);
    loop {
        let row = std::future::poll_fn(|context| tokio_stream::Stream::poll_next(rows.as_mut(), context)).await;
        let Some(row) = row.transpose().map_err(doing("read tracks"))? else { break };
        let track: i64 = row.try_get(4).map_err(doing("read a track's row"))?;
        let point = point(&row)?;
        match &mut current {
            Some(series) if series.track == track => series.points.push(point),
            _ => {
                let next = begun(&row, track, point).map_err(doing("read a track's names"))?;
                if let Some(done) = current.replace(next) {
                    each(done);
                }
            }
        }
    }
    if let Some(last) = current {
        each(last);
    }
    Ok(())
}

fn begun(row: &SqliteRow, track: i64, point: SeriesPoint) -> Result<TrackSeries, sqlx::Error> {
    Ok(TrackSeries {
        instrument: row.try_get(0)?,
        session: row.try_get(1)?,
        sample: row.try_get(2)?,
        fov: row.try_get(3)?,
        track_number: row.try_get(5)?,
        points: vec![point],
        track,
    })
}

fn point(row: &SqliteRow) -> Result<SeriesPoint, StoreError> {
    type Read = (i64, Option<i64>, String, Vec<u8>, f64);
    let read = || -> Result<Read, sqlx::Error> {
        Ok((row.try_get(6)?, row.try_get(7)?, row.try_get(8)?, row.try_get(9)?, row.try_get(10)?))
    };
    let (time_index, acquired_unix_ms, day, blob, logit) = read().map_err(doing("read a score"))?;
    let latent = latent_from_bytes(&blob)
        .ok_or_else(|| StoreError::Unreadable { what: format!("a descriptor of {} bytes", blob.len()) })?;
    let hallmarks = hallmarks(row).map_err(doing("read a cell's hallmarks"))?;
    Ok(SeriesPoint { time_index, acquired_unix_ms, day, latent, logit, hallmarks })
}

fn hallmarks(row: &SqliteRow) -> Result<Shape, sqlx::Error> {
    Ok(Shape {
        protrusion_count: row.try_get(11)?,
        protrusion_total_um: row.try_get(12)?,
        protrusion_longest_um: row.try_get(13)?,
        scattering: row.try_get(14)?,
        ..Shape::default()
    })
}

/// What is stored of a bundle's training set; `None` for bundles of which nothing is.
async fn training_set(readers: &SqlitePool, bundle: BundleId) -> Result<Option<TrainingSet>, StoreError> {
    let stored: Option<String> = sqlx::query_scalar(TRAINING)
        .bind(bundle.0)
        .fetch_optional(readers)
        .await
        .map(Option::flatten)
        .map_err(doing("look up a training set"))?;
    let unreadable = |error: serde_json::Error| StoreError::Unreadable { what: format!("a training set: {error}") };
    stored.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
}

/// What changes of state are read from with a bundle.
///
/// # Errors
/// When the database cannot be read, or holds a training set that is none.
pub async fn state_reading(readers: &SqlitePool, bundle: BundleId) -> Result<StateReading, StoreError> {
    Ok(training_set(readers, bundle).await?.and_then(|it| it.state).unwrap_or_default())
}

/// Whether each day of each instrument is like the training set of `bundle` and the days before.
///
/// With `reference_sample`, judged
/// on the cells of samples of that name alone, against its first day, and aligned with it.
///
/// # Errors
/// When the database cannot be read, or holds a training set that is none.
pub async fn drift(
    readers: &SqlitePool,
    bundle: BundleId,
    reference_sample: Option<&str>,
) -> Result<Vec<DayDrift>, StoreError> {
    let training = training_set(readers, bundle).await?;
    let days = days(readers, bundle, reference_sample).await?;
    Ok(course(&days, training.as_ref(), reference_sample.is_some(), &DriftLimits::default()))
}

/// Every day of every instrument, in order.
///
/// It holds the light of its frames, descriptors by field (one per track and day, its mean), and
/// the tracks' mean logits. With `only_sample`, descriptors of samples of that name alone.
///
/// # Errors
/// When the database cannot be read.
pub async fn days(
    readers: &SqlitePool,
    bundle: BundleId,
    only_sample: Option<&str>,
) -> Result<Vec<DayFacts>, StoreError> {
    let mut days: BTreeMap<(String, String), DayFacts> = BTreeMap::new();
    let mut rows = sqlx::query(LIGHT).fetch(readers);
    loop {
        let row = std::future::poll_fn(|context| tokio_stream::Stream::poll_next(rows.as_mut(), context)).await;
        let Some(row) = row.transpose().map_err(doing("read the light"))? else { break };
        add_light(&mut days, &row).map_err(doing("read a frame's light"))?;
    }
    drop(rows);
    let mut fovs: BTreeMap<(String, String, String), FovLatents> = BTreeMap::new();
    for_each_track(readers, bundle, None, &mut |series| {
        let mut by_day: BTreeMap<String, Vec<SeriesPoint>> = BTreeMap::new();
        for point in &series.points {
            by_day.entry(point.day.clone()).or_default().push(point.clone());
        }
        for (day, points) in by_day {
            let part = TrackSeries { points, ..series.clone() };
            let sample = format!("{}/{}", series.session, series.sample);
            let track = TrackOfDay { sample, mean_logit: part.mean_logit() };
            entry(&mut days, series.instrument.clone(), day.clone()).tracks.push(track);
            if only_sample.is_none_or(|wanted| wanted == series.sample) {
                let name = format!("{}/{}/{}", series.session, series.sample, series.fov);
                let latents = fovs.entry((series.instrument.clone(), day, name.clone()));
                latents.or_insert_with(|| FovLatents::new(name)).add(&part.mean_latent());
            }
        }
    })
    .await?;
    for ((instrument, day, _), latents) in fovs {
        entry(&mut days, instrument, day).fovs.push(latents);
    }
    Ok(days.into_values().collect())
}

fn entry(days: &mut BTreeMap<(String, String), DayFacts>, instrument: String, day: String) -> &mut DayFacts {
    days.entry((instrument.clone(), day.clone())).or_insert_with(|| DayFacts { instrument, day, ..DayFacts::default() })
}

fn add_light(days: &mut BTreeMap<(String, String), DayFacts>, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let light = &mut entry(days, row.try_get(0)?, row.try_get(1)?).light;
    for (column, moments) in [
        (2, &mut light.background_counts),
        (3, &mut light.evenness),
        (4, &mut light.focus),
        (5, &mut light.saturated_share),
    ] {
        if let Some(value) = row.try_get::<Option<f64>, _>(column)? {
            moments.add(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_bundles_state_reading_is_kept_and_bundles_without_one_are_read_by_the_logit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
        let bundle = store.register_bundle(&"a".repeat(64), "a model", "1.0.0", 0).await.unwrap();
        let reading = || async { state_reading(store.readers(), bundle).await.unwrap() };
        assert_eq!(reading().await, StateReading::default());
        // As it was stored before there were readings.
        store.keep_training(bundle, r#"{"mean": [0.0], "sd": [1.0], "weights": [0.5]}"#).await.unwrap();
        assert_eq!(reading().await, StateReading::default());
        let fitted = StateReading::new([0.5, 0.1, -0.2, 0.3, 0.4], -1.0);
        let training = TrainingSet { mean: vec![0.0], sd: vec![1.0], weights: vec![0.5], state: Some(fitted) };
        store.keep_training(bundle, &serde_json::to_string(&training).unwrap()).await.unwrap();
        assert_eq!(reading().await, fitted);
        store.close().await;
    }
}
