//! Tracks: the same cell over time, per field of view.
//!
//! Takes the cells of one frame after the other in time order, gives each a track number. [`link::Linker`] is the state,
//! small and serialisable, so that a restart continues where the last recorded frame left it.

mod assignment;
pub mod link;
mod stage;

use crate::units::{PixelSize, Um};
use link::LinkSettings;
use serde::{Deserialize, Serialize};

/// `[track]`: how cells may move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackSettings {
    /// A cell moves at most this far in one time step, um.
    pub gate_um: Um,
    /// A track waits this many time steps for a cell that was not found.
    pub max_gap_frames: u32,
    /// The stage may have jumped up to this far between two frames, um; 0 when it never does.
    pub stage_jump_um: Um,
}

impl Default for TrackSettings {
    fn default() -> Self {
        let LinkSettings { gate_um, max_gap_frames, stage_jump_um, .. } = LinkSettings::new(PixelSize::PAPER);
        Self { gate_um, max_gap_frames, stage_jump_um }
    }
}

impl TrackSettings {
    /// These settings for frames of `pixel_size`.
    pub fn at(self, pixel_size: PixelSize) -> LinkSettings {
        let Self { gate_um, max_gap_frames, stage_jump_um } = self;
        LinkSettings { pixel_size, gate_um, max_gap_frames, stage_jump_um }
    }
}
