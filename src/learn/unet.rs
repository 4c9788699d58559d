//! The small U-Nets in training: one step of Adam, and the weights for the ONNX file.
//!
//! Pictures go through in vectors of [`LANES`], each vector with batch norms of its own, one thread a vector: what threads
//! share is added up in the vectors' order. Kernels are `[tap, in, out]`. The same seed, pictures and order give the same
//! numbers.

pub(super) mod course;
pub(super) mod folder;
pub(super) mod lanes;
mod norm;
mod order;

use crate::infer::architecture::{BatchNorm, KERNEL_TAPS};
use crate::infer::unet::{Layer, Step, UnetWeights};
use crate::learn::kernels::EPSILON;
use crate::learn::parameters::{Parameter, Parameters, Start, generator};
use lanes::{Geometry, LANES, Map};
use norm::{Moments, Norm};
use order::{for_file, from_file, turned};
use rayon::prelude::*;

/// Taps of a 3 x 3 kernel.
const TAPS: usize = 9;

/// What a network's outputs are held against: takes them for a vector of pictures, and what is wanted of these, gives the mean
/// loss and puts its gradient in the outputs' place.
pub(super) type Loss = fn(&mut Map, &[f32]) -> f64;

/// What a network is and learns.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Its steps, a convolution first.
    pub(super) steps: Vec<Step>,
    /// What its outputs begin at.
    pub(super) first_guess: f32,
    /// How much they begin to spread about that, relative to what keeps a map's strength.
    pub(super) first_spread: f32,
    /// What it learns by.
    pub(super) loss: Loss,
}

/// The network and what Adam remembers.
#[derive(Debug, Clone)]
pub(super) struct Network {
    task: Task,
    trained: Parameters,
    running: Vec<Moments>,
}

/// Taps, input and output channels of a convolution.
fn extent(step: Step) -> Option<(usize, usize, usize)> {
    let (input, output) = step.channels()?;
    Some((if matches!(step, Step::Around(..)) { TAPS } else { KERNEL_TAPS }, input, output))
}

/// Which step is the last convolution: it has no norm.
fn last(steps: &[Step]) -> usize {
    steps.iter().rposition(|step| step.channels().is_some()).unwrap_or_default()
}

/// What is trained of a step.
struct Trained<'a> {
    /// Which array the kernel is; the others follow.
    first: usize,
    kernel: &'a [f32],
    norm: Option<Norm<'a>>,
    bias: &'a [f32],
}

/// What a convolution met on the way forward.
struct Met {
    input: Map,
    /// Before the norm.
    product: Map,
    moments: Moments,
}

/// What one vector of pictures says: the mean loss and its gradient by every array.
struct Said {
    loss: f64,
    gradients: Vec<Vec<f32>>,
    moments: Vec<Moments>,
}

impl Network {
    /// An untrained network, its weights drawn from `seed` as He and others (2015) draw them.
    pub(super) fn new(task: Task, seed: u64) -> Self {
        let mut rng = generator(seed, 7);
        let mut trained = Parameters::default();
        let mut running = Vec::new();
        let last = last(&task.steps);
        for (number, step) in task.steps.iter().copied().enumerate() {
            let Some((taps, inputs, outputs)) = extent(step) else { continue };
            // A transposed convolution of stride 2 meets a quarter of its taps at every pixel.
            let met = inputs * if matches!(step, Step::Up(..)) { taps / 4 } else { taps };
            let spread = if number == last { task.first_spread } else { 1.0 };
            let start = Start::Normal(0.0, spread * (2.0 / met as f32).sqrt());
            trained.add(format!("{number}.kernel"), &[taps * inputs, outputs], start, &mut rng);
            if number == last {
                trained.add(format!("{number}.bias"), &[outputs], Start::Constant(task.first_guess), &mut rng);
                continue;
            }
            trained.add(format!("{number}.gain"), &[outputs], Start::Constant(1.0), &mut rng);
            trained.add(format!("{number}.bias"), &[outputs], Start::Constant(0.0), &mut rng);
            trained.add(format!("{number}.slope"), &[1], Start::Constant(0.1), &mut rng);
            running.push(Moments { mean: vec![0.0; outputs], variance: vec![1.0; outputs] });
        }
        Self { task, trained, running }
    }

    /// The network of `weights`, ready to be trained further. Its batch norms are set to what they do to `pictures`
    /// (`[n, side, side]`, a multiple of [`LANES`]), so that it still gives about what it gave. `None` when the weights do
    /// not fit their plan.
    pub(super) fn resumed(task: Task, weights: &UnetWeights, pictures: &[f32], side: usize) -> Option<Self> {
        let steps: Vec<_> = task.steps.iter().filter_map(|step| Some((*step, extent(*step)?))).collect();
        let mut network = Self::new(task, 0);
        let mut layers = weights.layers.iter();
        // Every step's first array, in the order of [`Network::new`].
        let mut first = 0;
        let mut norms = Vec::new();
        for (step, (taps, inputs, outputs)) in steps {
            let layer = layers.next().filter(|layer| layer.kernel.len() == taps * inputs * outputs)?;
            network.trained.set(first, from_file(step, &layer.kernel, inputs, outputs));
            let Some(slope) = layer.slope else {
                network.trained.set(first + 1, layer.norm.bias.clone());
                continue;
            };
            network.trained.set(first + 3, vec![slope]);
            norms.push((first, layer.norm.bias.clone()));
            first += 4;
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
        let vectors: Vec<Vec<Moments>> = pictures
            .par_chunks_exact(self.inputs() * LANES * side * side)
            .map(|vector| self.forward(vector, side).0.into_iter().map(|met| met.moments).collect())
            .collect();
        mean_moments(&vectors)
    }

    /// Channels of a picture.
    fn inputs(&self) -> usize {
        self.task.steps.first().and_then(|step| step.channels()).map_or(1, |(inputs, _)| inputs)
    }

    /// How many numbers are trained.
    pub(super) fn parameters(&self) -> usize {
        self.trained.count()
    }

    /// One step on `n` `pictures` (`[n, channels, side, side]`, `n` a multiple of [`LANES`]) and what is `wanted` of them (`n`
    /// times as many numbers as the loss takes of one); gives the mean loss before the step.
    pub(super) fn step(&mut self, pictures: &[f32], wanted: &[f32], side: usize, learning_rate: f32) -> f32 {
        let vector = self.inputs() * LANES * side * side;
        let wanted_of_vector = wanted.len() / (pictures.len() / vector.max(1)).max(1);
        let pairs = pictures.par_chunks_exact(vector).zip(wanted.par_chunks_exact(wanted_of_vector.max(1)));
        let said: Vec<Said> = pairs.map(|(pictures, wanted)| self.learn(pictures, wanted, side)).collect();
        let count = said.len().max(1);
        let mut sums: Vec<Vec<f32>> = self.trained.list().iter().map(|array| vec![0.0; array.values.len()]).collect();
        for said in &said {
            for (sum, gradient) in sums.iter_mut().zip(&said.gradients) {
                sum.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient / count as f32);
            }
        }
        self.trained.step(&sums.into_iter().map(Some).collect::<Vec<_>>(), learning_rate);
        let met: Vec<Vec<Moments>> = said.iter().map(|said| said.moments.clone()).collect();
        self.remember(&mean_moments(&met));
        (said.iter().map(|said| said.loss).sum::<f64>() / said.len().max(1) as f64) as f32
    }

    /// The arrays of every convolution, in the order of the plan.
    fn layers(&self) -> Vec<(Step, Trained<'_>)> {
        let arrays: Vec<&[f32]> = self.trained.list().iter().map(|array: &Parameter| array.values.as_slice()).collect();
        let array = |at: usize| arrays.get(at).copied().unwrap_or_default();
        let mut first = 0;
        let mut layers = Vec::new();
        let last = last(&self.task.steps);
        for (number, step) in self.task.steps.iter().copied().enumerate() {
            if step.channels().is_none() {
                layers.push((step, Trained { first, kernel: &[], norm: None, bias: &[] }));
                continue;
            }
            let is_last = number == last;
            let bias = array(first + if is_last { 1 } else { 2 });
            let slope = array(first + 3).first().copied().unwrap_or(0.0);
            let norm = (!is_last).then(|| Norm { gain: array(first + 1), bias, slope });
            layers.push((step, Trained { first, kernel: array(first), norm, bias }));
            first += 4;
        }
        layers
    }

    /// What every convolution meets in a vector of pictures, and the logits.
    fn forward(&self, pictures: &[f32], side: usize) -> (Vec<Met>, Map) {
        let mut map = side_by_side(pictures, self.inputs(), side);
        let (mut met, mut kept) = (Vec::new(), Vec::new());
        for (step, trained) in self.layers() {
            let Some((.., outputs)) = extent(step) else {
                match (step, kept.last()) {
                    (Step::Keep, _) => kept.push(map.clone()),
                    (_, Some(other)) => {
                        map.add(other);
                        kept.pop();
                    }
                    _ => {}
                }
                continue;
            };
            let mut product = convolved(step, &map, trained.kernel, outputs);
            let Some(norm) = trained.norm else {
                for pixel in product.rows_mut().flat_map(|row| row.chunks_exact_mut(outputs * LANES)) {
                    for (lanes, bias) in pixel.chunks_exact_mut(LANES).zip(trained.bias) {
                        for value in lanes {
                            *value += bias;
                        }
                    }
                }
                let moments = Moments { mean: Vec::new(), variance: Vec::new() };
                met.push(Met { input: map, product: Map::new(0, 0, outputs), moments });
                return (met, product);
            };
            let moments = Moments::of(&product);
            let output = norm.forward(&product, &moments);
            met.push(Met { input: std::mem::replace(&mut map, output), product, moments });
        }
        (met, map)
    }

    /// The mean loss of a vector of pictures and its gradients.
    fn learn(&self, pictures: &[f32], wanted: &[f32], side: usize) -> Said {
        let (mut met, mut gradient) = self.forward(pictures, side);
        let loss = (self.task.loss)(&mut gradient, wanted);
        let mut gradients = vec![Vec::new(); self.trained.list().len()];
        let (mut moments, mut kept) = (Vec::new(), Vec::new());
        for (step, trained) in self.layers().into_iter().rev() {
            let Some((taps, inputs, outputs)) = extent(step) else {
                match (step, kept.last()) {
                    (Step::Add, _) => kept.push(gradient.clone()),
                    (_, Some(other)) => {
                        gradient.add(other);
                        kept.pop();
                    }
                    _ => {}
                }
                continue;
            };
            let Some(Met { input, product, moments: own }) = met.pop() else { break };
            let mut set = |at: usize, values: Vec<f32>| {
                if let Some(slot) = gradients.get_mut(trained.first + at) {
                    *slot = values;
                }
            };
            if let Some(norm) = trained.norm {
                let slopes = norm.backward(&product, &own, &mut gradient);
                set(1, slopes.gain);
                set(2, slopes.bias);
                set(3, vec![slopes.slope]);
                moments.push(own);
            } else {
                set(1, by_bias(&gradient));
            }
            set(0, by_kernel(step, &input, &gradient, taps));
            if !met.is_empty() {
                gradient = by_input(step, &gradient, &turned(trained.kernel, inputs, outputs), inputs);
            }
        }
        moments.reverse();
        Said { loss, gradients, moments }
    }

    fn remember(&mut self, met: &[Moments]) {
        /// Share of the newest batch in the running moments.
        const NEWEST: f32 = 0.03;
        for (running, met) in self.running.iter_mut().zip(met) {
            let update = |running: &mut Vec<f32>, new: &[f32]| {
                for (value, new) in running.iter_mut().zip(new) {
                    *value += NEWEST * (new - *value);
                }
            };
            update(&mut running.mean, &met.mean);
            update(&mut running.variance, &met.variance);
        }
    }

    /// The weights as the ONNX file wants them.
    pub(super) fn weights(&self) -> UnetWeights {
        let mut arrays = self.trained.list().iter().map(|array| array.values.clone());
        let mut running = self.running.iter();
        let mut layers = Vec::new();
        let last = last(&self.task.steps);
        for (number, step) in self.task.steps.iter().copied().enumerate() {
            let Some((inputs, outputs)) = step.channels() else { continue };
            let kernel = for_file(step, &arrays.next().unwrap_or_default(), inputs, outputs);
            if number == last {
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
        UnetWeights { steps: self.task.steps.clone(), layers }
    }
}

/// The moments of all vectors taken together: means of means, and of variances about them.
fn mean_moments(vectors: &[Vec<Moments>]) -> Vec<Moments> {
    let share = 1.0 / vectors.len().max(1) as f32;
    let mut means: Vec<Moments> = Vec::new();
    for vector in vectors {
        means.resize_with(vector.len(), || Moments { mean: Vec::new(), variance: Vec::new() });
        for (mean, own) in means.iter_mut().zip(vector) {
            for (sum, values) in [(&mut mean.mean, &own.mean), (&mut mean.variance, &own.variance)] {
                sum.resize(values.len(), 0.0);
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
            }
        }
    }
    means
}

/// `[LANES, channels, side, side]` as a map.
fn side_by_side(pictures: &[f32], channels: usize, side: usize) -> Map {
    let mut map = Map::new(side, side, channels);
    for (y, row) in map.rows_mut().enumerate() {
        for (place, plane) in pictures.chunks_exact(side * side).enumerate() {
            let (lane, channel) = (place / channels, place % channels);
            let line = plane.get(y * side..(y + 1) * side).unwrap_or_default();
            let values = row.iter_mut().skip(channel * LANES + lane).step_by(channels * LANES);
            values.zip(line).for_each(|(to, from)| *to = *from);
        }
    }
    map
}

/// The products of a convolution, before its norm.
fn convolved(step: Step, map: &Map, kernel: &[f32], outputs: usize) -> Map {
    let (height, width) = (map.height, map.width);
    match step {
        Step::Down(..) => {
            let mut product = Map::new(height / 2, width / 2, outputs);
            lanes::correlate(&Geometry::halving(), map, kernel, &mut product);
            product
        }
        Step::Up(..) => {
            let mut product = Map::new(2 * height, 2 * width, outputs);
            for geometry in Geometry::doubling() {
                lanes::correlate(&geometry, map, kernel, &mut product);
            }
            product
        }
        _ => {
            let mut product = Map::new(height, width, outputs);
            lanes::correlate(&Geometry::keeping(false), map, kernel, &mut product);
            product
        }
    }
}

/// The gradient by a convolution's input; `turned` is its kernel with input and output exchanged.
fn by_input(step: Step, gradient: &Map, turned: &[f32], inputs: usize) -> Map {
    match step {
        Step::Down(..) => convolved(Step::Up(0, 0), gradient, turned, inputs),
        Step::Up(..) => convolved(Step::Down(0, 0), gradient, turned, inputs),
        _ => {
            let mut back = Map::new(gradient.height, gradient.width, inputs);
            lanes::correlate(&Geometry::keeping(true), gradient, turned, &mut back);
            back
        }
    }
}

/// The gradient by a convolution's kernel.
fn by_kernel(step: Step, input: &Map, gradient: &Map, taps: usize) -> Vec<f32> {
    let (inputs, outputs) = (input.channels, gradient.channels);
    let mut lanes = vec![0.0; taps * inputs * outputs * LANES];
    match step {
        Step::Down(..) => lanes::products(&Geometry::halving(), input, gradient, &mut lanes),
        // A transposed convolution's output is the finer of the two.
        Step::Up(..) => lanes::products(&Geometry::halving(), gradient, input, &mut lanes),
        _ => lanes::products(&Geometry::keeping(false), input, gradient, &mut lanes),
    }
    let kernel: Vec<f32> = lanes.chunks_exact(LANES).map(|lanes| lanes.iter().sum()).collect();
    if matches!(step, Step::Up(..)) { turned(&kernel, outputs, inputs) } else { kernel }
}

/// The gradient by what is added to every pixel of a channel.
fn by_bias(gradient: &Map) -> Vec<f32> {
    let mut sums = vec![0.0_f64; gradient.channels];
    for pixel in gradient.rows().flat_map(|row| row.chunks_exact(gradient.channels * LANES)) {
        for (sum, lanes) in sums.iter_mut().zip(pixel.chunks_exact(LANES)) {
            *sum += f64::from(lanes.iter().sum::<f32>());
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::onnx_graph::unet as onnx;
    use crate::learn::{exaggerator, finder};

    #[test]
    fn gradients_are_the_differences_quotients() {
        let side = 32;
        let pictures: Vec<f32> =
            (0..LANES * side * side).map(|i| (i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()).collect();
        let target = |i: usize| f32::from(u8::from((i / 32).is_multiple_of(3)));
        let wanted: Vec<f32> =
            (0..LANES * side * side).flat_map(|i| [target(i), 0.5 * target(i), 1.0 + target(i)]).collect();
        check_gradients(&Network::new(finder::task(4), 5), &pictures, &wanted, side);
        // Fourteen channels in, four out, and sums within sums.
        let told: Vec<f32> = (0..14 * LANES * 256).map(|i| (i as f32 * 0.23).sin()).collect();
        let added: Vec<f32> = (0..4 * LANES * 256).map(|i| (i as f32 * 0.31).cos()).collect();
        check_gradients(&Network::new(exaggerator::task(4), 5), &told, &added, 16);
    }

    fn check_gradients(network: &Network, pictures: &[f32], wanted: &[f32], side: usize) {
        let said = network.learn(pictures, wanted, side);
        for (number, array) in network.trained.list().iter().enumerate() {
            let gradient = &said.gradients[number];
            assert_eq!(gradient.len(), array.values.len(), "{}", array.name);
            // The largest slope of every array: small ones drown in single precision.
            let (at, slope) = gradient.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap();
            let moved = |by: f32| {
                let mut network = network.clone();
                let mut values = array.values.clone();
                values[at] += by;
                network.trained.set(number, values);
                network.learn(pictures, wanted, side).loss
            };
            let quotient = (moved(4e-3) - moved(-4e-3)) / 8e-3;
            let tolerance = 0.06 * f64::from(slope.abs()) + 2e-4;
            assert!((quotient - f64::from(*slope)).abs() < tolerance, "{}: {quotient} {slope}", array.name);
        }
    }

    #[test]
    fn a_network_read_from_its_file_gives_what_it_gave_and_learns_on() {
        let side = 32;
        let pictures: Vec<f32> =
            (0..2 * LANES * side * side).map(|i| (i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()).collect();
        let target = |i: usize| f32::from(u8::from((i / 32).is_multiple_of(3)));
        let targets: Vec<f32> =
            (0..2 * LANES * side * side).flat_map(|i| [target(i), 0.5 * target(i), 1.0 + target(i)]).collect();
        let mut network = Network::new(finder::task(4), 5);
        for _ in 0..3 {
            network.step(&pictures, &targets, side, 1e-2);
        }
        let written = onnx::finder(&network.weights()).unwrap();
        let weights = onnx::read_finder(&written).unwrap();
        assert!(onnx::read_finder(&written[..written.len() / 2]).is_none());
        let mut again = Network::resumed(finder::task(4), &weights, &pictures, side).unwrap();
        let now = onnx::read_finder(&onnx::finder(&again.weights()).unwrap()).unwrap();
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
