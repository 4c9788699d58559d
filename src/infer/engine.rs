//! The one trait behind which the two engines stand, and the batches that they run.
//!
//! Takes the crops of one frame, gives their latent descriptors in the same order. A frame's crops are cut greedily into
//! batches of 8, 4, 2 and 1, never padded and never mixed with another frame's: the bits of a frame's results depend on
//! that frame alone, not on what happened to wait beside it.

use super::builtin::Builtin;
use super::bundle::Bundle;
use super::onnx::Onnx;
use super::onnx_graph::{CROP, LATENT};
use super::runtime::Kind;
use super::{InferError, InferSettings, LATENT_LEN, Latent, TEST_TOLERANCE};
use crate::cells::{CROP_SIDE_PX, Crop};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::thread::available_parallelism;

/// Batch sizes that engines run, largest first.
pub const BATCHES: [usize; 4] = [8, 4, 2, 1];
const CROP_LEN: usize = CROP_SIDE_PX * CROP_SIDE_PX;

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// ONNX Runtime when it is there, the built-in engine otherwise.
    #[default]
    Auto,
    /// ONNX Runtime or nothing.
    Ort,
    /// The built-in engine, which needs no library.
    Rten,
    /// ONNX Runtime with OpenVINO or nothing: several times as fast on newer Intel processors, in bf16.
    Openvino,
}

/// One half of the autoencoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// `crop [N, 1, 256, 256] -> latent [N, 56]`.
    Encoder,
    /// `latent [N, 56] -> crop [N, 1, 256, 256]`.
    Decoder,
}

impl Network {
    /// `encoder` or `decoder`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }

    /// Name of the input.
    pub fn input(self) -> &'static str {
        match self {
            Self::Encoder => CROP,
            Self::Decoder => LATENT,
        }
    }

    /// Name of the output.
    pub fn output(self) -> &'static str {
        match self {
            Self::Encoder => LATENT,
            Self::Decoder => CROP,
        }
    }

    /// The input's shape for `count` items.
    pub fn input_shape(self, count: usize) -> Vec<usize> {
        match self {
            Self::Encoder => vec![count, 1, CROP_SIDE_PX, CROP_SIDE_PX],
            Self::Decoder => vec![count, LATENT_LEN],
        }
    }

    /// Values per item of the output.
    pub fn output_len(self) -> usize {
        match self {
            Self::Encoder => LATENT_LEN,
            Self::Decoder => CROP_LEN,
        }
    }
}

/// Runs a bundle's two networks. An engine belongs to one thread at a time.
pub trait Engine: Debug + Send {
    /// `ort`, `rten` or `openvino`; stored with each run.
    fn name(&self) -> &'static str;

    /// Largest difference allowed between a test tensor and what the engine makes of it.
    fn tolerance(&self) -> f32 {
        TEST_TOLERANCE
    }

    /// Runs `network` on `count` items that follow one another in `input`; gives their outputs, one after the other.
    ///
    /// # Errors
    /// - `engine_load` when the network is used for the first time and cannot be loaded.
    /// - `engine_run` when the engine fails.
    fn run(&mut self, network: Network, count: usize, input: &[f32]) -> Result<Vec<f32>, InferError>;

    /// Latent descriptors of the crops of one frame, in their order.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn embed(&mut self, crops: &[Crop]) -> Result<Vec<Latent>, InferError> {
        let mut latents = Vec::with_capacity(crops.len());
        for batch in batches(crops) {
            let input: Vec<f32> = batch.iter().flat_map(Crop::pixels).copied().collect();
            let output = run_checked(self, Network::Encoder, batch.len(), &input)?;
            latents.extend_from_slice(output.as_chunks::<LATENT_LEN>().0);
        }
        Ok(latents)
    }

    /// The pictures that the decoder draws for `latents`, in their order.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn decode(&mut self, latents: &[Latent]) -> Result<Vec<Crop>, InferError> {
        let mut crops = Vec::with_capacity(latents.len());
        for batch in batches(latents) {
            let output = run_checked(self, Network::Decoder, batch.len(), batch.as_flattened())?;
            crops.extend(output.chunks(CROP_LEN).filter_map(|pixels| Crop::new(pixels.to_vec())));
        }
        Ok(crops)
    }
}

/// The engine that `settings` want, and why it is not ONNX Runtime although that was wanted.
///
/// # Errors
/// - `library_missing`, `library_refused`, `library_taken` when ONNX Runtime is demanded and cannot be had.
/// - `engine_load` when the engine does not take the bundle's encoder.
pub fn choose(settings: &InferSettings, bundle: &Bundle) -> Result<(Box<dyn Engine>, Option<InferError>), InferError> {
    let threads = match settings.threads {
        0 => available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let library = settings.runtime_library.as_deref();
    match settings.engine {
        EngineChoice::Ort => Ok((Box::new(Onnx::open(Kind::Plain, library, bundle, threads)?), None)),
        EngineChoice::Openvino => Ok((Box::new(Onnx::open(Kind::OpenVino, library, bundle, threads)?), None)),
        EngineChoice::Rten => Ok((Box::new(Builtin::open(bundle, threads)?), None)),
        EngineChoice::Auto => match Onnx::open(Kind::Plain, library, bundle, threads) {
            Ok(engine) => Ok((Box::new(engine), None)),
            Err(why) => Ok((Box::new(Builtin::open(bundle, threads)?), Some(why))),
        },
    }
}

/// `items` cut into slices of the [`BATCHES`] sizes, largest first.
fn batches<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let size = BATCHES.into_iter().find(|size| *size <= rest.len())?;
        let (batch, others) = rest.split_at_checked(size)?;
        rest = others;
        Some(batch)
    })
}

fn run_checked<E: Engine + ?Sized>(
    engine: &mut E,
    network: Network,
    count: usize,
    input: &[f32],
) -> Result<Vec<f32>, InferError> {
    let output = engine.run(network, count, input)?;
    if output.len() == count * network.output_len() {
        Ok(output)
    } else {
        let source = format!("{} numbers came back for {count} items", output.len()).into();
        Err(InferError::EngineRun { engine: engine.name(), network: network.name(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_greedy_complete_and_in_order() {
        for count in 0..40 {
            let items: Vec<usize> = (0..count).collect();
            let cut: Vec<&[usize]> = batches(&items).collect();
            assert_eq!(cut.concat(), items);
            assert!(cut.iter().all(|batch| BATCHES.contains(&batch.len())));
            assert!(cut.is_sorted_by(|a, b| a.len() >= b.len()), "largest first");
            assert_eq!(cut.len(), count / 8 + (count % 8).count_ones() as usize, "no more batches than needed");
        }
    }
}
