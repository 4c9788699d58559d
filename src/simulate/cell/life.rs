//! How a cell changes from minute to minute: it crawls, turns, changes its kind, grows and retracts pseudopods, blebs,
//! divides, dies.
//!
//! Takes a cell and a time step, gives the cell afterwards and what happened. Uses only the cell's own random numbers,
//! so that one cell's life does not depend on who else is in the field.

use super::{Bleb, Habit, Kind, SimulatedCell, normal, pseudopod};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// Something that happened to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It came into the simulated area.
    Entered,
    /// It left the simulated area.
    Left,
    /// It began to round up for a division.
    DivisionBegan,
    /// It became two cells.
    Divided,
    /// It was born of a division.
    Born,
    /// It died.
    Died,
    /// Its kind changed.
    KindChanged,
    /// Half of a transition of its efficiency is done.
    Transition,
}

/// Minutes of rounding up before the two lobes part.
const ROUNDING_MIN: f64 = 22.0;
/// Minutes in which the lobes part.
const PARTING_MIN: f64 = 9.0;
/// Time constant of changes of shape, minutes.
const SHAPE_MIN: f64 = 12.0;
/// Time constant of the direction of motion, minutes.
const PERSISTENCE_MIN: f64 = 18.0;

impl SimulatedCell {
    /// Brings shape and pseudopods to what they would be after a long time in the present kind.
    pub(super) fn settle(&mut self) {
        let (aspect, flatness) = self.target_shape();
        self.aspect = aspect;
        self.flatness = flatness;
        for k in 0..super::HARMONICS {
            let size = self.harmonic_size(k);
            let pair = (size * normal(&mut self.rng), size * normal(&mut self.rng));
            if let Some(harmonic) = self.harmonics.get_mut(k) {
                *harmonic = pair;
            }
        }
        self.grow_pseudopods(0.0);
        for _ in 0..6 {
            self.bleb(0.7);
        }
    }

    /// Aspect and flatness that the present kind tends to; a cell's own taste comes from its volume's digits.
    fn target_shape(&self) -> (f64, f64) {
        let taste = (self.volume_um3 * 0.37).fract();
        match self.kind {
            Kind::Round => (1.03 + 0.22 * taste, 0.02 + 0.2 * taste),
            Kind::Blebbing => (1.1 + 0.3 * taste, 0.05 + 0.15 * taste),
            Kind::Spindle => (3.0 + 2.0 * taste, 0.35 + 0.3 * taste),
            Kind::Spread => (1.3 + 0.9 * taste, 0.55 + 0.45 * taste),
            Kind::Dividing => (1.03, 0.0),
            Kind::Dead => (1.1 + 0.2 * taste, 0.0),
        }
    }

    /// Standard deviation of the outline's harmonic number `k` (0 = the second).
    fn harmonic_size(&self, k: usize) -> f64 {
        let size = match self.kind {
            Kind::Round => 0.03,
            Kind::Dividing => 0.01,
            Kind::Blebbing | Kind::Spindle => 0.07,
            Kind::Spread => 0.12,
            Kind::Dead => 0.08,
        };
        // Membranes bend: the finer a harmonic, the smaller it is.
        size / (1.0 + 0.5 * k as f64).powf(1.5)
    }

    /// One step of `minutes` (at most a few), at `minute` after the film's start; returns what happened.
    pub fn step(&mut self, minutes: f64, minute: f64, habit: &Habit) -> Vec<Event> {
        let mut events = Vec::new();
        self.kind_age_min += minutes;
        self.change_efficiency(minutes, minute, &mut events);
        self.change_kind(minutes, habit, &mut events);
        let toward = 1.0 - (-minutes / SHAPE_MIN).exp();
        let (aspect, flatness) = self.target_shape();
        self.aspect += (aspect - self.aspect) * toward;
        self.flatness += (flatness - self.flatness) * toward;
        for k in 0..super::HARMONICS {
            let size = self.harmonic_size(k) * (2.0 * toward).sqrt();
            let (a, b) = (normal(&mut self.rng), normal(&mut self.rng));
            if let Some(harmonic) = self.harmonics.get_mut(k) {
                harmonic.0 += size * a - harmonic.0 * toward;
                harmonic.1 += size * b - harmonic.1 * toward;
            }
        }
        self.grow_pseudopods(minutes);
        self.bleb(minutes);
        self.stir(minutes);
        self.crawl(minutes);
        events
    }

    fn change_efficiency(&mut self, minutes: f64, minute: f64, events: &mut Vec<Event>) {
        let Some(transition) = self.transition else { return };
        self.traits = self.resting.shifted(transition.shift * transition.share(minute));
        if (minute - minutes..minute).contains(&transition.middle_min) {
            events.push(Event::Transition);
        }
    }

    fn change_kind(&mut self, minutes: f64, habit: &Habit, events: &mut Vec<Event>) {
        let happens = |rng: &mut ChaCha8Rng, per_h: f64| rng.random_bool((per_h * minutes / 60.0).clamp(0.0, 1.0));
        match self.kind {
            Kind::Dead | Kind::Dividing => {}
            _ if happens(&mut self.rng, habit.deaths_per_h) => {
                self.become_kind(Kind::Dead);
                events.push(Event::Died);
            }
            _ if happens(&mut self.rng, habit.divisions_per_h) => {
                self.become_kind(Kind::Dividing);
                events.push(Event::DivisionBegan);
            }
            _ if happens(&mut self.rng, habit.changes_per_h) => {
                let kind = habit.kinds.draw(&mut self.rng);
                if kind != self.kind {
                    self.become_kind(kind);
                    self.usual_kind = kind;
                    events.push(Event::KindChanged);
                }
            }
            _ => {}
        }
        if self.kind == Kind::Dead {
            // It dries out: less volume, denser.
            let dry = 1.0 - (-minutes / 60.0).exp();
            self.volume_um3 += (900.0 - self.volume_um3).min(0.0) * dry;
            self.index_difference += (0.05 - self.index_difference) * dry;
        }
    }

    fn become_kind(&mut self, kind: Kind) {
        self.kind = kind;
        self.kind_age_min = 0.0;
    }

    /// Distance of either lobe from the middle of a dividing cell, um; 0 for every other cell.
    pub(super) fn lobe_distance_um(&self) -> f64 {
        if self.kind != Kind::Dividing {
            return 0.0;
        }
        let share = ((self.kind_age_min - ROUNDING_MIN) / PARTING_MIN).clamp(0.0, 1.0);
        share * 0.85 * self.sphere_radius_um()
    }

    /// Whether the two lobes have parted: time to [`SimulatedCell::divide`].
    pub fn has_parted(&self) -> bool {
        self.kind == Kind::Dividing && self.kind_age_min >= ROUNDING_MIN + PARTING_MIN
    }

    /// The two daughters, with the identities `first` and `first + 1`.
    pub fn divide(&self, first: u32) -> [Self; 2] {
        let away = self.lobe_distance_um();
        [(0, 1.0), (1, -1.0)].map(|(i, side)| {
            let mut daughter = self.clone();
            daughter.id = first + i;
            daughter.parent = Some(self.id);
            daughter.rng = ChaCha8Rng::seed_from_u64(self.rng.clone().random::<u64>() ^ u64::from(first + i));
            daughter.x_um += side * away * self.axis.cos();
            daughter.y_um += side * away * self.axis.sin();
            daughter.heading = if side > 0.0 { self.axis } else { self.axis + PI };
            daughter.volume_um3 *= 0.5;
            daughter.become_kind(self.usual_kind);
            daughter
        })
    }

    fn grow_pseudopods(&mut self, minutes: f64) {
        let drive = self.traits.protrusion;
        // How many places are in use, and how far they reach, both rise with the drive.
        let in_use = (3.4 + 1.15 * drive).clamp(0.0, super::PSEUDOPODS as f64);
        let reach_um = 7.0 * (0.33 * drive).clamp(-1.2, 1.2).exp();
        let habit = match self.kind {
            Kind::Round => 0.9,
            Kind::Spindle | Kind::Spread => 1.1,
            Kind::Blebbing => 0.75,
            Kind::Dividing => (1.0 - self.kind_age_min / ROUNDING_MIN * 1.6).clamp(0.05, 1.0),
            Kind::Dead => (0.5 - self.kind_age_min / 15.0).max(0.0),
        };
        let spindle = self.kind == Kind::Spindle;
        for (i, place) in self.pseudopods.iter_mut().enumerate() {
            place.age_min += minutes;
            if place.age_min > place.life_min {
                let fresh = pseudopod(&mut self.rng);
                *place = super::Pseudopod { age_min: 0.0, ..fresh };
                if spindle && self.rng.random_bool(0.6) {
                    // A spindle reaches out at its two ends.
                    let end = if self.rng.random_bool(0.5) { 0.0 } else { PI };
                    place.angle = end + 0.3 * normal(&mut self.rng);
                }
            }
            let used = (in_use - i as f64).clamp(0.0, 1.0);
            let phase = (PI * place.age_min / place.life_min).sin();
            place.length_um = used * habit * reach_um * place.reach * phase.max(0.0).powf(0.6);
        }
    }

    fn bleb(&mut self, minutes: f64) {
        for bleb in &mut self.blebs {
            bleb.age_min += minutes;
        }
        self.blebs.retain(|b| b.age_min < b.life_min);
        let per_min = match self.kind {
            Kind::Blebbing => 4.0,
            Kind::Dead => (3.0 - self.kind_age_min / 20.0).max(0.0),
            _ => 0.0,
        };
        let expected = per_min * minutes;
        let births = expected.floor() as usize + usize::from(self.rng.random_bool(expected.fract()));
        for _ in 0..births {
            let radius_um = self.sphere_radius_um() * self.rng.random_range(0.15..0.38);
            self.blebs.push(Bleb {
                angle: self.rng.random::<f64>() * TAU,
                radius_um,
                age_min: 0.0,
                life_min: self.rng.random_range(1.0..3.5),
            });
        }
    }

    /// Granules and nucleus jitter; the living stir more.
    fn stir(&mut self, minutes: f64) {
        let jitter = 0.02 * minutes.sqrt() * if self.kind == Kind::Dead { 0.3 } else { 1.0 };
        for granule in self.granules.iter_mut().chain(&mut self.organelles) {
            granule.u += jitter * normal(&mut self.rng);
            granule.v += jitter * normal(&mut self.rng);
            let radius = granule.u.hypot(granule.v);
            if radius > 0.95 {
                granule.u *= 0.95 / radius;
                granule.v *= 0.95 / radius;
            }
        }
    }

    fn crawl(&mut self, minutes: f64) {
        let turn = (2.0 * minutes / PERSISTENCE_MIN).sqrt() * normal(&mut self.rng);
        let wiggle = (normal(&mut self.rng), normal(&mut self.rng));
        let (speed, shake) = match self.kind {
            Kind::Round => (0.35, 0.12),
            Kind::Blebbing => (0.6, 0.18),
            Kind::Spindle => (1.3, 0.1),
            Kind::Spread => (0.8, 0.08),
            Kind::Dividing => (0.0, 0.06),
            Kind::Dead => (0.0, 0.1),
        };
        self.heading += turn;
        if matches!(self.kind, Kind::Spindle | Kind::Spread) {
            // Crawling cells lie along their way.
            let off = (2.0 * (self.heading - self.axis)).sin() / 2.0;
            self.axis += 0.15 * minutes * off;
            self.heading -= 0.2 * minutes * off;
        } else {
            self.axis += 0.02 * minutes.sqrt() * wiggle.0;
        }
        let way = self.speed_um_min * speed * minutes;
        self.x_um += way * self.heading.cos() + shake * minutes.sqrt() * wiggle.0;
        self.y_um += way * self.heading.sin() + shake * minutes.sqrt() * wiggle.1;
    }
}
