//! The two fixed graphs as ONNX files: encoder `crop -> latent`, decoder `latent -> crop`.
//!
//! Takes weights as plain numbers, gives the bytes of a file (opset 17) that ONNX Runtime, rten and anybody else
//! reads; and takes such bytes, from wherever, and gives what they promise. Needs no engine.
//!
//! Three equalities make the graphs small and fast, none of them changes a number beyond rounding: a batch norm after
//! a (transposed) convolution or a linear layer is folded into its weights, in f64; a `PReLU` with one shared slope is
//! written as `LeakyRelu`, which ONNX Runtime fuses into the convolution; and it is moved before the flattening.

mod message;
pub mod unet;

use super::architecture::{AutoencoderSpec, BatchNorm, Convolution, DecoderWeights, EncoderWeights, FEATURE_SIDE_PX};
use super::texture::{self, Readout};
use super::{InferError, LATENT_LEN};
use crate::cells::CROP_SIDE_PX;
use message::{
    Attribute, Dimension, EXTERNAL, FLOAT, Graph, INT64, Model, Node, OperatorSet, Shape, TensorData, TensorKind,
    ValueInfo, ValueKind,
};

/// Operator set of the graphs that we write.
pub const OPSET: i64 = 17;
/// Name of the encoder's input and the decoder's output, `[N, 1, 256, 256]`, 0..=1.
pub const CROP: &str = "crop";
/// Name of the encoder's output and the decoder's input, `[N, 56]`.
pub const LATENT: &str = "latent";
const IR_VERSION: i64 = 8;
const BATCH_AXIS: &str = "N";

/// The encoder `crop [N, 1, 256, 256] -> latent [N, 56]` as the bytes of an ONNX file.
///
/// # Errors
/// `weights` when a layer does not fit `spec`.
pub fn encoder(spec: AutoencoderSpec, weights: &EncoderWeights) -> Result<Vec<u8>, InferError> {
    weights.check(spec)?;
    let mut graph = Chain::new(CROP);
    if spec.downsample() > 1 || weights.texture.is_some() {
        graph.average("average", 2);
    }
    let half = graph.last.clone();
    if spec.downsample() == 1 {
        CROP.clone_into(&mut graph.last);
    }
    for (number, (layer, (input, output))) in weights.convolutions.iter().zip(spec.convolutions()).enumerate() {
        let name = format!("conv{}", number + 1);
        let run = layer.kernel.len() / output;
        graph.convolution(&name, "Conv", [output, input], &fold(&layer.kernel, run, &layer.norm));
        graph.slope(&name, layer.slope);
    }
    graph.push("flatten", "Flatten", &[], [int("axis", 1)]);
    let factors = weights.norm.affine();
    let weight = weights.linear.weight.chunks(spec.flat_len()).zip(&factors);
    let weight: Vec<f32> = weight.flat_map(|(row, (factor, _))| row.iter().map(|w| scaled(*w, *factor))).collect();
    let bias = weights.linear.bias.iter().zip(&factors);
    let bias: Vec<f32> = bias.map(|(b, (factor, offset))| (f64::from(*b) * factor + offset) as f32).collect();
    match &weights.texture {
        None => graph.linear("latent", [LATENT_LEN, spec.flat_len()], &weight, &bias),
        Some(readout) => {
            let rest = LATENT_LEN - texture::READ;
            let (weight, bias) = (weight.get(texture::READ * spec.flat_len()..), bias.get(texture::READ..));
            graph.linear("free", [rest, spec.flat_len()], weight.unwrap_or_default(), bias.unwrap_or_default());
            let free = std::mem::replace(&mut graph.last, half);
            graph.texture(readout);
            graph.push("latent", "Concat", &[&free], [int("axis", 1)]);
        }
    }
    Ok(graph.finish("encoder", LATENT, crop_shape(), latent_shape()))
}

/// The decoder `latent [N, 56] -> crop [N, 1, 256, 256]` as the bytes of an ONNX file.
///
/// # Errors
/// `weights` when a layer does not fit `spec`.
pub fn decoder(spec: AutoencoderSpec, weights: &DecoderWeights) -> Result<Vec<u8>, InferError> {
    weights.check(spec)?;
    let mut graph = Chain::new(LATENT);
    graph.linear("flat", [spec.flat_len(), LATENT_LEN], &weights.linear.weight, &weights.linear.bias);
    let side = FEATURE_SIDE_PX as i64;
    let channels = spec.transposed_convolutions().first().map_or(0, |(input, _)| *input as i64);
    graph.constant("map_shape", &[4], INT64, [-1, channels, side, side].iter().flat_map(|n| n.to_le_bytes()));
    graph.push("map", "Reshape", &["map_shape"], []);
    graph.slope("map", weights.slope);
    let shapes = spec.transposed_convolutions();
    for (number, (layer, (input, output))) in weights.convolutions.iter().zip(&shapes).enumerate() {
        let Convolution { kernel, norm, slope } = layer;
        let name = format!("conv{}", number + 1);
        let run = kernel.len() / input / output;
        graph.convolution(&name, "ConvTranspose", [*input, *output], &fold(kernel, run, norm));
        graph.slope(&name, *slope);
    }
    let last = Taps { kernel: weights.last_kernel.clone(), bias: None };
    graph.convolution("draw", "ConvTranspose", [spec.width(), 1], &last);
    graph.push("picture", "Sigmoid", &[], []);
    if spec.downsample() > 1 {
        let factor = spec.downsample() as f32;
        graph.constant("enlarge_scales", &[4], FLOAT, [1.0, 1.0, factor, factor].iter().flat_map(|f| f.to_le_bytes()));
        let how = [text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")];
        graph.push("enlarge", "Resize", &["", "enlarge_scales"], how);
    }
    Ok(graph.finish("decoder", CROP, latent_shape(), crop_shape()))
}

/// What an ONNX file promises, read from the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Inputs that are not weights, then outputs: name and shape, `None` for an axis of any length.
    pub inputs: Vec<(String, Vec<Option<i64>>)>,
    /// See `inputs`.
    pub outputs: Vec<(String, Vec<Option<i64>>)>,
    /// The version of the default operator set.
    pub opset: Option<i64>,
    /// The first weight that is NaN or infinite, or whose numbers stand in another file.
    pub bad_weight: Option<String>,
}

/// Reads what the ONNX file `bytes` promises; `None` when they are not an ONNX model, or are cut short.
pub fn promise(bytes: &[u8]) -> Option<Promise> {
    let model = message::decode(bytes)?;
    let graph = model.graph?;
    let is_weight = |value: &&ValueInfo| graph.initializer.iter().any(|weight| weight.name == value.name);
    let bad = graph.initializer.iter().find(|weight| !is_sound(weight));
    let default_set = model.opset_import.iter().find(|set| set.domain.as_deref().unwrap_or_default().is_empty());
    Some(Promise {
        inputs: graph.input.iter().filter(|value| !is_weight(value)).map(described).collect(),
        outputs: graph.output.iter().map(described).collect(),
        opset: default_set.and_then(|set| set.version),
        bad_weight: bad.map(|weight| weight.name.clone().unwrap_or_default()),
    })
}

fn is_sound(weight: &TensorData) -> bool {
    let finite = weight.float_data.iter().all(|value| value.is_finite());
    let raw = weight.raw_data.as_deref().unwrap_or_default();
    let raw_finite = weight.data_type != Some(FLOAT)
        || raw.as_chunks::<4>().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite());
    finite && raw_finite && weight.data_location != Some(EXTERNAL)
}

fn described(value: &ValueInfo) -> (String, Vec<Option<i64>>) {
    let tensor = value.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let axes = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.as_slice()).unwrap_or_default();
    let lengths = axes.iter().map(|axis| axis.value.filter(|length| *length > 0));
    (value.name.clone().unwrap_or_default(), lengths.collect())
}

/// A convolution's numbers as they go into the file.
struct Taps {
    kernel: Vec<f32>,
    bias: Option<Vec<f32>>,
}

/// The same convolution with its batch norm folded in. The kernel holds runs of `run` values that belong to one output
/// channel; the channels take turns.
fn fold(kernel: &[f32], run: usize, norm: &BatchNorm) -> Taps {
    let affine = norm.affine();
    let runs = kernel.chunks(run.max(1)).zip(affine.iter().cycle());
    let kernel = runs.flat_map(|(values, (factor, _))| values.iter().map(|value| scaled(*value, *factor))).collect();
    Taps { kernel, bias: Some(affine.iter().map(|(_, offset)| *offset as f32).collect()) }
}

fn scaled(weight: f32, factor: f64) -> f32 {
    (f64::from(weight) * factor) as f32
}

/// A graph whose nodes form one chain, each taking the last one's output.
struct Chain {
    graph: Graph,
    input: &'static str,
    last: String,
}

impl Chain {
    fn new(input: &'static str) -> Self {
        Self { graph: Graph::default(), input, last: input.to_owned() }
    }

    /// Appends a node; `more` names its further inputs, "" for one that is left out.
    fn push<const N: usize>(&mut self, name: &str, operator: &str, more: &[&str], attributes: [Attribute; N]) {
        let previous = std::mem::replace(&mut self.last, format!("{name}_out"));
        self.graph.node.push(Node {
            input: std::iter::once(previous).chain(more.iter().map(|&input| input.to_owned())).collect(),
            output: vec![self.last.clone()],
            name: Some(name.to_owned()),
            op_type: Some(operator.to_owned()),
            attribute: attributes.into(),
        });
    }

    fn constant(&mut self, name: &str, dims: &[usize], data_type: i32, bytes: impl Iterator<Item = u8>) {
        self.graph.initializer.push(TensorData {
            dims: dims.iter().map(|&length| length as i64).collect(),
            data_type: Some(data_type),
            name: Some(name.to_owned()),
            raw_data: Some(bytes.collect()),
            ..TensorData::default()
        });
    }

    fn weights(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.constant(name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// A 4 x 4 (transposed) convolution, stride 2, padding 1; `channels` are the kernel's first two axes.
    fn convolution(&mut self, name: &str, operator: &str, channels: [usize; 2], taps: &Taps) {
        let [first, second] = channels;
        let (kernel_name, bias_name) = (format!("{name}_kernel"), format!("{name}_bias"));
        self.weights(&kernel_name, &[first, second, 4, 4], &taps.kernel);
        let mut more = vec![kernel_name.as_str()];
        if let Some(bias) = &taps.bias {
            self.weights(&bias_name, &[bias.len()], bias);
            more.push(&bias_name);
        }
        let how = [ints("kernel_shape", &[4, 4]), ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
        self.push(name, operator, &more, how);
    }

    fn average(&mut self, name: &str, step: usize) {
        let step = [step as i64; 2];
        self.push(name, "AveragePool", &[], [ints("kernel_shape", &step), ints("strides", &step)]);
    }

    /// The features that are read from the grain of the last picture, `[N, 1, 128, 128]`.
    fn texture(&mut self, readout: &Readout) {
        let mut side = CROP_SIDE_PX / 2;
        let mut scales = Vec::new();
        self.weights("grain_floor", &[1], &[texture::FLOOR]);
        for scale in 1..=texture::SCALES {
            let picture = self.last.clone();
            let taps = Taps { kernel: texture::patterns(), bias: None };
            self.convolution(&format!("pattern{scale}"), "Conv", [texture::PATTERNS, 1], &taps);
            self.push(&format!("strength{scale}"), "Abs", &[], []);
            self.push(&format!("raised{scale}"), "Add", &["grain_floor"], []);
            self.push(&format!("logarithm{scale}"), "Log", &[], []);
            let per_part = side / 2 / texture::PARTS;
            if per_part > 1 {
                self.average(&format!("parts{scale}"), per_part);
            }
            self.push(&format!("grain{scale}"), "Flatten", &[], [int("axis", 1)]);
            scales.push(std::mem::replace(&mut self.last, picture));
            if scale < texture::SCALES {
                self.average(&format!("average{}", scale + 1), 2);
                side /= 2;
            }
        }
        let rest: Vec<&str> = scales.iter().skip(1).map(String::as_str).collect();
        self.last = scales.first().cloned().unwrap_or_default();
        self.push("grain", "Concat", &rest, [int("axis", 1)]);
        self.linear("read", [texture::READ, texture::FLAT], &readout.flat_weight(), &readout.bias);
    }

    fn slope(&mut self, after: &str, slope: f32) {
        let alpha = Attribute { name: Some("alpha".to_owned()), f: Some(slope), kind: Some(1), ..Attribute::default() };
        self.push(&format!("{after}_slope"), "LeakyRelu", &[], [alpha]);
    }

    /// `dims` are `[out, in]`.
    fn linear(&mut self, name: &str, dims: [usize; 2], weight: &[f32], bias: &[f32]) {
        let (weight_name, bias_name) = (format!("{name}_weight"), format!("{name}_bias"));
        self.weights(&weight_name, &dims, weight);
        self.weights(&bias_name, &[bias.len()], bias);
        self.push(name, "Gemm", &[&weight_name, &bias_name], [int("transB", 1)]);
    }

    fn finish(mut self, graph_name: &str, output: &str, input_shape: Shape, output_shape: Shape) -> Vec<u8> {
        if let Some(out) = self.graph.node.last_mut().and_then(|node| node.output.first_mut()) {
            output.clone_into(out);
        }
        self.graph.name = Some(graph_name.to_owned());
        self.graph.input.push(value_info(self.input, input_shape));
        self.graph.output.push(value_info(output, output_shape));
        message::encode(&Model {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        })
    }
}

fn int(key: &str, value: i64) -> Attribute {
    Attribute { name: Some(key.to_owned()), i: Some(value), kind: Some(2), ..Attribute::default() }
}

fn ints(key: &str, values: &[i64]) -> Attribute {
    Attribute { name: Some(key.to_owned()), ints: values.to_vec(), kind: Some(7), ..Attribute::default() }
}

fn text(key: &str, value: &str) -> Attribute {
    Attribute { name: Some(key.to_owned()), s: Some(value.as_bytes().to_vec()), kind: Some(3), ..Attribute::default() }
}

fn value_info(value: &str, shape: Shape) -> ValueInfo {
    let tensor = TensorKind { elem_type: Some(FLOAT), shape: Some(shape) };
    ValueInfo { name: Some(value.to_owned()), kind: Some(ValueKind { tensor: Some(tensor) }) }
}

fn crop_shape() -> Shape {
    batched(&[1, CROP_SIDE_PX, CROP_SIDE_PX])
}

fn latent_shape() -> Shape {
    batched(&[LATENT_LEN])
}

fn batched(lengths: &[usize]) -> Shape {
    let batch = Dimension { value: None, param: Some(BATCH_AXIS.to_owned()) };
    let fixed = lengths.iter().map(|&length| Dimension { value: Some(length as i64), param: None });
    Shape { dim: std::iter::once(batch).chain(fixed).collect() }
}
