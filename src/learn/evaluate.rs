//! How well features tell high from low on samples and days that were not trained on.
//!
//! Takes features per picture with their origins; gives held-out scores and what they are worth, per frame, per cell and
//! per sample. Promises: whatever is fitted (z-scores, discriminant, day effects) is fitted on the training side of the
//! fold; every figure has an interval that treats pictures of one sample and day as belonging together.

pub mod batch;
pub mod cells_needed;
pub mod clustered;
pub mod permutation;
pub mod roc;

use super::dataset::Origin;
use super::discriminant::{self, FitError, Linear, Priors};
use super::split::{self, SplitError};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A physical cell: its time-mean features and those of its frames.
#[derive(Debug, Clone, PartialEq)]
pub struct CellFeatures {
    /// Where it comes from; the time index is the first frame's.
    pub origin: Origin,
    /// Mean over its frames.
    pub mean: Vec<f64>,
    /// One per frame.
    pub frames: Vec<Vec<f64>>,
}

/// A cell's score by a discriminant that has not seen its sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Where the cell comes from.
    pub origin: Origin,
    /// Its true class: high or not.
    pub high: bool,
    /// Log odds of "high" from the time-mean features.
    pub logit: f64,
    /// The same from single frames.
    pub frame_logits: Vec<f64>,
}

/// Why an evaluation is not possible.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A fold cannot be made.
    #[error("leave out {sample}")]
    Split {
        /// The sample.
        sample: String,
        /// Why not.
        source: SplitError,
    },
    /// A fold's discriminant cannot be fitted.
    #[error("fit the discriminant without {sample}")]
    Fit {
        /// The sample.
        sample: String,
        /// Why not.
        source: FitError,
    },
    /// Nothing to evaluate.
    #[error("no labelled cells: give samples of both classes")]
    NoCells,
}

impl EvaluateError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Split { source, .. } => source.code(),
            Self::Fit { source, .. } => source.code(),
            Self::NoCells => "evaluate_no_cells",
        }
    }
}

/// Gathers pictures into physical cells, ordered by day, sample, field and cell. Unlabelled pictures are left out.
pub fn pool(origins: &[Origin], features: &[Vec<f64>]) -> Vec<CellFeatures> {
    let mut cells: BTreeMap<(&str, &str, &str, &str), CellFeatures> = BTreeMap::new();
    for (origin, features) in origins.iter().zip(features).filter(|(origin, _)| origin.high.is_some()) {
        let cell = cells.entry(origin.cell_key()).or_insert_with(|| CellFeatures {
            origin: origin.clone(),
            mean: vec![0.0; features.len()],
            frames: Vec::new(),
        });
        cell.frames.push(features.clone());
    }
    let mut cells: Vec<CellFeatures> = cells.into_values().collect();
    for cell in &mut cells {
        let count = cell.frames.len().max(1) as f64;
        for frame in &cell.frames {
            cell.mean.iter_mut().zip(frame).for_each(|(mean, value)| *mean += value / count);
        }
    }
    cells
}

/// The same cells with the median over their frames in the mean's place, as the texture baseline wants it.
pub fn by_median(mut cells: Vec<CellFeatures>) -> Vec<CellFeatures> {
    for cell in &mut cells {
        for (index, value) in cell.mean.iter_mut().enumerate() {
            let mut values: Vec<f64> = cell.frames.iter().filter_map(|frame| frame.get(index)).copied().collect();
            values.sort_by(f64::total_cmp);
            let middle = |at: usize| values.get(at).copied().unwrap_or_default();
            *value = f64::midpoint(middle(values.len() / 2), middle(values.len().saturating_sub(1) / 2));
        }
    }
    cells
}

/// Names of the samples, sorted.
pub fn samples(cells: &[CellFeatures]) -> Vec<String> {
    cells.iter().map(|cell| cell.origin.sample.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Fits a discriminant on the cells `indices`, sparse by `threshold` standard errors.
///
/// # Errors
/// As [`discriminant::fit_sparse`].
pub fn fit_on(cells: &[CellFeatures], indices: &[usize], threshold: f64) -> Result<Linear, FitError> {
    let chosen = indices.iter().filter_map(|index| cells.get(*index));
    let labelled: Vec<discriminant::Labelled<'_>> =
        chosen.filter_map(|cell| Some((cell.mean.as_slice(), cell.origin.high?))).collect();
    discriminant::fit_sparse(&labelled, Priors::Equal, threshold)
}

/// Scores `cells` by `rule`.
pub fn score_with<'a>(rule: &Linear, cells: impl IntoIterator<Item = &'a CellFeatures>) -> Vec<Scored> {
    let scored = cells.into_iter().filter_map(|cell| {
        Some(Scored {
            high: cell.origin.high?,
            logit: rule.logit(&cell.mean),
            frame_logits: cell.frames.iter().map(|frame| rule.logit(frame)).collect(),
            origin: cell.origin.clone(),
        })
    });
    scored.collect()
}

/// Leaves out every sample in turn, with all days on which it was imaged.
///
/// Scores its cells by a discriminant fitted on the rest. `prepare` may change the features of a fold (it is told which sample is held out).
///
/// # Errors
/// `split_*` and `fit_*` naming the sample whose fold cannot be made.
pub fn leave_each_out(
    cells: &[CellFeatures],
    prepare: impl Fn(&[CellFeatures], &str) -> Vec<CellFeatures>,
) -> Result<Vec<Scored>, EvaluateError> {
    leave_each_out_with(cells, prepare, 0.0)
}

/// As [`leave_each_out`], with a discriminant that is sparse by `threshold` standard errors.
///
/// # Errors
/// As [`leave_each_out`].
pub fn leave_each_out_with(
    cells: &[CellFeatures],
    prepare: impl Fn(&[CellFeatures], &str) -> Vec<CellFeatures>,
    threshold: f64,
) -> Result<Vec<Scored>, EvaluateError> {
    if cells.is_empty() {
        return Err(EvaluateError::NoCells);
    }
    let origins: Vec<Origin> = cells.iter().map(|cell| cell.origin.clone()).collect();
    let mut scored = Vec::new();
    for sample in samples(cells) {
        let fold = split::leave_out(&origins, &sample)
            .map_err(|source| EvaluateError::Split { sample: sample.clone(), source })?;
        let prepared = prepare(cells, &sample);
        let rule = fit_on(&prepared, &fold.training, threshold)
            .map_err(|source| EvaluateError::Fit { sample: sample.clone(), source })?;
        scored.extend(score_with(&rule, fold.held_out.iter().filter_map(|index| prepared.get(*index))));
    }
    Ok(scored)
}

/// Features as they are: what [`leave_each_out`] prepares when nothing is corrected.
pub fn unchanged(cells: &[CellFeatures], _: &str) -> Vec<CellFeatures> {
    cells.to_vec()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Eight samples (four high) on six days, four a day, `fovs` fields of 5 cells of 2 frames. The class moves feature 0
    /// by `distance`, the day all features by `day_shift`.
    pub(crate) fn panel(fovs: usize, distance: f64, day_shift: f64, seed: u64) -> Vec<CellFeatures> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let (mut origins, mut features) = (Vec::new(), Vec::new());
        for day in 0..6_usize {
            let shift: Vec<f64> = (0..4).map(|_| day_shift * normal()).collect();
            for sample in [day % 4, (day + 1) % 4, 4 + (day + 2) % 4, 4 + (day + 3 + day / 4) % 4] {
                for fov in 0..fovs {
                    for cell in 0..5 {
                        let own: Vec<f64> = (0..4).map(|_| normal()).collect();
                        for time_index in 0..2 {
                            let class = if sample < 4 { distance / 2.0 } else { -distance / 2.0 };
                            let value = |i: usize| own[i] + shift[i] + if i == 0 { class } else { 0.0 };
                            origins.push(Origin {
                                day: day.to_string(),
                                sample: format!("s{sample}"),
                                fov: fov.to_string(),
                                cell: cell.to_string(),
                                time_index,
                                high: Some(sample < 4),
                            });
                            features.push((0..4).map(value).collect());
                        }
                    }
                }
            }
        }
        pool(&origins, &features)
    }

    #[test]
    fn pictures_are_pooled_by_physical_cell() {
        let cells = panel(3, 1.0, 0.0, 1);
        assert_eq!(cells.len(), 6 * 4 * 3 * 5);
        assert!(cells.iter().all(|cell| cell.frames.len() == 2));
    }

    #[test]
    fn held_out_samples_are_told_apart_as_well_as_they_can_be() {
        let cells = panel(12, 1.0, 0.0, 2);
        let scored = leave_each_out(&cells, unchanged).unwrap();
        assert_eq!(scored.len(), cells.len());
        // Two unit normals one apart: AUC = Phi(1 / sqrt 2) = 0.760.
        let auc = roc::of_cells(&scored);
        assert!((auc - 0.76).abs() < 0.03, "{auc}");
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let cells = panel(12, 0.0, 0.0, 3);
        let auc = roc::of_cells(&leave_each_out(&cells, unchanged).unwrap());
        assert!((auc - 0.5).abs() < 0.06, "{auc}");
    }
}
