//! Detection in single frames: F1 at an intersection over union of 0.5, for outlines and for boxes.

use super::paint::LabelPicture;
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
    let mut shared: BTreeMap<(u16, u16), usize> = BTreeMap::new();
    let (mut true_area, mut found_area) = (BTreeMap::<u16, usize>::new(), BTreeMap::<u16, usize>::new());
    for (&t, &f) in truth.labels.iter().zip(&found.labels) {
        if t > 0 {
            *true_area.entry(t).or_default() += 1;
        }
        if f > 0 {
            *found_area.entry(f).or_default() += 1;
        }
        if t > 0 && f > 0 {
            *shared.entry((t, f)).or_default() += 1;
        }
    }
    let area = |table: &BTreeMap<u16, usize>, label: u16| table.get(&label).copied().unwrap_or(0);
    let right =
        shared.iter().filter(|&(&(t, f), &both)| 2 * both > area(&true_area, t) + area(&found_area, f) - both).count();
    Matches { right, spurious: found_area.len() - right, missed: true_area.len() - right }
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
