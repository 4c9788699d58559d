//! How good detection, outlines and tracks are, by the field's own measures.
//!
//! Takes found cells and truth as label pictures (0 background, one number a cell), gives outlines
//! and boxes found right at an intersection over union of 0.5.

pub mod draw;
pub mod folder;
pub mod instances;
pub mod paint;
