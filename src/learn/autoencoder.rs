//! The adversarial autoencoder of method.md 6, trained through burn on a [`Processor`].
//!
//! Takes batches of pictures in 0..=1, gives losses step by step and, at any time, descriptors, reconstructions and the
//! [`EncoderWeights`] and [`DecoderWeights`] that the ONNX graphs are written from. Promises: on the CPU the same seed, pictures
//! and order give the same numbers, and a network read back from its checkpoint goes on as if it had never stopped.
//!
//! Maps are kept `[batch, height, width, channels]`; kernels accordingly `[row, column, in, out]` flattened.

use super::operations::{cross_entropy, gather, norm, scatter};
use super::parameters::{Parameters, Start, generator};
use super::processor::Processor;
use crate::infer::LATENT_LEN;
use crate::infer::architecture::{AutoencoderSpec, FEATURE_SIDE_PX, KERNEL_TAPS};
use crate::infer::texture::{READ, Readout};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Units of the adversary's hidden layers.
const ADVERSARY: [usize; 3] = [1024, 1024, 512];
/// The adversary's factor for negative values.
const LEAK: f32 = 0.2;

/// Running moments of one batch norm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

/// The network, everything trained and everything remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoencoder {
    pub(super) spec: AutoencoderSpec,
    pub(super) halves: Parameters,
    pub(super) adversary: Parameters,
    /// A linear guess of the class, trained only when labels have a weight.
    pub(super) head: Parameters,
    /// How the first features are read from the grain; `None` leaves them as free as the others.
    pub(super) tied: Option<Readout>,
    /// One per batch norm: the encoder's, the descriptor's, the decoder's.
    pub(super) running: Vec<Moments>,
    /// Where its steps are computed; no part of what is trained.
    processor: Processor,
}

/// What a step pulls at.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings {
    /// Adam's step length; 2e-4 in method.md.
    pub learning_rate: f32,
    /// Weight of "the adversary takes the descriptor for noise" beside the pictures' cross-entropy; 1 in method.md.
    pub adversarial_weight: f32,
    /// Weight of a linear guess of the class from the descriptor; 0, as in method.md, trains without labels.
    pub label_weight: f32,
    /// Share of this batch's moments in the running ones; 0.1 in Torch.
    pub momentum: f32,
}

/// The losses of one step, before its update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Mean binary cross-entropy per pixel.
    pub reconstruction: f32,
    /// The adversary's cross-entropy on the descriptors, called noise.
    pub deception: f32,
    /// The adversary's own loss: noise called noise plus descriptors called descriptors.
    pub adversary: f32,
    /// Cross-entropy of the class guessed from single pictures; 0 without labels.
    pub label: f32,
}

/// What one step is shown.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[n, side, side]`, 0..=1, `side` the working side.
    pub pictures: &'a [f32],
    /// `[n, 56]`, drawn from N(0, 1).
    pub noise: &'a [f32],
    /// `[n]`, 1 for high, 0 for low, 0.5 for unknown.
    pub labels: &'a [f32],
    /// `[n, 2]`, what the first features are read as from the pictures' grain; empty where they are free.
    pub tied: &'a [f32],
}

/// The arrays of a [`Parameters`] as burn's leaves, taken one after the other in the order they were added.
struct Leaves {
    all: Vec<Tensor<1>>,
    next: usize,
    device: Device,
}

impl Leaves {
    fn new(parameters: &Parameters, device: &Device, trained: bool) -> Self {
        let leaf = |values: &[f32]| {
            let tensor = Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
            if trained { tensor.require_grad() } else { tensor }
        };
        Self {
            all: parameters.list().iter().map(|parameter| leaf(&parameter.values)).collect(),
            next: 0,
            device: device.clone(),
        }
    }

    fn vector(&mut self, len: usize) -> Tensor<1> {
        self.next += 1;
        self.all.get(self.next - 1).cloned().unwrap_or_else(|| Tensor::zeros([len], &self.device))
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Tensor<2> {
        self.vector(rows * columns).reshape([rows, columns])
    }

    fn linear(&mut self, input: Tensor<2>, rows: usize, columns: usize) -> Tensor<2> {
        let weight = self.matrix(rows, columns);
        input.matmul(weight) + self.vector(columns).reshape([1, columns])
    }

    fn gradients(&self, gradients: &Gradients) -> Vec<Option<Vec<f32>>> {
        self.all
            .iter()
            .map(|leaf| leaf.grad(gradients).and_then(|tensor| tensor.into_data().try_into_vec().ok()))
            .collect()
    }
}

fn constant(value: f32, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![value], [1]), device)
}

impl Autoencoder {
    /// An untrained network: weights as in method.md 6, drawn from `seed`.
    pub fn new(spec: AutoencoderSpec, seed: u64) -> Self {
        let mut rng = generator(seed, 0);
        let (mut halves, mut adversary) = (Parameters::default(), Parameters::default());
        let mut channels = Vec::new();
        let mut norm = |halves: &mut Parameters, name: &str, count: usize, slope: bool| {
            halves.add(
                format!("{name}.gain"),
                &[count],
                Start::Normal(1.0, 0.02),
                &mut generator(seed, 1 + count as u64),
            );
            halves.add(format!("{name}.bias"), &[count], Start::Constant(0.0), &mut generator(seed, 0));
            if slope {
                halves.add(format!("{name}.slope"), &[1], Start::Constant(0.25), &mut generator(seed, 0));
            }
            channels.push(count);
        };
        for (number, (input, output)) in spec.convolutions().into_iter().enumerate() {
            let name = format!("encoder.{number}");
            halves.add(format!("{name}.kernel"), &[KERNEL_TAPS * input, output], Start::Normal(0.0, 0.02), &mut rng);
            norm(&mut halves, &name, output, true);
        }
        let flat = spec.flat_len();
        linear(&mut halves, "encoder.linear", flat, LATENT_LEN, &mut rng);
        norm(&mut halves, "encoder.latent", LATENT_LEN, false);
        linear(&mut halves, "decoder.linear", LATENT_LEN, flat, &mut rng);
        halves.add("decoder.linear.slope".to_owned(), &[1], Start::Constant(0.25), &mut rng);
        let mut shapes = spec.transposed_convolutions();
        let last = shapes.pop();
        for (number, (input, output)) in shapes.into_iter().enumerate() {
            let name = format!("decoder.{number}");
            halves.add(format!("{name}.kernel"), &[input, KERNEL_TAPS * output], Start::Normal(0.0, 0.02), &mut rng);
            norm(&mut halves, &name, output, true);
        }
        if let Some((input, output)) = last {
            let shape = [input, KERNEL_TAPS * output];
            halves.add("decoder.last.kernel".to_owned(), &shape, Start::Normal(0.0, 0.02), &mut rng);
        }
        let [first, second, third] = ADVERSARY;
        linear(&mut adversary, "adversary.0", LATENT_LEN, first, &mut rng);
        for (name, input, output) in [("adversary.1", first, second), ("adversary.2", second, third)] {
            linear(&mut adversary, name, input, output, &mut rng);
            adversary.add(format!("{name}.gain"), &[output], Start::Normal(1.0, 0.02), &mut rng);
            adversary.add(format!("{name}.bias"), &[output], Start::Constant(0.0), &mut rng);
        }
        linear(&mut adversary, "adversary.3", third, 1, &mut rng);
        let mut head = Parameters::default();
        linear(&mut head, "label", LATENT_LEN, 1, &mut rng);
        let running = channels.iter().map(|n| Moments { mean: vec![0.0; *n], variance: vec![1.0; *n] }).collect();
        Self { spec, halves, adversary, head, tied: None, running, processor: Processor::cpu() }
    }

    /// The same network with its first features read from the grain.
    #[must_use]
    pub fn tied_to(self, readout: Option<Readout>) -> Self {
        Self { tied: readout, ..self }
    }

    /// The same network, trained on `processor` from here on.
    #[must_use]
    pub fn on(self, processor: Processor) -> Self {
        Self { processor, ..self }
    }

    /// How the first features are read from the grain, where they are.
    pub fn readout(&self) -> Option<&Readout> {
        self.tied.as_ref()
    }

    /// Size of the network.
    pub fn spec(&self) -> AutoencoderSpec {
        self.spec
    }

    /// Every array that a checkpoint keeps, in a fixed order.
    pub(super) fn arrays_mut(&mut self) -> Vec<&mut Vec<f32>> {
        let trained = [&mut self.halves, &mut self.adversary, &mut self.head];
        let mut arrays: Vec<&mut Vec<f32>> = trained.into_iter().flat_map(Parameters::arrays_mut).collect();
        arrays.extend(self.running.iter_mut().flat_map(|moments| [&mut moments.mean, &mut moments.variance]));
        arrays
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u32 {
        self.halves.steps()
    }

    /// As if `steps` steps had been taken.
    pub(super) fn set_steps(&mut self, steps: u32) {
        for trained in [&mut self.halves, &mut self.adversary, &mut self.head] {
            trained.set_steps(steps);
        }
    }

    /// Trained numbers: of encoder and decoder together, and of the adversary.
    pub fn parameter_counts(&self) -> (usize, usize) {
        (self.halves.count(), self.adversary.count())
    }

    /// One training step.
    ///
    /// Both gradients are taken with the weights as they were before the step.
    pub fn step(&mut self, batch: Batch<'_>, settings: StepSettings) -> Losses {
        let Batch { pictures, noise, labels, tied } = batch;
        let device = self.processor.device().clone().autodiff();
        let side = self.spec.working_side_px();
        let batch = pictures.len() / (side * side);
        let mut moments = Vec::new();

        let mut halves = Leaves::new(&self.halves, &device, true);
        let targets = Tensor::<1>::from_data(TensorData::new(pictures.to_vec(), [pictures.len()]), &device);
        let encoded = self.encode_batch(&mut halves, targets.clone().reshape([batch, side, side, 1]), &mut moments);
        let latent = with_tied(encoded, tied);
        let logits = self.decode_batch(&mut halves, latent.clone(), &mut moments);
        let reconstruction = cross_entropy(logits, targets);

        let (ones, zeros) = (Tensor::<2>::ones([batch, 1], &device), Tensor::<2>::zeros([batch, 1], &device));
        let judged = judge(&mut Leaves::new(&self.adversary, &device, false), latent.clone());
        let deception = cross_entropy(judged, ones.clone());
        let mut loss = reconstruction.clone() + deception.clone() * settings.adversarial_weight;
        let mut head = Leaves::new(&self.head, &device, true);
        let mut label = 0.0;
        if settings.label_weight > 0.0 {
            let labels = Tensor::<2>::from_data(TensorData::new(labels.to_vec(), [batch, 1]), &device);
            let guess = cross_entropy(head.linear(latent.clone(), LATENT_LEN, 1), labels);
            label = number(guess.clone());
            loss = loss + guess * settings.label_weight;
        }
        let gradients = loss.backward();
        let (half_gradients, head_gradients) = (halves.gradients(&gradients), head.gradients(&gradients));

        let mut adversary = Leaves::new(&self.adversary, &device, true);
        let noise = Tensor::<2>::from_data(TensorData::new(noise.to_vec(), [batch, LATENT_LEN]), &device);
        let real = cross_entropy(judge(&mut adversary, noise), ones);
        adversary.next = 0;
        let false_ones = cross_entropy(judge(&mut adversary, latent.detach()), zeros);
        let adversary_loss = real + false_ones;
        let adversary_gradients = adversary.gradients(&adversary_loss.clone().backward());

        self.halves.step(&half_gradients, settings.learning_rate);
        self.adversary.step(&adversary_gradients, settings.learning_rate);
        self.head.step(&head_gradients, settings.learning_rate);
        self.remember(moments, settings.momentum);
        Losses {
            reconstruction: number(reconstruction),
            deception: number(deception),
            adversary: number(adversary_loss),
            label,
        }
    }

    /// Moves the running moments towards this batch's, without training.
    pub fn observe(&mut self, pictures: &[f32], tied: &[f32], momentum: f32) {
        let device = self.processor.device().clone();
        let side = self.spec.working_side_px();
        let batch = pictures.len() / (side * side);
        let mut moments = Vec::new();
        let mut halves = Leaves::new(&self.halves, &device, false);
        let input = Tensor::<1>::from_data(TensorData::new(pictures.to_vec(), [pictures.len()]), &device);
        let encoded = self.encode_batch(&mut halves, input.reshape([batch, side, side, 1]), &mut moments);
        let latent = with_tied(encoded, tied);
        self.decode_batch(&mut halves, latent, &mut moments);
        self.remember(moments, momentum);
    }

    fn encode_batch(
        &self,
        leaves: &mut Leaves,
        mut map: Tensor<4>,
        moments: &mut Vec<(Tensor<1>, Tensor<1>, usize)>,
    ) -> Tensor<2> {
        for (input, output) in self.spec.convolutions() {
            let [batch, height, width, _] = map.dims();
            let product = gather(map).matmul(leaves.matrix(KERNEL_TAPS * input, output));
            let slope = None;
            map = normed(leaves, product, slope, moments).reshape([batch, height / 2, width / 2, output]);
        }
        let batch = map.dims().first().copied().unwrap_or_default();
        let flat = self.spec.flat_len();
        let latent = leaves.linear(map.reshape([batch, flat]), flat, LATENT_LEN);
        let one = constant(1.0, &latent.device());
        normed(leaves, latent, Some(one), moments)
    }

    /// The pictures' logits, `[batch * side * side]`.
    fn decode_batch(
        &self,
        leaves: &mut Leaves,
        latent: Tensor<2>,
        moments: &mut Vec<(Tensor<1>, Tensor<1>, usize)>,
    ) -> Tensor<1> {
        let [batch, _] = latent.dims();
        let flat = self.spec.flat_len();
        let hidden = leaves.linear(latent, LATENT_LEN, flat);
        let slope = leaves.vector(1).reshape([1, 1]);
        let mut rows = relu(hidden.clone()) - relu(hidden.neg()) * slope;
        let mut side = FEATURE_SIDE_PX;
        let shapes = self.spec.transposed_convolutions();
        for (number, (input, output)) in shapes.iter().enumerate() {
            let product =
                rows.reshape([batch * side * side, *input]).matmul(leaves.matrix(*input, KERNEL_TAPS * output));
            side *= 2;
            rows = scatter(product, [batch, side, side, *output]).reshape([batch * side * side, *output]);
            if number + 1 < shapes.len() {
                rows = normed(leaves, rows, None, moments);
            }
        }
        rows.reshape([batch * side * side])
    }

    fn remember(&mut self, moments: Vec<(Tensor<1>, Tensor<1>, usize)>, momentum: f32) {
        for (running, (mean, variance, rows)) in self.running.iter_mut().zip(moments) {
            let unbias = rows as f32 / (rows.max(2) - 1) as f32;
            let update = |running: &mut Vec<f32>, batch: Tensor<1>, factor: f32| {
                let batch: Vec<f32> = batch.into_data().try_into_vec().unwrap_or_default();
                for (value, new) in running.iter_mut().zip(batch) {
                    *value += momentum * (new * factor - *value);
                }
            };
            update(&mut running.mean, mean, 1.0);
            update(&mut running.variance, variance, unbias);
        }
    }
}

/// `encoded` with its first features replaced by `tied`, where there are any.
fn with_tied(encoded: Tensor<2>, tied: &[f32]) -> Tensor<2> {
    if tied.is_empty() {
        return encoded;
    }
    let ([batch, len], device) = (encoded.dims(), encoded.device());
    let tied = Tensor::from_data(TensorData::new(tied.to_vec(), [batch, READ]), &device);
    Tensor::cat(vec![tied, encoded.slice([0..batch, READ..len])], 1)
}

fn number(tensor: Tensor<1>) -> f32 {
    tensor.into_data().try_into_vec().ok().and_then(|values: Vec<f32>| values.first().copied()).unwrap_or(f32::NAN)
}

/// Torch's fully connected layer: weights and bias uniform within one over the root of the inputs.
fn linear(parameters: &mut Parameters, name: &str, input: usize, output: usize, rng: &mut rand_chacha::ChaCha8Rng) {
    let start = Start::Uniform(1.0 / (input as f32).sqrt());
    parameters.add(format!("{name}.weight"), &[input, output], start, rng);
    parameters.add(format!("{name}.offset"), &[output], start, rng);
}

/// Batch norm and `PReLU` on `[rows, c]`; `slope` `None` takes the trained one.
fn normed(
    leaves: &mut Leaves,
    values: Tensor<2>,
    slope: Option<Tensor<1>>,
    moments: &mut Vec<(Tensor<1>, Tensor<1>, usize)>,
) -> Tensor<2> {
    let [rows, channels] = values.dims();
    let (gain, bias) = (leaves.vector(channels), leaves.vector(channels));
    let slope = slope.unwrap_or_else(|| leaves.vector(1));
    let (output, mean, variance) = norm(values, gain, bias, slope);
    moments.push((mean, variance, rows));
    output
}

/// The adversary's logit that each row of `latent` is noise, `[n, 1]`.
fn judge(leaves: &mut Leaves, latent: Tensor<2>) -> Tensor<2> {
    let [first, second, third] = ADVERSARY;
    let device = latent.device();
    let mut hidden = leaky_relu(leaves.linear(latent, LATENT_LEN, first), f64::from(LEAK));
    for (input, output) in [(first, second), (second, third)] {
        let product = leaves.linear(hidden, input, output);
        hidden = normed(leaves, product, Some(constant(LEAK, &device)), &mut Vec::new());
    }
    leaves.linear(hidden, third, 1)
}

#[cfg(test)]
mod tests;
