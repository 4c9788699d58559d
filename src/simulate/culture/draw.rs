//! Where the cells of a culture lie and what phase they give.
//!
//! Where two cells meet, a pixel belongs to the one that is deeper there, and a groove or a ridge of a width drawn by chance
//! runs between them.

use super::super::optics::{Bench, Complex32};
use super::line::Line;
use super::shape::{Corners, Shape};
use super::{DIAMETER_PX, between, chance, normal, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use std::f64::consts::TAU;

/// Phase and labels, `[side, side]`.
#[derive(Debug)]
pub(super) struct Canvas {
    side: usize,
    pixel_um: f64,
    pub(super) phase: Vec<f32>,
    pub(super) labels: Vec<u16>,
    /// Where nuclei are, which have little grain.
    nuclei: Vec<bool>,
    /// Where the smooth margins of cells are, which have neither grain nor granules.
    margins: Vec<bool>,
}

impl Canvas {
    pub(super) fn new(side: usize, pixel_um: f64) -> Self {
        let n = side * side;
        Self {
            side,
            pixel_um,
            phase: vec![0.0; n],
            labels: vec![0; n],
            nuclei: vec![false; n],
            margins: vec![false; n],
        }
    }

    /// A random relief, fine or coarse, weak or strong, but never so strong that cells of `line` could not be told from it.
    pub(super) fn substrate(&mut self, line: &Line, bench: &Bench, rng: &mut ChaCha8Rng) {
        let strength = if chance(rng, 0.25) { scaled(rng, 0.03, 0.2) } else { scaled(rng, 0.002, 0.04) };
        let strength = strength.min(0.3 * line.flat_rad) as f32;
        let finest = scaled(rng, 0.15, 3.0);
        for (phase, value) in self.phase.iter_mut().zip(relief(self.side, self.pixel_um, bench, finest, rng)) {
            *phase += value * strength;
        }
    }

    /// The grain of what is inside cells, a `share` of what it may be.
    pub(super) fn grain(&mut self, share: f64, bench: &Bench, rng: &mut ChaCha8Rng) {
        if chance(rng, 0.3) {
            return;
        }
        let (strength, finest) = ((share * scaled(rng, 0.03, 0.4)) as f32, scaled(rng, 4.0, 14.0));
        let in_nucleus = between(rng, 0.0, 0.5) as f32;
        let relief = relief(self.side, self.pixel_um, bench, finest, rng);
        let places = self.labels.iter().zip(&self.nuclei).zip(&self.margins);
        for ((phase, value), ((label, is_nucleus), is_margin)) in self.phase.iter_mut().zip(relief).zip(places) {
            if *label > 0 && !is_margin {
                *phase += value * strength * if *is_nucleus { in_nucleus } else { 1.0 };
            }
        }
    }

    /// Cells of one line, sown until the drawn density is reached.
    pub(super) fn sown(&self, line: &Line, rng: &mut ChaCha8Rng) -> Vec<Shape> {
        let one = std::f64::consts::FRAC_PI_4 * DIAMETER_PX * DIAMETER_PX;
        let most = (self.side * self.side) as f64 / one;
        let share = if line.is_sheet { between(rng, 0.15, 1.3) } else { scaled(rng, 0.03, 1.5) };
        let wanted = if chance(rng, 0.05) { 0 } else { (most * share) as usize };
        let clustered = chance(rng, if line.is_sheet { 0.8 } else { 0.5 });
        let mut shapes: Vec<Shape> = Vec::new();
        for _ in 0..wanted * 6 {
            if shapes.len() >= wanted {
                break;
            }
            let side = self.side as f64;
            let (mut x, mut y) = (side * rng.random::<f64>(), side * rng.random::<f64>());
            if clustered && !shapes.is_empty() && chance(rng, 0.7) {
                let near = shapes.get(rng.random_range(0..shapes.len()));
                let (from_x, from_y) = near.map_or((x, y), |shape| (shape.x, shape.y));
                let (angle, far) = (TAU * rng.random::<f64>(), DIAMETER_PX * between(rng, 0.6, 1.2));
                (x, y) = (from_x + far * angle.cos(), from_y + far * angle.sin());
            }
            let shape = Shape::draw(line, x, y, rng);
            let close = |other: &Shape| {
                (other.x - shape.x).hypot(other.y - shape.y) < line.apart * 0.9 * (other.radius + shape.radius)
            };
            if (0.0..side).contains(&x) && (0.0..side).contains(&y) && !shapes.iter().any(close) {
                shapes.push(shape);
            }
        }
        for shape in &mut shapes {
            shape.radius *= line.grown;
        }
        shapes
    }

    /// Gives every pixel to its deepest cell and adds the cells' phase.
    #[expect(
        clippy::indexing_slicing,
        reason = "pixels are clamped to the canvas, cells are numbered as they are laid"
    )]
    pub(super) fn lay(&mut self, line: &Line, shapes: &[Shape], bench: &Bench, rng: &mut ChaCha8Rng) {
        let mut first = vec![f32::NEG_INFINITY; self.labels.len()];
        let mut second = vec![f32::NEG_INFINITY; self.labels.len()];
        let mut below = vec![0_u16; self.labels.len()];
        for (shape, label) in shapes.iter().zip(1_u16..) {
            self.near((shape.x, shape.y), shape.reach(), |at, dx, dy, canvas| {
                let depth = shape.depth(dx, dy) as f32;
                if depth > first[at] {
                    (second[at], below[at]) = (first[at], canvas.labels[at]);
                    first[at] = depth;
                    if depth > 0.0 {
                        canvas.labels[at] = label;
                    }
                } else if depth > second[at] {
                    (second[at], below[at]) = (depth, label);
                }
            });
        }
        let groove = (line.groove * 2.0) as f32;
        let depths = self.seams(line, bench, rng);
        let number = |label: u16| shapes.get((label as usize).checked_sub(1)?);
        for at in 0..self.labels.len() {
            let Some(shape) = number(self.labels[at]) else { continue };
            let place = |shape: &Shape| ((at % self.side) as f64 - shape.x, (at / self.side) as f64 - shape.y);
            self.margins[at] = f64::from(first[at]) < line.margin;
            let gap = (first[at] - second[at].max(-1.0)) / groove;
            let groove_depth = depths.get(at).map_or(line.groove_depth as f32, |depth| *depth);
            let seam = groove_depth * (-gap * gap).exp();
            let thick = shape.phase_rad(line, place(shape), f64::from(first[at])) as f32;
            self.phase[at] += (1.0 - seam) * thick - if second[at] > 0.0 { seam * line.groove_rad as f32 } else { 0.0 };
            if let Some(under) = number(below[at]).filter(|_| line.under > 0.0 && second[at] > 0.0) {
                self.phase[at] += (line.under * under.phase_rad(line, place(under), f64::from(second[at]))) as f32;
            }
        }
        for (shape, label) in shapes.iter().zip(1_u16..) {
            self.organelles(line, shape, label, rng);
        }
    }

    /// How deep the groove between neighbours is at each place, in the thickness of a cell; empty where it is the same everywhere.
    fn seams(&self, line: &Line, bench: &Bench, rng: &mut ChaCha8Rng) -> Vec<f32> {
        if line.uneven == 0.0 {
            return Vec::new();
        }
        let finest = scaled(rng, 0.5, 4.0);
        let (depth, uneven) = (line.groove_depth as f32, line.uneven as f32);
        let unevenness = relief(self.side, self.pixel_um, bench, finest, rng);
        unevenness.map(|value| (depth * (1.0 + uneven * value)).clamp(-1.0, 1.0)).collect()
    }

    fn organelles(&mut self, line: &Line, shape: &Shape, label: u16, rng: &mut ChaCha8Rng) {
        let radius = shape.radius;
        let (sin, cos) = shape.angle.sin_cos();
        let (along, across, size) = shape.nucleus;
        let root = shape.stretch.sqrt();
        let centre = (
            shape.x + radius * (along * root * cos - across * sin),
            shape.y + radius * (along * root * sin + across * cos),
        );
        if !shape.is_round {
            self.disc(centre, radius * size, line.nucleus_rad, label);
            for _ in 0..rng.random_range(0..5_u32) {
                let spread = 0.4 * radius * size;
                let at = (centre.0 + spread * normal(rng), centre.1 + spread * normal(rng));
                self.blob(at, radius * between(rng, 0.05, 0.13), line.nucleolus_rad, label);
            }
        }
        // Most granules lie round the nucleus, the others anywhere.
        for _ in 0..(line.granules * rng.random::<f64>()) as usize {
            let at = if chance(rng, 0.6) {
                let (angle, far) = (TAU * rng.random::<f64>(), radius * (size + 0.2 * normal(rng).abs()));
                (centre.0 + far * angle.cos(), centre.1 + far * angle.sin())
            } else {
                let (u, v) = (0.5 * normal(rng) * root, 0.5 * normal(rng) / root);
                (shape.x + radius * (u * cos - v * sin), shape.y + radius * (u * sin + v * cos))
            };
            let sign = if chance(rng, 0.8) { 1.0 } else { -1.0 };
            if self.is_margin(at) {
                continue;
            }
            self.blob(at, radius * between(rng, 0.03, 0.09), sign * line.granule_rad * rng.random::<f64>(), label);
        }
        for _ in 0..(line.vacuoles * rng.random::<f64>()) as usize {
            let (angle, far) = (TAU * rng.random::<f64>(), radius * between(rng, 0.0, 0.8));
            let at = (shape.x + far * angle.cos(), shape.y + far * angle.sin());
            self.blob(at, radius * between(rng, 0.07, 0.2), -line.vacuole_rad * rng.random::<f64>(), label);
        }
    }

    fn is_margin(&self, (x, y): (f64, f64)) -> bool {
        let side = self.side as f64;
        let is_in = (0.0..side).contains(&x) && (0.0..side).contains(&y);
        is_in && self.margins.get(y as usize * self.side + x as usize).is_some_and(|is_margin| *is_margin)
    }

    /// Things that are no cells: specks, and what lies far out of focus.
    pub(super) fn debris(&mut self, rng: &mut ChaCha8Rng) {
        let side = self.side as f64;
        let rings = if chance(rng, 0.3) { rng.random_range(1..5_u32) } else { 0 };
        for _ in 0..rings {
            let at = (side * rng.random::<f64>(), side * rng.random::<f64>());
            let radius = DIAMETER_PX * scaled(rng, 0.2, 2.0);
            let (strength, waves) = (scaled(rng, 0.05, 0.8), between(rng, 1.0, 4.0));
            self.near(at, 1.3 * radius, |index, dx, dy, canvas| {
                if let Some(phase) = canvas.phase.get_mut(index) {
                    let far = dx.hypot(dy) / radius;
                    *phase += (strength * (TAU * waves * far * far).cos() / (1.0 + (12.0 * (far - 1.0)).exp())) as f32;
                }
            });
        }
        let flakes = if chance(rng, 0.3) { rng.random_range(1..12_u32) } else { 0 };
        for _ in 0..flakes {
            self.flake(rng);
        }
        let specks = if chance(rng, 0.6) { rng.random_range(0..60_u32) } else { 0 };
        let strength = scaled(rng, 0.2, 3.0);
        for _ in 0..specks {
            let at = (side * rng.random::<f64>(), side * rng.random::<f64>());
            let radius = DIAMETER_PX * scaled(rng, 0.03, 0.14);
            let peak = strength * between(rng, 0.3, 1.0);
            self.near(at, 2.2 * radius, |index, dx, dy, canvas| {
                if let Some(phase) = canvas.phase.get_mut(index) {
                    *phase += (peak * (-(dx * dx + dy * dy) / (radius * radius)).exp()) as f32;
                }
            });
        }
    }

    /// A thin, jagged leaf of dirt on bare substrate.
    fn flake(&mut self, rng: &mut ChaCha8Rng) {
        let at = (self.side as f64 * rng.random::<f64>(), self.side as f64 * rng.random::<f64>());
        let radius = DIAMETER_PX * scaled(rng, 0.08, 0.4);
        let (rad, corners) = (scaled(rng, 0.04, 0.3), Corners::draw(rng));
        self.near(at, radius * corners.farthest(), |index, dx, dy, canvas| {
            if let (Some(phase), Some(0)) = (canvas.phase.get_mut(index), canvas.labels.get(index))
                && dx.hypot(dy) < radius * corners.radius(dy.atan2(dx))
            {
                *phase += rad as f32;
            }
        });
    }

    /// A disc with a soft rim in the cell `label`.
    fn disc(&mut self, at: (f64, f64), radius: f64, height: f64, label: u16) {
        self.near(at, 1.5 * radius, |index, dx, dy, canvas| {
            if let (Some(phase), Some(&here)) = (canvas.phase.get_mut(index), canvas.labels.get(index))
                && here == label
            {
                if let Some(nucleus) = canvas.nuclei.get_mut(index) {
                    *nucleus |= dx.hypot(dy) < radius;
                }
                *phase += (height / (1.0 + (10.0 * (dx.hypot(dy) / radius - 1.0)).exp())) as f32;
            }
        });
    }

    /// A round blob in the cell `label`.
    fn blob(&mut self, at: (f64, f64), radius: f64, peak: f64, label: u16) {
        let steep = -1.0 / (radius * radius);
        self.near(at, 2.2 * radius, |index, dx, dy, canvas| {
            if let (Some(phase), Some(&here)) = (canvas.phase.get_mut(index), canvas.labels.get(index))
                && here == label
            {
                *phase += (peak * ((dx * dx + dy * dy) * steep).exp()) as f32;
            }
        });
    }

    /// Calls `each(index, dx, dy, canvas)` for every pixel within a square of half side `reach` px.
    fn near(&mut self, at: (f64, f64), reach: f64, mut each: impl FnMut(usize, f64, f64, &mut Self)) {
        let range = |c: f64| {
            let low = (c - reach).ceil().clamp(0.0, self.side as f64) as usize;
            let high = ((c + reach).floor() + 1.0).clamp(0.0, self.side as f64) as usize;
            low..high
        };
        let (columns, rows) = (range(at.0), range(at.1));
        for y in rows {
            for x in columns.clone() {
                each(y * self.side + x, x as f64 - at.0, y as f64 - at.1, self);
            }
        }
    }
}

/// A random relief of deviation 1 with up to `finest` waves in a diameter.
pub(super) fn relief(
    side: usize,
    pixel_um: f64,
    bench: &Bench,
    finest: f64,
    rng: &mut ChaCha8Rng,
) -> impl Iterator<Item = f32> {
    let n = side * side;
    let corner = (finest / (DIAMETER_PX * pixel_um)) as f32;
    let mut relief: Vec<Complex32> = (0..n).map(|_| Complex32::new(StandardNormal.sample(rng), 0.0)).collect();
    bench.filter(&mut relief, &|k| Complex32::new((1.0 + (k / corner).powi(2)).powi(-1) / n as f32, 0.0));
    let mean = relief.iter().map(|v| v.re).sum::<f32>() / n as f32;
    let square: f32 = relief.iter().map(|v| (v.re - mean).powi(2)).sum::<f32>() / n as f32;
    let scale = 1.0 / square.max(1e-20).sqrt();
    relief.into_iter().map(move |value| (value.re - mean) * scale)
}
