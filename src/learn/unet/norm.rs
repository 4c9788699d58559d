//! Batch norm with `PReLU` over the lanes of a [`Map`], and its gradient: `y = gain * (x - mean) / deviation + bias`, then
//! `slope * y` below 0. A batch is the pictures of one vector.

#![expect(clippy::inline_always, reason = "only what is inlined into a dispatched walk uses the processor's vectors")]

use super::lanes::{LANES, Map};
use crate::learn::kernels::EPSILON;
use pulp::{Arch, Simd, WithSimd};

/// What is trained of a norm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) gain: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) slope: f32,
}

/// Mean and biased variance of every channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

/// Gradients of a norm's gain, bias and slope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slopes {
    pub(super) gain: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) slope: f32,
}

impl Moments {
    pub(super) fn of(map: &Map) -> Self {
        let count = (map.height * map.width * LANES) as f64;
        let [sums, squares] = by_channel(map, |map, totals| Arch::new().dispatch(Squares { map, totals }));
        let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let variance = squares.iter().zip(&mean).map(|(sum, mean)| (sum / count - mean * mean).max(0.0) as f32);
        Self { variance: variance.collect(), mean: mean.iter().map(|mean| *mean as f32).collect() }
    }

    fn inverse(&self) -> impl Iterator<Item = f32> {
        self.variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt())
    }
}

impl Norm<'_> {
    /// The layer's output.
    pub(super) fn forward(&self, map: &Map, moments: &Moments) -> Map {
        let factor: Vec<f32> = self.gain.iter().zip(moments.inverse()).map(|(gain, inverse)| gain * inverse).collect();
        let centred = moments.mean.iter().zip(&factor).zip(self.bias);
        let offset: Vec<f32> = centred.map(|((mean, factor), bias)| bias - mean * factor).collect();
        let mut output = map.like();
        Arch::new().dispatch(Bend { map, output: &mut output, factor: &factor, offset: &offset, slope: self.slope });
        output
    }

    /// Makes the output's `gradient` the input's, and gives those of what is trained.
    pub(super) fn backward(&self, map: &Map, moments: &Moments, gradient: &mut Map) -> Slopes {
        let inverse: Vec<f32> = moments.inverse().collect();
        let count = (map.height * map.width * LANES) as f64;
        let shared = Shared { norm: *self, mean: &moments.mean, inverse: &inverse };
        let [gain, bias, slope] = by_channel(map, |map, totals| {
            Arch::new().dispatch(Sums { shared, map, gradient, totals });
        });
        let [per_gain, per_bias] = [&gain, &bias].map(|sums| sums.iter().map(|sum| (sum / count) as f32).collect());
        Arch::new().dispatch(Back { shared, map, gradient, per_gain, per_bias });
        let single = |sums: &[f64]| sums.iter().map(|sum| *sum as f32).collect();
        Slopes { gain: single(&gain), bias: single(&bias), slope: slope.iter().sum::<f64>() as f32 }
    }
}

/// `N` sums for every channel: single precision along a row, double across rows and lanes.
fn by_channel<const N: usize>(map: &Map, mut add: impl FnMut(&Map, &mut RowSums)) -> [Vec<f64>; N] {
    let mut rows = RowSums { row: vec![0.0; N * map.channels * LANES], all: vec![0.0; N * map.channels] };
    add(map, &mut rows);
    let mut all = rows.all.chunks(map.channels).map(<[f64]>::to_vec);
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

/// Sums of one row (`[sum, channel, LANES]`) and of all rows before it (`[sum, channel]`).
struct RowSums {
    row: Vec<f32>,
    all: Vec<f64>,
}

impl RowSums {
    #[inline(always)]
    fn next_row(&mut self) {
        for (all, lanes) in self.all.iter_mut().zip(self.row.chunks_exact_mut(LANES)) {
            *all += f64::from(lanes.iter().sum::<f32>());
            lanes.fill(0.0);
        }
    }
}

struct Squares<'a, 'b> {
    map: &'a Map,
    totals: &'b mut RowSums,
}

impl WithSimd for Squares<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let parts = LANES / S::F32_LANES;
        let channels = self.map.channels * parts;
        for row in self.map.rows() {
            let (values, _) = S::as_simd_f32s(row);
            let (sums, _) = S::as_mut_simd_f32s(&mut self.totals.row);
            let (sums, squares) = sums.split_at_mut(channels);
            for pixel in values.chunks_exact(channels) {
                for ((sum, square), value) in sums.iter_mut().zip(squares.iter_mut()).zip(pixel) {
                    *sum = simd.add_f32s(*sum, *value);
                    *square = simd.mul_add_e_f32s(*value, *value, *square);
                }
            }
            self.totals.next_row();
        }
    }
}

struct Bend<'a> {
    map: &'a Map,
    output: &'a mut Map,
    factor: &'a [f32],
    offset: &'a [f32],
    slope: f32,
}

impl WithSimd for Bend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (slope, zero) = (simd.splat_f32s(self.slope), simd.splat_f32s(0.0));
        let parts = LANES / S::F32_LANES;
        for (row, output) in self.map.rows().zip(self.output.rows_mut()) {
            let ((values, _), (output, _)) = (S::as_simd_f32s(row), S::as_mut_simd_f32s(output));
            let channels = self.factor.len() * parts;
            for (values, output) in values.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
                let channels = values.chunks_exact(parts).zip(output.chunks_exact_mut(parts));
                for (((values, output), factor), offset) in channels.zip(self.factor).zip(self.offset) {
                    let (factor, offset) = (simd.splat_f32s(*factor), simd.splat_f32s(*offset));
                    for (value, output) in values.iter().zip(output) {
                        let y = simd.mul_add_e_f32s(*value, factor, offset);
                        let is_above = simd.greater_than_f32s(y, zero);
                        *output = simd.select_f32s(is_above, y, simd.mul_f32s(y, slope));
                    }
                }
            }
        }
    }
}

/// What both walks of the gradient need.
#[derive(Clone, Copy)]
struct Shared<'a> {
    norm: Norm<'a>,
    mean: &'a [f32],
    inverse: &'a [f32],
}

/// A channel's numbers, in all lanes.
struct Channel<R> {
    mean: R,
    inverse: R,
    gain: R,
    bias: R,
}

impl Shared<'_> {
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "every table holds as many numbers as there are channels")]
    fn channel<S: Simd>(&self, simd: S, at: usize) -> Channel<S::f32s> {
        let splat = |table: &[f32]| simd.splat_f32s(table[at]);
        Channel {
            mean: splat(self.mean),
            inverse: splat(self.inverse),
            gain: splat(self.norm.gain),
            bias: splat(self.norm.bias),
        }
    }
}

struct Sums<'a, 'b> {
    shared: Shared<'a>,
    map: &'a Map,
    gradient: &'b Map,
    totals: &'b mut RowSums,
}

impl WithSimd for Sums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (slope, zero) = (simd.splat_f32s(self.shared.norm.slope), simd.splat_f32s(0.0));
        let parts = LANES / S::F32_LANES;
        let channels = self.map.channels * parts;
        for (row, gradient) in self.map.rows().zip(self.gradient.rows()) {
            let ((values, _), (gradient, _)) = (S::as_simd_f32s(row), S::as_simd_f32s(gradient));
            let (sums, _) = S::as_mut_simd_f32s(&mut self.totals.row);
            let (gains, rest) = sums.split_at_mut(channels);
            let (biases, slopes) = rest.split_at_mut(channels);
            for (values, gradient) in values.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
                let sums = gains.iter_mut().zip(biases.iter_mut()).zip(slopes.iter_mut());
                for (at, ((value, g), ((gain, bias), slopes))) in values.iter().zip(gradient).zip(sums).enumerate() {
                    let channel = self.shared.channel(simd, at / parts);
                    let normal = simd.mul_f32s(simd.sub_f32s(*value, channel.mean), channel.inverse);
                    let y = simd.mul_add_e_f32s(normal, channel.gain, channel.bias);
                    let is_above = simd.greater_than_f32s(y, zero);
                    let inner = simd.select_f32s(is_above, *g, simd.mul_f32s(*g, slope));
                    *gain = simd.mul_add_e_f32s(inner, normal, *gain);
                    *bias = simd.add_f32s(*bias, inner);
                    *slopes = simd.add_f32s(*slopes, simd.select_f32s(is_above, zero, simd.mul_f32s(*g, y)));
                }
            }
            self.totals.next_row();
        }
    }
}

struct Back<'a, 'b> {
    shared: Shared<'a>,
    map: &'a Map,
    gradient: &'b mut Map,
    per_gain: Vec<f32>,
    per_bias: Vec<f32>,
}

impl WithSimd for Back<'_, '_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "every table holds as many numbers as there are channels")]
    fn with_simd<S: Simd>(self, simd: S) {
        let (slope, zero) = (simd.splat_f32s(self.shared.norm.slope), simd.splat_f32s(0.0));
        let parts = LANES / S::F32_LANES;
        let channels = self.map.channels * parts;
        for (row, gradient) in self.map.rows().zip(self.gradient.rows_mut()) {
            let ((values, _), (gradient, _)) = (S::as_simd_f32s(row), S::as_mut_simd_f32s(gradient));
            for (values, gradient) in values.chunks_exact(channels).zip(gradient.chunks_exact_mut(channels)) {
                for (at, (value, g)) in values.iter().zip(gradient).enumerate() {
                    let channel = self.shared.channel(simd, at / parts);
                    let (per_gain, per_bias) = (self.per_gain[at / parts], self.per_bias[at / parts]);
                    let normal = simd.mul_f32s(simd.sub_f32s(*value, channel.mean), channel.inverse);
                    let y = simd.mul_add_e_f32s(normal, channel.gain, channel.bias);
                    let is_above = simd.greater_than_f32s(y, zero);
                    let inner = simd.select_f32s(is_above, *g, simd.mul_f32s(*g, slope));
                    let shifted = simd.sub_f32s(inner, simd.splat_f32s(per_bias));
                    let own = simd.sub_f32s(shifted, simd.mul_f32s(normal, simd.splat_f32s(per_gain)));
                    *g = simd.mul_f32s(simd.mul_f32s(channel.gain, channel.inverse), own);
                }
            }
        }
    }
}
