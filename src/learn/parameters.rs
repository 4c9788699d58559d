//! The trained numbers, by name, with Adam's memory of them; kept outside burn so that a checkpoint is all there is.
//!
//! A step hands burn fresh tensors of the current values and takes the gradients back; [`Parameters::step`] is Adam.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal, Uniform};
use rayon::prelude::*;

/// One trained array and what Adam remembers of its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Names the layer and the part, unique.
    pub name: String,
    /// Its extent, one or two numbers.
    pub shape: Vec<usize>,
    /// The values, last index fastest.
    pub values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// How an array starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// Normal with this mean and standard deviation.
    Normal(f32, f32),
    /// Uniform within plus or minus this.
    Uniform(f32),
    /// All equal.
    Constant(f32),
}

/// All arrays that one Adam trains.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    list: Vec<Parameter>,
    steps: u32,
}

/// Adam's decay of the mean gradient (method.md 6).
const BETA_1: f32 = 0.9;
/// Adam's decay of the mean squared gradient.
const BETA_2: f32 = 0.999;
/// Keeps Adam's quotient finite.
const EPSILON: f32 = 1e-8;

impl Parameters {
    /// Adds an array and gives its index.
    pub(super) fn add(&mut self, name: String, shape: &[usize], start: Start, rng: &mut ChaCha8Rng) -> usize {
        let len = shape.iter().product();
        let values: Vec<f32> = match start {
            Start::Constant(value) => vec![value; len],
            Start::Normal(mean, deviation) => {
                Normal::new(mean, deviation).map_or_else(|_| Vec::new(), |n| n.sample_iter(rng).take(len).collect())
            }
            Start::Uniform(bound) => {
                Uniform::new(-bound, bound).map_or_else(|_| Vec::new(), |u| u.sample_iter(rng).take(len).collect())
            }
        };
        let (first, second) = (vec![0.0; len], vec![0.0; len]);
        self.list.push(Parameter { name, shape: shape.to_vec(), values, first, second });
        self.list.len() - 1
    }

    /// Gives array `index` these values, of which there must be as many as before; Adam's memory stays.
    pub(super) fn set(&mut self, index: usize, values: Vec<f32>) {
        if let Some(parameter) = self.list.get_mut(index).filter(|parameter| parameter.values.len() == values.len()) {
            parameter.values = values;
        }
    }

    /// The arrays in the order they were added.
    pub fn list(&self) -> &[Parameter] {
        &self.list
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.values.len()).sum()
    }

    /// Values and memory of every array, in order: what a checkpoint keeps.
    pub(super) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.list.iter_mut().flat_map(|parameter| [&mut parameter.values, &mut parameter.first, &mut parameter.second])
    }

    /// Adam's mean gradient of array `index`: a tenth of the gradient after the first step.
    #[cfg(test)]
    pub(super) fn first_moment(&self, index: usize) -> &[f32] {
        self.list.get(index).map_or(&[], |parameter| parameter.first.as_slice())
    }

    /// As if `steps` steps had been taken.
    pub(super) fn set_steps(&mut self, steps: u32) {
        self.steps = steps;
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// One step of Adam; `gradients` in the order of [`list`](Self::list), `None` for an array that took no part.
    pub(super) fn step(&mut self, gradients: &[Option<Vec<f32>>], learning_rate: f32) {
        self.steps += 1;
        let step = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (unbias_1, unbias_2) = (1.0 - BETA_1.powi(step), 1.0 - BETA_2.powi(step));
        self.list.par_iter_mut().zip(gradients).for_each(|(parameter, gradient)| {
            let Some(gradient) = gradient else { return };
            let memory = parameter.first.iter_mut().zip(&mut parameter.second);
            for ((value, gradient), (first, second)) in parameter.values.iter_mut().zip(gradient).zip(memory) {
                *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
                *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
                *value -= learning_rate * (*first / unbias_1) / ((*second / unbias_2).sqrt() + EPSILON);
            }
        });
    }
}

/// A generator for `purpose` within a training run: the same run and purpose give the same numbers.
pub(super) fn generator(seed: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_finds_the_bottom_of_a_bowl() {
        let mut parameters = Parameters::default();
        let at = parameters.add("bowl".to_owned(), &[3], Start::Constant(5.0), &mut generator(1, 0));
        for _ in 0..600 {
            let gradient = parameters.list()[at].values.iter().map(|value| 2.0 * (value - 1.0)).collect();
            parameters.step(&[Some(gradient)], 0.05);
        }
        assert!(parameters.list()[at].values.iter().all(|value| (value - 1.0).abs() < 1e-2));
    }

    #[test]
    fn adams_first_step_is_the_learning_rate_whatever_the_gradient() {
        let mut parameters = Parameters::default();
        parameters.add("any".to_owned(), &[2], Start::Constant(0.0), &mut generator(1, 0));
        parameters.step(&[Some(vec![1e-3, -40.0])], 2e-4);
        let values = &parameters.list()[0].values;
        assert!((values[0] + 2e-4).abs() < 1e-8 && (values[1] - 2e-4).abs() < 1e-8, "{values:?}");
    }
}
