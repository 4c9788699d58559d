//! Protrusions: the pseudopodial extensions of one outlined cell (formula in `docs/shape.md`).
//!
//! The cell's body is what an inscribed disc can sweep; what sticks out of it, narrower than that disc, and reaches far
//! enough, is a protrusion. Pseudopods are a micrometre wide, finer than any outline of a whole cell: what is darker than
//! its surroundings, narrow, and hangs on the cell is looked for in the light itself.

use super::body::Body;
use super::grid::{Grid, View};
use super::mask::{Mask, neighbours};
use crate::frame::CorrectedFrame;
use crate::units::PixelSize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The sweeping disc's radius as a share of the largest inscribed circle's.
const DISC_SHARE: f32 = 0.45;
/// The sweeping disc is never wider than this radius, um: thicker arms are body.
const WIDEST_UM: f32 = 3.0;
/// Round the body lies a rim this wide, um: opening rounds corners, and membranes are dark lines too.
const RIM_UM: f32 = 1.6;
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

/// Measures the protrusions of a cell with this `body` in a frame of this noise ([`scattering::noise`](super::scattering::noise)).
/// `foreign` tells the frame's pixels that belong to other cells.
pub(super) fn of_body(
    frame: &CorrectedFrame,
    body: &Body,
    (pixel_size, noise): (PixelSize, f32),
    foreign: impl Fn(usize, usize) -> bool,
) -> Protrusions {
    let um = pixel_size.um() as f32;
    let Some(swept) = swept(body, um) else { return Protrusions::default() };
    let line = (pixel_size.px_from_um(LINE_UM).round() as usize).max(1);
    let reach = pixel_size.px_from_um(REACH_UM) as f32;
    let margin = reach.ceil() as usize + line;
    let frame_width = frame.raw.width_px();
    let (left, top) = (body.left.saturating_sub(margin), body.top.saturating_sub(margin));
    let view = View {
        left,
        top,
        right: (body.left + body.inside.width + margin).min(frame_width),
        bottom: (body.top + body.inside.height + margin).min(frame.raw.height_px()),
    };
    let (width, height) = (view.width(), view.height());
    let light = Grid { width, height, values: view.copied(&frame.relative, frame_width) };
    let closed = light.closed(line);
    let least = DARKER.max(NOISE_SD * noise);
    let wide = |mask: &Mask| mask.placed((body.left - left, body.top - top), (width, height));
    let cell = wide(&body.inside);
    let dark: Vec<bool> = closed.values.iter().zip(&light.values).map(|(around, own)| around - own > least).collect();
    let mut lines = cell.near(&dark, reach);
    for (at, is_line) in lines.iter_mut().enumerate().filter(|(_, is_line)| **is_line) {
        *is_line = !foreign(left + at % width, top + at / width);
    }
    measure(&cell, &wide(&swept), &lines, um)
}

/// What an inscribed disc can sweep of a cell; `None` when the cell is too small for a disc.
fn swept(body: &Body, pixel_um: f32) -> Option<Mask> {
    let disc = (DISC_SHARE * body.deepest.sqrt()).min(WIDEST_UM / pixel_um);
    (disc >= 1.0).then(|| body.deeper(disc).widened(disc))
}

/// Measures the protrusions of `cell`, of which a disc sweeps `swept` and dark `lines` may be a part too; `um` a pixel.
fn measure(cell: &Mask, swept: &Mask, lines: &[bool], um: f32) -> Protrusions {
    let near = swept.widened((RIM_UM / um).max(1.0));
    let own = cell.inside.iter().zip(lines).map(|(&own, &line)| own || line);
    let arms = own.zip(&near.inside).map(|(own, &body)| own && !body).collect();
    let arms = Mask { width: cell.width, height: cell.height, inside: arms };
    let parts = arms.parts();
    if parts.count == 0 {
        return Protrusions::default();
    }
    let mut reach = vec![0.0_f32; parts.count as usize + 1];
    for (distance, &part) in distances(&arms, &near).iter().zip(&parts.label) {
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

/// For every pixel of the arms, the length of the shortest way to the body inside the arms, px (0 elsewhere and where no
/// way leads).
#[expect(clippy::indexing_slicing, reason = "pixels are within the mask")]
fn distances(arms: &Mask, body: &Mask) -> Vec<f32> {
    let (width, height) = (arms.width, arms.height);
    let mut best = vec![u32::MAX; arms.inside.len()];
    let mut open = BinaryHeap::new();
    let steps = |at: usize| {
        neighbours(at, width, height, true).map(move |next| {
            let straight = next % width == at % width || next / width == at / width;
            (next, if straight { PARTS_PER_PX } else { PARTS_PER_PX * std::f32::consts::SQRT_2 } as u32)
        })
    };
    // Ways begin where the arms touch the body.
    for at in (0..best.len()).filter(|&at| arms.inside[at]) {
        if let Some(first) = steps(at).filter(|(next, _)| body.inside[*next]).map(|(_, step)| step).min() {
            best[at] = first;
            open.push(Reverse((first, at)));
        }
    }
    while let Some(Reverse((far, at))) = open.pop() {
        if far > best[at] {
            continue;
        }
        for (next, step) in steps(at) {
            let there = far.saturating_add(step);
            if arms.inside[next] && there < best[next] {
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
    use crate::units::PointPx;

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
        let body = Body::of_mask(cell.clone());
        swept(&body, 0.325).map_or_else(Protrusions::default, |swept| measure(cell, &swept, &cell.inside, 0.325))
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
        let body = Body::of(&circle, (side, side)).unwrap();
        of_body(&correct(plane, PixelSize::PAPER), &body, (PixelSize::PAPER, 0.01), |_, _| false)
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
