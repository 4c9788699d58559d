//! How a network that finds cells is to be fed and understood.

use crate::cells::rays::RayThresholds;
use crate::cells::working::{View, WorkingPicture};
use std::borrow::Cow;

/// What the numbers that a network gives for a place are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// Logits of inside and depth: the shipped network.
    InsideDepth,
    /// Probabilities of foreground and boundary: the usual U-Net.
    ForegroundBoundary,
    /// The probability of a cell, then how far it reaches in this many directions: `StarDist`.
    Rays(usize, RayThresholds),
}

impl Meaning {
    /// Numbers a place.
    pub fn channels(self) -> usize {
        match self {
            Self::InsideDepth | Self::ForegroundBoundary => 2,
            Self::Rays(count, _) => 1 + count,
        }
    }
}

/// What a network does to its picture before it looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preprocessing {
    /// Nothing.
    None,
    /// Mean 0 and variance 1 over the picture.
    ZeroMeanUnitVariance,
    /// These two percentiles (0..100) become 0 and 1.
    Percentiles(f64, f64),
}

/// In which order a tensor's axes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// Batch, channel, y, x.
    ChannelFirst,
    /// Batch, y, x, channel.
    ChannelLast,
}

/// How a network is to be fed and understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Name of the input, a picture of one channel.
    pub input: (String, Axes),
    /// Names of the outputs with their channels, in the order of what they mean; all of the same height and width, those
    /// of the picture or a whole part of them.
    pub outputs: Vec<(String, Axes, usize)>,
    /// How it wants to see cells.
    pub view: View,
    /// What it does first.
    pub preprocessing: Preprocessing,
    /// What its outputs are together.
    pub meaning: Meaning,
    /// The picture's sides must be multiples of this, px; divides 1536.
    pub multiple_px: usize,
}

impl Contract {
    /// The input's shape for a picture of this size.
    pub fn shape(&self, width: usize, height: usize) -> [usize; 4] {
        match self.input.1 {
            Axes::ChannelFirst => [1, 1, height, width],
            Axes::ChannelLast => [1, height, width, 1],
        }
    }
}

impl Preprocessing {
    /// The picture's values as the network's own preprocessing leaves them.
    pub(super) fn of(self, picture: &WorkingPicture) -> Cow<'_, [f32]> {
        let values = &picture.values;
        let (offset, factor) = match self {
            Self::None => return Cow::Borrowed(values),
            Self::ZeroMeanUnitVariance => {
                let count = values.len().max(1) as f64;
                let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
                let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
                (mean, 1.0 / (variance.sqrt() + 1e-6))
            }
            Self::Percentiles(low, high) => {
                let mut sorted = values.clone();
                sorted.sort_unstable_by(f32::total_cmp);
                let last = sorted.len().saturating_sub(1) as f64;
                let at = |percent: f64| sorted.get((last * percent / 100.0).round() as usize).copied().unwrap_or(0.0);
                let (low, high) = (f64::from(at(low)), f64::from(at(high)));
                (low, 1.0 / (high - low).max(1e-6))
            }
        };
        Cow::Owned(values.iter().map(|&value| ((f64::from(value) - offset) * factor) as f32).collect())
    }
}
