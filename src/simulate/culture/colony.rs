//! Cells that have grown together: flat colonies in which cell lies against cell, as in the layers of epithelia and fibroblasts.
//!
//! What parts two cells there is thin: a seam that is a ridge here, a groove there and nothing at a third place, or the rim of one cell
//! that lies under its neighbour. Inside, little but nucleoli and granules shows.

use super::line::Line;
use super::shape::Shape;
use super::{DIAMETER_PX, between, chance, normal, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// So often the next place is looked for before a colony is full.
const TRIES: usize = 40;

/// Which way long cells lie: neighbours lie alike, and far away it is another way.
struct Lie {
    base: f64,
    waves: [(f64, f64, f64, f64); 3],
}

impl Lie {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut wave = || {
            let (direction, cells) = (TAU * rng.random::<f64>(), scaled(rng, 3.0, 12.0));
            let step = TAU / (cells * DIAMETER_PX);
            (0.5 * normal(rng), step * direction.cos(), step * direction.sin(), TAU * rng.random::<f64>())
        };
        let waves = [wave(), wave(), wave()];
        Self { base: TAU * rng.random::<f64>(), waves }
    }

    fn at(&self, x: f64, y: f64) -> f64 {
        self.waves
            .iter()
            .fold(self.base, |angle, (size, right, down, at)| angle + size * (right * x + down * y + at).sin())
    }
}

/// Cells of `line` in a picture of `side` px: one colony or several, and some cells alone.
pub(super) fn grown(side: usize, line: &Line, rng: &mut ChaCha8Rng) -> Vec<Shape> {
    let side = side as f64;
    let one = std::f64::consts::FRAC_PI_4 * DIAMETER_PX * DIAMETER_PX;
    let wanted = (side * side / one * scaled(rng, 0.12, 1.3)) as usize;
    let alone = scaled(rng, 0.004, 0.15);
    let lie = Lie::draw(rng);
    let mut shapes: Vec<Shape> = Vec::new();
    for _ in 0..wanted * TRIES {
        if shapes.len() >= wanted {
            break;
        }
        let (mut x, mut y) = (side * rng.random::<f64>(), side * rng.random::<f64>());
        if !shapes.is_empty()
            && !chance(rng, alone)
            && let Some(near) = shapes.get(rng.random_range(0..shapes.len()))
        {
            let (angle, far) = (TAU * rng.random::<f64>(), 2.0 * near.radius * line.apart * between(rng, 0.9, 1.25));
            let (along, across) = (far * near.stretch.sqrt() * angle.cos(), far / near.stretch.sqrt() * angle.sin());
            let (sin, cos) = near.angle.sin_cos();
            (x, y) = (near.x + along * cos - across * sin, near.y + along * sin + across * cos);
        }
        if !(0.0..side).contains(&x) || !(0.0..side).contains(&y) {
            continue;
        }
        let mut shape = Shape::draw(line, x, y, rng);
        shape.angle = lie.at(x, y) + line.lie * normal(rng);
        let (sin, cos) = shape.angle.sin_cos();
        let root = shape.stretch.sqrt();
        let close = |other: &Shape| {
            let (dx, dy) = (other.x - shape.x, other.y - shape.y);
            let far = ((dx * cos + dy * sin) / root).hypot((dy * cos - dx * sin) * root);
            far < line.apart * (other.radius + shape.radius)
        };
        if !shapes.iter().any(close) {
            shapes.push(shape);
        }
    }
    for shape in &mut shapes {
        shape.radius *= line.grown;
    }
    shapes
}
