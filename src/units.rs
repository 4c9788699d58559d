//! Physical units and the one coordinate convention.
//!
//! # Coordinates
//!
//! The origin is the centre of the top-left pixel, `x` points right and `y` down, both in pixels; arrays are
//! `[y, x]`, row after row. A position on the microscope's stage is in micrometres and its name says so.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A length in micrometres.
pub type Um = f64;

/// Smallest pixel size that a light microscope's camera gives, um.
const SMALLEST_UM: f64 = 0.01;
/// Largest pixel size that still shows a single cell, um.
const LARGEST_UM: f64 = 20.0;

/// A pixel size that no light microscope has.
#[derive(Debug, Error, PartialEq)]
#[error("pixel size {um} um is outside {SMALLEST_UM}..{LARGEST_UM} um: set pixel_size_um to the instrument's value")]
pub struct PixelSizeError {
    /// The refused value, um per pixel.
    pub um: f64,
}

/// The side of a (square) pixel in the sample plane, um; within 0.01..=20.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct PixelSize(f64);

impl PixelSize {
    /// The pixel size of the paper's microscope, 0.325 um (method.md 3).
    pub const PAPER: Self = Self(0.325);

    /// A pixel size of `um` micrometres.
    ///
    /// # Errors
    /// When `um` is not a number within 0.01..=20.
    pub fn new(um: f64) -> Result<Self, PixelSizeError> {
        if (SMALLEST_UM..=LARGEST_UM).contains(&um) { Ok(Self(um)) } else { Err(PixelSizeError { um }) }
    }

    /// Micrometres per pixel.
    pub fn um(self) -> f64 {
        self.0
    }

    /// A length in pixels, from micrometres.
    pub fn px_from_um(self, length_um: Um) -> f64 {
        length_um / self.0
    }

    /// A length in micrometres, from pixels.
    pub fn um_from_px(self, length_px: f64) -> Um {
        length_px * self.0
    }

    /// An area in square micrometres, from square pixels.
    pub fn um2_from_px2(self, area_px2: f64) -> f64 {
        area_px2 * self.0 * self.0
    }

    /// An area in square pixels, from square micrometres.
    pub fn px2_from_um2(self, area_um2: f64) -> f64 {
        area_um2 / (self.0 * self.0)
    }
}

impl TryFrom<f64> for PixelSize {
    type Error = PixelSizeError;

    fn try_from(um: f64) -> Result<Self, Self::Error> {
        Self::new(um)
    }
}

impl From<PixelSize> for f64 {
    fn from(size: PixelSize) -> Self {
        size.0
    }
}

/// A point in a frame, pixels, by the convention of this module.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PointPx {
    /// Right of the centre of the top-left pixel.
    pub x: f64,
    /// Below the centre of the top-left pixel.
    pub y: f64,
}

impl PointPx {
    /// Distance to `other`, px.
    pub fn distance_px(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_areas_go_there_and_back() {
        let size = PixelSize::PAPER;
        assert!((size.um_from_px(size.px_from_um(70.5)) - 70.5).abs() < 1e-12);
        assert!((size.um2_from_px2(size.px2_from_um2(300.0)) - 300.0).abs() < 1e-9);
    }

    #[test]
    fn impossible_pixel_sizes_are_refused() {
        for um in [0.0, -0.3, f64::NAN, f64::INFINITY, 25.0] {
            assert!(PixelSize::new(um).is_err(), "{um}");
        }
    }
}
