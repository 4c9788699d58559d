//! How many cells a call needs (method.md 9.1).
//!
//! For every number of cells, each sample on a day is called many times from so many different cells of it: once from all
//! as if they were independent, once field by field as a microscope gives them. What cells share (a field, a day) no further
//! cells of it can remove, so the second curve is the honest one.
//!
//! No cell is drawn twice. Drawn with replacement from `n` cells, a call from `k` errs as often as one from
//! `1 / (1 / k + 1 / n)` new cells does: 20 out of 34 would be judged as if they were 12.6.

use super::Scored;
use super::clustered::{self, Influence};
use super::roc::Estimate;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Numbers of cells at which the curve is drawn.
pub const COUNTS: [usize; 13] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 80, 120, 200];
/// Cells from which a call is judged in tables.
pub const CALL_CELLS: usize = 20;
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
    /// Share of right calls, a sample on a day weighing as much as another.
    pub right: Estimate,
    /// Samples on days that have so many cells; the others say nothing about such a call.
    pub clusters: usize,
}

/// The share of right calls by number of cells, as far as there are samples on days with so many; a call is "high" when the
/// mean logit is above 0.
pub fn curve(scored: &[Scored], draw: Draw, seed: u64) -> Vec<Point> {
    COUNTS.iter().map_while(|&cells| right_from(scored, cells, draw, seed)).collect()
}

/// The share of right calls from `cells` cells; `None` when no sample on a day has so many.
pub fn right_from(scored: &[Scored], cells: usize, draw: Draw, seed: u64) -> Option<Point> {
    let mut clusters: BTreeMap<(&str, &str, bool), BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for cell in scored {
        let cluster = clusters.entry((&cell.origin.sample, &cell.origin.day, cell.high)).or_default();
        cluster.entry(&cell.origin.fov).or_default().push(cell.logit);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut right = Vec::new();
    for ((sample, day, high), fovs) in clusters {
        let mut groups: Vec<Vec<f64>> = match draw {
            Draw::Fovs => fovs.into_values().collect(),
            Draw::Cells => fovs.into_values().flatten().map(|logit| vec![logit]).collect(),
        };
        if groups.iter().map(Vec::len).sum::<usize>() >= cells {
            let called_high = share_called_high(&mut groups, cells, &mut rng);
            right.push((sample, day, high, if high { called_high } else { 1.0 - called_high }));
        }
    }
    let count = right.len() as f64;
    if right.is_empty() {
        return None;
    }
    let value = right.iter().map(|it| it.3).sum::<f64>() / count;
    let mean_of = |class: bool| {
        let shares = || right.iter().filter(|it| it.2 == class).map(|it| it.3);
        shares().sum::<f64>() / shares().count().max(1) as f64
    };
    let (high_mean, low_mean) = (mean_of(true), mean_of(false));
    let influences: Vec<Influence<'_>> = right
        .iter()
        .map(|(sample, day, high, share)| Influence {
            sample,
            day,
            high: *high,
            by: (share - if *high { high_mean } else { low_mean }) / count,
        })
        .collect();
    Some(Point { cells, right: clustered::estimate(value, &influences, 0.0), clusters: right.len() })
}

/// How often the mean of `cells` logits, drawn in whole `groups` without putting any back, is above 0.
fn share_called_high(groups: &mut [Vec<f64>], cells: usize, rng: &mut ChaCha8Rng) -> f64 {
    let mut high = 0;
    for _ in 0..DRAWS {
        let (mut sum, mut count) = (0.0, 0);
        for at in 0..groups.len() {
            groups.swap(at, rng.random_range(at..groups.len()));
            for logit in groups.get(at).into_iter().flatten().take(cells - count) {
                sum += logit;
                count += 1;
            }
            if count == cells {
                break;
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
        // AUC 0.76 is d' = 1: k cells are called right with chance Phi(sqrt k / 2). Also from few cells: drawn with
        // replacement, 20 out of 30 would give Phi(sqrt 12 / 2) = 0.958.
        for (fovs, seeds) in [(30, 1), (6, 6)] {
            for (cells, expected) in [(1, 0.691), (5, 0.868), (20, 0.987)] {
                let right = (0..seeds).map(|seed| {
                    let scored = leave_each_out(&panel(fovs, 1.0, 0.0, 4 + seed), unchanged).unwrap();
                    right_from(&scored, cells, Draw::Cells, 1).unwrap().right.value
                });
                let right = right.sum::<f64>() / seeds as f64;
                println!("{cells} of {} cells: {right:.4}, expected {expected}", 5 * fovs);
                assert!((right - expected).abs() < if cells == 20 { 0.015 } else { 0.04 }, "{cells} cells: {right}");
            }
        }
    }

    #[test]
    fn a_sample_with_too_few_cells_says_nothing() {
        let scored = leave_each_out(&panel(6, 1.0, 0.0, 4), unchanged).unwrap();
        assert_eq!(right_from(&scored, 31, Draw::Cells, 1), None, "30 cells a sample and day");
        assert_eq!(right_from(&scored, 30, Draw::Fovs, 1).unwrap().clusters, 24);
        assert_eq!(curve(&scored, Draw::Cells, 1).last().unwrap().cells, 30);
    }

    #[test]
    fn a_day_effect_sets_a_floor_that_cells_do_not_remove() {
        let scored = leave_each_out(&panel(40, 1.0, 1.0, 5), unchanged).unwrap();
        let many = right_from(&scored, 200, Draw::Cells, 1).unwrap().right.value;
        assert!(many < 0.97, "{many}");
        let curve = curve(&scored, Draw::Fovs, 1);
        assert_eq!(curve.len(), COUNTS.len());
        assert!(
            curve.iter().all(|point| point.right.low <= point.right.value && point.right.value <= point.right.high)
        );
    }
}
