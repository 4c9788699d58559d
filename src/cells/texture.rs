//! How quickly light changes from place to place, and where it does so more than on the empty substrate.

use super::grid::{Grid, View};
use super::mask::Mask;
use super::segment::area_px;

/// Detail is what a smoothing by this many working pixels takes away: membranes and grain, but not a halo's slope.
const DETAIL_PX: f32 = 2.0;
/// Texture is averaged over this share of the diameter.
const NEAR_SHARE: f32 = 1.0 / 24.0;
/// Detail counts for at most this many times the substrate's, so that a strong edge does not reach further than a weak one.
const CLIP: f32 = 3.0;
/// Clipped texture this many times that of the substrate is cell ...
const LOW: f32 = 2.2;
/// ... when somewhere in the part the texture is this many times as strong.
const HIGH: f32 = 3.0;
/// The substrate's texture is never taken as less than this, in relative light.
const FLOOR: f32 = 0.001;
/// The share of the frame that is surely empty substrate.
const EMPTY_SHARE: f64 = 0.25;
/// Gaps up to this share of the diameter are closed, and strands as narrow cut away.
const GAP_SHARE: f32 = 0.06;
/// Parts smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f32 = 0.3;

/// The texture of a frame.
#[derive(Debug)]
pub(super) struct Texture {
    /// Root mean square of the detail nearby, relative light.
    pub(super) near: Grid,
    /// The same with strong detail clipped.
    clipped: Grid,
    /// Clipped texture above this stands out from the substrate.
    pub(super) low: f32,
    /// The width of its averaging, px.
    pub(super) sigma: f32,
}

impl Texture {
    /// The texture of `light` (relative to the background), for cells of `diameter` px.
    pub(super) fn of(light: &Grid, diameter: f32) -> Self {
        let detail = light.zip(&light.smoothed(DETAIL_PX), |fine, coarse| (fine - coarse).abs());
        let sigma = (NEAR_SHARE * diameter).max(1.0);
        let near = detail.map(|v| v * v).smoothed(sigma).map(|v| v.max(0.0).sqrt());
        let substrate = near.quantile(EMPTY_SHARE).max(FLOOR);
        let clip = CLIP * substrate;
        let clipped = detail.map(|v| v.min(clip) * v.min(clip)).smoothed(sigma).map(|v| v.max(0.0).sqrt());
        Self { near, clipped, low: LOW * substrate, sigma }
    }

    /// The texture of a part of the frame, measured by what the whole frame shows.
    pub(super) fn within(&self, view: &View) -> Self {
        Self { near: self.near.within(view), clipped: self.clipped.within(view), ..*self }
    }

    /// Where the texture stands out from the frame's empty substrate: the cells with the near part of their halos.
    pub(super) fn rough_mask(&self, diameter: f32) -> Mask {
        let area = area_px(diameter);
        let wide = Mask::above(&self.clipped, self.low).closed(GAP_SHARE * diameter).filled(area as usize);
        let strong = Mask::above(&self.near, HIGH * self.low);
        wide.with_marks(&strong).opened(GAP_SHARE * diameter).without_specks((SMALLEST_SHARE * area).max(6.0) as usize)
    }
}
