//! A small real bundle with random weights: for tests of everything around the model, where what it says is no matter.
//!
//! Takes a seed, gives the same bytes every time. The last batch norm is calibrated on [`synthetic_crops`], so that
//! descriptors are about N(0, 1) per feature as a trained encoder's are. It says of itself that it is untrained.

use super::architecture::{
    AutoencoderSpec, BatchNorm, Convolution, DecoderWeights, EncoderWeights, KERNEL_TAPS, Linear,
};
use super::builtin::Builtin;
use super::bundle::{self, Author, CropRule, Draft, Facts, TestTensors, Training, ValidityLimits};
use super::discriminant::Discriminant;
use super::engine::Engine as _;
use super::validity::LatentStatistics;
use super::{InferError, LATENT_LEN, Latent, onnx_graph};
use crate::cells::{CROP_SIDE_PX, Crop};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal, Uniform};
use std::path::Path;

/// Crops on which the last batch norm and the covariance are calibrated.
const CALIBRATION_CROPS: usize = 64;
/// Share of the covariance that is replaced by its diagonal, which makes it positive definite.
const SHRINKAGE: f64 = 0.2;
/// A `PReLU`'s slope before training.
const SLOPE: f32 = 0.25;

/// Writes an untrained bundle of size `spec` into `folder`: `AutoencoderSpec::new(4, 2)` makes half a megabyte.
///
/// # Errors
/// - `bundle_write` when a file cannot be written.
/// - `engine_load`, `engine_run` when the built-in engine fails.
pub fn write_bundle(folder: &Path, spec: AutoencoderSpec, seed: u64) -> Result<(), InferError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = encoder_weights(spec, &mut random);
    let decoder = onnx_graph::decoder(spec, &decoder_weights(spec, &mut random))?;
    let crops = synthetic_crops(CALIBRATION_CROPS, seed);
    let raw = embed(&onnx_graph::encoder(spec, &weights)?, &decoder, &crops)?;
    let (mean, covariance) = moments(&raw);
    weights.norm.mean = mean.iter().map(|mean| *mean as f32).collect();
    weights.norm.variance =
        covariance.iter().enumerate().filter_map(|(i, row)| row.get(i)).map(|variance| *variance as f32).collect();
    let encoder = onnx_graph::encoder(spec, &weights)?;
    let mut engine = Builtin::from_bytes(encoder.clone(), decoder.clone())?;
    let latents = engine.embed(&crops)?;
    let (mean, covariance) = moments(&latents);
    let spread = 1.0 / (LATENT_LEN as f64).sqrt();
    let facts = Facts {
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        network: Some(spec),
        crop: CropRule::default(),
        latent: LatentStatistics { mean, covariance },
        discriminant: Discriminant {
            weights: (0..LATENT_LEN).map(|_| spread * normal(&mut random)).collect(),
            bias: 0.0,
        },
        state: None,
        validity: ValidityLimits::default(),
        training: Training {
            data: "none: random weights, for tests only".to_owned(),
            simulated: true,
            split: "none".to_owned(),
            crop_count: 0,
            cell_count: 0,
            command: None,
        },
        measured: Vec::new(),
    };
    let tests = test_tensors(&mut engine, crops)?;
    let draft = Draft {
        name: "cytowatch untrained".to_owned(),
        version: "0.0.0".to_owned(),
        description: "Random weights, for tests of the software only. Its scores mean nothing.".to_owned(),
        authors: vec![Author { name: "cytowatch".to_owned() }],
        license: "CC0-1.0".to_owned(),
        cite: Vec::new(),
        card: "# Untrained\n\nRandom weights, for tests of the software only. Its scores mean nothing.\n\n\
               ## Validation\n\nThere is nothing to validate.\n"
            .to_owned(),
        facts,
        encoder,
        decoder,
        tests,
    };
    bundle::write(folder, &draft)
}

/// What the networks in `engine` give for the first of `crops`.
fn test_tensors(engine: &mut Builtin, crops: Vec<Crop>) -> Result<TestTensors, InferError> {
    let crop = crops.into_iter().take(1).collect::<Vec<_>>();
    let latents = engine.embed(&crop)?;
    let drawn = engine.decode(&latents)?;
    match (crop.into_iter().next(), latents.first(), drawn.into_iter().next()) {
        (Some(crop), Some(latent), Some(reconstruction)) => Ok(TestTensors { crop, latent: *latent, reconstruction }),
        _ => Err(InferError::TestTensor { file: "test_crop.npy".to_owned(), problem: "is missing".to_owned() }),
    }
}

/// `count` pictures that a cell could make: a body with a bright rim on uneven ground, noise, each scaled to 0..=1.
/// `[256, 256]` each; the same seed gives the same pixels.
pub fn synthetic_crops(count: usize, seed: u64) -> Vec<Crop> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).filter_map(|_| Crop::new(synthetic_pixels(&mut random))).collect()
}

fn synthetic_pixels(random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut between = |low: f64, high: f64| {
        let share: f64 = Uniform::new(0.0, 1.0).map_or(0.5, |uniform| uniform.sample(random));
        low + share * (high - low)
    };
    let (long, short, turn) = (between(30.0, 80.0), between(20.0, 50.0), between(0.0, 3.2));
    let (centre_x, centre_y) = (between(108.0, 148.0), between(108.0, 148.0));
    let (body, rim, tilt) = (between(0.2, 1.0), between(0.5, 3.0), between(-0.5, 0.5));
    let noise: f64 = between(0.02, 0.1);
    let (sine, cosine) = turn.sin_cos();
    let pixels: Vec<f64> = (0..CROP_SIDE_PX * CROP_SIDE_PX)
        .map(|index| {
            let (x, y) = ((index % CROP_SIDE_PX) as f64, (index / CROP_SIDE_PX) as f64);
            let (dx, dy) = (x - centre_x, y - centre_y);
            let (along, across) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
            let radius = (along / long).hypot(across / short);
            let shape = body * (-radius.powi(4)).exp() + rim * (-((radius - 1.0) / 0.12).powi(2)).exp();
            shape + tilt * x / CROP_SIDE_PX as f64 + noise * normal(random)
        })
        .collect();
    let low = pixels.iter().copied().fold(f64::INFINITY, f64::min);
    let high = pixels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    pixels.iter().map(|value| ((value - low) / (high - low)) as f32).collect()
}

fn encoder_weights(spec: AutoencoderSpec, random: &mut ChaCha8Rng) -> EncoderWeights {
    let mut layers = Vec::new();
    for (input, output) in spec.convolutions() {
        layers.push(convolution(input * output, input * KERNEL_TAPS, output, random));
    }
    EncoderWeights {
        convolutions: layers,
        linear: linear(spec.flat_len(), LATENT_LEN, random),
        norm: BatchNorm::identity(LATENT_LEN),
        texture: None,
    }
}

fn decoder_weights(spec: AutoencoderSpec, random: &mut ChaCha8Rng) -> DecoderWeights {
    let mut shapes = spec.transposed_convolutions();
    let (input, output) = shapes.pop().unwrap_or_default();
    let mut layers = Vec::new();
    let first = linear(LATENT_LEN, spec.flat_len(), random);
    for (input, output) in shapes {
        // Each output pixel of a 4 x 4 kernel with stride 2 sees a quarter of the taps.
        layers.push(convolution(input * output, input * KERNEL_TAPS / 4, output, random));
    }
    let last_kernel = normals(input * output * KERNEL_TAPS, input * KERNEL_TAPS / 4, random);
    DecoderWeights { linear: first, slope: SLOPE, convolutions: layers, last_kernel }
}

fn convolution(pairs: usize, fan_in: usize, output: usize, random: &mut ChaCha8Rng) -> Convolution {
    let kernel = normals(pairs * KERNEL_TAPS, fan_in, random);
    Convolution { kernel, norm: BatchNorm::identity(output), slope: SLOPE }
}

fn linear(input: usize, output: usize, random: &mut ChaCha8Rng) -> Linear {
    Linear { weight: normals(input * output, input, random), bias: vec![0.0; output] }
}

/// Weights that keep the spread of what passes through them.
fn normals(count: usize, fan_in: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let spread = (2.0 / fan_in.max(1) as f64).sqrt();
    (0..count).map(|_| (spread * normal(random)) as f32).collect()
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

fn embed(encoder: &[u8], decoder: &[u8], crops: &[Crop]) -> Result<Vec<Latent>, InferError> {
    Builtin::from_bytes(encoder.to_vec(), decoder.to_vec())?.embed(crops)
}

/// Mean, and covariance with its off-diagonal shrunk, in f64 and in order.
fn moments(latents: &[Latent]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let count = latents.len() as f64;
    let column = |feature: usize| latents.iter().filter_map(move |latent| latent.get(feature)).map(|v| f64::from(*v));
    let mean: Vec<f64> = (0..LATENT_LEN).map(|feature| column(feature).sum::<f64>() / count).collect();
    let entry = |(i, mean_i): (usize, &f64), (j, mean_j): (usize, &f64)| {
        let products = column(i).zip(column(j)).map(|(a, b)| (a - mean_i) * (b - mean_j));
        let covariance = products.sum::<f64>() / (count - 1.0);
        if i == j { covariance } else { (1.0 - SHRINKAGE) * covariance }
    };
    let row = |i| mean.iter().enumerate().map(|j| entry(i, j)).collect();
    let covariance = mean.iter().enumerate().map(row).collect();
    (mean, covariance)
}
