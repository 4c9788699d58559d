//! A found cell seen from near: what the network that draws outlines is shown of it, and the outline that it draws.
//!
//! The finder's picture is too coarse for pseudopods, which are hardly wider than its pixels. Round every cell that was found, the
//! frame is taken twice as finely. Every 2 x 2 of those finer pixels are one *place*, as wide as a pixel of the finder's picture;
//! beside their light, a place says whether the finder gave it to this cell or to another one, and how sure it was.

use super::grid::{Grid, View};
use super::mask::{Labels, Mask, Window};
use super::outline;
use super::segment::Segmented;
use super::working::{Resampling, WorkingPicture, logarithm};
use crate::frame::CorrectedFrame;
use crate::units::PointPx;

/// Numbers of a place that are shown.
///
/// The light of its four pixels (upper left, upper right, lower left, lower right; contrasts as in the finder's picture), 1 where
/// it is this cell's, 1 where it is another's, the finder's logit of the inside.
pub const SHOWN: usize = 7;
/// Which of them says that a place is this cell's.
const OWN: usize = 4;
/// Which of them says that it is another's.
const FOREIGN: usize = 5;
/// Which of them is the finder's logit.
const LOGIT: usize = 6;
/// Numbers that are drawn of a place: logits that its four pixels are inside this cell.
pub const DRAWN: usize = 4;
/// Outlines are drawn where a pixel of the finder's picture is at least so many frame pixels wide: only there does the frame hold what a
/// close-up would show. (The network that draws is taught from one on: it then learns from more kinds of cells.)
pub(super) const FINER: f64 = 2.0;
/// A close-up's sides are multiples of this, places.
pub const MULTIPLE: usize = 4;
/// It reaches so far beyond what the finder gave to the cell, places: as far as pseudopods.
const MARGIN: usize = 16;
/// What is larger than this is no cell to be looked at from near, places.
const LARGEST: usize = 512 * 512;
/// Logits of the finder count no more than this, and are divided by it.
const SUREST_LOGIT: f32 = 4.0;
/// Cells end at this logit (0.40 instead of 0.5): on real pictures the network is shy at rims. Of 0 and -0.4 the one that parts U373, T98G
/// and `LIVECell` better from their ground; on simulated films it costs at most 0.006 of SEG.
const RIM_LOGIT: f32 = -0.4;
/// An outline that holds less than this share of what the finder gave to the cell is not believed.
const LEAST_SHARE: f64 = 0.5;

/// What the network that draws outlines is shown of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CloseUp {
    /// Places per row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// `[SHOWN, height, width]`.
    pub shown: Vec<f32>,
    /// Its first column and row in the finder's picture; places beyond the picture show its edge.
    corner: (i64, i64),
    /// Columns and rows of the finder's picture.
    picture: (usize, usize),
}

/// What the close-ups of a frame are made of.
pub(super) struct CloseUps<'a> {
    relative: &'a [f32],
    picture: &'a WorkingPicture,
    segmented: &'a Segmented,
    finer: Resampling,
}

impl<'a> CloseUps<'a> {
    pub(super) fn new(frame: &'a CorrectedFrame, picture: &'a WorkingPicture, segmented: &'a Segmented) -> Self {
        let finer = picture.twice_as_fine(frame.raw.width_px(), frame.raw.height_px());
        Self { relative: &frame.relative, picture, segmented, finer }
    }

    /// The close-up of a cell; `None` when it is too large, the picture has no contrasts, or the frame shows no more than the picture.
    #[expect(clippy::indexing_slicing, reason = "places are clamped to the view, which lies inside the picture")]
    pub(super) fn of(&self, cell: &Window) -> Option<CloseUp> {
        let (columns, rows) = (self.picture.width, self.picture.height);
        let logits = self.segmented.inside.as_ref()?;
        let side = |first: usize, last: usize| (last + 1 - first + 2 * MARGIN).next_multiple_of(MULTIPLE);
        let (width, height) = (side(cell.left, cell.right), side(cell.top, cell.bottom));
        if width * height > LARGEST || self.picture.contrast <= 0.0 || self.picture.scale <= 1.0 {
            return None;
        }
        let corner = (cell.left as i64 - MARGIN as i64, cell.top as i64 - MARGIN as i64);
        let view = View {
            left: corner.0.max(0) as usize,
            top: corner.1.max(0) as usize,
            right: ((corner.0 + width as i64) as usize).min(columns),
            bottom: ((corner.1 + height as i64) as usize).min(rows),
        };
        let fine = View { left: 2 * view.left, top: 2 * view.top, right: 2 * view.right, bottom: 2 * view.bottom };
        let light = self.finer.part(self.relative, &fine).map(logarithm);
        let places = width * height;
        let mut shown = vec![0.0_f32; SHOWN * places];
        for row in 0..height {
            let y = clamped(corner.1 + row as i64, view.top, view.bottom);
            for column in 0..width {
                let x = clamped(corner.0 + column as i64, view.left, view.right);
                let (at, place) = (y * columns + x, row * width + column);
                let first = 2 * (y - view.top) * light.width + 2 * (x - view.left);
                let four = [first, first + 1, first + light.width, first + light.width + 1].map(|at| light.values[at]);
                let mean = 0.25 * four.iter().sum::<f32>();
                for (plane, logarithm) in four.iter().enumerate() {
                    shown[plane * places + place] =
                        self.picture.values[at] + self.picture.contrast * (logarithm - mean);
                }
                let label = self.segmented.labels.label[at];
                shown[OWN * places + place] = f32::from(u8::from(label == cell.label));
                shown[FOREIGN * places + place] = f32::from(u8::from(label > 0 && label != cell.label));
                shown[LOGIT * places + place] = logits[at].clamp(-SUREST_LOGIT, SUREST_LOGIT) / SUREST_LOGIT;
            }
        }
        Some(CloseUp { width, height, shown, corner, picture: (columns, rows) })
    }
}

/// A place within `from..to`.
fn clamped(at: i64, from: usize, to: usize) -> usize {
    at.clamp(from as i64, to as i64 - 1) as usize
}

impl CloseUp {
    /// The cell's outline in frame pixels, `scale` of which are as wide as a place, as `logits` (`[DRAWN, height, width]`) draw it; with
    /// whether it touches the picture's edge. `None` when they are too few or draw another thing than the cell.
    pub(super) fn outline(&self, logits: &[f32], scale: f64) -> Option<(Vec<PointPx>, bool)> {
        let places = self.width * self.height;
        if logits.len() != DRAWN * places {
            return None;
        }
        let (own, foreign) = (self.plane(OWN)?, self.plane(FOREIGN)?);
        let logits = self.unfolded(logits).map(|logit| logit - RIM_LOGIT);
        let (width, height) = (logits.width, logits.height);
        let first = (2 * self.corner.0, 2 * self.corner.1);
        let last = (2 * self.picture.0 as i64 - 1, 2 * self.picture.1 as i64 - 1);
        let framed = |first: i64, last: i64, length: usize| {
            let clamp = |at: i64| at.clamp(0, length as i64) as usize;
            clamp(-first)..clamp(last + 1 - first)
        };
        let (columns, rows) = (framed(first.0, last.0, width), framed(first.1, last.1, height));
        let is_within = |x: usize, y: usize| columns.contains(&x) && rows.contains(&y);
        let within = |mut pixels: Vec<bool>| {
            for (y, row) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
                let kept = if rows.contains(&y) { columns.clone() } else { 0..0 };
                row.iter_mut().take(kept.start).for_each(|pixel| *pixel = false);
                row.iter_mut().skip(kept.end).for_each(|pixel| *pixel = false);
            }
            pixels
        };
        let pixels = logits.values.iter().zip(self.pixels(foreign));
        let inside = within(pixels.map(|(logit, is_foreign)| *logit > 0.0 && !is_foreign).collect());
        let parts = Mask { width, height, inside }.parts();
        let cell = most_of(&parts, &within(self.pixels(own)))?;
        // Beyond the frame nothing is drawn: there a cell ends half way.
        let read = |(x, y): (i64, i64)| {
            let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
            is_within(x, y).then_some(y * width + x)
        };
        let is_inside = |x: i64, y: i64| read((x, y)).and_then(|at| parts.label.get(at)) == Some(&cell.label);
        let logit = |place| logits.values.get(read(place)?).copied();
        let ends = |from: (i64, i64), to: (i64, i64)| outline::end(logit(from), logit(to));
        let start = (cell.first.0 as i64, cell.first.1 as i64);
        let traced = outline::trace(start, 8 * cell.area + 8, is_inside, ends);
        let in_frame = |at: f64, first: i64| (at + first as f64 + 0.5) * 0.5 * scale - 0.5;
        let outline = traced.iter().map(|p| PointPx { x: in_frame(p.x, first.0), y: in_frame(p.y, first.1) }).collect();
        let reaches =
            |low: usize, high: usize, first: i64, last: i64| low as i64 + first <= 0 || high as i64 + first >= last;
        let touches =
            reaches(cell.left, cell.right, first.0, last.0) || reaches(cell.top, cell.bottom, first.1, last.1);
        Some((outline, touches))
    }

    /// One of the numbers that are shown, of every place.
    fn plane(&self, number: usize) -> Option<&[f32]> {
        self.shown.chunks_exact((self.width * self.height).max(1)).nth(number)
    }

    /// Whether the place of every pixel has a 1 in `plane`, pixel row after pixel row.
    fn pixels(&self, plane: &[f32]) -> Vec<bool> {
        let mut pixels = Vec::with_capacity(4 * plane.len());
        for row in plane.chunks_exact(self.width.max(1)) {
            let first = pixels.len();
            for value in row {
                pixels.extend([*value > 0.5; 2]);
            }
            pixels.extend_from_within(first..);
        }
        pixels
    }

    /// Four planes of places (`[4, height, width]`) as one of pixels (`[2 * height, 2 * width]`).
    fn unfolded(&self, planes: &[f32]) -> Grid {
        let mut values = Vec::with_capacity(planes.len());
        for row in 0..2 * self.height {
            let line = |plane: usize| {
                let from = (plane * self.height + row / 2) * self.width;
                planes.get(from..from + self.width).unwrap_or_default()
            };
            for (left, right) in line(2 * (row % 2)).iter().zip(line(2 * (row % 2) + 1)) {
                values.extend([*left, *right]);
            }
        }
        Grid { width: 2 * self.width, height: 2 * self.height, values }
    }

    /// Whether what it shows within its margin lies at least so many places from the finder's picture's edge.
    #[cfg(feature = "learn")]
    pub(crate) fn is_within(&self, border: i64) -> bool {
        let along = |corner: i64, length: usize, picture: usize| {
            corner + MARGIN as i64 >= border && corner + length as i64 - MARGIN as i64 <= picture as i64 - border
        };
        along(self.corner.0, self.width, self.picture.0) && along(self.corner.1, self.height, self.picture.1)
    }

    /// What is to be drawn (`[DRAWN, height, width]`, 1 inside) when `labels` (`[height, width]` of a frame in which `scale` px are as
    /// wide as a place, 0 for none) are true: the cell that has most of the one that was found. With the share that both have in common
    /// of what either has in the close-up; `None` when there is no such cell.
    #[cfg(any(test, feature = "learn"))]
    pub(crate) fn wanted(&self, labels: &[u16], frame_px: (usize, usize), scale: f64) -> Option<(Vec<f32>, f64)> {
        let places = self.width * self.height;
        let own = self.plane(OWN)?;
        let truth = |plane: usize, place: usize| {
            let along = |at: usize, half: usize, corner: i64, picture: usize, size: usize| {
                let at = clamped(corner + at as i64, 0, picture);
                (((2 * at + half) as f64 + 0.5) * 0.5 * scale).min(size as f64 - 1.0) as usize
            };
            let x = along(place % self.width, plane % 2, self.corner.0, self.picture.0, frame_px.0);
            let y = along(place / self.width, plane / 2, self.corner.1, self.picture.1, frame_px.1);
            labels.get(y * frame_px.0 + x).copied().unwrap_or(0)
        };
        let pixels = || (0..DRAWN).flat_map(|plane| (0..places).map(move |place| (plane, place)));
        let labels: Vec<u16> = pixels().map(|(plane, place)| truth(plane, place)).collect();
        let found = || labels.iter().zip(own.iter().cycle().map(|own| *own > 0.5));
        let mut shared = std::collections::BTreeMap::new();
        for (label, _) in found().filter(|(label, own)| *own && **label > 0) {
            *shared.entry(*label).or_insert(0_usize) += 1;
        }
        let (&cell, &both) = shared.iter().max_by_key(|(_, count)| **count)?;
        let either = found().filter(|(label, own)| *own || **label == cell).count();
        let wanted = labels.iter().map(|label| f32::from(u8::from(*label == cell))).collect();
        Some((wanted, both as f64 / either as f64))
    }
}

/// The part that holds most of the cell as the finder had it; `None` when it holds too little of it.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
fn most_of(parts: &Labels, own: &[bool]) -> Option<Window> {
    let mut shared = vec![0_usize; parts.count as usize + 1];
    let mut all = 0_usize;
    for (label, _) in parts.label.iter().zip(own).filter(|(_, is_own)| **is_own) {
        shared[*label as usize] += 1;
        all += 1;
    }
    let window = parts.windows().into_iter().max_by_key(|window| shared[window.label as usize])?;
    (shared[window.label as usize] as f64 >= LEAST_SHARE * all as f64).then_some(window)
}

#[cfg(test)]
mod tests;
