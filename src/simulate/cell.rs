//! One simulated cell: what it is made of, how it lives ([`life`]) and how thick it is where ([`thickness`]).
//!
//! A cell keeps its volume: the flatter it lies, the larger and thinner it is. Its latent efficiency moves two things,
//! how far its pseudopods reach and how coarse its granules are; all else (size, kind, orientation, speed) is nuisance.

pub mod life;
pub mod thickness;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// What a cell looks like and does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nearly a sphere on the substrate.
    Round,
    /// Long and narrow.
    Spindle,
    /// Flat and wide.
    Spread,
    /// Round, with bulges that come and go within minutes.
    Blebbing,
    /// Rounded up, then two lobes, then two cells.
    Dividing,
    /// Shrunken, dense, no longer moving by itself.
    Dead,
}

/// What drives the two hallmarks of a cell, in standard deviations of the panel's cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    /// The latent efficiency.
    pub efficiency: f64,
    /// Drives the pseudopods: efficiency and a deviation of this cell's own.
    pub protrusion: f64,
    /// Drives the granules: efficiency and another deviation of this cell's own.
    pub granularity: f64,
}

impl Traits {
    /// Both hallmarks driven by exactly this efficiency.
    pub fn exactly(efficiency: f64) -> Self {
        Self { efficiency, protrusion: efficiency, granularity: efficiency }
    }

    /// All three moved by `shift`.
    #[must_use]
    pub fn shifted(self, shift: f64) -> Self {
        Self {
            efficiency: self.efficiency + shift,
            protrusion: self.protrusion + shift,
            granularity: self.granularity + shift,
        }
    }
}

/// How a cell differs from its twin: the same pseudopods and granules, only more or less of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exaggeration {
    /// Natural logarithm of how many times as long every pseudopod is.
    pub protrusions: f64,
    /// Natural logarithm of how many times as dense every granule is.
    pub granules: f64,
}

/// A change of state during the film: the efficiency moves by `shift` within some twenty minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Middle of the change, minutes after the film's start.
    pub middle_min: f64,
    /// Change of the efficiency, standard deviations.
    pub shift: f64,
}

/// Time constant of a transition, minutes.
const TRANSITION_MIN: f64 = 5.0;

impl Transition {
    /// Share of the change that has happened at `minute`, 0..=1.
    pub fn share(&self, minute: f64) -> f64 {
        1.0 / (1.0 + (-(minute - self.middle_min) / TRANSITION_MIN).exp())
    }
}

/// Shares of the kinds that an interphase cell of a tumour takes; they need not sum to one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KindShares {
    /// Share of round cells.
    pub round: f64,
    /// Share of spindles.
    pub spindle: f64,
    /// Share of spread cells.
    pub spread: f64,
    /// Share of blebbing cells.
    pub blebbing: f64,
}

impl KindShares {
    /// One kind by chance.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Kind {
        let kinds = [
            (Kind::Round, self.round),
            (Kind::Spindle, self.spindle),
            (Kind::Spread, self.spread),
            (Kind::Blebbing, self.blebbing),
        ];
        let mut left = rng.random::<f64>() * kinds.iter().map(|k| k.1).sum::<f64>();
        for (kind, share) in kinds {
            left -= share;
            if left < 0.0 {
                return kind;
            }
        }
        Kind::Round
    }
}

/// How the cells of a tumour are, apart from their efficiency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    /// Shares of the interphase kinds.
    pub kinds: KindShares,
    /// Median volume, um3.
    pub volume_um3: f64,
    /// Spread of the logarithm of the volume.
    pub volume_spread: f64,
    /// Usual speed, um per minute.
    pub speed_um_min: f64,
    /// Share of cells that are dead from the start.
    pub dead_share: f64,
    /// Divisions per living cell and hour.
    pub divisions_per_h: f64,
    /// Deaths per living cell and hour.
    pub deaths_per_h: f64,
    /// Changes of kind per living cell and hour.
    pub changes_per_h: f64,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            kinds: KindShares { round: 0.58, spindle: 0.14, spread: 0.15, blebbing: 0.13 },
            volume_um3: 3600.0,
            volume_spread: 0.38,
            speed_um_min: 0.35,
            dead_share: 0.05,
            divisions_per_h: 0.02,
            deaths_per_h: 0.01,
            changes_per_h: 0.25,
        }
    }
}

/// A pseudopod's place: it grows, retracts and grows again elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pseudopod {
    /// Direction from the cell's centre in the cell's own axes, rad.
    pub(super) angle: f64,
    /// Length when longest, relative to the cell's usual reach.
    pub(super) reach: f64,
    /// Half width at the foot, um.
    pub(super) half_width_um: f64,
    /// Sideways bend, share of the length.
    pub(super) bend: f64,
    /// Minutes from the first bulge to full retraction.
    pub(super) life_min: f64,
    /// Minutes since the first bulge.
    pub(super) age_min: f64,
    /// Length now, um.
    pub(super) length_um: f64,
}

/// A bulge of the membrane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bleb {
    pub(super) angle: f64,
    pub(super) radius_um: f64,
    pub(super) age_min: f64,
    pub(super) life_min: f64,
}

/// A granule, in the body's own unit disc.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granule {
    pub(super) u: f64,
    pub(super) v: f64,
    /// Radius, um.
    pub(super) radius_um: f64,
    /// Weight of its phase; negative for vacuoles.
    pub(super) weight: f64,
    /// The granularity from which on it is visible.
    pub(super) threshold: f64,
}

/// The nucleus, in the body's own unit disc.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nucleus {
    pub(super) u: f64,
    pub(super) v: f64,
    /// Half axis relative to the body's.
    pub(super) size: f64,
    /// Places of the nucleoli in the nucleus' unit disc.
    pub(super) nucleoli: [(f64, f64); 3],
}

/// Harmonics of the outline that change slowly.
pub(super) const HARMONICS: usize = 6;
/// Places of pseudopods; how many of them are in use depends on the efficiency.
pub(super) const PSEUDOPODS: usize = 9;
/// Granules; how many are visible depends on the efficiency.
pub(super) const GRANULES: usize = 170;
/// Organelles of every cell.
pub(super) const ORGANELLES: usize = 90;

/// A simulated cell at one moment.
#[derive(Debug, Clone)]
pub struct SimulatedCell {
    /// Unique in its field, from 1.
    pub id: u32,
    /// The cell that divided into this one and its sister.
    pub parent: Option<u32>,
    /// What it looks like.
    pub kind: Kind,
    /// Latent drives without a transition's part.
    pub resting: Traits,
    /// A change of state during the film.
    pub transition: Option<Transition>,
    /// Latent drives now.
    pub traits: Traits,
    /// Centre, um from the field's top-left pixel centre, before drift.
    pub x_um: f64,
    /// Centre, um.
    pub y_um: f64,
    pub(super) axis: f64,
    pub(super) heading: f64,
    pub(super) speed_um_min: f64,
    pub(super) volume_um3: f64,
    /// Long axis over short axis.
    pub(super) aspect: f64,
    /// 0 = sphere, 1 = as flat as cells lie.
    pub(super) flatness: f64,
    /// Refractive index above the medium.
    pub(super) index_difference: f64,
    /// Minutes in the present kind.
    pub(super) kind_age_min: f64,
    /// Kind to return to after a division.
    pub(super) usual_kind: Kind,
    pub(super) harmonics: [(f64, f64); HARMONICS],
    pub(super) pseudopods: [Pseudopod; PSEUDOPODS],
    pub(super) blebs: Vec<Bleb>,
    pub(super) granules: Vec<Granule>,
    /// Organelles: coarser and fainter than granules, the same in every cell.
    pub(super) organelles: Vec<Granule>,
    pub(super) nucleus: Nucleus,
    pub(super) rng: ChaCha8Rng,
}

impl SimulatedCell {
    /// A cell of this `habit` and these latent drives at a place; the same arguments give the same cell.
    pub fn new(id: u32, habit: &Habit, traits: Traits, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kind =
            if rng.random_bool(habit.dead_share.clamp(0.0, 1.0)) { Kind::Dead } else { habit.kinds.draw(&mut rng) };
        let volume_um3 = habit.volume_um3 * (habit.volume_spread * normal(&mut rng)).exp();
        let speed_um_min = habit.speed_um_min * (0.5 * normal(&mut rng)).exp();
        let granules = (0..GRANULES).map(|i| granule(i, &mut rng)).collect();
        let organelles = (0..ORGANELLES).map(|_| organelle(&mut rng)).collect();
        let mut cell = Self {
            id,
            parent: None,
            kind,
            resting: traits,
            transition: None,
            traits,
            x_um: 0.0,
            y_um: 0.0,
            axis: rng.random::<f64>() * PI,
            heading: rng.random::<f64>() * TAU,
            speed_um_min,
            volume_um3: volume_um3.clamp(700.0, 12_000.0),
            aspect: 1.1,
            flatness: 0.2,
            index_difference: 0.029 + 0.003 * normal(&mut rng),
            kind_age_min: 200.0 * rng.random::<f64>(),
            usual_kind: if kind == Kind::Dead { Kind::Round } else { kind },
            harmonics: [(0.0, 0.0); HARMONICS],
            pseudopods: std::array::from_fn(|_| pseudopod(&mut rng)),
            blebs: Vec::new(),
            granules,
            organelles,
            nucleus: Nucleus {
                u: 0.18 * normal(&mut rng).clamp(-1.5, 1.5),
                v: 0.18 * normal(&mut rng).clamp(-1.5, 1.5),
                size: rng.random_range(0.4..0.55),
                nucleoli: std::array::from_fn(|_| (rng.random_range(-0.5..0.5), rng.random_range(-0.5..0.5))),
            },
            rng,
        };
        cell.settle();
        cell
    }

    /// Makes the cell its own twin.
    pub fn exaggerate(&mut self, by: Exaggeration) {
        for pod in &mut self.pseudopods {
            pod.length_um *= by.protrusions.exp();
        }
        for granule in &mut self.granules {
            granule.weight *= by.granules.exp();
        }
    }

    /// Radius of a sphere of this cell's volume, um.
    pub(super) fn sphere_radius_um(&self) -> f64 {
        (self.volume_um3 * 3.0 / (4.0 * PI)).cbrt()
    }

    /// Half axes of the body's outline (long, short) without its harmonics, um.
    pub(super) fn half_axes_um(&self) -> (f64, f64) {
        let area = PI * self.sphere_radius_um().powi(2) * (1.0 + 1.1 * self.flatness);
        ((area * self.aspect / PI).sqrt(), (area / (PI * self.aspect)).sqrt())
    }

    /// Radius beyond which nothing of the cell lies, um.
    pub(super) fn reach_um(&self) -> f64 {
        let longest = self.pseudopods.iter().fold(0.0_f64, |m, p| m.max(p.length_um + p.half_width_um));
        let bleb = self.blebs.iter().fold(0.0_f64, |m, b| m.max(2.0 * b.radius_um));
        self.half_axes_um().0 * 1.45 + longest.max(bleb) + self.lobe_distance_um() + 1.0
    }

    /// Summed length of the pseudopods, um.
    pub fn protrusion_total_um(&self) -> f64 {
        // Folded from 0, since the sum of no numbers is -0.
        self.pseudopods.iter().map(|p| p.length_um).filter(|&l| l > VISIBLE_LENGTH_UM).fold(0.0, |a, b| a + b)
    }

    /// Length of the longest pseudopod, um; 0 when none is longer than 1 um.
    pub fn protrusion_longest_um(&self) -> f64 {
        self.pseudopods.iter().map(|p| p.length_um).filter(|&l| l > VISIBLE_LENGTH_UM).fold(0.0, f64::max)
    }

    /// Number of pseudopods longer than 1 um.
    pub fn protrusion_count(&self) -> u32 {
        self.pseudopods.iter().filter(|p| p.length_um > VISIBLE_LENGTH_UM).count() as u32
    }
}

/// A pseudopod counts from this length on, um.
const VISIBLE_LENGTH_UM: f64 = 1.0;

/// A standard normal number.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A new pseudopod somewhere around the cell, at a random moment of its life.
pub(super) fn pseudopod(rng: &mut ChaCha8Rng) -> Pseudopod {
    let life_min = 14.0 * (0.3 * normal(rng)).exp();
    Pseudopod {
        angle: rng.random::<f64>() * TAU,
        reach: (0.25 * normal(rng)).exp(),
        half_width_um: 1.15 * (0.3 * normal(rng)).exp(),
        bend: 0.3 * normal(rng),
        life_min,
        age_min: rng.random::<f64>() * life_min,
        length_um: 0.0,
    }
}

/// Granule number `index`: the larger the number, the higher the granularity at which it shows.
fn granule(index: usize, rng: &mut ChaCha8Rng) -> Granule {
    let (radius, angle) = (rng.random::<f64>().sqrt() * 0.93, rng.random::<f64>() * TAU);
    Granule {
        u: radius * angle.cos(),
        v: radius * angle.sin(),
        radius_um: 0.42 * (0.28 * normal(rng)).exp(),
        weight: if rng.random_bool(0.2) { -0.6 } else { 1.0 } * (0.3 * normal(rng)).exp(),
        threshold: 5.0 * (index as f64 + 0.5) / GRANULES as f64 - 3.0,
    }
}

/// An organelle somewhere in the body, denser or less dense than the cytoplasm.
fn organelle(rng: &mut ChaCha8Rng) -> Granule {
    let (radius, angle) = (rng.random::<f64>().sqrt() * 0.97, rng.random::<f64>() * TAU);
    Granule {
        u: radius * angle.cos(),
        v: radius * angle.sin(),
        radius_um: 0.95 * (0.35 * normal(rng)).exp(),
        weight: normal(rng),
        threshold: f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests;
