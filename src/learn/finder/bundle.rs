//! The trained cell finder as a folder in the bioimage.io model format.

use super::SIDE_PX;
use crate::cells::working::NETWORK_DIAMETER_PX;
use crate::infer::bundle::sha256_hex;
use crate::infer::npy::{self, Tensor};
use crate::infer::onnx_graph::OPSET;
use crate::infer::onnx_graph::unet::{MAPS_OUT, PICTURE};
use crate::infer::pictures::PictureNetwork;
use crate::infer::unet::{MAPS, MULTIPLE_PX};
use crate::infer::{EngineChoice, InferSettings};
use anyhow::Context as _;
use std::path::Path;

/// The network's file.
const NETWORK: &str = "finder.onnx";
const CARD: &str = "README.md";
const TEST_PICTURE: &str = "test_picture.npy";
const TEST_MAPS: &str = "test_maps.npy";

/// The ONNX file of a folder that [`write`] made.
///
/// # Errors
/// When it cannot be read.
pub fn read(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(NETWORK);
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Writes the network `onnx` into `folder` (made when absent), with what it gives for `picture` (`[96, 96]`) and with the
/// model card `card`; `rdf.yaml` comes last.
///
/// # Errors
/// When the network does not run or a file cannot be written.
pub fn write(folder: &Path, onnx: &[u8], picture: &[f32], card: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make folder {}", folder.display()))?;
    let builtin = InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() };
    let network = PictureNetwork::open(onnx.to_vec(), (PICTURE, &[MAPS_OUT]), &builtin)?;
    let maps = network.run([1, 1, SIDE_PX, SIDE_PX], picture)?.concat();
    let tensor = |channels: usize, values: Vec<f32>| {
        npy::to_bytes(&Tensor { shape: vec![1, channels, SIDE_PX, SIDE_PX], values })
    };
    let files = [
        (NETWORK, onnx.to_vec()),
        (TEST_PICTURE, tensor(1, picture.to_vec())),
        (TEST_MAPS, tensor(MAPS, maps)),
        (CARD, card.as_bytes().to_vec()),
    ];
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
    };
    for (name, bytes) in &files {
        write(name, bytes)?;
    }
    let [network, test_picture, test_maps, _] = files.map(|(_, bytes)| sha256_hex(&bytes));
    let version = env!("CARGO_PKG_VERSION");
    let free = format!("{{min: {MULTIPLE_PX}, step: {MULTIPLE_PX}}}");
    let axes_in = axes("phase", |_| free.clone());
    let axes_out = axes("inside, depth", |axis| format!("{{tensor_id: {PICTURE}, axis_id: {axis}}}"));
    let rdf = format!(
        "type: model
format_version: 0.5.4
name: cytowatch cell finder
description: Finds cells in phase-contrast frames of any instrument; a small U-Net
version: {version}
authors:
- name: cytowatch maintainers
license: MIT
tags: [phase-contrast, label-free, cells, segmentation, unet, 2d]
documentation: {CARD}
inputs:
- id: {PICTURE}
  description: Logarithm of relative light without its slow part, divided by the strength of the frame's structures
{axes_in}  test_tensor: {{source: {TEST_PICTURE}, sha256: {test_picture}}}
outputs:
- id: {MAPS_OUT}
  description: Logit that a pixel is inside a cell, logit of its depth in its cell
{axes_out}  test_tensor: {{source: {TEST_MAPS}, sha256: {test_maps}}}
weights:
  onnx:
    source: {NETWORK}
    sha256: {network}
    opset_version: {OPSET}
config:
  cytowatch:
    cell_diameter_px: {NETWORK_DIAMETER_PX:?}
"
    );
    write("rdf.yaml", rdf.as_bytes())
}

/// The axes of a tensor of pictures as they stand in `rdf.yaml`; `size` says how long `y` and `x` are.
pub(in crate::learn) fn axes(channels: &str, size: impl Fn(&str) -> String) -> String {
    format!(
        "  axes:
  - type: batch
  - type: channel
    channel_names: [{channels}]
  - {{type: space, id: y, size: {}}}
  - {{type: space, id: x, size: {}}}
  data: {{type: float32}}
",
        size("y"),
        size("x")
    )
}
