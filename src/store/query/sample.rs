//! Samples: what was called, what their tracks say, and how the score went over time.

use super::{Cursor, Page, page, statements};
use crate::id::{BundleId, FovId, SampleId, SessionId, TrackId};
use crate::store::{StoreError, doing};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

macro_rules! sample_rows {
    ($rest:literal) => {
        concat!(
            "SELECT samples.sample_id, samples.session_id, samples.name, samples.label,
                (SELECT count(*) FROM fields_of_view WHERE fields_of_view.sample_id = samples.sample_id) AS fov_count,
                sums.track_count, sums.detection_count, sums.scored_count, sums.withheld_count, sums.score,
                calls.verdict, calls.reason, calls.score AS call_score, calls.interval_low, calls.interval_high,
                calls.cell_count, calls.fov_count AS call_fov_count, calls.withheld_share, calls.cells_needed,
                calls.fovs_needed, calls.standing_since_unix_ms, calls.first_called, calls.first_called_unix_ms,
                calls.updated_unix_ms
            FROM samples
            JOIN (
                SELECT samples.sample_id, count(tracks.track_id) AS track_count,
                    coalesce(sum(tracks.cell_count), 0) AS detection_count,
                    coalesce(sum(track_scores.scored_count), 0) AS scored_count,
                    coalesce(sum(track_scores.withheld_count), 0) AS withheld_count,
                    avg(track_scores.score) AS score
                FROM samples
                LEFT JOIN fields_of_view ON fields_of_view.sample_id = samples.sample_id
                LEFT JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
                LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?1
                GROUP BY samples.sample_id
            ) AS sums ON sums.sample_id = samples.sample_id
            LEFT JOIN calls ON calls.sample_id = samples.sample_id AND calls.bundle_id = ?1 ",
            $rest
        )
    };
}

statements! {
    SAMPLES = sample_rows!(
        "WHERE samples.sample_id > ?2 AND (?3 IS NULL OR samples.session_id = ?3)
        ORDER BY samples.sample_id LIMIT ?4"
    );
    SAMPLE = sample_rows!("WHERE samples.sample_id = ?2");
    TRACK_LOGITS = "
        SELECT fields_of_view.session_id, tracks.fov_id, tracks.track_id, track_scores.scored_count,
            track_scores.withheld_count, track_scores.logit_sum
        FROM fields_of_view
        JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
        JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?2
        WHERE fields_of_view.sample_id = ?1
        ORDER BY tracks.fov_id, tracks.track_id";
    TIME_SPAN = "
        SELECT min(time_index) AS first, max(time_index) AS last
        FROM frames JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        WHERE fields_of_view.sample_id = ?1 AND frames.state = 'done'";
    /// Only the frames at the chosen time indices are looked at, however long the session runs: CROSS JOIN keeps the
    /// planner from any other order.
    TREND = "
        WITH chosen (time_index) AS (SELECT value FROM json_each(?3))
        SELECT frames.time_index, min(frames.acquired_unix_ms) AS acquired_unix_ms, count(*) AS cell_count,
            avg(inferences.score) AS score, avg(inferences.score * inferences.score) AS mean_square
        FROM fields_of_view
        CROSS JOIN chosen
        CROSS JOIN frames ON frames.fov_id = fields_of_view.fov_id AND frames.time_index = chosen.time_index
        CROSS JOIN cells ON cells.frame_id = frames.frame_id
        CROSS JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = ?2
        WHERE fields_of_view.sample_id = ?1 AND inferences.withheld IS NULL AND frames.state = 'done'
        GROUP BY frames.time_index ORDER BY frames.time_index";
}

/// The call on a sample as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StandingCall {
    /// `high`, `low`, `undecided` or `withheld`.
    pub verdict: String,
    /// Stable code of the reason.
    pub reason: String,
    /// Mean score over cells, 0..1.
    pub score: Option<f64>,
    /// Lower end of its 95 % interval.
    pub interval_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub interval_high: Option<f64>,
    /// Cells that count.
    pub cell_count: i64,
    /// Fields of view they lie in.
    pub fov_count: i64,
    /// Share of withheld scores, 0..1.
    pub withheld_share: f64,
    /// While undecided: about this many more cells settle it.
    pub cells_needed: Option<i64>,
    /// While undecided: about this many more fields of view settle it.
    pub fovs_needed: Option<i64>,
    /// Since when high or low stands.
    pub standing_since_unix_ms: Option<i64>,
    /// What was called first, `high` or `low`; `None` before the first call.
    pub first_called: Option<String>,
    /// Time of the newest frame at that moment.
    pub first_called_unix_ms: Option<i64>,
    /// When it was looked at last.
    pub updated_unix_ms: i64,
}

/// A sample with its sums and its call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleSummary {
    /// Which.
    pub sample_id: SampleId,
    /// Its session.
    pub session_id: SessionId,
    /// Its name.
    pub name: String,
    /// What was known beforehand, `high` or `low`.
    pub label: Option<String>,
    /// Fields of view.
    pub fov_count: i64,
    /// Tracks: physical cells.
    pub track_count: i64,
    /// Detections in those tracks.
    pub detection_count: i64,
    /// Detections whose score counts.
    pub scored_count: i64,
    /// Detections whose score is withheld.
    pub withheld_count: i64,
    /// Mean over its tracks' scores, as in `samples_view`, 0..1.
    pub score: Option<f64>,
    /// The call; `None` before the first look.
    pub call: Option<StandingCall>,
}

#[derive(FromRow)]
struct SampleRow {
    sample_id: SampleId,
    session_id: SessionId,
    name: String,
    label: Option<String>,
    fov_count: i64,
    track_count: i64,
    detection_count: i64,
    scored_count: i64,
    withheld_count: i64,
    score: Option<f64>,
    verdict: Option<String>,
    reason: Option<String>,
    call_score: Option<f64>,
    interval_low: Option<f64>,
    interval_high: Option<f64>,
    cell_count: Option<i64>,
    call_fov_count: Option<i64>,
    withheld_share: Option<f64>,
    cells_needed: Option<i64>,
    fovs_needed: Option<i64>,
    standing_since_unix_ms: Option<i64>,
    first_called: Option<String>,
    first_called_unix_ms: Option<i64>,
    updated_unix_ms: Option<i64>,
}

impl SampleRow {
    fn call(&self) -> Option<StandingCall> {
        Some(StandingCall {
            verdict: self.verdict.clone()?,
            reason: self.reason.clone()?,
            score: self.call_score,
            interval_low: self.interval_low,
            interval_high: self.interval_high,
            cell_count: self.cell_count?,
            fov_count: self.call_fov_count?,
            withheld_share: self.withheld_share?,
            cells_needed: self.cells_needed,
            fovs_needed: self.fovs_needed,
            standing_since_unix_ms: self.standing_since_unix_ms,
            first_called: self.first_called.clone(),
            first_called_unix_ms: self.first_called_unix_ms,
            updated_unix_ms: self.updated_unix_ms?,
        })
    }
}

impl From<SampleRow> for SampleSummary {
    fn from(row: SampleRow) -> Self {
        Self {
            call: row.call(),
            sample_id: row.sample_id,
            session_id: row.session_id,
            name: row.name,
            label: row.label,
            fov_count: row.fov_count,
            track_count: row.track_count,
            detection_count: row.detection_count,
            scored_count: row.scored_count,
            withheld_count: row.withheld_count,
            score: row.score,
        }
    }
}

/// What a track has said so far, for the call on its sample.
#[derive(Debug, Clone, Copy, PartialEq, FromRow)]
pub struct TrackLogit {
    /// Its session.
    pub session_id: SessionId,
    /// Its field of view.
    pub fov_id: FovId,
    /// The track.
    pub track_id: TrackId,
    /// Detections whose score counts.
    pub scored_count: i64,
    /// Detections whose score is withheld.
    pub withheld_count: i64,
    /// Sum of the logits of those that count.
    pub logit_sum: f64,
}

/// A sample's score at one time index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendPoint {
    /// When, as the instrument counts.
    pub time_index: i64,
    /// When the first of its frames was acquired.
    pub acquired_unix_ms: Option<i64>,
    /// Cells that count.
    pub cell_count: i64,
    /// Mean of their scores.
    pub score: f64,
    /// The score one standard error (between cells) below.
    pub score_low: f64,
    /// The score one standard error above.
    pub score_high: f64,
}

#[derive(FromRow)]
struct TrendRow {
    time_index: i64,
    acquired_unix_ms: Option<i64>,
    cell_count: i64,
    score: f64,
    mean_square: f64,
}

/// Samples of a session or of all, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn samples(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    session: Option<SessionId>,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<SampleSummary>, StoreError> {
    let rows: Vec<SampleRow> = sqlx::query_as(SAMPLES)
        .bind(bundle.map(|id| id.0))
        .bind(after.unwrap_or(Cursor::START).major)
        .bind(session.map(|id| id.0))
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list samples"))?;
    let samples = rows.into_iter().map(SampleSummary::from).collect();
    Ok(page(samples, limit, |row: &SampleSummary| Cursor { major: row.sample_id.0, minor: 0 }))
}

/// One sample; `None` when there is no such one.
///
/// # Errors
/// When the database cannot be read.
pub async fn sample(
    readers: &SqlitePool,
    bundle: Option<BundleId>,
    sample: SampleId,
) -> Result<Option<SampleSummary>, StoreError> {
    let row: Option<SampleRow> = sqlx::query_as(SAMPLE)
        .bind(bundle.map(|id| id.0))
        .bind(sample.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a sample"))?;
    Ok(row.map(SampleSummary::from))
}

/// What every track of a sample has said so far, by field of view and track.
///
/// # Errors
/// When the database cannot be read.
pub async fn track_logits(
    readers: &SqlitePool,
    bundle: BundleId,
    sample: SampleId,
) -> Result<Vec<TrackLogit>, StoreError> {
    sqlx::query_as(TRACK_LOGITS)
        .bind(sample.0)
        .bind(bundle.0)
        .fetch_all(readers)
        .await
        .map_err(doing("load a sample's track scores"))
}

/// A sample's score over time at no more than `points` time indices, evenly chosen.
///
/// # Errors
/// When the database cannot be read.
pub async fn trend(
    readers: &SqlitePool,
    bundle: BundleId,
    sample: SampleId,
    points: u32,
) -> Result<Vec<TrendPoint>, StoreError> {
    let span: (Option<i64>, Option<i64>) =
        sqlx::query_as(TIME_SPAN).bind(sample.0).fetch_one(readers).await.map_err(doing("find a sample's span"))?;
    let (Some(first), Some(last)) = span else { return Ok(Vec::new()) };
    let rows: Vec<TrendRow> = sqlx::query_as(TREND)
        .bind(sample.0)
        .bind(bundle.0)
        .bind(chosen_times(first, last, points))
        .fetch_all(readers)
        .await
        .map_err(doing("load a sample's scores over time"))?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let variance = (row.mean_square - row.score * row.score).max(0.0);
            let error = (variance / row.cell_count.max(1) as f64).sqrt();
            TrendPoint {
                time_index: row.time_index,
                acquired_unix_ms: row.acquired_unix_ms,
                cell_count: row.cell_count,
                score: row.score,
                score_low: (row.score - error).max(0.0),
                score_high: (row.score + error).min(1.0),
            }
        })
        .collect())
}

/// At most `points` time indices from `first` to `last`, both included, as a JSON list.
fn chosen_times(first: i64, last: i64, points: u32) -> String {
    let span = i128::from(last) - i128::from(first);
    let steps = span.min(i128::from(points.max(2)) - 1);
    let times: Vec<String> =
        (0..=steps).map(|step| (i128::from(first) + span * step / steps.max(1)).to_string()).collect();
    format!("[{}]", times.join(","))
}

#[cfg(test)]
mod tests {
    use super::chosen_times;

    #[test]
    fn times_are_chosen_evenly_with_both_ends() {
        assert_eq!(chosen_times(3, 3, 60), "[3]");
        assert_eq!(chosen_times(0, 4, 60), "[0,1,2,3,4]");
        assert_eq!(chosen_times(0, 100, 3), "[0,50,100]");
        assert_eq!(chosen_times(-5, 5, 3), "[-5,0,5]");
        assert_eq!(chosen_times(i64::MIN, i64::MAX, 2), format!("[{},{}]", i64::MIN, i64::MAX));
    }
}
