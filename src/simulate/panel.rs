//! A panel of simulated tumours: several of high and several of low metastatic efficiency, imaged on several days.
//!
//! Takes a seed, gives tumours, days and the settings of every field of view. The class moves only the mean of the
//! cells' latent efficiency ([`EfficiencyLaw`]); what single cells do overlaps widely. Kinds, sizes and speeds differ
//! from tumour to tumour and the microscope from day to day, both without regard to the class.
//!
//! The names `m901` .. are invented; no tumour of any publication is meant.

use super::cell::{Habit, KindShares, Traits, normal};
use super::scene::{DayEffect, EfficiencyLaw, SceneSettings};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Metastatic efficiency of a tumour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Spreads readily.
    High,
    /// Spreads rarely.
    Low,
}

/// A simulated tumour.
#[derive(Debug, Clone, PartialEq)]
pub struct Tumour {
    /// Its name, as it stands in file names.
    pub name: String,
    /// Its true class.
    pub class: Class,
    /// How its cells are, apart from their efficiency.
    pub habit: Habit,
    /// How efficient they are.
    pub efficiency: EfficiencyLaw,
}

/// A day at the microscope.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// Date as YYMMDD.
    pub date: String,
    /// What differs on this day.
    pub effect: DayEffect,
    /// Shift of all efficiencies on this day, standard deviations.
    pub efficiency_shift: f64,
    /// Which tumours are imaged: indices into [`Panel::tumours`].
    pub tumours: Vec<usize>,
}

/// Tumours, days, and which tumour is imaged when.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// The tumours.
    pub tumours: Vec<Tumour>,
    /// The days.
    pub days: Vec<Day>,
    seed: u64,
}

/// Distance of the two class means, in standard deviations of single cells.
const CLASS_DISTANCE: f64 = 1.02;
/// Tumours of each class.
const PER_CLASS: usize = 4;
/// Days; each shows two tumours of each class, and every tumour is seen on at least two days.
const DAYS: usize = 6;
/// Largest offset of a tumour's mean from its class' mean.
const TUMOUR_OFFSET: f64 = 0.07;
/// Standard deviation of a day's shift of all efficiencies.
const DAY_SHIFT: f64 = 0.05;

impl Panel {
    /// Four tumours of each class over six days; the same seed gives the same panel.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tumours = (0..2 * PER_CLASS).map(|i| tumour(i, &mut rng)).collect();
        let days = (0..DAYS).map(|d| day(d, &mut rng)).collect();
        Self { tumours, days, seed }
    }

    /// Settings and seed of field `fov` of tumour number `tumour` on day number `day`, in a film of `film_min` minutes;
    /// frame size and number of cells from `base`. `None` when the panel has no such tumour or day.
    pub fn field(&self, place: Place, base: &SceneSettings) -> Option<(SceneSettings, u64)> {
        let (tumour, day) = (self.tumours.get(place.tumour)?, self.days.get(place.day)?);
        let mut efficiency = tumour.efficiency;
        efficiency.mean += day.efficiency_shift;
        let settings = SceneSettings { habit: tumour.habit, efficiency, day: day.effect, ..base.clone() };
        let number = (place.day * 1000 + place.tumour) as u64 * 100_000 + place.fov as u64;
        // Spread over the whole range, so that neighbouring fields share nothing.
        let seed = (self.seed ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ number;
        Some((settings, seed))
    }

    /// Every pair of a day and a tumour that is imaged on it, by day.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.days.iter().enumerate().flat_map(|(d, day)| day.tumours.iter().map(move |&t| (d, t))).collect()
    }

    /// The best that anyone can do: AUC of high against low from one cell's true hallmarks over a whole film, by
    /// simulating `cells` cells of each class. Both hallmarks tell the efficiency with the same error, so the best
    /// statistic is their mean.
    pub fn bayes_auc(&self, cells: usize, seed: u64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut of_class = |class: Class| -> Vec<f64> {
            let pairs: Vec<(usize, usize)> = self
                .pairs()
                .into_iter()
                .filter(|&(_, t)| self.tumours.get(t).is_some_and(|t| t.class == class))
                .collect();
            (0..cells)
                .filter_map(|i| {
                    let &(d, t) = pairs.get(i % pairs.len().max(1))?;
                    let (tumour, day) = (self.tumours.get(t)?, self.days.get(d)?);
                    let mut law = tumour.efficiency;
                    law.mean += day.efficiency_shift;
                    Some(seen_over_film(&law, &mut rng))
                })
                .collect()
        };
        let (high, low) = (of_class(Class::High), of_class(Class::Low));
        auc(&high, &low)
    }

    /// The best that a call can be: share of right calls from the mean of `cells` cells' true hallmarks over a whole film,
    /// every tumour on each of its days weighing the same, from `calls` calls of each. What a tumour or a day moves is in it.
    pub fn best_calls(&self, cells: usize, calls: usize, seed: u64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut right, mut all) = (0_usize, 0_usize);
        for (d, t) in self.pairs() {
            let (Some(tumour), Some(day)) = (self.tumours.get(t), self.days.get(d)) else { continue };
            let mut law = tumour.efficiency;
            law.mean += day.efficiency_shift;
            for _ in 0..calls {
                let sum: f64 = (0..cells).map(|_| seen_over_film(&law, &mut rng)).sum();
                right += usize::from((sum > 0.0) == (tumour.class == Class::High));
                all += 1;
            }
        }
        right as f64 / all.max(1) as f64
    }
}

/// One field of view of the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Panel::days`].
    pub day: usize,
    /// Index into [`Panel::tumours`].
    pub tumour: usize,
    /// Number of the field.
    pub fov: usize,
}

/// Mean of both hallmarks' drives over a film, for one cell drawn from `law`.
fn seen_over_film(law: &EfficiencyLaw, rng: &mut ChaCha8Rng) -> f64 {
    const FILM_MIN: f64 = 120.0;
    let traits: Traits = law.draw(rng);
    let transition = law.draw_transition(traits, FILM_MIN, rng);
    let moved =
        transition.map_or(0.0, |t| (0..120).map(|minute| t.shift * t.share(f64::from(minute))).sum::<f64>() / FILM_MIN);
    0.5 * (traits.protrusion + traits.granularity) + moved
}

/// Area under the receiver operating curve: the chance that a high value exceeds a low one (ties count half).
pub fn auc(high: &[f64], low: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = high.iter().map(|&v| (v, true)).chain(low.iter().map(|&v| (v, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for tie in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let highs = tie.iter().filter(|v| v.1).count() as f64;
        let lows = tie.len() as f64 - highs;
        wins += highs * (below + 0.5 * lows);
        below += lows;
    }
    wins / (high.len() as f64 * low.len() as f64)
}

fn tumour(i: usize, rng: &mut ChaCha8Rng) -> Tumour {
    let class = if i < PER_CLASS { Class::High } else { Class::Low };
    let within = i % PER_CLASS;
    // Evenly spread within the class, so that no draw makes the panel easier or harder.
    let offset = TUMOUR_OFFSET * (2.0 * within as f64 / (PER_CLASS - 1) as f64 - 1.0);
    let side = if class == Class::High { 0.5 } else { -0.5 };
    let usual = Habit::default();
    let mut vary = |value: f64, spread: f64| value * (spread * normal(rng)).exp();
    let kinds = KindShares {
        round: vary(usual.kinds.round, 0.25),
        spindle: vary(usual.kinds.spindle, 0.35),
        spread: vary(usual.kinds.spread, 0.35),
        blebbing: vary(usual.kinds.blebbing, 0.35),
    };
    let habit = Habit {
        kinds,
        volume_um3: vary(usual.volume_um3, 0.12),
        speed_um_min: vary(usual.speed_um_min, 0.2),
        divisions_per_h: vary(usual.divisions_per_h, 0.2),
        ..usual
    };
    let number = if class == Class::High { 901 + within } else { 951 + within };
    let efficiency = EfficiencyLaw { mean: side * CLASS_DISTANCE + offset, ..EfficiencyLaw::default() };
    Tumour { name: format!("m{number}"), class, habit, efficiency }
}

fn day(d: usize, rng: &mut ChaCha8Rng) -> Day {
    let usual = DayEffect::default();
    let effect = DayEffect {
        lamp: (0.2 * normal(rng)).exp(),
        ring_transmission: (usual.ring_transmission + 0.02 * normal(rng)).clamp(0.24, 0.45),
        defocus_um: 1.2 * normal(rng),
        index_scale: (0.05 * normal(rng)).exp(),
        substrate_rad: usual.substrate_rad * (0.3 * normal(rng)).exp(),
        tilt: (0.07 * normal(rng), 0.07 * normal(rng)),
        vignetting: rng.random_range(0.05..0.2),
        volume_scale: (0.05 * normal(rng)).exp(),
    };
    // Two of each class, in turn.
    let tumours = [0, 1].iter().flat_map(|k| {
        let at = (2 * d + k + d / 2) % PER_CLASS;
        [at, PER_CLASS + (at + d) % PER_CLASS]
    });
    let mut tumours: Vec<usize> = tumours.collect();
    tumours.sort_unstable();
    Day {
        date: format!("2601{:02}", 5 + 3 * d),
        effect,
        efficiency_shift: DAY_SHIFT * normal(rng).clamp(-1.5, 1.5),
        tumours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cell_says_little() {
        let auc = Panel::new(1).bayes_auc(60_000, 2);
        println!("Bayes AUC of the panel, one cell: {auc:.4}");
        assert!((0.74..=0.76).contains(&auc), "{auc}");
    }

    #[test]
    fn twenty_cells_say_much_but_not_all() {
        let calls: Vec<f64> = [1, 5, 20].iter().map(|&cells| Panel::new(1).best_calls(cells, 400, 2)).collect();
        println!("best share of right calls from 1, 5 and 20 cells: {calls:.4?}");
        // d' = 0.954: Phi(d' sqrt k / 2) for k = 1, 5, 20, less what tumours and days move.
        for (found, alone) in calls.iter().zip([0.683, 0.857, 0.984]) {
            assert!((alone - 0.02..=alone + 0.01).contains(found), "{calls:?}");
        }
    }

    #[test]
    fn every_tumour_is_seen_on_at_least_two_days_beside_the_other_class() {
        let panel = Panel::new(1);
        for (t, tumour) in panel.tumours.iter().enumerate() {
            let days = panel.days.iter().filter(|d| d.tumours.contains(&t)).count();
            assert!(days >= 2, "{} on {days} days", tumour.name);
        }
        for day in &panel.days {
            let high = day.tumours.iter().filter(|&&t| panel.tumours[t].class == Class::High).count();
            assert_eq!((high, day.tumours.len()), (2, 4), "{}", day.date);
        }
    }

    #[test]
    fn auc_counts_ties_half() {
        assert!((auc(&[1.0, 2.0], &[0.0, 1.0]) - 0.875).abs() < 1e-12);
        assert!((auc(&[1.0], &[1.0]) - 0.5).abs() < 1e-12);
    }
}
