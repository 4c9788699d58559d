//! Alignment of a day on a reference sample that was filmed that day and once before.

use super::{DayMeans, FovLatents};
use crate::infer::{LATENT_LEN, Latent};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Fewer cells of the reference sample than this, on either day, move descriptors more by chance than by drift.
const FEWEST_CELLS: u64 = 40;

/// Why a day cannot be aligned.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AlignError {
    /// Too few cells of the reference sample.
    #[error("the reference sample has {cells} cells on {day}: at least {FEWEST_CELLS} are needed to align")]
    TooFewCells {
        /// `today` or `the reference day`.
        day: &'static str,
        /// How many there are.
        cells: u64,
    },
    /// Too few fields of the reference sample.
    #[error("the reference sample fills one field of view on {day}: at least two are needed to align")]
    TooFewFields {
        /// `today` or `the reference day`.
        day: &'static str,
    },
}

impl AlignError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFewCells { .. } => "align_too_few_cells",
            Self::TooFewFields { .. } => "align_too_few_fields",
        }
    }
}

/// A shift per feature that brings a day's descriptors to where the reference sample lay before.
///
/// Only the mean is moved: with some hundred cells, a scale per feature or a rotation would bring more noise than it takes
/// away. Each shift is shrunk by how sure it is (variance of the shift over variance plus its squared error), so that features
/// that did not drift stay where they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// What is added to each feature, 56.
    pub shift: Vec<f64>,
}

impl Alignment {
    /// The alignment for today from the reference sample's fields today and on the reference day.
    ///
    /// # Errors
    /// - [`AlignError::TooFewCells`]: fewer than 40 cells on either day;
    /// - [`AlignError::TooFewFields`]: a single field of view on either day.
    pub fn fit(today: &[FovLatents], before: &[FovLatents]) -> Result<Self, AlignError> {
        let means = |fovs: &[FovLatents], day: &'static str| {
            let cells = fovs.iter().map(FovLatents::count).sum();
            if cells < FEWEST_CELLS {
                return Err(AlignError::TooFewCells { day, cells });
            }
            DayMeans::of(fovs).ok_or(AlignError::TooFewFields { day })
        };
        let (now, then) = (means(today, "today")?, means(before, "the reference day")?);
        let shifts: Vec<(f64, f64)> = (now.mean.iter().zip(&now.mean_error))
            .zip(then.mean.iter().zip(&then.mean_error))
            .map(|((now, now_error), (then, then_error))| (then - now, now_error.hypot(*then_error)))
            .collect();
        Ok(Self { shift: shifts.into_iter().map(|(shift, error)| shrunk(shift, error)).collect() })
    }

    /// The descriptor as it would have been on the reference day.
    pub fn apply(&self, latent: &Latent) -> Latent {
        let mut aligned = *latent;
        for (value, shift) in aligned.iter_mut().zip(&self.shift) {
            *value = (f64::from(*value) + shift) as f32;
        }
        aligned
    }

    /// What the alignment adds to every logit of a discriminant with these 56 weights: it is linear, so stored logits need
    /// no descriptors to be aligned.
    pub fn logit_shift(&self, weights: &[f64]) -> f64 {
        weights.iter().zip(&self.shift).map(|(weight, shift)| weight * shift).sum()
    }

    /// No shift at all.
    pub fn none() -> Self {
        Self { shift: vec![0.0; LATENT_LEN] }
    }
}

/// The part of a shift that is not its own error (positive-part shrinkage).
fn shrunk(shift: f64, error: f64) -> f64 {
    let signal = (shift * shift - error * error).max(0.0);
    if signal > 0.0 { shift * signal / (signal + error * error) } else { 0.0 }
}
