//! Ties the first features of a descriptor to the two hallmarks, pseudopods and light scattering.
//!
//! An autoencoder's features are whatever draws pictures best. A pseudopod at one side of the cell moves them one way, at the
//! other side another way, and the mean over a film forgets how far a cell reaches out; fine grain is not drawn at all. So the
//! first two features are read from the crop's [grain](crate::infer::texture) by ridge regression on the sum and the
//! difference of the hallmarks, and the rest stay free. No class takes part, and nothing but training pictures.

use super::dataset::Pictures;
use super::trainer::Material;
use crate::infer::texture::{GROUPS, READ, Readout};
use nalgebra::{Cholesky, DMatrix, DVector};

/// Strengths of the ridge that are tried, in units of the number of pictures.
const RIDGES: [f64; 6] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];
/// Fewest pictures with known hallmarks on either side.
const FEWEST: usize = 50;

/// A picture's grain and what it should be read as.
struct Known<'a> {
    grain: &'a [f32],
    wanted: [f64; READ],
}

/// The readout whose ridge is best on held-out pictures; each feature has mean 0 and spread 1 on the training pictures.
/// `None` when too few pictures have known hallmarks.
pub fn readout(material: Material<'_>) -> Option<Readout> {
    let hallmarks = targets(material);
    let known = |indices: &[usize]| -> Vec<Known<'_>> {
        let one = |index: &usize| known(material.pictures, *index, &hallmarks);
        indices.iter().filter_map(one).collect()
    };
    let (training, held_out) = (known(material.training), known(material.held_out));
    if training.len() < FEWEST || held_out.len() < FEWEST {
        return None;
    }
    let scale = Scale::of(&training);
    let (rows, judged) = (scale.rows(&training), scale.rows(&held_out));
    let square = rows.transpose() * &rows / rows.nrows() as f64;
    let mut readout = Readout { weight: Vec::new(), bias: Vec::new() };
    for feature in 0..READ {
        let wanted = |known: &[Known<'_>]| {
            DVector::from_iterator(known.len(), known.iter().map(|it| it.wanted.get(feature).copied().unwrap_or(0.0)))
        };
        let product = rows.transpose() * wanted(&training) / rows.nrows() as f64;
        let missed = |ridge: f64| {
            let weights = Cholesky::new(&square + DMatrix::identity(GROUPS, GROUPS) * ridge)?.solve(&product);
            Some(((&judged * &weights - wanted(&held_out)).norm(), weights))
        };
        let best = RIDGES.iter().filter_map(|ridge| missed(*ridge)).min_by(|a, b| a.0.total_cmp(&b.0))?.1;
        // A ridge shrinks; the decoder and the adversary want features of spread 1.
        let spread = ((&rows * &best).norm_squared() / rows.nrows() as f64).sqrt().max(1e-9);
        let weights: Vec<f64> = best.iter().zip(&scale.spread).map(|(weight, own)| weight / (spread * own)).collect();
        let at_mean: f64 = weights.iter().zip(&scale.mean).map(|(weight, mean)| weight * mean).sum();
        readout.weight.extend(weights.iter().map(|weight| *weight as f32));
        readout.bias.push(-at_mean as f32);
    }
    Some(readout)
}

fn known<'a>(pictures: &'a Pictures, index: usize, targets: &[[f64; READ]]) -> Option<Known<'a>> {
    let wanted = *targets.get(index)?;
    let grain = pictures.look(index)?.grain.as_slice();
    wanted.iter().all(|value| value.is_finite()).then_some(Known { grain, wanted })
}

/// Mean and spread of every group over the training pictures.
struct Scale {
    mean: Vec<f64>,
    spread: Vec<f64>,
}

impl Scale {
    fn of(training: &[Known<'_>]) -> Self {
        let count = training.len() as f64;
        let value = |known: &Known<'_>, group: usize| known.grain.get(group).map_or(0.0, |value| f64::from(*value));
        let mean: Vec<f64> =
            (0..GROUPS).map(|group| training.iter().map(|it| value(it, group)).sum::<f64>() / count).collect();
        let square = |(group, mean): (usize, &f64)| {
            (training.iter().map(|it| (value(it, group) - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-6)
        };
        let spread = mean.iter().enumerate().map(square).collect();
        Self { mean, spread }
    }

    fn rows(&self, known: &[Known<'_>]) -> DMatrix<f64> {
        let numbers = known.iter().flat_map(|it| {
            let scaled = it.grain.iter().zip(self.mean.iter().zip(&self.spread));
            scaled.map(|(value, (mean, spread))| (f64::from(*value) - mean) / spread)
        });
        DMatrix::from_row_iterator(known.len(), GROUPS, numbers)
    }
}

/// What every picture should be read as: sum and difference of its hallmarks as z-scores over the training pictures; NaN
/// where they are not known.
fn targets(material: Material<'_>) -> Vec<[f64; READ]> {
    let hallmarks = |index: usize| {
        // Roots: lengths and sums of many small parts spread in proportion to their own size.
        let known = material.pictures.hallmarks(index);
        known.map_or([f64::NAN; READ], |hallmarks| hallmarks.map(|value| value.max(0.0).sqrt()))
    };
    let scaled = zscored((0..material.pictures.len()).map(hallmarks).collect(), material.training);
    zscored(scaled.into_iter().map(|[a, b]| [a + b, a - b]).collect(), material.training)
}

/// `all` less its mean, in units of its spread, both over the known ones among `training`.
fn zscored(mut all: Vec<[f64; READ]>, training: &[usize]) -> Vec<[f64; READ]> {
    for feature in 0..READ {
        let of = |row: &[f64; READ]| row.get(feature).copied().unwrap_or(f64::NAN);
        let known: Vec<f64> = training.iter().filter_map(|i| all.get(*i)).map(of).filter(|v| v.is_finite()).collect();
        let count = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / count;
        let spread = (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-9);
        for value in all.iter_mut().filter_map(|row| row.get_mut(feature)) {
            *value = (*value - mean) / spread;
        }
    }
    all
}
