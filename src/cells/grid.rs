//! A small working picture and its filters.
//!
//! Detection runs on the corrected frame shrunk so that a cell is a few tens of pixels wide. All filters are separable
//! or running sums, extend the picture by its edge pixels, and give the same bits on every run.

/// `[height, width]` values, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

/// A rectangle of a grid: columns `left..right`, rows `top..bottom`, inside the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

impl View {
    /// Where each of its rows lies in a grid of `width` columns.
    pub(super) fn rows(self, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        (self.top..self.bottom).map(move |y| y * width + self.left..y * width + self.right)
    }

    /// The values in it of a grid of `width` columns.
    #[expect(clippy::indexing_slicing, reason = "a view lies inside its grid")]
    pub(super) fn copied<T: Copy>(self, values: &[T], width: usize) -> Vec<T> {
        let mut copied = Vec::with_capacity(self.width() * self.height());
        for row in self.rows(width) {
            copied.extend_from_slice(&values[row]);
        }
        copied
    }

    pub(super) fn width(self) -> usize {
        self.right - self.left
    }

    pub(super) fn height(self) -> usize {
        self.bottom - self.top
    }
}

impl Grid {
    /// The values in `view`.
    pub(super) fn within(&self, view: &View) -> Self {
        let values = view.copied(&self.values, self.width);
        Self { width: view.width(), height: view.height(), values }
    }

    /// The mean of every `factor` x `factor` block; what is left over at the right and lower edge goes to the last blocks.
    #[expect(clippy::indexing_slicing, reason = "blocks lie inside source, which holds width * height values")]
    pub(super) fn shrunk(source: &[f32], width: usize, height: usize, factor: usize) -> Self {
        if factor <= 1 {
            return Self { width, height, values: source.to_vec() };
        }
        let (columns, rows) = ((width / factor).max(1), (height / factor).max(1));
        let mut values = vec![0.0_f32; columns * rows];
        for (row, output) in values.chunks_exact_mut(columns).enumerate() {
            let top = row * factor;
            let bottom = if row + 1 == rows { height } else { top + factor };
            for y in top..bottom {
                let line = &source[y * width..(y + 1) * width];
                for (column, sum) in output.iter_mut().enumerate() {
                    let left = column * factor;
                    let right = if column + 1 == columns { width } else { left + factor };
                    *sum += line[left..right].iter().sum::<f32>() / (right - left) as f32;
                }
            }
            for sum in output {
                *sum /= (bottom - top) as f32;
            }
        }
        Self { width: columns, height: rows, values }
    }

    /// The same size, `f` of every value.
    pub(super) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self { width: self.width, height: self.height, values: self.values.iter().map(|&v| f(v)).collect() }
    }

    /// The same size, `f` of every pair of values.
    pub(super) fn zip(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| f(a, b)).collect();
        Self { width: self.width, height: self.height, values }
    }

    /// Smoothed by a Gaussian of `sigma` px (by three running means when it is wide).
    pub(super) fn smoothed(&self, sigma: f32) -> Self {
        if sigma < 0.3 {
            return self.clone();
        }
        if sigma < 4.5 {
            return self.convolved(&gaussian(sigma));
        }
        // Three boxes of radius r have the variance r (r + 1).
        let radius = (((4.0 * sigma * sigma + 1.0).sqrt() - 1.0) / 2.0).round().max(1.0) as usize;
        self.mean(radius).mean(radius).mean(radius)
    }

    /// The mean over a square of side `2 * radius + 1`.
    pub(super) fn mean(&self, radius: usize) -> Self {
        let scale = 1.0 / (2 * radius + 1) as f32;
        self.running_rows(radius, scale).running_columns(radius, scale)
    }

    /// Dark places narrower than `2 * radius + 1` px along both axes filled up: the least of the greatest values within squares.
    pub(super) fn closed(&self, radius: usize) -> Self {
        // Plain comparisons: the values are finite.
        self.extreme(radius, |a, b| if a > b { a } else { b }).extreme(radius, |a, b| if a < b { a } else { b })
    }

    /// The extreme value, by `pick`, within a square of side `2 * radius + 1`; beyond the edge there is nothing.
    fn extreme(&self, radius: usize, pick: impl Fn(f32, f32) -> f32 + Copy) -> Self {
        let (width, side) = (self.width, 2 * radius + 1);
        // Repeated edge values change no extreme of a run that holds the edge itself.
        let padded = width + 2 * radius;
        let mut across = Vec::with_capacity(padded * self.height);
        for row in self.values.chunks_exact(width) {
            let (first, last) = (row.first().copied().unwrap_or_default(), row.last().copied().unwrap_or_default());
            across.extend(std::iter::repeat_n(first, radius));
            across.extend_from_slice(row);
            across.extend(std::iter::repeat_n(last, radius));
        }
        let across = running(across, side, 1, pick);
        // What a run takes from the next row lies beyond the first `width` places of its own.
        let mut rows: Vec<&[f32]> = across.chunks(padded).filter_map(|row| row.get(..width)).collect();
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return self.clone() };
        rows.splice(..0, std::iter::repeat_n(first, radius));
        rows.extend(std::iter::repeat_n(last, radius));
        Self { values: running(rows.concat(), side, width, pick), ..*self }
    }

    /// The size of the gradient per px, by central differences.
    #[expect(clippy::indexing_slicing, reason = "neighbours are clamped to the grid")]
    pub(super) fn gradient(&self) -> Self {
        let (width, height) = (self.width, self.height);
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let above = &self.values[y.saturating_sub(1) * width..][..width];
            let below = &self.values[(y + 1).min(height - 1) * width..][..width];
            let line = &self.values[y * width..][..width];
            for x in 0..width {
                let across = line[(x + 1).min(width - 1)] - line[x.saturating_sub(1)];
                let down = below[x] - above[x];
                values.push(0.5 * (across * across + down * down).sqrt());
            }
        }
        Self { width, height, values }
    }

    /// The value below which `share` (0..=1) of a regular sample of the grid lies.
    pub(super) fn quantile(&self, share: f64) -> f32 {
        let stride = (self.values.len() / 50_000).max(1) | 1;
        let mut sample: Vec<f32> = self.values.iter().copied().step_by(stride).collect();
        sample.sort_unstable_by(f32::total_cmp);
        let at = ((sample.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        sample.get(at).copied().unwrap_or(0.0)
    }

    /// Convolved with a symmetric kernel given from its centre outwards, along both axes.
    #[expect(
        clippy::indexing_slicing,
        reason = "padded rows are width + 2 * radius long, lines are clamped to the grid"
    )]
    fn convolved(&self, half: &[f32]) -> Self {
        let (width, radius) = (self.width, half.len() - 1);
        let mut across = vec![0.0_f32; self.values.len()];
        let mut padded = vec![0.0_f32; width + 2 * radius];
        for (input, output) in self.values.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
            padded[..radius].fill(input[0]);
            padded[radius..radius + width].copy_from_slice(input);
            padded[radius + width..].fill(input[width - 1]);
            weigh(output, half, |tap| (&padded[radius - tap..], &padded[radius + tap..]));
        }
        let mut values = vec![0.0_f32; self.values.len()];
        let line = |y: usize| &across[y.min(self.height - 1) * width..][..width];
        for (y, output) in values.chunks_exact_mut(width).enumerate() {
            weigh(output, half, |tap| (line(y.saturating_sub(tap)), line(y + tap)));
        }
        Self { width, height: self.height, values }
    }

    #[expect(clippy::indexing_slicing, reason = "places are clamped to the row, lanes are below FEW_LANES")]
    fn running_rows(&self, radius: usize, scale: f32) -> Self {
        let (width, span) = (self.width, 2 * radius + 1);
        let mut values = vec![0.0_f32; self.values.len()];
        // Several rows side by side: each waits for its own last sum only. Beyond the ends stand the edge's values.
        let mut lanes = vec![[0.0_f32; FEW_LANES]; width + span];
        let mut means = vec![[0.0_f32; FEW_LANES]; width];
        for (rows, outputs) in self.values.chunks(FEW_LANES * width).zip(values.chunks_mut(FEW_LANES * width)) {
            for (lane, row) in rows.chunks_exact(width).enumerate() {
                let ends = [(0..radius, row[0]), (radius + width..lanes.len(), row[width - 1])];
                for (beyond, edge) in ends {
                    for values in &mut lanes[beyond] {
                        values[lane] = edge;
                    }
                }
                for (values, &value) in lanes[radius..].iter_mut().zip(row) {
                    values[lane] = value;
                }
            }
            // Sums in f64: the running sum must not drift along the row.
            let mut sums = [0.0_f64; FEW_LANES];
            for values in &lanes[..span] {
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum += f64::from(value);
                }
            }
            for ((mean, leaves), enters) in means.iter_mut().zip(&lanes).zip(&lanes[span..]) {
                for (((mean, sum), &leaves), &enters) in mean.iter_mut().zip(&mut sums).zip(leaves).zip(enters) {
                    *mean = *sum as f32 * scale;
                    *sum += f64::from(enters) - f64::from(leaves);
                }
            }
            for (lane, output) in outputs.chunks_exact_mut(width).enumerate() {
                for (value, mean) in output.iter_mut().zip(&means) {
                    *value = mean[lane];
                }
            }
        }
        Self { width, height: self.height, values }
    }

    #[expect(clippy::indexing_slicing, reason = "lines are clamped to the grid")]
    fn running_columns(&self, radius: usize, scale: f32) -> Self {
        let (width, height) = (self.width, self.height);
        let line = |y: usize| &self.values[y.saturating_sub(radius).min(height - 1) * width..][..width];
        let mut sums = vec![0.0_f64; width];
        for y in 0..=2 * radius {
            for (sum, &value) in sums.iter_mut().zip(line(y)) {
                *sum += f64::from(value);
            }
        }
        let mut values = Vec::with_capacity(self.values.len());
        for y in 0..height {
            values.extend(sums.iter().map(|&sum| sum as f32 * scale));
            for ((sum, &enters), &leaves) in sums.iter_mut().zip(line(y + 2 * radius + 1)).zip(line(y)) {
                *sum += f64::from(enters) - f64::from(leaves);
            }
        }
        Self { width, height, values }
    }
}

/// Values that are summed at once: as many as stay in registers.
const LANES: usize = 16;

/// As many of the values that remain at the end of a row.
const FEW_LANES: usize = 4;
/// Most taps on one side of a kernel: those of the widest that is not made of running means.
const MOST_TAPS: usize = 12;

/// `output[x]` = the sum over the taps of `weight * (left[x] + right[x])`, the centre once; `sides` gives both for a tap and
/// each is at least as long as `output`.
#[expect(
    clippy::indexing_slicing,
    reason = "x stays below the length of output, which no side is shorter than, and taps below MOST_TAPS + 1"
)]
fn weigh<'a>(output: &mut [f32], half: &[f32], sides: impl Fn(usize) -> (&'a [f32], &'a [f32])) {
    let mut table: [(f32, &[f32], &[f32]); MOST_TAPS + 1] = [(0.0, &[], &[]); MOST_TAPS + 1];
    for (tap, (entry, &weight)) in table.iter_mut().zip(half).enumerate() {
        let (left, right) = sides(tap);
        *entry = (weight, left, right);
    }
    let Some((&(centre, middle, _), pairs)) = table[..half.len().min(MOST_TAPS + 1)].split_first() else { return };
    let length = output.len();
    let (blocks, rest) = output.as_chunks_mut::<LANES>();
    for (block, x) in blocks.iter_mut().zip((0..).step_by(LANES)) {
        let mut sum = [0.0_f32; LANES];
        for (sum, value) in sum.iter_mut().zip(&middle[x..x + LANES]) {
            *sum = centre * value;
        }
        for (weight, left, right) in pairs {
            for ((sum, left), right) in sum.iter_mut().zip(&left[x..x + LANES]).zip(&right[x..x + LANES]) {
                *sum += weight * (left + right);
            }
        }
        *block = sum;
    }
    let done = length / LANES * LANES;
    let (blocks, rest) = rest.as_chunks_mut::<FEW_LANES>();
    for (block, x) in blocks.iter_mut().zip((done..).step_by(FEW_LANES)) {
        let mut sum = [0.0_f32; FEW_LANES];
        for (weight, left, right) in pairs {
            for ((sum, left), right) in sum.iter_mut().zip(&left[x..x + FEW_LANES]).zip(&right[x..x + FEW_LANES]) {
                *sum += weight * (left + right);
            }
        }
        for ((value, sum), middle) in block.iter_mut().zip(sum).zip(&middle[x..x + FEW_LANES]) {
            *value = centre * middle + sum;
        }
    }
    for (value, x) in rest.iter_mut().zip(length / FEW_LANES * FEW_LANES..) {
        *value =
            centre * middle[x] + pairs.iter().map(|(weight, left, right)| weight * (left[x] + right[x])).sum::<f32>();
    }
}

/// A normalised Gaussian out to 2.5 sigma, from its centre outwards.
fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = (2.5 * sigma).ceil() as i32;
    let half: Vec<f32> = (0..=radius).map(|x| (-0.5 * (x as f32 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * half.iter().sum::<f32>() - 1.0;
    half.into_iter().map(|w| w / sum).collect()
}

/// The extreme of every `wanted` values that lie `stride` apart, beginning at each place; runs double in length.
fn running(mut values: Vec<f32>, wanted: usize, stride: usize, pick: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let mut next = Vec::with_capacity(values.len());
    let mut length = 1;
    while length < wanted {
        let step = length.min(wanted - length);
        next.clear();
        let ahead = values.get(step * stride..).unwrap_or_default();
        next.extend(values.iter().zip(ahead).map(|(&here, &ahead)| pick(here, ahead)));
        std::mem::swap(&mut values, &mut next);
        length += step;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impulse(side: usize) -> Grid {
        let mut values = vec![0.0; side * side];
        values[side / 2 * side + side / 2] = 1.0;
        Grid { width: side, height: side, values }
    }

    #[test]
    fn smoothing_keeps_the_sum_and_has_the_width_asked_for() {
        for sigma in [0.8_f32, 1.5, 3.0, 6.0, 9.0] {
            let grid = impulse(101).smoothed(sigma);
            let sum: f32 = grid.values.iter().sum();
            let variance: f32 =
                grid.values.iter().enumerate().map(|(i, v)| v * ((i % 101) as f32 - 50.0).powi(2)).sum::<f32>();
            assert!((sum - 1.0).abs() < 1e-3, "{sigma}: {sum}");
            assert!((variance.sqrt() / sigma - 1.0).abs() < 0.15, "{sigma}: {}", variance.sqrt());
        }
    }

    #[test]
    fn narrow_dark_lines_are_filled_up_and_wide_ones_are_not() {
        let (width, height) = (40, 30);
        let dark = |i: usize| {
            let x = i % width;
            if (5..8).contains(&x) || (20..31).contains(&x) { 0.0 } else { 1.0 }
        };
        let grid = Grid { width, height, values: (0..width * height).map(dark).collect() };
        let row = &grid.closed(2).values[10 * width..11 * width];
        let left: Vec<usize> = (0..width).filter(|x| row[*x] < 0.5).collect();
        assert_eq!(left, (20..31).collect::<Vec<_>>());
        for radius in [0, 1, 3, 6] {
            let values: Vec<f32> = (0..97).map(|i| ((i * i * 31) % 53) as f32).collect();
            let plain: Vec<f32> = (0..97_usize)
                .map(|i| values[i.saturating_sub(radius)..(i + radius + 1).min(97)].iter().copied().fold(0.0, f32::max))
                .collect();
            let row = Grid { width: 97, height: 1, values };
            assert_eq!(row.extreme(radius, f32::max).values, plain, "{radius}");
            let column = Grid { width: 1, height: 97, values: row.values };
            assert_eq!(column.extreme(radius, f32::max).values, plain, "{radius}");
        }
    }

    #[test]
    fn a_constant_stays_a_constant_on_any_size() {
        for (width, height) in [(1, 1), (2, 7), (50, 3)] {
            let grid = Grid { width, height, values: vec![1.5; width * height] };
            for result in [grid.smoothed(1.0), grid.smoothed(9.0), grid.mean(30)] {
                assert!(result.values.iter().all(|v| (v - 1.5).abs() < 1e-5));
            }
            assert!(grid.gradient().values.iter().all(|&v| v == 0.0));
            let small = Grid::shrunk(&grid.values, width, height, 4);
            assert!(small.values.iter().all(|v| (v - 1.5).abs() < 1e-6) && small.width >= 1);
        }
    }
}
