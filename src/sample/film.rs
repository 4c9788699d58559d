//! Simulated tracks with known changes of state, to measure precision and recall of [`dynamics`](super::dynamics).

use super::call::Side;
use super::dynamics::{LogitAt, Transition};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1, StandardNormal};
use serde::Serialize;

/// How simulated tracks are made; one frame a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Film {
    /// Distance of the two states' mean logits.
    pub gap: f64,
    /// Standard deviation of what sets a cell apart for good, logits.
    pub offset_sd: f64,
    /// Standard deviation of a frame's noise, logits.
    pub noise_sd: f64,
    /// Correlation of the noise from one frame to the next, 0..1.
    pub noise_correlation: f64,
    /// Frames per track.
    pub frames: u32,
    /// No stay is shorter, min.
    pub shortest_stay_min: f64,
    /// Mean of what a stay is longer than that, min; infinite for cells that never change.
    pub further_stay_min: f64,
    /// Share of frames that are missing (withheld), 0..1.
    pub missing_share: f64,
}

impl Default for Film {
    /// Noise as large as the gap between the states, five hours, stays of half an hour and longer.
    fn default() -> Self {
        Self {
            gap: 2.0,
            offset_sd: 0.5,
            noise_sd: 2.0,
            noise_correlation: 0.2,
            frames: 300,
            shortest_stay_min: 30.0,
            further_stay_min: 90.0,
            missing_share: 0.05,
        }
    }
}

/// A simulated track and its truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Filmed {
    /// The frames that were scored.
    pub frames: Vec<LogitAt>,
    /// Minute and new state of each change with a whole stay on both sides.
    pub events: Vec<(f64, Side)>,
    /// Changes whose last stay the film cuts short: real, but not asked for.
    pub cut_short: Vec<(f64, Side)>,
}

/// One simulated track; the same seed gives the same track.
pub fn track(film: &Film, seed: u64) -> Filmed {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let normal = |random: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(random) };
    let uniform = |random: &mut ChaCha8Rng| -> f64 { rand::RngExt::random(random) };
    let stay = |random: &mut ChaCha8Rng| -> f64 {
        let drawn: f64 = Exp1.sample(random);
        film.shortest_stay_min + film.further_stay_min * drawn
    };
    let mut side = if uniform(&mut random) < 0.5 { Side::Low } else { Side::High };
    let mut until = stay(&mut random);
    let offset = film.offset_sd * normal(&mut random);
    let fresh = (1.0 - film.noise_correlation.powi(2)).sqrt();
    let mut noise = normal(&mut random);
    let mut filmed = Filmed { frames: Vec::new(), events: Vec::new(), cut_short: Vec::new() };
    let end = f64::from(film.frames);
    for frame in 0..film.frames {
        let minute = f64::from(frame);
        if minute >= until {
            side = if side == Side::High { Side::Low } else { Side::High };
            until = minute + stay(&mut random);
            let whole = end - minute >= film.shortest_stay_min;
            if whole { &mut filmed.events } else { &mut filmed.cut_short }.push((minute, side));
        }
        noise = film.noise_correlation * noise + fresh * normal(&mut random);
        let state = if side == Side::High { film.gap / 2.0 } else { -film.gap / 2.0 };
        if uniform(&mut random) >= film.missing_share {
            filmed.frames.push(LogitAt { minute, logit: state + offset + film.noise_sd * noise });
        }
    }
    filmed
}

/// Events that were found, transitions that were right, and how far off their times are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Matched {
    /// True events.
    pub events: u32,
    /// Reported transitions, without those that pair with a change cut short.
    pub reported: u32,
    /// Pairs of both with the same direction within the tolerance.
    pub matched: u32,
    /// Summed distance in time of the pairs, min.
    pub off_min: f64,
}

impl Matched {
    /// Share of reported transitions that are true; 1 without any.
    pub fn precision(&self) -> f64 {
        if self.reported == 0 { 1.0 } else { f64::from(self.matched) / f64::from(self.reported) }
    }

    /// Share of true events that are reported; 1 without any.
    pub fn recall(&self) -> f64 {
        if self.events == 0 { 1.0 } else { f64::from(self.matched) / f64::from(self.events) }
    }

    /// Adds one track: every change is paired with the nearest free transition of its direction within `tolerance_min`.
    pub fn add(&mut self, filmed: &Filmed, transitions: &[Transition], tolerance_min: f64) {
        let mut free: Vec<&Transition> = transitions.iter().collect();
        let offs: Vec<f64> = filmed.events.iter().filter_map(|event| take(&mut free, event, tolerance_min)).collect();
        let excused = filmed.cut_short.iter().filter_map(|event| take(&mut free, event, tolerance_min)).count();
        self.events += filmed.events.len() as u32;
        self.reported += (transitions.len() - excused) as u32;
        self.matched += offs.len() as u32;
        self.off_min += offs.iter().sum::<f64>();
    }
}

/// Takes the transition nearest to `event` out of `free`; gives their distance, min.
fn take(free: &mut Vec<&Transition>, (minute, side): &(f64, Side), tolerance_min: f64) -> Option<f64> {
    let off = |it: &Transition| (it.minute - minute).abs();
    let fits = free.iter().enumerate().filter(|(_, it)| it.to == *side && off(it) <= tolerance_min);
    let (index, off) = fits.min_by(|a, b| off(a.1).total_cmp(&off(b.1))).map(|(index, it)| (index, off(it)))?;
    free.remove(index);
    Some(off)
}
