//! The small U-Nets as ONNX files; height and width are free.
//!
//! Cell finder: `picture [N, 1, H, W] -> maps [N, 2, H, W]`, logits. Exaggerator: `told [N, 14, H, W] -> added [N, 4, H, W]`. Outliner:
//! `shown [N, 7, H, W] -> drawn [N, 4, H, W]`, logits.

use super::message::{self, Dimension, Shape};
use super::{BATCH_AXIS, Chain, Taps, fold, ints};
use crate::cells::close_up::{DRAWN, SHOWN};
use crate::infer::InferError;
use crate::infer::architecture::BatchNorm;
use crate::infer::unet::{self, ADDED, Layer, MAPS, Step, TOLD, UnetWeights};

/// Name of the cell finder's input, the working picture.
pub const PICTURE: &str = "picture";
/// Name of its output: logits of inside and of depth.
pub const MAPS_OUT: &str = "maps";
/// Name of the exaggerator's input.
pub const TOLD_IN: &str = "told";
/// Name of its output.
pub const ADDED_OUT: &str = "added";

/// Name of the outliner's input.
pub const SHOWN_IN: &str = "shown";
/// Name of its output.
pub const DRAWN_OUT: &str = "drawn";

/// A cell finder as the bytes of an ONNX file.
///
/// # Errors
/// `weights` when a layer does not fit its step.
pub fn finder(weights: &UnetWeights) -> Result<Vec<u8>, InferError> {
    Ok(chain(PICTURE, weights)?.finish("cell_finder", MAPS_OUT, shape(1), shape(MAPS)))
}

/// An exaggerator as the bytes of an ONNX file.
///
/// # Errors
/// `weights` when a layer does not fit its step.
pub fn exaggerator(weights: &UnetWeights) -> Result<Vec<u8>, InferError> {
    Ok(chain(TOLD_IN, weights)?.finish("exaggerator", ADDED_OUT, shape(TOLD), shape(ADDED)))
}

/// An outliner as the bytes of an ONNX file.
///
/// # Errors
/// `weights` when a layer does not fit its step.
pub fn outliner(weights: &UnetWeights) -> Result<Vec<u8>, InferError> {
    Ok(chain(SHOWN_IN, weights)?.finish("outliner", DRAWN_OUT, shape(SHOWN), shape(DRAWN)))
}

fn chain(input: &'static str, weights: &UnetWeights) -> Result<Chain, InferError> {
    let mut graph = Chain::new(input);
    let mut layers = weights.layers.iter();
    let mut kept: Vec<String> = Vec::new();
    for (number, step) in weights.steps.iter().copied().enumerate() {
        let name = format!("step{}", number + 1);
        let (operator, side, channels) = match step {
            Step::Keep => {
                kept.push(graph.last.clone());
                continue;
            }
            Step::Add => {
                let other = kept.pop().unwrap_or_default();
                graph.push(&name, "Add", &[&other], []);
                continue;
            }
            Step::Down(input, output) => ("Conv", 4, [output, input]),
            Step::Around(input, output) => ("Conv", 3, [output, input]),
            Step::Up(input, output) => ("ConvTranspose", 4, [input, output]),
        };
        let misfit = || InferError::Weights { layer: format!("network on pictures, {name}") };
        let Layer { kernel, norm, slope } = layers.next().ok_or_else(misfit)?;
        let outputs = norm.gain.len();
        let run = if operator == "Conv" { kernel.len() / outputs.max(1) } else { side * side };
        if kernel.len() != channels.iter().product::<usize>() * side * side || !channels.contains(&outputs) {
            return Err(misfit());
        }
        square(&mut graph, &name, operator, (channels, side), &fold(kernel, run, norm));
        if let Some(slope) = slope {
            graph.slope(&name, *slope);
        }
    }
    Ok(graph)
}

/// The weights in an ONNX file that [`finder`] wrote, batch norms folded; `None` when it is another.
pub fn read_finder(bytes: &[u8]) -> Option<UnetWeights> {
    let graph = message::decode(bytes)?.graph?;
    let numbers = |name: &String| -> Option<Vec<f32>> {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name.as_ref() == Some(name))?;
        let (numbers, rest) = tensor.raw_data.as_deref()?.as_chunks::<4>();
        rest.is_empty().then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let mut layers: Vec<Layer> = Vec::new();
    for node in &graph.node {
        match (node.op_type.as_deref()?, node.input.as_slice()) {
            ("Conv" | "ConvTranspose", [_, kernel, bias]) => {
                let bias = numbers(bias)?;
                let norm = BatchNorm { bias: bias.clone(), ..BatchNorm::exact(bias.len()) };
                layers.push(Layer { kernel: numbers(kernel)?, norm, slope: None });
            }
            ("LeakyRelu", _) => layers.last_mut()?.slope = node.attribute.first()?.f,
            _ => {}
        }
    }
    let steps = unet::finder(layers.first()?.norm.gain.len());
    let weights = UnetWeights { steps, layers };
    // Written again it is the same file, or it was another network.
    (finder(&weights).ok()?.len() == bytes.len()).then_some(weights)
}

/// A convolution that keeps, halves or doubles the sides.
fn square(graph: &mut Chain, name: &str, operator: &str, (channels, side): ([usize; 2], usize), taps: &Taps) {
    let [first, second] = channels;
    let (kernel_name, bias_name) = (format!("{name}_kernel"), format!("{name}_bias"));
    graph.weights(&kernel_name, &[first, second, side, side], &taps.kernel);
    let bias = taps.bias.as_deref().unwrap_or_default();
    graph.weights(&bias_name, &[bias.len()], bias);
    let stride = if side == 4 { 2 } else { 1 };
    let length = side as i64;
    let how = [ints("kernel_shape", &[length; 2]), ints("pads", &[1; 4]), ints("strides", &[stride; 2])];
    graph.push(name, operator, &[&kernel_name, &bias_name], how);
}

/// A network as others make them, for tests: `raw [N, 1, H, W] -> seen [N, 2, H, W]`, probabilities of foreground (where
/// the picture is below `threshold`) and of boundary (nowhere).
#[cfg(test)]
pub(in crate::infer) fn dark_is_foreground(threshold: f32) -> Vec<u8> {
    let mut graph = Chain::new("raw");
    let mut kernel = vec![0.0; 2 * 9];
    kernel[4] = -20.0;
    let taps = Taps { kernel, bias: Some(vec![20.0 * threshold, -20.0]) };
    square(&mut graph, "look", "Conv", ([2, 1], 3), &taps);
    graph.push("probability", "Sigmoid", &[], []);
    graph.finish("someone_elses", "seen", shape(1), shape(MAPS))
}

/// A star network, for tests: `raw [N, H, W, 1] -> seen [N, H, W, 1 + count]`, how dark the picture is round a place and
/// `count` rays of `radius` px.
#[cfg(test)]
pub(in crate::infer) fn dark_is_a_star(count: usize, radius: f32) -> Vec<u8> {
    const SIDE: usize = 17;
    let taps = SIDE * SIDE;
    let mut graph = Chain::new("raw");
    graph.push("channel_first", "Transpose", &[], [ints("perm", &[0, 3, 1, 2])]);
    let mut kernel = vec![-1.0 / taps as f32; taps];
    kernel.resize((1 + count) * taps, 0.0);
    graph.weights("look_kernel", &[1 + count, 1, SIDE, SIDE], &kernel);
    graph.weights("look_bias", &[1 + count], &[&[1.0], vec![radius; count].as_slice()].concat());
    let how = [ints("kernel_shape", &[SIDE as i64; 2]), ints("pads", &[SIDE as i64 / 2; 4])];
    graph.push("look", "Conv", &["look_kernel", "look_bias"], how);
    graph.push("channel_last", "Transpose", &[], [ints("perm", &[0, 2, 3, 1])]);
    graph.finish("a_star", "seen", last(shape(1)), last(shape(1 + count)))
}

/// The shape with its channels at the end.
#[cfg(test)]
fn last(mut shape: Shape) -> Shape {
    if let Some(axes) = shape.dim.get_mut(1..) {
        axes.rotate_left(1);
    }
    shape
}

fn shape(channels: usize) -> Shape {
    let named = |name: &str| Dimension { value: None, param: Some(name.to_owned()) };
    let fixed = Dimension { value: Some(channels as i64), param: None };
    Shape { dim: vec![named(BATCH_AXIS), fixed, named("H"), named("W")] }
}
