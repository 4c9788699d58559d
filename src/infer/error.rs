//! What can go wrong between a crop and its score.

use super::runtime::Kind;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Another library's error, kept as the cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong while a bundle is read, an engine started, or crops are described.
#[derive(Debug, Error)]
pub enum InferError {
    /// A width or a resolution that the autoencoder does not come in.
    #[error("no autoencoder has width {width} (1..=256) and downsample {downsample} (1 or 2)")]
    Architecture {
        /// Channels after the first convolution.
        width: usize,
        /// Factor by which the input is averaged.
        downsample: usize,
    },
    /// A trainer's weights do not fit the architecture.
    #[error("weights of the {layer} do not have the architecture's length")]
    Weights {
        /// The first layer that does not fit.
        layer: String,
    },
    /// A file of the bundle cannot be read.
    #[error("read {path} of the model bundle: check that the bundle setting names a complete bundle folder")]
    BundleRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the bundle cannot be written.
    #[error("write {path} of the model bundle")]
    BundleWrite {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `rdf.yaml` is not YAML, lacks a key or has one that we do not know.
    #[error("understand {path}: not the description of a cytowatch bundle")]
    BundleDescription {
        /// The description.
        path: PathBuf,
        /// Where and why.
        source: Cause,
    },
    /// A file is not the one that the description names.
    #[error("{file} of the bundle has sha256 {found}, its rdf.yaml says {expected}: copy the bundle again")]
    BundleHash {
        /// The file.
        file: String,
        /// As described.
        expected: String,
        /// As computed.
        found: String,
    },
    /// A number or name in the description cannot be right.
    #[error("rdf.yaml of the bundle: {problem}")]
    BundleFacts {
        /// What is wrong.
        problem: String,
    },
    /// An ONNX file breaks the contract of shapes, names or finite weights.
    #[error("{file} of the bundle {problem}")]
    BundleNetwork {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A test tensor is malformed, or the engine does not reproduce it.
    #[error("{file} of the bundle {problem}")]
    TestTensor {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// ONNX Runtime is not on this machine.
    #[error("ONNX Runtime not found (looked for {}): run `{}`", listed(.looked_for), .kind.install_command())]
    LibraryMissing {
        /// Which build was wanted.
        kind: Kind,
        /// Where it was looked for, in order.
        looked_for: Vec<PathBuf>,
    },
    /// The file is not a usable ONNX Runtime.
    #[error("{path} is not an ONNX Runtime that cytowatch can use (1.24 or newer): run `cytowatch runtime install`")]
    LibraryRefused {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Cause,
    },
    /// A process can load one ONNX Runtime only.
    #[error("ONNX Runtime is already loaded from {loaded}, {wanted} needs a new process")]
    LibraryTaken {
        /// What runs.
        loaded: PathBuf,
        /// What was asked for.
        wanted: PathBuf,
    },
    /// An engine does not accept the network.
    #[error("load the {network} into {engine}")]
    EngineLoad {
        /// The engine.
        engine: &'static str,
        /// Encoder or decoder.
        network: &'static str,
        /// Why not.
        source: Cause,
    },
    /// An engine failed while it ran.
    #[error("run the {network} with {engine}")]
    EngineRun {
        /// The engine.
        engine: &'static str,
        /// Encoder or decoder.
        network: &'static str,
        /// Why.
        source: Cause,
    },
    /// NaN or infinity where a number must be.
    #[error("{what} of crop {index} is not a finite number")]
    NotFinite {
        /// Which quantity.
        what: &'static str,
        /// Which crop of the batch, from 0.
        index: usize,
    },
}

impl InferError {
    /// Stable name for metrics, the database and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Architecture { .. } => "architecture",
            Self::Weights { .. } => "weights",
            Self::BundleRead { .. } => "bundle_read",
            Self::BundleWrite { .. } => "bundle_write",
            Self::BundleDescription { .. } => "bundle_description",
            Self::BundleHash { .. } => "bundle_hash",
            Self::BundleFacts { .. } => "bundle_facts",
            Self::BundleNetwork { .. } => "bundle_network",
            Self::TestTensor { .. } => "test_tensor",
            Self::LibraryMissing { .. } => "library_missing",
            Self::LibraryRefused { .. } => "library_refused",
            Self::LibraryTaken { .. } => "library_taken",
            Self::EngineLoad { .. } => "engine_load",
            Self::EngineRun { .. } => "engine_run",
            Self::NotFinite { .. } => "not_finite",
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}
