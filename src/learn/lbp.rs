//! Local binary patterns: the texture baseline of method.md 8.
//!
//! Takes a crop, gives 40 features: at each of four scales (1, 1/2, 1/4, 1/8, by 2 x 2 means) the share of pixels whose
//! eight neighbours on a circle of radius 1 form each of the 10 rotation-invariant uniform patterns (Ojala 2002): 0..=8
//! neighbours at least as bright in one run, or anything else.

use super::dataset::halved;
use crate::cells::{CROP_SIDE_PX, Crop};
use std::f32::consts::FRAC_1_SQRT_2;

/// Scales, each half the one before.
pub const SCALES: usize = 4;
/// Rotation-invariant uniform patterns of eight neighbours.
pub const BINS: usize = 10;
/// A neighbour counts as brighter from this much below the centre on: interpolating a flat picture is not exact.
const TOLERANCE: f32 = 1e-6;

/// The histogram at each scale, one after the other; each sums to 1.
pub fn histogram(crop: &Crop) -> Vec<f64> {
    let (mut picture, mut side) = (crop.pixels().to_vec(), CROP_SIDE_PX);
    let mut all = Vec::with_capacity(SCALES * BINS);
    for scale in 0..SCALES {
        if scale > 0 {
            picture = halved(&picture, side);
            side /= 2;
        }
        let mut counts = [0.0_f64; BINS];
        for y in 1..side - 1 {
            for x in 1..side - 1 {
                if let Some(count) = counts.get_mut(pattern(&picture, side, x, y)) {
                    *count += 1.0;
                }
            }
        }
        let total: f64 = counts.iter().sum();
        all.extend(counts.iter().map(|count| count / total));
    }
    all
}

/// The pattern around an inner pixel, 0..=9.
#[expect(clippy::indexing_slicing, reason = "1 <= x, y <= side - 2 and the picture holds side * side values")]
fn pattern(picture: &[f32], side: usize, x: usize, y: usize) -> usize {
    let row = |dy: usize| &picture[(y + dy - 1) * side + x - 1..(y + dy - 1) * side + x + 2];
    let (above, level, below) = (row(0), row(1), row(2));
    let centre = level[1];
    // Diagonal neighbours lie at 1 / sqrt 2 in x and in y: bilinear between centre, two sides and corner.
    let near = FRAC_1_SQRT_2;
    let diagonal = |corner: f32, side_x: f32, side_y: f32| {
        let far = 1.0 - near;
        near * near * corner + near * far * (side_x + side_y) + far * far * centre
    };
    let neighbours = [
        level[2],
        diagonal(above[2], level[2], above[1]),
        above[1],
        diagonal(above[0], level[0], above[1]),
        level[0],
        diagonal(below[0], level[0], below[1]),
        below[1],
        diagonal(below[2], level[2], below[1]),
    ];
    let bright = neighbours.map(|value| value >= centre - TOLERANCE);
    let changes = (0..8).filter(|i| bright[*i] != bright[(i + 1) % 8]).count();
    if changes <= 2 { bright.iter().filter(|b| **b).count() } else { BINS - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(value: impl Fn(usize, usize) -> f32) -> Crop {
        Crop::new((0..CROP_SIDE_PX * CROP_SIDE_PX).map(|i| value(i % CROP_SIDE_PX, i / CROP_SIDE_PX)).collect())
            .unwrap()
    }

    #[test]
    fn a_flat_picture_is_all_equal_and_a_ramp_is_half_brighter() {
        let flat = histogram(&crop(|_, _| 0.5));
        assert_eq!(flat.len(), SCALES * BINS);
        assert!(flat.chunks(BINS).all(|bins| (bins[8] - 1.0).abs() < 1e-12), "{flat:?}");
        let ramp = histogram(&crop(|x, _| x as f32 / 255.0));
        assert!(ramp.chunks(BINS).all(|bins| (bins[5] - 1.0).abs() < 1e-12), "{ramp:?}");
    }

    #[test]
    fn turning_a_picture_changes_nothing() {
        let value = |x: usize, y: usize| ((x * 7 + y * 13 + x * y) % 31) as f32 / 31.0;
        let (plain, turned) = (histogram(&crop(value)), histogram(&crop(|x, y| value(y, CROP_SIDE_PX - 1 - x))));
        for (a, b) in plain.iter().zip(&turned) {
            assert!((a - b).abs() < 1e-12);
        }
        assert!((plain.iter().sum::<f64>() - SCALES as f64).abs() < 1e-9);
    }
}
