//! The built-in engine: rten, pure Rust, always there (rten's only door).

use super::InferError;
use super::bundle::{Bundle, BundleFile};
use super::engine::{Engine, Network};
use rten::{Model, ModelOptions, RunOptions, ThreadPool, ValueView};
use std::fmt;
use std::sync::Arc;

const NAME: &str = "rten";

/// A bundle's networks in rten.
pub struct Builtin {
    encoder: Model,
    decoder: Decoder,
    pool: Arc<ThreadPool>,
}

/// The decoder, loaded when it is first used: the daemon never does.
enum Decoder {
    File(BundleFile),
    Loaded(Box<Model>),
}

impl Builtin {
    /// Loads the encoder of `bundle`; the decoder is loaded when it is first used.
    ///
    /// # Errors
    /// - `bundle_read`, `bundle_hash` when the encoder's file changed meanwhile.
    /// - `engine_load` when rten does not take it.
    pub fn open(bundle: &Bundle, threads: usize) -> Result<Self, InferError> {
        let encoder = load(Network::Encoder, bundle.encoder.read()?)?;
        Ok(Self { encoder, decoder: Decoder::File(bundle.decoder.clone()), pool: pool(threads) })
    }

    /// Loads networks that are not in a bundle yet, on one thread.
    ///
    /// # Errors
    /// `engine_load` when rten does not take them.
    pub fn from_bytes(encoder: Vec<u8>, decoder: Vec<u8>) -> Result<Self, InferError> {
        let decoder = Decoder::Loaded(Box::new(load(Network::Decoder, decoder)?));
        Ok(Self { encoder: load(Network::Encoder, encoder)?, decoder, pool: pool(1) })
    }
}

impl Engine for Builtin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(&mut self, network: Network, count: usize, input: &[f32]) -> Result<Vec<f32>, InferError> {
        if let (Network::Decoder, Decoder::File(file)) = (network, &self.decoder) {
            self.decoder = Decoder::Loaded(Box::new(load(network, file.read()?)?));
        }
        let model = match (network, &self.decoder) {
            (Network::Decoder, Decoder::Loaded(decoder)) => decoder,
            _ => &self.encoder,
        };
        run(model, network, count, input, Arc::clone(&self.pool)).map_err(|source| InferError::EngineRun {
            engine: NAME,
            network: network.name(),
            source,
        })
    }
}

fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPool::with_num_threads(threads))
}

fn load(network: Network, bytes: Vec<u8>) -> Result<Model, InferError> {
    ModelOptions::with_all_ops().prepack_weights(true).load(bytes).map_err(|source| InferError::EngineLoad {
        engine: NAME,
        network: network.name(),
        source: Box::new(source),
    })
}

fn run(
    model: &Model,
    network: Network,
    count: usize,
    input: &[f32],
    pool: Arc<ThreadPool>,
) -> Result<Vec<f32>, super::error::Cause> {
    let view = ValueView::from_shape(network.input_shape(count), input)?;
    let options = RunOptions::default().with_thread_pool(Some(pool));
    let inputs = vec![(model.node_id(network.input())?, view.into())];
    let [output] = model.run_n(inputs, [model.node_id(network.output())?], Some(options))?;
    let output: rten_tensor::Tensor<f32> = output.try_into()?;
    Ok(output.into_data())
}

impl fmt::Debug for Builtin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Builtin")
            .field("decoder_loaded", &matches!(self.decoder, Decoder::Loaded(_)))
            .finish_non_exhaustive()
    }
}
