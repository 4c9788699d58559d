//! Sharpness and saturation of a whole frame.

use crate::units::PixelSize;

/// The short distance over which light is compared, um: about what a 10x..20x objective resolves.
const FINE_UM: f64 = 0.9;
/// The long distance is this many short ones.
const COARSE_STEPS: usize = 8;
/// Only the strongest share of places speaks: the outlines of cells, not the empty substrate.
const STRONGEST_SHARE: f64 = 0.02;
/// At most about this many places are looked at.
const PLACES: usize = 200_000;

/// What [`sharpness`] measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sharpness {
    /// Change of light over a short distance divided by that over a long one, at the strongest edges; about 0..=1,
    /// more when the strongest edges are noise.
    pub(super) focus: f64,
}

/// How sharp the edges of what is in the frame are.
///
/// `relative`: `[height, width]`, dimensionless, about 1 on empty substrate. At the places where light changes most over
/// 0.9 um, the share that this is of the change over 7.2 um round the same place (as root mean square). A defocused edge
/// spreads over many um, so the share falls; the brightness and the number of cells do not matter.
#[expect(
    clippy::indexing_slicing,
    reason = "all reads lie within half the coarse distance of the place, inside the frame"
)]
pub(super) fn sharpness(relative: &[f32], width: usize, height: usize, pixel_size: PixelSize) -> Sharpness {
    let fine = (pixel_size.px_from_um(FINE_UM).round() as usize).max(1);
    let (half, wide) = (fine.div_ceil(2), fine * COARSE_STEPS / 2);
    if width <= 2 * wide || height <= 2 * wide || relative.len() < width * height {
        return Sharpness { focus: 0.0 };
    }
    let stride = (width * height).div_ceil(PLACES).isqrt().max(1);
    let mut changes = Vec::new();
    for y in (wide..height - wide).step_by(stride) {
        for x in (wide..width - wide).step_by(stride) {
            let at = y * width + x;
            let square = |reach: usize| {
                let across = relative[at + reach] - relative[at - reach];
                let down = relative[at + reach * width] - relative[at - reach * width];
                across * across + down * down
            };
            changes.push((square(half), square(wide)));
        }
    }
    let strongest = ((changes.len() as f64 * STRONGEST_SHARE).ceil() as usize).clamp(1, changes.len());
    // Ordered by both, so that the same places are summed in the same order everywhere.
    let order = |a: &(f32, f32), b: &(f32, f32)| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1));
    if strongest < changes.len() {
        changes.select_nth_unstable_by(strongest, order);
        changes.truncate(strongest);
    }
    changes.sort_unstable_by(order);
    let (short, long) = changes.iter().fold((0.0, 0.0), |(s, l), c| (s + f64::from(c.0), l + f64::from(c.1)));
    let focus = if long > 0.0 && long.is_finite() && short.is_finite() { (short / long).sqrt() } else { 0.0 };
    Sharpness { focus }
}

/// How many pixels of a row are at the camera's full scale.
pub(super) fn saturated(row: &[f32], full_scale_counts: f32) -> u32 {
    row.iter().map(|&count| u32::from(count >= full_scale_counts)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Discs of 30 px whose edge runs over `blur` px.
    fn discs(blur: f32) -> Vec<f32> {
        let disc = |x: usize, y: usize| {
            let r = ((x % 80) as f32 - 40.0).hypot((y % 80) as f32 - 40.0);
            1.0 - 0.4 / (1.0 + ((r - 15.0) / blur).exp())
        };
        (0..320 * 320).map(|i| disc(i % 320, i / 320)).collect()
    }

    #[test]
    fn blur_lowers_the_focus() {
        let measured: Vec<f64> =
            [0.3, 1.0, 2.0, 4.0].iter().map(|&b| sharpness(&discs(b), 320, 320, PixelSize::PAPER).focus).collect();
        assert!(measured.windows(2).all(|pair| pair[0] > 1.15 * pair[1]), "{measured:?}");
    }

    #[test]
    fn full_scale_pixels_are_counted() {
        assert_eq!(saturated(&[255.0, 3.0, 255.0, 254.0], 255.0), 2);
        assert_eq!(saturated(&[], 255.0), 0);
    }
}
