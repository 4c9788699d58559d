//! What is in the light and not in the dish: bubbles and dust far from focus, the edge of a round field stop, and the
//! blocks of compressed pictures.

use super::{DIAMETER_PX, between, chance, normal, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// A round field stop, px.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    x: f64,
    y: f64,
    radius: f64,
    /// Width of its blurred edge.
    soft: f64,
}

impl Stop {
    /// Share of the light that comes through, 0..=1.
    fn share(&self, x: f64, y: f64) -> f64 {
        1.0 / (1.0 + (((x - self.x).hypot(y - self.y) - self.radius) / self.soft).exp())
    }

    /// Whether enough light comes through to see by.
    pub(super) fn lets_through(&self, x: usize, y: usize) -> bool {
        self.share(x as f64, y as f64) > 0.5
    }
}

/// Casts what a culture has of these on its `light` (`[side, side]`); gives the field stop, where there is one.
pub(super) fn cast(light: &mut [f32], side: usize, rng: &mut ChaCha8Rng) -> Option<Stop> {
    let ghosts = if chance(rng, 0.2) { rng.random_range(1..4_u32) } else { 0 };
    for _ in 0..ghosts {
        ghost(light, side, rng);
    }
    if chance(rng, 0.15) {
        blocks(light, side, rng);
    }
    let is_stopped = chance(rng, 0.05);
    let (angle, radius) = (TAU * rng.random::<f64>(), side as f64 * between(rng, 0.8, 2.0));
    // The stop's edge passes between the middle and a corner.
    let far = radius - side as f64 * between(rng, 0.25, 0.6);
    let middle = side as f64 / 2.0;
    let stop =
        Stop { x: middle + far * angle.cos(), y: middle + far * angle.sin(), radius, soft: scaled(rng, 0.5, 8.0) };
    let dark = between(rng, 0.0, 0.3);
    if !is_stopped {
        return None;
    }
    for (at, value) in light.iter_mut().enumerate() {
        *value *= (dark + (1.0 - dark) * stop.share((at % side) as f64, (at / side) as f64)) as f32;
    }
    Some(stop)
}

/// A bubble or a grain of dust far from focus: a disc, rings, and a slope across it.
fn ghost(light: &mut [f32], side: usize, rng: &mut ChaCha8Rng) {
    let (x, y) = (side as f64 * rng.random::<f64>(), side as f64 * rng.random::<f64>());
    let radius = DIAMETER_PX * scaled(rng, 0.25, 1.5);
    let (disc, ring, slope) = (between(rng, -0.2, 0.35), between(rng, -0.3, 0.3), between(rng, 0.0, 0.4));
    let (waves, at_rim) = (between(rng, 0.5, 4.0), between(rng, -0.4, 0.4));
    let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
    let strength = scaled(rng, 0.1, 1.0);
    for (at, value) in light.iter_mut().enumerate() {
        let (dx, dy) = ((at % side) as f64 - x, (at / side) as f64 - y);
        let far = dx.hypot(dy) / radius;
        if far > 1.6 {
            continue;
        }
        let inside = 1.0 / (1.0 + (15.0 * (far - 1.0)).exp());
        let across = (dx * cos + dy * sin) / radius;
        let shown = inside * (disc + slope * across + ring * (TAU * waves * far * far).cos())
            + at_rim * (-((far - 1.0) / 0.1).powi(2)).exp();
        *value *= (1.0 + strength * shown).max(0.1) as f32;
    }
}

/// What strong compression leaves: blocks that are a little too light or too dark, each with a slope.
fn blocks(light: &mut [f32], side: usize, rng: &mut ChaCha8Rng) {
    let block = rng.random_range(6..26_usize);
    let strength = scaled(rng, 0.003, 0.04);
    let columns = side.div_ceil(block);
    let mut drawn = || [0; 3].map(|_| (strength * normal(rng)) as f32);
    let offsets: Vec<[f32; 3]> = (0..columns * columns).map(|_| drawn()).collect();
    for (at, value) in light.iter_mut().enumerate() {
        let (x, y) = (at % side, at / side);
        let [offset, across, down] = offsets.get(y / block * columns + x / block).copied().unwrap_or_default();
        let within = |at: usize| (at % block) as f32 / block as f32 - 0.5;
        *value = (*value + offset + across * within(x) + down * within(y)).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn beyond_a_field_stop_it_is_dark() {
        let side = 64;
        let with_stop = (0..400).find_map(|seed| {
            let mut light = vec![1.0; side * side];
            let stop = cast(&mut light, side, &mut ChaCha8Rng::seed_from_u64(seed))?;
            Some((stop, light))
        });
        let (stop, light) = with_stop.unwrap();
        assert!(stop.lets_through(side / 2, side / 2));
        let mean = |is_lit: bool| {
            let values = (0..side * side).filter(|at| stop.lets_through(at % side, at / side) == is_lit);
            let values: Vec<f32> = values.filter_map(|at| light.get(at).copied()).collect();
            values.iter().sum::<f32>() / values.len().max(1) as f32
        };
        assert!(mean(false) < 0.8 * mean(true), "{} {}", mean(false), mean(true));
    }
}
