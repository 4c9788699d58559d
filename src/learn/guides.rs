//! Ties the first features of a descriptor to the two hallmarks, pseudopods and light scattering.
//!
//! An autoencoder's features are whatever draws pictures best. A pseudopod at one side of the cell moves them one way, at the
//! other side another way, and the mean over a film forgets how far a cell reaches out; fine grain is not drawn at all. So the
//! first two features are read from the crop's [grain](crate::infer::texture) by ridge regression on the sum and the
//! difference of the hallmarks, and the rest stay free. No class takes part, and nothing but training pictures.
//!
//! A day's focus, ring and substrate change all grain of that day together. What the readout misses on the mean of a day
//! therefore weighs more than what it misses on a picture ([`DAY_WEIGHT`]): combinations of grain that a day moves are avoided.

use super::dataset::Pictures;
use super::trainer::Material;
use crate::infer::texture::{GROUPS, READ, Readout};
use nalgebra::{Cholesky, DMatrix, DVector};
use std::collections::BTreeMap;

/// Strengths of the ridge that are tried, in units of the number of pictures.
const RIDGES: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1];
/// Weight of the squared error of a day's mean beside that of its pictures, unless another is asked for.
pub const DAY_WEIGHT: f64 = 10.0;
/// Fewest pictures with known hallmarks on either side.
const FEWEST: usize = 50;

/// A picture's grain, what it should be read as, and its day.
struct Known<'a> {
    grain: &'a [f32],
    wanted: [f64; READ],
    day: &'a str,
}

/// One side of the split: a row per picture, and the means of its days.
struct Side {
    rows: DMatrix<f64>,
    /// Share of the pictures and their mean row, by day.
    days: Vec<(f64, DVector<f64>)>,
    /// The days' pictures.
    members: Vec<Vec<usize>>,
}

impl Side {
    fn new(known: &[Known<'_>], scale: &Scale) -> Self {
        let rows = scale.rows(known);
        let mut by_day: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, it) in known.iter().enumerate() {
            by_day.entry(it.day).or_default().push(index);
        }
        let members: Vec<Vec<usize>> = by_day.into_values().collect();
        let mean = |indices: &Vec<usize>| {
            let sum = indices.iter().fold(DVector::zeros(GROUPS), |sum, index| sum + rows.row(*index).transpose());
            (indices.len() as f64 / known.len() as f64, sum / indices.len() as f64)
        };
        let days = members.iter().map(mean).collect();
        Self { rows, days, members }
    }

    /// Mean of `values` by day.
    fn day_means(&self, values: &DVector<f64>) -> Vec<f64> {
        let mean = |indices: &Vec<usize>| {
            let of_day = indices.iter().filter_map(|index| values.get(*index));
            of_day.sum::<f64>() / indices.len() as f64
        };
        self.members.iter().map(mean).collect()
    }

    /// `rows' rows` and `rows' wanted` per picture, with the days' means added `day_weight` times.
    fn moments(&self, wanted: &DVector<f64>, day_weight: f64) -> (DMatrix<f64>, DVector<f64>) {
        let count = self.rows.nrows() as f64;
        let mut square = self.rows.transpose() * &self.rows / count;
        let mut product = self.rows.transpose() * wanted / count;
        for ((share, row), wanted) in self.days.iter().zip(self.day_means(wanted)) {
            square.ger(day_weight * share, row, row, 1.0);
            product.axpy(day_weight * share * wanted, row, 1.0);
        }
        (square, product)
    }

    /// Mean squared error of `weights`, that of the days' means added `day_weight` times.
    fn missed(&self, weights: &DVector<f64>, wanted: &DVector<f64>, day_weight: f64) -> f64 {
        let error = &self.rows * weights - wanted;
        let of_days = self.days.iter().zip(self.day_means(&error)).map(|((share, _), error)| share * error * error);
        error.norm_squared() / error.len().max(1) as f64 + day_weight * of_days.sum::<f64>()
    }
}

/// The readout whose ridge is best on held-out pictures.
///
/// Each feature has mean 0 and spread 1 on the training pictures.
/// `None` when too few pictures have known hallmarks. With a `day_weight` of 0 days count for nothing.
pub fn readout(material: Material<'_>, day_weight: f64) -> Option<Readout> {
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
    let (trained, judged) = (Side::new(&training, &scale), Side::new(&held_out, &scale));
    let mut readout = Readout { weight: Vec::new(), bias: Vec::new() };
    for feature in 0..READ {
        let wanted = |known: &[Known<'_>]| {
            DVector::from_iterator(known.len(), known.iter().map(|it| it.wanted.get(feature).copied().unwrap_or(0.0)))
        };
        let (square, product) = trained.moments(&wanted(&training), day_weight);
        let wanted = wanted(&held_out);
        let with = |ridge: f64| {
            let weights = Cholesky::new(&square + DMatrix::identity(GROUPS, GROUPS) * ridge)?.solve(&product);
            Some((judged.missed(&weights, &wanted, day_weight), weights))
        };
        let best = RIDGES.iter().filter_map(|ridge| with(*ridge)).min_by(|a, b| a.0.total_cmp(&b.0))?.1;
        // A ridge shrinks; the decoder and the adversary want features of spread 1.
        let spread = ((&trained.rows * &best).norm_squared() / trained.rows.nrows() as f64).sqrt().max(1e-9);
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
    let day = pictures.origins().get(index)?.day.as_str();
    wanted.iter().all(|value| value.is_finite()).then_some(Known { grain, wanted, day })
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Grain, what it should be read as, and the day.
    type Shown = Vec<(Vec<f32>, f64, String)>;

    /// 60 pictures on each of 24 days. Group 0 shows what is wanted with little noise but moves with the day, group 1 with more
    /// noise and stays; the others say nothing.
    fn shown(seed: u64) -> Shown {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut all = Vec::new();
        for day in 0..24 {
            let shift = 0.6 * normal();
            for _ in 0..60 {
                let value = normal();
                let mut grain: Vec<f32> = (0..GROUPS).map(|_| normal() as f32).collect();
                grain[0] = (value + 0.1 * normal() + shift) as f32;
                grain[1] = (value + 0.6 * normal()) as f32;
                all.push((grain, value, day.to_string()));
            }
        }
        all
    }

    fn known_of(shown: &Shown) -> Vec<Known<'_>> {
        shown.iter().map(|(grain, value, day)| Known { grain, wanted: [*value; READ], day }).collect()
    }

    #[test]
    fn what_a_day_moves_is_not_read() {
        let (shown_first, shown_later) = (shown(1), shown(2));
        let (training, others) = (known_of(&shown_first), known_of(&shown_later));
        let scale = Scale::of(&training);
        let (side, judged) = (Side::new(&training, &scale), Side::new(&others, &scale));
        let targets = |known: &[Known<'_>]| DVector::from_iterator(known.len(), known.iter().map(|it| it.wanted[0]));
        let day_error = |day_weight: f64| {
            let (square, product) = side.moments(&targets(&training), day_weight);
            let weights = Cholesky::new(square + DMatrix::identity(GROUPS, GROUPS) * 1e-4).unwrap().solve(&product);
            let error = &judged.rows * weights - targets(&others);
            judged.day_means(&error).iter().map(|it| it * it).sum::<f64>() / 24.0
        };
        let (without, with) = (day_error(0.0), day_error(DAY_WEIGHT));
        println!("squared error of a day's mean: {without:.4} without, {with:.4} with");
        assert!(with < 0.4 * without, "{with} {without}");
    }
}
