//! learn
#[cfg(feature = "learn")]
pub mod autoencoder;
#[cfg(feature = "learn")]
mod forward;
#[cfg(feature = "learn")]
mod kernels;
#[cfg(feature = "learn")]
mod operations;
#[cfg(feature = "learn")]
pub mod parameters;
