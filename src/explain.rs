//! What the model sees in a cell: pictures and numbers from a bundle and crops, without a display or a question asked.
//!
//! Takes a loaded [`Model`] and crops, gives sequences of decoded pictures with scores: a cell and its reconstruction
//! ([`reconstruct`]), the way from one cell to another ([`mod@interpolate`]), a cell with one feature exaggerated, decoded
//! ([`mod@traverse`]) and on its own picture ([`mod@exaggerate`]), and which feature is worth it ([`mod@rank`]). A decoded
//! picture shows what the decoder learned, not a cell: where the score is withheld, it is a picture of nothing.

pub mod drivers;
pub mod exaggerate;
pub mod hallmarks;
pub mod interpolate;
pub mod page;
pub mod rank;
pub mod references;
pub mod story;
pub mod strip;
pub mod traverse;

use crate::cells::{CROP_SIDE_PX, Crop};
use crate::infer::{InferError, Inference, Latent, Model};
use crate::picture::{self, PictureError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// No crop file is larger than this when decoded, bytes.
const LARGEST_CROP_BYTES: u64 = 16 << 20;

/// Why something could not be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// A crop file cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A crop file is no picture.
    #[error("decode {path}: must be a PNG")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PictureError,
    },
    /// A picture is not a crop.
    #[error(
        "{path} is {width_px} x {height_px} px: a crop is 256 x 256, cut and scaled as the bundle's crop rule says"
    )]
    NotACrop {
        /// The file.
        path: PathBuf,
        /// Its width.
        width_px: usize,
        /// Its height.
        height_px: usize,
    },
    /// A result cannot be drawn.
    #[error("draw the result")]
    Picture(#[from] PictureError),
    /// A way needs its two ends.
    #[error("{steps} steps are too few: at least 2")]
    TooFewSteps {
        /// As asked for.
        steps: usize,
    },
    /// Shifts that cannot be.
    #[error("shifts up to {reach} in steps of {step}: both must be positive, with at most 1001 shifts")]
    Shifts {
        /// The largest shift.
        reach: f64,
        /// From one to the next.
        step: f64,
    },
    /// No such latent feature.
    #[error("feature {feature}: there are 1 to {last}")]
    Feature {
        /// As asked for.
        feature: usize,
        /// How many there are.
        last: usize,
    },
    /// Reference cells that cannot be used.
    #[error("{path}: {problem}")]
    References {
        /// The table.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Reference cells cannot be written.
    #[error("write {path}")]
    ReferenceWrite {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The decoder gave something else than a picture.
    #[error("the decoder gave no 256 x 256 picture")]
    Decoder,
    /// The model failed.
    #[error(transparent)]
    Infer(#[from] InferError),
}

impl ExplainError {
    /// Stable name for logs and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "crop_read",
            Self::Decode { .. } => "crop_decode",
            Self::NotACrop { .. } => "not_a_crop",
            Self::Picture(_) => "picture",
            Self::TooFewSteps { .. } => "too_few_steps",
            Self::Shifts { .. } => "shifts",
            Self::Feature { .. } => "feature",
            Self::References { .. } => "references",
            Self::ReferenceWrite { .. } => "reference_write",
            Self::Decoder => "decoder",
            Self::Infer(error) => error.code(),
        }
    }
}

/// A cell, what the decoder makes of its descriptor, and how far they are apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction {
    /// What the decoder draws.
    pub picture: Crop,
    /// Mean squared difference to the crop, grey of 0..=1 squared.
    pub mse: f64,
    /// What the model says about the crop.
    pub inference: Inference,
}

/// Reconstructs each of `crops`.
///
/// # Errors
/// As the model's.
pub fn reconstruct(model: &mut Model, crops: &[Crop]) -> Result<Vec<Reconstruction>, ExplainError> {
    let inferences = model.describe(crops)?;
    let latents: Vec<Latent> = inferences.iter().map(|inference| inference.latent).collect();
    let pictures = model.decode(&latents)?;
    let found = crops.iter().zip(pictures).zip(inferences);
    Ok(found
        .map(|((crop, picture), inference)| Reconstruction {
            mse: mean_squared_difference(&picture, crop),
            picture,
            inference,
        })
        .collect())
}

/// The descriptor of one crop.
///
/// # Errors
/// As the model's.
pub fn latent(model: &mut Model, crop: &Crop) -> Result<Latent, ExplainError> {
    let described = model.describe(std::slice::from_ref(crop))?;
    described.first().map(|inference| inference.latent).ok_or(ExplainError::Decoder)
}

/// Reads a crop from a PNG of 256 x 256 gray pixels; full scale becomes 1.
///
/// # Errors
/// `crop_read`, `crop_decode`, `not_a_crop`.
pub fn read_crop(path: &Path) -> Result<Crop, ExplainError> {
    let bytes = fs::read(path).map_err(|source| ExplainError::Read { path: path.to_owned(), source })?;
    let plane = picture::decode_gray(&bytes, LARGEST_CROP_BYTES)
        .map_err(|source| ExplainError::Decode { path: path.to_owned(), source })?;
    let (width_px, height_px) = (plane.width_px(), plane.height_px());
    let values = plane.counts().iter().map(|count| count / plane.full_scale_counts()).collect();
    let crop = if width_px == CROP_SIDE_PX { Crop::new(values) } else { None };
    crop.ok_or_else(|| ExplainError::NotACrop { path: path.to_owned(), width_px, height_px })
}

/// Mean squared difference of two pictures.
pub fn mean_squared_difference(one: &Crop, other: &Crop) -> f64 {
    let squares = one.pixels().iter().zip(other.pixels()).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>() / one.pixels().len() as f64
}

/// The score, unless it is withheld.
pub fn shown_score(inference: &Inference) -> Option<f64> {
    inference.withheld.is_none().then_some(inference.score)
}
