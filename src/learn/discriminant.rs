//! Fits the discriminant: two-class linear discriminant analysis with shrinkage and equal priors on the cells' time-mean
//! descriptors, and a calibration that turns its logit into a posterior.
//!
//! Takes descriptors of training cells only; gives weights on the raw descriptor, so that `score = sigmoid(w.z + b)` needs
//! neither z-scores nor whitening. Promises: the result depends on the training cells and on nothing else.

use crate::infer::LATENT_LEN;
use crate::infer::discriminant::{Discriminant, score};
use nalgebra::{Cholesky, DMatrix, DVector};
use thiserror::Error;

/// A cell's features and its class: high or not.
pub type Labelled<'a> = (&'a [f64], bool);

/// Steps of Newton's method for the calibration.
const NEWTON_STEPS: usize = 50;

/// Why no discriminant could be fitted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FitError {
    /// A class has no or one cell.
    #[error("{high} high and {low} low cells: a discriminant needs at least two of each")]
    TooFew {
        /// Cells of class high.
        high: usize,
        /// Cells of class low.
        low: usize,
    },
    /// The features do not all have one length, or are not finite.
    #[error("features must be finite and equally many for every cell")]
    Features,
}

impl FitError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFew { .. } => "fit_too_few",
            Self::Features => "fit_features",
        }
    }
}

/// A linear rule on raw features: `logit = weights . features + bias`, positive means high.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One per feature.
    pub weights: Vec<f64>,
    /// Added to the weighted sum.
    pub bias: f64,
}

impl Linear {
    /// Log odds of "high".
    pub fn logit(&self, features: &[f64]) -> f64 {
        self.weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum::<f64>() + self.bias
    }

    /// The same decision with logits `slope * logit + offset`.
    #[must_use]
    pub fn calibrated(&self, (slope, offset): (f64, f64)) -> Self {
        let weights = self.weights.iter().map(|weight| slope * weight).collect();
        Self { weights, bias: slope * self.bias + offset }
    }

    /// As a bundle's discriminant; `None` when it is not on 56 features.
    pub fn into_bundle(self) -> Option<Discriminant> {
        (self.weights.len() == LATENT_LEN).then_some(Discriminant { weights: self.weights, bias: self.bias })
    }
}

/// How the two classes weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Priors {
    /// Equal, whatever the numbers of cells.
    Equal,
    /// As the numbers of cells, with the cost of a mistake 1 - the class' share (method.md 8). The same as equal.
    CostOneMinusShare,
}

/// Linear discriminant analysis with a pooled covariance, shrunk by Ledoit and Wolf's share towards a diagonal one.
///
/// # Errors
/// - `fit_too_few` when a class has fewer than two cells.
/// - `fit_features` when the features are ragged or not finite.
pub fn fit(cells: &[Labelled<'_>], priors: Priors) -> Result<Linear, FitError> {
    fit_sparse(cells, priors, 0.0)
}

/// As [`fit`], with the difference of the class means drawn towards zero by `threshold` standard errors.
///
/// Feature by feature (nearest shrunken centroids, Tibshirani 2002): what a few cells show by chance is not believed.
///
/// # Errors
/// As [`fit`].
pub fn fit_sparse(cells: &[Labelled<'_>], priors: Priors, threshold: f64) -> Result<Linear, FitError> {
    let len = cells.first().map_or(0, |cell| cell.0.len());
    if len == 0 || !cells.iter().all(|(f, _)| f.len() == len && f.iter().all(|value| value.is_finite())) {
        return Err(FitError::Features);
    }
    let of_class = |class: bool| cells.iter().filter(move |cell| cell.1 == class).map(|cell| cell.0);
    let (high, low) = (of_class(true).count(), of_class(false).count());
    if high < 2 || low < 2 {
        return Err(FitError::TooFew { high, low });
    }
    let (mean_high, mean_low) = (mean(of_class(true), len), mean(of_class(false), len));
    // z-scores by the spread within the classes: shrinking towards a multiple of one then treats all features alike.
    let mut centred = DMatrix::zeros(cells.len(), len);
    for (mut row, (features, class)) in centred.row_iter_mut().zip(cells) {
        let mean = if *class { &mean_high } else { &mean_low };
        row.copy_from_slice(&features.iter().zip(mean.iter()).map(|(x, m)| x - m).collect::<Vec<_>>());
    }
    let spread: Vec<f64> = centred.column_iter().map(|c| (c.norm_squared() / cells.len() as f64).sqrt()).collect();
    for (mut column, spread) in centred.column_iter_mut().zip(&spread) {
        column /= spread.max(f64::MIN_POSITIVE);
    }
    let covariance = shrunk(&centred);
    let scaled = |difference: DVector<f64>| {
        difference.component_div(&DVector::from_vec(spread.clone()).add_scalar(f64::MIN_POSITIVE))
    };
    let error = (1.0 / high as f64 + 1.0 / low as f64).sqrt();
    let difference = scaled(&mean_high - &mean_low)
        .map(|difference| difference.signum() * (difference.abs() - threshold * error).max(0.0));
    let solved = Cholesky::new(covariance).ok_or(FitError::Features)?.solve(&difference);
    let weights = scaled(solved);
    let middle = (&mean_high + &mean_low) / 2.0;
    let share = high as f64 / cells.len() as f64;
    let prior = match priors {
        Priors::Equal => 0.0,
        // Empirical priors add ln(share / (1 - share)), the costs take it away again.
        Priors::CostOneMinusShare => (share / (1.0 - share)).ln() + ((1.0 - share) / share).ln(),
    };
    Ok(Linear { bias: prior - weights.dot(&middle), weights: weights.as_slice().to_vec() })
}

fn mean<'a>(rows: impl Iterator<Item = &'a [f64]>, len: usize) -> DVector<f64> {
    let mut sum = DVector::zeros(len);
    let mut count = 0.0_f64;
    for row in rows {
        sum += DVector::from_column_slice(row);
        count += 1.0;
    }
    sum / count.max(1.0)
}

/// Covariance of centred rows, shrunk towards a multiple of one by the share that Ledoit and Wolf (2004) derive.
fn shrunk(centred: &DMatrix<f64>) -> DMatrix<f64> {
    let (rows, len) = (centred.nrows() as f64, centred.ncols());
    let sample = centred.transpose() * centred / rows;
    let scale = sample.trace() / len as f64;
    let target = DMatrix::identity(len, len) * scale;
    let distance = (&sample - &target).norm_squared();
    let noise = centred
        .row_iter()
        .map(|row| {
            let square = row.norm_squared();
            // |x x' - S|^2 without forming x x'.
            square * square - 2.0 * (row * &sample).dot(&row) + sample.norm_squared()
        })
        .sum::<f64>()
        / (rows * rows);
    let share = if distance > 0.0 { (noise / distance).clamp(0.0, 1.0) } else { 1.0 };
    // A trace of the target keeps a covariance of too few cells invertible.
    let share = share.max(1e-6);
    sample * (1.0 - share) + target * share
}

/// Slope and offset that turn logits of cells that the rule has not seen into calibrated ones (Platt 1999), each class
/// weighing one half.
///
/// # Errors
/// `fit_too_few` when a class is missing, `fit_features` when a logit is not finite.
pub fn calibrate(logits: &[(f64, bool)]) -> Result<(f64, f64), FitError> {
    let high = logits.iter().filter(|cell| cell.1).count();
    let low = logits.len() - high;
    if high == 0 || low == 0 {
        return Err(FitError::TooFew { high, low });
    }
    if !logits.iter().all(|cell| cell.0.is_finite()) {
        return Err(FitError::Features);
    }
    // Platt's targets keep the estimate finite for classes that a threshold separates.
    let target = |class: bool| if class { (high as f64 + 1.0) / (high as f64 + 2.0) } else { 1.0 / (low as f64 + 2.0) };
    let weight = |class: bool| 0.5 / if class { high as f64 } else { low as f64 };
    let (mut slope, mut offset) = (1.0, 0.0);
    for _ in 0..NEWTON_STEPS {
        let (mut gradient, mut curvature) = ((0.0, 0.0), (1e-9, 0.0, 1e-9));
        for (logit, class) in logits {
            let p = score(slope * logit + offset);
            let (error, w) = (weight(*class) * (p - target(*class)), weight(*class) * p * (1.0 - p));
            gradient = (gradient.0 + error * logit, gradient.1 + error);
            curvature = (curvature.0 + w * logit * logit, curvature.1 + w * logit, curvature.2 + w);
        }
        let determinant = curvature.0 * curvature.2 - curvature.1 * curvature.1;
        if determinant <= f64::MIN_POSITIVE {
            break;
        }
        let step = (
            (curvature.2 * gradient.0 - curvature.1 * gradient.1) / determinant,
            (curvature.0 * gradient.1 - curvature.1 * gradient.0) / determinant,
        );
        // Long steps overshoot where the sigmoid is flat.
        let shorten = (2.0 / step.0.hypot(step.1).max(1e-12)).min(1.0);
        slope -= shorten * step.0;
        offset -= shorten * step.1;
        if step.0.abs() + step.1.abs() < 1e-10 {
            break;
        }
    }
    // A negative slope says that the logits carry nothing; they must not be turned round.
    Ok((slope.max(0.0), offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    /// `count` cells with 5 features, one third high; class means 0.8 apart along the first, the second scaled by 100.
    fn cells(count: usize, seed: u64) -> Vec<(Vec<f64>, bool)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        (0..count)
            .map(|n| {
                let high = n % 3 == 0;
                let common = normal();
                let side = if high { 0.4 } else { -0.4 };
                (vec![side + normal(), 100.0 * (common + 0.3 * normal()), common, normal(), 5.0 + normal()], high)
            })
            .collect()
    }

    fn labelled(cells: &[(Vec<f64>, bool)]) -> Vec<Labelled<'_>> {
        cells.iter().map(|(features, high)| (features.as_slice(), *high)).collect()
    }

    #[test]
    fn cost_one_minus_share_is_equal_priors() {
        let cells = cells(300, 1);
        let equal = fit(&labelled(&cells), Priors::Equal).unwrap();
        let cost = fit(&labelled(&cells), Priors::CostOneMinusShare).unwrap();
        assert_eq!(equal.weights, cost.weights);
        assert!((equal.bias - cost.bias).abs() < 1e-12);
    }

    #[test]
    fn the_rule_is_the_inverse_covariance_times_the_difference() {
        let cells = cells(6000, 2);
        let rule = fit(&labelled(&cells), Priors::Equal).unwrap();
        // Truth: unit variance along the first feature, classes 0.8 apart, nothing in the others.
        assert!((rule.weights[0] - 0.8).abs() < 0.08, "{:?}", rule.weights);
        assert!(rule.weights[1].abs() < 2e-3 && rule.weights[3].abs() < 0.08, "{:?}", rule.weights);
        let mean_logit = |class| {
            let of = cells.iter().filter(|c| c.1 == class);
            of.clone().map(|c| rule.logit(&c.0)).sum::<f64>() / of.count() as f64
        };
        assert!((mean_logit(true) + mean_logit(false)).abs() < 1e-9, "the threshold lies midway");
    }

    #[test]
    fn fewer_cells_than_features_still_give_a_rule() {
        let cells = cells(4, 3);
        let cells: Vec<_> = cells.into_iter().zip([true, true, false, false]).map(|(c, high)| (c.0, high)).collect();
        assert!(fit(&labelled(&cells), Priors::Equal).unwrap().weights.iter().all(|w| w.is_finite()));
        assert_eq!(fit(&labelled(&cells[..3]), Priors::Equal).unwrap_err().code(), "fit_too_few");
        let broken = vec![(vec![f64::NAN], true), (vec![0.0], false)];
        assert_eq!(fit(&labelled(&broken), Priors::Equal), Err(FitError::Features));
    }

    #[test]
    fn calibration_finds_the_true_posterior() {
        // Logits of N(+-1, 1) classes are 2x; shown 3 times too large and 0.6 too high.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let logits: Vec<(f64, bool)> = (0..20_000)
            .map(|n| {
                let high = n % 4 == 0;
                let x: f64 = StandardNormal.sample(&mut rng);
                (3.0 * 2.0 * (x + if high { 1.0 } else { -1.0 }) + 0.6, high)
            })
            .collect();
        let (slope, offset) = calibrate(&logits).unwrap();
        assert!((slope - 1.0 / 3.0).abs() < 0.02, "{slope}");
        assert!((offset + 0.2).abs() < 0.06, "{offset}");
        let rule = Linear { weights: vec![2.0], bias: 1.0 };
        assert!((rule.calibrated((0.5, 0.25)).logit(&[3.0]) - (0.5 * 7.0 + 0.25)).abs() < 1e-12);
    }
}
