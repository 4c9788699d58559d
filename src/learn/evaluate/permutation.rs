//! Would shuffled labels do as well?
//!
//! The labels of whole samples are exchanged, because the sample is what bears the label; with few samples all exchanges
//! are tried. The smallest possible p-value is one over their number, and no smaller one is honest. The same holds for
//! "all samples fell on their right side": [`sign_test`].

use super::{CellFeatures, leave_each_out, roc, samples, unchanged};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Exchanges that are tried at most.
const MOST: usize = 200;

/// The areas per cell that exchanged labels reach, and how the true ones stand among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Permutation {
    /// With the true labels.
    pub auc: f64,
    /// With exchanged labels; the true ones are among them when all exchanges were tried.
    pub exchanged: Vec<f64>,
    /// Share of exchanges that reach the true area, the true labels counted in.
    pub p_value: f64,
    /// All exchanges were tried.
    pub complete: bool,
}

/// Tries exchanged labels; `None` when the samples' own labels cannot be evaluated.
pub fn test(cells: &[CellFeatures], seed: u64) -> Option<Permutation> {
    let names = samples(cells);
    let truth: Vec<bool> = names
        .iter()
        .map(|name| cells.iter().any(|cell| cell.origin.sample == *name && cell.origin.high == Some(true)))
        .collect();
    let auc = roc::of_cells(&leave_each_out(cells, unchanged).ok()?);
    let mut all = arrangements(truth.len(), truth.iter().filter(|high| **high).count());
    let complete = all.len() <= MOST;
    if !complete {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        all.shuffle(&mut rng);
        all.truncate(MOST);
    }
    let exchanged: Vec<f64> = all.iter().filter_map(|labels| with_labels(cells, &names, labels)).collect();
    let reach = exchanged.iter().filter(|other| **other >= auc - 1e-12).count() as f64;
    let p_value =
        if complete { reach / exchanged.len().max(1) as f64 } else { (reach + 1.0) / (exchanged.len() + 1) as f64 };
    Some(Permutation { auc, exchanged, p_value, complete })
}

/// The chance that `right` or more of `count` samples fall on their right side when each side is a coin's.
pub fn sign_test(right: usize, count: usize) -> f64 {
    // Every way to choose is counted up from the one before it: n over k+1 is n over k times (n - k) / (k + 1).
    let (mut ways, mut all) = (1.0, 0.0);
    for k in 0..=count {
        if k >= right {
            all += ways;
        }
        ways *= (count - k) as f64 / (k + 1) as f64;
    }
    all / 2.0_f64.powi(i32::try_from(count).unwrap_or(i32::MAX))
}

/// The area per cell when the samples bear `labels`; `None` when a fold then lacks a class.
fn with_labels(cells: &[CellFeatures], names: &[String], labels: &[bool]) -> Option<f64> {
    let labels: BTreeMap<&str, bool> = names.iter().map(String::as_str).zip(labels.iter().copied()).collect();
    let mut cells = cells.to_vec();
    for cell in &mut cells {
        cell.origin.high = labels.get(cell.origin.sample.as_str()).copied();
    }
    leave_each_out(&cells, unchanged).ok().map(|scored| roc::of_cells(&scored))
}

/// All ways to label `high` of `count` samples high; stops well above [`MOST`].
fn arrangements(count: usize, high: usize) -> Vec<Vec<bool>> {
    let mut all = vec![Vec::new()];
    for done in 0..count {
        let mut longer = Vec::new();
        for labels in all {
            let used = labels.iter().filter(|label| **label).count();
            if used < high {
                longer.push([labels.as_slice(), &[true]].concat());
            }
            if done - used < count - high {
                longer.push([labels.as_slice(), &[false]].concat());
            }
        }
        all = longer;
        all.truncate(50 * MOST);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::panel;
    use super::*;

    #[test]
    fn every_arrangement_is_made_once() {
        let all = arrangements(8, 4);
        assert_eq!(all.len(), 70);
        assert!(all.iter().all(|labels| labels.iter().filter(|label| **label).count() == 4));
    }

    #[test]
    fn no_sample_level_figure_is_smaller_than_honest() {
        // Method.md 8 and 13: seven samples of seven, and three against four.
        assert!((sign_test(7, 7) - 0.0078).abs() < 5e-5, "{}", sign_test(7, 7));
        assert!((sign_test(0, 7) - 1.0).abs() < 1e-12);
        assert!((sign_test(6, 8) - 37.0 / 256.0).abs() < 1e-12, "28 + 8 + 1 of 256");
        assert_eq!(arrangements(7, 3).len(), 35, "p of 3 against 4 is 0.029 at least");
    }

    #[test]
    fn true_labels_stand_out_and_meaningless_ones_do_not() {
        let clear = test(&panel(2, 1.5, 0.0, 1), 1).unwrap();
        assert!(clear.complete && clear.p_value <= 0.05, "{}", clear.p_value);
        let nothing = test(&panel(2, 0.0, 0.0, 2), 1).unwrap();
        assert!(nothing.p_value > 0.05, "{}", nothing.p_value);
    }
}
