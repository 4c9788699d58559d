//! Areas under the receiver operating curve, with intervals.
//!
//! The interval resamples whole clusters (a sample on a day), because pictures of one sample and day share their tumour,
//! their light and their focus; the classes are resampled apart, so that both are always there.

use super::Scored;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;

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
    interval(auc(&whole), (0..RESAMPLES).map(resample).collect())
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
