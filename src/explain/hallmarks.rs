//! The two hallmarks of method.md 10.2 as numbers, on pictures as small as a crop: pseudopodial extension and light scattering.
//!
//! A crop is scaled from its own darkest to its own brightest pixel, so it does not tell how bright the background was. [`Light`]
//! keeps that from the frame it was cut from, and brings a decoded picture back to the unit of `docs/shape.md`: light relative
//! to the background. The cell is what differs from the background by more than [`CONTRAST`]; pictures of one strip are measured
//! alike, so that what rises along it rises in the pictures and not in the measure.

use crate::cells::{CROP_SIDE_PX, Crop, DetectSettings, measured};
use crate::frame::{CorrectedFrame, FrameQuality, Plane};
use crate::units::{PixelSize, PointPx};
use serde::Serialize;

/// What differs from the background by more than this share of it belongs to the cell.
const CONTRAST: f32 = 0.12;
/// Width of the ring along a picture's edge whose median is taken as its background, px.
const RING_PX: usize = 12;
/// A cell does not lie further than this from the picture's centre, um.
const NEAR_UM: f64 = 12.0;

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
        let background = f64::from(ring_median(&counts, side_px)?);
        let darkest = counts.iter().copied().fold(f32::INFINITY, f32::min);
        let brightest = counts.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        (background > 0.0 && darkest.is_finite() && brightest > darkest)
            .then(|| Self { darkest: f64::from(darkest) / background, brightest: f64::from(brightest) / background })
    }
}

/// What is measured on a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hallmarks {
    /// Summed length of the protrusions, um.
    pub protrusion_total_um: f64,
    /// Their number.
    pub protrusion_count: u32,
    /// Bright, fine-grained light in and around the cell, relative to the background.
    pub scattering: f64,
    /// Area inside the outline, um2.
    pub area_um2: f64,
}

/// The hallmarks of the cell in the middle of `picture`, a crop of `box_um` or what a decoder draws for one; `None` when nothing
/// stands out there.
pub fn measure(picture: &Crop, light: Light, box_um: f64) -> Option<Hallmarks> {
    let pixel_size = PixelSize::new(box_um / CROP_SIDE_PX as f64).ok()?;
    let range = (light.brightest - light.darkest) as f32;
    let counts: Vec<f32> = picture.pixels().iter().map(|grey| light.darkest as f32 + range * grey).collect();
    // Its own ring: a decoder may draw the background a little brighter or darker than it was.
    let background = ring_median(&counts, CROP_SIDE_PX).filter(|it| *it > 0.0)?;
    let relative: Vec<f32> = counts.iter().map(|value| value / background).collect();
    let inside: Vec<bool> = relative.iter().map(|value| (value - 1.0).abs() > CONTRAST).collect();
    let frame = CorrectedFrame {
        raw: Plane::new(CROP_SIDE_PX, CROP_SIDE_PX, counts, f32::MAX)?,
        relative,
        quality: FrameQuality { background_counts: 1.0, evenness: 1.0, focus: 0.0, saturated_share: 0.0 },
    };
    let cell = measured(&frame, &inside, &DetectSettings::new(pixel_size))?;
    let middle = CROP_SIDE_PX as f64 / 2.0;
    let off_um = pixel_size.um_from_px(cell.centroid.distance_px(PointPx { x: middle, y: middle }));
    (off_um <= NEAR_UM).then_some(Hallmarks {
        protrusion_total_um: cell.shape.protrusion_total_um,
        protrusion_count: cell.shape.protrusion_count,
        scattering: cell.shape.scattering,
        area_um2: cell.shape.area_um2,
    })
}

/// Median of the ring along the edge of a square picture.
fn ring_median(values: &[f32], side: usize) -> Option<f32> {
    let at_edge = |at: usize| at < RING_PX || at + RING_PX >= side;
    let mut ring: Vec<f32> = (values.iter().enumerate())
        .filter(|(index, value)| value.is_finite() && (at_edge(index / side) || at_edge(index % side)))
        .map(|(_, value)| *value)
        .collect();
    ring.sort_unstable_by(f32::total_cmp);
    ring.get(ring.len() / 2).copied()
}

/// By how much a hallmark rises along a strip: the slope of its least-squares line per unit of `position`; `None` below three
/// pictures.
pub fn slope(positions: &[f64], values: &[f64]) -> Option<f64> {
    let count = positions.len().min(values.len()) as f64;
    if count < 3.0 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (x, y) = (mean(positions), mean(values));
    let spread: f64 = positions.iter().map(|it| (it - x).powi(2)).sum();
    let together: f64 = positions.iter().zip(values).map(|(a, b)| (a - x) * (b - y)).sum();
    (spread > 0.0).then(|| together / spread)
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
    fn light_is_relative_to_the_ring() {
        let mut counts = vec![1000.0; 60 * 60];
        counts[30 * 60 + 30] = 1700.0;
        counts[31 * 60 + 30] = 400.0;
        let plane = Plane::new(60, 60, counts, 65535.0).unwrap();
        let light = Light::of(&plane, PointPx { x: 30.0, y: 30.0 }, 51).unwrap();
        assert!((light.darkest - 0.4).abs() < 1e-6 && (light.brightest - 1.7).abs() < 1e-6, "{light:?}");
        assert_eq!(Light::of(&plane, PointPx { x: 10.0, y: 30.0 }, 51), None, "the box does not fit");
    }

    #[test]
    fn slope_is_that_of_the_line() {
        assert!((slope(&[0.0, 1.0, 2.0, 3.0], &[1.0, 3.0, 5.0, 7.0]).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(slope(&[0.0, 1.0], &[0.0, 1.0]), None);
    }
}
