//! What training on without labels, on real crops, does to a network: cross-validated.

use crate::cells::Crop;
use crate::infer::bundle::Bundle;
use crate::infer::{LATENT_LEN, Latent};
use crate::learn::autoencoder::Autoencoder;
use crate::learn::bundle::{describe, reconstruction_errors};
use crate::learn::checkpoint;
use crate::learn::dataset::{Origin, Pictures};
use crate::learn::evaluate::Scored;
use crate::learn::evaluate::roc::{self, Unit};
use crate::learn::trainer::{self, Material, State, TrainSettings};
use anyhow::ensure;
use std::collections::BTreeSet;
use std::path::Path;

/// Folds; samples on days stay whole.
const FOLDS: usize = 5;
/// Passes over the crops of the other folds.
const EPOCHS: usize = 30;
/// Adam's step length: a tenth of the training's.
const LEARNING_RATE: f32 = 2e-4;
/// Crops per step.
const BATCH: usize = 10;

/// Trains the network of `path` on with the crops of the other folds, without labels, and compares reconstruction and area on
/// those it has not seen with what it gave before.
///
/// # Errors
/// When the checkpoint cannot be read or there are too few crops.
pub(super) fn lines(path: &Path, bundle: &Bundle, origins: &[Origin], crops: &[Crop]) -> anyhow::Result<Vec<String>> {
    let (state, settings) = checkpoint::read(path)?;
    ensure!(bundle.facts.network == Some(state.best.spec()), "the checkpoint is of another network than the bundle");
    let mut pictures = Pictures::new(state.best.spec().working_side_px());
    for (origin, crop) in origins.iter().zip(crops) {
        pictures.push(crop, origin.clone());
    }
    let places: BTreeSet<(&str, &str)> = origins.iter().map(|it| (it.day.as_str(), it.sample.as_str())).collect();
    let fold_of = |origin: &Origin| {
        let place = (origin.day.as_str(), origin.sample.as_str());
        places.iter().position(|it| *it == place).unwrap_or_default() % FOLDS
    };
    let settings = TrainSettings {
        batch: BATCH,
        epochs: EPOCHS,
        learning_rate: LEARNING_RATE,
        cool_down: EPOCHS / 3,
        patience: EPOCHS,
        label_weight: 0.0,
        ..settings
    };
    let before = Judged::of(&state.best, &pictures);
    let mut after = before.clone();
    for fold in 0..FOLDS {
        let (held_out, training): (Vec<usize>, Vec<usize>) =
            (0..origins.len()).partition(|index| origins.get(*index).is_some_and(|it| fold_of(it) == fold));
        let material = Material { pictures: &pictures, training: &training, held_out: &held_out };
        // The last network, not the best on the held-out crops: those must not choose.
        let start = State::new(state.best.clone());
        let mut net = trainer::train(start, material, &settings, None, |_, _, _, _| ())?.net;
        trainer::settle(&mut net, material, &settings);
        after.replace(&Judged::of(&net, &pictures), &held_out);
    }
    let discriminant = &bundle.facts.discriminant;
    let area = |judged: &Judged| {
        let scored = origins.iter().zip(&judged.latents).filter_map(|(origin, latent)| {
            let logit = discriminant.logit(latent);
            Some(Scored { high: origin.high?, origin: origin.clone(), logit, frame_logits: vec![logit] })
        });
        let auc = roc::estimate(&scored.collect::<Vec<_>>(), Unit::Cell);
        format!("{:.3} ({:.3} to {:.3})", auc.value, auc.low, auc.high)
    };
    let gained = before.errors.iter().zip(&after.errors).filter(|(before, after)| after < before).count();
    let moved = median(before.latents.iter().zip(&after.latents).map(|(one, other)| distance(one, other)).collect());
    Ok(vec![
        format!(
            "Trained on without labels ({EPOCHS} passes over the crops of the other {} folds, samples on days kept whole): the \
             median squared difference to the reconstruction goes from {:.4} to {:.4} on crops that were left out, {gained} of \
             {} gain.",
            FOLDS - 1,
            median(before.errors.clone()),
            median(after.errors.clone()),
            origins.len()
        ),
        format!(
            "Their descriptors move by {moved:.2} (median, root of the mean square over features), and the area goes from {} to {}.",
            area(&before),
            area(&after)
        ),
    ])
}

/// What a network makes of all crops.
#[derive(Clone)]
struct Judged {
    latents: Vec<Latent>,
    errors: Vec<f64>,
}

impl Judged {
    fn of(net: &Autoencoder, pictures: &Pictures) -> Self {
        let latents = describe(net, pictures);
        Self { errors: reconstruction_errors(net, pictures, &latents), latents }
    }

    /// Takes what `other` says of crops `indices`.
    fn replace(&mut self, other: &Self, indices: &[usize]) {
        for index in indices {
            if let (Some(to), Some(from)) = (self.latents.get_mut(*index), other.latents.get(*index)) {
                *to = *from;
            }
            if let (Some(to), Some(from)) = (self.errors.get_mut(*index), other.errors.get(*index)) {
                *to = *from;
            }
        }
    }
}

fn distance(one: &Latent, other: &Latent) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / LATENT_LEN as f64).sqrt()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
