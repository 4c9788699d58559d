//! Scattering: bright and fine-grained light in one cell (formula in `docs/shape.md`).
//!
//! A grain is seen through the cell that it lies in: how strong it looks depends on the phase that the light has there. So the fine
//! grain is held against the coarse one of the same place, which is seen through the same phase, and the camera's noise is taken off.

use super::body::Body;
use super::grid::Grid;
use super::mask::Mask;
use crate::frame::CorrectedFrame;
use crate::units::PixelSize;

/// What a smoothing by this takes away is fine grain, um.
const FINE_UM: f64 = 0.2;
/// What a further smoothing by this takes away is coarse, um.
const COARSE_UM: f64 = 0.6;
/// Fine and coarse grain are compared within about this distance, um.
const NEAR_UM: f64 = 1.0;
/// Only pixels at least this share of the cell's largest depth inside count: rim and halo are as sharp as grain.
const DEEP_SHARE: f32 = 0.35;
/// Added to the coarse grain: where there is next to none, nothing is compared (natural logarithm of light).
const LEAST_COARSE: f32 = 0.02;
/// The fineness moves within a narrow range: this power of it grows as area and light do ...
const POWER: i32 = 6;
/// ... and a cell as fine as this throughout would scatter with its whole inner area: somewhat finer than any simulated one.
const FINEST: f64 = 0.35;
/// Light is taken as never darker than this.
const DARKEST: f32 = 0.05;
/// About so many places of a frame tell its noise.
const PLACES: usize = 800;
/// A normal distribution's standard deviation over the median of its absolute values.
const MEDIAN_TO_SD: f32 = 1.4826;

/// The noise of empty ground in the frame's finest grain: standard deviation of the natural logarithm of light less its smoothing.
///
/// Cells fill less than half of a frame, so the median of a regular sample is the ground's.
pub(super) fn noise(frame: &CorrectedFrame, pixel_size: PixelSize) -> f32 {
    const SIDE: usize = 9;
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    if width < SIDE || height < SIDE {
        return 0.0;
    }
    let step = (width * height / PLACES).isqrt().max(1);
    let sigma = pixel_size.px_from_um(FINE_UM) as f32;
    // A smoothing looks no further than 2.5 times its width.
    let margin = SIDE / 2 - ((2.5 * sigma).ceil() as usize).min(SIDE / 2);
    let side = SIDE - 2 * margin;
    let mut found = Vec::with_capacity(2 * PLACES);
    for top in (0..height - SIDE).step_by(step) {
        for left in (0..width - SIDE).step_by(step) {
            let rows = frame.relative.chunks_exact(width).skip(top + margin).take(side);
            let values = rows.flat_map(|row| row.get(left + margin..left + margin + side).unwrap_or_default());
            let values = values.map(|v| v.max(DARKEST).ln()).collect();
            let place = Grid { width: side, height: side, values };
            let middle = side * side / 2;
            let smooth = place.smoothed(sigma);
            found.extend(place.values.get(middle).zip(smooth.values.get(middle)).map(|(a, b)| (a - b).abs()));
        }
    }
    MEDIAN_TO_SD * median(&mut found)
}

/// The scattering of a cell with this `body`, in a frame of this [`noise`]: um2.
#[expect(clippy::indexing_slicing, reason = "windows are clamped to the frame, all grids of one window are alike")]
pub(super) fn of_body(frame: &CorrectedFrame, body: &Body, (pixel_size, noise): (PixelSize, f32)) -> f64 {
    let (left, top) = (body.left, body.top);
    let deep = body.squared_depth.iter().map(|d| *d > DEEP_SHARE * DEEP_SHARE * body.deepest).collect();
    let deep = Mask { inside: deep, ..body.inside };
    let px = |um: f64| pixel_size.px_from_um(um) as f32;
    // As far round the deep part as the filters see.
    let margin = (3.0 * (px(COARSE_UM) + px(NEAR_UM))).ceil() as usize;
    let window = filled(&deep);
    let (frame_width, frame_height) = (frame.raw.width_px(), frame.raw.height_px());
    let (from_x, to_x) = ((left + window.0).saturating_sub(margin), (left + window.2 + margin + 1).min(frame_width));
    let (from_y, to_y) = ((top + window.1).saturating_sub(margin), (top + window.3 + margin + 1).min(frame_height));
    let mut light = Vec::with_capacity((to_x - from_x) * (to_y - from_y));
    for y in from_y..to_y {
        light.extend(frame.relative[y * frame_width + from_x..y * frame_width + to_x].iter().map(|v| v.max(DARKEST)));
    }
    let light = Grid { width: to_x - from_x, height: to_y - from_y, values: light };
    let log = light.map(f32::ln);
    let smooth = log.smoothed(px(FINE_UM));
    let broad = log.smoothed(px(COARSE_UM));
    // Shot noise: its variance in the logarithm falls as the light rises.
    let fine = log.zip(&smooth, |a, b| (a - b) * (a - b)).zip(&light, |square, light| square - noise * noise / light);
    let coarse = smooth.zip(&broad, |a, b| (a - b) * (a - b));
    let (fine, coarse) = (fine.smoothed(px(NEAR_UM)), coarse.smoothed(px(NEAR_UM)));
    let fineness = fine.zip(&coarse, |fine, coarse| fine.max(0.0).sqrt() / (coarse.max(0.0).sqrt() + LEAST_COARSE));
    let (mut count, mut sum_light, mut sum_fineness) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (at, _) in deep.inside.iter().enumerate().filter(|(_, deep)| **deep) {
        let (x, y) = (left + at % deep.width - from_x, top + at / deep.width - from_y);
        count += 1.0;
        sum_light += f64::from(light.values[y * light.width + x]);
        sum_fineness += f64::from(fineness.values[y * fineness.width + x]);
    }
    // The deepest pixel itself is always among them.
    pixel_size.um2_from_px2(count) * (sum_light / count).sqrt() * (sum_fineness / count / FINEST).powi(POWER)
}

/// First and last column and row of what is inside: left, top, right, bottom.
fn filled(mask: &Mask) -> (usize, usize, usize, usize) {
    let places = mask.inside.iter().enumerate().filter(|(_, inside)| **inside);
    places.fold((usize::MAX, usize::MAX, 0, 0), |(left, top, right, bottom), (at, _)| {
        let (x, y) = (at % mask.width, at / mask.width);
        (left.min(x), top.min(y), right.max(x), bottom.max(y))
    })
}

/// The upper median, 0 of nothing; orders `values` as far as that takes.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Plane, correct};
    use crate::units::PointPx;

    /// A bright disc of 9 um with broad shades, on which every third pixel is brighter by `grain`; shot noise of a camera that
    /// gives `counts` for the ground.
    fn frame(grain: f32, counts: f32) -> CorrectedFrame {
        let side = 256;
        let mut state = 7_u32;
        let mut deviate = || {
            let mut sum = -6.0_f32;
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sum += (state >> 8) as f32 / 16_777_216.0;
            }
            sum
        };
        let values = (0..side * side).map(|at| {
            let (x, y) = ((at % side) as f32 - 128.0, (at / side) as f32 - 128.0);
            let inside = x.hypot(y) < 28.0;
            let shade = if inside { 1.5 + 0.2 * (x / 4.0).sin() * (y / 4.0).cos() } else { 1.0 };
            let light = if inside && at % 3 == 0 { shade + grain } else { shade };
            light * counts + (0.9 * light * counts).sqrt() * deviate()
        });
        correct(Plane::new(side, side, values.collect(), 65_535.0).unwrap(), PixelSize::PAPER)
    }

    fn measured(frame: &CorrectedFrame) -> f64 {
        let turn = |k: u32| f64::from(k).to_radians() * 6.0;
        let circle: Vec<PointPx> =
            (0..60).map(|k| PointPx { x: 128.0 + 28.0 * turn(k).cos(), y: 128.0 + 28.0 * turn(k).sin() }).collect();
        let body = Body::of(&circle, (256, 256)).unwrap();
        of_body(frame, &body, (PixelSize::PAPER, noise(frame, PixelSize::PAPER)))
    }

    #[test]
    fn grainier_light_scatters_more() {
        let found: Vec<f64> = [0.0, 0.05, 0.1, 0.2].map(|grain| measured(&frame(grain, 3000.0))).to_vec();
        assert!(found.windows(2).all(|pair| pair[1] > 1.5 * pair[0]), "{found:?}");
    }

    #[test]
    fn another_lamp_does_not_change_it() {
        let (dim, bright) = (measured(&frame(0.1, 2600.0)), measured(&frame(0.1, 3800.0)));
        assert!((dim / bright).ln().abs() < 0.15, "{dim} {bright}");
    }
}
