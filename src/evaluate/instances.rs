//! Detection in single frames: F1 at an intersection over union of 0.5, for outlines and for boxes.

use super::ctc::Overlaps;
use super::paint::LabelPicture;
use crate::cells::{Cell, outline};
use crate::frame::CorrectedFrame;
use std::collections::BTreeMap;

/// Counts of right and wrong detections; add up over frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matches {
    /// Found cells that are true.
    pub right: usize,
    /// Found cells that are not.
    pub spurious: usize,
    /// True cells that were not found.
    pub missed: usize,
}

impl Matches {
    /// Harmonic mean of precision and recall, 0..=1; 1 when there was nothing to find and nothing found.
    pub fn f1(&self) -> f64 {
        let all = 2 * self.right + self.spurious + self.missed;
        if all == 0 { 1.0 } else { 2.0 * self.right as f64 / all as f64 }
    }
}

impl std::ops::Add for Matches {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            spurious: self.spurious + other.spurious,
            missed: self.missed + other.missed,
        }
    }
}

/// Matches two label pictures of equal size: a pair counts when the two share more than half of what
/// either covers, so that no cell can match twice.
pub fn match_outlines(truth: &LabelPicture, found: &LabelPicture) -> Matches {
    let overlaps = Overlaps::of(truth, found);
    let area = |table: &BTreeMap<u16, usize>, label: u16| table.get(&label).copied().unwrap_or(0);
    let right = overlaps
        .shared
        .iter()
        .filter(|&(&(t, f), &both)| 2 * both > area(&overlaps.true_area, t) + area(&overlaps.found_area, f) - both)
        .count();
    Matches { right, spurious: overlaps.found_area.len() - right, missed: overlaps.true_area.len() - right }
}

/// A box, px: left, top, right, bottom.
pub type BoxPx = [f64; 4];

/// Matches boxes one to one, best overlap first; a pair counts when the two share at least half of what
/// either covers.
pub fn match_boxes(truth: &[BoxPx], found: &[BoxPx]) -> Matches {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (i, t) in truth.iter().enumerate() {
        for (j, f) in found.iter().enumerate() {
            let overlap = box_iou(t, f);
            if overlap >= 0.5 {
                pairs.push((overlap, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut truth_taken, mut found_taken) = (vec![false; truth.len()], vec![false; found.len()]);
    let mut right = 0;
    for (_, i, j) in pairs {
        if let (Some(t), Some(f)) = (truth_taken.get_mut(i), found_taken.get_mut(j))
            && !*t
            && !*f
        {
            (*t, *f) = (true, true);
            right += 1;
        }
    }
    Matches { right, spurious: found.len() - right, missed: truth.len() - right }
}

/// The box round a cell's body: the part of it that is darkest in positive phase contrast, the nucleus and what
/// surrounds it. A cell without a dark part gives the box round its outline.
///
/// The body is where the smoothed light lies below the mean of the cell's mean and its minimum.
pub fn body_box(frame: &CorrectedFrame, cell: &Cell) -> BoxPx {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let whole = cell.outline.iter().fold([f64::INFINITY, f64::INFINITY, 0.0, 0.0], |b, p| grown(b, p.x, p.y));
    let mut light = Vec::new();
    outline::fill(&cell.outline, width, height, |y, left, right| {
        let row = frame.relative.get(y * width + left..y * width + right).unwrap_or_default();
        light.extend(row.iter().enumerate().map(|(i, v)| ((left + i) as f64, y as f64, f64::from(*v))));
    });
    let mut sorted: Vec<f64> = light.iter().map(|p| p.2).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(1.0);
    let threshold = f64::midpoint(at(0.03), at(0.5));
    let dark: Vec<_> = light.iter().filter(|p| p.2 < threshold).collect();
    if dark.len() < 9 {
        return whole;
    }
    let side = |f: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = dark.iter().map(|p| f(p)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied().unwrap_or(0.0);
        (at(0.02), at(0.98))
    };
    let ((left, right), (top, bottom)) = (side(|p| p.0), side(|p| p.1));
    [left, top, right, bottom]
}

fn grown([left, top, right, bottom]: BoxPx, x: f64, y: f64) -> BoxPx {
    [left.min(x), top.min(y), right.max(x), bottom.max(y)]
}

fn box_iou(a: &BoxPx, b: &BoxPx) -> f64 {
    let [al, at, ar, ab] = *a;
    let [bl, bt, br, bb] = *b;
    let both = (ar.min(br) - al.max(bl)).max(0.0) * (ab.min(bb) - at.max(bt)).max(0.0);
    let union = (ar - al) * (ab - at) + (br - bl) * (bb - bt) - both;
    if union > 0.0 { both / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_above_one_half_counts_once() {
        let truth = LabelPicture { width: 6, height: 1, labels: vec![1, 1, 1, 0, 2, 2] };
        let found = LabelPicture { width: 6, height: 1, labels: vec![7, 7, 0, 0, 9, 0] };
        let matches = match_outlines(&truth, &found);
        assert_eq!(matches, Matches { right: 1, spurious: 1, missed: 1 });
        assert!((matches.f1() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn boxes_match_one_to_one() {
        let truth = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]];
        let found = [[0.0, 0.0, 10.0, 9.0], [1.0, 0.0, 10.0, 10.0], [25.0, 5.0, 40.0, 20.0]];
        assert_eq!(match_boxes(&truth, &found), Matches { right: 1, spurious: 2, missed: 1 });
    }
}
