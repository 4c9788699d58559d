//! Detection in single frames: F1 at an intersection over union of 0.5, for outlines and for boxes.

use super::ctc::Overlaps;
use super::paint::LabelPicture;
use crate::cells::{self, Cell, outline};
use crate::frame::CorrectedFrame;
use crate::units::PixelSize;
use std::collections::{BTreeMap, BTreeSet};

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

/// An outline is right when a true box's middle lies in it; the middles of others that lie in the same outline are missed.
///
/// What this counts beside [`match_boxes`] is how many bodies were found as cells of their own, wherever their boxes are drawn.
pub fn match_middles(truth: &[BoxPx], found: &LabelPicture) -> Matches {
    let label = |[left, top, right, bottom]: &BoxPx| {
        let (x, y) = (f64::midpoint(*left, *right).max(0.0) as usize, f64::midpoint(*top, *bottom).max(0.0) as usize);
        let within = x < found.width && y < found.height;
        found.labels.get(y * found.width + x).copied().filter(|label| within && *label > 0)
    };
    let right = truth.iter().filter_map(label).collect::<BTreeSet<u16>>().len();
    let outlines = found.labels.iter().filter(|label| **label > 0).collect::<BTreeSet<&u16>>().len();
    Matches { right, spurious: outlines - right, missed: truth.len() - right }
}

/// Light is smoothed over about this far before a body is looked for, um.
const BODY_SMOOTHING_UM: f64 = 2.0;
/// A box reaches this far beyond the body, um.
const BODY_MARGIN_UM: f64 = 2.0;
/// A cell whose typical light is this many times the background has rounded up ...
const ROUNDED_LIGHT: f64 = 1.1;
/// ... and its box takes its bright rim in, this far beyond the outline, um.
const ROUNDED_MARGIN_UM: f64 = 4.0;

/// The box that somebody would draw round a cell's body: round the largest dark part inside its outline, which is the
/// nucleus and what surrounds it; round the halo of a cell that has rounded up.
///
/// Dark is what lies below the threshold that parts the smoothed light inside the outline into its two classes (Otsu 1979).
pub fn body_box(frame: &CorrectedFrame, cell: &Cell, pixel_size: PixelSize) -> BoxPx {
    let px = |um: f64| pixel_size.px_from_um(um);
    let whole = cell.outline.iter().fold([f64::INFINITY, f64::INFINITY, 0.0, 0.0], |b, p| grown(b, p.x, p.y));
    let window = Window::around(frame, whole);
    let mut inside = vec![false; window.width * window.height];
    outline::fill(&cell.outline, window.right(), window.bottom(), |y, left, right| {
        let from = (y - window.top) * window.width + left - window.left;
        if let Some(run) = inside.get_mut(from..from + right - left) {
            run.fill(true);
        }
    });
    let within = |light: &[f32]| light.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(v, _)| *v).collect();
    let mut light: Vec<f32> = within(&window.light);
    light.sort_unstable_by(f32::total_cmp);
    if light.get(light.len() / 2).is_some_and(|typical| f64::from(*typical) > ROUNDED_LIGHT) {
        return widened(whole, px(ROUNDED_MARGIN_UM));
    }
    // Two running means of this radius smooth as far as a Gaussian of that width.
    let smooth = window.smoothed((1.22 * px(BODY_SMOOTHING_UM) - 0.5).round().max(0.0) as usize);
    let mut sorted: Vec<f32> = within(&smooth);
    sorted.sort_unstable_by(f32::total_cmp);
    let threshold = sorted.get(between_classes(&sorted)).copied().unwrap_or(f32::NEG_INFINITY);
    let dark = smooth.iter().zip(&inside).map(|(light, inside)| *inside && *light < threshold).collect();
    let parts = cells::parts(window.width, window.height, dark);
    let mut areas: BTreeMap<u16, usize> = BTreeMap::new();
    for &part in parts.iter().filter(|part| **part > 0) {
        *areas.entry(part).or_default() += 1;
    }
    let Some((&body, _)) = areas.iter().max_by_key(|(_, area)| **area) else { return whole };
    let pixels = parts.iter().enumerate().filter(|(_, part)| **part == body);
    let extent = pixels.fold([f64::INFINITY, f64::INFINITY, 0.0, 0.0], |b, (at, _)| {
        let (x, y) = ((window.left + at % window.width) as f64, (window.top + at / window.width) as f64);
        grown(grown(b, x - 0.5, y - 0.5), x + 0.5, y + 0.5)
    });
    widened(extent, px(BODY_MARGIN_UM))
}

/// Where ascending `values` fall into two classes whose means lie furthest apart: the first place of the upper one.
fn between_classes(values: &[f32]) -> usize {
    let all: f64 = values.iter().map(|&v| f64::from(v)).sum();
    let (mut best, mut below) = ((0.0, 0), 0.0);
    for (count, value) in (1..values.len()).zip(values) {
        below += f64::from(*value);
        let (lower, upper) = (count as f64, (values.len() - count) as f64);
        let apart = lower * upper * (below / lower - (all - below) / upper).powi(2);
        if apart > best.0 {
            best = (apart, count);
        }
    }
    best.1
}

/// A part of a frame's light.
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    light: Vec<f32>,
}

impl Window {
    fn around(frame: &CorrectedFrame, [left, top, right, bottom]: BoxPx) -> Self {
        let (most_x, most_y) = (frame.raw.width_px(), frame.raw.height_px());
        let first = |at: f64, most: usize| (at.max(0.0) as usize).min(most.saturating_sub(1));
        let last = |at: f64, first: usize, most: usize| (at.max(0.0) as usize + 2).clamp(first + 1, most);
        let (left, top) = (first(left, most_x), first(top, most_y));
        let (right, bottom) = (last(right, left, most_x), last(bottom, top, most_y));
        let rows = (top..bottom).map(|y| y * most_x + left..y * most_x + right);
        let light = rows.flat_map(|row| frame.relative.get(row).unwrap_or_default()).copied().collect();
        Self { left, top, width: right - left, height: bottom - top, light }
    }

    fn right(&self) -> usize {
        self.left + self.width
    }

    fn bottom(&self) -> usize {
        self.top + self.height
    }

    /// Two running means along rows and columns; beyond the edge the window goes on as it ends.
    fn smoothed(&self, radius: usize) -> Vec<f32> {
        let mean = |light: &[f32], length: usize, step: usize, at: usize| {
            let here = at / step % length;
            let reach = here.saturating_sub(radius)..(here + radius + 1).min(length);
            let count = reach.len().max(1) as f32;
            reach.filter_map(|other| light.get(at + other * step - here * step)).sum::<f32>() / count
        };
        let mut light = self.light.clone();
        for _ in 0..2 {
            light = (0..light.len()).map(|at| mean(&light, self.width, 1, at)).collect();
            light = (0..light.len()).map(|at| mean(&light, self.height, self.width, at)).collect();
        }
        light
    }
}

fn widened([left, top, right, bottom]: BoxPx, by: f64) -> BoxPx {
    [left - by, top - by, right + by, bottom + by]
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
    fn an_outline_is_right_that_holds_a_middle_and_only_once() {
        // Rows of 6 px: two bodies in the first outline, none in the second, one on empty ground, one beyond the frame.
        let found = LabelPicture { width: 6, height: 2, labels: [[7, 7, 7, 0, 9, 9]; 2].concat() };
        let truth = [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 3.0, 2.0], [3.0, 0.0, 4.0, 2.0], [6.0, 0.0, 14.0, 2.0]];
        assert_eq!(match_middles(&truth, &found), Matches { right: 1, spurious: 1, missed: 3 });
    }

    #[test]
    fn boxes_match_one_to_one() {
        let truth = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]];
        let found = [[0.0, 0.0, 10.0, 9.0], [1.0, 0.0, 10.0, 10.0], [25.0, 5.0, 40.0, 20.0]];
        assert_eq!(match_boxes(&truth, &found), Matches { right: 1, spurious: 2, missed: 1 });
    }

    #[test]
    fn a_box_goes_round_the_dark_body_and_not_round_the_lamella() {
        use crate::frame::{Plane, correct};
        use crate::units::PointPx;
        let (width, height) = (200, 160);
        let cell = |x: f64, y: f64| (x - 90.0).hypot(0.9 * (y - 80.0)) < 40.0;
        let body = |x: f64, y: f64| (x - 75.0).hypot(y - 78.0) < 12.0;
        let light = |i: usize| {
            let (x, y) = ((i % width) as f64, (i / width) as f64);
            if body(x, y) {
                600.0
            } else if cell(x, y) {
                900.0
            } else {
                1000.0
            }
        };
        let plane = Plane::new(width, height, (0..width * height).map(light).collect(), 4095.0).unwrap();
        let pixel_size = PixelSize::new(0.5).unwrap();
        let around = |k: f64| {
            let angle = k / 40.0 * std::f64::consts::TAU;
            PointPx { x: 90.0 + 40.0 * angle.cos(), y: 80.0 + 44.0 * angle.sin() }
        };
        let outline = (0..40).map(|k| around(f64::from(k))).collect();
        let shape = crate::cells::Shape::default();
        let found = Cell { centroid: PointPx { x: 90.0, y: 80.0 }, outline, shape, touches_border: false, crop: None };
        let found = body_box(&correct(plane, pixel_size), &found, pixel_size);
        // Twelve px and the margin of four on every side.
        assert!(box_iou(&[59.0, 62.0, 91.0, 94.0], &found) > 0.85, "{found:?}");
    }
}
