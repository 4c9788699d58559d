//! Day after day: each against the training set and the days before it, with a sentence that a person understands.

use super::{Alignment, DayFacts, DriftLimits, DriftReport, Moments, Yardstick, compare};
use crate::infer::LATENT_LEN;
use crate::infer::bundle::Facts;
use crate::infer::discriminant::score;
use crate::infer::state::StateReading;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days before that a day is compared with at most.
const DAYS_BEFORE: usize = 7;

/// What must be known of a bundle's training set to see drift; it is stored with the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSet {
    /// Mean per feature, 56.
    pub mean: Vec<f64>,
    /// Standard deviation between cells per feature, 56.
    pub sd: Vec<f64>,
    /// The discriminant's weight per feature, 56.
    pub weights: Vec<f64>,
    /// What changes of state are read from; absent where the bundle says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateReading>,
}

impl TrainingSet {
    /// That of a bundle.
    pub fn of(facts: &Facts) -> Self {
        let variances = facts.latent.covariance.iter().enumerate().filter_map(|(i, row)| row.get(i));
        Self {
            mean: facts.latent.mean.clone(),
            sd: variances.map(|it| it.max(0.0).sqrt()).collect(),
            weights: facts.discriminant.weights.clone(),
            state: facts.state,
        }
    }

    /// To compare days with; `None` when it is not of 56 features.
    pub fn yardstick(&self) -> Option<Yardstick> {
        (self.mean.len() == LATENT_LEN && self.sd.len() == LATENT_LEN).then(|| Yardstick {
            name: "the training set".to_owned(),
            mean: self.mean.clone(),
            sd: self.sd.clone(),
            mean_error: vec![0.0; LATENT_LEN],
            fovs: 0,
            light: None,
        })
    }
}

/// What is said about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftVerdict {
    /// Nothing moved beyond the limits.
    Steady,
    /// Light, focus or descriptors moved.
    Drifted,
    /// There is nothing to compare with, or too few fields of view.
    CannotSay,
}

/// A sample's score as filmed and as it would be on the reference day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlignedSample {
    /// Session and sample.
    pub sample: String,
    /// Tracks with a score.
    pub cells: u64,
    /// Mean score over them, 0..=1.
    pub score: f64,
    /// The same after alignment, 0..=1.
    pub aligned_score: f64,
}

/// One instrument on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayDrift {
    /// Instrument's name.
    pub instrument: String,
    /// The day, `2026-03-14` (UTC).
    pub day: String,
    /// Whether it is like what it was compared with.
    pub verdict: DriftVerdict,
    /// The verdict as a sentence.
    pub text: String,
    /// Against each yardstick.
    pub reports: Vec<DriftReport>,
    /// What brings the reference sample to where it lay on its first day; `None` without one.
    pub alignment: Option<Alignment>,
    /// Why there is no alignment although a reference sample was named.
    pub not_aligned: Option<String>,
    /// The day's samples with and without the alignment; empty without one.
    pub samples: Vec<AlignedSample>,
}

/// Every day against the training set and the up to seven days before on the same instrument.
///
/// With `on_reference` (then the
/// days' fields are those of the reference sample alone) against the first day that shows the reference sample instead.
pub fn course(
    days: &[DayFacts],
    training: Option<&TrainingSet>,
    on_reference: bool,
    limits: &DriftLimits,
) -> Vec<DayDrift> {
    let trained = training.and_then(TrainingSet::yardstick);
    let of_day = |(index, today): (usize, &DayFacts)| {
        let earlier: Vec<&DayFacts> =
            days.iter().take(index).filter(|day| day.instrument == today.instrument).collect();
        let first = earlier.iter().find(|day| on_reference && !day.fovs.is_empty()).copied();
        let before = match first {
            Some(first) => first.yardstick(),
            None if on_reference => None,
            None => pooled(earlier.get(earlier.len().saturating_sub(DAYS_BEFORE)..).unwrap_or_default()),
        };
        let reports: Vec<DriftReport> = trained.iter().chain(&before).map(|it| compare(today, it, limits)).collect();
        let aligned = first.map(|first| Alignment::fit(&today.fovs, &first.fovs));
        let (alignment, not_aligned) = match aligned {
            Some(Ok(alignment)) => (Some(alignment), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let shift = alignment.as_ref().zip(training).map(|(it, training)| it.logit_shift(&training.weights));
        let (verdict, text) = in_words(today, &reports);
        DayDrift {
            instrument: today.instrument.clone(),
            day: today.day.clone(),
            verdict,
            text,
            reports,
            alignment,
            not_aligned,
            samples: shift.map_or_else(Vec::new, |shift| aligned_samples(today, shift)),
        }
    };
    days.iter().enumerate().map(of_day).collect()
}

/// Several days as one yardstick; light alone when no two fields hold descriptors.
fn pooled(days: &[&DayFacts]) -> Option<Yardstick> {
    let last = days.last()?;
    let mut all = DayFacts { instrument: last.instrument.clone(), day: last.day.clone(), ..DayFacts::default() };
    if days.len() > 1 {
        all.day = format!("the {} days before", days.len());
    }
    for day in days {
        all.light.merge(&day.light);
        all.fovs.extend(day.fovs.iter().cloned());
    }
    let light_alone = Yardstick {
        name: all.day.clone(),
        mean: Vec::new(),
        sd: Vec::new(),
        mean_error: Vec::new(),
        fovs: 0,
        light: Some(all.light),
    };
    Some(all.yardstick().unwrap_or(light_alone))
}

fn in_words(today: &DayFacts, reports: &[DriftReport]) -> (DriftVerdict, String) {
    let place = format!("{}, {}", today.instrument, today.day);
    let names = |reports: &[&DriftReport]| -> String {
        reports.iter().map(|it| it.compared_with.as_str()).collect::<Vec<_>>().join(" and ")
    };
    let moved: Vec<String> = (reports.iter().filter(|it| !it.findings.is_empty()))
        .map(|it| {
            let findings: Vec<String> = it.findings.iter().map(ToString::to_string).collect();
            format!("{} (against {})", findings.join("; "), it.compared_with)
        })
        .collect();
    if !moved.is_empty() {
        return (DriftVerdict::Drifted, format!("{place}: {}.", moved.join("; ")));
    }
    let judged: Vec<&DriftReport> = reports.iter().filter(|it| !it.shifts.is_empty()).collect();
    if judged.is_empty() {
        let why = if reports.is_empty() {
            "nothing to compare with"
        } else {
            "fewer than two fields of view hold scored cells"
        };
        return (DriftVerdict::CannotSay, format!("{place}: cannot say, {why}."));
    }
    (DriftVerdict::Steady, format!("{place}: no drift against {}.", names(&judged)))
}

fn aligned_samples(today: &DayFacts, logit_shift: f64) -> Vec<AlignedSample> {
    let mut sums: BTreeMap<&str, (Moments, Moments)> = BTreeMap::new();
    for track in &today.tracks {
        let (as_filmed, aligned) = sums.entry(&track.sample).or_default();
        as_filmed.add(score(track.mean_logit));
        aligned.add(score(track.mean_logit + logit_shift));
    }
    let sample = |(sample, (as_filmed, aligned)): (&str, (Moments, Moments))| AlignedSample {
        sample: sample.to_owned(),
        cells: as_filmed.count,
        score: as_filmed.mean,
        aligned_score: aligned.mean,
    };
    sums.into_iter().map(sample).collect()
}
