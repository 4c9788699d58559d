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
    /// Background only.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { width, height, labels: vec![0; width * height] }
    }

    /// Paints the inside of every cell's outline with its number; where outlines overlap, the later cell stays.
    pub fn of<'a>(width: usize, height: usize, cells: impl Iterator<Item = (&'a Cell, u16)>) -> Self {
        let mut picture = Self::empty(width, height);
        for (cell, number) in cells {
            outline::fill(&cell.outline, width, height, |y, left, right| picture.paint(y, left, right, number));
        }
        picture
    }

    /// The 4-connected parts of `inside`, numbered in reading order.
    pub fn parts(width: usize, height: usize, inside: Vec<bool>) -> Self {
        Self { width, height, labels: crate::cells::parts(width, height, inside) }
    }

    /// Paints the pixels `left..right` of row `y`.
    pub fn paint(&mut self, y: usize, left: usize, right: usize, number: u16) {
        if let Some(run) = self.labels.get_mut(y * self.width + left..y * self.width + right) {
            run.fill(number);
        }
    }

    /// Without the labels that lie wholly within `border_px` of the picture's edge.
    #[must_use]
    pub fn without_border(&self, border_px: usize) -> Self {
        let rows = border_px..self.height.saturating_sub(border_px);
        let columns = border_px..self.width.saturating_sub(border_px);
        let mut reaches_in = vec![false; usize::from(u16::MAX) + 1];
        for row in self.labels.chunks_exact(self.width.max(1)).take(rows.end).skip(rows.start) {
            for label in row.get(columns.clone()).unwrap_or_default() {
                if let Some(seen) = reaches_in.get_mut(usize::from(*label)) {
                    *seen = true;
                }
            }
        }
        let keep = |label: u16| reaches_in.get(usize::from(label)).copied().unwrap_or(false);
        let labels = self.labels.iter().map(|&label| if keep(label) { label } else { 0 }).collect();
        Self { width: self.width, height: self.height, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_the_border_band_are_taken_away_whole() {
        let labels = vec![1, 1, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 0, 0, 3];
        let picture = LabelPicture { width: 5, height: 3, labels };
        assert_eq!(picture.without_border(1).labels, [0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(picture.without_border(0), picture);
    }
}
