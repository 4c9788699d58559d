//! A phase-contrast microscope with known truth: what the tests, the demo and the shipped model see.
//!
//! ```text
//!  panel ---------> scene ---------------> cell ---------------> optics -----------> camera --> instrument
//!  tumours, days,   a field over time:     thickness map:        phase contrast:     light,     file names,
//!  class, latent    motion, division,      body, nucleus,        halo, shade-off,    shot and   habits of
//!  efficiency       comings and goings     granules, pseudopods  defocus             read noise writing
//!                        |
//!                        +--> truth: labels, tracks, latents, events
//!                        +--> crops: labelled windows for training
//!                        +--> twins: the same cells with more or less of the hallmarks
//! ```
//!
//! Everything hangs on a seed: the same seed gives the same bytes, on any number of threads.

pub mod calibrate;
pub mod cell;
pub mod crops;
pub mod culture;
pub mod instrument;
pub mod optics;
pub mod panel;
pub mod scene;
mod tiff;
pub mod truth;
pub mod twins;

pub use crops::{CropPlan, LabelledWindow, crops};
pub use instrument::{Fov, Instrument, InstrumentSettings, Layout, SimulateError, Stop, WriteStyle, Written};
pub use panel::{Class, Panel, Place};
pub use scene::{CellTruth, FrameTruth, Moment, Scene, SceneSettings, SimulatedFrame};
pub use truth::TruthWriter;
pub use twins::{Twins, twins};
