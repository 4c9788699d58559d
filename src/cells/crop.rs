//! Crops: the fixed physical box around a cell that the model sees (method.md 5.6-5.7).
//!
//! Takes the raw plane and a centre, gives `[256, 256]` values in 0..=1. The box is 70.5 um wide, centred on the rounded
//! centroid, never padded. Each crop is scaled from its own darkest to its own brightest pixel, resized with a
//! bicubic kernel (a = -0.5, half-pixel centres, widened when the box has more pixels than the crop) and rounded to the
//! 256 grey values of the pictures that the model was trained on.

use super::{CROP_SIDE_PX, Crop};
use crate::frame::Plane;
use crate::units::{PixelSize, PointPx};

/// Half the side of the box, um.
const RADIUS_UM: f64 = 35.0;
/// The cubic kernel's parameter.
const A: f64 = -0.5;
/// Rows that are resized at once: as many as stay in registers.
const LANES: usize = 16;
/// A finer pixel than this would make a box of a hundred thousand pixels a side; no frame holds it.
const LARGEST_RADIUS_PX: f64 = 30_000.0;

/// Radius of the box in pixels; its side is twice that plus one.
pub fn radius_px(pixel_size: PixelSize) -> usize {
    pixel_size.px_from_um(RADIUS_UM).round().clamp(1.0, LARGEST_RADIUS_PX) as usize
}

/// Cuts the box around `centre` out of `raw` and prepares it for the model.
///
/// `raw`: `[height, width]` camera counts. Gives `[256, 256]` values in 0..=1 (whole 255ths); a box of one single value
/// gives zeros. `None` when the box does not lie wholly inside the plane or `centre` is not a place.
pub fn cut(raw: &Plane, centre: PointPx, pixel_size: PixelSize) -> Option<Crop> {
    Cutter::new(pixel_size).cut(raw, centre)
}

/// Cuts crops of one pixel size; keeps the kernel's weights between crops.
#[derive(Debug, Clone)]
pub struct Cutter {
    radius: usize,
    taps: usize,
    /// For each of the 256 outputs: the first input pixel, clamped reads beyond the box's edges folded in.
    first: Vec<usize>,
    /// `[256, taps]`, each row sums to 1.
    weights: Vec<f32>,
}

impl Cutter {
    /// A cutter for frames of `pixel_size`.
    pub fn new(pixel_size: PixelSize) -> Self {
        let radius = radius_px(pixel_size);
        let side = 2 * radius + 1;
        let scale = CROP_SIDE_PX as f64 / side as f64;
        // Shrinking widens the kernel so that it averages, enlarging leaves it as it is.
        let widen = scale.min(1.0);
        let reach = 2.0 / widen;
        // Where one more falls within reach, both ends have no weight.
        let taps = ((2.0 * reach).ceil() as usize).min(side);
        let mut first = Vec::with_capacity(CROP_SIDE_PX);
        let mut weights = vec![0.0; CROP_SIDE_PX * taps];
        for (output, row) in weights.chunks_exact_mut(taps).enumerate() {
            let at = (output as f64 + 0.5) / scale - 0.5;
            let left = (at - reach).ceil() as i64;
            let start = left.clamp(0, (side - taps) as i64);
            let last = side as i64 - 1;
            let reads: Vec<(i64, f64)> = (left..=(at + reach).floor() as i64)
                .map(|input| (mirror(input, last), cubic(widen * (at - input as f64))))
                .collect();
            let sum: f64 = reads.iter().map(|read| read.1).sum();
            let mut exact = vec![0.0; taps];
            for (input, weight) in reads {
                if let Some(slot) = usize::try_from(input - start).ok().and_then(|index| exact.get_mut(index)) {
                    *slot += weight / sum;
                }
            }
            for (slot, value) in row.iter_mut().zip(exact) {
                *slot = value as f32;
            }
            first.push(start as usize);
        }
        Self { radius, taps, first, weights }
    }

    /// As [`cut`], for this cutter's pixel size.
    pub fn cut(&self, raw: &Plane, centre: PointPx) -> Option<Crop> {
        let side = 2 * self.radius + 1;
        let left = place(centre.x)?.checked_sub(self.radius)?;
        let top = place(centre.y)?.checked_sub(self.radius)?;
        if left + side > raw.width_px() || top + side > raw.height_px() {
            return None;
        }
        let rows = raw.counts().chunks_exact(raw.width_px()).skip(top).take(side);
        let mut pixels = Vec::with_capacity(side * side);
        for row in rows {
            pixels.extend_from_slice(row.get(left..left + side)?);
        }
        normalise(&mut pixels);
        Crop::new(self.resize(&pixels, side))
    }

    /// Rows first, then columns; the result clipped to 0..=1 and rounded to whole 255ths.
    #[expect(clippy::indexing_slicing, reason = "first + taps <= side by construction; narrow holds side * 256 values")]
    fn resize(&self, source: &[f32], side: usize) -> Vec<f32> {
        let mut narrow = vec![0.0_f32; side * CROP_SIDE_PX];
        // Several rows at once, side by side: they share the weights.
        let mut turned = vec![[0.0_f32; LANES]; side];
        for (inputs, outputs) in source.chunks(LANES * side).zip(narrow.chunks_mut(LANES * CROP_SIDE_PX)) {
            for (lane, row) in inputs.chunks_exact(side).enumerate() {
                for (values, &value) in turned.iter_mut().zip(row) {
                    values[lane] = value;
                }
            }
            for (column, (&first, weights)) in self.first.iter().zip(self.weights.chunks_exact(self.taps)).enumerate() {
                let mut sums = [0.0_f32; LANES];
                for (values, weight) in turned[first..first + self.taps].iter().zip(weights) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += value * weight;
                    }
                }
                for (row, sum) in outputs.chunks_exact_mut(CROP_SIDE_PX).zip(sums) {
                    row[column] = sum;
                }
            }
        }
        let mut pixels = vec![0.0_f32; CROP_SIDE_PX * CROP_SIDE_PX];
        let rows = pixels.chunks_exact_mut(CROP_SIDE_PX).zip(&self.first).zip(self.weights.chunks_exact(self.taps));
        for ((output, &first), weights) in rows {
            let inputs = narrow[first * CROP_SIDE_PX..].chunks_exact(CROP_SIDE_PX);
            for (block, left) in output.as_chunks_mut::<LANES>().0.iter_mut().zip((0..).step_by(LANES)) {
                for (input, &weight) in inputs.clone().zip(weights) {
                    for (sum, value) in block.iter_mut().zip(&input[left..left + LANES]) {
                        *sum += value * weight;
                    }
                }
                for value in block {
                    *value = whole(value.clamp(0.0, 1.0) * 255.0 + 0.5) / 255.0;
                }
            }
        }
        pixels
    }
}

/// The whole part of a value of 0..=256: as `floor`, but for many values at once.
fn whole(value: f32) -> f32 {
    // From here on an f32 holds whole numbers only, so that adding it rounds.
    const ONLY_WHOLE: f32 = 8_388_608.0;
    let nearest = (value + ONLY_WHOLE) - ONLY_WHOLE;
    if nearest > value { nearest - 1.0 } else { nearest }
}

/// From the darkest to the brightest pixel as 0..=1; a single value gives zeros.
fn normalise(pixels: &mut [f32]) {
    let (low, high) = extremes(pixels);
    let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
    for value in pixels {
        let share = (f64::from(*value) - low) / range;
        *value = if share.is_finite() { share as f32 } else { 0.0 };
    }
}

/// The least and the greatest of the finite values; several at a time, for the order does not matter.
fn extremes(pixels: &[f32]) -> (f32, f32) {
    let mut lanes = [(f32::INFINITY, f32::NEG_INFINITY); 8];
    for run in pixels.chunks(lanes.len()) {
        for ((low, high), &value) in lanes.iter_mut().zip(run) {
            let finite = value.is_finite();
            *low = if finite && value < *low { value } else { *low };
            *high = if finite && value > *high { value } else { *high };
        }
    }
    lanes.into_iter().fold((f32::INFINITY, f32::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// The coordinate rounded half up, when it is a place in a frame.
fn place(coordinate_px: f64) -> Option<usize> {
    let rounded = (coordinate_px + 0.5).floor();
    (0.0..1e9).contains(&rounded).then_some(rounded as usize)
}

/// Reads beyond the edge see the picture mirrored there (edge pixel repeated), as MATLAB's imresize does.
fn mirror(index: i64, last: i64) -> i64 {
    let period = 2 * (last + 1);
    let inside = index.rem_euclid(period);
    if inside > last { period - 1 - inside } else { inside }
}

/// The cubic convolution kernel with a = -0.5.
fn cubic(distance: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests;
