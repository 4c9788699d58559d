//! What a feature looks like: its value shifted in steps, decoded (method.md 10.2).
//!
//! The unshifted column is there, and differences are taken to it, which is the reconstruction: what the autoencoder blurs
//! is blurred in both and cancels.

use super::{ExplainError, shown_score};
use crate::cells::Crop;
use crate::infer::{LATENT_LEN, Latent, Model};

/// One shift of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    /// Added to the feature, in standard deviations of the training set.
    pub shift: f64,
    /// What the decoder draws.
    pub picture: Crop,
    /// Where the picture is brighter than the reconstruction, by how much, 0..=1.
    pub brighter: Crop,
    /// Mean of the absolute difference to the reconstruction, grey of 0..=1.
    pub mean_difference: f64,
    /// Log odds of "high" there.
    pub logit: f64,
    /// The score there, `None` when withheld: far shifts leave the model's domain.
    pub score: Option<f64>,
}

/// Shifts from `-reach` to `reach` in steps of `step`, 0 among them.
///
/// # Errors
/// `shifts` when either is not a positive number, or there would be more than a thousand.
pub fn shifts(reach: f64, step: f64) -> Result<Vec<f64>, ExplainError> {
    let count = (reach / step + 1e-9).floor();
    if !(step > 0.0 && (1.0..=500.0).contains(&count)) {
        return Err(ExplainError::Shifts { reach, step });
    }
    let count = count as i32;
    Ok((-count..=count).map(|number| f64::from(number) * step).collect())
}

/// Shifts `feature` (1..=56) of the descriptor `latent` by each of `shifts`.
///
/// # Errors
/// - `feature` when there is no such feature.
/// - As the model's.
pub fn traverse(
    model: &mut Model,
    latent: &Latent,
    feature: usize,
    shifts: &[f64],
) -> Result<Vec<Shift>, ExplainError> {
    let shifted: Vec<Latent> = shifts.iter().map(|shift| moved(latent, feature, *shift)).collect::<Result<_, _>>()?;
    let reconstruction = model.decode(&[*latent])?;
    let pictures = model.decode(&shifted)?;
    let mut found = Vec::with_capacity(shifts.len());
    for ((shift, latent), picture) in shifts.iter().zip(&shifted).zip(pictures) {
        let inference = model.judge_latent(latent)?;
        let reconstruction = reconstruction.iter().flat_map(Crop::pixels);
        let differences: Vec<f32> = picture.pixels().iter().zip(reconstruction).map(|(new, old)| new - old).collect();
        let total: f64 = differences.iter().map(|difference| f64::from(difference.abs())).sum();
        let brighter = differences.iter().map(|difference| difference.max(0.0)).collect();
        found.push(Shift {
            shift: *shift,
            mean_difference: total / differences.len().max(1) as f64,
            brighter: Crop::new(brighter).ok_or(ExplainError::Decoder)?,
            logit: inference.logit,
            score: shown_score(&inference),
            picture,
        });
    }
    Ok(found)
}

/// `latent` with `shift` added to `feature` (1..=56).
fn moved(latent: &Latent, feature: usize, shift: f64) -> Result<Latent, ExplainError> {
    let mut moved = *latent;
    let value = feature.checked_sub(1).and_then(|index| moved.get_mut(index));
    *value.ok_or(ExplainError::Feature { feature, last: LATENT_LEN })? += shift as f32;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_even_symmetric_and_include_none() {
        let found = shifts(3.5, 0.5).unwrap();
        assert_eq!((found.len(), found[0], found[7], found[14]), (15, -3.5, 0.0, 3.5));
        assert_eq!(shifts(1.0, 0.1).unwrap().len(), 21, "rounding loses no step");
        for (reach, step) in [(1.0, 0.0), (1.0, -0.5), (0.4, 0.5), (f64::NAN, 0.5), (1.0, f64::NAN), (1e9, 0.5)] {
            assert_eq!(shifts(reach, step).unwrap_err().code(), "shifts", "{reach} {step}");
        }
    }

    #[test]
    fn without_the_unshifted_column_they_are_openlchs() {
        // Method.md 7 and 13: uR 0.5 and numSteps 8 give two rows of every step, for 56 features.
        let ours = shifts(8.0 * 0.5, 0.5).unwrap();
        let mut theirs: Vec<f64> = (1..=8_u8).flat_map(|k| [-0.5 * f64::from(k), 0.5 * f64::from(k)]).collect();
        theirs.sort_by(f64::total_cmp);
        let shifted: Vec<f64> = ours.iter().copied().filter(|shift| shift.abs() > 0.0).collect();
        assert_eq!((shifted.as_slice(), ours.len()), (theirs.as_slice(), shifted.len() + 1));
        assert_eq!(shifted.len() * LATENT_LEN, 2 * 8 * 56);
    }

    #[test]
    fn only_the_named_feature_moves() {
        let latent: Latent = [0.5; LATENT_LEN];
        let moved = moved(&latent, 56, -3.5).unwrap();
        assert!((moved[55] + 3.0).abs() < 1e-6);
        assert_eq!(moved[..55], latent[..55]);
        for feature in [0, 57] {
            assert_eq!(super::moved(&latent, feature, 1.0).unwrap_err().code(), "feature");
        }
    }
}
