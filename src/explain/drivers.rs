//! Which latent features drive the score over a laboratory's own cells (method.md 10.1).
//!
//! Takes the mean descriptors and scores of the tracks of several samples, gives for every feature the Pearson correlation with the
//! score sample by sample, how far it stands out among the features (z of its absolute value), and how steady that is under a
//! bootstrap. Nothing is known beforehand: another bundle has another driving feature.
//!
//! The bootstrap draws whole fields of view where a sample has five or more, single cells where it has fewer.

use crate::infer::{LATENT_LEN, Latent};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;

/// A sample with fewer cells says nothing about correlations.
pub const FEWEST_CELLS: usize = 30;
/// Fields from which on whole fields are drawn.
const FEWEST_FOVS: usize = 5;
/// Replicates of the bootstrap.
const REPLICATES: usize = 1000;
/// Share of replicates outside the interval on each side.
const TAIL: f64 = 0.025;

/// One followed cell.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackMean {
    /// Its field of view.
    pub fov: String,
    /// Mean descriptor.
    pub latent: Latent,
    /// Score of the mean descriptor, 0..=1.
    pub score: f64,
}

/// How strongly one feature goes with the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Driver {
    /// The feature, 1..=56 as in every output for people.
    pub feature: usize,
    /// Mean over samples of the Pearson correlation with the score, -1..=1.
    pub correlation: f64,
    /// 95 % bootstrap interval of that.
    pub interval: (f64, f64),
    /// Mean over samples of how far `|r|` stands out among the features, in their standard deviations.
    pub prominence: f64,
    /// Share of replicates in which this feature stands out most, 0..=1.
    pub first_share: f64,
    /// Correlation sample by sample, in the order of their names.
    pub by_sample: Vec<(String, f64)>,
}

/// All features, the one that stands out most first; empty when no sample has 30 cells. The same cells give the same bits.
pub fn drivers(samples: &BTreeMap<String, Vec<TrackMean>>, seed: u64) -> Vec<Driver> {
    let usable: Vec<(&String, Vec<Sums>)> = samples
        .iter()
        .filter(|(_, cells)| cells.len() >= FEWEST_CELLS)
        .map(|(name, cells)| (name, clusters(cells)))
        .collect();
    if usable.is_empty() {
        return Vec::new();
    }
    let whole: Vec<Vec<f64>> = usable.iter().map(|(_, clusters)| correlations(clusters.iter())).collect();
    let (correlation, prominence) = over_samples(&whole);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); LATENT_LEN];
    let mut first = vec![0_u32; LATENT_LEN];
    for _ in 0..REPLICATES {
        let replicate: Vec<Vec<f64>> = usable
            .iter()
            .map(|(_, clusters)| {
                let draw = |_| clusters.get(random.random_range(0..clusters.len()));
                let chosen: Vec<&Sums> = (0..clusters.len()).filter_map(draw).collect();
                correlations(chosen.into_iter())
            })
            .collect();
        let (means, stands_out) = over_samples(&replicate);
        for (values, mean) in drawn.iter_mut().zip(means) {
            values.push(mean);
        }
        if let Some(count) = most(&stands_out).and_then(|index| first.get_mut(index)) {
            *count += 1;
        }
    }
    let mut found: Vec<Driver> = (correlation.into_iter().zip(prominence).zip(drawn.into_iter().zip(first)))
        .enumerate()
        .map(|(index, ((correlation, prominence), (values, first)))| Driver {
            feature: index + 1,
            correlation,
            interval: interval(values),
            prominence,
            first_share: f64::from(first) / REPLICATES as f64,
            by_sample: (usable.iter().zip(&whole))
                .filter_map(|((name, _), r)| Some(((*name).clone(), *r.get(index)?)))
                .collect(),
        })
        .collect();
    found.sort_by(|a, b| b.prominence.total_cmp(&a.prominence));
    found
}

/// Sums over the cells of one cluster that correlations need.
#[derive(Debug, Clone)]
struct Sums {
    count: f64,
    score: f64,
    score_squared: f64,
    /// Per feature: value, squared value, value times score.
    features: Vec<[f64; 3]>,
}

impl Sums {
    fn empty() -> Self {
        Self { count: 0.0, score: 0.0, score_squared: 0.0, features: vec![[0.0; 3]; LATENT_LEN] }
    }

    fn add(&mut self, cell: &TrackMean) {
        self.count += 1.0;
        self.score += cell.score;
        self.score_squared += cell.score * cell.score;
        for ([value_sum, square_sum, product_sum], value) in self.features.iter_mut().zip(cell.latent) {
            let value = f64::from(value);
            *value_sum += value;
            *square_sum += value * value;
            *product_sum += value * cell.score;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.score += other.score;
        self.score_squared += other.score_squared;
        for (mine, theirs) in self.features.iter_mut().zip(&other.features) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }
}

fn clusters(cells: &[TrackMean]) -> Vec<Sums> {
    let mut by_fov: BTreeMap<&str, Sums> = BTreeMap::new();
    for cell in cells {
        by_fov.entry(&cell.fov).or_insert_with(Sums::empty).add(cell);
    }
    if by_fov.len() >= FEWEST_FOVS {
        return by_fov.into_values().collect();
    }
    let alone = |cell: &TrackMean| {
        let mut sums = Sums::empty();
        sums.add(cell);
        sums
    };
    cells.iter().map(alone).collect()
}

/// Pearson correlation of each feature with the score; 0 where one of them does not vary.
fn correlations<'a>(clusters: impl Iterator<Item = &'a Sums>) -> Vec<f64> {
    let mut total = Sums::empty();
    clusters.for_each(|cluster| total.merge(cluster));
    let n = total.count.max(1.0);
    let score_variance = total.score_squared / n - (total.score / n).powi(2);
    let of = |[value, square, product]: &[f64; 3]| {
        let variance = square / n - (value / n).powi(2);
        let covariance = product / n - value / n * total.score / n;
        let spread = (variance.max(0.0) * score_variance.max(0.0)).sqrt();
        if spread > 1e-12 { (covariance / spread).clamp(-1.0, 1.0) } else { 0.0 }
    };
    total.features.iter().map(of).collect()
}

/// Means over samples of the correlations, and of how far each stands out.
fn over_samples(samples: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let count = samples.len().max(1) as f64;
    let (mut means, mut stands_out) = (vec![0.0; LATENT_LEN], vec![0.0; LATENT_LEN]);
    for correlations in samples {
        let n = correlations.len().max(1) as f64;
        let mean = correlations.iter().map(|r| r.abs()).sum::<f64>() / n;
        let sd = (correlations.iter().map(|r| (r.abs() - mean).powi(2)).sum::<f64>() / n).sqrt();
        for ((sum, z_sum), r) in means.iter_mut().zip(&mut stands_out).zip(correlations) {
            *sum += r / count;
            *z_sum += if sd > 0.0 { (r.abs() - mean) / sd / count } else { 0.0 };
        }
    }
    (means, stands_out)
}

fn most(values: &[f64]) -> Option<usize> {
    values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
}

fn interval(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * (values.len().saturating_sub(1)) as f64).round() as usize).copied();
    (at(TAIL).unwrap_or(0.0), at(1.0 - TAIL).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Cells whose score follows feature 23 with correlation about -0.5 and feature 4 with 0.15.
    fn sample(cells: usize, fovs: usize, seed: u64) -> Vec<TrackMean> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        (0..cells)
            .map(|i| {
                let latent: Latent = std::array::from_fn(|_| normal() as f32);
                let logit = -0.58 * f64::from(latent[22]) + 0.17 * f64::from(latent[3]) + normal();
                TrackMean { fov: (i % fovs).to_string(), latent, score: 1.0 / (1.0 + (-logit).exp()) }
            })
            .collect()
    }

    #[test]
    fn driving_feature_is_found_with_its_sign_and_surely() {
        let samples: BTreeMap<String, Vec<TrackMean>> = (0..4).map(|i| (format!("m{i}"), sample(150, 8, i))).collect();
        let found = drivers(&samples, 1);
        assert_eq!(found.len(), LATENT_LEN);
        let first = &found[0];
        assert_eq!(first.feature, 23);
        assert!((first.correlation + 0.5).abs() < 0.1, "{first:?}");
        assert!(first.interval.0 < first.correlation && first.correlation < first.interval.1 && first.interval.1 < 0.0);
        assert!(first.prominence > 3.0 && first.first_share > 0.95, "{first:?}");
        assert_eq!(first.by_sample.len(), 4);
        assert!(found.iter().map(|it| it.first_share).sum::<f64>() > 0.999);
    }

    #[test]
    fn without_a_driving_feature_none_is_sure() {
        let mut cells = sample(200, 3, 9);
        for (index, cell) in cells.iter_mut().enumerate() {
            cell.score = f64::from(((index * 7919) % 997) as u32) / 997.0;
        }
        let found = drivers(&BTreeMap::from([("m".to_owned(), cells)]), 1);
        assert!(found[0].first_share < 0.9, "{:?}", found[0]);
    }

    #[test]
    fn same_cells_give_the_same_bits_and_small_samples_are_left_out() {
        let samples = BTreeMap::from([("a".to_owned(), sample(60, 6, 3)), ("b".to_owned(), sample(29, 3, 4))]);
        assert_eq!(drivers(&samples, 5), drivers(&samples, 5));
        assert_eq!(drivers(&samples, 5)[0].by_sample.len(), 1);
        assert!(drivers(&BTreeMap::new(), 5).is_empty());
    }

    #[test]
    fn feature_that_does_not_vary_drives_nothing() {
        let mut cells = sample(100, 5, 3);
        for cell in &mut cells {
            cell.latent[22] = 1.5;
        }
        let found = drivers(&BTreeMap::from([("a".to_owned(), cells)]), 5);
        assert!(found.iter().find(|it| it.feature == 23).unwrap().correlation.abs() < 1e-12);
    }
}
