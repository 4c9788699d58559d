//! The cell finder's network in training, through burn: one step of Adam, and the weights for the ONNX file.
//!
//! Maps are `[batch, height, width, channels]`; kernels `[row, column, in]` by `out` (down, around) or `in` by
//! `[row, column, out]` (up). The same seed, pictures and order give the same numbers.

use super::operations::{TAPS, around};
use crate::infer::architecture::{BatchNorm, KERNEL_TAPS};
use crate::infer::finder_plan::{FinderWeights, Layer, MAPS, Step, plan};
use crate::learn::kernels::EPSILON;
use crate::learn::operations::{cross_entropy, gather, norm, scatter};
use crate::learn::parameters::{Parameters, Start, generator};
use burn::tensor::{Device, Tensor, TensorData};

/// Running moments of one batch norm.
#[derive(Debug, Clone, PartialEq)]
struct Moments {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

/// The network and what Adam remembers.
#[derive(Debug, Clone)]
pub(super) struct Network {
    width: usize,
    trained: Parameters,
    running: Vec<Moments>,
}

/// The mean and variance that a batch norm met, and over how many rows.
type Met = (Tensor<1>, Tensor<1>, usize);

/// The kernel's rows and columns of a step, and its output channels.
fn extent(step: Step) -> Option<(usize, usize, usize)> {
    match step {
        Step::Down(input, output) => Some((KERNEL_TAPS * input, output, output)),
        Step::Around(both) => Some((TAPS * both, both, both)),
        Step::Up(input, output) => Some((input, KERNEL_TAPS * output, output)),
        Step::Keep | Step::Add => None,
    }
}

impl Network {
    /// An untrained network, its weights drawn from `seed` as He and others (2015) draw them.
    pub(super) fn new(width: usize, seed: u64) -> Self {
        let mut rng = generator(seed, 7);
        let mut trained = Parameters::default();
        let mut running = Vec::new();
        for (number, step) in plan(width).into_iter().enumerate() {
            let Some((rows, columns, outputs)) = extent(step) else { continue };
            // A transposed convolution of stride 2 meets a quarter of its taps at every pixel.
            let met = if matches!(step, Step::Up(..)) { rows * KERNEL_TAPS / 4 } else { rows };
            let start = Start::Normal(0.0, (2.0 / met as f32).sqrt());
            trained.add(format!("{number}.kernel"), &[rows, columns], start, &mut rng);
            if outputs == MAPS {
                trained.add(format!("{number}.bias"), &[outputs], Start::Constant(-1.0), &mut rng);
                continue;
            }
            trained.add(format!("{number}.gain"), &[outputs], Start::Constant(1.0), &mut rng);
            trained.add(format!("{number}.bias"), &[outputs], Start::Constant(0.0), &mut rng);
            trained.add(format!("{number}.slope"), &[1], Start::Constant(0.1), &mut rng);
            running.push(Moments { mean: vec![0.0; outputs], variance: vec![1.0; outputs] });
        }
        Self { width, trained, running }
    }

    /// The network of `weights`, ready to be trained further. Its batch norms are set to what they do to `pictures`
    /// (`[n, side, side]`), so that it still gives what it gave. `None` when the weights do not fit their plan.
    pub(super) fn resumed(weights: &FinderWeights, pictures: &[f32], side: usize) -> Option<Self> {
        let mut network = Self::new(weights.width, 0);
        let steps: Vec<_> = plan(weights.width).into_iter().filter_map(|step| Some((step, extent(step)?))).collect();
        let mut layers = weights.layers.iter();
        // Every step's first array, in the order of [`Network::new`].
        let mut first = 0;
        let mut norms = Vec::new();
        for (step, (rows, columns, outputs)) in steps {
            let layer = layers.next().filter(|layer| layer.kernel.len() == rows * columns)?;
            let kernel = match step {
                Step::Up(..) => down_again(&layer.kernel, rows, outputs),
                Step::Down(input, _) | Step::Around(input) => up_again(&layer.kernel, input, outputs),
                Step::Keep | Step::Add => return None,
            };
            network.trained.set(first, kernel);
            if outputs == MAPS {
                network.trained.set(first + 1, layer.norm.bias.clone());
            } else {
                network.trained.set(first + 3, vec![layer.slope?]);
                norms.push((first, layer.norm.bias.clone()));
                first += 4;
            }
        }
        // One after the other: what a norm meets depends on those before it.
        for (number, (first, bias)) in norms.into_iter().enumerate() {
            let moments = network.moments(pictures, side).into_iter().nth(number)?;
            network.trained.set(first + 1, moments.variance.iter().map(|v| (v + EPSILON).sqrt()).collect());
            network.trained.set(first + 2, moments.mean.iter().zip(&bias).map(|(mean, bias)| mean + bias).collect());
            *network.running.get_mut(number)? = moments;
        }
        Some(network)
    }

    /// What each batch norm meets in `pictures`.
    fn moments(&self, pictures: &[f32], side: usize) -> Vec<Moments> {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
        let leaves: Vec<Tensor<1>> = self.trained.list().iter().map(|array| tensor(&array.values)).collect();
        let mut met = Vec::new();
        let batch = pictures.len() / (side * side);
        self.forward(&leaves, tensor(pictures).reshape([batch, side, side, 1]), &mut met);
        let numbers = |tensor: Tensor<1>| tensor.into_data().try_into_vec().unwrap_or_default();
        met.into_iter()
            .map(|(mean, variance, _)| Moments { mean: numbers(mean), variance: numbers(variance) })
            .collect()
    }

    /// How many numbers are trained.
    pub(super) fn parameters(&self) -> usize {
        self.trained.count()
    }

    /// One step on `pictures` (`[n, side, side]`) and `targets` (`[n, side, side, 2]`, 0..=1); gives the mean
    /// cross-entropy before the step.
    pub(super) fn step(&mut self, pictures: &[f32], targets: &[f32], side: usize, learning_rate: f32) -> f32 {
        let device = Device::flex().autodiff();
        let batch = pictures.len() / (side * side);
        let leaf = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device).require_grad()
        };
        let leaves: Vec<Tensor<1>> = self.trained.list().iter().map(|array| leaf(&array.values)).collect();
        let mut met = Vec::new();
        let input = Tensor::<1>::from_data(TensorData::new(pictures.to_vec(), [pictures.len()]), &device);
        let logits = self.forward(&leaves, input.reshape([batch, side, side, 1]), &mut met);
        let wanted = Tensor::<1>::from_data(TensorData::new(targets.to_vec(), [targets.len()]), &device);
        let loss = cross_entropy(logits, wanted);
        let gradients = loss.backward();
        let gradients: Vec<Option<Vec<f32>>> = leaves
            .iter()
            .map(|leaf| leaf.grad(&gradients).and_then(|tensor| tensor.into_data().try_into_vec().ok()))
            .collect();
        self.trained.step(&gradients, learning_rate);
        self.remember(met);
        loss.into_data().try_into_vec().ok().and_then(|v: Vec<f32>| v.first().copied()).unwrap_or(f32::NAN)
    }

    /// The logits, `[batch * side * side * 2]`.
    fn forward(&self, leaves: &[Tensor<1>], mut map: Tensor<4>, met: &mut Vec<Met>) -> Tensor<1> {
        let mut next = leaves.iter().cloned();
        let mut leaf = |len: usize, device: &Device| next.next().unwrap_or_else(|| Tensor::zeros([len], device));
        let mut kept = Vec::new();
        for step in plan(self.width) {
            let [batch, height, width, channels] = map.dims();
            let device = map.device();
            let Some((rows, columns, outputs)) = extent(step) else {
                if step == Step::Keep {
                    kept.push(map.clone());
                } else if let Some(other) = kept.pop() {
                    map = map + other;
                }
                continue;
            };
            let kernel = leaf(rows * columns, &device).reshape([rows, columns]);
            let (values, shape) = match step {
                Step::Down(..) => (gather(map).matmul(kernel), [batch, height / 2, width / 2, outputs]),
                Step::Around(_) => (around(map).matmul(kernel), [batch, height, width, outputs]),
                _ => {
                    let shape = [batch, 2 * height, 2 * width, outputs];
                    let product = map.reshape([batch * height * width, channels]).matmul(kernel);
                    (scatter(product, shape).reshape([4 * batch * height * width, outputs]), shape)
                }
            };
            if outputs == MAPS {
                let bias = leaf(outputs, &device).reshape([1, outputs]);
                let count = shape.iter().product::<usize>();
                return (values + bias).reshape([count]);
            }
            let [gain, bias, slope] = [outputs, outputs, 1].map(|len| leaf(len, &device));
            let count = values.dims().first().copied().unwrap_or_default();
            let (output, mean, variance) = norm(values, gain, bias, slope);
            met.push((mean, variance, count));
            map = output.reshape(shape);
        }
        let device = map.device();
        Tensor::zeros([1], &device)
    }

    fn remember(&mut self, met: Vec<Met>) {
        /// Share of the newest batch in the running moments.
        const NEWEST: f32 = 0.03;
        for (running, (mean, variance, rows)) in self.running.iter_mut().zip(met) {
            let unbias = rows as f32 / (rows.max(2) - 1) as f32;
            let update = |running: &mut Vec<f32>, new: Tensor<1>, factor: f32| {
                let new: Vec<f32> = new.into_data().try_into_vec().unwrap_or_default();
                for (value, new) in running.iter_mut().zip(new) {
                    *value += NEWEST * (new * factor - *value);
                }
            };
            update(&mut running.mean, mean, 1.0);
            update(&mut running.variance, variance, unbias);
        }
    }

    /// The weights as the ONNX file wants them.
    pub(super) fn weights(&self) -> FinderWeights {
        let mut arrays = self.trained.list().iter().map(|array| array.values.clone());
        let mut running = self.running.iter();
        let mut layers = Vec::new();
        for step in plan(self.width) {
            let Some((rows, columns, outputs)) = extent(step) else { continue };
            let flat = arrays.next().unwrap_or_default();
            let kernel = match step {
                Step::Up(..) => turned_up(&flat, rows, outputs),
                _ => {
                    turned_down(&flat, rows / if matches!(step, Step::Down(..)) { KERNEL_TAPS } else { TAPS }, columns)
                }
            };
            if outputs == MAPS {
                let norm = BatchNorm { bias: arrays.next().unwrap_or_default(), ..BatchNorm::exact(outputs) };
                layers.push(Layer { kernel, norm, slope: None });
                continue;
            }
            let (gain, bias) = (arrays.next().unwrap_or_default(), arrays.next().unwrap_or_default());
            let slope = arrays.next().and_then(|slope| slope.first().copied());
            let moments = running.next();
            let mean = moments.map(|m| m.mean.clone()).unwrap_or_default();
            let variance = moments.map(|m| m.variance.clone()).unwrap_or_default();
            layers.push(Layer { kernel, norm: BatchNorm { gain, bias, mean, variance }, slope });
        }
        FinderWeights { width: self.width, layers }
    }
}

/// `[taps, in] x [out]` to `[out, in, taps]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * input * output numbers")]
fn turned_down(flat: &[f32], input: usize, output: usize) -> Vec<f32> {
    let taps = flat.len() / (input * output).max(1);
    let mut kernel = Vec::with_capacity(flat.len());
    for o in 0..output {
        for i in 0..input {
            kernel.extend((0..taps).map(|tap| flat[(tap * input + i) * output + o]));
        }
    }
    kernel
}

/// `[out, in, taps]` to `[taps, in] x [out]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * input * output numbers")]
fn up_again(kernel: &[f32], input: usize, output: usize) -> Vec<f32> {
    let taps = kernel.len() / (input * output).max(1);
    let place = |at: usize| (at % output * input + at / output % input) * taps + at / (input * output);
    (0..kernel.len()).map(|at| kernel[place(at)]).collect()
}

/// `[in, out, taps]` to `[in] x [taps, out]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * input * output numbers")]
fn down_again(kernel: &[f32], input: usize, output: usize) -> Vec<f32> {
    let taps = kernel.len() / (input * output).max(1);
    let place = |at: usize| (at / (taps * output) * output + at % output) * taps + at / output % taps;
    (0..kernel.len()).map(|at| kernel[place(at)]).collect()
}

/// `[in] x [taps, out]` to `[in, out, taps]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds input * taps * output numbers")]
fn turned_up(flat: &[f32], input: usize, output: usize) -> Vec<f32> {
    let taps = flat.len() / (input * output).max(1);
    let mut kernel = Vec::with_capacity(flat.len());
    for i in 0..input {
        for o in 0..output {
            kernel.extend((0..taps).map(|tap| flat[(i * taps + tap) * output + o]));
        }
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::onnx_graph::finder;

    #[test]
    fn a_network_read_from_its_file_gives_what_it_gave_and_learns_on() {
        let side = 32;
        let pictures: Vec<f32> =
            (0..4 * side * side).map(|i| (i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()).collect();
        let targets: Vec<f32> = (0..8 * side * side).map(|i| f32::from(u8::from(i / 64 % 3 == 0))).collect();
        let mut network = Network::new(4, 5);
        for _ in 0..3 {
            network.step(&pictures, &targets, side, 1e-2);
        }
        let written = finder::finder(&network.weights()).unwrap();
        let weights = finder::read(&written).unwrap();
        assert!(finder::read(&written[..written.len() / 2]).is_none());
        let mut again = Network::resumed(&weights, &pictures, side).unwrap();
        let now = finder::read(&finder::finder(&again.weights()).unwrap()).unwrap();
        for (before, now) in weights.layers.iter().zip(&now.layers) {
            assert_eq!(before.slope, now.slope);
            let pairs = before.kernel.iter().chain(&before.norm.bias).zip(now.kernel.iter().chain(&now.norm.bias));
            for (before, now) in pairs {
                assert!((before - now).abs() < 1e-4, "{before} {now}");
            }
        }
        let losses: Vec<f32> = (0..6).map(|_| again.step(&pictures, &targets, side, 3e-3)).collect();
        assert!(losses[5] < losses[0], "{losses:?}");
    }
}
