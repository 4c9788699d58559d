//! `cytowatch train-exaggerator`: from simulated twins to the network that draws a cell from low to high.

use std::path::PathBuf;

/// Arguments of `train-exaggerator`.
///
/// The network learns from pairs of simulated cells that differ by the length of their pseudopods and the density of their
/// granules alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seed of the simulated panel of tumours and days.
    #[arg(long, default_value_t = 301)]
    pub panel: u64,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 3)]
    pub fovs: usize,
    /// Time points per field.
    #[arg(long, default_value_t = 4)]
    pub time_points: usize,
    /// How far either hallmark is exaggerated, natural logarithm: 1 is 2.7 times as much, and as little.
    #[arg(long, default_value_t = 1.0)]
    pub largest_amount: f64,
    /// Channels after the first convolution.
    #[arg(long, default_value_t = 16)]
    pub width: usize,
    /// Steps of Adam.
    #[arg(long, default_value_t = 5000)]
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// Adam's longest step.
    #[arg(long, default_value_t = 4e-3)]
    pub learning_rate: f32,
    /// Seed of weights and choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of the network, in the bioimage.io model format.
    #[arg(long)]
    pub out: PathBuf,
}

/// Trains and writes the network.
///
/// # Errors
/// What could not be trained or written.
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
    super::train::not_built()
}

#[cfg(feature = "learn")]
mod training;
