//! From crops to latent descriptors and scores: the model bundle and the two engines that run it.

/// Length of a latent descriptor (method.md 6).
pub const LATENT_LEN: usize = 56;

/// A crop's latent descriptor: about N(0, 1) per feature on the training set.
pub type Latent = [f32; LATENT_LEN];
