//! What the cell finder learns by.

use crate::infer::unet::MAPS;
use crate::learn::kernels::sigmoid;
use crate::learn::unet::lanes::{LANES, Map};

/// Numbers that are wanted for a pixel: inside, depth, and how much the pixel counts.
pub(super) const WANTED: usize = 3;

/// Mean cross-entropy of the logits against what is `wanted` (`[LANES, side, side, WANTED]`), each pixel counted by its
/// weight; the logits become its gradient.
pub(super) fn cross_entropy(logits: &mut Map, wanted: &[f32]) -> f64 {
    let side = logits.width;
    let scale = 1.0 / (LANES * side * side * MAPS) as f32;
    let mut loss = 0.0_f64;
    for (y, row) in logits.rows_mut().enumerate() {
        let mut sum = 0.0_f32;
        for (lane, wanted) in wanted.chunks_exact(side * side * WANTED).enumerate() {
            let line = wanted.get(y * side * WANTED..(y + 1) * side * WANTED).unwrap_or_default();
            for (pixel, wanted) in row.chunks_exact_mut(MAPS * LANES).zip(line.chunks_exact(WANTED)) {
                let [inside, depth, weight] = *wanted else { continue };
                for (logit, target) in pixel.iter_mut().skip(lane).step_by(LANES).zip([inside, depth]) {
                    let x = *logit;
                    sum += weight * (x.max(0.0) - x * target + (-x.abs()).exp().ln_1p());
                    *logit = weight * scale * (sigmoid(x) - target);
                }
            }
        }
        loss += f64::from(sum * scale);
    }
    loss
}
