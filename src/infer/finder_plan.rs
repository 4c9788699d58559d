//! The cell finder's network as plain numbers: the order of its layers and their weights.
//!
//! A small U-Net on the working picture of [`cells`](crate::cells): four steps down to a sixteenth, four up again, what is seen
//! on the way down added on the way up. Two maps come out, as logits: whether a pixel is inside a cell, and how deep.
//! Convolutions are 4 x 4 with stride 2 (down), 3 x 3 (around) and 4 x 4 transposed with stride 2 (up), each with batch
//! norm and a `PReLU` of one slope, but for the last.

use super::architecture::BatchNorm;

/// The picture's sides must be multiples of this, px.
pub const MULTIPLE_PX: usize = 16;
/// Maps that come out: inside, depth.
pub const MAPS: usize = 2;

/// One step of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A 4 x 4 convolution of stride 2: channels in, out.
    Down(usize, usize),
    /// A 3 x 3 convolution: channels in and out.
    Around(usize),
    /// A 4 x 4 transposed convolution of stride 2: channels in, out.
    Up(usize, usize),
    /// What has been reached is kept for later.
    Keep,
    /// What was kept last, and not taken yet, is added.
    Add,
}

/// The steps of a network with `width` channels after the first convolution; the last step gives the logits.
pub fn plan(width: usize) -> Vec<Step> {
    let (one, two, four) = (width, 2 * width, 4 * width);
    vec![
        Step::Down(1, one),
        Step::Keep,
        Step::Down(one, two),
        Step::Around(two),
        Step::Keep,
        Step::Down(two, four),
        Step::Around(four),
        Step::Keep,
        Step::Down(four, four),
        Step::Around(four),
        Step::Up(four, four),
        Step::Add,
        Step::Around(four),
        Step::Up(four, two),
        Step::Add,
        Step::Around(two),
        Step::Up(two, one),
        Step::Add,
        Step::Around(one),
        Step::Up(one, MAPS),
    ]
}

/// The weights of one convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Down and around: `[out, in, side, side]`; up: `[in, out, side, side]`.
    pub kernel: Vec<f32>,
    /// Per output channel; for the last layer its bias alone counts.
    pub norm: BatchNorm,
    /// The `PReLU`'s factor for negative values; `None` after the last layer.
    pub slope: Option<f32>,
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct FinderWeights {
    /// Channels after the first convolution.
    pub width: usize,
    /// One per convolution of [`plan`].
    pub layers: Vec<Layer>,
}
