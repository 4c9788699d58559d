//! `cytowatch train`: from labelled cells to a model bundle.

use clap::ArgAction::Set;
use std::path::PathBuf;

/// Arguments of `train`.
///
/// The defaults are the recipe of the shipped bundle: `cytowatch train --out models/compact` makes it again. The paper's
/// network and training (method.md 6) are `--width 64 --downsample 1 --batch 50 --learning-rate 2e-4 --adversarial-weight 1
/// --tie-hallmarks=false --rotations=false --flips=false --cool-down 0 --epochs 100`. Without `--crops` and `--database` the
/// cells come from the simulator.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
pub struct Args {
    /// Folder of 256 x 256 PNG crops named as openLCH names them; absent: simulated cells.
    #[arg(long, requires = "labels")]
    pub crops: Option<PathBuf>,
    /// The followed cells of this database, cut again from the instrument's frames.
    #[arg(long, requires = "labels", conflicts_with = "crops")]
    pub database: Option<PathBuf>,
    /// Only these sessions of the database (name, instrument/name or number), with commas between them.
    #[arg(long, value_delimiter = ',', requires = "database")]
    pub sessions: Vec<String>,
    /// Where the database's frames lie, when not where they lay.
    #[arg(long, requires = "database")]
    pub folder: Option<PathBuf>,
    /// Crops of one cell of the database at most, evenly over its track.
    #[arg(long, default_value_t = 4, requires = "database")]
    pub per_cell: usize,
    /// Table with a line `sample,high` or `sample,low` per labelled sample of the crops or the database.
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// Seeds of the simulated panels: each is 8 tumours over 6 days of its own.
    #[arg(long, value_delimiter = ',', default_values_t = [1_u64, 3, 4])]
    pub panels: Vec<u64>,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 3)]
    pub fovs: usize,
    /// Time points per simulated field.
    #[arg(long, default_value_t = 2)]
    pub time_points: usize,
    /// Minutes between two time points.
    #[arg(long, default_value_t = 60)]
    pub stride: usize,
    /// Channels after the first convolution: 64 is the paper's network.
    #[arg(long, default_value_t = 8)]
    pub width: usize,
    /// 1: the network sees every pixel; 2: 2 x 2 means, four times as fast.
    #[arg(long, default_value_t = 2)]
    pub downsample: usize,
    /// Pictures per step.
    #[arg(long, default_value_t = 25)]
    pub batch: usize,
    /// Passes over the pictures.
    #[arg(long, default_value_t = 8)]
    pub epochs: usize,
    /// Adam's step length.
    #[arg(long, default_value_t = 2e-3)]
    pub learning_rate: f32,
    /// Weight of "the adversary takes the descriptor for noise" beside the pixels' cross-entropy.
    #[arg(long, default_value_t = 0.003)]
    pub adversarial_weight: f32,
    /// Weight of a linear guess of the class from the descriptor; 0 trains the autoencoder without labels.
    #[arg(long, default_value_t = 0.0)]
    pub label_weight: f32,
    /// Read the first two features from the crop's grain, by regression on the hallmarks (pseudopods, light scattering),
    /// instead of leaving them to the autoencoder.
    #[arg(long, default_value_t = true, action = Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tie_hallmarks: bool,
    /// Weight of what that regression misses on the mean of a day, beside what it misses on single pictures: holds day effects
    /// out of the first two features; 0 lets them in.
    #[arg(long, default_value_t = 10.0)]
    pub day_weight: f64,
    /// Last epochs in which the step length falls evenly to nothing.
    #[arg(long, default_value_t = 5)]
    pub cool_down: usize,
    /// Turn every picture by a random number of quarter turns.
    #[arg(long, default_value_t = true, action = Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rotations: bool,
    /// Mirror every picture with probability one half.
    #[arg(long, default_value_t = true, action = Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub flips: bool,
    /// Stop after so many epochs without gain on held-out cells.
    #[arg(long, default_value_t = 8)]
    pub patience: usize,
    /// Where the network is trained. On a graphics card two trainings agree in their losses, not in their last bits.
    #[arg(long, value_enum, default_value_t)]
    pub processor: ProcessorChoice,
    /// Seed of weights, order and noise.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seed of the panel that the bundle's figures are measured on: other tumours, other days, other cells.
    #[arg(long, default_value_t = 21)]
    pub test_panel: u64,
    /// Simulated fields of view per day and tumour of that panel.
    #[arg(long, default_value_t = 4)]
    pub test_fovs: usize,
    /// Time points per field of that panel, spread over two hours.
    #[arg(long, default_value_t = 4)]
    pub test_time_points: usize,
    /// Name of the model, 5 to 64 letters, digits, spaces or `_+-()`.
    #[arg(long, default_value = "cytowatch compact")]
    pub name: String,
    /// Version of the model.
    #[arg(long, default_value = "0.4.0")]
    pub model_version: String,
    /// Where the bundle is written.
    #[arg(long)]
    pub out: PathBuf,
    /// Where the checkpoint is kept after every epoch; the default lies beside the bundle.
    #[arg(long)]
    pub checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint; settings must be those it was begun with, epochs and patience may grow.
    #[arg(long)]
    pub resume: bool,
}

/// Where a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProcessorChoice {
    /// A graphics card, when there is one and this cytowatch was built with the feature `gpu`; else the CPU.
    #[default]
    Auto,
    /// The CPU: the same settings give the same bits.
    Cpu,
    /// A graphics processor, also one that a driver only imitates; refused when there is none.
    Gpu,
}

/// Trains and writes the bundle.
///
/// # Errors
/// What could not be read, trained or written.
#[cfg(feature = "learn")]
pub fn run(args: &Args) -> anyhow::Result<()> {
    training::run(args)
}

/// Says that this binary cannot train.
///
/// # Errors
/// Always.
#[cfg(not(feature = "learn"))]
pub fn run(_: &Args) -> anyhow::Result<()> {
    not_built()
}

/// What every training command says in a binary that was built without the feature `learn`.
#[cfg(not(feature = "learn"))]
pub(super) fn not_built() -> anyhow::Result<()> {
    anyhow::bail!("this cytowatch was built without training: build it with `cargo build --release --features learn`")
}

#[cfg(feature = "learn")]
mod finish;
#[cfg(feature = "learn")]
mod stored;
#[cfg(feature = "learn")]
mod training;
