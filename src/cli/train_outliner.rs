//! `cytowatch train-outliner`: from what a cell finder finds and true outlines to the network that draws outlines.

use std::path::PathBuf;

/// Arguments of `train-outliner`.
///
/// The network learns to outline the cells that one cell finder finds, from simulated fields and cultures and, when sets are named,
/// from those public sets of `cytowatch evaluate cells` that have outlines. A figure for a set is honest only from networks that
/// were not shown that set.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Folder of the cell finder, as `train-finder` writes it; the network is written into its folder `outliner`.
    #[arg(long)]
    pub finder: PathBuf,
    /// Fields of the simulated microscope (the paper's optics, melanoma cells).
    #[arg(long, default_value_t = 180)]
    pub fields: u64,
    /// Simulated cultures.
    #[arg(long, default_value_t = 240)]
    pub cultures: u64,
    /// Folder of the public sets.
    #[arg(long, env = "CYTOWATCH_DATA")]
    pub data: Option<PathBuf>,
    /// Names of the sets that are shown to the network, with commas between them; none by default.
    #[arg(long, value_delimiter = ',', requires = "data")]
    pub sets: Vec<String>,
    /// Shares of the pictures that are taken from fields, cultures and sets, relative to each other.
    #[arg(long, value_delimiter = ',', default_values_t = [0.5, 0.35, 0.15])]
    pub shares: Vec<f64>,
    /// Channels of every convolution.
    #[arg(long, default_value_t = 16)]
    pub width: usize,
    /// Steps of Adam.
    #[arg(long, default_value_t = 8000)]
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// Adam's longest step.
    #[arg(long, default_value_t = 4e-3)]
    pub learning_rate: f32,
    /// Seed of fields, cultures, weights, choice and disturbances; another one than the finder's, which has seen its own fields.
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
}

/// Trains and writes the network.
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
    super::train::not_built()
}

#[cfg(feature = "learn")]
mod training;
