//! The interval that is shown with a score: a bootstrap clustered by field of view and by session.
//!
//! Each replicate draws cells anew around their field's mean, and moves every field and every session by an effect
//! drawn from the fitted spread between fields and between sessions (whose own uncertainty is drawn, too). Resampling
//! whole fields, the textbook way, fails with the two or three fields that a well often has: it cannot draw a field
//! that was not seen, and its intervals are far too short there.

use super::spread::{Group, Part, Placed, Spread, groups};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution as _, StandardNormal};

/// Share of replicates outside the interval on each side.
const TAIL: f64 = 0.025;

/// The 95 % interval of the mean score, within 0..=1. The same cells in the same order and seed give the same bits.
pub(super) fn interval(cells: &[Placed], spread: &Spread, replicates: u32, seed: u64) -> (f64, f64) {
    let n = cells.len() as f64;
    let residuals = scaled_residuals(cells, spread);
    let fovs = groups(cells, |cell| cell.fov);
    let sessions = groups(cells, |cell| cell.session);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..replicates.max(1))
        .map(|_| {
            let cell_shift: f64 = (0..residuals.len())
                .filter_map(|_| residuals.get(random.random_range(0..residuals.len())))
                .sum::<f64>()
                / n;
            let fov_shift = effect(&fovs, n, spread.between_fovs, &mut random);
            let session_shift = effect(&sessions, n, spread.between_sessions, &mut random);
            (spread.mean + cell_shift + fov_shift + session_shift).clamp(0.0, 1.0)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (at_share(&means, TAIL), at_share(&means, 1.0 - TAIL))
}

/// Every cell's distance to its field's mean, scaled so that their mean square is the unbiased variance between cells.
fn scaled_residuals(cells: &[Placed], spread: &Spread) -> Vec<f64> {
    let fovs = groups(cells, |cell| cell.fov);
    let centre = |cell: &Placed| {
        if cells.len() > fovs.len() { fovs.get(cell.fov).map_or(spread.mean, Group::mean) } else { spread.mean }
    };
    let raw: Vec<f64> = cells.iter().map(|cell| cell.score - centre(cell)).collect();
    let n = raw.len() as f64;
    let mean_square = raw.iter().map(|it| it * it).sum::<f64>() / n;
    if mean_square <= 0.0 {
        // All scores equal: the spread's floor stands in, as a coin.
        let floor = (spread.within.variance * n).sqrt();
        return (0..raw.len().max(2)).map(|i| if i % 2 == 0 { floor } else { -floor }).collect();
    }
    let scale = (spread.within.variance * n / mean_square).sqrt();
    raw.iter().map(|it| it * scale).collect()
}

/// The shift of the mean when every group moves by its own effect. `part` is the variance of that shift.
fn effect(groups: &[Group], n: f64, part: Part, random: &mut ChaCha8Rng) -> f64 {
    let concentration: f64 = groups.iter().map(|it| (it.count / n).powi(2)).sum();
    let chi = ChiSquared::new(part.degrees).map_or(part.degrees, |it| it.sample(random));
    let drawn_variance = part.variance / concentration * part.degrees / chi.max(1e-6);
    let normal = |random: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(random) };
    groups.iter().map(|it| it.count / n * drawn_variance.sqrt() * normal(random)).sum()
}

/// The value below which `share` of the sorted values lie, interpolated.
fn at_share(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len().saturating_sub(1)) as f64;
    let below = sorted.get(position.floor() as usize).copied().unwrap_or(0.0);
    let above = sorted.get(position.ceil() as usize).copied().unwrap_or(below);
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::super::spread::Prior;
    use super::*;

    fn example() -> (Vec<Placed>, Spread) {
        let cells: Vec<Placed> = (0..60)
            .map(|i| Placed { session: 0, fov: i % 3, score: 0.3 + 0.4 * ((i * 37 % 60) as f64 / 60.0) })
            .collect();
        let spread = Spread::of(&cells, Prior { correlation: 0.05, weight: 4.0 }).unwrap();
        (cells, spread)
    }

    #[test]
    fn same_seed_gives_the_same_bits_and_another_does_not() {
        let (cells, spread) = example();
        assert_eq!(interval(&cells, &spread, 500, 7), interval(&cells, &spread, 500, 7));
        assert_ne!(interval(&cells, &spread, 500, 7), interval(&cells, &spread, 500, 8));
    }

    #[test]
    fn width_agrees_with_the_fitted_spread() {
        let (cells, spread) = example();
        let (low, high) = interval(&cells, &spread, 4000, 1);
        assert!(low < spread.mean && spread.mean < high);
        let expected = 2.0 * spread.reach(0.025, 1.0, 1.0);
        assert!(((high - low) / expected - 1.0).abs() < 0.12, "{} {expected}", high - low);
    }

    #[test]
    fn equal_scores_give_an_interval_within_zero_and_one() {
        let cells: Vec<Placed> = (0..25).map(|_| Placed { session: 0, fov: 0, score: 1.0 }).collect();
        let spread = Spread::of(&cells, Prior { correlation: 0.05, weight: 4.0 }).unwrap();
        let (low, high) = interval(&cells, &spread, 300, 1);
        assert!(low < 1.0 && high <= 1.0 && low > 0.9);
    }
}
