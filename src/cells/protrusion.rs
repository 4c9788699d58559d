//! Protrusions: the pseudopodial extensions of one outlined cell (formula in `docs/shape.md`).
//!
//! The cell's body is what an inscribed disc can sweep; what sticks out of it, narrower than that disc, and reaches far
//! enough, is a protrusion. Pseudopods are a micrometre wide, finer than any outline of a whole cell: what is darker than
//! its surroundings, narrow, and hangs on the cell is looked for in the light itself.

use super::grid::Grid;
use super::mask::{Mask, neighbours};
use super::outline;
use crate::frame::CorrectedFrame;
use crate::units::{PixelSize, PointPx};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The sweeping disc's radius as a share of the largest inscribed circle's.
const DISC_SHARE: f32 = 0.45;
/// The sweeping disc is never wider than this radius, um: thicker arms are body.
const WIDEST_UM: f32 = 3.0;
/// Round the body lies a rim this wide, um: opening rounds corners, and membranes are dark lines too.
const RIM_UM: f32 = 1.0;
/// A protrusion reaches at least this far out of that rim, um.
const SHORTEST_UM: f32 = 1.0;
/// No pseudopod ends further from the outline than this, um.
const REACH_UM: f64 = 10.0;
/// Dark lines are narrower than twice this, um.
const LINE_UM: f64 = 1.6;
/// A dark line is darker than its surroundings by at least this, relative to the background ...
const DARKER: f32 = 0.12;
/// ... and by so many standard deviations of the ground's noise.
const NOISE_SD: f32 = 6.0;
/// Distances are kept in whole parts of this share of a pixel, so that they order exactly.
const PARTS_PER_PX: f32 = 1000.0;

/// The protrusions of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Protrusions {
    pub(super) count: u32,
    pub(super) total_um: f64,
    pub(super) longest_um: f64,
}

/// Measures the protrusions of the cell inside `outline` (frame px) in a frame of this noise
/// ([`scattering::noise`](super::scattering::noise)). `foreign` tells the frame's pixels that belong to other cells.
#[expect(clippy::indexing_slicing, reason = "the window is clamped to the frame")]
pub(super) fn of_outline(
    frame: &CorrectedFrame,
    outline: &[PointPx],
    (pixel_size, noise): (PixelSize, f32),
    foreign: impl Fn(usize, usize) -> bool,
) -> Protrusions {
    let (frame_width, frame_height) = (frame.raw.width_px(), frame.raw.height_px());
    let line = (pixel_size.px_from_um(LINE_UM).round() as usize).max(1);
    let reach = pixel_size.px_from_um(REACH_UM) as f32;
    let margin = f64::from(reach).ceil() + line as f64;
    let bounds = |f: fn(&PointPx) -> f64, size: usize| {
        let low = outline.iter().map(f).fold(f64::INFINITY, f64::min) - margin;
        let high = outline.iter().map(f).fold(f64::NEG_INFINITY, f64::max) + margin + 1.0;
        (low.clamp(0.0, size as f64) as usize, high.clamp(0.0, size as f64) as usize)
    };
    let ((left, right), (top, bottom)) = (bounds(|p| p.x, frame_width), bounds(|p| p.y, frame_height));
    if left >= right || top >= bottom {
        return Protrusions::default();
    }
    let (width, height) = (right - left, bottom - top);
    let cell = outline::inside(outline, (left, top), (width, height));
    let mut values = Vec::with_capacity(width * height);
    for y in top..bottom {
        values.extend_from_slice(&frame.relative[y * frame_width + left..y * frame_width + right]);
    }
    let light = Grid { width, height, values };
    let dark = light.closed(line).zip(&light, |around, own| around - own);
    let least = DARKER.max(NOISE_SD * noise);
    let near = cell.widened(reach);
    let lines = (0..width * height)
        .map(|at| near.inside[at] && dark.values[at] > least && !foreign(left + at % width, top + at / width));
    let lines: Vec<bool> = lines.collect();
    measure(&cell, &lines, pixel_size.um())
}

/// Measures the protrusions of `cell` (its mask with a rim of outside pixels round it), of which dark `lines` may be a part too;
/// `pixel_um` um per pixel.
fn measure(cell: &Mask, lines: &[bool], pixel_um: f64) -> Protrusions {
    let inscribed = cell.squared_distance().iter().copied().fold(0.0_f32, f32::max).sqrt();
    let um = pixel_um as f32;
    let disc = (DISC_SHARE * inscribed).min(WIDEST_UM / um);
    if disc < 1.0 {
        return Protrusions::default();
    }
    let near = cell.opened(disc).widened((RIM_UM / um).max(1.0));
    let inside = cell.inside.iter().zip(lines).map(|(&own, &line)| own || line).collect();
    let whole = Mask { width: cell.width, height: cell.height, inside };
    let arms: Vec<bool> = whole.inside.iter().zip(&near.inside).map(|(&own, &body)| own && !body).collect();
    let parts = Mask { width: cell.width, height: cell.height, inside: arms }.parts();
    let mut reach = vec![0.0_f32; parts.count as usize + 1];
    for (distance, &part) in distances(&whole, &near).iter().zip(&parts.label) {
        if let Some(furthest) = reach.get_mut(part as usize).filter(|_| part > 0) {
            *furthest = furthest.max(*distance);
        }
    }
    let mut found = Protrusions::default();
    for px in reach.into_iter().skip(1) {
        let beyond_um = px * um;
        if beyond_um >= SHORTEST_UM {
            let length_um = f64::from(beyond_um + RIM_UM);
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
    }
    // Ways begin at the body's rim.
    for at in (0..best.len()).filter(|&at| best[at] == 0) {
        if neighbours(at, width, height, true).any(|next| cell.inside[next] && best[next] != 0) {
            open.push(Reverse((0_u32, at)));
        }
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
    use crate::frame::{Plane, correct};

    /// A disc of radius 20 px with straight arms of the given lengths (px beyond the disc), 5 px wide.
    fn is_in(x: f32, y: f32, arms: &[f32]) -> bool {
        let arm = |(k, length): (usize, &f32)| {
            let (sin, cos) = (k as f32 * 1.3).sin_cos();
            let (along, across) = (x * cos + y * sin, y * cos - x * sin);
            along > 0.0 && along < 20.0 + length && across.abs() <= 2.5
        };
        x.hypot(y) <= 20.0 || arms.iter().enumerate().any(arm)
    }

    fn cell(arms: &[f32]) -> Mask {
        let side = 140;
        let at = |i: usize| ((i % side) as f32 - 70.0, (i / side) as f32 - 70.0);
        Mask { width: side, height: side, inside: (0..side * side).map(|i| is_in(at(i).0, at(i).1, arms)).collect() }
    }

    fn of_mask(cell: &Mask) -> Protrusions {
        measure(cell, &cell.inside, 0.325)
    }

    #[test]
    fn arms_are_counted_and_measured() {
        assert_eq!(of_mask(&cell(&[])), Protrusions::default());
        let two = of_mask(&cell(&[20.0, 40.0]));
        assert_eq!(two.count, 2);
        assert!((two.longest_um - 40.0 * 0.325).abs() < 1.5, "{two:?}");
        assert!((two.total_um - 60.0 * 0.325).abs() < 2.5, "{two:?}");
    }

    #[test]
    fn longer_arms_measure_longer() {
        let lengths: Vec<f64> = [10.0, 20.0, 30.0, 45.0].iter().map(|&l| of_mask(&cell(&[l])).total_um).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
    }

    #[test]
    fn a_cell_of_a_few_pixels_has_none() {
        let dot =
            Mask { width: 3, height: 3, inside: vec![false, false, false, false, true, false, false, false, false] };
        assert_eq!(of_mask(&dot), Protrusions::default());
    }

    /// A bright disc with dark arms, and an outline that knows the disc alone.
    fn in_the_light(arms: &[f32], counts: f32) -> Protrusions {
        let side = 240;
        let value = |i: usize| {
            let (x, y) = ((i % side) as f32 - 120.0, (i / side) as f32 - 120.0);
            let light = if x.hypot(y) <= 20.0 {
                2.0
            } else if is_in(x, y, arms) {
                0.6
            } else {
                1.0
            };
            light * counts
        };
        let plane = Plane::new(side, side, (0..side * side).map(value).collect(), 65_535.0).unwrap();
        let turn = |k: u32| f64::from(k).to_radians() * 6.0;
        let circle: Vec<PointPx> =
            (0..60).map(|k| PointPx { x: 120.0 + 21.0 * turn(k).cos(), y: 120.0 + 21.0 * turn(k).sin() }).collect();
        of_outline(&correct(plane, PixelSize::PAPER), &circle, (PixelSize::PAPER, 0.01), |_, _| false)
    }

    #[test]
    fn arms_that_the_outline_does_not_hold_are_seen_in_the_light_of_any_lamp() {
        let one = in_the_light(&[12.0, 24.0], 3000.0);
        assert_eq!(one.count, 2, "{one:?}");
        assert!((one.total_um - 36.0 * 0.325).abs() < 2.0, "{one:?}");
        assert_eq!(one, in_the_light(&[12.0, 24.0], 9000.0));
        assert_eq!(in_the_light(&[], 3000.0), Protrusions::default());
    }
}
