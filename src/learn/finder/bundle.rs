//! The trained cell finder's folder.

use super::SIDE_PX;
use crate::cells::working::NETWORK_DIAMETER_PX;
use crate::infer::onnx_graph::unet::{MAPS_OUT, PICTURE};
use crate::infer::unet::MULTIPLE_PX;
use crate::learn::unet::folder::{Folder, Port, named};
use anyhow::Context as _;
use std::path::Path;

/// The ONNX file of a folder that [`write`] made.
///
/// # Errors
/// When it cannot be read.
pub fn read(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("finder.onnx");
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Writes the network `onnx` into `folder` (made when absent), with what it gives for `picture` (`[96, 96]`) and with the
/// model card `card`.
///
/// # Errors
/// When the network does not run or a file cannot be written.
pub fn write(folder: &Path, onnx: &[u8], picture: &[f32], card: &str) -> anyhow::Result<()> {
    let described = Folder {
        file: "finder",
        name: "cell finder",
        description: "Finds cells in phase-contrast frames of any instrument; a small U-Net",
        tag: "segmentation",
        input: Port {
            id: PICTURE,
            description: "Logarithm of relative light without its slow part, divided by the strength of the frame's structures",
            channels: &named(&["phase"]),
        },
        output: Port {
            id: MAPS_OUT,
            description: "Logit that a pixel is inside a cell, logit of its depth in its cell",
            channels: &named(&["inside", "depth"]),
        },
        multiple: MULTIPLE_PX,
        test: (picture, SIDE_PX),
        fact: &format!("cell_diameter_px: {NETWORK_DIAMETER_PX:?}"),
        card,
    };
    described.write(folder, onnx)
}
