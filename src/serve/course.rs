//! When a followed cell changed its state: the course of one track, measured as `cytowatch changes` measures it.
//!
//! The dynamics of the session (how far apart low and high lie, how noisy a frame is) are measured on its long tracks off the
//! async threads and kept for a while: they hardly move from one frame to the next.

use super::problem::Problem;
use crate::id::{BundleId, SessionId, TrackId};
use crate::infer::state::StateReading;
use crate::sample::dynamics::{Dynamics, FitError, LogitAt, Transition, fit, follow};
use crate::status::monotonic_now;
use crate::store::query::{self, LogitOfTrack};
use crate::store::{Readers, StoreError, series};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A track with fewer frames that count has no course: half an hour before and after a change does not fit in.
const FEWEST_FRAMES: u32 = 60;
/// Frames that dynamics are measured on.
const MOST_FRAMES: i64 = 6_000;
/// How long measured dynamics are used.
const KEPT_FOR: Duration = Duration::from_mins(5);
/// How long a request waits for the measurement.
const WAITED_FOR: Duration = Duration::from_secs(3);
/// Minutes from one time index to the next where the files do not tell.
const USUAL_INTERVAL_MIN: f64 = 1.0;

/// One frame of a course.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CourseFrame {
    /// When, as the instrument counts.
    pub time_index: i64,
    /// What the state is read from without the frame's noise, on the score's scale, 0..1.
    pub smoothed_score: f64,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CourseChange {
    /// The first time index in the new state.
    pub time_index: i64,
    /// `high` or `low`.
    pub to: &'static str,
    /// How sure, 0..1.
    pub confidence: f64,
}

/// When a followed cell changed its state.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TrackCourse {
    /// Frame by frame; empty when there is too little to measure.
    pub frames: Vec<CourseFrame>,
    /// The changes in time order.
    pub changes: Vec<CourseChange>,
    /// Why there is no course.
    pub reason: Option<String>,
    /// It is being measured: ask again.
    pub pending: bool,
    /// The files do not tell when they were acquired: a minute per time point was taken.
    pub minutes_assumed: bool,
}

type Measured = (SessionId, BundleId, Instant, Result<Dynamics, String>);

/// Courses, with the dynamics that were measured last.
#[derive(Debug)]
pub struct Courses {
    measured: Arc<Mutex<Option<Measured>>>,
    measuring: Arc<Semaphore>,
}

impl Default for Courses {
    fn default() -> Self {
        Self { measured: Arc::default(), measuring: Arc::new(Semaphore::new(1)) }
    }
}

impl Courses {
    /// The course of a track; [`TrackCourse::pending`] while the session's dynamics are being measured.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of(
        &self,
        readers: &Readers,
        (session, bundle): (SessionId, BundleId),
        track: TrackId,
    ) -> Result<TrackCourse, Problem> {
        let logits = query::logits_of_track(readers, bundle, track).await?;
        if logits.len() < FEWEST_FRAMES as usize {
            let reason = format!("{} scored frames are too few: {FEWEST_FRAMES} are needed", logits.len());
            return Ok(TrackCourse { reason: Some(reason), ..TrackCourse::default() });
        }
        if self.known(session, bundle).is_none_or(|(_, fresh)| !fresh) {
            self.measure(readers, session, bundle).await?;
        }
        Ok(match self.known(session, bundle) {
            Some((Ok(dynamics), _)) => course(&dynamics, &series::state_reading(readers, bundle).await?, &logits),
            Some((Err(reason), _)) => TrackCourse { reason: Some(reason), ..TrackCourse::default() },
            None => {
                let reason = Some("the session is being measured, look again in a minute".to_owned());
                TrackCourse { reason, pending: true, ..TrackCourse::default() }
            }
        })
    }

    /// What was measured last for the session, and whether that is young enough.
    fn known(&self, session: SessionId, bundle: BundleId) -> Option<(Result<Dynamics, String>, bool)> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (.., at, dynamics) = measured.filter(|(of, by, ..)| (*of, *by) == (session, bundle))?;
        Some((dynamics, at.elapsed() < KEPT_FOR))
    }

    /// Measures off the async threads, one at a time, and waits a moment for it. The work goes on when nobody waits any more.
    async fn measure(&self, readers: &Readers, session: SessionId, bundle: BundleId) -> Result<(), StoreError> {
        let Ok(permit) = Arc::clone(&self.measuring).try_acquire_owned() else { return Ok(()) };
        let tracks = frames_to_measure(readers, session, bundle).await?;
        let measured = Arc::clone(&self.measured);
        let work = tokio::task::spawn_blocking(move || {
            let dynamics = fit(&Dynamics::default(), &tracks).map_err(|error: FitError| error.to_string());
            *measured.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((session, bundle, monotonic_now(), dynamics));
            drop(permit);
        });
        if tokio::time::timeout(WAITED_FOR, work).await.is_err() {
            tracing::debug!("a session's changes of state are still being measured");
        }
        Ok(())
    }
}

/// Every n-th long track, so that all fields are in and the frames are no more than are of use.
async fn frames_to_measure(
    readers: &Readers,
    session: SessionId,
    bundle: BundleId,
) -> Result<Vec<Vec<LogitAt>>, StoreError> {
    let long = query::long_tracks(readers, bundle, session, FEWEST_FRAMES).await?;
    let frames: i64 = long.iter().map(|track| track.scored_count).sum();
    let every = usize::try_from(frames / MOST_FRAMES + 1).unwrap_or(1);
    let reading = series::state_reading(readers, bundle).await?;
    let mut tracks = Vec::new();
    for track in long.iter().step_by(every) {
        tracks.push(in_minutes(&query::logits_of_track(readers, bundle, track.track_id).await?, &reading).0);
    }
    Ok(tracks)
}

/// What the state is read from with its minutes, and whether those had to be assumed.
fn in_minutes(logits: &[LogitOfTrack], reading: &StateReading) -> (Vec<LogitAt>, bool) {
    let known = logits.iter().all(|frame| frame.acquired_unix_ms.is_some());
    let began = logits.first().and_then(|frame| frame.acquired_unix_ms).unwrap_or(0);
    let minute = |frame: &LogitOfTrack| match frame.acquired_unix_ms {
        Some(at) if known => (at - began) as f64 / 60_000.0,
        _ => frame.time_index as f64 * USUAL_INTERVAL_MIN,
    };
    (logits.iter().map(|frame| LogitAt { minute: minute(frame), logit: frame.read(reading) }).collect(), !known)
}

fn course(dynamics: &Dynamics, reading: &StateReading, logits: &[LogitOfTrack]) -> TrackCourse {
    let (frames, minutes_assumed) = in_minutes(logits, reading);
    let course = follow(dynamics, &frames);
    let time_index_at = |minute: f64| {
        let after = frames.iter().position(|frame| frame.minute >= minute);
        after.and_then(|index| logits.get(index)).map(|frame| frame.time_index)
    };
    let change = |change: &Transition| {
        let to = if change.to == crate::sample::call::Side::High { "high" } else { "low" };
        Some(CourseChange { time_index: time_index_at(change.minute)?, to, confidence: change.confidence })
    };
    let smoothed = course.states.iter().filter_map(|state| {
        Some(CourseFrame { time_index: time_index_at(state.minute)?, smoothed_score: state.smoothed_score })
    });
    TrackCourse {
        frames: smoothed.collect(),
        changes: course.transitions.iter().filter_map(change).collect(),
        reason: None,
        pending: false,
        minutes_assumed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(time_index: i64, acquired_unix_ms: Option<i64>, logit: f64) -> LogitOfTrack {
        LogitOfTrack {
            time_index,
            acquired_unix_ms,
            logit,
            protrusion_count: 2,
            protrusion_total_um: 9.0,
            protrusion_longest_um: 6.0,
            scattering: 4.0,
        }
    }

    #[test]
    fn a_lasting_change_is_found_where_it_happened() {
        let logits: Vec<LogitOfTrack> = (0..200)
            .map(|time_index| {
                let level = if time_index < 90 { -1.5 } else { 1.5 };
                let noise = 0.4 * f64::from((time_index * 7919 % 101) as i32 - 50) / 50.0;
                frame(time_index, Some(1_000 + time_index * 60_000), level + noise)
            })
            .collect();
        let dynamics = Dynamics { low_logit: -1.5, high_logit: 1.5, ..Dynamics::default() };
        let found = course(&dynamics, &StateReading::default(), &logits);
        assert!(!found.minutes_assumed);
        assert_eq!(found.frames.len(), 200);
        assert_eq!(found.changes.len(), 1, "{:?}", found.changes);
        assert_eq!((found.changes[0].time_index, found.changes[0].to), (90, "high"));
        assert!(found.changes[0].confidence > 0.9 && found.frames[0].smoothed_score < 0.5);
    }

    #[test]
    fn without_times_a_minute_per_time_point_is_taken_and_said() {
        let logits = [3, 5].map(|time_index| frame(time_index, None, 0.0));
        let (frames, assumed) = in_minutes(&logits, &StateReading::default());
        assert!(assumed && (frames[1].minute - frames[0].minute - 2.0).abs() < 1e-12);
    }
}
