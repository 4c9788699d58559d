//! How good detection, outlines and tracks are, by the field's own measures.
//!
//! Takes found cells and truth as label pictures (0 background, one number a cell), gives the Cell Tracking Challenge's
//! DET, SEG and TRA, and how many outlines and boxes are right at an intersection over union of one half.

pub mod changes;
pub mod correlation;
pub mod ctc;
pub mod detector;
pub mod draw;
pub mod drift;
pub mod film;
pub mod folder;
pub mod hallmarks;
pub mod instances;
pub mod label_tiff;
pub mod labelled;
pub mod paint;
pub mod sets;
