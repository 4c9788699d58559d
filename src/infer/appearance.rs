//! What a crop looks like at large, whatever is in it: grain at seven scales, brightness, where the contrast lies.
//!
//! Takes a crop, gives [`COUNT`] statistics that no network stands behind, and their distance to those of the training set. A
//! descriptor keeps only what helped to draw training cells; a picture of another kind (another modality, objective or
//! focus, a speck, a crowd) may have an ordinary descriptor and still look like none of them.

use super::InferError;
use crate::cells::{CROP_SIDE_PX, Crop};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use serde::{Deserialize, Serialize};

/// Scales at which grain is measured: blocks of 2, 4 .. 128 px.
const SCALES: usize = 7;
/// Number of statistics.
pub const COUNT: usize = SCALES + 12;
/// The finest grain, relative to the coarse: what defocus takes away.
const FINE: [usize; 2] = [1, 2];
/// Grain that defocus leaves.
const COARSE: usize = 4;
/// Energies below this are rounding.
const FLOOR: f64 = 1e-7;
/// Width of the ring at the crop's edge, px.
const RING_PX: usize = 24;

/// Statistics of one crop.
pub type Appearance = [f64; COUNT];

/// Mean and covariance of the training crops' statistics, and how far off a crop may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppearanceLimits {
    /// 19 means.
    #[serde(serialize_with = "super::bundle::in_one_line")]
    pub mean: Vec<f64>,
    /// 19 rows of 19, symmetric and positive definite.
    #[serde(serialize_with = "super::bundle::rows_in_one_line")]
    pub covariance: Vec<Vec<f64>>,
    /// Largest Mahalanobis distance.
    pub distance_limit: f64,
    /// Least fine grain against coarse, natural logarithm: less is out of focus.
    pub sharpness_limit: f64,
    /// Largest share of pixels at the brightest value: more is saturated.
    pub saturation_limit: f64,
}

/// The statistics of `crop`.
pub fn of(crop: &Crop) -> Appearance {
    let grain = grain(crop.pixels());
    let pixels = crop.pixels();
    let [lowest, low, median, high, highest] = quantiles(pixels.to_vec(), [0.01, 0.1, 0.5, 0.9, 0.99]);
    let count = pixels.len() as f64;
    let mean = pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let (square, cube) = pixels.iter().fold((0.0, 0.0), |(square, cube), &v| {
        let away = f64::from(v) - mean;
        (square + away * away, cube + away * away * away)
    });
    let spread = (square / count).sqrt().max(1e-4);
    let places = places(pixels, median);
    let mut all = [0.0; COUNT];
    let rest = [
        mean,
        spread.ln(),
        (cube / count / spread.powi(3)).clamp(-8.0, 8.0),
        median,
        lowest - median,
        highest - median,
        high - low,
        places.ring,
        places.middle,
        places.radius,
        places.offset,
        places.dipole,
    ];
    for (to, from) in all.iter_mut().zip(grain.into_iter().chain(rest)) {
        *to = from;
    }
    all
}

/// The values that these shares of all, in rising order, lie below.
fn quantiles<const N: usize>(mut values: Vec<f32>, shares: [f64; N]) -> [f64; N] {
    let last = values.len().saturating_sub(1);
    let mut from = 0;
    shares.map(|share| {
        let at = ((share * last as f64) as usize).max(from);
        // What is below the quantile before stays out of it: each time there is less to look at.
        let Some(rest) = values.get_mut(from..).filter(|rest| at - from < rest.len()) else { return 0.0 };
        let (_, value, _) = rest.select_nth_unstable_by(at - from, f32::total_cmp);
        from = at;
        f64::from(*value)
    })
}

/// Fine grain against coarse, natural logarithm: falls as a picture goes out of focus.
pub fn sharpness(appearance: &Appearance) -> f64 {
    let scale = |index: usize| appearance.get(index).copied().unwrap_or_default();
    FINE.iter().map(|&index| scale(index)).sum::<f64>() / FINE.len() as f64 - scale(COARSE)
}

/// Variance within blocks of 2 x 2 pixels, grey of 0..=1 squared.
pub fn finest_variance(appearance: &Appearance) -> f64 {
    appearance.first().map_or(0.0, |energy| (energy.exp() - FLOOR).max(0.0))
}

/// Share of pixels at the brightest value, beyond the first: a crop that was not cut off by the camera has few.
pub fn saturation(crop: &Crop) -> f64 {
    let brightest = crop.pixels().iter().copied().fold(0.0, f32::max);
    crop.pixels().iter().filter(|&&value| value >= brightest).count().saturating_sub(1) as f64
        / crop.pixels().len() as f64
}

/// Variance within blocks of 2 x 2 means at each scale, natural logarithm.
fn grain(pixels: &[f32]) -> [f64; SCALES] {
    let (mut picture, mut side) = (pixels.to_vec(), CROP_SIDE_PX);
    std::array::from_fn(|_| {
        let mut coarser = Vec::with_capacity(picture.len() / 4);
        let mut energy = 0.0_f64;
        for rows in picture.chunks_exact(2 * side) {
            let (upper, lower) = rows.split_at(side);
            for (a, b) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                let block = || a.iter().chain(b);
                let mean = block().sum::<f32>() / 4.0;
                energy += f64::from(block().map(|value| (value - mean).powi(2)).sum::<f32>());
                coarser.push(mean);
            }
        }
        let count = picture.len() as f64;
        picture = std::mem::take(&mut coarser);
        side /= 2;
        (energy / count + FLOOR).ln()
    })
}

/// Where the contrast lies.
struct Places {
    /// Contrast in the ring at the edge, natural logarithm.
    ring: f64,
    /// Contrast in the middle ninth, natural logarithm.
    middle: f64,
    /// Root mean square distance of the contrast from the middle, half sides.
    radius: f64,
    /// Distance of the contrast's centre of mass from the middle, half sides.
    offset: f64,
    /// One-sidedness of bright and dark about the middle, 0..1: shadowed relief, as in DIC, has much.
    dipole: f64,
}

fn places(pixels: &[f32], median: f64) -> Places {
    let half = CROP_SIDE_PX as f64 / 2.0;
    let (mut ring, mut middle) = ((0.0_f64, 0.0_f64), (0.0_f64, 0.0_f64));
    let (mut weight, mut square, mut first) = (1e-9_f64, 0.0, (0.0, 0.0));
    let (mut signed, mut absolute) = ((0.0, 0.0), 1e-9_f64);
    for (y, row) in pixels.chunks_exact(CROP_SIDE_PX).enumerate() {
        let v = (y as f64 + 0.5) / half - 1.0;
        for (x, &value) in row.iter().enumerate() {
            let u = (x as f64 + 0.5) / half - 1.0;
            let difference = f64::from(value) - median;
            let power = difference * difference;
            let inner = RING_PX..CROP_SIDE_PX - RING_PX;
            if !inner.contains(&x) || !inner.contains(&y) {
                ring = (ring.0 + power, ring.1 + 1.0);
            }
            if u.abs() < 1.0 / 3.0 && v.abs() < 1.0 / 3.0 {
                middle = (middle.0 + power, middle.1 + 1.0);
            }
            weight += power;
            square += power * (u * u + v * v);
            first = (first.0 + power * u, first.1 + power * v);
            signed = (signed.0 + difference * u, signed.1 + difference * v);
            absolute += difference.abs() * (u * u + v * v).sqrt();
        }
    }
    Places {
        ring: (ring.0 / ring.1.max(1.0) + FLOOR).ln(),
        middle: (middle.0 / middle.1.max(1.0) + FLOOR).ln(),
        radius: (square / weight).sqrt(),
        offset: (first.0 / weight).hypot(first.1 / weight),
        dipole: signed.0.hypot(signed.1) / absolute,
    }
}

/// Measures how far a crop's look is from the training set's.
#[derive(Debug, Clone)]
pub struct Looks {
    limits: AppearanceLimits,
    factor: Cholesky<f64, Dyn>,
}

impl Looks {
    /// The looks that `limits` describe.
    ///
    /// # Errors
    /// `bundle_facts` when the numbers are not finite, too few, or the covariance is not positive definite.
    pub fn new(limits: &AppearanceLimits) -> Result<Self, InferError> {
        let wrong = |problem: &str| InferError::BundleFacts { problem: problem.to_owned() };
        let rows = &limits.covariance;
        if limits.mean.len() != COUNT || rows.len() != COUNT || rows.iter().any(|row| row.len() != COUNT) {
            return Err(wrong("appearance mean and covariance must be 19 and 19 x 19 numbers"));
        }
        let alone = [limits.distance_limit, limits.sharpness_limit, limits.saturation_limit];
        if !limits.mean.iter().chain(rows.iter().flatten()).chain(&alone).all(|number| number.is_finite()) {
            return Err(wrong("appearance limits must be finite numbers"));
        }
        let covariance = DMatrix::from_row_iterator(COUNT, COUNT, rows.iter().flatten().copied());
        let factor =
            Cholesky::new(covariance).ok_or_else(|| wrong("appearance covariance must be positive definite"))?;
        Ok(Self { limits: limits.clone(), factor })
    }

    /// Mahalanobis distance of `appearance` to the training set, >= 0.
    pub fn distance(&self, appearance: &Appearance) -> f64 {
        let differences = appearance.iter().zip(&self.limits.mean).map(|(value, mean)| value - mean);
        let difference = DVector::from_iterator(COUNT, differences);
        // The diagonal of a Cholesky factor is positive: the system always has a solution, NaN otherwise says so.
        self.factor.l_dirty().solve_lower_triangular(&difference).map_or(f64::NAN, |solved| solved.norm())
    }

    /// The limits.
    pub fn limits(&self) -> &AppearanceLimits {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let values: Vec<f32> = (0..4001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let shares = [0.01, 0.1, 0.5, 0.5, 0.9, 0.99, 1.0];
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let expected = shares.map(|share: f64| f64::from(sorted[(share * 4000.0) as usize]));
        assert_eq!(bits(&quantiles(values, shares)), bits(&expected));
        assert_eq!(bits(&quantiles(vec![7.0], [0.0, 0.5, 1.0])), bits(&[7.0; 3]));
        assert_eq!(bits(&quantiles(Vec::new(), [0.5])), bits(&[0.0]));
    }
}
