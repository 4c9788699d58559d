//! Whether a frame's cells can be believed.

use super::segment::Segmented;
use super::{Cell, FrameVerdict};
use crate::frame::CorrectedFrame;

/// Where more of the frame than this looks like cell and could not be parted, cells cannot be told apart by their outlines.
const DENSEST: f64 = 0.85;
/// Below this focus, outlines would be guesses; real sharp frames give 0.38 and more, 2.6 um of blur 0.30.
const BLURRED: f64 = 0.33;
/// Phase contrast of cells never gets brighter than this many times the background, but for a few pixels (thick melanoma
/// cells reach 12) ...
const BRIGHTEST: f32 = 20.0;
/// ... namely this share of them. Fluorescence and dark field do.
const BRIGHT_SHARE: f64 = 0.001;
/// A network that is less sure than this of cells' middles is in doubt: cells are smaller than it was told, the instrument is new to it, or
/// the picture is of another kind ...
const UNSURE: f64 = 0.76;
/// ... for which it is taken where cell is seen in more than this share of the frame: to such a network, other light shows no substrate. What
/// real frames give stands in `docs/detection.md`.
const EVERYWHERE: f64 = 0.66;
/// Less sure than this it sees no middles at all.
const LOST: f64 = 0.5;
/// The area of a disc of 6 um, um2: where half of the cells are smaller, they are yeast or something smaller still. What real frames
/// give stands in `docs/detection.md`.
const SMALLEST_UM2: f64 = 28.0;
/// Of fewer cells nothing is said: they may be specks on a field that is empty otherwise.
const FEWEST: usize = 5;
/// At most about this many pixels are looked at.
const SAMPLES: usize = 100_000;

/// The verdict on a frame from its quality and what was found in it.
pub(super) fn judge(frame: &CorrectedFrame, segmented: &Segmented) -> FrameVerdict {
    let has_cells = segmented.labels.label.iter().any(|&label| label > 0);
    // Of a frame out of focus nothing may be left that is fine enough for a cell.
    let is_blurred = frame.quality.focus < BLURRED && (has_cells || segmented.unparted > 0.0);
    if !has_cells && !is_blurred {
        FrameVerdict::Empty
    } else if is_no_camera_picture(frame) || is_too_bright(frame) {
        FrameVerdict::WrongKind
    } else if is_blurred {
        FrameVerdict::OutOfFocus
    } else if segmented.sureness.is_some_and(|sureness| is_unknown(sureness, segmented.covered)) {
        FrameVerdict::WrongKind
    } else if segmented.unparted > DENSEST {
        FrameVerdict::TooDense
    } else {
        FrameVerdict::Usable
    }
}

/// Whether a network that is so sure of cells' middles (0..=1) does not know what it looks at.
pub(super) fn is_doubt(sureness: f64) -> bool {
    sureness < UNSURE
}

/// Whether a network that is so sure (0..=1) of the middles of what it sees in such a share of a frame (0..=1) looks at another kind of picture.
fn is_unknown(sureness: f64, covered: f64) -> bool {
    sureness < LOST || (is_doubt(sureness) && covered > EVERYWHERE)
}

/// The area that half of the cells exceed, um2 (the upper one of two in the middle); 0 of none.
pub(super) fn median_area_um2(cells: &[Cell]) -> f64 {
    let mut areas: Vec<f64> = cells.iter().map(|cell| cell.shape.area_um2).collect();
    let middle = areas.len() / 2;
    if areas.is_empty() { 0.0 } else { *areas.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// Whether so many cells of this [median area](median_area_um2) are too small for those of animals.
pub(super) fn are_too_small(cells: usize, median_area_um2: f64) -> bool {
    cells >= FEWEST && median_area_um2 < SMALLEST_UM2
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Shape;
    use crate::units::PointPx;

    #[test]
    fn doubt_refuses_what_covers_the_frame_or_has_no_middles_at_all() {
        assert!(!is_unknown(0.8, 0.99) && !is_unknown(0.7, 0.5) && !is_unknown(0.51, 0.1));
        assert!(is_unknown(0.7, 0.7) && is_unknown(0.49, 0.01));
    }

    #[test]
    fn many_small_things_are_no_animal_cells_and_few_may_be_specks() {
        let cell = |area_um2: f64| {
            let shape = Shape { area_um2, ..Shape::default() };
            let centroid = PointPx { x: 0.0, y: 0.0 };
            Cell { centroid, outline: Vec::new(), shape, touches_border: false, crop: None }
        };
        let refused = |areas_um2: &[f64]| {
            let cells: Vec<Cell> = areas_um2.iter().map(|area| cell(*area)).collect();
            are_too_small(cells.len(), median_area_um2(&cells))
        };
        assert!(refused(&[18.0, 20.0, 300.0, 12.0, 25.0]));
        assert!(!refused(&[18.0, 20.0, 300.0, 280.0, 310.0]));
        assert!(!refused(&[18.0, 20.0, 12.0, 25.0]) && !refused(&[]));
    }
}
