//! A picture of a training: held-out cells above their reconstructions, and the losses by epoch below.

use super::autoencoder::Autoencoder;
use super::dataset::Pictures;
use super::trainer::Epoch;
use crate::picture::{self, PictureError};

/// Cells side by side.
const COLUMNS: usize = 8;
/// Height of the curves, px.
const CURVE_PX: usize = 160;

/// A PNG of the first cells of `held_out`, spread evenly, their reconstructions, and the training (grey) and held-out (white)
/// cross-entropy by epoch, from their lowest to their highest value.
///
/// # Errors
/// When there is nothing to draw.
pub fn png(
    net: &Autoencoder,
    pictures: &Pictures,
    held_out: &[usize],
    history: &[Epoch],
) -> Result<Vec<u8>, PictureError> {
    let side = pictures.side_px();
    let every = (held_out.len() / COLUMNS).max(1);
    let shown: Vec<usize> = held_out.iter().copied().step_by(every).take(COLUMNS).collect();
    let originals = pictures.batch(&shown);
    let drawn = net.decode(&net.describe(pictures, &shown));
    let width = COLUMNS * side;
    let height = 2 * side + CURVE_PX;
    let mut canvas = vec![0; width * height];
    for (row, all) in [originals, drawn].iter().enumerate() {
        for (column, cell) in all.chunks_exact(side * side).enumerate() {
            for (index, value) in cell.iter().enumerate() {
                let (x, y) = (column * side + index % side, row * side + index / side);
                put(&mut canvas, y * width + x, (value * 255.0).round() as u8);
            }
        }
    }
    let training: Vec<f32> = history.iter().map(|epoch| epoch.training.reconstruction).collect();
    let judged: Vec<f32> = history.iter().map(|epoch| epoch.held_out).collect();
    let all = || training.iter().chain(&judged).copied();
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    for (values, grey) in [(training.clone(), 120), (judged.clone(), 255)] {
        curve(&mut canvas, width, &values, (low, high), (2 * side, grey));
    }
    picture::gray_png(width, height, &canvas)
}

fn put(canvas: &mut [u8], at: usize, grey: u8) {
    if let Some(pixel) = canvas.get_mut(at) {
        *pixel = grey;
    }
}

/// A line through `values` over the whole `width` of the canvas, below row `top`.
fn curve(canvas: &mut [u8], width: usize, values: &[f32], (low, high): (f32, f32), (top, grey): (usize, u8)) {
    for x in 0..width {
        let at = x as f32 / (width - 1).max(1) as f32 * values.len().saturating_sub(1) as f32;
        let (left, share) = (at.floor() as usize, at.fract());
        let (Some(from), to) = (values.get(left), values.get(left + 1)) else { return };
        let value = from + share * (to.unwrap_or(from) - from);
        let height = (value - low) / (high - low).max(f32::MIN_POSITIVE);
        let y = top as f32 + 4.0 + (1.0 - height) * (CURVE_PX as f32 - 9.0);
        put(canvas, y.round() as usize * width + x, grey);
    }
}
