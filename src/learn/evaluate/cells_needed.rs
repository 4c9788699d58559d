//! How many cells a call needs (method.md 9.1).
//!
//! For every number of cells, samples are called many times from cells drawn with replacement: once from all cells of
//! the sample as if they were independent, once field by field as a microscope gives them. What cells share (a field, a
//! day) no further cells of it can remove, so the second curve is the honest one.

use super::Scored;
use super::roc::Estimate;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Numbers of cells at which the curve is drawn.
pub const COUNTS: [usize; 13] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 80, 120, 200];
/// Draws per sample and number of cells.
const DRAWS: usize = 1000;

/// How cells are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// Each on its own.
    Cells,
    /// Whole fields of view until there are enough.
    Fovs,
}

/// One point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Cells per call.
    pub cells: usize,
    /// Share of right calls, a sample on a day weighing as much as another; the interval resamples them.
    pub right: Estimate,
}

/// The share of right calls by number of cells; a call is "high" when the mean logit is above 0.
pub fn curve(scored: &[Scored], draw: Draw, seed: u64) -> Vec<Point> {
    COUNTS.iter().map(|&cells| Point { cells, right: right_from(scored, cells, draw, seed) }).collect()
}

/// The share of right calls from `cells` cells.
pub fn right_from(scored: &[Scored], cells: usize, draw: Draw, seed: u64) -> Estimate {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (cells as u64) << 32);
    // One group per sample and day: that is what a session at the microscope calls.
    let mut groups: BTreeMap<(&str, &str), BTreeMap<&str, Vec<&Scored>>> = BTreeMap::new();
    for cell in scored {
        let origin = &cell.origin;
        groups.entry((&origin.sample, &origin.day)).or_default().entry(&origin.fov).or_default().push(cell);
    }
    let right: Vec<f64> = groups
        .values()
        .map(|fovs| {
            let high = fovs.values().flatten().next().is_some_and(|cell| cell.high);
            let draws: Vec<Vec<f64>> = match draw {
                Draw::Fovs => fovs.values().map(|cells| cells.iter().map(|c| c.logit).collect()).collect(),
                Draw::Cells => fovs.values().flatten().map(|c| vec![c.logit]).collect(),
            };
            let called_high = share_called_high(&draws, cells, &mut rng);
            if high { called_high } else { 1.0 - called_high }
        })
        .collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let resamples = (0..DRAWS)
        .map(|_| {
            let drawn = right.iter().filter_map(|_| right.get(rng.random_range(0..right.len())).copied());
            mean(&drawn.collect::<Vec<_>>())
        })
        .collect();
    super::roc::interval(mean(&right), resamples)
}

/// How often the mean of `cells` logits, drawn in whole `groups` with replacement, is above 0.
fn share_called_high(groups: &[Vec<f64>], cells: usize, rng: &mut ChaCha8Rng) -> f64 {
    let mut high = 0;
    for _ in 0..DRAWS {
        let (mut sum, mut count) = (0.0, 0);
        while count < cells {
            let group = groups.get(rng.random_range(0..groups.len())).map_or(&[][..], Vec::as_slice);
            for logit in group.iter().take(cells - count) {
                sum += logit;
                count += 1;
            }
        }
        high += usize::from(sum > 0.0);
    }
    high as f64 / DRAWS as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::panel;
    use super::super::{leave_each_out, unchanged};
    use super::*;

    #[test]
    fn independent_cells_follow_the_rule_of_thumb() {
        // AUC 0.76 is d' = 1: k cells are called right with chance Phi(sqrt k / 2).
        let scored = leave_each_out(&panel(30, 1.0, 0.0, 4), unchanged).unwrap();
        for (cells, expected) in [(1, 0.691), (5, 0.868), (20, 0.987)] {
            let right = right_from(&scored, cells, Draw::Cells, 1).value;
            assert!((right - expected).abs() < 0.04, "{cells} cells: {right}");
        }
    }

    #[test]
    fn a_day_effect_sets_a_floor_that_cells_do_not_remove() {
        let scored = leave_each_out(&panel(30, 1.0, 1.0, 5), unchanged).unwrap();
        let many = right_from(&scored, 200, Draw::Cells, 1).value;
        assert!(many < 0.97, "{many}");
        let curve = curve(&scored, Draw::Fovs, 1);
        assert_eq!(curve.len(), COUNTS.len());
        assert!(
            curve.iter().all(|point| point.right.low <= point.right.value && point.right.value <= point.right.high)
        );
    }
}
