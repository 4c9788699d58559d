//! How good detection, outlines and tracks are, by the field's own measures.
//!
//! Takes found cells and truth as label pictures (0 background, one number a cell), gives the Cell Tracking Challenge's
//! DET, SEG and TRA, and F1 at IoU 0.5 for outlines and boxes.

pub mod instances;
pub mod paint;
pub mod picture;
