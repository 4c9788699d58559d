//! The built-in engine: rten, pure Rust, always there (rten's only door).

use super::InferError;
use super::bundle::{Bundle, BundleFile};
use super::engine::{Engine, Network};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueView};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The engine's name.
pub(super) const NAME: &str = "rten";

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

/// A network on whole pictures, one thread each: any number of pictures at a time.
pub struct PictureModel {
    model: Model,
    input: NodeId,
    outputs: Vec<NodeId>,
    /// Pools of one thread that nobody uses just now.
    idle: Mutex<Vec<Arc<ThreadPool>>>,
}

impl PictureModel {
    /// Loads an ONNX file with these names of input and outputs.
    ///
    /// # Errors
    /// `engine_load` when rten does not take it or a name is not there.
    pub fn open(bytes: Vec<u8>, input: &str, outputs: &[&str]) -> Result<Self, InferError> {
        let refused = |source| InferError::EngineLoad { engine: NAME, network: super::FINDER, source };
        let model = ModelOptions::with_all_ops().prepack_weights(true).load(bytes);
        let model = model.map_err(|source| refused(Box::new(source)))?;
        let node = |name: &str| model.node_id(name).map_err(|source| refused(Box::new(source)));
        let input = node(input)?;
        let outputs = outputs.iter().map(|output| node(output)).collect::<Result<_, _>>()?;
        Ok(Self { model, input, outputs, idle: Mutex::default() })
    }

    /// Runs a picture of this shape through the network and gives its outputs, each flat.
    ///
    /// # Errors
    /// `engine_run` when the engine fails.
    pub fn run(&self, shape: [usize; 4], pixels: &[f32]) -> Result<Vec<Vec<f32>>, InferError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let pool = taken.unwrap_or_else(|| pool(1));
        let output = self.run_on(Arc::clone(&pool), shape, pixels);
        idle().push(pool);
        output.map_err(|source| InferError::EngineRun { engine: NAME, network: super::FINDER, source })
    }

    fn run_on(&self, pool: Arc<ThreadPool>, shape: [usize; 4], pixels: &[f32]) -> Result<Vec<Vec<f32>>, super::Cause> {
        let view = ValueView::from_shape(shape, pixels)?;
        let options = RunOptions::default().with_thread_pool(Some(pool));
        let outputs = self.model.run(vec![(self.input, view.into())], &self.outputs, Some(options))?;
        let flat = |output| -> Result<Vec<f32>, super::Cause> {
            let tensor: rten_tensor::Tensor<f32> = rten::Value::try_into(output)?;
            Ok(tensor.into_data())
        };
        outputs.into_iter().map(flat).collect()
    }
}

impl fmt::Debug for PictureModel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PictureModel").finish_non_exhaustive()
    }
}

impl fmt::Debug for Builtin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Builtin")
            .field("decoder_loaded", &matches!(self.decoder, Decoder::Loaded(_)))
            .finish_non_exhaustive()
    }
}
