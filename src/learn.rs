//! Training and honest evaluation.
//!
//! ```text
//! dataset ------> split --------> trainer (autoencoder) --> bundle: ONNX, discriminant, limits, measured AUCs
//! pictures and    by cell, fov,        |
//! origins         day, sample          '--> descriptors --> discriminant --> evaluate --> report
//! ```
//!
//! Takes labelled cells, gives a model bundle and a report that says how good it is and how that was found. Promises: no
//! physical cell stands on both sides of a split; z-scores, discriminant and thresholds are fitted on training cells
//! only; every figure has its interval and its unit.
//!
//! [`guard`] and [`state`] fit what else a bundle holds, on cells found in simulated frames.
//!
//! Training needs the cargo feature `learn`; evaluation does not.

#[cfg(feature = "learn")]
pub mod autoencoder;
#[cfg(feature = "learn")]
pub mod bundle;
pub mod calibrated;
#[cfg(feature = "learn")]
pub mod checkpoint;
#[cfg(feature = "learn")]
mod composed;
pub mod dataset;
pub mod discriminant;
pub mod evaluate;
#[cfg(feature = "learn")]
pub mod exaggerator;
#[cfg(feature = "learn")]
pub mod finder;
#[cfg(feature = "learn")]
mod forward;
pub mod guard;
#[cfg(feature = "learn")]
pub mod guides;
#[cfg(feature = "learn")]
mod kernels;
pub mod lbp;
#[cfg(feature = "learn")]
mod operations;
#[cfg(feature = "learn")]
pub mod outliner;
#[cfg(feature = "learn")]
pub mod parameters;
#[cfg(feature = "learn")]
pub mod processor;
pub mod report;
#[cfg(feature = "learn")]
pub mod sketch;
pub mod split;
pub mod state;
pub mod strange;
#[cfg(feature = "learn")]
pub mod trainer;
#[cfg(feature = "learn")]
mod unet;
