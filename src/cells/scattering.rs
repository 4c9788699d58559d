//! Scattering: bright and fine-grained light in and around one cell (formula in `docs/shape.md`).

use super::grid::Grid;
use super::mask::Mask;
use super::outline;
use crate::frame::CorrectedFrame;
use crate::units::{PixelSize, PointPx};

/// How light of fine grain is told from broad shades, um.
pub(super) const GRAIN_UM: f64 = 1.0;
/// How far round the outline the cell's light is looked for, um.
pub(super) const RIM_UM: f64 = 2.5;

/// The mean excess of light above the background plus the root mean square of its fine grain.
///
/// `light`: pairs of (light relative to the background, the same smoothed over [`GRAIN_UM`]) for every pixel of the cell
/// and its rim. Dimensionless; 0 for a place that looks like the background; does not change with the lamp.
pub(super) fn scattering(light: impl Iterator<Item = (f32, f32)>) -> f64 {
    let (mut count, mut excess, mut grain) = (0_u32, 0.0_f64, 0.0_f64);
    for (relative, smooth) in light {
        count += 1;
        excess += f64::from((relative - 1.0).max(0.0));
        grain += f64::from(relative - smooth).powi(2);
    }
    if count == 0 {
        return 0.0;
    }
    let count = f64::from(count);
    excess / count + (grain / count).sqrt()
}

/// The scattering of the cell inside `outline` (frame px) and its rim.
///
/// The light is looked at in the outline's box, widened by the rim; a pixel counts when it lies inside the outline or
/// within the rim's width of it.
#[expect(clippy::indexing_slicing, reason = "the window is clamped to the frame, fill stays inside the window")]
pub(super) fn of_outline(frame: &CorrectedFrame, outline: &[PointPx], pixel_size: PixelSize) -> f64 {
    let (frame_width, frame_height) = (frame.raw.width_px(), frame.raw.height_px());
    let rim = pixel_size.px_from_um(RIM_UM).ceil();
    let bounds = |f: fn(&PointPx) -> f64, size: usize| {
        let low = outline.iter().map(f).fold(f64::INFINITY, f64::min) - rim - 1.0;
        let high = outline.iter().map(f).fold(f64::NEG_INFINITY, f64::max) + rim + 2.0;
        (low.clamp(0.0, size as f64) as usize, high.clamp(0.0, size as f64) as usize)
    };
    let (left, right) = bounds(|p| p.x, frame_width);
    let (top, bottom) = bounds(|p| p.y, frame_height);
    if left >= right || top >= bottom {
        return 0.0;
    }
    let (width, height) = (right - left, bottom - top);
    let mut values = Vec::with_capacity(width * height);
    for y in top..bottom {
        values.extend_from_slice(&frame.relative[y * frame_width + left..y * frame_width + right]);
    }
    let light = Grid { width, height, values };
    let smooth = light.smoothed(pixel_size.px_from_um(GRAIN_UM) as f32);
    let mut inside = vec![false; width * height];
    let moved: Vec<PointPx> = outline.iter().map(|p| PointPx { x: p.x - left as f64, y: p.y - top as f64 }).collect();
    outline::fill(&moved, width, height, |y, from, to| inside[y * width + from..y * width + to].fill(true));
    let reach = Mask { width, height, inside }.widened(rim as f32);
    let pairs = light.values.iter().copied().zip(smooth.values);
    scattering(pairs.zip(reach.inside).filter(|(_, near)| *near).map(|(pair, _)| pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brighter_and_grainier_light_scatters_more() {
        let grains = |bright: f32, grain: f32| {
            scattering((0..100).map(move |i| (1.0 + bright + if i % 2 == 0 { grain } else { -grain }, 1.0 + bright)))
        };
        assert!(scattering(std::iter::empty()).abs() < 1e-12);
        assert!(grains(0.0, 0.0).abs() < 1e-12);
        assert!(grains(0.1, 0.0) > grains(0.05, 0.0));
        assert!(grains(0.1, 0.1) > grains(0.1, 0.02));
    }
}
