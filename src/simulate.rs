//! A phase-contrast microscope with known truth: what the tests, the demo and the shipped model see.
//!
//! ```text
//!  panel ---------> scene ---------------> cell ---------------> optics -----------> camera
//!  tumours, days,   a field over time:     thickness map:        phase contrast:     counts: light, shot
//!  class, latent    motion, division,      body, nucleus,        halo, shade-off,    and read noise
//!  efficiency       comings and goings     granules, pseudopods  defocus
//!                        |
//!                        +--> truth: labels, tracks, latents, events
//!                        +--> crops: labelled windows for training
//! ```
//!
//! Everything hangs on a seed: the same seed gives the same bytes, on any number of threads.

pub mod cell;
pub mod crops;
pub mod optics;
pub mod panel;
pub mod scene;

pub use crops::{CropPlan, LabelledWindow, crops};
pub use panel::{Class, Panel, Place};
pub use scene::{CellTruth, FrameTruth, Scene, SceneSettings, SimulatedFrame};
