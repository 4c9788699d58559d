//! Day effects: how strongly cells cluster by day, and what can be done about it.
//!
//! Clustering is measured as in the follow-up work (method.md 11.1): Davies-Bouldin (higher is better: less clustered) and
//! Calinski-Harabasz (lower is better). [`align`] takes a day's shift out of the descriptor, estimated from the samples
//! that were imaged on that day and on others: those are its reference samples. It uses no labels, and never the cells
//! of the held-out sample.

use super::CellFeatures;
use serde::Serialize;
use std::collections::BTreeMap;

/// Rounds of alternating least squares; the days and samples of a panel settle within a few.
const ROUNDS: usize = 50;

/// How strongly cells cluster by day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Clustering {
    /// Davies-Bouldin index, higher is better.
    pub davies_bouldin: f64,
    /// Calinski-Harabasz index, lower is better; about 1 when days say nothing.
    pub calinski_harabasz: f64,
}

/// Clustering of the cells' time-mean features by day, each feature in units of its spread.
pub fn by_day(cells: &[CellFeatures]) -> Clustering {
    let spread = spread(cells);
    let scaled: Vec<Vec<f64>> = cells
        .iter()
        .map(|cell| cell.mean.iter().zip(&spread).map(|(value, spread)| value / spread).collect())
        .collect();
    let mut days: BTreeMap<&str, Vec<&[f64]>> = BTreeMap::new();
    for (cell, features) in cells.iter().zip(&scaled) {
        days.entry(&cell.origin.day).or_default().push(features);
    }
    let overall = mean(scaled.iter().map(Vec::as_slice));
    let centres: Vec<Vec<f64>> = days.values().map(|cells| mean(cells.iter().copied())).collect();
    let (mut within, mut between, mut radii) = (0.0, 0.0, Vec::new());
    for (cells, centre) in days.values().zip(&centres) {
        let distances: Vec<f64> = cells.iter().map(|cell| distance(cell, centre)).collect();
        within += distances.iter().map(|d| d * d).sum::<f64>();
        between += cells.len() as f64 * distance(centre, &overall).powi(2);
        radii.push(distances.iter().sum::<f64>() / distances.len() as f64);
    }
    let (count, groups) = (cells.len() as f64, centres.len() as f64);
    let worst = |i: usize, centre: &[f64], radius: f64| {
        let others = centres.iter().zip(&radii).enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, (other, r))| (radius + r) / distance(centre, other).max(1e-12)).fold(0.0, f64::max)
    };
    let sum: f64 = centres.iter().zip(&radii).enumerate().map(|(i, (centre, radius))| worst(i, centre, *radius)).sum();
    Clustering {
        davies_bouldin: sum / groups,
        calinski_harabasz: (between / (groups - 1.0).max(1.0)) / (within / (count - groups).max(1.0)).max(1e-12),
    }
}

/// Takes every day's shift out of all features of all cells.
///
/// The shifts come from a two-way model, feature = sample +
/// day, fitted to all cells but those of `held_out` by least squares; they are zero on average over the cells.
pub fn align(cells: &[CellFeatures], held_out: &str) -> Vec<CellFeatures> {
    let reference: Vec<&CellFeatures> = cells.iter().filter(|cell| cell.origin.sample != held_out).collect();
    let len = cells.first().map_or(0, |cell| cell.mean.len());
    let zero = || vec![0.0; len];
    let mut days: BTreeMap<&str, Vec<f64>> = cells.iter().map(|cell| (cell.origin.day.as_str(), zero())).collect();
    for _ in 0..ROUNDS {
        let samples = residual_means(&reference, |cell| &cell.origin.sample, |cell| days.get(cell.origin.day.as_str()));
        let shifts =
            residual_means(&reference, |cell| &cell.origin.day, |cell| samples.get(cell.origin.sample.as_str()));
        let centre = mean(reference.iter().filter_map(|c| shifts.get(c.origin.day.as_str())).map(Vec::as_slice));
        for (day, shift) in shifts {
            days.insert(day, shift.iter().zip(&centre).map(|(value, centre)| value - centre).collect());
        }
    }
    let shifted = |features: &[f64], day: &str| -> Vec<f64> {
        match days.get(day) {
            Some(shift) => features.iter().zip(shift).map(|(value, shift)| value - shift).collect(),
            None => features.to_vec(),
        }
    };
    let aligned = |cell: &CellFeatures| CellFeatures {
        mean: shifted(&cell.mean, &cell.origin.day),
        frames: cell.frames.iter().map(|frame| shifted(frame, &cell.origin.day)).collect(),
        origin: cell.origin.clone(),
    };
    cells.iter().map(aligned).collect()
}

/// Mean of the features less `other`'s part, by `name`.
fn residual_means<'a, 'b>(
    cells: &[&'a CellFeatures],
    name: impl Fn(&'a CellFeatures) -> &'a str,
    other: impl Fn(&'a CellFeatures) -> Option<&'b Vec<f64>>,
) -> BTreeMap<&'a str, Vec<f64>> {
    let mut sums: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
    for cell in cells {
        let (sum, count) = sums.entry(name(cell)).or_insert_with(|| (vec![0.0; cell.mean.len()], 0.0));
        let part = other(cell);
        for (i, (sum, value)) in sum.iter_mut().zip(&cell.mean).enumerate() {
            *sum += value - part.and_then(|part| part.get(i)).copied().unwrap_or_default();
        }
        *count += 1.0;
    }
    sums.into_iter().map(|(name, (sum, count))| (name, sum.into_iter().map(|value| value / count).collect())).collect()
}

fn mean<'a>(rows: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let (mut sum, mut count): (Vec<f64>, f64) = (Vec::new(), 0.0);
    for row in rows {
        sum.resize(row.len(), 0.0);
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    sum.iter().map(|sum| sum / count.max(1.0)).collect()
}

/// Standard deviation of each feature over the cells, at least a little.
fn spread(cells: &[CellFeatures]) -> Vec<f64> {
    let centre = mean(cells.iter().map(|cell| cell.mean.as_slice()));
    let squares: Vec<Vec<f64>> =
        cells.iter().map(|cell| cell.mean.iter().zip(&centre).map(|(v, c)| (v - c).powi(2)).collect()).collect();
    mean(squares.iter().map(Vec::as_slice)).iter().map(|square| square.sqrt().max(1e-12)).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::tests::panel;
    use super::super::{leave_each_out, roc, unchanged};
    use super::*;

    #[test]
    fn days_that_say_nothing_do_not_cluster() {
        let clustering = by_day(&panel(12, 1.0, 0.0, 1));
        assert!(clustering.calinski_harabasz < 4.0, "{clustering:?}");
        let shifted = by_day(&panel(12, 1.0, 1.0, 1));
        assert!(shifted.calinski_harabasz > 10.0 * clustering.calinski_harabasz, "{shifted:?}");
        assert!(shifted.davies_bouldin < clustering.davies_bouldin, "{shifted:?}");
    }

    #[test]
    fn alignment_takes_day_shifts_out_and_keeps_the_classes() {
        let cells = panel(12, 1.0, 1.0, 2);
        let plain = roc::of_cells(&leave_each_out(&cells, unchanged).unwrap());
        let aligned = roc::of_cells(&leave_each_out(&cells, align).unwrap());
        assert!(aligned > plain + 0.03 && aligned > 0.7, "{plain} -> {aligned}");
        let (before, after) = (by_day(&cells), by_day(&align(&cells, "")));
        assert!(after.calinski_harabasz < 0.2 * before.calinski_harabasz, "{before:?} {after:?}");
    }
}
