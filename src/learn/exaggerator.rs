//! Training of the network that exaggerates: cells and their twins in, an ONNX file out.
//!
//! ```text
//! simulated twins --> pairs --a part, turned, mirrored--> network --> ONNX
//! ```
//!
//! Promises: the same settings give the same bytes, on any number of threads.

pub mod bundle;
pub mod pair;

use super::unet::course::Course;
use super::unet::lanes::{LANES, Map};
use super::unet::{Network, Task};
use crate::infer::onnx_graph::unet as onnx;
use crate::infer::unet::{self, ADDED};
use pair::Pair;
use rand::RngExt as _;

/// Side of a training picture, px of a crop.
const SIDE_PX: usize = 96;

/// How the network is trained.
#[derive(Debug, Clone, Copy)]
pub struct ExaggeratorSettings {
    /// Channels after the first convolution.
    pub width: usize,
    /// Steps of Adam.
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    pub batch: usize,
    /// Adam's longest step; it falls to 0 along half a cosine.
    pub learning_rate: f32,
    /// Seed of weights and choice.
    pub seed: u64,
}

/// How far training is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps done.
    pub step: u32,
    /// Share of what cells and twins differ by that the newest steps' pictures had: 1 minus what was missed over what there
    /// was, squared.
    pub share: f32,
}

/// What an exaggerator of `width` channels is and learns.
pub(super) fn task(width: usize) -> Task {
    // Nothing is added at first: a cell is a better guess of its twin than noise is.
    Task { steps: unet::exaggerator(width), first_guess: 0.0, first_spread: 0.0, loss: squared_error }
}

/// Trains a network on `pairs` and gives its ONNX file; `told` hears of the progress now and then.
///
/// # Errors
/// - `anyhow` text when there is no pair, or the batch is no multiple of 16.
/// - `weights` when the network cannot be written.
pub fn train(
    pairs: &[Pair],
    settings: &ExaggeratorSettings,
    mut told: impl FnMut(Progress) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(!pairs.is_empty(), "there are no cells to train on");
    let sample = |purpose: u64| {
        let mut rng = super::parameters::generator(settings.seed, purpose);
        let pair = pairs.get(rng.random_range(0..pairs.len()));
        pair.map(|pair| pair.sample(SIDE_PX, &mut rng)).unwrap_or_default()
    };
    let mut network = Network::new(task(settings.width), settings.seed);
    let ExaggeratorSettings { steps, batch, learning_rate, .. } = *settings;
    Course { steps, batch, learning_rate }.run(&mut network, SIDE_PX / 2, sample, |stretch| {
        told(Progress { step: stretch.step, share: 1.0 - stretch.loss / stretch.wanted.max(f32::MIN_POSITIVE) })
    })?;
    Ok(onnx::exaggerator(&network.weights())?)
}

/// Mean squared difference to what is `wanted` (`[LANES, 4, side, side]`); the outputs become its gradient.
fn squared_error(outputs: &mut Map, wanted: &[f32]) -> f64 {
    let side = outputs.width;
    let scale = 1.0 / (LANES * side * side * ADDED) as f32;
    let mut loss = 0.0_f64;
    for (y, row) in outputs.rows_mut().enumerate() {
        for (place, plane) in wanted.chunks_exact(side * side).enumerate() {
            let (lane, channel) = (place / ADDED, place % ADDED);
            let line = plane.get(y * side..(y + 1) * side).unwrap_or_default();
            let values = row.iter_mut().skip(channel * LANES + lane).step_by(ADDED * LANES);
            for (value, wanted) in values.zip(line) {
                let missed = *value - wanted;
                loss += f64::from(scale * missed * missed);
                *value = 2.0 * scale * missed;
            }
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::CROP_SIDE_PX;
    use crate::explain::hallmarks::Light;
    use crate::infer::exaggerator::{Amount, Exaggerator};
    use crate::infer::{EngineChoice, InferSettings};

    /// Spots on a grey ground; the twin's logarithms of light are `1 + granules` times as strong.
    fn spotted(number: u32) -> Pair {
        let granules = f64::from(number % 5) / 5.0 - 0.4;
        let amount = Amount { protrusions: f64::from(number % 3) / 3.0, granules };
        let logarithm = |index: usize| {
            let (x, y) = ((index % CROP_SIDE_PX) as f32, (index / CROP_SIDE_PX) as f32);
            0.5 * (0.4 * x + number as f32).sin() * (0.3 * y).cos()
        };
        let scaled = |times: f32| {
            let relative: Vec<f32> = (0..CROP_SIDE_PX * CROP_SIDE_PX).map(|i| (times * logarithm(i)).exp()).collect();
            let (crop, light) = Light::crop(&relative).unwrap();
            (crop.pixels().iter().map(|grey| (grey * 255.0).round() as u8).collect::<Vec<u8>>(), light)
        };
        Pair::new(scaled(1.0), scaled(1.0 + granules as f32), amount)
    }

    #[test]
    fn what_was_learned_is_drawn_again_from_the_folder_and_twice_the_same() {
        let pairs: Vec<Pair> = (0..15).map(spotted).collect();
        let settings = ExaggeratorSettings { width: 4, steps: 300, batch: 16, learning_rate: 4e-3, seed: 3 };
        let mut shares = Vec::new();
        let onnx = train(&pairs, &settings, |progress| {
            shares.push(progress.share);
            Ok(())
        });
        let onnx = onnx.unwrap();
        assert!(shares.last().is_some_and(|share| *share > 0.5), "{shares:?}");
        let short = ExaggeratorSettings { steps: 2, ..settings };
        assert_eq!(train(&pairs, &short, |_| Ok(())).unwrap(), train(&pairs, &short, |_| Ok(())).unwrap());

        let folder = tempfile::tempdir().unwrap();
        bundle::write(folder.path(), &onnx, &pairs[0], 1.5, "# A card").unwrap();
        let builtin = InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() };
        let network = Exaggerator::open(folder.path(), &builtin).unwrap();
        assert!((network.largest_amount() - 1.5).abs() < 1e-12);
        let light: Vec<f32> = (0..CROP_SIDE_PX * CROP_SIDE_PX)
            .map(|i| (0.5 * (0.4 * (i % CROP_SIDE_PX) as f32).sin() * (0.3 * (i / CROP_SIDE_PX) as f32).cos()).exp())
            .collect();
        let strength = |granules: f64| {
            let drawn = network.draw(&light, Amount { protrusions: 0.0, granules }).unwrap();
            drawn.iter().map(|light| light.ln().powi(2)).sum::<f32>()
        };
        assert!(strength(0.4) > 1.1 * strength(0.0) && strength(-0.4) < strength(0.0) / 1.1);

        std::fs::write(folder.path().join("exaggerator.onnx"), b"another").unwrap();
        assert_eq!(Exaggerator::open(folder.path(), &builtin).unwrap_err().code(), "bundle_hash");
    }
}
