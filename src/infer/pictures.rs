//! Networks on whole pictures in either engine: any number of pictures at a time, one thread each, so that a picture gives
//! the same bits whatever else is going on and however many workers there are.

use super::engine::EngineChoice;
use super::runtime::Kind;
use super::{InferError, InferSettings, builtin, onnx};

/// A network on whole pictures.
#[derive(Debug)]
pub enum PictureNetwork {
    /// In ONNX Runtime.
    Onnx(onnx::PictureSessions),
    /// In the built-in engine.
    Builtin(Box<builtin::PictureModel>),
}

impl PictureNetwork {
    /// Loads an ONNX file with these names of input and outputs into the engine that `settings` want: the same library as
    /// the scores', but always in full precision.
    ///
    /// # Errors
    /// - `engine_load` when the engine does not take it or a name is not there.
    /// - `library_missing`, `library_refused`, `library_taken` when ONNX Runtime is demanded and cannot be had.
    pub fn open(
        bytes: Vec<u8>,
        (input, outputs): (&str, &[&str]),
        settings: &InferSettings,
    ) -> Result<Self, InferError> {
        let kind = match settings.engine {
            EngineChoice::Rten => {
                return builtin::PictureModel::open(bytes, input, outputs).map(Box::new).map(Self::Builtin);
            }
            EngineChoice::Openvino => Kind::OpenVino,
            EngineChoice::Ort | EngineChoice::Auto => Kind::Plain,
        };
        let library = onnx::find_library(kind, settings.runtime_library.as_deref());
        match library.and_then(|path| onnx::load_library(&path)) {
            Ok(environment) => onnx::PictureSessions::open(environment, bytes, (input, outputs), kind).map(Self::Onnx),
            Err(_) if settings.engine == EngineChoice::Auto => {
                builtin::PictureModel::open(bytes, input, outputs).map(Box::new).map(Self::Builtin)
            }
            Err(why) => Err(why),
        }
    }

    /// Runs a picture of this shape through the network and gives its outputs, each flat.
    ///
    /// # Errors
    /// `engine_run` when the engine fails.
    pub fn run(&self, shape: [usize; 4], pixels: &[f32]) -> Result<Vec<Vec<f32>>, InferError> {
        match self {
            Self::Onnx(sessions) => sessions.run(shape, pixels),
            Self::Builtin(model) => model.run(shape, pixels),
        }
    }

    /// `ort`, `openvino` or `rten`.
    pub fn engine_name(&self) -> &'static str {
        match self {
            Self::Onnx(sessions) => sessions.engine_name(),
            Self::Builtin(_) => builtin::NAME,
        }
    }
}
