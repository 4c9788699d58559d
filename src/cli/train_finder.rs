//! `cytowatch train-finder`: from pictures with true outlines to the network that finds cells.

use std::path::PathBuf;

/// Arguments of `train-finder`.
///
/// The network learns from simulated cultures and, when sets are named, from those public sets of `cytowatch evaluate cells`
/// that have outlines. A figure for a set is honest only from a network that was not shown that set.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Simulated cultures.
    #[arg(long, default_value_t = 620)]
    pub cultures: u64,
    /// Every how manieth culture is seen by a camera with pixels twice as wide; 0: none.
    #[arg(long, default_value_t = 4)]
    pub coarse: u64,
    /// Every how manieth culture is soiled: drops, bubbles and stains out of focus, cells that round up on others; 0: none.
    #[arg(long, default_value_t = 0)]
    pub soiled: u64,
    /// Every how manieth culture has grown together to colonies of flat cells or of fibroblasts, none of them soiled; 0: none.
    /// Numbers of one kind and another go by the same count: with a common factor they fall together.
    #[arg(long, default_value_t = 0)]
    pub colonies: u64,
    /// Every how manieth culture is written as a JPEG picture of 8 bits; 0: none.
    #[arg(long, default_value_t = 0)]
    pub compressed: u64,
    /// Fields of the simulated microscope (the paper's optics, melanoma cells).
    #[arg(long, default_value_t = 90)]
    pub fields: u64,
    /// Folder of the public sets.
    #[arg(long, env = "CYTOWATCH_DATA")]
    pub data: Option<PathBuf>,
    /// Names of the sets that are shown to the network, with commas between them; none by default.
    #[arg(long, value_delimiter = ',', requires = "data")]
    pub sets: Vec<String>,
    /// Share of the pictures that are taken from the sets, 0..1.
    #[arg(long, default_value_t = 0.2)]
    pub real_share: f64,
    /// Channels after the first convolution.
    #[arg(long, default_value_t = 12)]
    pub width: usize,
    /// Steps of Adam; 0 writes the mean of the networks to begin with.
    #[arg(long, default_value_t = 24_000)]
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// Folder of a network of ours to begin with, which is then trained further; of several, with commas between them, the mean is.
    #[arg(long, value_delimiter = ',')]
    pub from: Vec<PathBuf>,
    /// Adam's longest step.
    #[arg(long, default_value_t = 4e-3)]
    pub learning_rate: f32,
    /// Seed of cultures, weights, choice and disturbances.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of the network, in the bioimage.io model format; also written now and then while training goes on.
    #[arg(long)]
    pub out: PathBuf,
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
