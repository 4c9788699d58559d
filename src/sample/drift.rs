//! Drift: is today like the bundle's training set, and like the days before?
//!
//! Takes the day's frames and descriptors of one instrument ([`DayFacts`]) and what to compare with ([`Yardstick`]: the bundle's
//! training set, or an earlier day), gives a [`DriftReport`] with sentences that a person understands: "today's light is 18 % lower;
//! descriptors shifted 0.9 sd along feature 12".
//!
//! Descriptors of one field are alike, so the day's mean is the mean over fields, and how far it may be off comes from the
//! spread between fields. A shift is **said** when it is both larger than [`DriftLimits`] allows and more than the noise of the
//! largest of 56 features would be (Student, with its error shared out over the features); otherwise silence.
//!
//! [`Alignment`] moves a day's descriptors so that a reference sample, filmed that day and once before, lies where it lay then.

mod align;
mod course;
#[cfg(test)]
mod tests;

pub use align::{AlignError, Alignment};
pub use course::{AlignedSample, DayDrift, DriftVerdict, TrainingSet, course};

use super::call::student;
use crate::infer::{LATENT_LEN, Latent};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Error share of all features together.
const ERROR_SHARE: f64 = 0.01;
/// Fewer fields than this cannot show how far a day's mean may be off.
const FEWEST_FOVS: u32 = 2;

/// Mean, spread and number of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// How many values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    /// Takes in one more value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// Takes in all values of another (Chan, Golub and `LeVeque` 1979).
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if other.count > 0 {
            let (mine, theirs) = (self.count as f64 / count as f64, other.count as f64 / count as f64);
            let between = other.mean - self.mean;
            self.squares += other.squares + between * between * mine * other.count as f64;
            self.mean += between * theirs;
            self.count = count;
        }
    }

    /// Variance; 0 below two values.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.squares / (self.count - 1) as f64 }
    }
}

/// Descriptors of one field of view on one day, feature by feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FovLatents {
    /// Its name.
    pub fov: String,
    features: Vec<Moments>,
}

impl FovLatents {
    /// A field of view without descriptors.
    pub fn new(fov: String) -> Self {
        Self { fov, features: vec![Moments::default(); LATENT_LEN] }
    }

    /// Takes in one cell's descriptor (best: one per track, its mean).
    pub fn add(&mut self, latent: &Latent) {
        for (feature, value) in self.features.iter_mut().zip(latent) {
            feature.add(f64::from(*value));
        }
    }

    /// Number of descriptors.
    pub fn count(&self) -> u64 {
        self.features.first().map_or(0, |feature| feature.count)
    }
}

/// Light and focus of a day's frames.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LightFacts {
    /// Background, camera counts.
    pub background_counts: Moments,
    /// Evenness of the light, 0..=1.
    pub evenness: Moments,
    /// Focus measure.
    pub focus: Moments,
    /// Share of saturated pixels, 0..=1.
    pub saturated_share: Moments,
}

impl LightFacts {
    /// Takes in another day's.
    pub fn merge(&mut self, other: &Self) {
        self.background_counts.merge(&other.background_counts);
        self.evenness.merge(&other.evenness);
        self.focus.merge(&other.focus);
        self.saturated_share.merge(&other.saturated_share);
    }
}

/// A track's mean logit on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackOfDay {
    /// Session and sample.
    pub sample: String,
    /// Mean logit of its scored frames.
    pub mean_logit: f64,
}

/// One instrument on one day.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DayFacts {
    /// Instrument's name.
    pub instrument: String,
    /// The day, `2026-03-14` (UTC).
    pub day: String,
    /// Light and focus of its frames.
    pub light: LightFacts,
    /// Descriptors by field of view (of the reference sample alone, when there is one).
    pub fovs: Vec<FovLatents>,
    /// Every track with a score.
    pub tracks: Vec<TrackOfDay>,
}

impl DayFacts {
    /// The day's descriptors as a yardstick for other days; `None` with fewer than two fields that hold any.
    pub fn yardstick(&self) -> Option<Yardstick> {
        let day = DayMeans::of(&self.fovs)?;
        Some(Yardstick {
            name: self.day.clone(),
            mean: day.mean.clone(),
            sd: day.cell_sd,
            mean_error: day.mean_error,
            fovs: day.fovs,
            light: Some(self.light),
        })
    }
}

/// What a day is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Yardstick {
    /// What it is: "the training set", or a day.
    pub name: String,
    /// Mean per feature, 56.
    pub mean: Vec<f64>,
    /// Standard deviation between cells per feature, 56: the unit of a shift.
    pub sd: Vec<f64>,
    /// Standard error of `mean` per feature; zeros when it is taken as exact.
    pub mean_error: Vec<f64>,
    /// Fields that `mean_error` rests on; 0 when the mean is taken as exact.
    pub fovs: u32,
    /// Its light; `None` for the training set, whose light is another microscope's.
    pub light: Option<LightFacts>,
}

/// From where on a change is worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftLimits {
    /// Change of the background, share of the yardstick's.
    pub light_share: f64,
    /// Change of evenness, 0..1.
    pub evenness: f64,
    /// Change of the focus measure, share of the yardstick's.
    pub focus_share: f64,
    /// Shift of a feature, standard deviations between cells.
    pub shift_sd: f64,
}

impl Default for DriftLimits {
    fn default() -> Self {
        Self { light_share: 0.1, evenness: 0.05, focus_share: 0.2, shift_sd: 0.5 }
    }
}

/// A feature whose mean has moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// Feature, counted from 1 as in the descriptor's column names.
    pub feature: u32,
    /// How far, standard deviations between cells; signed.
    pub sd: f64,
    /// Standard error of that.
    pub error_sd: f64,
}

/// One thing that is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Finding {
    /// The background changed by this share (-0.18: 18 % lower).
    Light {
        /// Signed share.
        share: f64,
    },
    /// The evenness of the light changed.
    Evenness {
        /// Signed difference, 0..1.
        by: f64,
    },
    /// The focus measure changed by this share.
    Focus {
        /// Signed share.
        share: f64,
    },
    /// Descriptors moved.
    Descriptors {
        /// The feature that moved most.
        largest: Shift,
        /// How many features moved beyond the limits.
        features: u32,
    },
}

impl Finding {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Light { .. } => "light_changed",
            Self::Evenness { .. } => "evenness_changed",
            Self::Focus { .. } => "focus_changed",
            Self::Descriptors { .. } => "descriptors_shifted",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = |by: f64| if by < 0.0 { "lower" } else { "higher" };
        match self {
            Self::Light { share } => write!(out, "light is {:.0} % {}", 100.0 * share.abs(), direction(*share)),
            Self::Evenness { by } => {
                write!(out, "light is {} even by {:.2}", if *by < 0.0 { "less" } else { "more" }, by.abs())
            }
            Self::Focus { share } => {
                write!(out, "focus measure is {:.0} % {}", 100.0 * share.abs(), direction(*share))
            }
            Self::Descriptors { largest, features } => {
                write!(out, "descriptors shifted {:.1} sd along feature {}", largest.sd.abs(), largest.feature)?;
                if *features > 1 { write!(out, " ({features} features moved)") } else { Ok(()) }
            }
        }
    }
}

/// Whether a day is like its yardstick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// Instrument's name.
    pub instrument: String,
    /// The day.
    pub day: String,
    /// What it was compared with.
    pub compared_with: String,
    /// Fields of view with descriptors.
    pub fovs: u32,
    /// Descriptors.
    pub descriptors: u64,
    /// All 56 shifts; empty with fewer than two fields, when their noise cannot be known.
    pub shifts: Vec<Shift>,
    /// What is not as it was, in the order light, evenness, focus, descriptors.
    pub findings: Vec<Finding>,
}

impl fmt::Display for DriftReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {} against {}: ", self.instrument, self.day, self.compared_with)?;
        if self.findings.is_empty() {
            let too_few = self.shifts.is_empty();
            return out.write_str(if too_few { "too few fields of view to judge descriptors" } else { "no drift" });
        }
        let findings: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        out.write_str(&findings.join("; "))
    }
}

/// Compares a day with a yardstick.
pub fn compare(today: &DayFacts, yardstick: &Yardstick, limits: &DriftLimits) -> DriftReport {
    let mut findings = Vec::new();
    if let Some(before) = &yardstick.light {
        findings.extend(light_findings(&today.light, before, limits));
    }
    let shifts = DayMeans::of(&today.fovs).map_or_else(Vec::new, |day| shifts(&day, yardstick));
    let degrees = degrees(today, yardstick);
    let bound = student::quantile(ERROR_SHARE / (2.0 * LATENT_LEN as f64), degrees);
    let moved: Vec<&Shift> =
        shifts.iter().filter(|it| it.sd.abs() > limits.shift_sd && it.sd.abs() > bound * it.error_sd).collect();
    if let Some(largest) = moved.iter().max_by(|a, b| a.sd.abs().total_cmp(&b.sd.abs())) {
        findings.push(Finding::Descriptors { largest: **largest, features: moved.len() as u32 });
    }
    DriftReport {
        instrument: today.instrument.clone(),
        day: today.day.clone(),
        compared_with: yardstick.name.clone(),
        fovs: today.fovs.iter().filter(|fov| fov.count() > 0).count() as u32,
        descriptors: today.fovs.iter().map(FovLatents::count).sum(),
        shifts,
        findings,
    }
}

fn light_findings(now: &LightFacts, before: &LightFacts, limits: &DriftLimits) -> Vec<Finding> {
    let known = |moments: &Moments| moments.count > 0;
    let share = |now: &Moments, before: &Moments| {
        (known(now) && known(before) && before.mean > 0.0).then(|| now.mean / before.mean - 1.0)
    };
    let light = share(&now.background_counts, &before.background_counts)
        .filter(|share| share.abs() > limits.light_share)
        .map(|share| Finding::Light { share });
    let evenness = (known(&now.evenness) && known(&before.evenness))
        .then_some(now.evenness.mean - before.evenness.mean)
        .filter(|by| by.abs() > limits.evenness)
        .map(|by| Finding::Evenness { by });
    let focus = share(&now.focus, &before.focus)
        .filter(|share| share.abs() > limits.focus_share)
        .map(|share| Finding::Focus { share });
    [light, evenness, focus].into_iter().flatten().collect()
}

fn degrees(today: &DayFacts, yardstick: &Yardstick) -> f64 {
    let fovs = today.fovs.iter().filter(|fov| fov.count() > 0).count() as f64;
    let own = (fovs - 1.0).max(1.0);
    if yardstick.fovs == 0 { own } else { own.min(f64::from(yardstick.fovs) - 1.0).max(1.0) }
}

fn shifts(day: &DayMeans, yardstick: &Yardstick) -> Vec<Shift> {
    let against = yardstick.mean.iter().zip(&yardstick.sd).zip(&yardstick.mean_error);
    (day.mean.iter().zip(&day.mean_error).zip(against).zip(1..))
        .map(|(((mean, error), ((before, sd), before_error)), feature)| {
            let unit = sd.max(1e-6);
            Shift { feature, sd: (mean - before) / unit, error_sd: error.hypot(*before_error) / unit }
        })
        .collect()
}

/// A day's means over fields, how far they may be off, and the spread between cells.
struct DayMeans {
    mean: Vec<f64>,
    mean_error: Vec<f64>,
    cell_sd: Vec<f64>,
    fovs: u32,
}

impl DayMeans {
    fn of(fovs: &[FovLatents]) -> Option<Self> {
        let fovs: Vec<&FovLatents> = fovs.iter().filter(|fov| fov.count() > 0).collect();
        let count = fovs.len() as u32;
        if count < FEWEST_FOVS {
            return None;
        }
        let mut means = vec![Moments::default(); LATENT_LEN];
        let mut within = vec![(0.0, 0.0); LATENT_LEN];
        for fov in &fovs {
            for ((mean, (squares, degrees)), feature) in means.iter_mut().zip(&mut within).zip(&fov.features) {
                mean.add(feature.mean);
                *squares += feature.squares;
                *degrees += (feature.count - 1) as f64;
            }
        }
        let cell_sd = means.iter().zip(&within).map(|(mean, (squares, degrees))| {
            let between = mean.variance();
            if *degrees > 0.0 { (squares / degrees + between).sqrt() } else { between.sqrt() }
        });
        Some(Self {
            cell_sd: cell_sd.collect(),
            mean: means.iter().map(|it| it.mean).collect(),
            mean_error: means.iter().map(|it| (it.variance() / f64::from(count)).sqrt()).collect(),
            fovs: count,
        })
    }
}
