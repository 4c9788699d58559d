//! What the cells of a culture look like: a line's habits, and one cell's outline and thickness.
//!
//! A cell is a closed curve: the largest of its body, which is a bumpy ellipse or has corners, a fan to one side of it and its
//! arms. Inside, `depth` falls from 1 in the middle to 0 on the rim. Its thickness is a flat part that ends at the rim, a thin
//! line along the rim, ruffles near it, and a dome over the nucleus whose outline is its own.

mod arm;
mod corners;

use super::{DIAMETER_PX, between, chance, normal, scaled};
use arm::Arm;
pub(super) use corners::Corners;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// What the cells of one culture have in common.
#[derive(Debug)]
pub(super) struct Line {
    /// Shares of round, spindle-shaped, armed, fan-shaped and cornered cells; the others are spread.
    kinds: [f64; 5],
    /// Whether cells grow side by side and leave no gaps.
    pub(super) is_sheet: bool,
    /// Phase of the flat part, of the dome over the nucleus, of a round cell, rad.
    pub(super) flat_rad: f64,
    dome_rad: f64,
    round_rad: f64,
    /// Spread of the logarithm of these among cells.
    thicknesses: f64,
    /// Share of cells, not round, whose dome is as thick as a round cell.
    raised: f64,
    /// Phase of ruffles, rad; 0 for a line that has none.
    ruffle_rad: f64,
    pub(super) nucleus_rad: f64,
    pub(super) nucleolus_rad: f64,
    pub(super) granule_rad: f64,
    pub(super) granules: f64,
    /// Most bubbles a cell holds, and how much thinner it is there, rad.
    pub(super) vacuoles: f64,
    pub(super) vacuole_rad: f64,
    /// How lumpy and how jagged outlines are.
    bumps: f64,
    jags: f64,
    /// Phase of a thin line along the rim, rad; 0 for a line of cells that has none.
    edge_rad: f64,
    /// Spread of the logarithm of the diameter.
    sizes: f64,
    /// Width of the line between neighbours, in radii, and how much thinner cells are there; negative: thicker.
    pub(super) groove: f64,
    pub(super) groove_depth: f64,
    /// How closely cells may come: 0 they overlap at will, 1 they hardly touch.
    pub(super) apart: f64,
    /// How much wider cells become once they are sown: in a sheet they fill it.
    pub(super) grown: f64,
    /// Steepness of the rim: small is a cliff, 1 a lens.
    rim: f64,
    /// How much of a neighbour shows where it reaches under a cell, 0..1.
    pub(super) under: f64,
    /// How unlike itself the line between neighbours is from place to place: 0 nowhere, above 1 it becomes a ridge here and a groove there.
    pub(super) uneven: f64,
    /// What that line is deep beyond a share of its cell's thickness, rad.
    pub(super) groove_rad: f64,
    /// How much of a culture's grain its cells have.
    pub(super) grain: f64,
    /// Share of spindles and of armed cells that run out into long tails; 0 for a line that has none.
    tails: f64,
    /// How unlike neighbours lie, rad; only in colonies.
    pub(super) lie: f64,
}

impl Line {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let kind = rng.random_range(0..16_u32);
        let kinds = match kind {
            0 => [0.85, 0.05, 0.05, 0.0, 0.0],
            1 => [0.08, 0.6, 0.15, 0.0, 0.0],
            2 => [0.08, 0.1, 0.7, 0.05, 0.0],
            3..6 => [0.04, 0.04, 0.03, 0.02, 0.0],
            6 => [0.05, 0.05, 0.1, 0.75, 0.0],
            7 => [0.1, 0.2, 0.15, 0.35, 0.0],
            8 | 9 => [0.25, 0.25, 0.25, 0.0, 0.0],
            10 | 11 => [0.06, 0.04, 0.05, 0.05, 0.7],
            12 => [0.3, 0.1, 0.1, 0.0, 0.4],
            13 => [0.03, 0.03, 0.03, 0.02, 0.8],
            _ => [0.1, 0.15, 0.15, 0.15, 0.3],
        };
        let is_cornered = kind >= 10;
        let is_sheet = matches!(kind, 3..6 | 13);
        let is_flat = is_cornered && chance(rng, 0.6);
        let is_granular = is_cornered && chance(rng, 0.4);
        let flat_rad = if is_flat { scaled(rng, 0.08, 0.9) } else { scaled(rng, 0.15, 1.6) };
        Self {
            kinds,
            is_sheet,
            flat_rad,
            dome_rad: if chance(rng, 0.4) { scaled(rng, 0.8, 3.5) } else { flat_rad * between(rng, 0.1, 1.5) },
            round_rad: scaled(rng, 1.5, 8.0),
            thicknesses: between(rng, 0.0, 0.35),
            raised: if chance(rng, 0.4) { between(rng, 0.05, 0.5) } else { 0.02 },
            ruffle_rad: if chance(rng, if kind == 6 { 0.7 } else { 0.25 }) { scaled(rng, 0.3, 1.6) } else { 0.0 },
            nucleus_rad: flat_rad * between(rng, -0.4, 0.6),
            nucleolus_rad: between(rng, 0.1, 0.8),
            granule_rad: scaled(rng, 0.04, 0.6),
            granules: if is_granular { scaled(rng, 60.0, 400.0) } else { scaled(rng, 4.0, 90.0) },
            vacuoles: if is_cornered && chance(rng, 0.3) { between(rng, 2.0, 16.0) } else { 0.0 },
            vacuole_rad: flat_rad * between(rng, 0.3, 0.9),
            bumps: between(rng, 0.02, 0.16),
            jags: if is_cornered && chance(rng, 0.4) { between(rng, 0.02, 0.12) } else { 0.0 },
            edge_rad: if is_cornered && chance(rng, 0.5) { scaled(rng, 0.08, 0.7) } else { 0.0 },
            sizes: between(rng, 0.08, 0.42),
            groove: scaled(rng, 0.02, 0.14),
            groove_depth: if chance(rng, 0.25) { -between(rng, 0.1, 0.6) } else { between(rng, 0.1, 0.9) },
            apart: if is_sheet || chance(rng, 0.6) { between(rng, 0.6, 1.0) } else { between(rng, 0.2, 0.6) },
            grown: if is_sheet || chance(rng, 0.2) { between(rng, 1.15, 1.6) } else { 1.0 },
            rim: between(rng, 0.15, 0.8),
            under: 0.0,
            uneven: 0.0,
            groove_rad: 0.0,
            grain: 1.0,
            tails: 0.0,
            lie: 0.15,
        }
    }

    /// Cells that grow into colonies: flat, pale, and each against the next.
    pub(super) fn of_colony(rng: &mut ChaCha8Rng) -> Self {
        let long = if chance(rng, 0.3) { between(rng, 0.3, 0.9) } else { 0.05 };
        let cornered = between(rng, 0.0, 0.6) * (1.0 - long);
        let armed = if chance(rng, 0.25) { 0.3 * (1.0 - long) } else { 0.03 };
        let flat_rad = scaled(rng, 0.06, 0.9);
        Self {
            kinds: [scaled(rng, 0.005, 0.1), long, armed, 0.04, cornered],
            is_sheet: true,
            flat_rad,
            dome_rad: if chance(rng, 0.5) { flat_rad * between(rng, 0.0, 1.0) } else { scaled(rng, 0.3, 2.0) },
            round_rad: scaled(rng, 1.0, 5.0),
            thicknesses: between(rng, 0.0, 0.25),
            raised: if chance(rng, 0.3) { between(rng, 0.02, 0.3) } else { 0.01 },
            ruffle_rad: if chance(rng, 0.3) { scaled(rng, 0.1, 0.9) } else { 0.0 },
            nucleus_rad: flat_rad * between(rng, -0.5, 0.5),
            nucleolus_rad: scaled(rng, 0.15, 1.6),
            granule_rad: scaled(rng, 0.08, 0.8),
            granules: scaled(rng, 6.0, 200.0),
            vacuoles: if chance(rng, 0.2) { between(rng, 2.0, 16.0) } else { 0.0 },
            edge_rad: if chance(rng, 0.6) { scaled(rng, 0.05, 0.5) } else { 0.0 },
            sizes: between(rng, 0.1, 0.4),
            groove: scaled(rng, 0.02, 0.1),
            groove_depth: if chance(rng, 0.4) { -between(rng, 0.1, 0.8) } else { between(rng, 0.1, 0.9) },
            apart: between(rng, 0.72, 0.92),
            grown: between(rng, 1.2, 1.7),
            rim: between(rng, 0.08, 0.6),
            under: if chance(rng, 0.6) { scaled(rng, 0.05, 1.0) } else { 0.0 },
            uneven: between(rng, 0.0, 1.2),
            groove_rad: scaled(rng, 0.03, 0.6),
            grain: scaled(rng, 0.05, 0.7),
            ..Self::draw(rng)
        }
    }

    /// Fibroblasts: long cells, some with a lamella, that run out into thin tails over and along their neighbours.
    pub(super) fn of_fibroblasts(rng: &mut ChaCha8Rng) -> Self {
        let fanned = between(rng, 0.02, 0.25);
        let flat_rad = scaled(rng, 0.1, 1.2);
        Self {
            kinds: [scaled(rng, 0.01, 0.1), between(rng, 0.25, 0.5), between(rng, 0.1, 0.35), fanned, 0.08],
            is_sheet: true,
            flat_rad,
            dome_rad: if chance(rng, 0.6) { scaled(rng, 0.4, 3.0) } else { flat_rad * between(rng, 0.0, 1.0) },
            raised: if chance(rng, 0.5) { between(rng, 0.05, 0.4) } else { 0.01 },
            granule_rad: scaled(rng, 0.1, 1.0),
            granules: scaled(rng, 6.0, 120.0),
            nucleolus_rad: scaled(rng, 0.15, 1.2),
            thicknesses: between(rng, 0.0, 0.4),
            sizes: between(rng, 0.15, 0.4),
            jags: 0.0,
            apart: between(rng, 0.65, 1.15),
            grown: scaled(rng, 0.9, 1.7),
            rim: between(rng, 0.08, 0.5),
            tails: between(rng, 0.4, 1.0),
            lie: scaled(rng, 0.1, 1.5),
            ..Self::of_colony(rng)
        }
    }

    /// Gives its cells ruffled rims.
    pub(super) fn ruffle(&mut self, rng: &mut ChaCha8Rng) {
        self.ruffle_rad = scaled(rng, 0.3, 2.0);
    }
}

/// A bumpy disc beside the body, in radii, and the bumps of its rim.
#[derive(Debug)]
struct Fan {
    x: f64,
    y: f64,
    radius: f64,
    bumps: Vec<(f64, f64)>,
}

/// One cell.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Radius of a disc as large as the body, px.
    pub(super) radius: f64,
    pub(super) stretch: f64,
    pub(super) angle: f64,
    bumps: Vec<(f64, f64)>,
    jags: Vec<(f64, f64)>,
    corners: Option<Corners>,
    arms: Vec<Arm>,
    fan: Option<Fan>,
    pub(super) is_round: bool,
    /// Where the nucleus lies along and across the cell, and its radius, in radii.
    pub(super) nucleus: (f64, f64, f64),
    /// How much thicker than its line's usual cell.
    thickness: f64,
    /// Phase of the dome, rad; its radius in radii and its stretch.
    dome: (f64, f64, f64),
    /// Where along the rim there are ruffles.
    ruffles: Vec<(f64, f64)>,
}

/// Jags are waves round the rim from this many on.
const FIRST_JAG: u32 = 8;

/// Waves round a circle: size falls with frequency.
fn waves(rng: &mut ChaCha8Rng, frequencies: std::ops::Range<u32>, size: f64) -> Vec<(f64, f64)> {
    frequencies.map(|n| (size * normal(rng) / f64::from(n).sqrt(), TAU * rng.random::<f64>())).collect()
}

fn along(waves: &[(f64, f64)], first: u32, direction: f64) -> f64 {
    (first..).zip(waves).map(|(n, (size, at))| size * (f64::from(n) * direction + at).cos()).sum()
}

impl Shape {
    /// A cell of `line`.
    pub(super) fn draw(line: &Line, x: f64, y: f64, rng: &mut ChaCha8Rng) -> Self {
        Self::of_kind(line.kinds, line, x, y, rng)
    }

    /// A cell of `line` that has rounded up, as before it divides.
    pub(super) fn round(line: &Line, x: f64, y: f64, rng: &mut ChaCha8Rng) -> Self {
        Self::of_kind([1.0, 0.0, 0.0, 0.0, 0.0], line, x, y, rng)
    }

    /// Draws the body of a spread cell together to a ball, anywhere in it, while its flat part stays.
    pub(super) fn draw_together(&mut self, line: &Line, rng: &mut ChaCha8Rng) {
        let (along, across, size) = (0.6 * normal(rng), 0.4 * normal(rng), between(rng, 0.35, 0.7));
        self.nucleus = (along, across, 0.6 * size);
        self.dome = (line.round_rad * between(rng, 0.5, 1.2), size, between(rng, 1.0, 1.4));
    }

    fn of_kind(kinds: [f64; 5], line: &Line, x: f64, y: f64, rng: &mut ChaCha8Rng) -> Self {
        let mut radius = DIAMETER_PX / 2.0 * (line.sizes * normal(rng)).exp();
        let mut kind = rng.random::<f64>();
        let [is_round, is_spindle, has_arms, has_fan, has_corners] = kinds.map(|share| {
            let is_it = (0.0..share).contains(&kind);
            kind -= share;
            is_it
        });
        let stretch = if is_round {
            between(rng, 1.0, 1.25)
        } else if is_spindle || (has_fan && chance(rng, 0.5)) {
            between(rng, 1.8, 4.5)
        } else {
            between(rng, 1.0, 1.9)
        };
        if is_round {
            radius *= between(rng, 0.55, 0.85);
        } else if has_fan {
            radius *= between(rng, 0.55, 0.8);
        }
        let bumpy = if is_round { 0.3 * line.bumps } else { line.bumps };
        let count = if has_arms { rng.random_range(1..6_u32) } else { u32::from(is_spindle && chance(rng, 0.5)) };
        let fan = |rng: &mut ChaCha8Rng| {
            let (angle, far) = (TAU * rng.random::<f64>(), between(rng, 0.2, 1.1));
            let bumpy = between(rng, 0.05, 0.25);
            let bumps = waves(rng, 2..14, bumpy);
            Fan { x: far * angle.cos(), y: far * angle.sin(), radius: between(rng, 0.8, 1.5), bumps }
        };
        let has_tails = line.tails > 0.0 && (is_spindle || has_arms) && chance(rng, line.tails);
        let arms = |rng: &mut ChaCha8Rng| {
            let mut arms: Vec<Arm> = (0..count).map(|_| Arm::draw(rng)).collect();
            if has_tails {
                arms.extend([0.0, TAU / 2.0].map(|end| Arm::tail(stretch.sqrt(), end, rng)));
            }
            arms
        };
        let rad = if chance(rng, line.raised) { line.round_rad } else { line.dome_rad };
        let (dome_radius, dome_stretch) =
            if has_fan { (0.9, stretch) } else { (between(rng, 0.4, 0.8), stretch.sqrt()) };
        Self {
            x,
            y,
            radius,
            stretch,
            angle: TAU * rng.random::<f64>(),
            bumps: waves(rng, 2..7, bumpy),
            jags: if is_round || line.jags == 0.0 { Vec::new() } else { waves(rng, FIRST_JAG..22, line.jags) },
            corners: has_corners.then(|| Corners::draw(rng)),
            arms: arms(rng),
            fan: has_fan.then(|| fan(rng)),
            is_round,
            nucleus: (0.25 * normal(rng), 0.15 * normal(rng), between(rng, 0.25, 0.45)),
            thickness: (line.thicknesses * normal(rng)).exp(),
            dome: (rad, dome_radius, dome_stretch),
            ruffles: waves(rng, 1..9, 1.0),
        }
    }

    /// How far the shape may reach, px.
    pub(super) fn reach(&self) -> f64 {
        let arms = self.arms.iter().fold(0.0_f64, |reach, arm| reach.max(arm.reach()));
        let fan = self.fan.as_ref().map_or(0.0, |fan| fan.x.hypot(fan.y) + 1.6 * fan.radius);
        let corners = self.corners.as_ref().map_or(1.0, Corners::farthest);
        self.radius * (1.5 * corners * self.stretch.sqrt()).max(arms + 0.2).max(fan)
    }

    /// A place relative to the centre in radii, along and across the cell.
    fn within(&self, dx: f64, dy: f64) -> (f64, f64) {
        let (sin, cos) = self.angle.sin_cos();
        ((dx * cos + dy * sin) / self.radius, (dy * cos - dx * sin) / self.radius)
    }

    /// Depth below the rim at a place relative to the centre, px: 1 in the middle, 0 on the rim, negative outside.
    pub(super) fn depth(&self, dx: f64, dy: f64) -> f64 {
        let (u, v) = self.within(dx, dy);
        let root = self.stretch.sqrt();
        let (a, b) = (u / root, v * root);
        let direction = b.atan2(a);
        let lumpy = 1.0 + along(&self.bumps, 2, direction) + along(&self.jags, FIRST_JAG, direction);
        let corners = self.corners.as_ref().map_or(1.0, |corners| corners.radius(direction));
        let body = 1.0 - a.hypot(b) / (corners * lumpy.max(0.3));
        let body = self.fan.as_ref().map_or(body, |fan| {
            let (a, b) = ((u - fan.x) / fan.radius, (v - fan.y) / fan.radius);
            body.max(0.8 * (1.0 - a.hypot(b) / (1.0 + along(&fan.bumps, 2, b.atan2(a))).clamp(0.3, 1.6)))
        });
        self.arms.iter().filter_map(|arm| arm.depth(u, v)).fold(body, f64::max)
    }

    /// Phase of the cell at a place relative to the centre that lies `depth` below its rim, rad.
    pub(super) fn phase_rad(&self, line: &Line, (dx, dy): (f64, f64), depth: f64) -> f64 {
        if self.is_round {
            return self.thickness * line.round_rad * (1.0 - (1.0 - depth).powi(2)).max(0.0).sqrt();
        }
        let flat = line.flat_rad * (depth / line.rim).min(1.0).powf(0.7);
        let (u, v) = self.within(dx, dy);
        let (rad, radius, stretch) = self.dome;
        let (along_it, across_it, _) = self.nucleus;
        let root = stretch.sqrt();
        let far = ((u / root - 0.5 * along_it) / radius).hypot((v * root - 0.5 * across_it) / radius);
        // Never beyond the rim, and never a cliff there.
        let dome = rad * (1.0 - far * far).max(0.0).powf(0.75) * (4.0 * depth).min(1.0);
        let ruffled = (1.2 * along(&self.ruffles, 1, v.atan2(u))).clamp(0.0, 1.0);
        let ruffle = line.ruffle_rad * ruffled * (-((depth - 0.08) / 0.07).powi(2)).exp() * (20.0 * depth).min(1.0);
        let edge = line.edge_rad * (-((depth - 0.06) / 0.04).powi(2)).exp() * (20.0 * depth).min(1.0);
        self.thickness * (flat + dome) + ruffle + edge
    }
}
