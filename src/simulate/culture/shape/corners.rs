//! Outlines with corners: what spread fibroblasts and macrophages look like between the places where they hold on.

use super::super::{between, chance};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{PI, TAU};

/// A closed outline of a few corners, its sides straight or hollow; as large as a disc of radius 1.
#[derive(Debug)]
pub(in super::super) struct Corners {
    /// Direction, ascending within a turn, and distance from the middle.
    corners: Vec<(f64, f64)>,
    /// How far sides bend inwards, 0 for straight ones.
    hollow: f64,
}

impl Corners {
    /// Three to six corners, 1 to 2.4 from the middle before the whole is brought to size.
    pub(in super::super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let count = rng.random_range(3..7_u32);
        let (turn, step) = (TAU * rng.random::<f64>(), TAU / f64::from(count));
        // So near their places that no side spans half a turn.
        let corner = |rng: &mut ChaCha8Rng, number: u32| {
            let direction = turn + step * (f64::from(number) + between(rng, -0.2, 0.2));
            (direction.rem_euclid(TAU), between(rng, 1.0, 2.4))
        };
        let mut corners: Vec<(f64, f64)> = (0..count).map(|number| corner(rng, number)).collect();
        corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        let hollow = if chance(rng, 0.5) { 0.0 } else { between(rng, 0.0, 0.45) };
        let mut shape = Self { corners, hollow };
        let directions: u32 = 90;
        let square =
            (0..directions).map(|n| shape.radius(TAU * f64::from(n) / f64::from(directions)).powi(2)).sum::<f64>();
        let size = (square / f64::from(directions)).sqrt();
        shape.corners.iter_mut().for_each(|(_, far)| *far /= size);
        shape
    }

    /// How far the farthest corner is from the middle.
    pub(in super::super) fn farthest(&self) -> f64 {
        self.corners.iter().fold(0.0, |farthest, (_, far)| farthest.max(*far))
    }

    /// How far the outline is from the middle in a direction, rad.
    pub(in super::super) fn radius(&self, direction: f64) -> f64 {
        let direction = direction.rem_euclid(TAU);
        let next = self.corners.iter().position(|(at, _)| *at > direction).unwrap_or(0);
        let before = next.checked_sub(1).unwrap_or(self.corners.len().saturating_sub(1));
        let (Some(&(from, near)), Some(&(to, far))) = (self.corners.get(before), self.corners.get(next)) else {
            return 1.0;
        };
        let (span, gone) = ((to - from).rem_euclid(TAU), (direction - from).rem_euclid(TAU));
        let straight = near * far * span.sin() / (near * gone.sin() + far * (span - gone).sin()).max(1e-9);
        straight * (1.0 - self.hollow * (PI * gone / span.max(1e-9)).sin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn an_outline_is_closed_as_large_as_a_disc_and_reaches_its_corners() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..200 {
            let corners = Corners::draw(&mut rng);
            let radii: Vec<f64> = (0..3600).map(|n| corners.radius(TAU * f64::from(n) / 3600.0)).collect();
            let area = radii.iter().map(|r| r * r).sum::<f64>() / 3600.0;
            assert!((area - 1.0).abs() < 0.02, "{area} {corners:?}");
            assert!(radii.iter().all(|r| *r > 0.1 && *r <= corners.farthest() + 1e-9), "{corners:?}");
            assert!(radii.iter().zip(radii.iter().cycle().skip(1)).all(|(a, b)| (a - b).abs() < 0.1), "{corners:?}");
            assert!(corners.corners.iter().all(|(at, far)| (corners.radius(*at) - far).abs() < 1e-6), "{corners:?}");
        }
    }
}
