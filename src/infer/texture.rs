//! Grain of a crop at four scales, and the first features of a descriptor read from it.
//!
//! Sixteen 4 x 4 cosine patterns see the crop at 1/2, 1/4, 1/8 and 1/16 of its size; the logarithm of how strongly each one
//! answers is averaged over 8 x 8 parts of the crop. A linear readout gives the first [`READ`] features. That is a wavelet
//! scattering of first order with logarithms (Anden and Mallat 2014): granules and pseudopods are grain, and grain is what an
//! autoencoder that is asked for pictures forgets first.
//!
//! Crops that are turned or mirrored give the same features: parts at the same distance from the middle, and patterns that
//! are each other's transpose, share their weight ([`group`]).

use crate::cells::CROP_SIDE_PX;

/// Features that are read from the grain: the first ones of a descriptor.
pub const READ: usize = 2;
/// Scales: the crop's 2 x 2 means, and those halved three times.
pub const SCALES: usize = 4;
/// Patterns, the constant one among them.
pub const PATTERNS: usize = 16;
/// Parts along a side.
pub const PARTS: usize = 8;
/// All numbers of one crop.
pub const FLAT: usize = SCALES * PATTERNS * PARTS * PARTS;
/// Added before the logarithm: answers below it are noise of 8-bit crops.
pub const FLOOR: f32 = 0.003;
/// Side of a pattern, px.
const SIDE: usize = 4;
/// Upper ends of the rings of parts about the middle, in parts.
const RINGS: [f64; 6] = [1.0, 1.8, 2.6, 3.3, 4.1, 9.0];
/// Patterns of one scale that differ by more than a transpose.
const PAIRS: usize = SIDE * (SIDE + 1) / 2;
/// Numbers that no turn and no mirror changes.
pub const GROUPS: usize = SCALES * PAIRS * RINGS.len();

/// Linear readout of the grain: `READ` features.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Readout {
    /// `[READ, GROUPS]`, weights of the groups' means.
    pub weight: Vec<f32>,
    /// `[READ]`.
    pub bias: Vec<f32>,
}

/// The patterns, `[16, 4, 4]`: products of the four cosines of the discrete cosine transform, each of unit length.
pub fn patterns() -> Vec<f32> {
    let cosine = |k: usize, i: usize| {
        let scale = if k == 0 { 0.5 } else { 0.5_f64.sqrt() };
        scale * (std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / SIDE as f64).cos()
    };
    let mut all = Vec::with_capacity(PATTERNS * SIDE * SIDE);
    for (a, b) in (0..SIDE).flat_map(|a| (0..SIDE).map(move |b| (a, b))) {
        all.extend((0..SIDE * SIDE).map(|at| (cosine(a, at / SIDE) * cosine(b, at % SIDE)) as f32));
    }
    all
}

/// The group of number `index` of [`FLAT`]; the flat index runs over scale, pattern, row, column of the part.
pub fn group(index: usize) -> usize {
    let (part, pattern) = (index % (PARTS * PARTS), index / (PARTS * PARTS) % PATTERNS);
    let scale = index / (PARTS * PARTS * PATTERNS);
    let (a, b) = (pattern / SIDE, pattern % SIDE);
    let (low, high) = (a.min(b), a.max(b));
    // Row `low` of the upper triangle begins after `low` rows that are each one shorter than the one before.
    let pair = low * SIDE - low * low.saturating_sub(1) / 2 + high - low;
    let middle = (PARTS as f64 - 1.0) / 2.0;
    let distance = ((part / PARTS) as f64 - middle).hypot((part % PARTS) as f64 - middle);
    let ring = RINGS.iter().position(|end| distance < *end).unwrap_or(RINGS.len() - 1);
    (scale * PAIRS + pair) * RINGS.len() + ring
}

/// How many numbers share each group.
pub fn group_sizes() -> Vec<f64> {
    let mut sizes = vec![0.0; GROUPS];
    for index in 0..FLAT {
        if let Some(size) = sizes.get_mut(group(index)) {
            *size += 1.0;
        }
    }
    sizes
}

impl Readout {
    /// Weights on all [`FLAT`] numbers, `[READ, FLAT]`.
    pub fn flat_weight(&self) -> Vec<f32> {
        let sizes = group_sizes();
        let of = |row: &[f32], index: usize| {
            let group = group(index);
            let size = sizes.get(group).copied().unwrap_or(1.0);
            row.get(group).map_or(0.0, |weight| (f64::from(*weight) / size) as f32)
        };
        self.weight
            .chunks(GROUPS)
            .flat_map(|row| (0..FLAT).map(move |index| of(row, index)).collect::<Vec<_>>())
            .collect()
    }

    /// The features of a crop whose groups are `grain`.
    pub fn read(&self, grain: &[f32]) -> [f32; READ] {
        let mut features = [0.0; READ];
        for ((feature, row), bias) in features.iter_mut().zip(self.weight.chunks(GROUPS)).zip(&self.bias) {
            let sum: f64 = row.iter().zip(grain).map(|(weight, value)| f64::from(*weight) * f64::from(*value)).sum();
            *feature = (sum + f64::from(*bias)) as f32;
        }
        features
    }

    /// Whether it has as many finite numbers as it must have.
    pub fn is_sound(&self) -> bool {
        let finite = self.weight.iter().chain(&self.bias).all(|number| number.is_finite());
        finite && self.weight.len() == READ * GROUPS && self.bias.len() == READ
    }
}

/// The groups' means for a crop's 2 x 2 means, `[128, 128]`.
pub fn grain(picture: &[f32]) -> Vec<f32> {
    let (patterns, sizes) = (patterns(), group_sizes());
    let groups: Vec<usize> = (0..FLAT).map(group).collect();
    let mut sums = vec![0.0_f64; GROUPS];
    let (mut picture, mut side) = (picture.to_vec(), CROP_SIDE_PX / 2);
    for scale in 0..SCALES {
        if scale > 0 {
            picture = halved(&picture, side);
            side /= 2;
        }
        let answers = side / 2;
        let per_part = (answers / PARTS).max(1);
        let share = 1.0 / (per_part * per_part) as f64;
        for (y, x) in (0..answers).flat_map(|y| (0..answers).map(move |x| (y, x))) {
            let patch = patch(&picture, side, y, x);
            let part = (y / per_part) * PARTS + x / per_part;
            for (number, pattern) in patterns.chunks_exact(SIDE * SIDE).enumerate() {
                let answer: f32 = pattern.iter().zip(&patch).map(|(weight, value)| weight * value).sum();
                let index = (scale * PATTERNS + number) * PARTS * PARTS + part;
                if let Some(sum) = groups.get(index).and_then(|group| sums.get_mut(*group)) {
                    *sum += f64::from((answer.abs() + FLOOR).ln()) * share;
                }
            }
        }
    }
    sums.iter().zip(sizes).map(|(sum, size)| (sum / size) as f32).collect()
}

/// `picture` averaged over 2 x 2 pixels; `side` is even.
pub fn halved(picture: &[f32], side: usize) -> Vec<f32> {
    let mut half = Vec::with_capacity(picture.len() / 4);
    for rows in picture.chunks_exact(2 * side) {
        let (upper, lower) = rows.split_at(side);
        for (a, b) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
            half.push((a.iter().sum::<f32>() + b.iter().sum::<f32>()) / 4.0);
        }
    }
    half
}

/// The 4 x 4 pixels that answer (`y`, `x`) sees: stride 2, one pixel of zeros around the picture.
fn patch(picture: &[f32], side: usize, y: usize, x: usize) -> [f32; SIDE * SIDE] {
    std::array::from_fn(|at| {
        let (row, column) = ((2 * y + at / SIDE).checked_sub(1), (2 * x + at % SIDE).checked_sub(1));
        match (row, column) {
            (Some(row), Some(column)) if row < side && column < side => {
                picture.get(row * side + column).copied().unwrap_or_default()
            }
            _ => 0.0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_all_there_and_transposes_share_one() {
        let sizes = group_sizes();
        assert!(sizes.iter().all(|size| *size > 0.0), "{sizes:?}");
        assert!((sizes.iter().sum::<f64>() - FLAT as f64).abs() < 1e-9);
        let index = |pattern: usize, part: usize| pattern * PARTS * PARTS + part;
        assert_eq!(group(index(1, 3)), group(index(4, 24)), "pattern (0, 1) and (1, 0), part (0, 3) and (3, 0)");
        assert_ne!(group(index(1, 3)), group(index(2, 3)));
    }

    #[test]
    fn turning_a_crop_does_not_change_its_grain() {
        let side = CROP_SIDE_PX / 2;
        let picture: Vec<f32> = (0..side * side).map(|i| ((i * i % 977) as f32 / 977.0).powi(2)).collect();
        let mut turned = vec![0.0; side * side];
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            turned[x * side + side - 1 - y] = picture[y * side + x];
        }
        for (a, b) in grain(&picture).iter().zip(grain(&turned)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
