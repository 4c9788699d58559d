//! Whether a frame's cells can be believed.

use super::FrameVerdict;
use super::segment::Segmented;
use crate::frame::CorrectedFrame;

/// Cells that cover more of the frame than this cannot be told apart by their outlines.
const DENSEST: f64 = 0.85;

/// The verdict on a frame from its quality and what was found in it.
pub(super) fn judge(frame: &CorrectedFrame, segmented: &Segmented) -> FrameVerdict {
    let _ = frame;
    if segmented.labels.count == 0 {
        FrameVerdict::Empty
    } else if segmented.covered > DENSEST {
        FrameVerdict::TooDense
    } else {
        FrameVerdict::Usable
    }
}
