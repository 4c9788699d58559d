//! How far two columns of numbers go together: Pearson's and Spearman's correlation, with a bootstrap interval.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Replicates of the bootstrap.
const REPLICATES: usize = 1000;
/// Share of replicates outside the interval on each side.
const TAIL: f64 = 0.025;

/// Pearson's correlation, -1..=1; 0 where one of them does not vary.
pub fn pearson(one: &[f64], other: &[f64]) -> f64 {
    let count = one.len().max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (a, b) = (mean(one), mean(other));
    let sum = |f: &dyn Fn(f64, f64) -> f64| one.iter().zip(other).map(|(x, y)| f(x - a, y - b)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if spread > 0.0 { sum(&|x, y| x * y) / spread } else { 0.0 }
}

/// Spearman's rank correlation, -1..=1: Pearson's of the ranks, where equal values share their mean rank.
pub fn spearman(one: &[f64], other: &[f64]) -> f64 {
    pearson(&ranks(one), &ranks(other))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| a.1.total_cmp(&b.1).is_eq()) {
        let rank = before as f64 + (equal.len() as f64 - 1.0) / 2.0;
        for (index, _) in equal {
            if let Some(own) = ranks.get_mut(*index) {
                *own = rank;
            }
        }
        before += equal.len();
    }
    ranks
}

/// 95 % interval of `correlation`, pairs drawn anew; the same numbers give the same bits.
pub fn interval(one: &[f64], other: &[f64], correlation: fn(&[f64], &[f64]) -> f64, seed: u64) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut found: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let drawn: Vec<usize> = one.iter().map(|_| random.random_range(0..one.len())).collect();
            let of = |values: &[f64]| drawn.iter().filter_map(|at| values.get(*at).copied()).collect::<Vec<f64>>();
            correlation(&of(one), &of(other))
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found.get((share * (REPLICATES - 1) as f64).round() as usize).copied().unwrap_or(0.0);
    (at(TAIL), at(1.0 - TAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_see_order_alone_and_ties_share_theirs() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let y = [1.0, 10.0, 11.0, 500.0, 501.0];
        assert!((spearman(&x, &y) - 1.0).abs() < 1e-12 && pearson(&x, &y) < 0.95);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0]), [2.5, 1.0, 2.5, 0.0]);
        assert!(spearman(&x, &[3.0; 5]).abs() < 1e-12, "what does not vary goes with nothing");
        let (low, high) = interval(&x, &y, spearman, 1);
        assert!(low <= high && high <= 1.0);
    }
}
