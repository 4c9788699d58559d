//! A trained U-Net as a folder in the bioimage.io model format.

use crate::infer::bundle::{RDF, sha256_hex};
use crate::infer::npy::{self, Tensor};
use crate::infer::onnx_graph::OPSET;
use crate::infer::pictures::PictureNetwork;
use crate::infer::{EngineChoice, InferSettings};
use anyhow::Context as _;
use std::path::Path;

const CARD: &str = "README.md";

/// What goes into a network, or comes out.
#[derive(Debug, Clone, Copy)]
pub(in crate::learn) struct Port<'a> {
    /// Its name in the ONNX file.
    pub(in crate::learn) id: &'a str,
    /// What it says.
    pub(in crate::learn) description: &'a str,
    /// Names of its channels.
    pub(in crate::learn) channels: &'a [String],
}

/// A network and what a person or a program must know to run it.
#[derive(Debug, Clone, Copy)]
pub(in crate::learn) struct Folder<'a> {
    /// `finder`: names the ONNX file.
    pub(in crate::learn) file: &'a str,
    pub(in crate::learn) name: &'a str,
    pub(in crate::learn) description: &'a str,
    /// What it is for, beside what all of ours are: `segmentation`.
    pub(in crate::learn) tag: &'a str,
    pub(in crate::learn) input: Port<'a>,
    pub(in crate::learn) output: Port<'a>,
    /// Sides are multiples of this.
    pub(in crate::learn) multiple: usize,
    /// `[channels, side, side]`: a picture that the folder shows the network's answer to.
    pub(in crate::learn) test: (&'a [f32], usize),
    /// The line under `config: cytowatch:`.
    pub(in crate::learn) fact: &'a str,
    /// The model card.
    pub(in crate::learn) card: &'a str,
}

impl Folder<'_> {
    /// Writes the network `onnx` into `folder` (made when absent); `rdf.yaml` comes last.
    ///
    /// # Errors
    /// When the network does not run or a file cannot be written.
    pub(in crate::learn) fn write(&self, folder: &Path, onnx: &[u8]) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("make folder {}", folder.display()))?;
        let Self { file, name, description, tag, input, output, multiple, test: (shown, side), fact, card } = *self;
        let builtin = InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() };
        let network = PictureNetwork::open(onnx.to_vec(), (input.id, &[output.id]), &builtin)?;
        let given = network.run([1, input.channels.len(), side, side], shown)?.concat();
        let tensor = |port: Port<'_>, values: Vec<f32>| {
            npy::to_bytes(&Tensor { shape: vec![1, port.channels.len(), side, side], values })
        };
        let network_file = format!("{file}.onnx");
        let (test_in, test_out) = (format!("test_{}.npy", input.id), format!("test_{}.npy", output.id));
        let files = [
            (network_file.as_str(), onnx.to_vec()),
            (test_in.as_str(), tensor(input, shown.to_vec())),
            (test_out.as_str(), tensor(output, given)),
            (CARD, card.as_bytes().to_vec()),
        ];
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
        };
        for (name, bytes) in &files {
            write(name, bytes)?;
        }
        let [network_sum, test_in_sum, test_out_sum, _] = files.clone().map(|(_, bytes)| sha256_hex(&bytes));
        let version = env!("CARGO_PKG_VERSION");
        let axes_in = axes(input.channels, |_| format!("{{min: {multiple}, step: {multiple}}}"));
        let axes_out = axes(output.channels, |axis| format!("{{tensor_id: {}, axis_id: {axis}}}", input.id));
        let rdf = format!(
            "type: model
format_version: 0.5.4
name: cytowatch {name}
description: {description}
version: {version}
authors:
- name: cytowatch maintainers
license: MIT
tags: [phase-contrast, label-free, cells, {tag}, unet, 2d]
documentation: {CARD}
inputs:
- id: {}
  description: {}
{axes_in}  test_tensor: {{source: {test_in}, sha256: {test_in_sum}}}
outputs:
- id: {}
  description: {}
{axes_out}  test_tensor: {{source: {test_out}, sha256: {test_out_sum}}}
weights:
  onnx:
    source: {network_file}
    sha256: {network_sum}
    opset_version: {OPSET}
config:
  cytowatch:
    {fact}
",
            input.id, input.description, output.id, output.description
        );
        write(RDF, rdf.as_bytes())
    }
}

/// Names that have no more to them.
pub(in crate::learn) fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The axes of a tensor of pictures as they stand in `rdf.yaml`; `size` says how long `y` and `x` are.
fn axes(channels: &[String], size: impl Fn(&str) -> String) -> String {
    format!(
        "  axes:
  - type: batch
  - type: channel
    channel_names: [{}]
  - {{type: space, id: y, size: {}}}
  - {{type: space, id: x, size: {}}}
  data: {{type: float32}}
",
        channels.join(", "),
        size("y"),
        size("x")
    )
}
