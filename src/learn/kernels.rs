//! The autoencoder's inner loops on plain slices: patches for the 4 x 4 stride-2 convolutions, batch norm with `PReLU`,
//! cross-entropy.
//!
//! Pictures are `[batch, height, width, channels]`, row after row. Every sum runs over fixed blocks in a fixed order, so
//! the same input gives the same bits whatever the number of threads.
//!
//! A convolution is [`gather`] and one matrix product, a transposed one is a product and [`scatter`]; the two are each
//! other's adjoint, so each is also the other's gradient.

use rayon::prelude::*;

/// Rows that one thread sums before the partial sums are added up, in order.
const BLOCK_ROWS: usize = 1024;
/// Added to a variance before its root is taken.
pub(super) const EPSILON: f32 = 1e-5;

/// A picture batch's `[batch, height, width, channels]`; height and width are even.
pub(super) type Shape = [usize; 4];

/// The 4 x 4 patches of every second pixel, padded by one: `[batch * height/2 * width/2, 16 * channels]`, the row's index
/// running over kernel row, kernel column, channel.
pub(super) fn gather(picture: &[f32], [_, height, width, channels]: Shape) -> Vec<f32> {
    let line = width * channels;
    let mut patches = vec![0.0; picture.len() * 4];
    patches.par_chunks_mut(width / 2 * 16 * channels).enumerate().for_each(|(row, patch_row)| {
        let (image, out_y) = (row / (height / 2), row % (height / 2));
        for tap_y in 0..4 {
            let Some(y) = (2 * out_y + tap_y).checked_sub(1).filter(|y| *y < height) else { continue };
            let source = picture.get((image * height + y) * line..).unwrap_or_default();
            for (x, patch) in patch_row.chunks_exact_mut(16 * channels).enumerate() {
                let (from, to, skipped) = span(x, width / 2, channels);
                let target = patch.get_mut(tap_y * 4 * channels + skipped..).unwrap_or_default();
                let source = source.get(from..to).unwrap_or_default();
                if let Some(target) = target.get_mut(..source.len()) {
                    target.copy_from_slice(source);
                }
            }
        }
    });
    patches
}

/// Adds patches back to where [`gather`] takes them from; `shape` is the picture's.
pub(super) fn scatter(patches: &[f32], [batch, height, width, channels]: Shape) -> Vec<f32> {
    let line = width * channels;
    let mut picture = vec![0.0; batch * height * line];
    picture.par_chunks_mut(line).enumerate().for_each(|(row, target_row)| {
        let (image, y) = (row / height, row % height);
        // Pixel row y is kernel row (y + 1) % 2 of patch row (y + 1) / 2, and two further down of the patch row above.
        for (patch_y, tap_y) in [(y.div_ceil(2), (y + 1) % 2), (y.div_ceil(2).wrapping_sub(1), (y + 1) % 2 + 2)] {
            if patch_y >= height / 2 {
                continue;
            }
            let from = (image * (height / 2) + patch_y) * (width / 2) * 16 * channels;
            let patch_row = patches.get(from..from + width / 2 * 16 * channels).unwrap_or_default();
            for (x, patch) in patch_row.chunks_exact(16 * channels).enumerate() {
                let (from, to, skipped) = span(x, width / 2, channels);
                let source = patch.get(tap_y * 4 * channels + skipped..).unwrap_or_default();
                for (sum, value) in target_row.get_mut(from..to).unwrap_or_default().iter_mut().zip(source) {
                    *sum += value;
                }
            }
        }
    });
    picture
}

/// Where the four pixels of patch column `x` of `columns` start and end in a pixel line, and how many of the patch's
/// numbers lie left of the line.
fn span(x: usize, columns: usize, channels: usize) -> (usize, usize, usize) {
    let (from, skipped) = if x == 0 { (0, channels) } else { ((2 * x - 1) * channels, 0) };
    let to = if x + 1 == columns { 2 * columns * channels } else { (2 * x + 3) * channels };
    (from, to, skipped)
}

/// Mean and biased variance per channel of `[rows, channels]`.
pub(super) fn moments(values: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = (values.len() / channels).max(1) as f64;
    let sums = block_sums(values, 2 * channels, channels, |block, sums| {
        let (sum, squares) = sums.split_at_mut(channels);
        for row in block.chunks_exact(channels) {
            for ((sum, square), x) in sum.iter_mut().zip(squares.iter_mut()).zip(row) {
                *sum += x;
                *square += x * x;
            }
        }
    });
    let (sum, squares) = sums.split_at(channels);
    let moments = sum.iter().zip(squares).map(|(sum, squares)| {
        let mean = sum / rows;
        (mean as f32, (squares / rows - mean * mean).max(0.0) as f32)
    });
    moments.unzip()
}

/// `count` sums over blocks of rows: single precision inside a block, double and in order across.
fn block_sums(values: &[f32], count: usize, channels: usize, add: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f64> {
    let blocks: Vec<Vec<f32>> = values
        .par_chunks(BLOCK_ROWS * channels)
        .map(|block| {
            let mut sums = vec![0.0; count];
            add(block, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; count];
    for block in &blocks {
        for (total, sum) in total.iter_mut().zip(block) {
            *total += f64::from(*sum);
        }
    }
    total
}

/// What a batch norm with `PReLU` does to one channel: `y = gain * (x - mean) * inverse + bias`, then `slope * y` below 0.
#[derive(Debug, Clone)]
pub(super) struct Norm<'a> {
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
    pub(super) gain: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) slope: f32,
}

impl Norm<'_> {
    fn inverse(&self) -> Vec<f32> {
        self.variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect()
    }

    /// The layer's output for `[rows, channels]`.
    pub(super) fn forward(&self, values: &[f32]) -> Vec<f32> {
        let channels = self.mean.len();
        let factor: Vec<f32> = self.gain.iter().zip(self.inverse()).map(|(gain, inverse)| gain * inverse).collect();
        let centred = self.mean.iter().zip(&factor).zip(self.bias);
        let offset: Vec<f32> = centred.map(|((mean, factor), bias)| bias - mean * factor).collect();
        let mut output = vec![0.0; values.len()];
        let block = BLOCK_ROWS * channels;
        output.par_chunks_mut(block).zip(values.par_chunks(block)).for_each(|(output, values)| {
            for (output, row) in output.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
                for (((output, x), factor), offset) in output.iter_mut().zip(row).zip(&factor).zip(&offset) {
                    let y = x * factor + offset;
                    *output = if y > 0.0 { y } else { y * self.slope };
                }
            }
        });
        output
    }

    /// Gradients of the values, gain, bias and slope, from the output's `gradient`; mean and variance are the batch's own.
    #[expect(clippy::indexing_slicing, reason = "every row and every table holds `channels` numbers")]
    pub(super) fn backward(&self, values: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>, f32) {
        let channels = self.mean.len();
        let rows = (values.len() / channels).max(1) as f64;
        let inverse = self.inverse();
        let (mean, inverse, gain, bias) = (self.mean, &inverse[..channels], self.gain, self.bias);
        let slope = self.slope;
        let mut block_gradients = gradient.chunks(BLOCK_ROWS * channels);
        let pairs: Vec<(&[f32], &[f32])> =
            values.chunks(BLOCK_ROWS * channels).filter_map(|block| Some((block, block_gradients.next()?))).collect();
        let partial: Vec<Vec<f32>> = pairs
            .par_iter()
            .map(|(values, gradient)| {
                let mut sums = vec![0.0; 3 * channels];
                let (gains, rest) = sums.split_at_mut(channels);
                let (biases, slopes) = rest.split_at_mut(channels);
                for (x, g) in values.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
                    for c in 0..channels {
                        let normal = (x[c] - mean[c]) * inverse[c];
                        let y = gain[c] * normal + bias[c];
                        let inner = if y > 0.0 { g[c] } else { g[c] * slope };
                        gains[c] += inner * normal;
                        biases[c] += inner;
                        slopes[c] += if y > 0.0 { 0.0 } else { g[c] * y };
                    }
                }
                sums
            })
            .collect();
        let mut total = vec![0.0_f64; 3 * channels];
        for block in &partial {
            total.iter_mut().zip(block).for_each(|(total, sum)| *total += f64::from(*sum));
        }
        let per_row: Vec<f32> = total.iter().map(|sum| (sum / rows) as f32).collect();
        let mut input = vec![0.0; values.len()];
        let block = BLOCK_ROWS * channels;
        input.par_chunks_mut(block).zip(pairs.par_iter()).for_each(|(input, (values, gradient))| {
            let rows = values.chunks_exact(channels).zip(gradient.chunks_exact(channels));
            for (out, (x, g)) in input.chunks_exact_mut(channels).zip(rows) {
                for c in 0..channels {
                    let normal = (x[c] - mean[c]) * inverse[c];
                    let inner = if gain[c] * normal + bias[c] > 0.0 { g[c] } else { g[c] * slope };
                    out[c] = gain[c] * inverse[c] * (inner - per_row[channels + c] - normal * per_row[c]);
                }
            }
        });
        let sums: Vec<f32> = total.iter().map(|sum| *sum as f32).collect();
        let slope_sum: f64 = total[2 * channels..].iter().sum();
        (input, sums[..channels].to_vec(), sums[channels..2 * channels].to_vec(), slope_sum as f32)
    }
}

/// Mean binary cross-entropy of `sigmoid(logits)` against `targets` in 0..=1.
pub(super) fn cross_entropy(logits: &[f32], targets: &[f32]) -> f32 {
    let blocks: Vec<f64> = logits
        .par_chunks(BLOCK_ROWS)
        .zip(targets.par_chunks(BLOCK_ROWS))
        .map(|(logits, targets)| {
            let terms = logits.iter().zip(targets).map(|(x, t)| x.max(0.0) - x * t + (-x.abs()).exp().ln_1p());
            f64::from(terms.sum::<f32>())
        })
        .collect();
    (blocks.iter().sum::<f64>() / logits.len().max(1) as f64) as f32
}

/// The gradient of `scale *` [`cross_entropy`] by the logits.
pub(super) fn cross_entropy_gradient(logits: &[f32], targets: &[f32], scale: f32) -> Vec<f32> {
    let scale = scale / logits.len().max(1) as f32;
    let mut gradient = vec![0.0; logits.len()];
    gradient
        .par_chunks_mut(BLOCK_ROWS)
        .zip(logits.par_chunks(BLOCK_ROWS))
        .zip(targets.par_chunks(BLOCK_ROWS))
        .for_each(|((gradient, logits), targets)| {
            for ((gradient, x), t) in gradient.iter_mut().zip(logits).zip(targets) {
                *gradient = (sigmoid(*x) - t) * scale;
            }
        });
    gradient
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1..1 without a pattern.
    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn patches_hold_the_padded_pixels_in_kernel_order() {
        let shape = [2, 4, 6, 3];
        let picture = noise(2 * 4 * 6 * 3, 1);
        let patches = gather(&picture, shape);
        assert_eq!(patches.len(), 2 * 2 * 3 * 48);
        for (row, patch) in patches.chunks(48).enumerate() {
            let (image, oy, ox) = (row / 6, row / 3 % 2, row % 3);
            for (k, value) in patch.iter().enumerate() {
                let (ky, kx, c) = (k / 12, k / 3 % 4, k % 3);
                let (y, x) = ((2 * oy + ky) as isize - 1, (2 * ox + kx) as isize - 1);
                let inside = (0..4).contains(&y) && (0..6).contains(&x);
                let expected = if inside { picture[((image * 4 + y as usize) * 6 + x as usize) * 3 + c] } else { 0.0 };
                assert!((value - expected).abs() < 1e-9, "row {row} tap {k}");
            }
        }
    }

    #[test]
    fn scatter_is_the_adjoint_of_gather() {
        for shape in [[2, 4, 6, 3], [1, 2, 2, 1], [3, 8, 8, 5]] {
            let len = shape.iter().product();
            let (picture, patches) = (noise(len, 2), noise(4 * len, 3));
            let (left, right) = (dot(&gather(&picture, shape), &patches), dot(&picture, &scatter(&patches, shape)));
            assert!((left - right).abs() < 1e-4 * left.abs().max(1.0), "{left} {right}");
        }
    }

    #[test]
    fn the_norms_gradients_are_the_differences_quotients() {
        let (channels, rows) = (3, 40);
        let (values, weights) = (noise(channels * rows, 4), noise(channels * rows, 5));
        let (gain, bias, slope) = (vec![1.1, 0.7, -0.4], vec![0.1, -0.2, 0.05], 0.25);
        let loss = |values: &[f32], gain: &[f32], bias: &[f32], slope: f32| {
            let (mean, variance) = moments(values, channels);
            dot(&Norm { mean: &mean, variance: &variance, gain, bias, slope }.forward(values), &weights)
        };
        let (mean, variance) = moments(&values, channels);
        let norm = Norm { mean: &mean, variance: &variance, gain: &gain, bias: &bias, slope };
        let (input, gains, biases, slopes) = norm.backward(&values, &weights);
        let step = 1e-2_f32;
        let quotient = |change: &dyn Fn(f32) -> f64| (change(step) - change(-step)) / f64::from(2.0 * step);
        for at in [0, 7, 50, 119] {
            let numeric = quotient(&|d| {
                let mut moved = values.clone();
                moved[at] += d;
                loss(&moved, &gain, &bias, slope)
            });
            assert!((numeric - f64::from(input[at])).abs() < 2e-2, "value {at}: {numeric} {}", input[at]);
        }
        for c in 0..channels {
            let moved = |table: &[f32], d: f32| {
                table.iter().enumerate().map(|(i, v)| if i == c { v + d } else { *v }).collect::<Vec<_>>()
            };
            let by_gain = quotient(&|d| loss(&values, &moved(&gain, d), &bias, slope));
            let by_bias = quotient(&|d| loss(&values, &gain, &moved(&bias, d), slope));
            assert!((by_gain - f64::from(gains[c])).abs() < 0.2, "gain {c}: {by_gain} {}", gains[c]);
            assert!((by_bias - f64::from(biases[c])).abs() < 0.2, "bias {c}: {by_bias} {}", biases[c]);
        }
        let by_slope = quotient(&|d| loss(&values, &gain, &bias, slope + d));
        assert!((by_slope - f64::from(slopes)).abs() < 1e-2, "slope: {by_slope} {slopes}");
    }

    #[test]
    fn cross_entropy_agrees_with_its_definition_and_its_gradient() {
        let logits = [-3.0_f32, -0.2, 0.0, 1.5];
        let targets = [0.1_f32, 0.9, 0.5, 1.0];
        let direct: f32 = logits
            .iter()
            .zip(targets)
            .map(|(x, t)| -(t * sigmoid(*x).ln() + (1.0 - t) * (1.0 - sigmoid(*x)).ln()) / 4.0)
            .sum();
        assert!((cross_entropy(&logits, &targets) - direct).abs() < 1e-6);
        let gradient = cross_entropy_gradient(&logits, &targets, 1.0);
        for at in 0..4 {
            let (mut up, mut down) = (logits, logits);
            up[at] += 1e-2;
            down[at] -= 1e-2;
            let numeric = (cross_entropy(&up, &targets) - cross_entropy(&down, &targets)) / 2e-2;
            assert!((numeric - gradient[at]).abs() < 1e-4, "{at}");
        }
    }
}
