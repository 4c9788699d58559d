//! Recomputes stored frames the way the daemon did, and says where the results differ.
//!
//! Takes the frames of a field of view in time order, gives for each the [`Difference`]s between what is stored and what comes out
//! now, from the file's bytes to the track's number. Linking starts from nothing with a field's first frame, as the daemon did.

use super::analyse::{AnalyseError, Optics, find_cells};
use super::recorder::{cell_score, linked_cells};
use super::score::describe;
use crate::id::FovId;
use crate::infer::Model;
use crate::store::record::CellRecord;
use crate::store::stored::{ResultRow, StoredFrame, cell_results, frame_result};
use crate::track::TrackSettings;
use crate::track::link::Linker;
use std::path::Path;
use thiserror::Error;

/// Why a frame cannot be recomputed.
#[derive(Debug, Error)]
pub enum VerifyError {
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

impl VerifyError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Analyse(error) => error.code(),
            Self::Model { code, .. } => code,
        }
    }
}

/// A value that is stored and another that comes out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Number of the cell; 0 for the frame as a whole.
    pub cell: usize,
    /// The value's name.
    pub value: &'static str,
    /// As stored; empty for nothing.
    pub stored: String,
    /// As recomputed; empty for nothing.
    pub recomputed: String,
}

/// Recomputes frames.
#[derive(Debug)]
pub struct Verifier {
    model: Model,
    field: Option<(FovId, Linker)>,
}

impl Verifier {
    /// A verifier with the bundle that scored the frames.
    pub fn new(model: Model) -> Self {
        Self { model, field: None }
    }

    /// Recomputes `stored`, whose file lies at `path`, and compares it with what is stored.
    ///
    /// # Errors
    /// When its file cannot be read or the model fails: then nothing can be said about the frame.
    pub fn differences(
        &mut self,
        (stored, cells): (&StoredFrame, &[ResultRow]),
        path: &Path,
        (optics, track): (Optics, TrackSettings),
    ) -> Result<Vec<Difference>, VerifyError> {
        let mut found = find_cells(path, stored.plane_index, optics)?;
        let verdict = found.cells.verdict;
        let frame = frame_result(found.size_px, found.pixel_size, &found.quality, verdict);
        let inferences = describe(&mut self.model, &mut found.cells.cells)
            .map_err(|(code, reason)| VerifyError::Model { code, reason })?;
        let settings = track.at(found.pixel_size);
        let linker = match self.field.take() {
            Some((fov, linker)) if fov == stored.fov => linker.with_settings(settings),
            _ => Linker::new(settings),
        };
        let mut linker = linker;
        let tracks = linked_cells(&mut linker, stored.time, stored.linked, &found.cells);
        self.field = Some((stored.fov, linker));
        let records: Vec<CellRecord> = (found.cells.cells.into_iter().zip(inferences).zip(tracks))
            .map(|((cell, inference), track)| CellRecord {
                cell,
                score: inference.map(|inference| cell_score(&inference, verdict)),
                track,
            })
            .collect();
        let recomputed = cell_results(&records);
        let mut differences = compared(0, &stored.result, &frame);
        if cells.len() != recomputed.len() {
            let count = |rows: &[ResultRow]| rows.len().to_string();
            let (stored, recomputed) = (count(cells), count(&recomputed));
            differences.push(Difference { cell: 0, value: "cells", stored, recomputed });
        }
        for ((stored, now), number) in cells.iter().zip(&recomputed).zip(1..) {
            differences.extend(compared(number, stored, now));
        }
        Ok(differences)
    }
}

fn compared(cell: usize, stored: &ResultRow, now: &ResultRow) -> Vec<Difference> {
    (stored.iter().zip(now))
        .filter(|(stored, now)| stored != now)
        .map(|((value, stored), (_, recomputed))| Difference {
            cell,
            value,
            stored: stored.clone(),
            recomputed: recomputed.clone(),
        })
        .collect()
}
