//! What changes of a cell's state are read from: its score and its two hallmarks in one frame, as one number.
//!
//! The discriminant was made to part cells by their means over a film. What else moves a score within a film (the way a cell lies,
//! its neighbours, focus) it was not made to see through; the hallmarks, measured on the outline, err otherwise. A sum of both whose
//! weights were fitted on films with known states follows a cell better than either (`docs/calls.md`). It moves no score and no call.

use crate::cells::Shape;
use serde::{Deserialize, Serialize};

/// Weights of that sum; lengths in um, scattering in um2, under natural logarithms of one and the figure.
///
/// The sum is on the scale of the logit: over cells both have the same mean and spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateReading {
    /// Of the discriminant's logit.
    pub logit: f64,
    /// Of the number of protrusions.
    pub ln_protrusion_count: f64,
    /// Of their summed length.
    pub ln_protrusion_total_um: f64,
    /// Of the longest.
    pub ln_protrusion_longest_um: f64,
    /// Of the scattering.
    pub ln_scattering: f64,
    /// Added.
    pub offset: f64,
}

impl Default for StateReading {
    /// The logit and nothing else: of bundles that were not fitted on films.
    fn default() -> Self {
        Self {
            logit: 1.0,
            ln_protrusion_count: 0.0,
            ln_protrusion_total_um: 0.0,
            ln_protrusion_longest_um: 0.0,
            ln_scattering: 0.0,
            offset: 0.0,
        }
    }
}

impl StateReading {
    /// Figures that are weighed.
    pub const TERMS: usize = 5;

    /// What is weighed, in the order of [`StateReading::new`].
    pub fn terms(logit: f64, shape: &Shape) -> [f64; Self::TERMS] {
        let hallmarks = [
            f64::from(shape.protrusion_count),
            shape.protrusion_total_um,
            shape.protrusion_longest_um,
            shape.scattering,
        ];
        let [count, total, longest, scattering] = hallmarks.map(|it| it.max(0.0).ln_1p());
        [logit, count, total, longest, scattering]
    }

    /// With these weights.
    pub fn new(weights: [f64; Self::TERMS], offset: f64) -> Self {
        let [logit, count, total, longest, ln_scattering] = weights;
        Self {
            logit,
            ln_protrusion_count: count,
            ln_protrusion_total_um: total,
            ln_protrusion_longest_um: longest,
            ln_scattering,
            offset,
        }
    }

    /// The weights, in the order of [`StateReading::new`].
    pub fn weights(&self) -> [f64; Self::TERMS] {
        [
            self.logit,
            self.ln_protrusion_count,
            self.ln_protrusion_total_um,
            self.ln_protrusion_longest_um,
            self.ln_scattering,
        ]
    }

    /// The sum for one frame of a cell.
    pub fn read(&self, logit: f64, shape: &Shape) -> f64 {
        let products = self.weights().into_iter().zip(Self::terms(logit, shape)).map(|(weight, term)| weight * term);
        products.sum::<f64>() + self.offset
    }

    /// All numbers finite.
    pub fn is_sound(&self) -> bool {
        self.weights().iter().all(|it| it.is_finite()) && self.offset.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_weights_the_logit_is_read() {
        let shape = Shape { protrusion_count: 3, protrusion_total_um: 20.0, scattering: 5.0, ..Shape::default() };
        assert!((StateReading::default().read(-0.7, &shape) + 0.7).abs() < 1e-12);
    }

    #[test]
    fn every_term_has_its_own_weight() {
        let shape = Shape {
            protrusion_count: 3,
            protrusion_total_um: 20.0,
            protrusion_longest_um: 9.0,
            scattering: 5.0,
            ..Shape::default()
        };
        let reading = StateReading::new([2.0, 3.0, 5.0, 7.0, 11.0], 0.5);
        let by_hand = -1.4 + 3.0 * 4_f64.ln() + 5.0 * 21_f64.ln() + 7.0 * 10_f64.ln() + 11.0 * 6_f64.ln() + 0.5;
        assert!((reading.read(-0.7, &shape) - by_hand).abs() < 1e-12);
        let yaml = serde_json::to_string(&reading).unwrap();
        assert_eq!(serde_json::from_str::<StateReading>(&yaml).unwrap(), reading);
    }
}
