//! What a bundle knows about itself beyond the bioimage.io format: `config: cytowatch:` of its `rdf.yaml`.
//!
//! Unknown keys are refused: a misspelt limit must not silently mean "no limit".

use super::super::appearance::AppearanceLimits;
use super::super::architecture::AutoencoderSpec;
use super::super::discriminant::Discriminant;
use super::super::state::StateReading;
use super::super::surroundings::SurroundingsLimits;
use super::super::validity::LatentStatistics;
use crate::cells::CROP_SIDE_PX;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that the daemon and a reader must know about the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Version of cytowatch that wrote the bundle.
    pub software_version: String,
    /// Size of the autoencoder; absent when the networks were made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<AutoencoderSpec>,
    /// How a crop must be made.
    pub crop: CropRule,
    /// Descriptors of the training set.
    pub latent: LatentStatistics,
    /// The discriminant on the raw descriptor.
    pub discriminant: Discriminant,
    /// What changes of state are read from; without it, from the logit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateReading>,
    /// Beyond these a score is withheld.
    #[serde(default)]
    pub validity: ValidityLimits,
    /// What it was trained on.
    pub training: Training,
    /// What was measured, with intervals.
    #[serde(default)]
    pub measured: Vec<Measured>,
}

/// How a crop must be made to mean the same as in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropRule {
    /// Side of the box around the cell, um.
    pub box_um: f64,
    /// Side after resizing, px; always 256.
    pub side_px: usize,
    /// Pixel size of the training frames before resizing, um.
    pub pixel_size_um: f64,
    /// How brightness is scaled.
    pub normalisation: Normalisation,
    /// How the box becomes 256 x 256.
    pub resize: Resize,
}

impl Default for CropRule {
    /// The paper's rule (method.md 5.6-5.7).
    fn default() -> Self {
        Self {
            box_um: 70.5,
            side_px: CROP_SIDE_PX,
            pixel_size_um: 0.325,
            normalisation: Normalisation::MinMaxPerCrop,
            resize: Resize::Bicubic,
        }
    }
}

/// How a crop's brightness is scaled to 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Each crop's darkest pixel becomes 0, its brightest 1.
    MinMaxPerCrop,
}

/// How a box becomes 256 x 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Cubic convolution with a = -0.5 and half-pixel centres.
    Bicubic,
}

/// Beyond these limits a score is withheld; an absent limit never withholds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidityLimits {
    /// Largest Mahalanobis distance of a descriptor to the training set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_limit: Option<f64>,
    /// Largest mean squared difference between a crop and its reconstruction, grey of 0..=1 squared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstruction_limit: Option<f64>,
    /// What crops look like at large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appearance: Option<AppearanceLimits>,
    /// What stands around a cell, and how large the cells of its frame are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surroundings: Option<SurroundingsLimits>,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The data, in a sentence.
    pub data: String,
    /// The cells come from the simulator: whatever the model says, it says about simulated cells.
    pub simulated: bool,
    /// How training and test cells were kept apart, in a sentence.
    pub split: String,
    /// Number of crops.
    pub crop_count: u64,
    /// Number of physical cells.
    pub cell_count: u64,
    /// The command that makes this bundle again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// One measured quality with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Which quantity, for example `auc`.
    pub quantity: String,
    /// What one case is.
    pub unit: Unit,
    /// What was kept out of training, in a sentence.
    pub held_out: String,
    /// The estimate.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// What one case of a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A cell in one frame.
    Frame,
    /// A physical cell over its whole track.
    Cell,
    /// A sample.
    Sample,
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Frame => "frame",
            Self::Cell => "cell",
            Self::Sample => "sample",
        })
    }
}
