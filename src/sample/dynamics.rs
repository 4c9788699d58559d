//! Changes of state: when a followed cell goes from low to high or back, and how sure that is.
//!
//! Takes what the state of one track is read from ([`StateReading`](crate::infer::state::StateReading), on the logit's scale: here
//! called its logit) with the times ([`LogitAt`]; withheld frames are simply left out), gives a
//! [`Course`]: for every frame the probability of "high" and a smoothed score, and the [`Transition`]s.
//!
//! # The model
//!
//! A two-state hidden Markov model in continuous time. The logit of a frame is
//!
//! ```text
//! logit = mean of the state (low or high) + offset of the cell + noise
//! ```
//!
//! - **State**: jumps low <-> high with a mean stay of `stay_min`; a gap of any length between frames is one longer step.
//! - **Offset**: cells of one state differ for good. It is integrated over (nodes of a normal distribution), not guessed, so
//!   a cell that lies between the two means is uncertain in state but not restless.
//! - **Noise**: neighbouring frames share halo, focus and shape, so their noise is correlated, `exp(-gap / noise_min)`.
//!   Treating frames as independent would count the same evidence many times and report changes that are not there. The
//!   step's likelihood is therefore that of the new noise given the old, for each pair of states before and after: the chain
//!   stays exact with two states.
//!
//! Forward-backward gives exact probabilities; the [`moment`] of a change is then looked for in the cell's own frames. A two-state
//! model is as rich as its use: the classifier knows two classes, a film holds a handful of changes per cell, and a drift between the
//! states shows as a probability that is not 0 or 1.
//! `docs/calls.md` has precision and recall.

mod fit;
mod moment;
mod smooth;
#[cfg(test)]
mod tests;

pub use fit::{FitError, fit};

use super::call::Side;
use crate::infer::discriminant::score;
use serde::{Deserialize, Serialize};
use smooth::Chain;

/// Stays shorter than this are not told from noise and are joined to their neighbours.
const SHORTEST_STAY_MIN: f64 = 20.0;
/// A transition is judged by the states this long before and after it.
const ARM_MIN: f64 = 10.0;

/// One scored frame of a track.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogitAt {
    /// Time since any fixed moment, min; strictly increasing within a track.
    pub minute: f64,
    /// What the state is read from, on the scale of the discriminant before the sigmoid.
    pub logit: f64,
}

/// How logits come about; [`fit()`] measures it on a session's tracks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamics {
    /// Mean logit of the low state.
    pub low_logit: f64,
    /// Mean logit of the high state, > `low_logit`.
    pub high_logit: f64,
    /// Standard deviation of what sets a cell apart for good, logits.
    pub offset_sd: f64,
    /// Standard deviation of a frame's noise, logits.
    pub noise_sd: f64,
    /// Time after which the noise has forgotten all but 1/e, min.
    pub noise_min: f64,
    /// Mean stay in a state, min.
    pub stay_min: f64,
}

impl Default for Dynamics {
    /// A start for [`fit()`]: classes that one cell's mean tells apart with an area under the curve of about 0.75, frame
    /// noise as large as their distance.
    fn default() -> Self {
        Self { low_logit: -0.5, high_logit: 0.5, offset_sd: 0.3, noise_sd: 1.0, noise_min: 2.0, stay_min: 240.0 }
    }
}

impl Dynamics {
    /// All numbers finite, the spreads and times positive, high above low.
    pub fn is_sound(&self) -> bool {
        let positive = [self.offset_sd, self.noise_sd, self.noise_min, self.stay_min];
        positive.iter().all(|it| it.is_finite() && *it > 0.0)
            && self.low_logit.is_finite()
            && self.high_logit.is_finite()
            && self.high_logit > self.low_logit
    }
}

/// A frame of a track, seen with all its other frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StateAt {
    /// Time, as given.
    pub minute: f64,
    /// Probability of the high state, 0..=1.
    pub high: f64,
    /// Score without the frame's noise, 0..=1.
    pub smoothed_score: f64,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When the cell's own frames part into two levels, halfway between the last frame before and the first after, min.
    pub minute: f64,
    /// The state that the cell went to.
    pub to: Side,
    /// Probability that the cell was in the other state ten minutes before the states swap and in this one ten minutes after (less
    /// where the next transition or the track's end is nearer), 0..=1.
    pub confidence: f64,
}

/// A track's states over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Frame by frame, as given.
    pub states: Vec<StateAt>,
    /// The changes in time order.
    pub transitions: Vec<Transition>,
}

/// The course of one track; empty for an empty track. Frames that are not later than the one before are left out.
pub fn follow(dynamics: &Dynamics, frames: &[LogitAt]) -> Course {
    let frames = in_order(frames);
    let chain = Chain::run(dynamics, &frames);
    let states: Vec<StateAt> = (frames.iter().zip(chain.high()))
        .zip(chain.smoothed_logits())
        .map(|((frame, high), logit)| StateAt { minute: frame.minute, high, smoothed_score: score(logit) })
        .collect();
    let stays = stays(&states);
    let transitions = stays.windows(2).filter_map(|pair| transition(&chain, &frames, pair)).collect();
    Course { states, transitions }
}

fn in_order(frames: &[LogitAt]) -> Vec<LogitAt> {
    let mut last = f64::NEG_INFINITY;
    frames
        .iter()
        .copied()
        .filter(|frame| {
            let later = frame.minute > last && frame.logit.is_finite();
            if later {
                last = frame.minute;
            }
            later
        })
        .collect()
}

/// A run of frames in one state: first and last index.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stay {
    side: Side,
    first: usize,
    last: usize,
}

/// Runs of frames on one side of one half; runs that are too short join their neighbours, shortest first.
fn stays(states: &[StateAt]) -> Vec<Stay> {
    let mut stays: Vec<Stay> = Vec::new();
    for (index, state) in states.iter().enumerate() {
        let side = if state.high >= 0.5 { Side::High } else { Side::Low };
        match stays.last_mut() {
            Some(stay) if stay.side == side => stay.last = index,
            _ => stays.push(Stay { side, first: index, last: index }),
        }
    }
    let minutes = |stay: &Stay| {
        let at = |index: usize| states.get(index).map_or(0.0, |state| state.minute);
        at(stay.last) - at(stay.first)
    };
    while stays.len() > 1 {
        let shortest = stays.iter().enumerate().min_by(|a, b| minutes(a.1).total_cmp(&minutes(b.1)));
        let Some((index, stay)) = shortest else { break };
        if minutes(stay) >= SHORTEST_STAY_MIN {
            break;
        }
        let removed = stays.remove(index);
        // Its frames go to the run before it, or after it when it was the first; equal neighbours then become one.
        match index.checked_sub(1).and_then(|before| stays.get_mut(before)) {
            Some(before) => before.last = removed.last,
            None => {
                if let Some(after) = stays.first_mut() {
                    after.first = removed.first;
                }
            }
        }
        stays.dedup_by(|after, before| {
            let same = after.side == before.side;
            if same {
                before.last = after.last;
            }
            same
        });
    }
    stays
}

/// The change between two neighbouring stays.
fn transition(chain: &Chain, frames: &[LogitAt], pair: &[Stay]) -> Option<Transition> {
    let [before, after] = pair else { return None };
    let minute = |index: usize| frames.get(index).map(|frame| frame.minute);
    let (left, right) = (minute(before.last)?, minute(after.first)?);
    let from = (before.first..=before.last).find(|&index| minute(index).is_some_and(|at| at >= left - ARM_MIN))?;
    let to = (after.first..=after.last).rfind(|&index| minute(index).is_some_and(|at| at <= right + ARM_MIN))?;
    let confidence = chain.both((from, before.side), (to, after.side));
    let own = frames.get(before.first..=after.last).unwrap_or_default();
    let minute = moment::moment(own, f64::midpoint(left, right), after.side);
    Some(Transition { minute, to: after.side, confidence })
}
