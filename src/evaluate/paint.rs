//! Cells as a label picture.

use crate::cells::{Cell, outline};

/// `[height, width]`, 0 background, one number a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelPicture {
    /// Pixels per row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Row after row.
    pub labels: Vec<u16>,
}

impl LabelPicture {
    /// Paints the inside of every cell's outline with its number; where outlines overlap, the later cell stays.
    pub fn of<'a>(width: usize, height: usize, cells: impl Iterator<Item = (&'a Cell, u16)>) -> Self {
        let mut labels = vec![0; width * height];
        for (cell, number) in cells {
            outline::fill(&cell.outline, width, height, |y, left, right| {
                if let Some(run) = labels.get_mut(y * width + left..y * width + right) {
                    run.fill(number);
                }
            });
        }
        Self { width, height, labels }
    }
}
