//! The two hallmarks of method.md 10.2 as numbers, on pictures as small as a crop: pseudopodial extension and light scattering.
//!
//! A crop is scaled from its own darkest to its own brightest pixel, so it does not tell how bright the background was. [`Light`]
//! keeps that from the frame it was cut from, and brings a decoded picture back to the unit of `docs/shape.md`: light relative
//! to the background. The background is the most frequent light of a picture; the cell is what differs from it and lies
//! nearest to the middle. All pictures of a strip are measured alike.

use crate::cells::{CROP_SIDE_PX, Crop, DetectSettings, measured, parts};
use crate::frame::{CorrectedFrame, FrameQuality, Plane};
use crate::units::{PixelSize, PointPx};
use serde::Serialize;

/// What differs from the background by more than so many of the background's own standard deviations belongs to the cell: thin
/// pseudopods are faint beside a bright rim.
const CONTRAST_SD: f32 = 4.0;
/// Less than this is never a cell, relative to the background; a decoder's background has no noise.
const LEAST_CONTRAST: f32 = 0.06;
/// The background's spread is taken from pixels further than this from the centre, um.
const FAR_UM: f64 = 22.0;
/// A cell does not lie further than this from the picture's centre, um.
const NEAR_UM: f64 = 12.0;
/// A normal distribution's standard deviation over the median of its absolute values.
const MEDIAN_TO_SD: f32 = 1.4826;
/// Steps of grey in which the background is sought.
const GREY_STEPS: usize = 128;

/// How bright a crop was before it was scaled, relative to its background.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Light {
    /// Its darkest pixel.
    pub darkest: f64,
    /// Its brightest pixel.
    pub brightest: f64,
}

impl Light {
    /// The light of the box of `side_px` around `centre` in a plane of camera counts; `None` when the box does not lie wholly
    /// inside, or has no light.
    pub fn of(plane: &Plane, centre: PointPx, side_px: usize) -> Option<Self> {
        let first = |c: f64, n: usize| {
            let low = (c + 0.5).floor() - (side_px / 2) as f64;
            (low >= 0.0 && low as usize + side_px <= n).then_some(low as usize)
        };
        let (left, top) = (first(centre.x, plane.width_px())?, first(centre.y, plane.height_px())?);
        let rows = plane.counts().chunks_exact(plane.width_px()).skip(top).take(side_px);
        let counts: Vec<f32> = rows.flat_map(|row| row.iter().skip(left).take(side_px).copied()).collect();
        Self::over(&counts, f64::from(most_frequent(&counts)?))
    }

    /// The light of two windows of camera counts that have one background, that of the first.
    pub fn of_twins(one: &Plane, other: &Plane) -> Option<(Self, Self)> {
        let background = f64::from(most_frequent(one.counts())?);
        Self::over(one.counts(), background).zip(Self::over(other.counts(), background))
    }

    fn over(counts: &[f32], background: f64) -> Option<Self> {
        let (darkest, brightest) = extremes(counts.iter().copied());
        (background > 0.0 && darkest.is_finite() && brightest > darkest)
            .then(|| Self { darkest: f64::from(darkest) / background, brightest: f64::from(brightest) / background })
    }

    /// The light of a crop's pixels, relative to the background.
    pub fn relative(self, grey: &[f32]) -> Vec<f32> {
        let range = (self.brightest - self.darkest) as f32;
        grey.iter().map(|grey| self.darkest as f32 + range * grey).collect()
    }

    /// Relative light on this scale of grey; what is darker or brighter than its ends is cut off. `None` when it is no crop.
    pub fn grey(self, relative: &[f32]) -> Option<Crop> {
        let (darkest, range) = (self.darkest as f32, (self.brightest - self.darkest) as f32);
        Crop::new(relative.iter().map(|light| ((light - darkest) / range).clamp(0.0, 1.0)).collect())
    }

    /// Relative light as a crop of its own, scaled and rounded as a crop is, and its light; `None` when it is no picture.
    pub fn crop(relative: &[f32]) -> Option<(Crop, Self)> {
        let (darkest, brightest) = extremes(relative.iter().copied());
        let range = brightest - darkest;
        let grey = relative.iter().map(|light| ((light - darkest) / range * 255.0).round() / 255.0);
        let crop = if range > 0.0 { Crop::new(grey.collect()) } else { None };
        crop.map(|crop| (crop, Self { darkest: f64::from(darkest), brightest: f64::from(brightest) }))
    }
}

/// What is measured on a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hallmarks {
    /// Summed length of the protrusions, um.
    pub protrusion_total_um: f64,
    /// Their number.
    pub protrusion_count: u32,
    /// Bright, fine-grained light, um2; see [`crate::cells::Shape`].
    pub scattering: f64,
    /// Area inside the outline, um2.
    pub area_um2: f64,
}

/// The hallmarks of the cell in the middle of `picture`, a crop of `box_um` or what a decoder draws for one; `None` when nothing
/// stands out there.
pub fn measure(picture: &Crop, light: Light, box_um: f64) -> Option<Hallmarks> {
    let pixel_size = PixelSize::new(box_um / CROP_SIDE_PX as f64).ok()?;
    let counts = light.relative(picture.pixels());
    // Its own: a decoder may draw the background a little brighter or darker than it was.
    let background = most_frequent(&counts).filter(|it| *it > 0.0)?;
    let relative: Vec<f32> = counts.iter().map(|value| value / background).collect();
    let inside = cell_in_the_middle(&relative, pixel_size.px_from_um(NEAR_UM))?;
    let frame = CorrectedFrame {
        raw: Plane::new(CROP_SIDE_PX, CROP_SIDE_PX, counts.into(), f32::MAX)?,
        relative: relative.into(),
        quality: FrameQuality { background_counts: 1.0, evenness: 1.0, focus: 0.0, saturated_share: 0.0 },
    };
    let shape = measured(&frame, &inside, &DetectSettings::new(pixel_size))?.shape;
    Some(Hallmarks {
        protrusion_total_um: shape.protrusion_total_um,
        protrusion_count: shape.protrusion_count,
        scattering: shape.scattering,
        area_um2: shape.area_um2,
    })
}

/// The connected part that differs from the background and comes nearest to the picture's centre, within `near_px` of it.
fn cell_in_the_middle(relative: &[f32], near_px: f64) -> Option<Vec<bool>> {
    let middle = (CROP_SIDE_PX as f64 - 1.0) / 2.0;
    let from_middle =
        |index: usize| ((index % CROP_SIDE_PX) as f64 - middle).hypot((index / CROP_SIDE_PX) as f64 - middle);
    // The median is not moved by neighbours, as long as they fill less than half of what lies around.
    let mut around: Vec<f32> = (relative.iter().enumerate())
        .filter(|it| from_middle(it.0) > near_px * FAR_UM / NEAR_UM)
        .map(|it| (it.1 - 1.0).abs())
        .collect();
    around.sort_unstable_by(f32::total_cmp);
    let sd = around.get(around.len() / 2).map_or(0.0, |median| MEDIAN_TO_SD * median);
    let contrast = (CONTRAST_SD * sd).max(LEAST_CONTRAST);
    let inside: Vec<bool> = relative.iter().map(|value| (value - 1.0).abs() > contrast).collect();
    let parts = parts(CROP_SIDE_PX, CROP_SIDE_PX, inside);
    let (distance, own) = (parts.iter().enumerate().filter(|it| *it.1 > 0))
        .map(|(index, part)| (from_middle(index), *part))
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    if distance > near_px {
        return None;
    }
    Some(parts.into_iter().map(|part| part == own).collect())
}

/// The most frequent value, in steps of the range: the background, as long as it fills more of the picture than anything else.
fn most_frequent(values: &[f32]) -> Option<f32> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = extremes(finite.clone());
    let range = high - low;
    if !range.is_finite() || range <= 0.0 {
        return low.is_finite().then_some(low);
    }
    let step = |value: f32| (((value - low) / range * GREY_STEPS as f32) as usize).min(GREY_STEPS - 1);
    let mut counts = [0_u32; GREY_STEPS];
    for value in finite.clone() {
        if let Some(count) = counts.get_mut(step(value)) {
            *count += 1;
        }
    }
    // The first of equals, so that the same picture gives the same bits.
    let most = (0..GREY_STEPS).rev().max_by_key(|at| counts.get(*at).copied())?;
    let (mut sum, mut number) = (0.0_f64, 0.0_f64);
    for value in finite.filter(|value| step(*value) == most) {
        sum += f64::from(value);
        number += 1.0;
    }
    (number > 0.0).then(|| (sum / number) as f32)
}

fn extremes(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// A least-squares line's slope, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slope {
    /// Change of the hallmark per unit of position.
    pub per_unit: f64,
    /// Its standard error, the values taken for independent.
    pub standard_error: f64,
}

impl Slope {
    /// Whether it is above zero by more than chance gives in 39 of 40 cases.
    pub fn rises(&self) -> bool {
        self.per_unit > 1.96 * self.standard_error
    }
}

/// By how much a hallmark rises with `positions`: its least-squares line; `None` below three values, or all at one place.
pub fn slope(positions: &[f64], values: &[f64]) -> Option<Slope> {
    let count = positions.len().min(values.len()) as f64;
    if count < 3.0 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (x, y) = (mean(positions), mean(values));
    let spread: f64 = positions.iter().map(|it| (it - x).powi(2)).sum();
    let together: f64 = positions.iter().zip(values).map(|(a, b)| (a - x) * (b - y)).sum();
    if spread <= 0.0 {
        return None;
    }
    let per_unit = together / spread;
    let missed: f64 = positions.iter().zip(values).map(|(a, b)| (b - y - per_unit * (a - x)).powi(2)).sum();
    Some(Slope { per_unit, standard_error: (missed / (count - 2.0) / spread).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark disc of 10 um on a background of 0.4, with `arms` thin arms of 12 um and a bright grain of `grain`.
    fn picture(arms: usize, grain: f32) -> Crop {
        let side = CROP_SIDE_PX as i64;
        let um = 70.5 / CROP_SIDE_PX as f64;
        let pixel = |index: usize| {
            let (x, y) = ((index as i64 % side - side / 2) as f64 * um, (index as i64 / side - side / 2) as f64 * um);
            let on_arm = (0..arms).any(|arm| {
                let angle = std::f64::consts::TAU * arm as f64 / 5.0;
                let (along, across) = (x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin());
                (0.0..22.0).contains(&along) && across.abs() < 0.8
            });
            let inside = x.hypot(y) < 10.0;
            let bright = inside && index % 5 < 2;
            if bright {
                0.2 + grain
            } else if inside || on_arm {
                0.2
            } else {
                0.4
            }
        };
        Crop::new((0..CROP_SIDE_PX * CROP_SIDE_PX).map(pixel).collect()).unwrap()
    }

    #[test]
    fn arms_and_grain_are_told_apart() {
        let light = Light { darkest: 0.5, brightest: 1.8 };
        let of = |arms, grain| measure(&picture(arms, grain), light, 70.5).unwrap();
        let (plain, armed, grainy) = (of(0, 0.0), of(3, 0.0), of(0, 0.5));
        assert_eq!((plain.protrusion_count, armed.protrusion_count), (0, 3));
        assert!((armed.protrusion_total_um - 36.0).abs() < 6.0, "{armed:?}");
        assert!(grainy.scattering > plain.scattering + 0.2, "{plain:?} {grainy:?}");
        assert!((plain.area_um2 / (std::f64::consts::PI * 100.0) - 1.0).abs() < 0.1, "{plain:?}");
    }

    #[test]
    fn nothing_in_the_middle_is_no_cell() {
        let light = Light { darkest: 0.5, brightest: 1.5 };
        let flat = Crop::new(vec![0.4; CROP_SIDE_PX * CROP_SIDE_PX]).unwrap();
        assert_eq!(measure(&flat, light, 70.5), None);
    }

    #[test]
    fn light_is_relative_to_the_background() {
        let mut counts = vec![1000.0; 60 * 60];
        counts[30 * 60 + 30] = 1700.0;
        counts[31 * 60 + 30] = 400.0;
        let plane = Plane::new(60, 60, counts.into(), 65535.0).unwrap();
        let light = Light::of(&plane, PointPx { x: 30.0, y: 30.0 }, 51).unwrap();
        assert!((light.darkest - 0.4).abs() < 1e-6 && (light.brightest - 1.7).abs() < 1e-6, "{light:?}");
        assert_eq!(Light::of(&plane, PointPx { x: 10.0, y: 30.0 }, 51), None, "the box does not fit");
    }

    #[test]
    fn a_crop_and_its_light_tell_what_was_seen() {
        let relative: Vec<f32> = (0..CROP_SIDE_PX * CROP_SIDE_PX).map(|i| 0.5 + 0.01 * (i % 181) as f32).collect();
        let (crop, light) = Light::crop(&relative).unwrap();
        assert!((light.darkest - 0.5).abs() < 1e-6 && (light.brightest - 2.3).abs() < 1e-5, "{light:?}");
        assert!(light.relative(crop.pixels()).iter().zip(&relative).all(|it| (it.0 - it.1).abs() < 0.0036));
        let narrow = Light { darkest: 1.0, brightest: 2.0 }.grey(&relative).unwrap();
        let [dark, middle, bright] = [0, 100, 180].map(|at: usize| narrow.pixels()[at]);
        assert!(
            dark.abs() < 1e-6 && (middle - 0.5).abs() < 1e-5 && (bright - 1.0).abs() < 1e-6,
            "{dark} {middle} {bright}"
        );
        assert_eq!(Light::crop(&vec![1.0; CROP_SIDE_PX * CROP_SIDE_PX]), None, "one single light is no picture");
    }

    #[test]
    fn slope_is_that_of_the_line() {
        let exact = slope(&[0.0, 1.0, 2.0, 3.0], &[1.0, 3.0, 5.0, 7.0]).unwrap();
        assert!((exact.per_unit - 2.0).abs() < 1e-12 && exact.standard_error < 1e-9 && exact.rises());
        let scattered = slope(&[0.0, 1.0, 2.0, 3.0], &[1.0, 0.0, 2.0, 1.0]).unwrap();
        // Missed by 0.3, -0.9, 0.9 and -0.3: squares of 1.8, two degrees of freedom, positions of 5.
        assert!((scattered.per_unit - 0.2).abs() < 1e-12 && (scattered.standard_error - 0.18_f64.sqrt()).abs() < 1e-12);
        assert!(!scattered.rises());
        assert_eq!(slope(&[0.0, 1.0], &[0.0, 1.0]), None);
    }
}
