//! Where the cells of a culture lie and what phase they give.
//!
//! A cell is a closed curve, the larger of a bumpy ellipse and its arms; inside, `depth` falls from 1 in the middle to 0
//! on the rim. Where two cells meet, a pixel belongs to the one that is deeper there, and a groove of a thickness drawn by
//! chance runs between them.

use super::super::optics::{Bench, Complex32};
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
}

/// What the cells of one culture have in common.
struct Line {
    /// Shares of round, spindle-shaped and armed cells; the others are spread.
    round: f64,
    spindle: f64,
    armed: f64,
    /// Phase of the flat part, of the hump over the nucleus, of a round cell, rad.
    flat_rad: f64,
    hump_rad: f64,
    round_rad: f64,
    nucleus_rad: f64,
    nucleolus_rad: f64,
    granule_rad: f64,
    granules: f64,
    /// How lumpy outlines are.
    bumps: f64,
    /// Spread of the logarithm of the diameter.
    sizes: f64,
    /// Width of the groove between neighbours, in diameters; and how much of the thickness it takes.
    groove: f64,
    groove_depth: f64,
    /// How closely cells may come: 0 they overlap at will, 1 they hardly touch.
    apart: f64,
    /// Steepness of the rim: small is a cliff, 1 a lens.
    rim: f64,
}

impl Line {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let kind = rng.random_range(0..5_u32);
        let (round, spindle, armed) = match kind {
            0 => (0.85, 0.05, 0.05),
            1 => (0.08, 0.6, 0.15),
            2 => (0.08, 0.1, 0.7),
            3 => (0.05, 0.05, 0.05),
            _ => (0.25, 0.25, 0.25),
        };
        let flat_rad = scaled(rng, 0.25, 1.6);
        Self {
            round,
            spindle,
            armed,
            flat_rad,
            hump_rad: flat_rad * between(rng, 0.2, 1.8),
            round_rad: scaled(rng, 1.5, 8.0),
            nucleus_rad: flat_rad * between(rng, -0.3, 0.5),
            nucleolus_rad: between(rng, 0.1, 0.7),
            granule_rad: scaled(rng, 0.04, 0.6),
            granules: scaled(rng, 4.0, 90.0),
            bumps: between(rng, 0.02, 0.16),
            sizes: between(rng, 0.08, 0.35),
            groove: scaled(rng, 0.02, 0.12),
            groove_depth: between(rng, 0.15, 0.9),
            apart: if chance(rng, 0.6) { between(rng, 0.6, 1.0) } else { between(rng, 0.2, 0.6) },
            rim: between(rng, 0.2, 0.8),
        }
    }
}

/// A tapering arm: direction, length and width at its root in radii, bend.
struct Arm {
    angle: f64,
    length: f64,
    width: f64,
    bend: f64,
}

struct Shape {
    x: f64,
    y: f64,
    /// Radius of a disc as large as the body, px.
    radius: f64,
    stretch: f64,
    angle: f64,
    bumps: Vec<(f64, f64)>,
    arms: Vec<Arm>,
    is_round: bool,
    nucleus: (f64, f64, f64),
}

impl Shape {
    fn draw(line: &Line, x: f64, y: f64, rng: &mut ChaCha8Rng) -> Self {
        let mut radius = DIAMETER_PX / 2.0 * (line.sizes * normal(rng)).exp();
        let kind = rng.random::<f64>();
        let is_round = kind < line.round;
        let is_spindle = !is_round && kind < line.round + line.spindle;
        let has_arms = !is_round && !is_spindle && kind < line.round + line.spindle + line.armed;
        let stretch = if is_round {
            between(rng, 1.0, 1.25)
        } else if is_spindle {
            between(rng, 1.8, 4.5)
        } else {
            between(rng, 1.0, 1.9)
        };
        if is_round {
            radius *= between(rng, 0.55, 0.85);
        }
        let bumpy = if is_round { 0.3 * line.bumps } else { line.bumps };
        let bumps = (2..7).map(|n| (bumpy * normal(rng) / f64::from(n).sqrt(), TAU * rng.random::<f64>())).collect();
        let count = if has_arms { rng.random_range(1..6_u32) } else { u32::from(is_spindle && chance(rng, 0.5)) };
        let arms = (0..count)
            .map(|_| Arm {
                angle: TAU * rng.random::<f64>(),
                length: between(rng, 1.2, 3.0),
                width: between(rng, 0.15, 0.5),
                bend: 0.3 * normal(rng),
            })
            .collect();
        let nucleus = (0.25 * normal(rng), 0.15 * normal(rng), between(rng, 0.25, 0.45));
        Self { x, y, radius, stretch, angle: TAU * rng.random::<f64>(), bumps, arms, is_round, nucleus }
    }

    /// How far the shape may reach, px.
    fn reach(&self) -> f64 {
        let arms = self.arms.iter().fold(0.0_f64, |reach, arm| reach.max(arm.length + arm.width));
        self.radius * (1.5 * self.stretch.sqrt()).max(arms + 0.2)
    }

    /// Depth below the rim at a place relative to the centre, px: 1 in the middle, 0 on the rim, negative outside.
    fn depth(&self, dx: f64, dy: f64) -> f64 {
        let (sin, cos) = self.angle.sin_cos();
        let (u, v) = ((dx * cos + dy * sin) / self.radius, (dy * cos - dx * sin) / self.radius);
        let root = self.stretch.sqrt();
        let (a, b) = (u / root, v * root);
        let direction = b.atan2(a);
        let bulge: f64 =
            (2..).zip(&self.bumps).map(|(n, (size, at))| size * (f64::from(n) * direction + at).cos()).sum();
        let body = 1.0 - a.hypot(b) / (1.0 + bulge).max(0.3);
        self.arms.iter().fold(body, |deepest, arm| {
            let (sin, cos) = arm.angle.sin_cos();
            let (along, across) = (u * cos + v * sin, v * cos - u * sin);
            if along < 0.0 || along > arm.length {
                return deepest;
            }
            let part = along / arm.length;
            let width = arm.width * (1.0 - part).sqrt();
            let off = (across - arm.bend * part * part).abs();
            deepest.max(0.5 * width * (1.0 - off / width.max(1e-3)))
        })
    }
}

impl Canvas {
    pub(super) fn new(side: usize, pixel_um: f64) -> Self {
        Self { side, pixel_um, phase: vec![0.0; side * side], labels: vec![0; side * side] }
    }

    /// A random relief, fine or coarse, weak or strong.
    pub(super) fn substrate(&mut self, bench: &Bench, rng: &mut ChaCha8Rng) {
        let n = self.side * self.side;
        let strength = if chance(rng, 0.25) { scaled(rng, 0.03, 0.2) } else { scaled(rng, 0.002, 0.04) } as f32;
        let corner = (scaled(rng, 0.15, 3.0) / (DIAMETER_PX * self.pixel_um)) as f32;
        let mut relief: Vec<Complex32> = (0..n).map(|_| Complex32::new(StandardNormal.sample(rng), 0.0)).collect();
        bench.filter(&mut relief, &|k| Complex32::new((1.0 + (k / corner).powi(2)).powi(-1) / n as f32, 0.0));
        let mean = relief.iter().map(|v| v.re).sum::<f32>() / n as f32;
        let square: f32 = relief.iter().map(|v| (v.re - mean).powi(2)).sum::<f32>() / n as f32;
        let scale = strength / square.max(1e-20).sqrt();
        for (phase, value) in self.phase.iter_mut().zip(&relief) {
            *phase += (value.re - mean) * scale;
        }
    }

    /// Cells of one line, sown until the drawn density is reached.
    pub(super) fn cells(&mut self, rng: &mut ChaCha8Rng) {
        let line = Line::draw(rng);
        let one = std::f64::consts::FRAC_PI_4 * DIAMETER_PX * DIAMETER_PX;
        let most = (self.side * self.side) as f64 / one;
        let wanted = if chance(rng, 0.06) { 0 } else { (most * scaled(rng, 0.02, 1.5)) as usize };
        let clustered = chance(rng, 0.5);
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
            let shape = Shape::draw(&line, x, y, rng);
            let close = |other: &Shape| {
                (other.x - shape.x).hypot(other.y - shape.y) < line.apart * 0.9 * (other.radius + shape.radius)
            };
            if (0.0..side).contains(&x) && (0.0..side).contains(&y) && !shapes.iter().any(close) {
                shapes.push(shape);
            }
        }
        self.lay(&line, &shapes, rng);
    }

    /// Gives every pixel to its deepest cell and adds the cells' phase.
    #[expect(
        clippy::indexing_slicing,
        reason = "pixels are clamped to the canvas, cells are numbered as they are laid"
    )]
    fn lay(&mut self, line: &Line, shapes: &[Shape], rng: &mut ChaCha8Rng) {
        let mut first = vec![f32::NEG_INFINITY; self.labels.len()];
        let mut second = vec![f32::NEG_INFINITY; self.labels.len()];
        for (shape, label) in shapes.iter().zip(1_u16..) {
            self.near((shape.x, shape.y), shape.reach(), |at, dx, dy, canvas| {
                let depth = shape.depth(dx, dy) as f32;
                if depth > first[at] {
                    second[at] = first[at];
                    first[at] = depth;
                    if depth > 0.0 {
                        canvas.labels[at] = label;
                    }
                } else if depth > second[at] {
                    second[at] = depth;
                }
            });
        }
        let groove = (line.groove * 2.0) as f32;
        for at in 0..self.labels.len() {
            let Some(shape) = (self.labels[at] as usize).checked_sub(1).and_then(|index| shapes.get(index)) else {
                continue;
            };
            let depth = first[at];
            let gap = (first[at] - second[at].max(-1.0)) / groove;
            let open = 1.0 - line.groove_depth as f32 * (-gap * gap).exp();
            let height = if shape.is_round {
                line.round_rad as f32 * (1.0 - (1.0 - depth).powi(2)).max(0.0).sqrt()
            } else {
                let flat = line.flat_rad as f32 * (depth / line.rim as f32).min(1.0).powf(0.7);
                flat + line.hump_rad as f32 * (1.3 * depth).min(1.0).powi(2)
            };
            self.phase[at] += height * open;
        }
        for (shape, label) in shapes.iter().zip(1_u16..) {
            self.organelles(line, shape, label, rng);
        }
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
            self.blob(centre, radius * size, line.nucleus_rad, label);
            for _ in 0..rng.random_range(0..4_u32) {
                let spread = 0.4 * radius * size;
                let at = (centre.0 + spread * normal(rng), centre.1 + spread * normal(rng));
                self.blob(at, radius * between(rng, 0.05, 0.11), line.nucleolus_rad, label);
            }
        }
        for _ in 0..(line.granules * rng.random::<f64>()) as usize {
            let (u, v) = (0.5 * normal(rng) * root, 0.5 * normal(rng) / root);
            let at = (shape.x + radius * (u * cos - v * sin), shape.y + radius * (u * sin + v * cos));
            let sign = if chance(rng, 0.8) { 1.0 } else { -1.0 };
            self.blob(at, radius * between(rng, 0.03, 0.09), sign * line.granule_rad * rng.random::<f64>(), label);
        }
    }

    /// Things that are no cells: specks, bubbles, fibres.
    pub(super) fn debris(&mut self, rng: &mut ChaCha8Rng) {
        let side = self.side as f64;
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
