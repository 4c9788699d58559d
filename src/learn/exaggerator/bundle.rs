//! The trained exaggerator as a folder in the bioimage.io model format.

use super::SIDE_PX;
use super::pair::Pair;
use crate::infer::bundle::sha256_hex;
use crate::infer::npy::{self, Tensor};
use crate::infer::onnx_graph::OPSET;
use crate::infer::onnx_graph::unet::{ADDED_OUT, TOLD_IN};
use crate::infer::pictures::PictureNetwork;
use crate::infer::unet::{ADDED, TOLD};
use crate::infer::{EngineChoice, InferSettings};
use crate::learn::finder::bundle::axes;
use crate::learn::parameters::generator;
use anyhow::Context as _;
use std::path::Path;

/// The network's file.
const NETWORK: &str = "exaggerator.onnx";
const CARD: &str = "README.md";
const TEST_TOLD: &str = "test_told.npy";
const TEST_ADDED: &str = "test_added.npy";
/// The network halves its picture twice.
const MULTIPLE: usize = 4;

/// Writes the network `onnx` into `folder` (made when absent), with what it gives for a part of `pair` and with the model card
/// `card`; `rdf.yaml` comes last.
///
/// # Errors
/// When the network does not run or a file cannot be written.
pub fn write(folder: &Path, onnx: &[u8], pair: &Pair, largest_amount: f64, card: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make folder {}", folder.display()))?;
    let builtin = InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() };
    let network = PictureNetwork::open(onnx.to_vec(), (TOLD_IN, &[ADDED_OUT]), &builtin)?;
    let side = SIDE_PX / 2;
    let told = pair.sample(SIDE_PX, &mut generator(0, 999)).0;
    let added = network.run([1, TOLD, side, side], &told)?.concat();
    let tensor =
        |channels: usize, values: Vec<f32>| npy::to_bytes(&Tensor { shape: vec![1, channels, side, side], values });
    let files = [
        (NETWORK, onnx.to_vec()),
        (TEST_TOLD, tensor(TOLD, told)),
        (TEST_ADDED, tensor(ADDED, added)),
        (CARD, card.as_bytes().to_vec()),
    ];
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
    };
    for (name, bytes) in &files {
        write(name, bytes)?;
    }
    let [network, test_told, test_added, _] = files.map(|(_, bytes)| sha256_hex(&bytes));
    let version = env!("CARGO_PKG_VERSION");
    let corners = ["upper_left", "upper_right", "lower_left", "lower_right"];
    let named = |suffix: &str| corners.map(|corner| format!("{corner}{suffix}")).join(", ");
    let (times_protrusions, times_granules) = (named("_times_protrusions"), named("_times_granules"));
    let channels = format!("{}, {times_protrusions}, {times_granules}, protrusions, granules", named(""));
    let axes_in = axes(&channels, |_| format!("{{min: {MULTIPLE}, step: {MULTIPLE}}}"));
    let axes_out = axes(&named(""), |axis| format!("{{tensor_id: {TOLD_IN}, axis_id: {axis}}}"));
    let rdf = format!(
        "type: model
format_version: 0.5.4
name: cytowatch exaggerator
description: Draws a cell in phase contrast with longer or shorter pseudopods and denser or fainter granules; a small U-Net
version: {version}
authors:
- name: cytowatch maintainers
license: MIT
tags: [phase-contrast, label-free, cells, counterfactual, unet, 2d]
documentation: {CARD}
inputs:
- id: {TOLD_IN}
  description: Logarithms of relative light, the four pixels of 2 x 2 in channels; these times either amount; the amounts
{axes_in}  test_tensor: {{source: {TEST_TOLD}, sha256: {test_told}}}
outputs:
- id: {ADDED_OUT}
  description: What is to be added to the logarithms of those four pixels
{axes_out}  test_tensor: {{source: {TEST_ADDED}, sha256: {test_added}}}
weights:
  onnx:
    source: {NETWORK}
    sha256: {network}
    opset_version: {OPSET}
config:
  cytowatch:
    largest_amount: {largest_amount:?}
"
    );
    write("rdf.yaml", rdf.as_bytes())
}
