//! Tracks: the same cell over time, per field of view.
//!
//! Takes the cells of one frame after the other in time order, gives each a track number. [`link::Linker`] is the state,
//! small and serialisable, so that a restart continues where the last recorded frame left it.

mod assignment;
pub mod link;
mod stage;
