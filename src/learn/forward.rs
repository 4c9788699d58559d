//! The trained network at work: descriptors and reconstructions with the running moments, and the weights in the order
//! that the ONNX graphs take them.

use super::autoencoder::{Autoencoder, Moments};
use super::dataset::Pictures;
use super::kernels::{self, Norm};
use super::operations::product;
use crate::infer::architecture::{
    BatchNorm, Convolution, DecoderWeights, EncoderWeights, FEATURE_SIDE_PX, KERNEL_TAPS, Linear,
};
use crate::infer::texture::READ;
use crate::infer::{LATENT_LEN, Latent};

/// Places of a feature map, 4 x 4.
const PLACES: usize = FEATURE_SIDE_PX * FEATURE_SIDE_PX;

/// Walks through the trained arrays and the running moments in the order in which they were made.
struct Reader<'a> {
    net: &'a Autoencoder,
    parameter: usize,
    moments: usize,
}

impl<'a> Reader<'a> {
    fn new(net: &'a Autoencoder) -> Self {
        Self { net, parameter: 0, moments: 0 }
    }

    fn array(&mut self) -> &'a [f32] {
        self.parameter += 1;
        self.net.halves.list().get(self.parameter - 1).map_or(&[], |parameter| parameter.values.as_slice())
    }

    /// Batch norm and, when `slope`, the slope after it.
    fn norm(&mut self, slope: bool) -> Norm<'a> {
        const NONE: &Moments = &Moments { mean: Vec::new(), variance: Vec::new() };
        let (gain, bias) = (self.array(), self.array());
        let slope = if slope { self.slope() } else { 1.0 };
        self.moments += 1;
        let moments = self.net.running.get(self.moments - 1).unwrap_or(NONE);
        Norm { mean: &moments.mean, variance: &moments.variance, gain, bias, slope }
    }

    fn slope(&mut self) -> f32 {
        self.array().first().copied().unwrap_or_default()
    }
}

impl Autoencoder {
    /// Descriptors of `pictures` (`[n, side, side]`, 0..=1, `side` the working side), all features by the network alone.
    pub fn encode(&self, pictures: &[f32]) -> Vec<Latent> {
        let mut read = Reader::new(self);
        let mut side = self.spec().working_side_px();
        let batch = pictures.len() / (side * side);
        let mut map = pictures.to_vec();
        for (input, output) in self.spec().convolutions() {
            let patches = kernels::gather(&map, [batch, side, side, input]);
            let mixed = product(patches, KERNEL_TAPS * input, read.array(), output);
            map = read.norm(true).forward(&mixed);
            side /= 2;
        }
        let latent = Self::linear(&mut read, map, LATENT_LEN);
        let latent = read.norm(false).forward(&latent);
        latent.chunks_exact(LATENT_LEN).filter_map(|row| row.try_into().ok()).collect()
    }

    /// The first features of pictures `indices` as they are read from the grain, one after the other; empty where they are free.
    pub(super) fn tied(&self, pictures: &Pictures, indices: &[usize]) -> Vec<f32> {
        let Some(readout) = self.readout() else { return Vec::new() };
        let read = |index: &usize| pictures.look(*index).map_or([0.0; READ], |look| readout.read(&look.grain));
        indices.iter().flat_map(read).collect()
    }

    /// Descriptors of pictures `indices`, as the exported encoder gives them.
    pub fn describe(&self, pictures: &Pictures, indices: &[usize]) -> Vec<Latent> {
        let mut latents = self.encode(&pictures.batch(indices));
        for (latent, tied) in latents.iter_mut().zip(self.tied(pictures, indices).chunks_exact(READ)) {
            latent.iter_mut().zip(tied).for_each(|(feature, tied)| *feature = *tied);
        }
        latents
    }

    /// Pictures that the decoder draws, `[n, side, side]`, 0..=1, at the working side.
    pub fn decode(&self, latents: &[Latent]) -> Vec<f32> {
        let mut read = Reader::new(self);
        for _ in self.spec().convolutions() {
            read.array();
            read.norm(true);
        }
        read.array();
        read.array();
        read.norm(false);
        let mut map = Self::linear(&mut read, latents.concat(), self.spec().flat_len());
        let slope = read.slope();
        for value in &mut map {
            *value = if *value > 0.0 { *value } else { *value * slope };
        }
        let mut side = FEATURE_SIDE_PX;
        let shapes = self.spec().transposed_convolutions();
        for (number, (input, output)) in shapes.iter().enumerate() {
            let patches = product(map, *input, read.array(), KERNEL_TAPS * output);
            side *= 2;
            map = kernels::scatter(&patches, [latents.len(), side, side, *output]);
            if number + 1 < shapes.len() {
                map = read.norm(true).forward(&map);
            }
        }
        map.iter().map(|logit| kernels::sigmoid(*logit)).collect()
    }

    fn linear(read: &mut Reader<'_>, input: Vec<f32>, output: usize) -> Vec<f32> {
        let (weight, offset) = (read.array(), read.array());
        let mut result = product(input, weight.len() / output, weight, output);
        for row in result.chunks_exact_mut(output) {
            row.iter_mut().zip(offset).for_each(|(value, offset)| *value += offset);
        }
        result
    }

    /// The weights as the ONNX writer takes them.
    pub fn weights(&self) -> (EncoderWeights, DecoderWeights) {
        let mut read = Reader::new(self);
        let spec = self.spec();
        let flat = spec.flat_len();
        let channels = flat / PLACES;
        let mut convolutions = Vec::new();
        for (input, output) in spec.convolutions() {
            let kernel = read.array();
            let entry = |o: usize, i: usize, tap: usize| kernel.get((tap * input + i) * output + o);
            convolutions.push(Convolution { kernel: ordered(output, input, entry), ..layer(&read.norm(true)) });
        }
        let (weight, bias) = (read.array(), read.array());
        let entry = |z: usize, channel: usize, place: usize| weight.get((place * channels + channel) * LATENT_LEN + z);
        let linear = Linear { weight: ordered(LATENT_LEN, channels, entry), bias: bias.to_vec() };
        let norm = layer(&read.norm(false)).norm;
        let encoder = EncoderWeights { convolutions, linear, norm, texture: self.readout().cloned() };

        let (weight, bias) = (read.array(), read.array());
        let mut linear = Linear { weight: Vec::with_capacity(flat * LATENT_LEN), bias: Vec::with_capacity(flat) };
        for channel in 0..channels {
            for place in 0..PLACES {
                let index = place * channels + channel;
                linear.weight.extend((0..LATENT_LEN).filter_map(|z| weight.get(z * flat + index)));
                linear.bias.extend(bias.get(index));
            }
        }
        let slope = read.slope();
        let mut convolutions = Vec::new();
        let mut last_kernel = Vec::new();
        let shapes = spec.transposed_convolutions();
        for (number, (input, output)) in shapes.iter().enumerate() {
            let kernel = read.array();
            let entry = |i: usize, o: usize, tap: usize| kernel.get((i * KERNEL_TAPS + tap) * output + o);
            let kernel = ordered(*input, *output, entry);
            if number + 1 < shapes.len() {
                convolutions.push(Convolution { kernel, ..layer(&read.norm(true)) });
            } else {
                last_kernel = kernel;
            }
        }
        (encoder, DecoderWeights { linear, slope, convolutions, last_kernel })
    }
}

/// `[first, second, 16]` from `entry(first, second, tap)`.
fn ordered<'a>(first: usize, second: usize, entry: impl Fn(usize, usize, usize) -> Option<&'a f32>) -> Vec<f32> {
    let mut all = Vec::with_capacity(first * second * KERNEL_TAPS);
    for a in 0..first {
        for b in 0..second {
            all.extend((0..KERNEL_TAPS).filter_map(|tap| entry(a, b, tap)));
        }
    }
    all
}

/// A convolution's norm and slope, its kernel still empty.
fn layer(norm: &Norm<'_>) -> Convolution {
    let numbers = BatchNorm {
        gain: norm.gain.to_vec(),
        bias: norm.bias.to_vec(),
        mean: norm.mean.to_vec(),
        variance: norm.variance.to_vec(),
    };
    Convolution { kernel: Vec::new(), norm: numbers, slope: norm.slope }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::{CROP_SIDE_PX, Crop};
    use crate::infer::architecture::AutoencoderSpec;
    use crate::infer::builtin::Builtin;
    use crate::infer::engine::Engine as _;
    use crate::infer::{onnx_graph, untrained};
    use crate::learn::autoencoder::{Batch, StepSettings};
    use crate::learn::dataset;

    #[test]
    fn the_exported_networks_give_what_the_trainer_gives() {
        for downsample in [1, 2] {
            let spec = AutoencoderSpec::new(4, downsample).unwrap();
            let crops = untrained::synthetic_crops(6, 3);
            let working = |crop: &Crop| {
                if downsample == 2 { dataset::halved(crop.pixels(), CROP_SIDE_PX) } else { crop.pixels().to_vec() }
            };
            let pictures: Vec<f32> = crops.iter().flat_map(working).collect();
            let mut net = Autoencoder::new(spec, 5);
            let noise: Vec<f32> = (0..6 * LATENT_LEN).map(|i| (i as f32 * 0.618).fract() * 2.0 - 1.0).collect();
            let settings =
                StepSettings { learning_rate: 1e-3, adversarial_weight: 1.0, label_weight: 0.0, momentum: 0.5 };
            for _ in 0..4 {
                net.step(Batch { pictures: &pictures, noise: &noise, labels: &[0.5; 6], tied: &[] }, settings);
            }
            let (encoder, decoder) = net.weights();
            let encoder = onnx_graph::encoder(spec, &encoder).unwrap();
            let decoder = onnx_graph::decoder(spec, &decoder).unwrap();
            let mut engine = Builtin::from_bytes(encoder, decoder).unwrap();
            let ours = net.encode(&pictures);
            let theirs = engine.embed(&crops).unwrap();
            for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                assert!((a - b).abs() < 1e-4, "downsample {downsample}: {a} {b}");
            }
            let drawn = engine.decode(&theirs).unwrap();
            let side = spec.working_side_px();
            for (crop, picture) in drawn.iter().zip(net.decode(&ours).chunks(side * side)) {
                // Bilinear doubling keeps the mean; at full resolution the pixels are the same.
                let mean = |pixels: &[f32]| pixels.iter().sum::<f32>() / pixels.len() as f32;
                assert!((mean(crop.pixels()) - mean(picture)).abs() < 1e-3, "downsample {downsample}");
                if downsample == 1 {
                    for (a, b) in crop.pixels().iter().zip(picture) {
                        assert!((a - b).abs() < 1e-4, "{a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn features_read_from_the_grain_are_exported_as_they_are_read() {
        use crate::infer::texture::{GROUPS, Readout, grain};
        let weight = (0..READ * GROUPS).map(|i| ((i as f32 * 0.754_877).fract() - 0.5) * 0.05).collect();
        let readout = Readout { weight, bias: vec![0.3, -0.2] };
        for downsample in [1, 2] {
            let spec = AutoencoderSpec::new(2, downsample).unwrap();
            let net = Autoencoder::new(spec, 5).tied_to(Some(readout.clone()));
            let (encoder, decoder) = net.weights();
            let (encoder, decoder) =
                (onnx_graph::encoder(spec, &encoder).unwrap(), onnx_graph::decoder(spec, &decoder).unwrap());
            let crops = untrained::synthetic_crops(3, 4);
            let theirs = Builtin::from_bytes(encoder, decoder).unwrap().embed(&crops).unwrap();
            for (crop, theirs) in crops.iter().zip(theirs) {
                let half = dataset::halved(crop.pixels(), CROP_SIDE_PX);
                let picture = if downsample == 2 { half.clone() } else { crop.pixels().to_vec() };
                let mut ours = net.encode(&picture)[0];
                ours[..READ].copy_from_slice(&readout.read(&grain(&half)));
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() < 1e-4, "downsample {downsample}: {a} {b}");
                }
            }
        }
    }
}
