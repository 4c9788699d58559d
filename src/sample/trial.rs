//! Simulated sessions with a known truth, to measure how often the call is wrong, right, or missing.
//!
//! Takes a [`Setting`] (how well one cell tells the classes apart, how alike the cells of a field are, how many of
//! them come when), gives [`Outcome`]s. A cell's true value is `side * d / 2 + field + cell (+ day)` with unit variance for
//! field and cell together; every minute adds correlated noise; the logit is `d` times that. The call is updated with every
//! frame of every session, so all looks are in the figures.

use super::call::{CallRule, CallTracker, MadeCall, Side, TrackScore, student};
use crate::id::{FovId, SessionId, TrackId};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use serde::Serialize;

/// How simulated sessions are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Setting {
    /// Area under the curve of one cell's true value, high against low, 0.5..1.
    pub cell_auc: f64,
    /// Share of a cell's variance that its field explains, 0..1.
    pub fov_correlation: f64,
    /// Fields of view.
    pub fovs: u32,
    /// Cells per field in the first frame.
    pub cells_per_fov: u32,
    /// Cells that come later into each field, evenly over the session.
    pub arrivals_per_fov: u32,
    /// Frames, one per minute.
    pub frames: u32,
    /// Standard deviation of one frame's noise, in standard deviations of a cell.
    pub frame_noise: f64,
    /// Correlation of that noise from frame to frame, 0..1.
    pub noise_correlation: f64,
    /// Standard deviation of what moves all cells of a day together, in standard deviations of a cell.
    pub day_sd: f64,
}

impl Default for Setting {
    /// The paper's kind of plate: ten fields of eight cells, four hours (method.md 3, 9).
    fn default() -> Self {
        Self {
            cell_auc: 0.75,
            fov_correlation: 0.05,
            fovs: 10,
            cells_per_fov: 6,
            arrivals_per_fov: 6,
            frames: 240,
            frame_noise: 1.0,
            noise_correlation: 0.9,
            day_sd: 0.0,
        }
    }
}

/// The truth about a simulated sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Of the high class.
    High,
    /// Of the low class.
    Low,
    /// Exactly between the classes, where the rule is tried hardest.
    Between,
}

impl Truth {
    fn sign(self) -> f64 {
        match self {
            Self::High => 1.0,
            Self::Low => -1.0,
            Self::Between => 0.0,
        }
    }
}

/// What became of one simulated session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// The first call.
    pub first: Option<MadeCall>,
    /// The call that stands at the end.
    pub last: Option<Side>,
    /// A wrong call stood at some time.
    pub ever_wrong: bool,
    /// How often a call was taken back or turned over.
    pub changes: u32,
    /// Score and 95 % interval at the end; `None` when not asked for.
    pub at_end: Option<(f64, (f64, f64))>,
}

/// A simulated cell while its session runs.
struct GrowingCell {
    score: TrackScore,
    from_frame: u32,
    level: f64,
    noise: f64,
}

/// Distance of the classes' means in standard deviations of a cell for an area under the curve.
pub fn separation(cell_auc: f64) -> f64 {
    std::f64::consts::SQRT_2 * student::quantile(1.0 - cell_auc, 1e9)
}

/// One simulated session; the same seed gives the same session. `with_interval` also reckons the interval at the end.
pub fn session(setting: &Setting, truth: Truth, rule: &CallRule, seed: u64, with_interval: bool) -> Outcome {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let d = separation(setting.cell_auc);
    let mut cells = grow(setting, truth, d, &mut random);
    let fresh = (1.0 - setting.noise_correlation.powi(2)).sqrt();
    let mut tracker = CallTracker::default();
    let mut ever_wrong = false;
    let mut tracks: Vec<TrackScore> = Vec::with_capacity(cells.len());
    for frame in 0..setting.frames {
        tracks.clear();
        for cell in cells.iter_mut().filter(|cell| cell.from_frame <= frame) {
            let drawn: f64 = StandardNormal.sample(&mut random);
            cell.noise = setting.noise_correlation * cell.noise + fresh * drawn;
            cell.score.logit_sum += d * (cell.level + setting.frame_noise * cell.noise);
            cell.score.scored_count += 1;
            tracks.push(cell.score);
        }
        tracker.observe(rule, &tracks, i64::from(frame) * 60_000);
        ever_wrong |= tracker.standing_call().is_some_and(|made| is_wrong(made.side, truth));
    }
    let at_end = with_interval.then(|| tracker.clone().update(rule, &tracks, i64::from(setting.frames) * 60_000));
    Outcome {
        first: tracker.first_call(),
        last: tracker.standing_call().map(|made| made.side),
        ever_wrong,
        changes: tracker.changes(),
        at_end: at_end.and_then(|call| call.score.zip(call.interval)),
    }
}

/// A verdict that the truth contradicts; between the classes both do.
pub fn is_wrong(side: Side, truth: Truth) -> bool {
    !matches!((side, truth), (Side::High, Truth::High) | (Side::Low, Truth::Low))
}

/// All cells of a session with the frame in which each comes.
fn grow(setting: &Setting, truth: Truth, d: f64, random: &mut ChaCha8Rng) -> Vec<GrowingCell> {
    let normal = |random: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(random) };
    let day = setting.day_sd * normal(random);
    let mut cells = Vec::new();
    for fov in 0..setting.fovs {
        let field = setting.fov_correlation.sqrt() * normal(random);
        for number in 0..setting.cells_per_fov + setting.arrivals_per_fov {
            let from_frame =
                if number < setting.cells_per_fov { 0 } else { random.random_range(0..setting.frames.max(1)) };
            let own = (1.0 - setting.fov_correlation).sqrt() * normal(random);
            let score = TrackScore {
                session: SessionId(1),
                fov: FovId(i64::from(fov)),
                track: TrackId(cells.len() as i64),
                scored_count: 0,
                withheld_count: 0,
                logit_sum: 0.0,
            };
            let level = truth.sign() * d / 2.0 + day + field + own;
            cells.push(GrowingCell { score, from_frame, level, noise: normal(random) });
        }
    }
    cells
}
