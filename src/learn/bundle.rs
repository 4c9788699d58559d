//! From a trained network and labelled cells to a model bundle: discriminant, limits, what was measured, model card.
//!
//! The discriminant is fitted on the training cells; its calibration comes from inner folds that leave out one sample and
//! its days at a time; the distance limit from cells that were held out of training. What the bundle says about its
//! quality was measured on samples and days that neither the network nor the discriminant has seen.

use super::autoencoder::Autoencoder;
use super::dataset::{Origin, Pictures};
use super::discriminant::{self, Linear};
use super::evaluate::cells_needed::{Draw, right_from};
use super::evaluate::roc::{self, Unit};
use super::evaluate::{self, CellFeatures, EvaluateError, Scored};
use super::split::Split;
use crate::infer::bundle::{Facts, Measured, ValidityLimits};
use crate::infer::validity::{Domain, LatentStatistics};
use crate::infer::{InferError, LATENT_LEN, Latent, bundle};
use nalgebra::{DMatrix, DVector};

/// Pictures that are described at a time.
const AT_ONCE: usize = 50;
/// Share of held-out pictures that may lie beyond the distance limit.
const WITHHELD_SHARE: f64 = 0.005;
/// Cells that a call is judged from.
pub const CALL_CELLS: usize = 20;

/// Descriptors of all pictures, in order.
pub fn describe(net: &Autoencoder, pictures: &Pictures) -> Vec<Latent> {
    let indices: Vec<usize> = (0..pictures.len()).collect();
    indices.chunks(AT_ONCE).flat_map(|chunk| net.encode(&pictures.batch(chunk))).collect()
}

/// Descriptors as features.
pub fn features(latents: &[Latent]) -> Vec<Vec<f64>> {
    latents.iter().map(|latent| latent.iter().map(|value| f64::from(*value)).collect()).collect()
}

/// The calibrated discriminant of the cells in `training`.
///
/// # Errors
/// As [`evaluate::leave_each_out`] for the inner folds and [`discriminant::fit`] for the whole.
pub fn calibrated(cells: &[CellFeatures]) -> Result<Linear, EvaluateError> {
    let inner = evaluate::leave_each_out(cells, evaluate::unchanged)?;
    let whole = |source| EvaluateError::Fit { sample: "nothing".to_owned(), source };
    let all: Vec<usize> = (0..cells.len()).collect();
    let logits: Vec<(f64, bool)> = inner.iter().map(|cell| (cell.logit, cell.high)).collect();
    let rule = evaluate::fit_on(cells, &all).map_err(whole)?;
    Ok(rule.calibrated(discriminant::calibrate(&logits).map_err(whole)?))
}

/// Mean and covariance of descriptors.
pub fn statistics(latents: &[Latent]) -> LatentStatistics {
    let count = latents.len().max(2) as f64;
    let rows: Vec<DVector<f64>> =
        latents.iter().map(|latent| DVector::from_iterator(LATENT_LEN, latent.iter().map(|v| f64::from(*v)))).collect();
    let mean = rows.iter().sum::<DVector<f64>>() / count;
    let mut covariance = DMatrix::zeros(LATENT_LEN, LATENT_LEN);
    for row in &rows {
        let centred = row - &mean;
        covariance.ger(1.0 / (count - 1.0), &centred, &centred, 1.0);
    }
    // A feature that never moves would make everything infinitely far away.
    let floor = 1e-6 * covariance.trace() / LATENT_LEN as f64;
    for i in 0..LATENT_LEN {
        if let Some(entry) = covariance.get_mut((i, i)) {
            *entry += floor;
        }
    }
    let rows = covariance.row_iter().map(|row| row.iter().copied().collect()).collect();
    LatentStatistics { mean: mean.as_slice().to_vec(), covariance: rows }
}

/// The distance beyond which half a percent of `held_out` descriptors lie.
///
/// # Errors
/// `bundle_facts` when the statistics are degenerate.
pub fn distance_limit(statistics: &LatentStatistics, held_out: &[Latent]) -> Result<ValidityLimits, InferError> {
    let domain = Domain::new(statistics, None)?;
    let mut distances: Vec<f64> = held_out.iter().map(|latent| domain.distance(latent)).collect();
    distances.sort_by(f64::total_cmp);
    let index = ((1.0 - WITHHELD_SHARE) * distances.len() as f64).floor() as usize;
    let limit = distances.get(index.min(distances.len().saturating_sub(1))).copied();
    Ok(ValidityLimits { distance_limit: limit, ..ValidityLimits::default() })
}

/// Share of descriptors beyond the limit.
///
/// # Errors
/// `bundle_facts` when the statistics are degenerate.
pub fn withheld_share(facts: &Facts, latents: &[Latent]) -> Result<f64, InferError> {
    let domain = Domain::new(&facts.latent, facts.validity.distance_limit)?;
    let beyond = latents.iter().filter(|latent| domain.withheld(domain.distance(latent)).is_some()).count();
    Ok(beyond as f64 / latents.len().max(1) as f64)
}

/// Areas per frame, cell and sample, and the share of right calls from 20 cells.
pub fn measured(scored: &[Scored], held_out: &str) -> Vec<Measured> {
    let measure = |quantity: &str, unit: bundle::Unit, estimate: roc::Estimate| Measured {
        quantity: quantity.to_owned(),
        unit,
        held_out: held_out.to_owned(),
        value: rounded(estimate.value),
        low: rounded(estimate.low),
        high: rounded(estimate.high),
    };
    let area = |unit, ours| measure("auc", unit, roc::estimate(scored, ours, 1));
    vec![
        area(bundle::Unit::Frame, Unit::Frame),
        area(bundle::Unit::Cell, Unit::Cell),
        area(bundle::Unit::Sample, Unit::Sample),
        measure("right_calls_from_20_cells", bundle::Unit::Sample, right_from(scored, CALL_CELLS, Draw::Cells, 1)),
        measure(
            "right_calls_from_20_cells_by_fov",
            bundle::Unit::Sample,
            right_from(scored, CALL_CELLS, Draw::Fovs, 1),
        ),
    ]
}

/// Four digits: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Cells of the indices `indices` of pictures.
pub fn cells_of(origins: &[Origin], features: &[Vec<f64>], indices: &[usize]) -> Vec<CellFeatures> {
    let origins: Vec<Origin> = indices.iter().filter_map(|index| origins.get(*index)).cloned().collect();
    let features: Vec<Vec<f64>> = indices.iter().filter_map(|index| features.get(*index)).cloned().collect();
    evaluate::pool(&origins, &features)
}

/// How many physical cells `split` trains on.
pub fn trained_cells(origins: &[Origin], split: &Split) -> usize {
    let cells = split.training.iter().filter_map(|index| origins.get(*index));
    cells.map(Origin::cell_key).collect::<std::collections::BTreeSet<_>>().len()
}
