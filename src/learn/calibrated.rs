//! The discriminant that a bundle carries, and what it is worth.
//!
//! Fitted on the training cells; calibration, threshold and the features that take part come from inner folds that leave out one
//! sample and its days at a time. What a bundle says about its quality was measured on samples and days that neither the network
//! nor the discriminant has seen.

use super::discriminant::{self, Linear};
use super::evaluate::cells_needed::{CALL_CELLS, Draw, right_from};
use super::evaluate::roc::{self, Unit};
use super::evaluate::{self, CellFeatures, EvaluateError, Scored};
use crate::infer::bundle::Measured;
use crate::infer::texture::READ;
use crate::infer::{Latent, bundle};

/// Thresholds that are tried, standard errors; inner folds choose.
const THRESHOLDS: [f64; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0];

/// Descriptors as features.
pub fn features(latents: &[Latent]) -> Vec<Vec<f64>> {
    latents.iter().map(|latent| latent.iter().map(|value| f64::from(*value)).collect()).collect()
}

/// The calibrated discriminant of `cells`, on all their features or on the first [`READ`] alone.
///
/// Those are read from the grain where hallmarks are tied. The others hold what tumours and days look like; of few tumours a
/// discriminant takes that for their class.
///
/// # Errors
/// As [`evaluate::leave_each_out`] for the inner folds and [`discriminant::fit`] for the whole.
pub fn calibrated(cells: &[CellFeatures]) -> Result<Linear, EvaluateError> {
    let whole = |source| EvaluateError::Fit { sample: "nothing".to_owned(), source };
    let len = cells.first().map_or(0, |cell| cell.mean.len());
    let mut best: Option<(f64, Linear)> = None;
    for count in [len, READ.min(len)] {
        let part = first(cells, count);
        for threshold in THRESHOLDS {
            let inner = evaluate::leave_each_out_with(&part, evaluate::unchanged, threshold)?;
            let area = roc::of_cells(&inner);
            if best.as_ref().is_some_and(|best| area <= best.0) {
                continue;
            }
            let all: Vec<usize> = (0..part.len()).collect();
            let logits: Vec<(f64, bool)> = inner.iter().map(|cell| (cell.logit, cell.high)).collect();
            let mut rule = evaluate::fit_on(&part, &all, threshold).map_err(whole)?;
            rule = rule.calibrated(discriminant::calibrate(&logits).map_err(whole)?);
            rule.weights.resize(len, 0.0);
            best = Some((area, rule));
        }
    }
    best.map(|best| best.1).ok_or(EvaluateError::NoCells)
}

/// The same cells with their first `count` features.
fn first(cells: &[CellFeatures], count: usize) -> Vec<CellFeatures> {
    let part = |features: &Vec<f64>| features.iter().take(count).copied().collect::<Vec<f64>>();
    let of = |cell: &CellFeatures| CellFeatures {
        origin: cell.origin.clone(),
        mean: part(&cell.mean),
        frames: cell.frames.iter().map(part).collect(),
    };
    cells.iter().map(of).collect()
}

/// Areas per frame, cell and sample, and the share of right calls from 20 cells where samples on days have so many.
pub fn measured(scored: &[Scored], held_out: &str) -> Vec<Measured> {
    let measure = |quantity: &str, unit: bundle::Unit, estimate: roc::Estimate| Measured {
        quantity: quantity.to_owned(),
        unit,
        held_out: held_out.to_owned(),
        value: rounded(estimate.value),
        low: rounded(estimate.low),
        high: rounded(estimate.high),
    };
    let area = |unit, ours| measure("auc", unit, roc::estimate(scored, ours));
    let mut all = vec![
        area(bundle::Unit::Frame, Unit::Frame),
        area(bundle::Unit::Cell, Unit::Cell),
        area(bundle::Unit::Sample, Unit::Sample),
    ];
    for (quantity, draw) in
        [("right_calls_from_20_cells", Draw::Cells), ("right_calls_from_20_cells_by_fov", Draw::Fovs)]
    {
        let point = right_from(scored, CALL_CELLS, draw, 1);
        all.extend(point.map(|point| measure(quantity, bundle::Unit::Sample, point.right)));
    }
    all
}

/// Four digits: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::tests::panel;
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};
    use std::collections::BTreeMap;

    /// Features that say which tumour a cell is of, and nothing of the class.
    const OF_TUMOURS: usize = 30;

    #[test]
    fn features_of_tumours_take_no_part() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut tumours: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut cells = panel(6, 1.0, 0.0, 3);
        for cell in &mut cells {
            let own = tumours.entry(cell.origin.sample.clone());
            let own = own.or_insert_with(|| (0..OF_TUMOURS).map(|_| normal()).collect());
            let more: Vec<f64> = own.iter().map(|offset| offset + normal()).collect();
            cell.mean.extend(&more);
            cell.frames.iter_mut().for_each(|frame| frame.extend(&more));
        }
        let rule = calibrated(&cells).unwrap();
        assert_eq!(rule.weights.len(), 4 + OF_TUMOURS);
        assert!(rule.weights[0] > 0.5 && rule.weights[READ..].iter().all(|weight| weight.abs() < 1e-12), "{rule:?}");
    }

    #[test]
    fn all_features_take_part_where_the_first_say_nothing() {
        let mut cells = panel(12, 2.0, 0.0, 3);
        for cell in &mut cells {
            cell.mean.reverse();
            cell.frames.iter_mut().for_each(|frame| frame.reverse());
        }
        let rule = calibrated(&cells).unwrap();
        assert!(rule.weights[3] > 0.5, "{rule:?}");
    }
}
