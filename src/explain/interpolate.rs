//! From one cell to another through the latent space.

use super::{ExplainError, mean_squared_difference, shown_score};
use crate::cells::Crop;
use crate::infer::{Latent, Model};

/// One picture on the way from A to B.
#[derive(Debug, Clone, PartialEq)]
pub struct Waypoint {
    /// Share of B, 0..=1.
    pub share: f64,
    /// What the decoder draws.
    pub picture: Crop,
    /// Mean squared difference of the picture to crop A, grey of 0..=1 squared.
    pub mse_to_a: f64,
    /// The same to crop B.
    pub mse_to_b: f64,
    /// Euclidean distance to A's descriptor.
    pub distance_to_a: f64,
    /// The same to B's.
    pub distance_to_b: f64,
    /// The score there, `None` when withheld.
    pub score: Option<f64>,
}

/// `l * first + (1 - l) * second`: openLCH's formula, in which `l = 0` gives the second.
pub fn mix(first: &Latent, second: &Latent, l: f64) -> Latent {
    let mut mixed = *first;
    for (value, other) in mixed.iter_mut().zip(second) {
        *value = (l * f64::from(*value) + (1.0 - l) * f64::from(*other)) as f32;
    }
    mixed
}

/// `steps` (at least 2) pictures from `a` to `b`, both included. (openLCH's sequence starts with its second picture: it is
/// this one backwards.)
///
/// # Errors
/// - `too_few_steps`.
/// - As the model's.
pub fn interpolate(model: &mut Model, a: &Crop, b: &Crop, steps: usize) -> Result<Vec<Waypoint>, ExplainError> {
    if steps < 2 {
        return Err(ExplainError::TooFewSteps { steps });
    }
    let (latent_a, latent_b) = (super::latent(model, a)?, super::latent(model, b)?);
    let shares: Vec<f64> = (0..steps).map(|step| step as f64 / (steps - 1) as f64).collect();
    let latents: Vec<Latent> = shares.iter().map(|share| mix(&latent_a, &latent_b, 1.0 - share)).collect();
    let pictures = model.decode(&latents)?;
    let found = shares.into_iter().zip(latents).zip(pictures);
    found
        .map(|((share, latent), picture)| {
            Ok(Waypoint {
                share,
                mse_to_a: mean_squared_difference(&picture, a),
                mse_to_b: mean_squared_difference(&picture, b),
                distance_to_a: euclidean(&latent, &latent_a),
                distance_to_b: euclidean(&latent, &latent_b),
                score: shown_score(&model.judge_latent(&latent)?),
                picture,
            })
        })
        .collect()
}

fn euclidean(one: &Latent, other: &Latent) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}
