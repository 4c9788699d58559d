//! A cell finder's folder: the bioimage.io model format 0.5, as far as it is needed to run a network that finds cells.
//!
//! ```text
//! folder/  rdf.yaml     one input of one channel, one or two outputs, weights: onnx
//!          the ONNX file, and whatever else the format asks for
//! ```
//!
//! | output | meaning |
//! |---|---|
//! | two channels named `inside`, `depth` | logits: the shipped network |
//! | two channels | probabilities of foreground and boundary, whatever they are called: the usual U-Net |
//! | one channel and `n` more (in one output or in two) | probability of a cell and its reach in `n` directions: `StarDist` |
//!
//! How wide a cell is to be in the picture stands under `config: cytowatch: cell_diameter_px`; a folder without it is shown
//! cells 30 px wide. A star network's thresholds are read from `config: stardist: thresholds`, where its exporter puts them.

use super::super::InferError;
use super::super::bundle;
use super::tiles::TILE_PX;
use super::{Axes, Contract, Meaning, Preprocessing};
use crate::cells::rays::RayThresholds;
use crate::cells::working::{Light, View};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// A cell's width when the folder does not say, px.
const DIAMETER_PX: f64 = 30.0;
/// A star network's thresholds when the folder does not say.
const RAY_THRESHOLDS: RayThresholds = RayThresholds { probability: 0.5, overlap: 0.4 };
/// Fewest rays that make a polygon worth the name.
const FEWEST_RAYS: usize = 4;

#[derive(Debug, Deserialize)]
struct Description {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    weights: Weights,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Tensor {
    id: String,
    axes: Vec<Axis>,
    #[serde(default)]
    preprocessing: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Axis {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    channel_names: Vec<String>,
    #[serde(default)]
    size: Option<Size>,
}

/// A least length and the step from there to the next; with other ways of saying it, the network is not used.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Free { min: usize, step: usize },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Step {
    id: String,
    #[serde(default)]
    kwargs: Arguments,
}

#[derive(Debug, Default, Deserialize)]
struct Arguments {
    min_percentile: Option<f64>,
    max_percentile: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Weights {
    onnx: Onnx,
}

#[derive(Debug, Deserialize)]
struct Onnx {
    source: String,
    sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    cytowatch: Own,
    #[serde(default)]
    stardist: Star,
}

#[derive(Debug, Default, Deserialize)]
struct Star {
    thresholds: Option<StarThresholds>,
}

#[derive(Debug, Deserialize)]
struct StarThresholds {
    prob: f32,
    nms: f32,
}

#[derive(Debug, Default, Deserialize)]
struct Own {
    cell_diameter_px: Option<f64>,
}

/// The ONNX file of the folder and how it is to be used.
///
/// # Errors
/// - `bundle_read` when a file is missing, `bundle_hash` when it is another one than described.
/// - `bundle_description` when `rdf.yaml` is not the description of a model with ONNX weights.
/// - `bundle_facts` when the model is none that finds cells.
pub(super) fn read(folder: &Path) -> Result<(Vec<u8>, Contract), InferError> {
    let description: Description = bundle::description(folder)?;
    let contract = contract(&description)?;
    let onnx = &description.weights.onnx;
    Ok((bundle::described_file(folder, &onnx.source, onnx.sha256.as_deref())?, contract))
}

fn contract(description: &Description) -> Result<Contract, InferError> {
    let wrong =
        |problem: &str| InferError::BundleFacts { problem: format!("{problem}: this is no network that finds cells") };
    let [input] = description.inputs.as_slice() else { return Err(wrong("must have one input")) };
    let layout = |tensor: &Tensor| {
        let kinds: Vec<&str> = tensor.axes.iter().map(|axis| axis.kind.as_str()).collect();
        match kinds.as_slice() {
            ["batch", "channel", "space", "space"] => Ok(Axes::ChannelFirst),
            ["batch", "space", "space", "channel"] => Ok(Axes::ChannelLast),
            _ => Err(wrong(&format!("{} must have the axes batch, channel, y, x or batch, y, x, channel", tensor.id))),
        }
    };
    let names = |tensor: &Tensor| -> Vec<String> {
        tensor.axes.iter().filter(|axis| axis.kind == "channel").flat_map(|axis| axis.channel_names.clone()).collect()
    };
    if names(input).len() != 1 {
        return Err(wrong("must have one channel in"));
    }
    let outputs =
        description.outputs.iter().map(|output| Ok((output.id.clone(), layout(output)?, names(output).len())));
    let outputs: Vec<(String, Axes, usize)> = outputs.collect::<Result<_, InferError>>()?;
    let channels: Vec<usize> = outputs.iter().map(|(.., channels)| *channels).collect();
    let is_own = description.outputs.first().is_some_and(|output| names(output) == ["inside", "depth"]);
    let meaning = match channels.as_slice() {
        [2] if is_own => Meaning::InsideDepth,
        [2] => Meaning::ForegroundBoundary,
        [all] if *all > FEWEST_RAYS => Meaning::Rays(all - 1, thresholds(&description.config.stardist)),
        [1, rays] if *rays >= FEWEST_RAYS => Meaning::Rays(*rays, thresholds(&description.config.stardist)),
        _ => return Err(wrong("must have two channels out, or a probability and rays")),
    };
    let diameter_px = description.config.cytowatch.cell_diameter_px.unwrap_or(DIAMETER_PX);
    if !(4.0..=400.0).contains(&diameter_px) {
        return Err(wrong("cell_diameter_px must lie within 4..400"));
    }
    Ok(Contract {
        input: (input.id.clone(), layout(input)?),
        outputs,
        view: View { diameter_px, light: if is_own { Light::Contrast } else { Light::Relative } },
        preprocessing: preprocessing(&input.preprocessing)
            .map_err(|id| wrong(&format!("preprocessing {id} is unknown")))?,
        meaning,
        multiple_px: multiple(&input.axes).ok_or_else(|| wrong("takes pictures of one size only"))?,
    })
}

fn thresholds(star: &Star) -> RayThresholds {
    let said = star.thresholds.as_ref().map(|said| RayThresholds { probability: said.prob, overlap: said.nms });
    said.unwrap_or(RAY_THRESHOLDS)
}

/// The one preprocessing that changes numbers; the error is the id that is not known.
fn preprocessing(steps: &[Step]) -> Result<Preprocessing, String> {
    let mut found = Preprocessing::None;
    for step in steps {
        found = match step.id.as_str() {
            "ensure_dtype" => found,
            "zero_mean_unit_variance" => Preprocessing::ZeroMeanUnitVariance,
            "scale_range" => Preprocessing::Percentiles(
                step.kwargs.min_percentile.unwrap_or(0.0).clamp(0.0, 100.0),
                step.kwargs.max_percentile.unwrap_or(100.0).clamp(0.0, 100.0),
            ),
            other => return Err(other.to_owned()),
        };
    }
    Ok(found)
}

/// The length whose multiples the picture's sides may be: a divisor of the tile's side.
fn multiple(axes: &[Axis]) -> Option<usize> {
    let allowed = |multiple: usize| multiple > 0 && TILE_PX.is_multiple_of(multiple);
    axes.iter().filter(|axis| axis.kind == "space").try_fold(1_usize, |so_far, axis| {
        let own = match axis.size.as_ref()? {
            // Sides of min + n * step are multiples of the step when min is one.
            Size::Free { min, step } if min.is_multiple_of((*step).max(1)) => (*step).max(1),
            Size::Free { .. } | Size::Other(_) => return None,
        };
        let multiple = so_far.max(own);
        (allowed(multiple) && multiple.is_multiple_of(so_far) && multiple.is_multiple_of(own)).then_some(multiple)
    })
}
