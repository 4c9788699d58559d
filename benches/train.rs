//! Pictures per second of training: `cargo bench --features learn --bench train [-- WIDTH [BATCH [STEPS]]]`.
//!
//! `scripts/torch-speed.sh` lets PyTorch train the same network in turn and prints the ratio.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

use cytowatch::infer::architecture::AutoencoderSpec;
use cytowatch::infer::texture::READ;
use cytowatch::infer::{Cause, LATENT_LEN};
use cytowatch::learn::autoencoder::{Autoencoder, Batch, StepSettings};
use std::time::Instant;

/// Steps that are not counted.
const WARM_UP: usize = 3;

fn main() -> Result<(), Cause> {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (width, batch, steps) = (number(0, 8), number(1, 25), number(2, 20));
    let spec = AutoencoderSpec::new(width, 2)?;
    let side = spec.working_side_px();
    // Numbers without a pattern: what a step costs does not depend on them.
    let noise = |count: usize| (0..count).map(|i| (i as f32 * 0.754_877).fract()).collect::<Vec<f32>>();
    let (pictures, normals, tied) = (noise(batch * side * side), noise(batch * LATENT_LEN), noise(batch * READ));
    let labels = vec![0.5; batch];
    let shown = Batch { pictures: &pictures, noise: &normals, labels: &labels, tied: &tied };
    let settings = StepSettings { learning_rate: 2e-3, adversarial_weight: 0.003, label_weight: 0.0, momentum: 0.1 };
    let mut net = Autoencoder::new(spec, 1);
    for _ in 0..WARM_UP {
        net.step(shown, settings);
    }
    let start = Instant::now();
    for _ in 0..steps {
        net.step(shown, settings);
    }
    let rate = (steps * batch) as f64 / start.elapsed().as_secs_f64();
    println!("width {width}, {side} px, batches of {batch}: {rate:.1} pictures/s");
    Ok(())
}
