//! Where a recomputed frame differs from what is stored.

use super::recompute::Recomputed;
use crate::store::stored::{ResultRow, StoredFrame, cell_results};

/// Values that another model changes: everything else about a cell is found without it.
const OF_THE_MODEL: [&str; 5] = ["latent", "logit", "score", "distance", "withheld"];

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

impl Difference {
    /// Whether the model made this value.
    pub fn is_of_the_model(&self) -> bool {
        OF_THE_MODEL.contains(&self.value)
    }
}

/// Every value of `stored` and its `cells` that is not what came out now.
pub fn differences((stored, cells): (&StoredFrame, &[ResultRow]), now: &Recomputed) -> Vec<Difference> {
    let recomputed = cell_results(&now.cells);
    let mut differences = compared(0, &stored.result, &now.frame);
    if cells.len() != recomputed.len() {
        let count = |rows: &[ResultRow]| rows.len().to_string();
        let (stored, recomputed) = (count(cells), count(&recomputed));
        differences.push(Difference { cell: 0, value: "cells", stored, recomputed });
    }
    for ((stored, now), number) in cells.iter().zip(&recomputed).zip(1..) {
        differences.extend(compared(number, stored, now));
    }
    differences
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
