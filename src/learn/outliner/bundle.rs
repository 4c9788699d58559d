//! The trained outliner's folder.

use super::SIDE;
use super::example::Example;
use crate::cells::close_up::MULTIPLE;
use crate::infer::bundle::sha256_hex;
use crate::infer::onnx_graph::unet::{DRAWN_OUT, SHOWN_IN};
use crate::learn::finder;
use crate::learn::parameters::generator;
use crate::learn::unet::folder::{Folder, Port, named};
use std::path::Path;

/// Writes the network `onnx` into the folder `outliner` of the folder of its `finder`, with what it gives for a part of `example` and
/// with the model card `card`.
///
/// # Errors
/// When the finder's file cannot be read, the network does not run or a file cannot be written.
pub fn write(finder: &Path, onnx: &[u8], example: &Example, card: &str) -> anyhow::Result<()> {
    let corners = ["upper_left", "upper_right", "lower_left", "lower_right"];
    let of = |suffix: &str| corners.map(|corner| format!("{corner}{suffix}"));
    let shown = [&of("")[..], &named(&["this_cell", "another_cell", "inside"])];
    let described = Folder {
        file: "outliner",
        name: "outliner",
        description: "Draws the outline of a cell that was found in phase contrast, pseudopods and all; a small U-Net",
        tag: "segmentation",
        input: Port {
            id: SHOWN_IN,
            description: "Contrasts of the four pixels of 2 x 2 in channels; what the finder gave to this cell and to others; its logit of the inside",
            channels: &shown.concat(),
        },
        output: Port {
            id: DRAWN_OUT,
            description: "Logits that those four pixels are inside this cell",
            channels: &of("_inside"),
        },
        multiple: MULTIPLE,
        test: (&example.sample(SIDE, &mut generator(0, 999)).0, SIDE),
        fact: &format!("finder_sha256: {}", sha256_hex(&finder::bundle::read(finder)?)),
        card,
    };
    described.write(&finder.join(crate::infer::outliner::FOLDER), onnx)
}
