//! The autoencoder as plain numbers: its size, its weights, and what it costs (method.md 6).
//!
//! Takes a width and a working resolution, gives channel lists, parameter counts and the weight structures that a
//! trainer fills and [`onnx_graph`](super::onnx_graph) writes. Nothing here computes.
//!
//! Encoder: `[average 2x2] -> (conv 4x4 stride 2 -> batch norm -> PReLU) x n -> flatten -> linear -> batch norm`.
//! Decoder: `linear -> PReLU -> (transposed conv -> batch norm -> PReLU) x (n-1) -> transposed conv -> sigmoid ->
//! [bilinear x2]`. The brackets are there when the net works at half resolution; the last feature map is always 4 x 4.

use super::texture::Readout;
use super::{InferError, LATENT_LEN};
use crate::cells::CROP_SIDE_PX;
use serde::{Deserialize, Serialize};

/// Side of the encoder's last feature map, px.
pub const FEATURE_SIDE_PX: usize = 4;
/// Taps of one convolution kernel, 4 x 4.
pub const KERNEL_TAPS: usize = 16;
/// Added to a variance before its root is taken, as in Torch.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;
/// Channels after each encoder convolution at full resolution, in multiples of the width.
const MULTIPLES: [usize; 6] = [1, 2, 4, 8, 16, 16];
/// Units of the adversary's hidden layers.
const ADVERSARY: [usize; 3] = [1024, 1024, 512];
const WIDEST: usize = 256;

/// Size of an autoencoder: `width` channels after the first convolution, input averaged by `downsample` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct AutoencoderSpec {
    width: usize,
    downsample: usize,
}

/// [`AutoencoderSpec`] as it stands in a file, unchecked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    width: usize,
    downsample: usize,
}

impl AutoencoderSpec {
    /// The paper's network: 28.8 M parameters per half, 2.43 GMAC per crop.
    pub const PAPER: Self = Self { width: 64, downsample: 1 };
    /// The default: a quarter of the width, at half resolution.
    pub const COMPACT: Self = Self { width: 16, downsample: 2 };

    /// An autoencoder of `width` (1..=256) whose input is averaged `downsample` x `downsample` first (1 or 2).
    ///
    /// # Errors
    /// `architecture` when a number is outside its range.
    pub fn new(width: usize, downsample: usize) -> Result<Self, InferError> {
        if (1..=WIDEST).contains(&width) && matches!(downsample, 1 | 2) {
            Ok(Self { width, downsample })
        } else {
            Err(InferError::Architecture { width, downsample })
        }
    }

    /// Channels after the first convolution.
    pub fn width(self) -> usize {
        self.width
    }

    /// 1: the net sees every pixel; 2: it sees 2 x 2 means.
    pub fn downsample(self) -> usize {
        self.downsample
    }

    /// Side of the picture that the first convolution sees, px.
    pub fn working_side_px(self) -> usize {
        CROP_SIDE_PX / self.downsample
    }

    /// `(in, out)` channels of the encoder's convolutions, first to last; each halves the side, down to 4.
    pub fn convolutions(self) -> Vec<(usize, usize)> {
        let count = MULTIPLES.len() + 1 - self.downsample;
        let outs = MULTIPLES.iter().take(count).map(|multiple| multiple * self.width);
        let ins = std::iter::once(1).chain(outs.clone());
        ins.zip(outs).collect()
    }

    /// `(in, out)` channels of the decoder's transposed convolutions, first to last: the encoder's, backwards.
    pub fn transposed_convolutions(self) -> Vec<(usize, usize)> {
        self.convolutions().into_iter().rev().map(|(input, output)| (output, input)).collect()
    }

    /// Length of the flattened last feature map.
    pub fn flat_len(self) -> usize {
        let channels = self.convolutions().last().map_or(0, |(_, output)| *output);
        channels * FEATURE_SIDE_PX * FEATURE_SIDE_PX
    }

    /// Trained parameters of the encoder, batch norms and slopes included.
    pub fn encoder_parameters(self) -> usize {
        let convolutions: usize = self.convolutions().iter().map(|(i, o)| i * o * KERNEL_TAPS + 2 * o + 1).sum();
        convolutions + self.flat_len() * LATENT_LEN + LATENT_LEN + 2 * LATENT_LEN
    }

    /// Trained parameters of the decoder, batch norms and slopes included.
    pub fn decoder_parameters(self) -> usize {
        let kernels: usize = self.transposed_convolutions().iter().map(|(i, o)| i * o * KERNEL_TAPS).sum();
        // The last one, which draws the picture, has neither batch norm nor slope.
        let norms: usize = self.transposed_convolutions().iter().rev().skip(1).map(|(_, o)| 2 * o + 1).sum();
        LATENT_LEN * self.flat_len() + self.flat_len() + 1 + kernels + norms
    }

    /// Trained parameters of the adversary on the latent descriptor; it does not depend on the width.
    pub fn adversary_parameters() -> usize {
        let [first, second, third] = ADVERSARY;
        let linear = |input: usize, output: usize| input * output + output;
        linear(LATENT_LEN, first)
            + linear(first, second)
            + 2 * second
            + linear(second, third)
            + 2 * third
            + linear(third, 1)
    }

    /// Multiply-accumulates of the encoder per crop. The decoder, its mirror, takes as many.
    pub fn encoder_macs(self) -> u64 {
        let mut side = self.working_side_px();
        let mut macs = self.flat_len() * LATENT_LEN;
        for (input, output) in self.convolutions() {
            side /= 2;
            macs += input * output * KERNEL_TAPS * side * side;
        }
        macs as u64
    }
}

impl TryFrom<Written> for AutoencoderSpec {
    type Error = InferError;

    fn try_from(written: Written) -> Result<Self, InferError> {
        Self::new(written.width, written.downsample)
    }
}

impl From<AutoencoderSpec> for Written {
    fn from(spec: AutoencoderSpec) -> Self {
        Self { width: spec.width, downsample: spec.downsample }
    }
}

/// A batch norm in evaluation: `gain * (x - mean) / sqrt(variance + 1e-5) + bias`, one number each per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Factor per channel.
    pub gain: Vec<f32>,
    /// Offset per channel.
    pub bias: Vec<f32>,
    /// Running mean per channel.
    pub mean: Vec<f32>,
    /// Running variance per channel, >= 0.
    pub variance: Vec<f32>,
}

impl BatchNorm {
    /// A batch norm of `channels` that changes nothing but the epsilon.
    pub fn identity(channels: usize) -> Self {
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        Self { gain: ones.clone(), bias: zeros.clone(), mean: zeros, variance: ones }
    }

    /// A batch norm that changes nothing at all.
    pub fn exact(channels: usize) -> Self {
        Self { variance: vec![(1.0 - BATCH_NORM_EPSILON) as f32; channels], ..Self::identity(channels) }
    }

    /// The same as `factor * x + offset` per channel.
    pub fn affine(&self) -> Vec<(f64, f64)> {
        let numbers = self.gain.iter().zip(&self.bias).zip(self.mean.iter().zip(&self.variance));
        numbers
            .map(|((gain, bias), (mean, variance))| {
                let factor = f64::from(*gain) / (f64::from(*variance) + BATCH_NORM_EPSILON).sqrt();
                (factor, f64::from(*bias) - factor * f64::from(*mean))
            })
            .collect()
    }

    fn holds(&self, channels: usize) -> bool {
        [&self.gain, &self.bias, &self.mean, &self.variance].iter().all(|numbers| numbers.len() == channels)
    }
}

/// A convolution without bias, its batch norm and the one shared slope of its `PReLU`.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Encoder: `[out, in, 4, 4]`; decoder: `[in, out, 4, 4]`.
    pub kernel: Vec<f32>,
    /// Per output channel.
    pub norm: BatchNorm,
    /// The `PReLU`'s factor for negative values.
    pub slope: f32,
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// All weights of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderWeights {
    /// As many as [`AutoencoderSpec::convolutions`].
    pub convolutions: Vec<Convolution>,
    /// `[56, flat]`; the flat index runs over channel, then row, then column.
    pub linear: Linear,
    /// The last batch norm, `[56]`: its output is the latent descriptor.
    pub norm: BatchNorm,
    /// What the first features are read from instead, where they are tied to the grain.
    pub texture: Option<Readout>,
}

/// All weights of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderWeights {
    /// `[flat, 56]`.
    pub linear: Linear,
    /// The `PReLU`'s factor after it.
    pub slope: f32,
    /// All transposed convolutions but the last.
    pub convolutions: Vec<Convolution>,
    /// The last one's kernel, `[width, 1, 4, 4]`.
    pub last_kernel: Vec<f32>,
}

impl EncoderWeights {
    /// Checks every length against `spec`.
    ///
    /// # Errors
    /// `weights` naming the first layer that does not fit.
    pub fn check(&self, spec: AutoencoderSpec) -> Result<(), InferError> {
        check_convolutions(&self.convolutions, &spec.convolutions(), "encoder")?;
        check_linear(&self.linear, spec.flat_len(), LATENT_LEN, "encoder linear")?;
        fits(self.texture.as_ref().is_none_or(Readout::is_sound), "encoder readout of the grain")?;
        fits(self.norm.holds(LATENT_LEN), "encoder batch norm")
    }
}

impl DecoderWeights {
    /// Checks every length against `spec`.
    ///
    /// # Errors
    /// `weights` naming the first layer that does not fit.
    pub fn check(&self, spec: AutoencoderSpec) -> Result<(), InferError> {
        let mut shapes = spec.transposed_convolutions();
        let (input, output) = shapes.pop().unwrap_or_default();
        check_linear(&self.linear, LATENT_LEN, spec.flat_len(), "decoder linear")?;
        check_convolutions(&self.convolutions, &shapes, "decoder")?;
        fits(self.last_kernel.len() == input * output * KERNEL_TAPS, "decoder last convolution")
    }
}

fn check_convolutions(layers: &[Convolution], shapes: &[(usize, usize)], half: &str) -> Result<(), InferError> {
    fits(layers.len() == shapes.len(), &format!("{half}: number of convolutions"))?;
    for (number, (layer, (input, output))) in layers.iter().zip(shapes).enumerate() {
        let right = layer.kernel.len() == input * output * KERNEL_TAPS && layer.norm.holds(*output);
        fits(right, &format!("{half} convolution {}", number + 1))?;
    }
    Ok(())
}

fn check_linear(layer: &Linear, input: usize, output: usize, name: &str) -> Result<(), InferError> {
    fits(layer.weight.len() == input * output && layer.bias.len() == output, name)
}

fn fits(right: bool, layer: &str) -> Result<(), InferError> {
    if right { Ok(()) } else { Err(InferError::Weights { layer: layer.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_network_has_the_papers_counts() {
        let paper = AutoencoderSpec::PAPER;
        assert_eq!(paper.encoder_parameters(), 28_843_054);
        assert_eq!(paper.decoder_parameters(), 28_857_222);
        assert_eq!(AutoencoderSpec::adversary_parameters(), 1_636_353);
        assert_eq!(paper.encoder_macs(), 2_433_613_824);
        assert_eq!(2 * paper.encoder_macs(), 4_867_227_648);
        assert_eq!(paper.flat_len(), 16_384);
    }

    #[test]
    fn half_resolution_drops_one_convolution_and_keeps_the_last_map() {
        let compact = AutoencoderSpec::new(16, 2).unwrap();
        assert_eq!(compact.convolutions(), [(1, 16), (16, 32), (32, 64), (64, 128), (128, 256)]);
        assert_eq!(compact.transposed_convolutions().last(), Some(&(16, 1)));
        assert_eq!(compact.working_side_px() >> compact.convolutions().len(), FEATURE_SIDE_PX);
        assert_eq!(compact.flat_len(), AutoencoderSpec::new(16, 1).unwrap().flat_len());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (width, downsample) in [(0, 1), (16, 0), (16, 3), (1000, 1)] {
            assert_eq!(AutoencoderSpec::new(width, downsample).unwrap_err().code(), "architecture");
        }
    }
}
