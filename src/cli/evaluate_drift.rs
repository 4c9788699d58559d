//! `cytowatch evaluate drift`: is a simulated day with a shift seen, and does alignment on a reference sample undo it?

use super::say;
use crate::evaluate::detector::Detector;
use crate::evaluate::drift::{Plan, measure};
use crate::infer::{EngineChoice, InferSettings, Model};
use crate::simulate::scene::DayEffect;
use anyhow::Context as _;
use std::path::PathBuf;

/// Arguments of `evaluate drift`.
///
/// Three samples of a simulated panel on two days; the second day differs by what is given here.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model bundle.
    #[arg(long, default_value = "models/compact")]
    pub bundle: PathBuf,
    /// The engine that describes the crops.
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// Folder of the network that finds cells, `auto` or `none`.
    #[arg(long, default_value = "auto")]
    pub finder: PathBuf,
    /// Seed of the simulated panel of tumours and days.
    #[arg(long, default_value_t = 2)]
    pub panel: u64,
    /// Fields of view of every sample on either day.
    #[arg(long, default_value_t = 10)]
    pub fovs: usize,
    /// Brightness of the second day's lamp, 1 = the first day's.
    #[arg(long, default_value_t = 0.82)]
    pub lamp: f64,
    /// Amplitude that the second day's phase ring lets through; the first day's is 0.31.
    #[arg(long, default_value_t = 0.36)]
    pub ring: f64,
    /// The second day's distance from best focus, um.
    #[arg(long, default_value_t = 2.0, allow_negative_numbers = true)]
    pub defocus_um: f64,
}

/// Measures and prints.
///
/// # Errors
/// When a network cannot be loaded or fails, or there are too few cells to align.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = InferSettings { bundle: args.bundle.clone(), engine: args.engine, ..InferSettings::default() };
    let mut model = Model::load(&settings)?;
    let shifted = DayEffect {
        lamp: args.lamp,
        ring_transmission: args.ring,
        defocus_um: args.defocus_um,
        ..DayEffect::default()
    };
    let plan = Plan { panel: args.panel, fovs: args.fovs, shifted };
    let found = measure(&plan, &mut model, &Detector::open(&args.finder, &settings)?)?
        .context("the reference sample has too few cells to align on: give more --fovs")?;
    say(&format!("{} {}, reference sample {}", model.bundle().name, model.bundle().version, found.reference))?;
    for day in &found.days {
        say(&day.text)?;
    }
    for (sample, [first, filmed, aligned]) in &found.scores {
        say(&format!(
            "{sample}: score {first:.3} on the first day, {filmed:.3} on the second as filmed, {aligned:.3} aligned"
        ))?;
    }
    let [before, after] = found.clustering;
    say(&format!(
        "clustering by day of the {} cells of the other samples: Calinski-Harabasz {:.1} as filmed, {:.1} aligned (lower is better); \
         Davies-Bouldin {:.2} and {:.2} (higher is better)",
        found.cells, before.calinski_harabasz, after.calinski_harabasz, before.davies_bouldin, after.davies_bouldin
    ))?;
    Ok(())
}
