//! A line of cells: what the cells of one culture have in common, drawn by chance.

use super::{between, chance, scaled};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// What the cells of one culture have in common.
#[derive(Debug)]
pub(super) struct Line {
    /// Shares of round, spindle-shaped, armed, fan-shaped and cornered cells; the others are spread.
    pub(super) kinds: [f64; 5],
    /// Whether cells grow side by side and leave no gaps.
    pub(super) is_sheet: bool,
    /// Phase of the flat part, of the dome over the nucleus, of a round cell, rad.
    pub(super) flat_rad: f64,
    pub(super) dome_rad: f64,
    pub(super) round_rad: f64,
    /// Spread of the logarithm of these among cells.
    pub(super) thicknesses: f64,
    /// Share of cells, not round, whose dome is as thick as a round cell.
    pub(super) raised: f64,
    /// Phase of ruffles, rad; 0 for a line that has none. How wide they are, as a share of a cell's depth.
    pub(super) ruffle_rad: f64,
    pub(super) ruffle_width: f64,
    /// Whether cells crawl: a body with steep sides, and fans at its ends that are thinner than it.
    pub(super) crawls: bool,
    pub(super) nucleus_rad: f64,
    pub(super) nucleolus_rad: f64,
    pub(super) granule_rad: f64,
    pub(super) granules: f64,
    /// Most bubbles a cell holds, and how much thinner it is there, rad.
    pub(super) vacuoles: f64,
    pub(super) vacuole_rad: f64,
    /// How lumpy and how jagged outlines are.
    pub(super) bumps: f64,
    pub(super) jags: f64,
    /// Phase of a thin line along the rim, rad; 0 for a line of cells that has none.
    pub(super) edge_rad: f64,
    /// Spread of the logarithm of the diameter.
    pub(super) sizes: f64,
    /// Width of the line between neighbours, in radii, and how much thinner cells are there; negative: thicker.
    pub(super) groove: f64,
    pub(super) groove_depth: f64,
    /// How closely cells may come: 0 they overlap at will, 1 they hardly touch.
    pub(super) apart: f64,
    /// How much wider cells become once they are sown: in a sheet they fill it.
    pub(super) grown: f64,
    /// Steepness of the rim: small is a cliff, 1 a lens.
    pub(super) rim: f64,
    /// How much of a neighbour shows where it reaches under a cell, 0..1.
    pub(super) under: f64,
    /// How unlike itself the line between neighbours is from place to place: 0 nowhere, above 1 it becomes a ridge here and a groove there.
    pub(super) uneven: f64,
    /// What that line is deep beyond a share of its cell's thickness, rad.
    pub(super) groove_rad: f64,
    /// How much of a culture's grain its cells have.
    pub(super) grain: f64,
    /// Share of spindles and of armed cells that run out into long tails; 0 for a line that has none.
    pub(super) tails: f64,
    /// How unlike neighbours lie, rad; only in colonies.
    pub(super) lie: f64,
    /// Cells are smooth from their rims to this depth, without grain or granules; 0 for a line whose cells are alike all over.
    pub(super) margin: f64,
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
            ruffle_width: 0.07,
            crawls: false,
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
            margin: if chance(rng, 0.3) { between(rng, 0.05, 0.4) } else { 0.0 },
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

    /// Cells that crawl: a tall body, round or long, between fans that are hardly thicker than bare substrate but for the ruffles along
    /// their rims.
    pub(super) fn of_crawlers(rng: &mut ChaCha8Rng) -> Self {
        let flat_rad = scaled(rng, 0.06, 0.7);
        Self {
            kinds: [scaled(rng, 0.01, 0.15), 0.08, 0.06, between(rng, 0.6, 0.85), 0.0],
            is_sheet: false,
            flat_rad,
            dome_rad: scaled(rng, 0.8, 5.0),
            round_rad: scaled(rng, 2.0, 8.0),
            raised: if chance(rng, 0.6) { between(rng, 0.05, 0.5) } else { 0.02 },
            ruffle_rad: if chance(rng, 0.85) { scaled(rng, 0.2, 2.5) } else { 0.0 },
            ruffle_width: scaled(rng, 0.04, 0.16),
            nucleus_rad: flat_rad * between(rng, -0.4, 0.8),
            granules: scaled(rng, 6.0, 120.0),
            jags: 0.0,
            sizes: between(rng, 0.1, 0.35),
            grown: 1.0,
            rim: between(rng, 0.06, 0.4),
            crawls: true,
            ..Self::draw(rng)
        }
    }

    /// Gives its cells ruffled rims.
    pub(super) fn ruffle(&mut self, rng: &mut ChaCha8Rng) {
        self.ruffle_rad = scaled(rng, 0.3, 2.0);
    }
}
