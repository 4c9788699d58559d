//! What the cells of a culture look like: one cell's outline and thickness.
//!
//! A cell is a closed curve: the largest of its body, which is a bumpy ellipse or has corners, the fans beside it and its
//! arms. Inside, `depth` falls from 1 in the middle to 0 on the rim. Its thickness is a flat part that ends at the rim, a thin
//! line along the rim, ruffles near it, and a dome over the nucleus whose outline is its own.

mod arm;
mod corners;
mod fan;

use super::line::Line;
use super::{DIAMETER_PX, between, chance, normal, scaled};
use arm::Arm;
pub(super) use corners::Corners;
use fan::Fan;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

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
    fans: Vec<Fan>,
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
        let fans = |rng: &mut ChaCha8Rng| {
            let beside = has_fan && !(line.crawls && chance(rng, 0.7));
            let ends = if has_fan && !beside { rng.random_range(1..5_u32) } else { 0 };
            let mut fans: Vec<Fan> = (0..ends).map(|end| Fan::at_an_end(stretch, end, rng)).collect();
            if beside {
                fans.push(Fan::beside(rng));
            }
            fans
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
            fans: fans(rng),
            is_round,
            nucleus: (0.25 * normal(rng), 0.15 * normal(rng), between(rng, 0.25, 0.45)),
            thickness: (line.thicknesses * normal(rng)).exp(),
            dome: (rad, dome_radius, dome_stretch),
            ruffles: waves(rng, 1..if line.crawls { 18 } else { 9 }, 1.0),
        }
    }

    /// How far the shape may reach, px.
    pub(super) fn reach(&self) -> f64 {
        let arms = self.arms.iter().fold(0.0_f64, |reach, arm| reach.max(arm.reach()));
        let fans = self.fans.iter().fold(0.0_f64, |reach, fan| reach.max(fan.reach()));
        let corners = self.corners.as_ref().map_or(1.0, Corners::farthest);
        self.radius * (1.5 * corners * self.stretch.sqrt()).max(arms + 0.2).max(fans)
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
        let fanned = self.fans.iter().map(|fan| fan.depth(u, v)).fold(body, f64::max);
        self.arms.iter().filter_map(|arm| arm.depth(u, v)).fold(fanned, f64::max)
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
        let steep = if line.crawls { 0.5 } else { 0.75 };
        let dome = rad * (1.0 - far * far).max(0.0).powf(steep) * (4.0 * depth).min(1.0);
        let nearest = self.fans.iter().max_by(|a, b| a.depth(u, v).total_cmp(&b.depth(u, v)));
        let direction = nearest.filter(|_| line.crawls).map_or(v.atan2(u), |fan| fan.direction(u, v));
        let ruffled = (1.2 * along(&self.ruffles, 1, direction)).clamp(0.0, 1.0);
        let width = line.ruffle_width;
        let ruffle =
            line.ruffle_rad * ruffled * (-((depth - 0.01 - width) / width).powi(2)).exp() * (20.0 * depth).min(1.0);
        let edge = line.edge_rad * (-((depth - 0.06) / 0.04).powi(2)).exp() * (20.0 * depth).min(1.0);
        self.thickness * (flat + dome) + ruffle + edge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn a_crawler_is_thin_but_for_its_body_and_the_ruffles_along_its_rim() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut fanned, mut thin) = (0, 0);
        for _ in 0..60 {
            let line = Line::of_crawlers(&mut rng);
            let shape = Shape::draw(&line, 0.0, 0.0, &mut rng);
            if shape.fans.is_empty() {
                continue;
            }
            let reach = shape.reach() as i32;
            let places = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (f64::from(x), f64::from(y))));
            let seen: Vec<(f64, f64)> = places
                .map(|(x, y)| (shape.depth(x, y), (x, y)))
                .filter(|(depth, _)| *depth > 0.0)
                .map(|(depth, place)| (depth, shape.phase_rad(&line, place, depth)))
                .collect();
            let within = seen.iter().filter(|(depth, _)| *depth > line.rim.max(4.0 * line.ruffle_width));
            let thinnest = within.fold(f64::INFINITY, |least, (_, rad)| least.min(*rad));
            let thickest = seen.iter().fold(0.0_f64, |most, (_, rad)| most.max(*rad));
            fanned += 1;
            thin += u32::from(thinnest < 0.4 * thickest);
        }
        assert!(fanned > 20 && 5 * thin > 4 * fanned, "{thin} of {fanned}");
    }
}
