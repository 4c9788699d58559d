//! Another bundle on a finished session: the stored cells are found again in their files, described by the other bundle, and its
//! scores are stored beside the first ones, which stay as they are.
//!
//! A frame in which other cells are found today than are stored (another version of the software, another file) is left out and
//! named: a score belongs to the cell that it was computed from.

use super::analyse::Optics;
use super::recompute::{RecomputeError, Recomputer};
use super::verify::differences;
use crate::id::BundleId;
use crate::store::record::CellScore;
use crate::store::stored::{StoredFrame, stored_cells};
use crate::store::{Store, StoreError};
use crate::track::TrackSettings;
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

/// Why a frame got no new scores.
#[derive(Debug, Error)]
pub enum ReprocessError {
    /// It cannot be done again.
    #[error(transparent)]
    Recompute(#[from] RecomputeError),
    /// Other cells are found now.
    #[error("{values} values of its cells are not those stored, first {first}: run `verify` on this session")]
    OtherCells {
        /// How many values differ.
        values: usize,
        /// The first of them.
        first: String,
    },
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReprocessError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recompute(error) => error.code(),
            Self::OtherCells { .. } => "other_cells",
            Self::Store(error) => error.code(),
        }
    }
}

/// Lets the bundle of `recomputer` score the cells of `stored`, whose file lies at `path`; gives how many cells it scored, 0 when it
/// has done so before or the frame has none to score.
///
/// # Errors
/// When the frame cannot be done again, other cells are found in it, or the database refuses; nothing is written then.
pub async fn frame(
    store: &Store,
    recomputer: &mut Recomputer,
    (stored, path): (&StoredFrame, &Path),
    with: (Optics, TrackSettings),
    (first, new): (BundleId, BundleId),
) -> Result<usize, ReprocessError> {
    let cells = stored_cells(store.readers(), stored.frame, first).await?;
    let now = recomputer.recompute(stored, path, with)?;
    let differences = differences((stored, &cells), &now);
    let mut of_cells = differences.iter().filter(|it| !it.is_of_the_model());
    if let Some(one) = of_cells.next() {
        let first = format!("cell {} {}: stored {}, now {}", one.cell, one.value, one.stored, one.recomputed);
        return Err(ReprocessError::OtherCells { values: 1 + of_cells.count(), first });
    }
    let scores: BTreeMap<usize, CellScore> =
        (1..).zip(&now.cells).filter_map(|(number, cell)| Some((number, cell.score?))).collect();
    let is_new = store.record_scores(stored.frame, new, &scores).await?;
    Ok(if is_new { scores.len() } else { 0 })
}
