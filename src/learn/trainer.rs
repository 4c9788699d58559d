//! Training: epochs over shuffled pictures, judged on held-out cells after each, stopped when they no longer gain.
//!
//! Takes an [`Autoencoder`] and pictures split by physical cell; gives the network of the best epoch and the history.
//! Promises: on the CPU the same settings, seed and pictures give the same network, in one go or resumed from any checkpoint.

use super::autoencoder::{Autoencoder, Batch, Losses, StepSettings};
use super::checkpoint;
use super::dataset::Pictures;
use super::parameters::generator;
use super::processor::Processor;
use crate::infer::LATENT_LEN;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};
use std::path::Path;
use thiserror::Error;

/// Pictures that the held-out loss and the running moments are taken from at a time.
const JUDGED_AT_ONCE: usize = 50;
/// Batches that the running moments are averaged over after training.
const SETTLING_BATCHES: usize = 40;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Pictures per step; 50 in method.md.
    pub batch: usize,
    /// Passes over the pictures.
    pub epochs: usize,
    /// Adam's step length.
    pub learning_rate: f32,
    /// Weight of the adversary's judgement.
    pub adversarial_weight: f32,
    /// Weight of the class guessed from the descriptor; 0 trains without labels.
    pub label_weight: f32,
    /// Last epochs in which the step length falls evenly to nothing.
    pub cool_down: usize,
    /// Turn each picture by a random number of quarter turns.
    pub rotations: bool,
    /// Mirror each picture with probability one half.
    pub flips: bool,
    /// Epochs without gain on held-out cells after which training stops.
    pub patience: usize,
    /// Everything random hangs on it.
    pub seed: u64,
}

/// What one epoch came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean losses over its steps.
    pub training: Losses,
    /// Mean cross-entropy per pixel on held-out cells, with the running moments.
    pub held_out: f32,
}

/// A network in training: all that a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// After the last finished epoch.
    pub net: Autoencoder,
    /// After the epoch that was best on held-out cells.
    pub best: Autoencoder,
    /// Every finished epoch.
    pub history: Vec<Epoch>,
}

/// What can go wrong while training.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Too few pictures for a step or a judgement.
    #[error("{found} {kind} pictures: at least {needed} are needed")]
    TooFew {
        /// Training or held-out.
        kind: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The loss is no number any more.
    #[error("training diverged in epoch {epoch}: lower the learning rate (now {learning_rate})")]
    Diverged {
        /// Epoch from 1.
        epoch: usize,
        /// The step length.
        learning_rate: f32,
    },
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::CheckpointError),
}

impl TrainError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFew { .. } => "train_too_few",
            Self::Diverged { .. } => "train_diverged",
            Self::Checkpoint(error) => error.code(),
        }
    }
}

impl State {
    /// Before the first epoch.
    pub fn new(net: Autoencoder) -> Self {
        Self { best: net.clone(), net, history: Vec::new() }
    }

    /// The same, trained on `processor` from here on.
    #[must_use]
    pub fn on(self, processor: &Processor) -> Self {
        Self { net: self.net.on(processor.clone()), best: self.best.on(processor.clone()), ..self }
    }

    /// Epochs since the held-out loss was last its lowest.
    fn idle_epochs(&self) -> usize {
        let best = self.history.iter().enumerate().min_by(|a, b| a.1.held_out.total_cmp(&b.1.held_out));
        best.map_or(0, |(at, _)| self.history.len() - 1 - at)
    }
}

/// What is trained on, and what training is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// All pictures.
    pub pictures: &'a Pictures,
    /// Indices that are trained on.
    pub training: &'a [usize],
    /// Indices that are only judged by; no physical cell is on both sides.
    pub held_out: &'a [usize],
}

/// Trains from `state` on until the epochs or the patience are used up. `checkpoint` is written after every epoch;
/// `tell` hears of every step (epoch from 0, step from 0, steps per epoch, losses).
///
/// # Errors
/// - `train_too_few` when a side of the split is smaller than a batch.
/// - `train_diverged` when the loss is no number any more.
/// - `checkpoint_write` when the checkpoint cannot be written.
pub fn train(
    mut state: State,
    material: Material<'_>,
    settings: &TrainSettings,
    checkpoint: Option<&Path>,
    mut tell: impl FnMut(usize, usize, usize, &Losses),
) -> Result<State, TrainError> {
    let too_few = |kind, found: usize, needed: usize| {
        if found < needed { Err(TrainError::TooFew { kind, found, needed }) } else { Ok(()) }
    };
    too_few("training", material.training.len(), settings.batch.max(2))?;
    too_few("held-out", material.held_out.len(), 1)?;
    while state.history.len() < settings.epochs && state.idle_epochs() < settings.patience.max(1) {
        let epoch = state.history.len();
        let mut rng = generator(settings.seed, 1000 + epoch as u64);
        let mut order = material.training.to_vec();
        order.shuffle(&mut rng);
        let steps = order.len() / settings.batch;
        let step_settings = |number: usize| StepSettings {
            learning_rate: settings.learning_rate * settings.cooled(epoch as f32 + number as f32 / steps as f32),
            adversarial_weight: settings.adversarial_weight,
            label_weight: settings.label_weight,
            momentum: 0.1,
        };
        let mut sum = Losses::default();
        for (number, indices) in order.chunks_exact(settings.batch).enumerate() {
            let mut pictures = material.pictures.batch(indices);
            let side = material.pictures.side_px();
            for picture in pictures.chunks_exact_mut(side * side) {
                let turns = if settings.rotations { rng.random_range(0..4) } else { 0 };
                let mirrored = settings.flips && rng.random::<bool>();
                turn(picture, side, turns, mirrored);
            }
            let noise: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(indices.len() * LATENT_LEN).collect();
            let origins = indices.iter().map(|index| material.pictures.origins().get(*index).and_then(|o| o.high));
            let labels: Vec<f32> = origins.map(|high| high.map_or(0.5, |high| f32::from(u8::from(high)))).collect();
            // The grain is the same however a picture is turned.
            let tied = state.net.tied(material.pictures, indices);
            let batch = Batch { pictures: &pictures, noise: &noise, labels: &labels, tied: &tied };
            let losses = state.net.step(batch, step_settings(number));
            if !losses.reconstruction.is_finite() {
                return Err(TrainError::Diverged { epoch: epoch + 1, learning_rate: settings.learning_rate });
            }
            sum = sum.plus(&losses, 1.0 / steps as f32);
            tell(epoch, number, steps, &losses);
        }
        let held_out = judge(&state.net, material.pictures, material.held_out);
        let gained = state.history.iter().all(|past| held_out < past.held_out);
        state.history.push(Epoch { training: sum, held_out });
        if gained {
            state.best = state.net.clone();
        }
        if let Some(path) = checkpoint {
            checkpoint::write(path, &state, settings)?;
        }
    }
    Ok(state)
}

impl TrainSettings {
    /// Share of the step length at `epoch` (from 0, with its fraction).
    fn cooled(&self, epoch: f32) -> f32 {
        let left = self.epochs as f32 - epoch;
        if self.cool_down == 0 { 1.0 } else { (left / self.cool_down as f32).clamp(0.0, 1.0) }
    }
}

impl Losses {
    fn plus(self, other: &Self, weight: f32) -> Self {
        Self {
            reconstruction: self.reconstruction + weight * other.reconstruction,
            deception: self.deception + weight * other.deception,
            adversary: self.adversary + weight * other.adversary,
            label: self.label + weight * other.label,
        }
    }
}

/// Mean cross-entropy per pixel of pictures `indices`, with the running moments.
pub fn judge(net: &Autoencoder, pictures: &Pictures, indices: &[usize]) -> f32 {
    let mut sum = 0.0_f64;
    for chunk in indices.chunks(JUDGED_AT_ONCE) {
        let input = pictures.batch(chunk);
        let drawn = net.decode(&net.describe(pictures, chunk));
        let terms = drawn.iter().zip(&input).map(|(drawn, pixel)| {
            let drawn = drawn.clamp(1e-7, 1.0 - 1e-7);
            f64::from(-(pixel * drawn.ln() + (1.0 - pixel) * (1.0 - drawn).ln()))
        });
        sum += terms.sum::<f64>() / (drawn.len().max(1) as f64) * chunk.len() as f64;
    }
    (sum / indices.len().max(1) as f64) as f32
}

/// Replaces the running moments, a mean of the last few batches, by a mean over many: what the exported network uses.
pub fn settle(net: &mut Autoencoder, material: Material<'_>, settings: &TrainSettings) {
    let mut rng = generator(settings.seed, 999);
    let mut order = material.training.to_vec();
    order.shuffle(&mut rng);
    for (number, indices) in order.chunks_exact(settings.batch).take(SETTLING_BATCHES).enumerate() {
        let tied = net.tied(material.pictures, indices);
        net.observe(&material.pictures.batch(indices), &tied, 1.0 / (number + 1) as f32);
    }
}

/// Turns a square picture by quarter turns, after mirroring it when asked to.
fn turn(picture: &mut [f32], side: usize, turns: usize, mirrored: bool) {
    if mirrored {
        picture.chunks_exact_mut(side).for_each(<[f32]>::reverse);
    }
    if turns == 2 {
        picture.reverse();
    } else if turns % 2 == 1 {
        let source = picture.to_vec();
        for (y, row) in picture.chunks_exact_mut(side).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let from = if turns == 1 { (side - 1 - x) * side + y } else { x * side + side - 1 - y };
                *pixel = source.get(from).copied().unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::architecture::AutoencoderSpec;
    use crate::infer::untrained::synthetic_crops;
    use crate::learn::dataset::Origin;

    fn material() -> (Pictures, Vec<usize>, Vec<usize>) {
        (pictures(14), (0..10).collect(), (10..14).collect())
    }

    fn pictures(count: usize) -> Pictures {
        let mut pictures = Pictures::new(128);
        for (n, crop) in synthetic_crops(count, 1).iter().enumerate() {
            let origin = Origin {
                day: "d".to_owned(),
                sample: "s".to_owned(),
                fov: "f".to_owned(),
                cell: n.to_string(),
                time_index: 0,
                high: Some(n % 2 == 0),
            };
            pictures.push(crop, origin);
        }
        pictures
    }

    fn settings(epochs: usize) -> TrainSettings {
        TrainSettings {
            batch: 5,
            epochs,
            learning_rate: 1e-3,
            adversarial_weight: 1.0,
            label_weight: 0.1,
            cool_down: 0,
            rotations: true,
            flips: true,
            patience: 100,
            seed: 3,
        }
    }

    #[test]
    fn a_resumed_training_ends_where_an_uninterrupted_one_does() {
        let (pictures, training, held_out) = material();
        let material = Material { pictures: &pictures, training: &training, held_out: &held_out };
        let start = || State::new(Autoencoder::new(AutoencoderSpec::new(2, 2).unwrap(), 3));
        let whole = train(start(), material, &settings(4), None, |_, _, _, _| ()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        train(start(), material, &settings(2), Some(&path), |_, _, _, _| ()).unwrap();
        let (half, _) = checkpoint::read(&path).unwrap();
        assert_eq!(half.history.len(), 2);
        let resumed = train(half, material, &settings(4), None, |_, _, _, _| ()).unwrap();
        assert_eq!(resumed.history, whole.history);
        assert!(resumed == whole, "weights, Adam's memory and running moments");
    }

    #[test]
    fn descriptors_of_the_training_set_have_mean_0_and_spread_1() {
        let pictures = pictures(64);
        let (training, held_out): (Vec<usize>, Vec<usize>) = ((0..60).collect(), (60..64).collect());
        let material = Material { pictures: &pictures, training: &training, held_out: &held_out };
        let settings = TrainSettings { batch: 30, ..settings(3) };
        let net = Autoencoder::new(AutoencoderSpec::new(2, 2).unwrap(), 3);
        let mut net = train(State::new(net), material, &settings, None, |_, _, _, _| ()).unwrap().net;
        settle(&mut net, material, &settings);
        let latents = net.describe(&pictures, &training);
        for feature in 0..LATENT_LEN {
            let of = || latents.iter().map(|latent| f64::from(latent[feature]));
            let mean = of().sum::<f64>() / 60.0;
            let spread = (of().map(|value| (value - mean).powi(2)).sum::<f64>() / 59.0).sqrt();
            assert!(mean.abs() < 0.1 && (spread - 1.0).abs() < 0.1, "feature {feature}: {mean} {spread}");
        }
    }

    #[test]
    fn training_stops_when_held_out_cells_no_longer_gain() {
        let (pictures, training, held_out) = material();
        let material = Material { pictures: &pictures, training: &training, held_out: &held_out };
        let stalled = TrainSettings { learning_rate: 0.0, patience: 2, ..settings(50) };
        let net = Autoencoder::new(AutoencoderSpec::new(2, 2).unwrap(), 3);
        // Without a step length only the running moments move; they settle within some epochs.
        let state = train(State::new(net), material, &stalled, None, |_, _, _, _| ()).unwrap();
        assert!(state.history.len() < 50, "{}", state.history.len());
    }

    #[test]
    fn quarter_turns_come_round() {
        let original: Vec<f32> = (0..16_u8).map(f32::from).collect();
        let mut picture = original.clone();
        turn(&mut picture, 4, 1, false);
        assert_eq!(picture[..4], [12.0, 8.0, 4.0, 0.0]);
        turn(&mut picture, 4, 3, false);
        assert_eq!(picture, original);
        turn(&mut picture, 4, 2, true);
        assert_eq!(picture[..4], [12.0, 13.0, 14.0, 15.0]);
    }
}
