//! `rdf.yaml` in the bioimage.io model format 0.5, as far as a bundle uses it.
//!
//! The encoder is the model that any bioimage.io tool runs; the decoder and its test tensor are attachments. Keys of the
//! format that we do not use may be there and are ignored; those below must be.

use super::super::onnx_graph::{CROP, LATENT, OPSET};
use super::super::{InferError, LATENT_LEN};
use super::facts::{CropRule, Facts};
use crate::cells::CROP_SIDE_PX;
use serde::{Deserialize, Serialize};

/// Version of the bioimage.io model format that we write.
pub(super) const FORMAT_VERSION: &str = "0.5.4";

/// Who made a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Author {
    /// Full name.
    pub name: String,
}

/// What a model builds upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The reference in words.
    pub text: String,
    /// Its DOI.
    pub doi: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rdf {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) format_version: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) authors: Vec<Author>,
    #[serde(default)]
    pub(super) cite: Vec<Citation>,
    #[serde(default)]
    pub(super) license: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) documentation: String,
    pub(super) inputs: Vec<TensorDescription>,
    pub(super) outputs: Vec<TensorDescription>,
    pub(super) weights: Weights,
    pub(super) attachments: Vec<FileDescription>,
    pub(super) config: Config,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) cytowatch: Facts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileDescription {
    pub(super) source: String,
    pub(super) sha256: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Weights {
    pub(super) onnx: OnnxWeights,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OnnxWeights {
    pub(super) source: String,
    pub(super) sha256: String,
    pub(super) opset_version: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TensorDescription {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) axes: Vec<Axis>,
    pub(super) data: DataDescription,
    pub(super) test_tensor: FileDescription,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DataDescription {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Axis {
    Batch {},
    Channel { channel_names: Vec<String> },
    Space { id: String, size: usize, scale: f64, unit: String },
    Index { id: String, size: usize },
}

/// The encoder's input.
pub(super) fn crop_tensor(rule: &CropRule, test_tensor: FileDescription) -> TensorDescription {
    let axis = |id: &str| Axis::Space {
        id: id.to_owned(),
        size: CROP_SIDE_PX,
        scale: rule.box_um / rule.side_px as f64,
        unit: "micrometer".to_owned(),
    };
    TensorDescription {
        id: CROP.to_owned(),
        description: "Phase-contrast box around one cell, scaled to 0..1 by its own darkest and brightest pixel"
            .to_owned(),
        axes: vec![Axis::Batch {}, Axis::Channel { channel_names: vec!["phase".to_owned()] }, axis("y"), axis("x")],
        data: DataDescription { kind: "float32".to_owned() },
        test_tensor,
    }
}

/// The encoder's output.
pub(super) fn latent_tensor(test_tensor: FileDescription) -> TensorDescription {
    TensorDescription {
        id: LATENT.to_owned(),
        description: "Latent descriptor, about N(0, 1) per feature on the training set".to_owned(),
        axes: vec![Axis::Batch {}, Axis::Index { id: "feature".to_owned(), size: LATENT_LEN }],
        data: DataDescription { kind: "float32".to_owned() },
        test_tensor,
    }
}

/// The encoder's weights.
pub(super) fn encoder_weights(file: FileDescription) -> Weights {
    Weights { onnx: OnnxWeights { source: file.source, sha256: file.sha256, opset_version: OPSET } }
}

impl Rdf {
    /// Checks what the types do not: that it is our kind of model, with one input and one output.
    pub(super) fn check(&self) -> Result<(&TensorDescription, &TensorDescription), InferError> {
        let wrong = |problem: String| Err(InferError::BundleFacts { problem });
        if self.kind != "model" || !self.format_version.starts_with("0.5.") {
            return wrong(format!("type {} format_version {}, must be model 0.5.x", self.kind, self.format_version));
        }
        let rule = &self.config.cytowatch.crop;
        let lengths = [rule.box_um, rule.pixel_size_um];
        if rule.side_px != CROP_SIDE_PX || !lengths.iter().all(|length| length.is_finite() && *length > 0.0) {
            return wrong(format!("crop rule must have side_px {CROP_SIDE_PX} and positive lengths"));
        }
        match (self.inputs.as_slice(), self.outputs.as_slice()) {
            ([input], [output]) if input.id == CROP && output.id == LATENT => Ok((input, output)),
            _ => wrong(format!("must have the one input {CROP} and the one output {LATENT}")),
        }
    }
}
