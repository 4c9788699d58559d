//! Measures the dynamics of a session's tracks: the most probable parameters, held near a start by weak beliefs.

use super::{Dynamics, LogitAt, smooth};
use thiserror::Error;

/// Frames that are used at most; more make the fit slower, not better.
const MOST_FRAMES: usize = 6_000;
/// Steps of the search at most.
const MOST_STEPS: usize = 400;
/// Fewer frames than this say nothing about noise and stays.
const FEWEST_FRAMES: usize = 100;
/// What lasts longer than this is no noise: it could not be told from a stay of half an hour, and a clean film would be explained
/// by noise that never forgets instead of by states.
const LONGEST_NOISE_MIN: f64 = 4.0;
/// How far each parameter may reasonably lie from the start: the middle in gaps, the others in natural logarithms.
const BELIEF_SD: [f64; 6] = [1.0, 0.7, 0.7, 1.0, 1.0, 0.7];

/// Why dynamics cannot be measured.
#[derive(Debug, Error, PartialEq)]
pub enum FitError {
    /// Too little to measure.
    #[error("{frames} scored frames are too few to measure dynamics: at least {FEWEST_FRAMES} are needed")]
    TooFewFrames {
        /// Frames that were given.
        frames: usize,
    },
    /// The start makes no sense.
    #[error("the start of the fit has a spread or time that is not positive, or low above high")]
    Unsound,
}

impl FitError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFewFrames { .. } => "dynamics_too_few_frames",
            Self::Unsound => "dynamics_unsound_start",
        }
    }
}

/// The dynamics that make `tracks` most probable, starting at and weakly held to `start`.
///
/// The start's two means should be those of the bundle's classes: nothing in a film alone says what is low and what is high.
///
/// # Errors
/// - [`FitError::TooFewFrames`]: fewer than 100 frames;
/// - [`FitError::Unsound`]: `start` is not [`Dynamics::is_sound`].
pub fn fit(start: &Dynamics, tracks: &[Vec<LogitAt>]) -> Result<Dynamics, FitError> {
    if !start.is_sound() {
        return Err(FitError::Unsound);
    }
    let frames: usize = tracks.iter().map(Vec::len).sum();
    if frames < FEWEST_FRAMES {
        return Err(FitError::TooFewFrames { frames });
    }
    // Every n-th track, so that all fields are in.
    let every = frames.div_ceil(MOST_FRAMES);
    let chosen: Vec<Vec<LogitAt>> =
        tracks.iter().step_by(every).map(|track| super::in_order(track)).filter(|track| !track.is_empty()).collect();
    let cost = |position: &[f64; 6]| {
        let dynamics = at(start, position);
        let fit: f64 = chosen.iter().map(|track| smooth::log_likelihood(&dynamics, track)).sum();
        let belief: f64 = position.iter().zip(BELIEF_SD).map(|(it, sd)| 0.5 * (it / sd).powi(2)).sum();
        let cost = belief - fit;
        if cost.is_finite() { cost } else { f64::MAX }
    };
    Ok(at(start, &lowest(cost)))
}

/// The dynamics at `position`: shift of the middle in gaps, then logarithms of gap, spreads and times over the start's.
fn at(start: &Dynamics, position: &[f64; 6]) -> Dynamics {
    let [middle_shift, gap, offset, noise, noise_time, stay] = *position;
    let start_gap = start.high_logit - start.low_logit;
    let middle = f64::midpoint(start.low_logit, start.high_logit) + middle_shift * start_gap;
    let half = 0.5 * start_gap * gap.exp();
    Dynamics {
        low_logit: middle - half,
        high_logit: middle + half,
        offset_sd: start.offset_sd * offset.exp(),
        noise_sd: start.noise_sd * noise.exp(),
        noise_min: (start.noise_min * noise_time.exp()).min(LONGEST_NOISE_MIN),
        stay_min: start.stay_min * stay.exp(),
    }
}

/// The lowest point of `cost` near the origin, by the downhill simplex (Nelder and Mead).
fn lowest(cost: impl Fn(&[f64; 6]) -> f64) -> [f64; 6] {
    let mut corners: Vec<([f64; 6], f64)> = (0..7)
        .map(|corner| {
            let point: [f64; 6] = std::array::from_fn(|axis| if corner == axis + 1 { 0.4 } else { 0.0 });
            (point, cost(&point))
        })
        .collect();
    for _ in 0..MOST_STEPS {
        corners.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (Some(best), Some(worst)) = (corners.first().copied(), corners.last().copied()) else { break };
        if worst.1 - best.1 < 1e-3 {
            break;
        }
        let second_worst = corners.iter().rev().nth(1).map_or(worst.1, |corner| corner.1);
        let others = corners.len() - 1;
        let centre: [f64; 6] = std::array::from_fn(|axis| {
            corners.iter().take(others).filter_map(|corner| corner.0.get(axis)).sum::<f64>() / others as f64
        });
        // The point on the line from the worst corner through the centre, `by` beyond it.
        let try_at = |by: f64| {
            let mut point = centre;
            for (value, worst) in point.iter_mut().zip(worst.0) {
                *value += by * (*value - worst);
            }
            (point, cost(&point))
        };
        let reflected = try_at(1.0);
        let better = if reflected.1 < best.1 {
            let further = try_at(2.0);
            Some(if further.1 < reflected.1 { further } else { reflected })
        } else if reflected.1 < second_worst {
            Some(reflected)
        } else {
            let nearer = try_at(if reflected.1 < worst.1 { 0.5 } else { -0.5 });
            (nearer.1 < worst.1.min(reflected.1)).then_some(nearer)
        };
        match (better, corners.last_mut()) {
            (Some(point), Some(last)) => *last = point,
            _ => shrink(&mut corners, best.0, &cost),
        }
    }
    corners.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or([0.0; 6], |corner| corner.0)
}

/// Draws all corners halfway to the best.
fn shrink(corners: &mut [([f64; 6], f64)], best: [f64; 6], cost: &impl Fn(&[f64; 6]) -> f64) {
    for (point, value) in corners.iter_mut().skip(1) {
        for (it, best) in point.iter_mut().zip(best) {
            *it = f64::midpoint(*it, best);
        }
        *value = cost(point);
    }
}
