//! How far every pixel of a mask is from the outside.

use super::grid::Grid;
use super::mask::Mask;

impl Mask {
    /// For every pixel, the squared distance to the nearest pixel outside, px^2 (0 outside; huge when nothing is
    /// outside). Exact, by lower envelopes of parabolas, in linear time.
    pub(super) fn squared_distance(&self) -> Vec<f32> {
        let (width, height) = (self.width, self.height);
        let far = (4 * (width + height) * (width + height)) as f32;
        // Along columns: distance to the nearest outside pixel above or below.
        let mut steps = vec![f32::INFINITY; width * height];
        sweep(&mut steps, &self.inside, width, false);
        sweep(&mut steps, &self.inside, width, true);
        let mut result = vec![0.0_f32; width * height];
        let mut envelope = Envelope::new(width);
        for (input, output) in steps.chunks_exact(width).zip(result.chunks_exact_mut(width)) {
            envelope.fill(input, output, far);
        }
        result
    }

    /// For every pixel, the distance to the nearest pixel outside, px.
    ///
    /// Looks at every part in its own window only: the nearest outside pixel is never beyond its rim.
    #[expect(clippy::indexing_slicing, reason = "windows are clamped to the grid")]
    pub(super) fn distance(&self) -> Grid {
        let mut values = vec![0.0_f32; self.inside.len()];
        let parts = self.parts();
        for window in parts.windows() {
            let (left, top) = (window.left.saturating_sub(1), window.top.saturating_sub(1));
            let (right, bottom) = ((window.right + 2).min(self.width), (window.bottom + 2).min(self.height));
            let rows = || (top..bottom).map(|y| y * self.width + left..y * self.width + right);
            let inside = rows().flat_map(|row| self.inside[row].iter().copied()).collect();
            let own = Self { width: right - left, height: bottom - top, inside };
            let squared = own.squared_distance();
            for (row, squared) in rows().zip(squared.chunks_exact(own.width)) {
                for ((value, label), squared) in values[row.clone()].iter_mut().zip(&parts.label[row]).zip(squared) {
                    if *label == window.label {
                        *value = squared.sqrt();
                    }
                }
            }
        }
        Grid { width: self.width, height: self.height, values }
    }
}

/// Steps since the last outside pixel, down every column or up.
fn sweep(steps: &mut [f32], inside: &[bool], width: usize, up: bool) {
    let mut last = vec![f32::INFINITY; width];
    let mut pass = |(steps, inside): (&mut [f32], &[bool])| {
        for ((steps, &inside), last) in steps.iter_mut().zip(inside).zip(&mut last) {
            *last = if inside { *last + 1.0 } else { 0.0 };
            *steps = if *last < *steps { *last } else { *steps };
        }
    };
    let rows = steps.chunks_exact_mut(width).zip(inside.chunks_exact(width));
    if up { rows.rev().for_each(&mut pass) } else { rows.for_each(&mut pass) }
}

/// The lower envelope of the parabolas of one row (Felzenszwalb and Huttenlocher).
struct Envelope {
    centre: Vec<usize>,
    begin: Vec<f32>,
}

impl Envelope {
    fn new(width: usize) -> Self {
        Self { centre: vec![0; width], begin: vec![0.0; width + 1] }
    }

    #[expect(clippy::indexing_slicing, reason = "the envelope has at most one parabola per column")]
    fn fill(&mut self, steps: &[f32], output: &mut [f32], far: f32) {
        if steps.iter().all(|&s| s == 0.0) {
            output.fill(0.0);
            return;
        }
        let height = |x: usize| if steps[x].is_finite() { steps[x] * steps[x] } else { far };
        let meet = |a: usize, b: usize| {
            let (p, q) = (a as f32, b as f32);
            (height(b) + q * q - height(a) - p * p) / (2.0 * (q - p))
        };
        let mut top = 0;
        self.centre[0] = 0;
        self.begin[0] = f32::NEG_INFINITY;
        for x in 1..steps.len() {
            let mut from = meet(self.centre[top], x);
            while top > 0 && from <= self.begin[top] {
                top -= 1;
                from = meet(self.centre[top], x);
            }
            top += 1;
            self.centre[top] = x;
            self.begin[top] = from;
        }
        let mut at = 0;
        for (x, value) in output.iter_mut().enumerate() {
            while at < top && self.begin[at + 1] < x as f32 {
                at += 1;
            }
            let centre = self.centre[at];
            *value = (height(centre) + (x as f32 - centre as f32).powi(2)).min(far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_equal_those_by_brute_force() {
        let (width, height) = (23, 17);
        let inside: Vec<bool> = (0..width * height).map(|i| (i * i + 3 * i) % 11 > 1).collect();
        let mask = Mask { width, height, inside };
        for (index, distance) in mask.squared_distance().into_iter().enumerate() {
            let (x, y) = ((index % width) as f32, (index / width) as f32);
            let nearest = (0..width * height)
                .filter(|&i| !mask.inside[i])
                .map(|i| ((i % width) as f32 - x).powi(2) + ((i / width) as f32 - y).powi(2))
                .fold(f32::INFINITY, f32::min);
            assert!((distance - nearest).abs() < 1e-6, "{index}");
        }
    }

    #[test]
    fn distances_part_by_part_equal_those_of_the_whole() {
        let (width, height) = (50, 40);
        let inside: Vec<bool> = (0..width * height).map(|i| (i / 7 + i * i / 31) % 5 > 1 && i % 13 != 3).collect();
        let mask = Mask { width, height, inside };
        let whole: Vec<f32> = mask.squared_distance().into_iter().map(f32::sqrt).collect();
        assert_eq!(mask.distance().values, whole);
    }
}
