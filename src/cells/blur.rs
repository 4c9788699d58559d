//! What the finder takes for a cell but lies far out of focus: dirt on the camera's window or the condenser, cells afloat.
//!
//! A cell's rim and grain are fine structures; far from the focus nothing fine is left. What counts is how strong the finest structure is at
//! the rim and inside, in units of what stands out in the frame: not how bright or deep the object is.

use super::grid::{Grid, View};
use super::mask::{Labels, neighbours};
use super::working::WorkingPicture;

/// Finest structure is what a Gaussian of this width takes away, px.
const FINE_PX: f32 = 1.0;
/// A rim is about this wide, px.
const RIM_PX: f32 = 1.6;
/// Weaker fine structure than this is none, in units of the frame's typical structure: the root of the mean square over rim and inside. It
/// costs none of 614 simulated cells of all days, 0.09 would cost one; what it does to the public sets stands in `docs/detection.md`.
const FAINTEST: f32 = 0.085;

/// `cells` of the part `view` of `picture` without those that show nothing fine.
#[expect(
    clippy::indexing_slicing,
    reason = "labels are 0..=count and the tables hold count + 1; grids are of one size"
)]
pub(super) fn without_blurred(cells: &Labels, picture: &WorkingPicture, view: &View) -> Labels {
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
    Labels { label, ..*cells }
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
        let mut kept = without_blurred(&labels, &picture, &view).label;
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
        assert!(without_blurred(&labels, &picture, &view).label.contains(&2));
    }
}
