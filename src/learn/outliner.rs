//! Training of the network that draws outlines: close-ups of what the finder found and true cells in, an ONNX file out.
//!
//! ```text
//! simulated fields and cultures, sets with truth --> finder --> close-ups --turned, mirrored, dimmed--> network --> ONNX
//! ```
//!
//! Promises: the same settings give the same bytes, on any number of threads.

pub mod bundle;
pub mod example;

use super::unet::course::Course;
use super::unet::lanes::{LANES, Map};
use super::unet::{Network, Task};
use crate::cells::close_up::DRAWN;
use crate::infer::onnx_graph::unet as onnx;
use crate::infer::unet;
use crate::learn::kernels::sigmoid;
use example::Example;
use rand::RngExt as _;

/// Side of a training picture, places.
const SIDE: usize = 48;

/// How the network is trained.
#[derive(Debug, Clone, Copy)]
pub struct OutlinerSettings {
    /// Channels of every convolution.
    pub width: usize,
    /// Steps of Adam.
    pub steps: u32,
    /// Pictures per step, a multiple of 16.
    pub batch: usize,
    /// Adam's longest step; it falls to 0 along half a cosine.
    pub learning_rate: f32,
    /// Seed of weights, choice and disturbances.
    pub seed: u64,
}

/// What an outliner of `width` channels is and learns.
pub(super) fn task(width: usize) -> Task {
    Task { steps: unet::outliner(width), first_guess: -1.0, first_spread: 1.0, loss: cross_entropy }
}

/// Examples of one kind, and the share of the pictures that are taken from them.
#[derive(Debug)]
pub struct Source {
    /// The cells.
    pub examples: Vec<Example>,
    /// Relative to the other sources' shares.
    pub share: f64,
}

/// Trains a network and gives its ONNX file; `told` hears now and then of the steps done and of the newest steps' mean
/// cross-entropy.
///
/// # Errors
/// - `anyhow` text when there is no example, or the batch is no multiple of 16.
/// - `weights` when the network cannot be written.
pub fn train(
    sources: &[Source],
    settings: &OutlinerSettings,
    mut told: impl FnMut(u32, f32) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u8>> {
    let sources: Vec<&Source> = sources.iter().filter(|it| !it.examples.is_empty() && it.share > 0.0).collect();
    anyhow::ensure!(!sources.is_empty(), "there are no cells to train on");
    let all: f64 = sources.iter().map(|source| source.share).sum();
    let sample = |purpose: u64| {
        let mut rng = super::parameters::generator(settings.seed, purpose);
        let mut at = all * rng.random::<f64>();
        let source = sources.iter().find(|source| {
            at -= source.share;
            at < 0.0
        });
        let examples = source.or(sources.last()).map_or(&[][..], |source| &source.examples);
        let example = examples.get(rng.random_range(0..examples.len().max(1)));
        example.map(|example| example.sample(SIDE, &mut rng)).unwrap_or_default()
    };
    let mut network = Network::new(task(settings.width), settings.seed);
    let OutlinerSettings { steps, batch, learning_rate, .. } = *settings;
    let course = Course { steps, batch, learning_rate };
    course.run(&mut network, SIDE, sample, |stretch| told(stretch.step, stretch.loss))?;
    Ok(onnx::outliner(&network.weights())?)
}

/// Mean cross-entropy of the logits against what is `wanted` (`[LANES, DRAWN, side, side]`); they become its gradient.
fn cross_entropy(logits: &mut Map, wanted: &[f32]) -> f64 {
    let side = logits.width;
    let scale = 1.0 / (LANES * side * side * DRAWN) as f32;
    let mut loss = 0.0_f64;
    for (y, row) in logits.rows_mut().enumerate() {
        let mut sum = 0.0_f32;
        for (place, plane) in wanted.chunks_exact(side * side).enumerate() {
            let (lane, channel) = (place / DRAWN, place % DRAWN);
            let line = plane.get(y * side..(y + 1) * side).unwrap_or_default();
            let values = row.iter_mut().skip(channel * LANES + lane).step_by(DRAWN * LANES);
            for (logit, wanted) in values.zip(line) {
                let x = *logit;
                sum += x.max(0.0) - x * wanted + (-x.abs()).exp().ln_1p();
                *logit = scale * (sigmoid(x) - wanted);
            }
        }
        loss += f64::from(scale * sum);
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Sight as _;
    use crate::infer::finder::Finder;
    use crate::infer::{EngineChoice, InferSettings};
    use crate::simulate::culture::field;
    use crate::units::PixelSize;
    use example::{Truth, examples};
    use std::path::Path;

    #[test]
    fn what_was_learned_is_drawn_again_from_the_folder_and_twice_the_same() {
        let builtin = InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let folder = tempfile::tempdir().unwrap();
        for name in ["rdf.yaml", "finder.onnx"] {
            std::fs::copy(shipped.join(name), folder.path().join(name)).unwrap();
        }
        let finder = Finder::open(folder.path(), &builtin).unwrap();
        let cells = (1..9).flat_map(|seed| {
            let culture = field(seed).unwrap();
            let pixel_size = PixelSize::new(culture.pixel_um).unwrap();
            let (plane, diameter_px) = (culture.plane, culture.diameter_px);
            examples(Truth { plane, labels: &culture.labels, pixel_size, diameter_px, border_px: 0 }, &finder).unwrap()
        });
        let sources = [Source { examples: cells.collect(), share: 1.0 }, Source { examples: Vec::new(), share: 1.0 }];
        assert!(sources[0].examples.len() > 20, "{}", sources[0].examples.len());
        let settings = OutlinerSettings { width: 8, steps: 120, batch: 16, learning_rate: 8e-3, seed: 3 };
        let mut losses = Vec::new();
        let onnx = train(&sources, &settings, |_, loss| {
            losses.push(loss);
            Ok(())
        });
        assert!(losses.len() == 2 && losses[1] < 0.2, "{losses:?}");
        let short = OutlinerSettings { steps: 2, ..settings };
        let again = || train(&sources, &short, |_, _| Ok(())).unwrap();
        assert_eq!(again(), again());

        bundle::write(folder.path(), &onnx.unwrap(), &sources[0].examples[0], "# A card").unwrap();
        assert!(Finder::open(folder.path(), &builtin).unwrap().draws());
        assert!(train(&[], &settings, |_, _| Ok(())).is_err());
    }
}
