//! A network's training from the first step to the last.

use super::Network;
use super::lanes::LANES;
use rayon::prelude::*;

/// How often is told how far training is, steps.
const TOLD_EVERY: u32 = 100;

/// How long and how fast a network is trained.
#[derive(Debug, Clone, Copy)]
pub(in crate::learn) struct Course {
    /// Steps of Adam.
    pub(in crate::learn) steps: u32,
    /// Pictures per step, a multiple of [`LANES`].
    pub(in crate::learn) batch: usize,
    /// Adam's longest step; it falls to 0 along half a cosine.
    pub(in crate::learn) learning_rate: f32,
}

/// How far training is.
pub(in crate::learn) struct Stretch<'a> {
    /// Steps done.
    pub(in crate::learn) step: u32,
    /// Mean loss of the newest steps.
    pub(in crate::learn) loss: f32,
    /// Mean square of what was wanted in them.
    pub(in crate::learn) wanted: f32,
    /// The network so far.
    pub(in crate::learn) network: &'a Network,
}

impl Course {
    /// Trains `network` on pictures of `side` x `side`: `sample` gives the one of a number and what is wanted of it, `told` hears how far
    /// training is.
    ///
    /// # Errors
    /// When the batch is no multiple of [`LANES`]; what `told` gives.
    pub(in crate::learn) fn run(
        self,
        network: &mut Network,
        side: usize,
        sample: impl Fn(u64) -> (Vec<f32>, Vec<f32>) + Sync,
        mut told: impl FnMut(&Stretch<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { steps, batch, learning_rate } = self;
        let is_whole = batch > 0 && batch.is_multiple_of(LANES);
        anyhow::ensure!(is_whole, "pictures go through {LANES} at a time: the batch must be a multiple of it");
        tracing::info!(parameters = network.parameters(), "training");
        let (mut losses, mut squares, mut count) = (0.0_f32, 0.0_f32, 0_u16);
        for step in 0..steps {
            let number = |place: usize| 1000 + u64::from(step) * batch as u64 + place as u64;
            let samples: Vec<(Vec<f32>, Vec<f32>)> =
                (0..batch).into_par_iter().map(|place| sample(number(place))).collect();
            let pictures: Vec<f32> = samples.iter().flat_map(|sample| sample.0.iter().copied()).collect();
            let wanted: Vec<f32> = samples.iter().flat_map(|sample| sample.1.iter().copied()).collect();
            squares += wanted.iter().map(|value| value * value).sum::<f32>() / wanted.len().max(1) as f32;
            losses += network.step(&pictures, &wanted, side, rate(step, steps, learning_rate));
            count += 1;
            if (step + 1).is_multiple_of(TOLD_EVERY) || step + 1 == steps {
                let (loss, wanted) = (losses / f32::from(count), squares / f32::from(count));
                told(&Stretch { step: step + 1, loss, wanted, network })?;
                (losses, squares, count) = (0.0, 0.0, 0);
            }
        }
        Ok(())
    }
}

/// Step `step` of `steps`: up within the first hundredth, then down along half a cosine.
fn rate(step: u32, steps: u32, longest: f32) -> f32 {
    let done = f64::from(step) / f64::from(steps.max(1));
    let warm = (done / 0.01).min(1.0);
    longest * (warm * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())) as f32
}
