//! From crops to latent descriptors and scores: the model bundle and the two engines that run it.
//!
//! Takes the crops of one frame, gives an [`Inference`] each, in their order. Promises: the same crops in the same
//! frame give the same bits with the same engine, whatever else is going on; no number that is not finite comes out; a
//! bundle that does not keep its [contract](bundle) never gets as far as [`Model`].
//!
//! ```text
//! bundle folder --> bundle --> engine::choose --> Model::describe: crops --> latent --> logit, score   (discriminant)
//!                                |      |                                        '----> distance, withheld (validity)
//!                        ort (onnx)    rten (builtin)
//! ```
//!
//! A network is written by [`onnx_graph`] from the plain weights of [`architecture`] or [`unet`]; [`untrained`] makes a whole small
//! bundle that way, for tests; [`runtime`] fetches ONNX Runtime. [`state`] says what changes of a cell's state are read
//! from besides the logit. [`finder`] and [`exaggerator`] are networks on whole pictures, beside the bundle.

pub mod appearance;
pub mod architecture;
pub mod builtin;
pub mod bundle;
pub mod discriminant;
pub mod engine;
mod error;
pub mod exaggerator;
pub mod finder;
pub mod npy;
pub mod onnx;
pub mod onnx_graph;
pub mod outliner;
pub mod pictures;
pub mod runtime;
pub mod state;
pub mod surroundings;
pub mod texture;
pub mod unet;
pub mod untrained;
pub mod validity;

pub use engine::EngineChoice;
pub use error::{Cause, InferError};
pub use validity::Withheld;

use crate::cells::{Cell, Crop};
use crate::units::PixelSize;
use bundle::Bundle;
use clap::ValueEnum as _;
use engine::Engine;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use validity::{Guard, reconstruction_error};

/// Length of a latent descriptor (method.md 6).
pub const LATENT_LEN: usize = 56;

/// A crop's latent descriptor: about N(0, 1) per feature on the training set.
pub type Latent = [f32; LATENT_LEN];

/// What the network on whole pictures is called.
const FINDER: &str = "cell finder";
/// Largest difference between a test tensor and what an engine makes of it, in latent units and in grey of 0..=1.
const TEST_TOLERANCE: f32 = 1e-4;

/// Which model, run how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InferSettings {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// `auto`, `ort`, `rten` or `openvino`.
    pub engine: EngineChoice,
    /// The ONNX Runtime to load; absent: look in the usual places.
    pub runtime_library: Option<PathBuf>,
    /// Threads inside one network run; 0: as many as there are cores.
    pub threads: usize,
    /// Redraw every crop and withhold what cannot be redrawn, where the bundle limits it; costs as much as describing.
    pub check_reconstruction: bool,
}

impl Default for InferSettings {
    fn default() -> Self {
        Self {
            bundle: PathBuf::from("models/compact"),
            engine: EngineChoice::Auto,
            runtime_library: None,
            threads: 0,
            check_reconstruction: true,
        }
    }
}

impl InferSettings {
    /// The same, with the engine of this name (`ort`, `rten` or `openvino`) and no other: what a run with it used.
    #[must_use]
    pub fn with_engine(&self, name: &str) -> Self {
        Self { engine: EngineChoice::from_str(name, true).unwrap_or(self.engine), ..self.clone() }
    }
}

/// What the model says about one crop. Every number is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// The latent descriptor.
    pub latent: Latent,
    /// Log odds of "high".
    pub logit: f64,
    /// Posterior of "high", 0..=1.
    pub score: f64,
    /// Mahalanobis distance to the training set, >= 0.
    pub distance: f64,
    /// Mean squared difference between the crop and its reconstruction, where it was redrawn.
    pub reconstruction_error: Option<f64>,
    /// Why the score must not be shown or counted; `None` when it may.
    pub withheld: Option<Withheld>,
}

/// A bundle in an engine, ready to describe crops. It belongs to one thread at a time.
#[derive(Debug)]
pub struct Model {
    bundle: Bundle,
    engine: Box<dyn Engine>,
    fallback: Option<InferError>,
    guard: Guard,
    check_reconstruction: bool,
    decoder_tested: bool,
}

impl Model {
    /// Reads the bundle, starts the engine, and lets it reproduce the bundle's test tensor.
    ///
    /// # Errors
    /// - Any `bundle_*` code and `test_tensor` when the bundle breaks its contract.
    /// - `library_*` when ONNX Runtime is demanded and cannot be had.
    /// - `engine_load`, `engine_run` when the engine fails.
    pub fn load(settings: &InferSettings) -> Result<Self, InferError> {
        let bundle = Bundle::read(&settings.bundle)?;
        let guard = Guard::new(&bundle.facts.latent, &bundle.facts.validity)?;
        let check_reconstruction = settings.check_reconstruction && guard.wants_reconstruction();
        let (mut engine, fallback) = engine::choose(settings, &bundle)?;
        let latents = engine.embed(std::slice::from_ref(&bundle.tests.crop))?;
        reproduces(&bundle.encoder.name, engine.as_ref(), latents.as_flattened(), &bundle.tests.latent)?;
        Ok(Self { bundle, engine, fallback, guard, check_reconstruction, decoder_tested: false })
    }

    /// Describes the crops of one frame, in their order.
    ///
    /// # Errors
    /// - `not_finite` when a crop, or what the network makes of it, holds NaN or infinity.
    /// - `engine_run` when the engine fails.
    pub fn describe(&mut self, crops: &[Crop]) -> Result<Vec<Inference>, InferError> {
        for (index, crop) in crops.iter().enumerate() {
            all_finite("a pixel", index, crop.pixels())?;
        }
        let latents = self.engine.embed(crops)?;
        let redrawn = if self.check_reconstruction { self.decode(&latents)? } else { Vec::new() };
        let (facts, guard) = (&self.bundle.facts, &self.guard);
        let judge = |(index, (crop, latent)): (usize, (&Crop, &Latent))| {
            let inference = judge(facts, guard, index, latent)?;
            let error = redrawn.get(index).map(|redrawn| reconstruction_error(crop, redrawn));
            let withheld = guard.withheld(crop, inference.distance, error);
            Ok(Inference { reconstruction_error: error, withheld, ..inference })
        };
        crops.par_iter().zip(&latents).enumerate().map(judge).collect()
    }

    /// Withholds, of what was said about the `cells` of one whole frame, what their surroundings forbid. What makes a crop
    /// unreadable (focus, saturation) goes before.
    pub fn judge_frame(&self, cells: &[Cell], pixel_size: PixelSize, inferences: &mut [Option<Inference>]) {
        let Some(limits) = &self.bundle.facts.validity.surroundings else { return };
        let reasons = limits.judge(cells, pixel_size, self.bundle.facts.crop.box_um);
        for (inference, reason) in inferences.iter_mut().zip(reasons) {
            let unreadable = |it: &Inference| matches!(it.withheld, Some(Withheld::OutOfFocus | Withheld::Saturated));
            if let Some(inference) = inference.as_mut().filter(|it| !unreadable(it)) {
                inference.withheld = reason.or(inference.withheld);
            }
        }
    }

    /// The score and validity of a descriptor that is there already.
    ///
    /// # Errors
    /// `not_finite` when it holds NaN or infinity.
    pub fn judge_latent(&self, latent: &Latent) -> Result<Inference, InferError> {
        judge(&self.bundle.facts, &self.guard, 0, latent)
    }

    /// Draws what the decoder makes of `latents`, `[256, 256]` in 0..=1 each, in their order.
    ///
    /// # Errors
    /// - `test_tensor` when the decoder, on its first use, does not reproduce the bundle's test tensor.
    /// - `engine_load`, `engine_run` when the engine fails.
    pub fn decode(&mut self, latents: &[Latent]) -> Result<Vec<Crop>, InferError> {
        if !self.decoder_tested {
            let tests = &self.bundle.tests;
            let drawn = self.engine.decode(&[tests.latent])?;
            let drawn: Vec<f32> = drawn.iter().flat_map(Crop::pixels).copied().collect();
            reproduces(&self.bundle.decoder.name, self.engine.as_ref(), &drawn, tests.reconstruction.pixels())?;
            self.decoder_tested = true;
        }
        self.engine.decode(latents)
    }

    /// The bundle that was loaded.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// `ort`, `rten` or `openvino`.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// Why the built-in engine serves although ONNX Runtime was wanted; the operator must be told.
    pub fn fallback(&self) -> Option<&InferError> {
        self.fallback.as_ref()
    }
}

/// What a descriptor alone says.
fn judge(facts: &bundle::Facts, guard: &Guard, index: usize, latent: &Latent) -> Result<Inference, InferError> {
    all_finite("the latent descriptor", index, latent)?;
    let logit = facts.discriminant.logit(latent);
    let distance = guard.domain().distance(latent);
    if !logit.is_finite() {
        return Err(InferError::NotFinite { what: "the logit", index });
    }
    if !distance.is_finite() {
        return Err(InferError::NotFinite { what: "the distance", index });
    }
    let (score, withheld) = (discriminant::score(logit), guard.domain().withheld(distance));
    Ok(Inference { latent: *latent, logit, score, distance, reconstruction_error: None, withheld })
}

/// Folder of a bundle, as settings for the built-in engine on one thread: what a test or a tool needs.
pub fn settings_for(bundle: &Path) -> InferSettings {
    InferSettings { bundle: bundle.to_owned(), engine: EngineChoice::Rten, threads: 1, ..InferSettings::default() }
}

fn all_finite(what: &'static str, index: usize, values: &[f32]) -> Result<(), InferError> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(InferError::NotFinite { what, index }) }
}

fn reproduces(file: &str, engine: &dyn Engine, found: &[f32], wanted: &[f32]) -> Result<(), InferError> {
    let differences = found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs());
    // NaN must not hide in a maximum: whatever is not clearly small is refused.
    let close = found.len() == wanted.len() && differences.clone().all(|difference| difference <= engine.tolerance());
    if close {
        return Ok(());
    }
    let largest = differences.fold(0.0, f32::max);
    let engine = engine.name();
    let problem = format!("does not give the bundle's test tensor with {engine}: largest difference {largest:e}");
    Err(InferError::TestTensor { file: file.to_owned(), problem })
}
