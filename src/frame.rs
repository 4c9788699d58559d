//! A frame's pixels: read, corrected and judged.
//!
//! Takes a frame that is complete on disk, gives a [`CorrectedFrame`]. Everything here is stateless: the same file
//! gives the same numbers in any order and after any restart.

pub mod correct;
pub mod focus;
pub mod pixels;
pub mod read;

pub use correct::correct;
pub use pixels::Pixels;

use serde::{Deserialize, Serialize};

/// One plane: `[height, width]` camera counts, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    width_px: usize,
    height_px: usize,
    counts: Pixels,
    full_scale_counts: f32,
}

impl Plane {
    /// A plane from `counts`, row after row; `full_scale_counts` is the camera's largest value (255, 4095, 65535 ..).
    /// `None` when the length is not `width_px * height_px` or the plane is empty.
    pub fn new(width_px: usize, height_px: usize, counts: Pixels, full_scale_counts: f32) -> Option<Self> {
        let holds = width_px.checked_mul(height_px).is_some_and(|n| n > 0 && n == counts.len());
        holds.then_some(Self { width_px, height_px, counts, full_scale_counts })
    }

    /// Pixels per row.
    pub fn width_px(&self) -> usize {
        self.width_px
    }

    /// Number of rows.
    pub fn height_px(&self) -> usize {
        self.height_px
    }

    /// `[height, width]` camera counts, row after row; exactly `width_px * height_px` values.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }

    /// The largest value that the camera can give, counts.
    pub fn full_scale_counts(&self) -> f32 {
        self.full_scale_counts
    }
}

/// What the frame as a whole looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FrameQuality {
    /// Typical background, counts.
    pub background_counts: f64,
    /// Background in the darkest part of the field divided by that in the brightest, 0..=1 (1 = even light).
    pub evenness: f64,
    /// Focus measure, dimensionless, higher = sharper.
    pub focus: f64,
    /// Share of pixels at full scale, 0..=1.
    pub saturated_share: f64,
}

/// A plane with its illumination divided out.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrectedFrame {
    /// As the camera gave it: crops are cut from here.
    pub raw: Plane,
    /// `[height, width]`, dimensionless: raw divided by the background at that place, so that empty substrate is about 1.
    pub relative: Pixels,
    /// The frame as a whole.
    pub quality: FrameQuality,
}
