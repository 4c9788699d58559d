//! The trained exaggerator's folder.

use super::SIDE_PX;
use super::pair::Pair;
use crate::infer::onnx_graph::unet::{ADDED_OUT, TOLD_IN};
use crate::learn::parameters::generator;
use crate::learn::unet::folder::{Folder, Port, named};
use std::path::Path;

/// The network halves its picture twice.
const MULTIPLE: usize = 4;

/// Writes the network `onnx` into `folder` (made when absent), with what it gives for a part of `pair` and with the model card
/// `card`.
///
/// # Errors
/// When the network does not run or a file cannot be written.
pub fn write(folder: &Path, onnx: &[u8], pair: &Pair, largest_amount: f64, card: &str) -> anyhow::Result<()> {
    let corners = ["upper_left", "upper_right", "lower_left", "lower_right"];
    let of = |suffix: &str| corners.map(|corner| format!("{corner}{suffix}"));
    let told = [&of("")[..], &of("_times_protrusions"), &of("_times_granules"), &named(&["protrusions", "granules"])];
    let described = Folder {
        file: "exaggerator",
        name: "exaggerator",
        description: "Draws a cell in phase contrast with longer or shorter pseudopods and denser or fainter granules; a small U-Net",
        tag: "counterfactual",
        input: Port {
            id: TOLD_IN,
            description: "Logarithms of relative light, the four pixels of 2 x 2 in channels; these times either amount; the amounts",
            channels: &told.concat(),
        },
        output: Port {
            id: ADDED_OUT,
            description: "What is to be added to the logarithms of those four pixels",
            channels: &of(""),
        },
        multiple: MULTIPLE,
        test: (&pair.sample(SIDE_PX, &mut generator(0, 999)).0, SIDE_PX / 2),
        fact: &format!("largest_amount: {largest_amount:?}"),
        card,
    };
    described.write(folder, onnx)
}
