//! What the finder takes for a cell but lies far out of focus: dirt on the camera's window or the condenser, cells afloat.
//!
//! A cell's rim and grain are fine structures; far from the focus nothing fine is left. What counts is how strong the finest structure is at
//! the rim and inside, in units of what stands out in the frame, and beside the frame's other cells: not how bright or deep the object is.

use super::grid::{Grid, View};
use super::mask::{Labels, Mask, Window, neighbours};
use super::working::WorkingPicture;

/// Finest structure is what a Gaussian of this width takes away, px.
const FINE_PX: f32 = 1.0;
/// A rim is about this wide, px.
const RIM_PX: f32 = 1.6;
/// Weaker fine structure than this is none, in units of the frame's typical structure: the root of the mean square over rim and inside. It
/// costs none of 614 simulated cells of all days, 0.09 would cost one; what it does to the public sets stands in `docs/detection.md`.
const FAINTEST: f32 = 0.085;

/// A cell's finest places are those above this share of its pixels.
const FINEST_SHARE: f32 = 0.9;
/// What lies so near to another cell may show that one's rim, px.
const NEAR_PX: f32 = 3.0;
/// An object whose finest places are weaker than this share of those of the frame's usual cell lies out of focus. It costs none of 654 cells
/// of U373 (whose faintest has 0.48), of 1206 of PSC and of 1373 simulated ones, and 7 of 1017 of T98G and `LIVECell`.
const FAINTEST_SHARE: f32 = 0.4;
/// Of fewer cells none is the usual one.
const FEWEST: usize = 3;

/// What is held against the frame's other cells.
#[derive(Debug, Default)]
pub(super) struct Finest {
    /// Label, and the mean square of the fine structure that only its finest places exceed.
    cells: Vec<(u32, f32)>,
}

impl Finest {
    /// The labels of what lies out of focus beside the frame's other cells.
    pub(super) fn blurred(mut self) -> Vec<u32> {
        let middle = self.cells.len() / 2;
        if self.cells.len() < FEWEST {
            return Vec::new();
        }
        let (_, &mut (_, usual), _) = self.cells.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1));
        let least = FAINTEST_SHARE * FAINTEST_SHARE * usual;
        self.cells.iter().filter(|(_, finest)| *finest < least).map(|(label, _)| *label).collect()
    }
}

/// `cells` of the part `view` of `picture` without those that show nothing fine; `finest` is told of the others, numbered on from `first`.
#[expect(
    clippy::indexing_slicing,
    reason = "labels are 0..=count and the tables hold count + 1; grids are of one size"
)]
pub(super) fn without_blurred(
    cells: &Labels,
    picture: &WorkingPicture,
    view: &View,
    first: u32,
    finest: &mut Finest,
) -> Labels {
    let values = view.copied(&picture.values, picture.width);
    let light = Grid { width: cells.width, height: cells.height, values };
    let energy = light.zip(&light.smoothed(FINE_PX), |value, smooth| (value - smooth).powi(2)).smoothed(RIM_PX);
    let (mut rim, mut inside) =
        (vec![Mean::default(); cells.count as usize + 1], vec![Mean::default(); cells.count as usize + 1]);
    for (at, &label) in cells.label.iter().enumerate().filter(|(_, label)| **label > 0) {
        inside[label as usize].add(energy.values[at]);
        if neighbours(at, cells.width, cells.height, false).any(|near| cells.label[near] == 0) {
            rim[label as usize].add(energy.values[at]);
        }
    }
    let is_sharp = |(rim, inside): (&Mean, &Mean)| f32::midpoint(rim.of_all(), inside.of_all()) >= FAINTEST * FAINTEST;
    let sharp: Vec<bool> = rim.iter().zip(&inside).map(is_sharp).collect();
    let label = cells.label.iter().map(|&label| if sharp[label as usize] { label } else { 0 }).collect();
    let sharp = Labels { label, ..*cells };
    finest.cells.extend(sharp.windows().iter().map(|cell| (first + cell.label, finest_of(cell, &sharp, &energy))));
    sharp
}

/// What only the finest places of a cell exceed; those near another cell do not count unless all are.
fn finest_of(cell: &Window, cells: &Labels, energy: &Grid) -> f32 {
    let view = cell.with_margin(NEAR_PX as usize + 1, cells.width, cells.height);
    let labels = view.copied(&cells.label, cells.width);
    let others = labels.iter().map(|label| *label > 0 && *label != cell.label).collect();
    let others = Mask { width: view.width(), height: view.height(), inside: others };
    // Most cells are alone.
    let near = if others.inside.contains(&true) { others.widened(NEAR_PX) } else { others };
    let pixels = || labels.iter().zip(view.copied(&energy.values, cells.width)).zip(&near.inside);
    let own = pixels().filter(|((label, _), _)| **label == cell.label);
    let mut alone: Vec<f32> = own.clone().filter(|(_, near)| !**near).map(|((_, energy), _)| energy).collect();
    if alone.is_empty() {
        alone = own.map(|((_, energy), _)| energy).collect();
    }
    let at = (FINEST_SHARE * alone.len() as f32) as usize;
    if at < alone.len() { *alone.select_nth_unstable_by(at, f32::total_cmp).1 } else { 0.0 }
}

/// A mean that is being taken.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f32,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += value;
        self.count += 1;
    }

    /// 0 of nothing.
    fn of_all(self) -> f32 {
        self.sum / self.count.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 120;
    const HEIGHT: usize = 60;
    const RADIUS_PX: f32 = 12.0;

    /// Two discs as strong as cells are, the first with a sharp rim, the second with one that takes `soft` px; and their labels.
    fn discs(soft: f32) -> (WorkingPicture, Labels) {
        let far = |at: usize, x: f32| ((at % WIDTH) as f32 - x).hypot((at / WIDTH) as f32 - 30.0);
        let pixels = 0..WIDTH * HEIGHT;
        let height = |far: f32, soft: f32| 2.0 / (1.0 + ((far - RADIUS_PX) / soft).exp());
        let values = pixels.clone().map(|at| height(far(at, 30.0), 0.3) + height(far(at, 90.0), soft)).collect();
        let label = |at| u32::from(far(at, 30.0) < RADIUS_PX) + 2 * u32::from(far(at, 90.0) < RADIUS_PX);
        let labels = Labels { width: WIDTH, height: HEIGHT, label: pixels.map(label).collect(), count: 2 };
        (WorkingPicture { width: WIDTH, height: HEIGHT, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 }, labels)
    }

    fn kept(soft: f32) -> Vec<u32> {
        let (picture, labels) = discs(soft);
        let view = View { left: 0, top: 0, right: WIDTH, bottom: HEIGHT };
        let mut kept = without_blurred(&labels, &picture, &view, 0, &mut Finest::default()).label;
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    #[test]
    fn what_lies_far_out_of_focus_is_no_cell_however_deep_it_is() {
        assert_eq!(kept(0.3), [0, 1, 2]);
        assert_eq!(kept(0.5), [0, 1, 2]);
        assert_eq!(kept(1.2), [0, 1]);
        assert_eq!(kept(4.0), [0, 1]);
    }

    #[test]
    fn grain_inside_tells_a_cell_whose_rim_is_soft() {
        let (mut picture, labels) = discs(4.0);
        for (at, value) in picture.values.iter_mut().enumerate().filter(|(at, _)| labels.label[*at] == 2) {
            *value += if (at / 2 + at / WIDTH).is_multiple_of(2) { 0.2 } else { -0.2 };
        }
        let view = View { left: 0, top: 0, right: WIDTH, bottom: HEIGHT };
        assert!(without_blurred(&labels, &picture, &view, 0, &mut Finest::default()).label.contains(&2));
    }

    #[test]
    fn beside_sharper_cells_a_soft_thing_is_none() {
        let view = View { left: 0, top: 0, right: WIDTH, bottom: HEIGHT };
        let blurred = |pictures: &[(f32, f32)]| {
            let mut finest = Finest::default();
            for (&(soft, strength), first) in pictures.iter().zip((0..).step_by(2)) {
                let (mut picture, labels) = discs(soft);
                picture.values.iter_mut().for_each(|value| *value *= strength);
                let kept = without_blurred(&labels, &picture, &view, first, &mut finest);
                assert!(kept.label.contains(&2), "{soft} is sharp enough by itself");
            }
            finest.blurred()
        };
        assert_eq!(blurred(&[(0.3, 2.0), (0.7, 1.0)]), [4]);
        assert_eq!(blurred(&[(0.3, 1.0), (0.7, 1.0)]), [0_u32; 0]);
        // Of two things nobody knows which is the usual one.
        assert_eq!(blurred(&[(0.7, 1.0)]), [0_u32; 0]);
    }
}
