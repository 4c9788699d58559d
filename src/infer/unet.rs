//! The small U-Nets as plain numbers: the order of their layers and their weights.
//!
//! The **cell finder** on the working picture of [`cells`](crate::cells): four steps down to a sixteenth, four up again, what is
//! seen on the way down added on the way up. Two maps come out, as logits: whether a pixel is inside a cell, and how deep.
//! The **exaggerator** on a crop of which every 2 x 2 px are channels of one place: two steps down, two up, and what is to be
//! added to the picture comes out. The **outliner** on a close-up of a cell, whose finer pixels are channels likewise: two steps
//! down, two up, and the logits that those pixels are inside come out. Convolutions are 4 x 4 with stride 2 (down), 3 x 3 (around) and 4 x 4 transposed with stride
//! 2 (up), each with batch norm and a `PReLU` of one slope, but for the last.

use super::architecture::BatchNorm;
use crate::cells::close_up::{DRAWN, SHOWN};

/// The sides of the cell finder's picture must be multiples of this, px.
pub const MULTIPLE_PX: usize = 16;
/// Maps that come out of the cell finder: inside, depth.
pub const MAPS: usize = 2;
/// Numbers that the exaggerator is told of a place: its four pixels, these times the one and times the other of the two
/// amounts, and the amounts.
pub const TOLD: usize = 14;
/// Numbers that the exaggerator gives for a place: what is to be added to its four pixels.
pub const ADDED: usize = 4;

/// One step of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A 4 x 4 convolution of stride 2: channels in, out.
    Down(usize, usize),
    /// A 3 x 3 convolution: channels in, out.
    Around(usize, usize),
    /// A 4 x 4 transposed convolution of stride 2: channels in, out.
    Up(usize, usize),
    /// What has been reached is kept for later.
    Keep,
    /// What was kept last, and not taken yet, is added.
    Add,
}

impl Step {
    /// Channels in and out; `None` when it is no convolution.
    pub fn channels(self) -> Option<(usize, usize)> {
        match self {
            Self::Down(input, output) | Self::Around(input, output) | Self::Up(input, output) => Some((input, output)),
            Self::Keep | Self::Add => None,
        }
    }
}

/// The steps of a cell finder with `width` channels after the first convolution; the last step gives the logits.
pub fn finder(width: usize) -> Vec<Step> {
    let (one, two, four) = (width, 2 * width, 4 * width);
    vec![
        Step::Down(1, one),
        Step::Keep,
        Step::Down(one, two),
        Step::Around(two, two),
        Step::Keep,
        Step::Down(two, four),
        Step::Around(four, four),
        Step::Keep,
        Step::Down(four, four),
        Step::Around(four, four),
        Step::Up(four, four),
        Step::Add,
        Step::Around(four, four),
        Step::Up(four, two),
        Step::Add,
        Step::Around(two, two),
        Step::Up(two, one),
        Step::Add,
        Step::Around(one, one),
        Step::Up(one, MAPS),
    ]
}

/// The steps of an exaggerator with `width` channels after the first convolution.
pub fn exaggerator(width: usize) -> Vec<Step> {
    let (one, two) = (width, 2 * width);
    vec![
        Step::Around(TOLD, one),
        Step::Keep,
        Step::Around(one, one),
        Step::Around(one, one),
        Step::Add,
        Step::Keep,
        Step::Down(one, two),
        Step::Around(two, two),
        Step::Keep,
        Step::Down(two, two),
        Step::Keep,
        Step::Around(two, two),
        Step::Around(two, two),
        Step::Add,
        Step::Up(two, two),
        Step::Add,
        Step::Around(two, two),
        Step::Up(two, one),
        Step::Add,
        Step::Keep,
        Step::Around(one, one),
        Step::Around(one, one),
        Step::Add,
        Step::Around(one, ADDED),
    ]
}

/// The steps of an outliner with `width` channels.
pub fn outliner(width: usize) -> Vec<Step> {
    vec![
        Step::Down(SHOWN, width),
        Step::Around(width, width),
        Step::Keep,
        Step::Down(width, width),
        Step::Around(width, width),
        Step::Up(width, width),
        Step::Add,
        Step::Around(width, width),
        Step::Up(width, DRAWN),
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
pub struct UnetWeights {
    /// What is done one after the other.
    pub steps: Vec<Step>,
    /// One per convolution.
    pub layers: Vec<Layer>,
}

impl UnetWeights {
    /// Channels after the first convolution.
    pub fn width(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.norm.gain.len())
    }
}
