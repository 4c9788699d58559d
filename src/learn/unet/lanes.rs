//! The trainer's convolutions: sixteen pictures at a time, one in each lane of a vector.
//!
//! A [`Map`] holds, for every pixel and channel, the numbers of [`LANES`] pictures side by side, with a rim of zeros one
//! pixel wide. So every convolution, whatever its side, stride and channels, is sums of products of whole vectors with
//! single weights, with nothing to gather and nothing to copy. A convolution that keeps, halves or doubles the sides, its
//! gradient by the picture and its gradient by the weights are all the same walk over a [`Geometry`].
//!
//! Every sum runs in a fixed order: the same input gives the same bits.

#![expect(clippy::inline_always, reason = "only what is inlined into a dispatched walk uses the processor's vectors")]

use pulp::{Arch, Simd, WithSimd};

/// Pictures in a vector.
pub(in crate::learn) const LANES: usize = 16;
/// Output channels that one pass keeps in registers, most first; two pixels at a time.
const WIDE: usize = 12;
const MIDDLE: usize = 4;

/// `[height + 2, width + 2, channels, LANES]`, zero on the rim.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::learn) struct Map {
    pub(in crate::learn) height: usize,
    pub(in crate::learn) width: usize,
    pub(in crate::learn) channels: usize,
    pub(in crate::learn) values: Vec<f32>,
}

impl Map {
    pub(in crate::learn) fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, values: vec![0.0; (height + 2) * (width + 2) * channels * LANES] }
    }

    /// An empty map of the same extent.
    pub(in crate::learn) fn like(&self) -> Self {
        Self::new(self.height, self.width, self.channels)
    }

    /// Numbers in a row of pixels, the rim's included.
    fn row(&self) -> usize {
        (self.width + 2) * self.channels * LANES
    }

    /// The rows without the rim.
    pub(in crate::learn) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let rim = self.channels * LANES;
        self.values
            .chunks_exact(self.row())
            .skip(1)
            .take(self.height)
            .filter_map(move |row| row.get(rim..row.len() - rim))
    }

    /// The rows without the rim.
    pub(in crate::learn) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (rim, row, height) = (self.channels * LANES, self.row(), self.height);
        let rows = self.values.chunks_exact_mut(row).skip(1).take(height);
        rows.filter_map(move |row| {
            let end = row.len() - rim;
            row.get_mut(rim..end)
        })
    }

    /// Adds another map of the same extent.
    pub(in crate::learn) fn add(&mut self, other: &Self) {
        for (sum, value) in self.values.iter_mut().zip(&other.values) {
            *sum += value;
        }
    }
}

/// A tap: the rows and columns from the walk's place in the source (its rim counted) to the pixel that the tap meets, and
/// which of the kernel's taps it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tap {
    down: usize,
    right: usize,
    number: usize,
}

/// Which pixel of a source meets which of a target: target pixel `(fine * y + below, fine * x + beside)` takes, by every
/// tap, source pixel `(coarse * y + down, coarse * x + right)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::learn) struct Geometry {
    taps: Vec<Tap>,
    coarse: usize,
    fine: usize,
    below: usize,
    beside: usize,
}

impl Geometry {
    /// A 4 x 4 kernel of stride 2.
    pub(in crate::learn) fn halving() -> Self {
        let taps = (0..16).map(|number| Tap { down: number / 4, right: number % 4, number }).collect();
        Self { taps, coarse: 2, fine: 1, below: 0, beside: 0 }
    }

    /// A 3 x 3 kernel; `is_mirrored`: its gradient.
    pub(in crate::learn) fn keeping(is_mirrored: bool) -> Self {
        let tap = |at: usize| {
            let number = if is_mirrored { 8 - at } else { at };
            Tap { down: at / 3, right: at % 3, number }
        };
        Self { taps: (0..9).map(tap).collect(), coarse: 1, fine: 1, below: 0, beside: 0 }
    }

    /// A 4 x 4 transposed kernel of stride 2: a target pixel meets four of its taps, others in even than in odd rows and
    /// columns.
    pub(in crate::learn) fn doubling() -> [Self; 4] {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(below, beside)| {
            let along = |part: usize| [1 - part, 3 - part].map(|tap| (tap, (part + 3 - tap) / 2));
            let taps = along(below).into_iter().flat_map(|(row, down)| {
                along(beside).map(|(column, right)| Tap { down, right, number: 4 * row + column })
            });
            Self { taps: taps.collect(), coarse: 1, fine: 2, below, beside }
        })
    }
}

/// Sets `target`'s pixels to the products of `source` with `kernel` (`[tap, in, out]`).
pub(in crate::learn) fn correlate(geometry: &Geometry, source: &Map, kernel: &[f32], target: &mut Map) {
    Arch::new().dispatch(Correlate { geometry, source, kernel, target });
}

/// Adds to `gradient` (`[tap, in, out, LANES]`) the products of the source pixels with the target pixels that meet them.
pub(in crate::learn) fn products(geometry: &Geometry, source: &Map, target: &Map, gradient: &mut [f32]) {
    Arch::new().dispatch(Products { geometry, source, target, gradient });
}

struct Correlate<'a> {
    geometry: &'a Geometry,
    source: &'a Map,
    kernel: &'a [f32],
    target: &'a mut Map,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Correlate { geometry, source, kernel, target } = self;
        let outputs = target.channels;
        // Registers that make up a vector.
        let parts = LANES / S::F32_LANES;
        for part in 0..parts {
            let mut channel = 0;
            while channel < outputs {
                let walk = Walk { geometry, source, kernel, channel, part, parts };
                channel += match outputs - channel {
                    WIDE.. => walk.with::<S, WIDE>(simd, target),
                    MIDDLE.. => walk.with::<S, MIDDLE>(simd, target),
                    _ => walk.with::<S, 1>(simd, target),
                };
            }
        }
    }
}

/// One pass over all pixels for some of the output channels.
struct Walk<'a> {
    geometry: &'a Geometry,
    source: &'a Map,
    kernel: &'a [f32],
    channel: usize,
    part: usize,
    parts: usize,
}

impl Walk<'_> {
    /// `C` channels from the first on; gives `C`.
    #[inline(always)]
    fn with<S: Simd, const C: usize>(&self, simd: S, target: &mut Map) -> usize {
        let (rows, columns) = (target.height / self.geometry.fine, target.width / self.geometry.fine);
        for y in 0..rows {
            let mut x = 0;
            while x < columns {
                if x + 1 < columns {
                    self.pixels::<S, 2, C>(simd, (x, y), target);
                    x += 2;
                } else {
                    self.pixels::<S, 1, C>(simd, (x, y), target);
                    x += 1;
                }
            }
        }
        C
    }

    /// `P` pixels beside each other.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "taps stay within the source and its rim, the pass within the channels"
    )]
    #[expect(clippy::needless_range_loop, reason = "loops of fixed length over registers are unrolled")]
    fn pixels<S: Simd, const P: usize, const C: usize>(&self, simd: S, (x, y): (usize, usize), target: &mut Map) {
        let Self { geometry, source, kernel, channel, part, parts } = self;
        let (inputs, outputs) = (source.channels, target.channels);
        let (from, _) = S::as_simd_f32s(&source.values);
        let mut sums = [[simd.splat_f32s(0.0); C]; P];
        for tap in &geometry.taps {
            let (row, column) = (geometry.coarse * y + tap.down, geometry.coarse * x + tap.right);
            let pixel = (row * (source.width + 2) + column) * inputs * parts + part;
            let mut seen: [&[S::f32s]; P] = [&[]; P];
            for p in 0..P {
                let start = pixel + p * geometry.coarse * inputs * parts;
                seen[p] = &from[start..=start + (inputs - 1) * parts];
            }
            let weights = &kernel[tap.number * inputs * outputs + channel..];
            for (input, weights) in weights.chunks(outputs).take(inputs).enumerate() {
                let Some(weights) = weights.first_chunk::<C>() else { return };
                let mut value = [simd.splat_f32s(0.0); P];
                for p in 0..P {
                    value[p] = seen[p][input * parts];
                }
                for c in 0..C {
                    let weight = simd.splat_f32s(weights[c]);
                    for p in 0..P {
                        sums[p][c] = simd.mul_add_e_f32s(value[p], weight, sums[p][c]);
                    }
                }
            }
        }
        let (row, column) = (geometry.fine * y + geometry.below + 1, geometry.fine * x + geometry.beside + 1);
        let pixel = ((row * (target.width + 2) + column) * outputs + channel) * parts + part;
        let (to, _) = S::as_mut_simd_f32s(&mut target.values);
        for p in 0..P {
            for c in 0..C {
                to[pixel + (p * geometry.fine * outputs + c) * parts] = sums[p][c];
            }
        }
    }
}

struct Products<'a> {
    geometry: &'a Geometry,
    source: &'a Map,
    target: &'a Map,
    gradient: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let parts = LANES / S::F32_LANES;
        let Products { geometry, source, target, gradient } = self;
        for y in 0..target.height / geometry.fine {
            for tap in &geometry.taps {
                for part in 0..parts {
                    let row = Row { geometry, source, target, tap: *tap, y, part, parts };
                    let mut input = 0;
                    while input < source.channels {
                        input += match source.channels - input {
                            4.. => row.inputs::<S, 4>(simd, input, gradient),
                            _ => row.inputs::<S, 1>(simd, input, gradient),
                        };
                    }
                }
            }
        }
    }
}

/// One tap along one row of the target.
struct Row<'a> {
    geometry: &'a Geometry,
    source: &'a Map,
    target: &'a Map,
    tap: Tap,
    y: usize,
    part: usize,
    parts: usize,
}

impl Row<'_> {
    /// `I` input channels from `input` on; gives `I`.
    #[inline(always)]
    fn inputs<S: Simd, const I: usize>(&self, simd: S, input: usize, gradient: &mut [f32]) -> usize {
        let mut output = 0;
        while output < self.target.channels {
            output += match self.target.channels - output {
                6.. => self.sum::<S, I, 6>(simd, (input, output), gradient),
                2.. => self.sum::<S, I, 2>(simd, (input, output), gradient),
                _ => self.sum::<S, I, 1>(simd, (input, output), gradient),
            };
        }
        I
    }

    /// `I` input times `O` output channels; gives `O`.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "taps stay within the source and its rim, blocks within the channels")]
    fn sum<S: Simd, const I: usize, const O: usize>(
        &self,
        simd: S,
        (input, output): (usize, usize),
        gradient: &mut [f32],
    ) -> usize {
        let Self { geometry, source, target, tap, y, part, parts } = self;
        let (inputs, outputs) = (source.channels, target.channels);
        let (from, _) = S::as_simd_f32s(&source.values);
        let (to, _) = S::as_simd_f32s(&target.values);
        let above = (geometry.coarse * y + tap.down) * (source.width + 2) + tap.right;
        let here = (geometry.fine * y + geometry.below + 1) * (target.width + 2) + geometry.beside + 1;
        let from = &from[(above * inputs + input) * parts + part..];
        let to = &to[(here * outputs + output) * parts + part..];
        let columns = target.width / geometry.fine;
        let mut sums = [[simd.splat_f32s(0.0); O]; I];
        let steps = from.chunks(geometry.coarse * inputs * parts).zip(to.chunks(geometry.fine * outputs * parts));
        for (seen, wanted) in steps.take(columns) {
            let mut slopes = [simd.splat_f32s(0.0); O];
            for o in 0..O {
                slopes[o] = wanted[o * parts];
            }
            for i in 0..I {
                let value = seen[i * parts];
                for o in 0..O {
                    sums[i][o] = simd.mul_add_e_f32s(value, slopes[o], sums[i][o]);
                }
            }
        }
        let (gradient, _) = S::as_mut_simd_f32s(gradient);
        for i in 0..I {
            for o in 0..O {
                let sum = &mut gradient[((tap.number * inputs + input + i) * outputs + output + o) * parts + part];
                *sum = simd.add_f32s(*sum, sums[i][o]);
            }
        }
        O
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of numbers without a pattern.
    fn noise(height: usize, width: usize, channels: usize, seed: u32) -> Map {
        let mut map = Map::new(height, width, channels);
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        for value in map.rows_mut().flatten() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        }
        map
    }

    fn dot(a: &Map, b: &Map) -> f64 {
        a.values.iter().zip(&b.values).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    /// `[tap, in, out]` to `[tap, out, in]`.
    fn turned(kernel: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
        let at = |i: usize| (i / (inputs * outputs) * inputs + i % inputs) * outputs + i / inputs % outputs;
        (0..kernel.len()).map(|i| kernel[at(i)]).collect()
    }

    #[test]
    fn a_convolution_is_the_sum_over_its_neighbours() {
        let (inputs, outputs) = (3, 5);
        let source = noise(4, 6, inputs, 1);
        let kernel: Vec<f32> = (0..9 * inputs * outputs).map(|i| (i * 37 % 23) as f32 - 11.0).collect();
        let mut target = Map::new(4, 6, outputs);
        correlate(&Geometry::keeping(false), &source, &kernel, &mut target);
        let read = |map: &Map, y: usize, x: usize, c: usize, lane: usize| {
            map.values[((y * (map.width + 2) + x) * map.channels + c) * LANES + lane]
        };
        for (y, x, out, lane) in [(0, 0, 0, 0), (3, 5, 4, 15), (1, 2, 3, 7), (2, 4, 1, 9)] {
            let mut sum = 0.0;
            for tap in 0..9 {
                for input in 0..inputs {
                    let weight = kernel[(tap * inputs + input) * outputs + out];
                    sum += weight * read(&source, y + tap / 3, x + tap % 3, input, lane);
                }
            }
            assert!((sum - read(&target, y + 1, x + 1, out, lane)).abs() < 1e-3);
        }
    }

    #[test]
    fn gradients_by_picture_and_by_weights_are_adjoint_to_the_convolution() {
        for (inputs, outputs) in [(1, 12), (12, 2), (5, 18)] {
            for (taps, shrinks) in [(9, false), (16, true)] {
                let (height, width) = if shrinks { (8, 12) } else { (4, 7) };
                let source = noise(height, width, inputs, 2);
                let wide = if shrinks { 2 } else { 1 };
                let back = noise(height / wide, width / wide, outputs, 3);
                let kernel: Vec<f32> = (0..taps * inputs * outputs).map(|i| (i * 37 % 23) as f32 / 7.0 - 1.5).collect();
                let forward = if shrinks { Geometry::halving() } else { Geometry::keeping(false) };
                let mut target = back.like();
                correlate(&forward, &source, &kernel, &mut target);
                let expected = dot(&target, &back);
                let mut slopes = source.like();
                let backward = if shrinks { Geometry::doubling().to_vec() } else { vec![Geometry::keeping(true)] };
                for geometry in backward {
                    correlate(&geometry, &back, &turned(&kernel, inputs, outputs), &mut slopes);
                }
                let mut gradient = vec![0.0; kernel.len() * LANES];
                products(&forward, &source, &back, &mut gradient);
                let by_weights: f64 =
                    gradient.chunks(LANES).zip(&kernel).map(|(g, w)| f64::from(g.iter().sum::<f32>() * w)).sum();
                let tolerance = 1e-4 * expected.abs().max(100.0);
                assert!((dot(&slopes, &source) - expected).abs() < tolerance, "{inputs} {outputs} {taps}");
                assert!(
                    (by_weights - expected).abs() < tolerance,
                    "{inputs} {outputs} {taps}: {by_weights} {expected}"
                );
                assert!(slopes.values.chunks((width + 2) * inputs * LANES).next().unwrap().iter().all(|v| *v == 0.0));
            }
        }
    }
}
