//! ONNX Runtime: found, loaded and run (`ort`'s only door).
//!
//! The library is a file of its own, fetched by `cytowatch runtime install`. It is looked for in this order; the first
//! two are decisive when they are set, so that nobody runs another library than the one that was named:
//!
//! 1. `$ORT_DYLIB_PATH`
//! 2. the setting `runtime_library`
//! 3. `libonnxruntime.so` beside the executable
//! 4. the data folder of `runtime install` and `/usr/local/lib/cytowatch`
//!
//! `ort` panics when it must find a library itself, so it never does: the file is checked, then named to it. A process
//! can load one library and make one environment, which both stay until it ends.

use super::bundle::{Bundle, BundleFile};
use super::engine::{Engine, Network};
use super::error::Cause;
use super::runtime::{self, Kind};
use super::{InferError, TEST_TOLERANCE};
use ort::environment::Environment;
use ort::ep::{ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch, OpenVINO};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, TensorRef};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Largest difference to a test tensor with bf16, which has 8 bits: a twentieth of a feature's spread.
const BF16_TOLERANCE: f32 = 0.05;
const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// The process's one environment and the library that it came from.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// A bundle's networks in ONNX Runtime.
#[derive(Debug)]
pub struct Onnx {
    encoder: Session,
    decoder: Option<Session>,
    decoder_file: BundleFile,
    environment: Environment,
    kind: Kind,
    threads: usize,
}

impl Onnx {
    /// Finds and loads ONNX Runtime of `kind` (see the module), then the encoder of `bundle`; the decoder is loaded when it is
    /// first used.
    ///
    /// # Errors
    /// - `library_missing`, `library_refused`, `library_taken` about the library.
    /// - `bundle_read`, `bundle_hash` when the encoder's file changed meanwhile.
    /// - `engine_load` when ONNX Runtime does not take it.
    pub fn open(kind: Kind, library: Option<&Path>, bundle: &Bundle, threads: usize) -> Result<Self, InferError> {
        let environment = load_library(&find_library(kind, library)?)?;
        let encoder = load(&environment, Network::Encoder, &bundle.encoder.read()?, kind, threads)?;
        Ok(Self { encoder, decoder: None, decoder_file: bundle.decoder.clone(), environment, kind, threads })
    }
}

impl Engine for Onnx {
    fn name(&self) -> &'static str {
        name(self.kind)
    }

    fn tolerance(&self) -> f32 {
        match self.kind {
            Kind::Plain => TEST_TOLERANCE,
            Kind::OpenVino => BF16_TOLERANCE,
        }
    }

    fn run(&mut self, network: Network, count: usize, input: &[f32]) -> Result<Vec<f32>, InferError> {
        let session = match network {
            Network::Encoder => &mut self.encoder,
            Network::Decoder => match &mut self.decoder {
                Some(decoder) => decoder,
                empty => {
                    let bytes = self.decoder_file.read()?;
                    empty.insert(load(&self.environment, network, &bytes, self.kind, self.threads)?)
                }
            },
        };
        run(session, network, count, input).map_err(|source| InferError::EngineRun {
            engine: name(self.kind),
            network: network.name(),
            source: Box::new(source),
        })
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "ort",
        Kind::OpenVino => "openvino",
    }
}

/// The ONNX Runtime of `kind` that would be loaded; `setting` is the setting `runtime_library`.
///
/// # Errors
/// `library_missing` when there is none, with where it was looked for.
pub fn find_library(kind: Kind, setting: Option<&Path>) -> Result<PathBuf, InferError> {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let candidates = match named.or_else(|| setting.map(Path::to_owned)) {
        Some(named) => vec![named],
        None => runtime::library_places(kind),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(found) => Ok(std::path::absolute(found).unwrap_or_else(|_| found.clone())),
        None => Err(InferError::LibraryMissing { kind, looked_for: candidates }),
    }
}

/// Loads the library at `path`, which is a file, and makes the process's environment from it.
///
/// # Errors
/// - `library_refused` when it is not an ONNX Runtime, or too old.
/// - `library_taken` when the process has loaded another one.
pub fn load_library(path: &Path) -> Result<Environment, InferError> {
    let refused = |source: Cause| InferError::LibraryRefused { path: path.to_owned(), source };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((from, environment)) = loaded.as_ref() {
        return if from == path {
            Ok(environment.clone())
        } else {
            Err(InferError::LibraryTaken { loaded: from.clone(), wanted: path.to_owned() })
        };
    }
    let mut magic = [0; ELF_MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.map_err(|source| refused(Box::new(source)))?;
    if magic != ELF_MAGIC {
        return Err(refused("it is not a shared library".into()));
    }
    let builder = ort::init_from(path).map_err(|source| refused(Box::new(source)))?;
    let environment = builder.with_name(env!("CARGO_PKG_NAME")).with_telemetry(false).build();
    let environment = environment.map_err(|source| refused(Box::new(source)))?;
    *loaded = Some((path.to_owned(), environment.clone()));
    drop(loaded);
    Ok(environment)
}

fn load(
    environment: &Environment,
    network: Network,
    bytes: &[u8],
    kind: Kind,
    threads: usize,
) -> Result<Session, InferError> {
    session(environment, bytes, kind, threads).map_err(|source| InferError::EngineLoad {
        engine: name(kind),
        network: network.name(),
        source: Box::new(source),
    })
}

fn session(environment: &Environment, bytes: &[u8], kind: Kind, threads: usize) -> ort::Result<Session> {
    let providers = match kind {
        Kind::Plain => Vec::new(),
        Kind::OpenVino => vec![openvino(threads)],
    };
    builder(environment, threads)?.with_execution_providers(providers)?.commit_from_memory(bytes)
}

fn builder(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Waiting threads sleep: the cores belong to the other stages between two batches.
        .with_intra_op_spinning(false)?)
}

/// OpenVINO on the processor's bf16 units where it has them. When it cannot start, that is an error: otherwise ONNX
/// Runtime would go on without it and say nothing.
fn openvino(threads: usize) -> ExecutionProviderDispatch {
    let config = format!(r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"bf16","INFERENCE_NUM_THREADS":"{threads}"}}}}"#);
    let provider = OpenVINO::default().with_device_type("CPU").with_arbitrary_config("load_config", config);
    provider.build().error_on_failure()
}

fn run(session: &mut Session, network: Network, count: usize, input: &[f32]) -> ort::Result<Vec<f32>> {
    let tensor = TensorRef::from_array_view((network.input_shape(count), input))?;
    let outputs = session.run(ort::inputs![network.input() => tensor])?;
    let output = outputs.get(network.output()).ok_or_else(|| ort::Error::new("the output is missing"))?;
    Ok(output.try_extract_tensor::<f32>()?.1.to_vec())
}

/// A network on whole pictures: as many sessions of one thread as pictures are looked at at once.
pub struct PictureSessions {
    environment: Environment,
    bytes: Vec<u8>,
    input: String,
    outputs: Vec<String>,
    kind: Kind,
    /// Sessions that nobody uses just now.
    idle: Mutex<Vec<Session>>,
}

impl PictureSessions {
    /// Loads an ONNX file with these names of input and outputs.
    ///
    /// # Errors
    /// `engine_load` when ONNX Runtime does not take it or a name is not there.
    pub fn open(
        environment: Environment,
        bytes: Vec<u8>,
        (input, outputs): (&str, &[&str]),
        kind: Kind,
    ) -> Result<Self, InferError> {
        let sessions = Self {
            environment,
            bytes,
            input: input.to_owned(),
            outputs: outputs.iter().map(|&output| output.to_owned()).collect(),
            kind,
            idle: Mutex::default(),
        };
        let first = sessions.another()?;
        let has = |outlets: &[Outlet], wanted: &str| outlets.iter().any(|outlet| outlet.name() == wanted);
        let missing = (!has(first.inputs(), input)).then_some(input);
        if let Some(name) = missing.or_else(|| outputs.iter().copied().find(|output| !has(first.outputs(), output))) {
            return Err(sessions.refused(format!("has no input or output {name}").into()));
        }
        sessions.give_back(first);
        Ok(sessions)
    }

    /// Runs a picture of this shape through the network and gives its outputs, each flat.
    ///
    /// # Errors
    /// `engine_run` when ONNX Runtime fails.
    pub fn run(&self, shape: [usize; 4], pixels: &[f32]) -> Result<Vec<Vec<f32>>, InferError> {
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut session = match taken {
            Some(session) => session,
            None => self.another()?,
        };
        let output = self.run_in(&mut session, shape, pixels);
        self.give_back(session);
        output.map_err(|source| InferError::EngineRun {
            engine: self.engine_name(),
            network: super::FINDER,
            source: Box::new(source),
        })
    }

    /// `ort` or `openvino`: whose library it is. The sessions use no provider of its own, for full precision.
    pub fn engine_name(&self) -> &'static str {
        name(self.kind)
    }

    fn run_in(&self, session: &mut Session, shape: [usize; 4], pixels: &[f32]) -> ort::Result<Vec<Vec<f32>>> {
        let tensor = TensorRef::from_array_view((shape, pixels))?;
        let outputs = session.run(ort::inputs![self.input.as_str() => tensor])?;
        let flat = |name: &String| {
            let output = outputs.get(name).ok_or_else(|| ort::Error::new("an output is missing"))?;
            Ok(output.try_extract_tensor::<f32>()?.1.to_vec())
        };
        self.outputs.iter().map(flat).collect()
    }

    fn another(&self) -> Result<Session, InferError> {
        // Pictures differ in size: a plan of the memory for one would serve no other.
        let open = || builder(&self.environment, 1)?.with_memory_pattern(false)?.commit_from_memory(&self.bytes);
        open().map_err(|source| self.refused(Box::new(source)))
    }

    fn refused(&self, source: Cause) -> InferError {
        InferError::EngineLoad { engine: self.engine_name(), network: super::FINDER, source }
    }

    fn give_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

impl fmt::Debug for PictureSessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PictureSessions").field("kind", &self.kind).finish_non_exhaustive()
    }
}
