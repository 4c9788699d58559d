//! Arms of cells: short ones to all sides, and the long tails of fibroblasts.

use super::{between, chance, normal, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// A tapering arm: direction, length and width in radii, bend; how much wider it is at its root (radii) and at its end (times
/// its width), and how steeply its sides rise.
#[derive(Debug)]
pub(super) struct Arm {
    angle: f64,
    length: f64,
    width: f64,
    bend: f64,
    root: f64,
    foot: f64,
    steep: f64,
}

impl Arm {
    /// Any arm.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            angle: TAU * rng.random::<f64>(),
            length: between(rng, 1.2, 3.6),
            width: between(rng, 0.12, 0.5),
            bend: 0.3 * normal(rng),
            root: 0.0,
            foot: 0.0,
            steep: 1.0,
        }
    }

    /// A tail of a cell `half` long, from its middle through one of its ends.
    pub(super) fn tail(half: f64, end: f64, rng: &mut ChaCha8Rng) -> Self {
        Self {
            angle: end + 0.25 * normal(rng),
            length: half + scaled(rng, 0.4, 5.0),
            width: scaled(rng, 0.08, 0.35),
            bend: 0.7 * normal(rng),
            root: between(rng, 0.0, 0.9),
            foot: if chance(rng, 0.4) { between(rng, 0.0, 3.0) } else { 0.0 },
            steep: scaled(rng, 1.5, 8.0),
        }
    }

    /// How far it reaches, radii.
    pub(super) fn reach(&self) -> f64 {
        self.length.hypot(self.bend) + self.width * (1.0 + self.foot) + self.root
    }

    /// Its half width `part` of the way along it, 0..1.
    fn width_at(&self, part: f64) -> f64 {
        let foot = self.foot * part.powi(6) * (1.0 - part.powi(20)).max(0.0);
        self.width * ((1.0 - part).sqrt() + foot) + self.root * (1.0 - part).powi(4)
    }

    /// Depth below its sides at a place relative to its root, radii along and across the cell; `None` beside its ends.
    pub(super) fn depth(&self, u: f64, v: f64) -> Option<f64> {
        let (sin, cos) = self.angle.sin_cos();
        let (along, across) = (u * cos + v * sin, v * cos - u * sin);
        if along < 0.0 || along > self.length {
            return None;
        }
        let part = along / self.length;
        let width = self.width_at(part);
        let off = (across - self.bend * part * part).abs();
        Some(0.5 * self.steep * width * (1.0 - off / width.max(1e-3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn a_tail_runs_out_of_its_cell_and_no_arm_goes_farther_than_it_reaches() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let half = between(&mut rng, 1.0, 2.1);
            let (tail, arm) = (Arm::tail(half, 0.0, &mut rng), Arm::draw(&mut rng));
            let farthest = |arm: &Arm| {
                let steps = |reach: f64| (0..300).map(move |step| reach * (f64::from(step) / 150.0 - 1.0) * 1.2);
                let places = steps(arm.reach()).flat_map(|u| steps(arm.reach()).map(move |v| (u, v)));
                let inside = places.filter(|(u, v)| arm.depth(*u, *v).is_some_and(|depth| depth > 0.0));
                inside.fold(0.0_f64, |far, (u, v)| far.max(u.hypot(v)))
            };
            assert!(farthest(&tail) > half && farthest(&tail) <= tail.reach(), "{tail:?}");
            assert!(farthest(&arm) > 1.0 && farthest(&arm) <= arm.reach(), "{arm:?}");
        }
    }
}
