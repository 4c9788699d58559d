//! Training of the cell finder's network: pictures with true outlines in, an ONNX file out.
//!
//! ```text
//! simulated cultures, sets with truth --> pages --turned, scaled, dimmed, blurred, noisy--> network --> ONNX
//! ```
//!
//! Promises: the same settings give the same bytes, on any number of threads.

pub mod bundle;
mod loss;
mod mean;
pub mod page;

use super::unet::course::Course;
use super::unet::{Network, Task};
use crate::infer::onnx_graph::unet as onnx;
use crate::infer::{InferError, unet};
use anyhow::Context as _;
use page::Page;
use rand::RngExt as _;

/// Side of a training picture, px: four cells.
pub(super) const SIDE_PX: usize = 96;

/// How the network is trained.
#[derive(Debug, Clone)]
pub struct FinderSettings {
    /// Channels after the first convolution.
    pub width: usize,
    /// Steps of Adam; 0 gives the network to begin with as it is.
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    pub batch: usize,
    /// Adam's longest step; it falls to 0 along half a cosine.
    pub learning_rate: f32,
    /// Share of pictures that are taken from the real pages when there are both, 0..=1.
    pub real_share: f64,
    /// Seed of weights, choice and disturbances.
    pub seed: u64,
    /// The ONNX files of networks whose mean is begun with; their width counts, not the one here. None: random weights.
    pub from: Vec<Vec<u8>>,
}

/// Pictures that a network which is trained further meets first, to set its batch norms.
const FIRST_MET: u64 = 48;

/// How far training is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps done.
    pub step: u32,
    /// Mean cross-entropy of the newest steps.
    pub loss: f32,
}

/// What a cell finder of `width` channels is and learns.
pub(super) fn task(width: usize) -> Task {
    Task { steps: unet::finder(width), first_guess: -1.0, first_spread: 1.0, loss: loss::cross_entropy }
}

/// Trains a network on `real` and `simulated` pages and gives its ONNX file; `told` hears of the progress now and then and
/// of the network so far.
///
/// # Errors
/// - `anyhow` text when there is no page, the batch is no multiple of 16, or there is neither a step nor a network to begin with.
/// - `weights` when the network cannot be written.
pub fn train(
    real: &[Page],
    simulated: &[Page],
    settings: &FinderSettings,
    mut told: impl FnMut(Progress, &dyn Fn() -> Result<Vec<u8>, InferError>) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(!real.is_empty() || !simulated.is_empty(), "there is no picture to train on");
    anyhow::ensure!(
        settings.steps > 0 || !settings.from.is_empty(),
        "without a step there must be networks to begin with"
    );
    let sample = |purpose: u64| {
        let mut rng = super::parameters::generator(settings.seed, purpose);
        let from_real = simulated.is_empty() || (!real.is_empty() && rng.random::<f64>() < settings.real_share);
        let pages = if from_real { real } else { simulated };
        let page = pages.get(rng.random_range(0..pages.len()));
        page.map(|page| page.sample(SIDE_PX, &mut rng)).unwrap_or_default()
    };
    let read = settings.from.iter().map(|file| onnx::read_finder(file));
    let read: Option<Vec<_>> = read.collect();
    let begun = read.context("a network to begin with is no cell finder of ours")?;
    let mut network = match begun.as_slice() {
        [] => Network::new(task(settings.width), settings.seed),
        begun => {
            let weights = mean::of(begun).context("the networks to begin with are not of one size")?;
            if settings.steps == 0 {
                return Ok(onnx::finder(&weights)?);
            }
            let first: Vec<f32> = (0..FIRST_MET).flat_map(|number| sample(number).0).collect();
            Network::resumed(task(weights.width()), &weights, &first, SIDE_PX)
                .context("the network to begin with has weights missing")?
        }
    };
    let FinderSettings { steps, batch, learning_rate, .. } = *settings;
    Course { steps, batch, learning_rate }.run(&mut network, SIDE_PX, sample, |stretch| {
        let progress = Progress { step: stretch.step, loss: stretch.loss };
        told(progress, &|| onnx::finder(&stretch.network.weights()))
    })?;
    Ok(onnx::finder(&network.weights())?)
}

/// A training picture that no step is shown (`[96, 96]`): what the network's test tensors are made of.
pub fn test_picture(pages: &[Page], seed: u64) -> Vec<f32> {
    let mut rng = super::parameters::generator(seed, 999);
    pages.first().map(|page| page.sample(SIDE_PX, &mut rng).0).unwrap_or_default()
}
