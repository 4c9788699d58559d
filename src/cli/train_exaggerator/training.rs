//! What `cytowatch train-exaggerator` does when it was built to train.

use super::Args;
use crate::cli::say;
use crate::learn::exaggerator::pair::{PairPlan, pairs};
use crate::learn::exaggerator::{ExaggeratorSettings, bundle, train};
use anyhow::Context as _;
use std::time::Instant;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let began = Instant::now();
    let Args { panel, fovs, time_points, largest_amount, .. } = *args;
    anyhow::ensure!(largest_amount > 0.0 && largest_amount < 10.0, "--largest-amount must lie between 0 and 10");
    let pairs = pairs(&PairPlan { panel, fovs, time_points, largest_amount });
    say(&format!("pairs     {} in {:.0} s", pairs.len(), began.elapsed().as_secs_f64()))?;
    let Args { width, steps, batch, learning_rate, seed, .. } = *args;
    let began = Instant::now();
    let mut last = f32::NAN;
    let onnx = train(&pairs, &ExaggeratorSettings { width, steps, batch, learning_rate, seed }, |progress| {
        let seconds = began.elapsed().as_secs_f64();
        last = progress.share;
        say(&format!("step {:>6}: {:.3} of the difference drawn, {seconds:.0} s", progress.step, progress.share))?;
        Ok(())
    })?;
    let first = pairs.first().context("there are no cells")?;
    bundle::write(&args.out, &onnx, first, largest_amount, &card(args, pairs.len(), last))
}

/// The model card.
fn card(args: &Args, pairs: usize, share: f32) -> String {
    let Args { panel, fovs, time_points, largest_amount, width, steps, batch, learning_rate, seed, .. } = args;
    format!(
        "# cytowatch exaggerator

Draws a cell as it would look with longer or shorter pseudopods and with denser or fainter granules: a U-Net of {width} channels \
after its first convolution, at the full resolution of a crop (256 x 256 px of 70.5 um). It gives what is to be added to the \
logarithm of every pixel's light. `cytowatch explain cell` shows the pictures, with what the model reads from each.

- Trained on {pairs} pairs of simulated cells (panel {panel}, {fovs} fields per day and tumour, {time_points} time points): the same cell in the same \
place under the same light and noise, its pseudopods and its granules each up to e^{largest_amount} times as long and as dense, or as little. It saw no \
score, no class and no descriptor.
- Adam, {steps} steps of {batch} pictures of 96 x 96 px, longest step {learning_rate}, seed {seed}; of the squared difference between a cell and its twin \
the last steps drew {share:.3}.
- Made by `cytowatch train-exaggerator`. What the shipped model makes of its pictures stands in `docs/calls.md`.
- It lengthens what is there: a cell without a pseudopod gets none. Everything in the crop is exaggerated, neighbours too.
- It knows simulated phase contrast. On other pictures it draws what it takes for pseudopods and granules.
"
    )
}
