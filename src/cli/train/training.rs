//! What `cytowatch train` does when it was built to train.

use super::{Args, ProcessorChoice, finish, stored};
use crate::cli::say;
use crate::infer::architecture::AutoencoderSpec;
use crate::learn::autoencoder::{Autoencoder, Losses};
use crate::learn::checkpoint;
use crate::learn::dataset::{Origin, PanelPlan, Pictures, labels};
use crate::learn::guides;
use crate::learn::processor::{Processor, Wanted};
use crate::learn::split;
use crate::learn::trainer::{self, Material, State, TrainSettings};
use crate::units::PixelSize;
use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

/// Length of a film, minutes.
const FILM_MIN: usize = 120;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let spec = AutoencoderSpec::new(args.width, args.downsample)?;
    ensure!(
        args.database.is_some() || args.crops.is_some() || !args.panels.contains(&args.test_panel),
        "panel {} is trained on: measure on another (--test-panel)",
        args.test_panel
    );
    let processor = Processor::choose(match args.processor {
        ProcessorChoice::Auto => Wanted::Auto,
        ProcessorChoice::Cpu => Wanted::Cpu,
        ProcessorChoice::Gpu => Wanted::Gpu,
    })?;
    let began = Instant::now();
    let (pictures, pixel_size) = pictures(args, spec)?;
    say(&format!("pictures  {} in {:.0} s", pictures.len(), began.elapsed().as_secs_f64()))?;
    let split = split::by_fov(pictures.origins(), 0.15)?;
    foldable(&pictures, &split)?;
    let material = Material { pictures: &pictures, training: &split.training, held_out: &split.held_out };
    let settings = settings(args);
    let path = args.checkpoint.clone().unwrap_or_else(|| beside(args));
    let state = if args.resume {
        let (state, begun) = checkpoint::read(&path)?;
        let grown = TrainSettings { epochs: settings.epochs, patience: settings.patience, ..begun };
        if grown != settings || state.net.spec() != spec {
            bail!("the checkpoint was begun with other settings: repeat them, or start without --resume");
        }
        state
    } else {
        let readout = args.tie_hallmarks.then(|| guides::readout(material, args.day_weight)).flatten();
        if args.tie_hallmarks && readout.is_none() {
            bail!("too few pictures have measurable hallmarks: say --tie-hallmarks=false, or give more pictures");
        }
        State::new(Autoencoder::new(spec, args.seed).tied_to(readout))
    };
    say(&format!("processor {}", processor.name()))?;
    let state = state.on(&processor);
    let began = Instant::now();
    let done = state.history.len();
    let state = trainer::train(state, material, &settings, Some(&path), progress(&settings, &split, done))?;
    let seconds = began.elapsed().as_secs_f64();
    let shown = (state.history.len() - done) * (split.training.len() / settings.batch) * settings.batch;
    if shown > 0 {
        say(&format!("trained   {shown} pictures in {seconds:.0} s: {:.1} a second", shown as f64 / seconds))?;
    }
    for (number, epoch) in state.history.iter().enumerate() {
        let Losses { reconstruction, deception, adversary, label } = epoch.training;
        say(&format!(
            "epoch {:>3}: pixels {reconstruction:.5}, held out {:.5}, deception {deception:.3}, adversary {adversary:.3}, \
             label {label:.3}",
            number + 1,
            epoch.held_out
        ))?;
    }
    finish::write(args, state, material, (&settings, pixel_size))
}

/// The pictures, and the pixel size of the frames that they were cut from.
fn pictures(args: &Args, spec: AutoencoderSpec) -> anyhow::Result<(Pictures, PixelSize)> {
    let side = spec.working_side_px();
    match (&args.database, &args.crops, &args.labels) {
        (Some(database), _, _) => stored::pictures(args, database, side),
        (None, Some(folder), Some(table)) => {
            let labels = labels::read(table)?;
            let pictures = Pictures::of_folder(folder, &labels, side)?;
            labels::check(&labels, pictures.origins())?;
            Ok((pictures, PixelSize::PAPER))
        }
        _ => Ok((Pictures::of_panels(&plans(args), side)?, PixelSize::PAPER)),
    }
}

/// Checks, before hours of training, that the discriminant can be fitted and calibrated on what is there: every labelled
/// sample is left out once with its days, and both classes must remain.
fn foldable(pictures: &Pictures, split: &split::Split) -> anyhow::Result<()> {
    let of_training = split.training.iter().filter_map(|index| pictures.origins().get(*index));
    let labelled: Vec<Origin> = of_training.filter(|origin| origin.high.is_some()).cloned().collect();
    let samples: BTreeSet<&str> = labelled.iter().map(|origin| origin.sample.as_str()).collect();
    ensure!(!samples.is_empty(), "no picture that is trained on is of a labelled sample");
    for sample in samples {
        split::leave_out(&labelled, sample).with_context(|| {
            format!("the discriminant is calibrated by leaving out each sample with its days, but without {sample}")
        })?;
    }
    Ok(())
}

fn plans(args: &Args) -> Vec<PanelPlan> {
    let Args { fovs, time_points, stride, .. } = *args;
    args.panels.iter().map(|&seed| PanelPlan { seed, fovs, time_points, stride }).collect()
}

/// The panel that the bundle's figures are measured on: films of two hours.
pub(super) fn test_plan(args: &Args) -> PanelPlan {
    let time_points = args.test_time_points.max(1);
    PanelPlan { seed: args.test_panel, fovs: args.test_fovs, time_points, stride: FILM_MIN / time_points }
}

fn settings(args: &Args) -> TrainSettings {
    TrainSettings {
        batch: args.batch,
        epochs: args.epochs,
        learning_rate: args.learning_rate,
        adversarial_weight: args.adversarial_weight,
        label_weight: args.label_weight,
        cool_down: args.cool_down,
        rotations: args.rotations,
        flips: args.flips,
        patience: args.patience,
        seed: args.seed,
    }
}

fn beside(args: &Args) -> PathBuf {
    let mut name = args.out.file_name().unwrap_or_default().to_owned();
    name.push(".checkpoint");
    args.out.with_file_name(name)
}

/// A bar that shows epoch, losses and the time left.
fn progress(settings: &TrainSettings, split: &split::Split, done: usize) -> impl FnMut(usize, usize, usize, &Losses) {
    let steps = split.training.len() / settings.batch.max(1);
    let bar = ProgressBar::new((settings.epochs * steps) as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {eta} left, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position((done * steps) as u64);
    bar.reset_eta();
    move |epoch, _, _, losses: &Losses| {
        bar.inc(1);
        let Losses { reconstruction, deception, adversary, .. } = losses;
        bar.set_message(format!(
            "epoch {}: pixels {reconstruction:.4}, deception {deception:.3}, adversary {adversary:.3}",
            epoch + 1
        ));
    }
}
