//! A fan: the thin sheet that a cell pushes out over the substrate, with a bumpy rim.

use super::{along, between, chance, normal, scaled, waves};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// The first of its rim's waves has this many bumps.
const FIRST_BUMP: u32 = 2;

/// A bumpy disc beside a cell's body; lengths in the body's radii, along and across the cell.
#[derive(Debug)]
pub(super) struct Fan {
    x: f64,
    y: f64,
    radius: f64,
    bumps: Vec<(f64, f64)>,
}

impl Fan {
    /// To any side of the body.
    pub(super) fn beside(rng: &mut ChaCha8Rng) -> Self {
        let (angle, far) = (TAU * rng.random::<f64>(), between(rng, 0.2, 1.1));
        Self::draw((far * angle.cos(), far * angle.sin()), between(rng, 0.8, 1.5), between(rng, 0.05, 0.25), rng)
    }

    /// At one end of a body that is `stretch` times as long as wide, large or hardly more than a foot; every further one, by the number
    /// `before` it, at the other end or anywhere round it.
    pub(super) fn at_an_end(stretch: f64, before: u32, rng: &mut ChaCha8Rng) -> Self {
        let radius = if before == 0 { scaled(rng, 0.6, 1.6) } else { scaled(rng, 0.25, 1.1) };
        let angle = match before {
            0 => 0.25 * normal(rng),
            1 if chance(rng, 0.7) => TAU / 2.0 + 0.25 * normal(rng),
            _ => TAU * rng.random::<f64>(),
        };
        let (sin, cos) = angle.sin_cos();
        let root = stretch.sqrt();
        // It reaches into the body by more than half of its radius, so that no bump parts it from it.
        let far = 1.0 / (cos / root).hypot(sin * root) + radius * between(rng, -0.8, 0.3);
        Self::draw((far * cos, far * sin), radius, between(rng, 0.02, 0.14), rng)
    }

    fn draw((x, y): (f64, f64), radius: f64, bumpy: f64, rng: &mut ChaCha8Rng) -> Self {
        Self { x, y, radius, bumps: waves(rng, FIRST_BUMP..14, bumpy) }
    }

    /// How far from the cell's centre it may reach, radii.
    pub(super) fn reach(&self) -> f64 {
        self.x.hypot(self.y) + 1.6 * self.radius
    }

    /// The direction in which a place lies from its middle, rad.
    pub(super) fn direction(&self, u: f64, v: f64) -> f64 {
        (v - self.y).atan2(u - self.x)
    }

    /// Depth below its rim, up to 0.8; negative outside.
    pub(super) fn depth(&self, u: f64, v: f64) -> f64 {
        let far = (u - self.x).hypot(v - self.y) / self.radius;
        0.8 * (1.0 - far / (1.0 + along(&self.bumps, FIRST_BUMP, self.direction(u, v))).clamp(0.3, 1.6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn a_fan_at_an_end_reaches_into_its_body_and_no_fan_goes_farther_than_it_reaches() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for before in (0..4).cycle().take(80) {
            let stretch = between(&mut rng, 1.0, 4.5);
            let (end, beside) = (Fan::at_an_end(stretch, before, &mut rng), Fan::beside(&mut rng));
            let inside = |fan: &Fan| {
                let steps = |reach: f64| (0..200).map(move |step| reach * (f64::from(step) / 100.0 - 1.0) * 1.2);
                let places = steps(fan.reach()).flat_map(|u| steps(fan.reach()).map(move |v| (u, v)));
                places.filter(|(u, v)| fan.depth(*u, *v) > 0.0).collect::<Vec<_>>()
            };
            for fan in [&end, &beside] {
                let farthest = inside(fan).iter().fold(0.0_f64, |far, (u, v)| far.max(u.hypot(*v)));
                assert!(farthest > 0.0 && farthest <= fan.reach(), "{fan:?}");
            }
            let root = stretch.sqrt();
            assert!(inside(&end).iter().any(|(u, v)| (u / root).hypot(v * root) < 0.95), "{end:?}");
        }
    }
}
