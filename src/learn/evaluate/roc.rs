//! Areas under the receiver operating curve, with intervals.
//!
//! The interval resamples whole clusters (a sample on a day), because pictures of one sample and day share their tumour,
//! their light and their focus; the classes are resampled apart, so that both are always there. A dozen clusters resampled
//! spread too little: the interval is widened on the log odds by Student's factor, after which it covers the truth as often
//! as it says (a test counts).

use super::Scored;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;
/// 97.5th percentile of the normal distribution.
const NORMAL_975: f64 = 1.959_964;
/// Shares this near 0 or 1 are taken for it when log odds are formed.
const SMALLEST: f64 = 1e-4;

/// An estimate and the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// 2.5th percentile of the resamples.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Per what an area is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A cell in one frame.
    Frame,
    /// A physical cell.
    Cell,
    /// A sample, by the mean logit of its cells.
    Sample,
}

/// Chance that a high case scores above a low one, ties counting half; 0.5 when a class is missing.
pub fn auc(cases: &[(f64, bool)]) -> f64 {
    let mut sorted = cases.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut low_so_far, mut wins) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let high = ties.iter().filter(|case| case.1).count() as f64;
        let low = ties.len() as f64 - high;
        wins += high * (low_so_far + low / 2.0);
        low_so_far += low;
    }
    let pairs = low_so_far * (cases.len() as f64 - low_so_far);
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

/// The area per cell.
pub fn of_cells(scored: &[Scored]) -> f64 {
    auc(&scored.iter().map(|cell| (cell.logit, cell.high)).collect::<Vec<_>>())
}

/// The area per `unit` with its interval from resampled clusters: samples on days, for [`Unit::Sample`] samples.
pub fn estimate(scored: &[Scored], unit: Unit, seed: u64) -> Estimate {
    let mut clusters: BTreeMap<(bool, String), Vec<&Scored>> = BTreeMap::new();
    for cell in scored {
        let Origin { sample, day } = Origin::of(cell);
        let name = if unit == Unit::Sample { sample } else { format!("{sample} {day}") };
        clusters.entry((cell.high, name)).or_default().push(cell);
    }
    let cases: Vec<(bool, Vec<(f64, bool)>)> =
        clusters.into_iter().map(|((high, _), cells)| (high, of_cluster(&cells, unit))).collect();
    let of_class = |class: bool| cases.iter().filter(|c| c.0 == class).map(|c| c.1.as_slice()).collect::<Vec<_>>();
    let classes = [of_class(true), of_class(false)];
    let whole: Vec<(f64, bool)> = cases.iter().flat_map(|c| c.1.iter().copied()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let resample = |_| {
        let mut drawn = Vec::with_capacity(whole.len());
        for class in &classes {
            for _ in 0..class.len() {
                drawn.extend(class.get(rng.random_range(0..class.len())).copied().unwrap_or_default());
            }
        }
        auc(&drawn)
    };
    let plain = interval(auc(&whole), (0..RESAMPLES).map(resample).collect());
    widened(plain, classes.iter().map(Vec::len).min().unwrap_or(0))
}

/// `estimate` with its interval stretched about it, on the log odds, for `clusters` resampled clusters.
fn widened(estimate: Estimate, clusters: usize) -> Estimate {
    if clusters < 2 {
        return estimate;
    }
    let (count, freedom) = (clusters as f64, clusters as f64 - 1.0);
    let z = NORMAL_975;
    // Student's 97.5th percentile by Cornish and Fisher's expansion; within 1 % from four degrees of freedom on.
    let t = z
        + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom * freedom);
    let factor = t / z * (count / freedom).sqrt();
    let odds =
        |share: f64| (share.clamp(SMALLEST, 1.0 - SMALLEST) / (1.0 - share.clamp(SMALLEST, 1.0 - SMALLEST))).ln();
    let middle = odds(estimate.value);
    let stretched = |end: f64| 1.0 / (1.0 + (-(middle + factor * (odds(end) - middle))).exp());
    Estimate {
        value: estimate.value,
        low: stretched(estimate.low).min(estimate.low),
        high: stretched(estimate.high).max(estimate.high),
    }
}

/// An estimate with the 2.5th and 97.5th percentile of its resamples.
pub fn interval(value: f64, mut resamples: Vec<f64>) -> Estimate {
    resamples.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * resamples.len().saturating_sub(1) as f64).round() as usize;
        resamples.get(index).copied().unwrap_or(value)
    };
    Estimate { value, low: at(0.025), high: at(0.975) }
}

/// What names a cell's cluster.
struct Origin {
    sample: String,
    day: String,
}

impl Origin {
    fn of(cell: &Scored) -> Self {
        Self { sample: cell.origin.sample.clone(), day: cell.origin.day.clone() }
    }
}

fn of_cluster(cells: &[&Scored], unit: Unit) -> Vec<(f64, bool)> {
    match unit {
        Unit::Frame => cells.iter().flat_map(|c| c.frame_logits.iter().map(|logit| (*logit, c.high))).collect(),
        Unit::Cell => cells.iter().map(|c| (c.logit, c.high)).collect(),
        Unit::Sample => {
            let mean = cells.iter().map(|c| c.logit).sum::<f64>() / cells.len().max(1) as f64;
            cells.first().map(|c| (mean, c.high)).into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::panel;
    use super::super::{leave_each_out, unchanged};
    use super::*;

    #[test]
    fn ties_count_half_and_order_does_not_matter() {
        assert!((auc(&[(1.0, true), (0.0, false), (1.0, false), (2.0, true)]) - 0.875).abs() < 1e-12);
        assert!((auc(&[(1.0, true), (1.0, false)]) - 0.5).abs() < 1e-12);
        assert!((auc(&[(1.0, true)]) - 0.5).abs() < 1e-12, "one class only");
    }

    /// 12 samples on days of each class, 12 cells each; logits one apart, with a shift of its own for every sample on a day.
    fn clustered(shift: f64, rng: &mut ChaCha8Rng) -> Vec<Scored> {
        let mut normal = || -> f64 { rand_distr::Distribution::sample(&rand_distr::StandardNormal, rng) };
        let mut all = Vec::new();
        for cluster in 0..24 {
            let high = cluster < 12;
            let own = shift * normal();
            for cell in 0..12 {
                let logit = normal() + own + if high { 0.475 } else { -0.475 };
                let origin = crate::learn::dataset::Origin {
                    day: cluster.to_string(),
                    sample: format!("s{cluster}"),
                    fov: String::new(),
                    cell: cell.to_string(),
                    time_index: 0,
                    high: Some(high),
                };
                all.push(Scored { origin, high, logit, frame_logits: vec![logit] });
            }
        }
        all
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        // Phi(0.95 / sqrt(2 (1 + shift^2)))
        for (shift, truth) in [(0.0, 0.749_129), (0.3, 0.740_025)] {
            let inside = (0..400)
                .filter(|_| {
                    let found = estimate(&clustered(shift, &mut rng), Unit::Cell, 1);
                    (found.low..=found.high).contains(&truth)
                })
                .count();
            println!("shift {shift}: {inside} of 400 intervals hold the truth");
            assert!((372..=396).contains(&inside), "shift {shift}: {inside} of 400");
        }
    }

    #[test]
    fn intervals_hold_the_truth_and_samples_are_easier_than_cells() {
        let mut inside = 0;
        for seed in 0..20 {
            let scored = leave_each_out(&panel(6, 1.0, 0.0, seed), unchanged).unwrap();
            let cells = estimate(&scored, Unit::Cell, 1);
            inside += usize::from((cells.low..=cells.high).contains(&0.760));
            assert!(estimate(&scored, Unit::Sample, 1).value > 0.95);
            assert!(cells.high - cells.low < 0.15);
        }
        assert!(inside >= 17, "{inside} of 20");
    }
}
