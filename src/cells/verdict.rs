//! Whether a frame's cells can be believed.

use super::segment::Segmented;
use super::{Cell, FrameVerdict};
use crate::frame::CorrectedFrame;

/// Cells that cover more of the frame than this cannot be told apart by their outlines.
const DENSEST: f64 = 0.85;
/// Below this focus, outlines would be guesses; real sharp frames give 0.38 and more, 2.6 um of blur 0.30.
const BLURRED: f64 = 0.33;
/// Phase contrast of cells never gets brighter than this many times the background, but for a few pixels (thick melanoma
/// cells reach 12) ...
const BRIGHTEST: f32 = 20.0;
/// ... namely this share of them. Fluorescence and dark field do.
const BRIGHT_SHARE: f64 = 0.001;
/// A network that is less sure than this of cells' middles looks at something that it does not know.
const UNSURE: f64 = 0.76;
/// The area of a disc of 6 um, um2: where half of the cells are smaller, they are yeast or something smaller still. Animal cells
/// that have just divided or shrunk in dying are three times as large.
const SMALLEST_UM2: f64 = 28.0;
/// Of fewer cells nothing is said: they may be specks on a field that is empty otherwise.
const FEWEST: usize = 5;
/// At most about this many pixels are looked at.
const SAMPLES: usize = 100_000;

/// The verdict on a frame from its quality and what was found in it.
pub(super) fn judge(frame: &CorrectedFrame, segmented: &Segmented) -> FrameVerdict {
    let has_cells = segmented.labels.label.iter().any(|&label| label > 0);
    // Of a frame out of focus nothing may be left that is fine enough for a cell.
    let is_blurred = frame.quality.focus < BLURRED && (has_cells || segmented.covered > 0.0);
    if !has_cells && !is_blurred {
        FrameVerdict::Empty
    } else if is_no_camera_picture(frame) || is_too_bright(frame) {
        FrameVerdict::WrongKind
    } else if is_blurred {
        FrameVerdict::OutOfFocus
    } else if segmented.sureness.is_some_and(is_doubt) {
        FrameVerdict::WrongKind
    } else if segmented.covered > DENSEST {
        FrameVerdict::TooDense
    } else {
        FrameVerdict::Usable
    }
}

/// Whether a network that is so sure of cells' middles (0..=1) does not know what it looks at.
pub(super) fn is_doubt(sureness: f64) -> bool {
    sureness < UNSURE
}

/// Whether half of the cells are too small for those of animals.
pub(super) fn are_too_small(cells: &[Cell]) -> bool {
    let small = cells.iter().filter(|cell| cell.shape.area_um2 < SMALLEST_UM2).count();
    cells.len() >= FEWEST && 2 * small > cells.len()
}

/// Float pictures (which have no full scale) and negative counts are computed, as quantitative phase is.
fn is_no_camera_picture(frame: &CorrectedFrame) -> bool {
    frame.raw.full_scale_counts() >= f32::MAX || frame.quality.background_counts <= 0.0
}

/// The typical pixel is the substrate's, whatever the illumination's model says.
fn is_too_bright(frame: &CorrectedFrame) -> bool {
    let counts = frame.raw.counts();
    let stride = (counts.len() / SAMPLES).max(1) | 1;
    let mut sample: Vec<f32> = counts.iter().step_by(stride).copied().collect();
    let middle = sample.len() / 2;
    let (_, &mut typical, _) = sample.select_nth_unstable_by(middle, f32::total_cmp);
    let bright = sample.iter().filter(|&&value| value > BRIGHTEST * typical.max(1.0)).count();
    bright as f64 > BRIGHT_SHARE * sample.len() as f64
}
