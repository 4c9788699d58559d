//! Does a stored frame again the way the daemon did it: read, correct, find, describe, link.
//!
//! Takes the frames of a field of view in time order, gives each one's result as it comes out now. Linking starts from nothing
//! with a field's first frame, as the daemon did. The database is not touched.

use super::analyse::{AnalyseError, Optics, find_cells};
use super::recorder::{cell_score, linked_cells};
use super::score::describe;
use crate::id::FovId;
use crate::infer::Model;
use crate::store::record::CellRecord;
use crate::store::stored::{ResultRow, StoredFrame, frame_result};
use crate::track::TrackSettings;
use crate::track::link::Linker;
use std::path::Path;
use thiserror::Error;

/// Why a frame cannot be done again.
#[derive(Debug, Error)]
pub enum RecomputeError {
    /// Its file gives no cells any more.
    #[error(transparent)]
    Analyse(#[from] AnalyseError),
    /// The model failed.
    #[error("{reason}")]
    Model {
        /// Stable code.
        code: &'static str,
        /// The cause chain.
        reason: String,
    },
}

impl RecomputeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Analyse(error) => error.code(),
            Self::Model { code, .. } => code,
        }
    }
}

/// A frame's result as it comes out now.
#[derive(Debug, Clone)]
pub struct Recomputed {
    /// The frame as a whole.
    pub frame: ResultRow,
    /// Its cells.
    pub cells: Vec<CellRecord>,
}

/// Does frames again with one model.
#[derive(Debug)]
pub struct Recomputer {
    model: Model,
    field: Option<(FovId, Linker)>,
}

impl Recomputer {
    /// One that describes cells with `model`.
    pub fn new(model: Model) -> Self {
        Self { model, field: None }
    }

    /// `stored` again, whose file lies at `path`, with the settings of the run that did it.
    ///
    /// # Errors
    /// When its file cannot be read or the model fails: then nothing can be said about the frame.
    pub fn recompute(
        &mut self,
        stored: &StoredFrame,
        path: &Path,
        (optics, track): (Optics, TrackSettings),
    ) -> Result<Recomputed, RecomputeError> {
        let mut found = find_cells(path, stored.plane_index, &optics)?;
        let verdict = found.cells.verdict;
        let frame = frame_result(found.size_px, found.pixel_size, &found.quality, &found.cells);
        let inferences = describe(&mut self.model, &mut found, || ())
            .map_err(|(code, reason)| RecomputeError::Model { code, reason })?;
        let settings = track.at(found.pixel_size);
        let mut linker = match self.field.take() {
            Some((fov, linker)) if fov == stored.fov => linker.with_settings(settings),
            _ => Linker::new(settings),
        };
        let tracks = linked_cells(&mut linker, stored.time, stored.linked, &found.cells);
        self.field = Some((stored.fov, linker));
        let cells = (found.cells.cells.into_iter().zip(inferences).zip(tracks))
            .map(|((cell, inference), track)| CellRecord {
                cell,
                score: inference.map(|inference| cell_score(&inference, verdict)),
                track,
            })
            .collect();
        Ok(Recomputed { frame, cells })
    }
}
