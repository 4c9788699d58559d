//! From a latent descriptor to the score: a linear discriminant on the raw descriptor.
//!
//! `logit = w.z + b`, `score = sigmoid(logit)`: the posterior of "high", 0..1, high = 1. Because it is linear, the score
//! of a track's mean descriptor is the sigmoid of its mean logit.

use super::{LATENT_LEN, Latent};
use serde::{Deserialize, Serialize};

/// The fitted discriminant of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminant {
    /// One per latent feature, 56.
    #[serde(serialize_with = "super::bundle::in_one_line")]
    pub weights: Vec<f64>,
    /// Added to the weighted sum.
    pub bias: f64,
}

impl Discriminant {
    /// 56 weights and a bias, all finite.
    pub fn is_sound(&self) -> bool {
        self.weights.len() == LATENT_LEN && self.weights.iter().chain([&self.bias]).all(|number| number.is_finite())
    }

    /// Log odds of "high": positive means high.
    pub fn logit(&self, latent: &Latent) -> f64 {
        let products = self.weights.iter().zip(latent).map(|(weight, feature)| weight * f64::from(*feature));
        products.sum::<f64>() + self.bias
    }
}

/// The score of a logit: the posterior of "high", 0..=1. Infinite logits give 0 and 1.
pub fn score(logit: f64) -> f64 {
    // Each branch raises e to a negative power only, so nothing overflows.
    if logit >= 0.0 {
        1.0 / (1.0 + (-logit).exp())
    } else {
        let odds = logit.exp();
        odds / (1.0 + odds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_a_sigmoid_that_never_leaves_its_range() {
        assert!((score(0.0) - 0.5).abs() < 1e-15);
        assert!((score(2.0) - 0.880_797_077_977_882_4).abs() < 1e-15);
        for logit in [-1e300, -800.0, -3.0, 0.1, 50.0, 1e300] {
            assert!((0.0..=1.0).contains(&score(logit)), "{logit}");
            assert!((score(logit) + score(-logit) - 1.0).abs() < 1e-15, "{logit}");
        }
    }

    #[test]
    fn the_logit_is_linear_in_the_descriptor() {
        let discriminant = Discriminant { weights: (0..56).map(|i| f64::from(i) / 10.0).collect(), bias: -0.5 };
        let (mut one, mut two): (Latent, Latent) = ([0.25; LATENT_LEN], [0.0; LATENT_LEN]);
        one[7] = -3.0;
        two[55] = 2.0;
        let mean: Latent = std::array::from_fn(|i| f32::midpoint(one[i], two[i]));
        let mean_logit = f64::midpoint(discriminant.logit(&one), discriminant.logit(&two));
        assert!((discriminant.logit(&mean) - mean_logit).abs() < 1e-12);
        assert!(discriminant.is_sound());
        assert!(!Discriminant { weights: vec![0.0; 55], bias: 0.0 }.is_sound());
        assert!(!Discriminant { weights: vec![f64::NAN; 56], bias: 0.0 }.is_sound());
    }
}
