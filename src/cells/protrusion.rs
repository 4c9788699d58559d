//! Protrusions: the pseudopodial extensions of one outlined cell (formula in `docs/shape.md`).
//!
//! The cell's body is what an inscribed disc can sweep; what sticks out of it, narrower than that disc, and reaches far
//! enough, is a protrusion.

use super::mask::{Mask, neighbours};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The sweeping disc's radius as a share of the largest inscribed circle's.
const DISC_SHARE: f32 = 0.45;
/// The sweeping disc is never wider than this radius, um: thicker arms are body.
const WIDEST_UM: f32 = 3.0;
/// A protrusion reaches at least this far out of the body, um.
const SHORTEST_UM: f32 = 2.0;
/// Distances are kept in whole parts of this share of a pixel, so that they order exactly.
const PARTS_PER_PX: f32 = 1000.0;

/// The protrusions of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Protrusions {
    pub(super) count: u32,
    pub(super) total_um: f64,
    pub(super) longest_um: f64,
}

/// Measures the protrusions of `cell` (its mask with a rim of outside pixels round it), `pixel_um` um per pixel.
pub(super) fn measure(cell: &Mask, pixel_um: f64) -> Protrusions {
    let inscribed = cell.squared_distance().iter().copied().fold(0.0_f32, f32::max).sqrt();
    let um = pixel_um as f32;
    let disc = (DISC_SHARE * inscribed).min(WIDEST_UM / um);
    if disc < 1.0 {
        return Protrusions::default();
    }
    let body = cell.opened(disc);
    // A rim round the body belongs to it: opening rounds every corner a little.
    let near = body.widened(1.0);
    let outside_body: Vec<bool> = cell.inside.iter().zip(&near.inside).map(|(&c, &b)| c && !b).collect();
    let arms = Mask { width: cell.width, height: cell.height, inside: outside_body };
    let parts = arms.parts();
    let mut reach = vec![0.0_f32; parts.count as usize + 1];
    for (distance, &part) in distances(cell, &near).iter().zip(&parts.label) {
        if let Some(furthest) = reach.get_mut(part as usize).filter(|_| part > 0) {
            *furthest = furthest.max(*distance);
        }
    }
    let mut found = Protrusions::default();
    for px in reach.into_iter().skip(1) {
        let length_um = f64::from(px * um);
        if length_um >= f64::from(SHORTEST_UM) {
            found.count += 1;
            found.total_um += length_um;
            found.longest_um = found.longest_um.max(length_um);
        }
    }
    found
}

/// For every pixel of the cell, the length of the shortest way to the body inside the cell, px (0 in the body and
/// where no way leads).
#[expect(clippy::indexing_slicing, reason = "pixels are within the mask")]
fn distances(cell: &Mask, body: &Mask) -> Vec<f32> {
    let (width, height) = (cell.width, cell.height);
    let mut best = vec![u32::MAX; cell.inside.len()];
    let mut open = BinaryHeap::new();
    for (at, _) in body.inside.iter().enumerate().filter(|(_, inside)| **inside) {
        best[at] = 0;
        open.push(Reverse((0_u32, at)));
    }
    while let Some(Reverse((far, at))) = open.pop() {
        if far > best[at] {
            continue;
        }
        for next in neighbours(at, width, height, true) {
            let straight = next % width == at % width || next / width == at / width;
            let step = if straight { PARTS_PER_PX } else { PARTS_PER_PX * std::f32::consts::SQRT_2 };
            let there = far.saturating_add(step as u32);
            if cell.inside[next] && there < best[next] {
                best[next] = there;
                open.push(Reverse((there, next)));
            }
        }
    }
    best.into_iter().map(|d| if d == u32::MAX { 0.0 } else { d as f32 / PARTS_PER_PX }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc of radius 20 px with straight arms of the given lengths (px beyond the disc), 5 px wide.
    fn cell(arms: &[f32]) -> Mask {
        let side = 140;
        let inside = (0..side * side)
            .map(|i| {
                let (x, y) = ((i % side) as f32 - 70.0, (i / side) as f32 - 70.0);
                let arm = |(k, length): (usize, &f32)| {
                    let (sin, cos) = (k as f32 * 1.3).sin_cos();
                    let (along, across) = (x * cos + y * sin, y * cos - x * sin);
                    along > 0.0 && along < 20.0 + length && across.abs() <= 2.5
                };
                x.hypot(y) <= 20.0 || arms.iter().enumerate().any(arm)
            })
            .collect();
        Mask { width: side, height: side, inside }
    }

    #[test]
    fn arms_are_counted_and_measured() {
        assert_eq!(measure(&cell(&[]), 0.325), Protrusions::default());
        let two = measure(&cell(&[20.0, 40.0]), 0.325);
        assert_eq!(two.count, 2);
        assert!((two.longest_um - 40.0 * 0.325).abs() < 1.5, "{two:?}");
        assert!((two.total_um - 60.0 * 0.325).abs() < 2.5, "{two:?}");
    }

    #[test]
    fn longer_arms_measure_longer() {
        let lengths: Vec<f64> =
            [10.0, 20.0, 30.0, 45.0].iter().map(|&l| measure(&cell(&[l]), 0.325).total_um).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
    }

    #[test]
    fn a_cell_of_a_few_pixels_has_none() {
        let dot =
            Mask { width: 3, height: 3, inside: vec![false, false, false, false, true, false, false, false, false] };
        assert_eq!(measure(&dot, 0.325), Protrusions::default());
    }
}
