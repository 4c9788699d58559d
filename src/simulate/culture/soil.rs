//! What makes a culture harder to read than its cells are: dirt on other planes than theirs, and cells that round up on others.
//!
//! Dirt is no painted ring: it has a phase of its own and is seen through the same transfer function, far out of focus. Light that
//! comes through both planes is the product of what each of them leaves of it.

use super::draw::relief;
use super::line::Line;
use super::shape::Shape;
use super::{Bench, DIAMETER_PX, between, chance, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// Dirt darkens and brightens light at most to these multiples of it.
const DIMMEST: f32 = 0.15;
const BRIGHTEST: f32 = 4.0;

/// Drops, bubbles and stains, up to several cells wide, on one other plane.
pub(super) fn stain(light: &mut [f32], bench: &Bench, depth_of_field_um: f64, rng: &mut ChaCha8Rng) {
    if chance(rng, 0.25) {
        return;
    }
    let (width, height) = (bench.width(), bench.height());
    let mut phase = vec![0.0_f32; width * height];
    for _ in 0..rng.random_range(1..4_u32) {
        let (x, y) = (width as f64 * rng.random::<f64>(), height as f64 * rng.random::<f64>());
        let radius = DIAMETER_PX * scaled(rng, 0.4, 3.0);
        let is_lens = chance(rng, 0.4);
        let rad = if is_lens { scaled(rng, 2.0, 14.0) } else { scaled(rng, 0.2, 2.0) };
        let rad = if chance(rng, 0.5) { rad } else { -rad };
        let soft = scaled(rng, 6.0, 40.0);
        let finest = scaled(rng, 1.0, 8.0);
        let grain: Vec<f32> = relief(width, bench.optics().pixel_um, bench, finest, rng).collect();
        let grainy = if chance(rng, 0.5) { scaled(rng, 0.05, 0.6) } else { 0.0 };
        let (stretch, angle) = (scaled(rng, 1.0, 1.6), TAU * rng.random::<f64>());
        let (sin, cos) = angle.sin_cos();
        for (at, (phase, grain)) in phase.iter_mut().zip(grain).enumerate() {
            let (dx, dy) = ((at % width) as f64 - x, (at / width) as f64 - y);
            let far = ((dx * cos + dy * sin) / stretch).hypot(dy * cos - dx * sin) / radius;
            let thick = if is_lens {
                (1.0 - far * far).max(0.0).sqrt()
            } else {
                (1.0 + grainy * f64::from(grain) * (1.0 - far)) / (1.0 + (soft * (far - 1.0)).exp())
            };
            *phase += (rad * thick) as f32;
        }
    }
    let depths = scaled(rng, 2.0, 16.0);
    let defocus_um = depth_of_field_um * if chance(rng, 0.5) { depths } else { -depths };
    let left = bench.image(&phase, defocus_um);
    light.iter_mut().zip(left).for_each(|(light, left)| *light *= left.clamp(DIMMEST, BRIGHTEST));
}

/// Draws some cells together, with what was flat left around them, and lets others round up at the rim of their neighbours: a ball
/// on a flat cell is its body or another cell, and which of them shows in whether the flat one has a body of its own.
pub(super) fn round_up(shapes: &mut Vec<Shape>, line: &Line, rng: &mut ChaCha8Rng) {
    if chance(rng, 0.4) {
        return;
    }
    let (together, beside) = (between(rng, 0.0, 0.6), between(rng, 0.05, 0.4));
    let mut round = Vec::new();
    for shape in shapes.iter_mut().filter(|shape| !shape.is_round) {
        if chance(rng, together) {
            shape.draw_together(line, rng);
        }
        if chance(rng, beside) {
            let (angle, far) = (TAU * rng.random::<f64>(), shape.radius * between(rng, 0.6, 1.4));
            round.push(Shape::round(line, shape.x + far * angle.cos(), shape.y + far * angle.sin(), rng));
        }
    }
    shapes.append(&mut round);
}
