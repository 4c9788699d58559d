//! Light that a thick sample spreads: each side of the condenser's ring sees a thick cell from another direction, and the
//! mean over all of them fills its dark parts and dims its bright ones.
//!
//! Takes an intensity map, gives `(1 - share) I + share G * I` with a Gaussian `G`; light is kept. The wide Gaussian is
//! worked out on a map four times coarser.

/// Side of the blocks of the coarse map, px.
const BLOCK: usize = 4;

/// Spreads `share` of the light of `intensity` (rows of `width`) by a Gaussian of `spread_px`.
pub(super) fn spread(intensity: &mut [f32], width: usize, share: f32, spread_px: f32) {
    let height = intensity.len() / width.max(1);
    let (columns, rows) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
    if share <= 0.0 || columns < 2 || rows < 2 {
        return;
    }
    let mut coarse = blocks(intensity, width);
    let kernel = gaussian(spread_px / BLOCK as f32);
    coarse = blurred_rows(&coarse, columns, &kernel);
    coarse = turned(&coarse, columns);
    coarse = blurred_rows(&coarse, rows, &kernel);
    coarse = turned(&coarse, rows);
    let steps: Vec<(usize, f32)> = (0..width).map(|x| place(x, columns)).collect();
    for (y, row) in intensity.chunks_exact_mut(width).enumerate() {
        let (j, fy) = place(y, rows);
        let line = |j: usize| coarse.get(j * columns..(j + 1) * columns).unwrap_or(&[]);
        let between: Vec<f32> = line(j).iter().zip(line(j + 1)).map(|(a, b)| a + (b - a) * fy).collect();
        for (value, &(i, fx)) in row.iter_mut().zip(&steps) {
            if let Some(&[a, b]) = between.get(i..i + 2) {
                *value += share * (a + (b - a) * fx - *value);
            }
        }
    }
}

/// Which two of `n` blocks pixel `x` lies between: the first, and how far towards the second.
fn place(x: usize, n: usize) -> (usize, f32) {
    let at = ((x as f32 + 0.5) / BLOCK as f32 - 0.5).clamp(0.0, (n - 1) as f32 - 1e-3);
    (at as usize, at.fract())
}

/// Means over blocks of `BLOCK * BLOCK` pixels (fewer at the far edges).
fn blocks(map: &[f32], width: usize) -> Vec<f32> {
    map.chunks(width * BLOCK)
        .flat_map(|band| {
            let mut sums = vec![0.0_f32; width.div_ceil(BLOCK)];
            for row in band.chunks_exact(width) {
                for (sum, part) in sums.iter_mut().zip(row.chunks(BLOCK)) {
                    *sum += part.iter().sum::<f32>() / part.len() as f32;
                }
            }
            let lines = (band.len() / width) as f32;
            sums.into_iter().map(move |sum| sum / lines)
        })
        .collect()
}

/// Weights of a Gaussian out to three standard deviations; they sum to one.
fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil().max(1.0) as i32;
    let weights: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma.max(1e-3)).powi(2)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Every row filtered; the edge pixels go on beyond the edges.
fn blurred_rows(map: &[f32], width: usize, kernel: &[f32]) -> Vec<f32> {
    let reach = kernel.len() / 2;
    let mut padded = Vec::with_capacity(width + 2 * reach);
    let mut out = Vec::with_capacity(map.len());
    for row in map.chunks_exact(width) {
        let (first, last) = (row.first().copied().unwrap_or(0.0), row.last().copied().unwrap_or(0.0));
        padded.clear();
        padded.extend(std::iter::repeat_n(first, reach));
        padded.extend_from_slice(row);
        padded.extend(std::iter::repeat_n(last, reach));
        out.extend(padded.windows(kernel.len()).map(|w| w.iter().zip(kernel).map(|(a, b)| a * b).sum::<f32>()));
    }
    out
}

/// Rows become columns.
fn turned(map: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|x| map.iter().skip(x).step_by(width).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_is_kept_and_spread() {
        let (width, height) = (120, 90);
        let mut map = vec![1.0_f32; width * height];
        for y in 40..52 {
            for x in 48..60 {
                map[y * width + x] = 9.0;
            }
        }
        let before: f32 = map.iter().sum();
        let peak = map[46 * width + 54];
        spread(&mut map, width, 0.4, 9.0);
        let after: f32 = map.iter().sum();
        assert!((after / before - 1.0).abs() < 2e-3, "{before} {after}");
        assert!(map[46 * width + 54] < peak && map[46 * width + 66] > 1.02);
        assert!((map[0] - 1.0).abs() < 1e-3);
    }
}
