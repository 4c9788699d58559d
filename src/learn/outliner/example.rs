//! A close-up of a cell that the finder found, and the true cell: what the outliner learns from.

use crate::cells::close_up::{CloseUp, DRAWN, SHOWN};
use crate::cells::{self, DetectSettings, Sight as _};
use crate::frame::{self, Plane};
use crate::infer::InferError;
use crate::infer::finder::Finder;
use crate::units::PixelSize;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// A cell is shown when it and what was found of it have at least this share in common: below, the finder took two for one, or found
/// another thing.
const LEAST_SHARED: f64 = 0.4;
/// Contrasts are shown up to this many times weaker or stronger.
const GAINS: f32 = 1.3;
/// Spread of what is added to them.
const OFFSET: f32 = 0.1;
/// Largest spread of noise that is added, and the share of pictures with such noise.
const NOISE: (f32, f64) = (0.15, 0.4);

/// One cell.
#[derive(Debug, Clone)]
pub struct Example {
    width: usize,
    height: usize,
    /// `[SHOWN, height, width]`.
    shown: Vec<f32>,
    /// `[DRAWN, height, width]`.
    wanted: Vec<f32>,
}

/// A picture whose true outlines are known.
#[derive(Debug, Clone)]
pub struct Truth<'a> {
    /// The picture.
    pub plane: Plane,
    /// `[height, width]`, 0 for none.
    pub labels: &'a [u16],
    /// Pixel size.
    pub pixel_size: PixelSize,
    /// Width of a usual cell, px.
    pub diameter_px: f64,
    /// A band of this many px is not annotated.
    pub border_px: usize,
}

/// The cells that `finder` finds in a picture.
///
/// # Errors
/// As [`Finder::maps`].
pub fn examples(truth: Truth<'_>, finder: &Finder) -> Result<Vec<Example>, InferError> {
    let Truth { plane, labels, pixel_size, diameter_px, border_px } = truth;
    let frame_px = (plane.width_px(), plane.height_px());
    let frame = frame::correct(plane, pixel_size);
    let cell_diameter_um = diameter_px * pixel_size.um();
    let settings = DetectSettings { cell_diameter_um, ..DetectSettings::new(pixel_size) };
    let picture = cells::working_picture(&frame, &settings, finder.view());
    let maps = finder.maps(&picture)?;
    let border = (border_px as f64 / picture.scale) as i64;
    let seen = cells::close_ups(&frame, &picture, &maps, |places| finder.again(&picture, places, &maps))?;
    let is_annotated = |close_up: &&CloseUp| border == 0 || close_up.is_within(border);
    let example = |close_up: &CloseUp| {
        let (wanted, shared) = close_up.wanted(labels, frame_px, picture.scale)?;
        let CloseUp { width, height, ref shown, .. } = *close_up;
        (shared >= LEAST_SHARED).then(|| Example { width, height, shown: shown.clone(), wanted })
    };
    Ok(seen.iter().filter(is_annotated).filter_map(example).collect())
}

impl Example {
    /// A part of `side` x `side` places (`[SHOWN, side, side]`) and what is wanted of it (`[DRAWN, side, side]`), turned by quarters,
    /// mirrored, with another contrast, light and noise. Beyond the close-up its edge is shown.
    pub(super) fn sample(&self, side: usize, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
        let start = |length: usize, rng: &mut ChaCha8Rng| rng.random_range(0..=length.saturating_sub(side));
        let (left, top) = (start(self.width, rng), start(self.height, rng));
        let (turned, mirrored): (bool, [bool; 2]) = (rng.random(), rng.random());
        // A pixel of the part, in pixels: where it is read in the close-up.
        let from = |x: usize, y: usize| {
            let flip = |at: usize, is: bool| if is { 2 * side - 1 - at } else { at };
            let (x, y) = (flip(x, mirrored[0]), flip(y, mirrored[1]));
            let (x, y) = if turned { (y, x) } else { (x, y) };
            ((2 * left + x).min(2 * self.width - 1), (2 * top + y).min(2 * self.height - 1))
        };
        let part = |planes: &[f32], plane: usize, four: bool, sampled: &mut Vec<f32>| {
            for place in 0..side * side {
                let (x, y) = (2 * (place % side) + plane % 2, 2 * (place / side) + plane / 2 % 2);
                let (x, y) = from(x, y);
                let plane = if four { 2 * (y % 2) + x % 2 } else { plane };
                let at = (plane * self.height + y / 2) * self.width + x / 2;
                sampled.push(planes.get(at).copied().unwrap_or_default());
            }
        };
        let (mut shown, mut wanted) =
            (Vec::with_capacity(SHOWN * side * side), Vec::with_capacity(DRAWN * side * side));
        for plane in 0..SHOWN {
            part(&self.shown, plane, plane < DRAWN, &mut shown);
        }
        for plane in 0..DRAWN {
            part(&self.wanted, plane, true, &mut wanted);
        }
        let gain = GAINS.powf(2.0 * rng.random::<f32>() - 1.0);
        let offset = OFFSET * deviate(rng);
        let noise = if rng.random::<f64>() < NOISE.1 { NOISE.0 * rng.random::<f32>() } else { 0.0 };
        for light in shown.iter_mut().take(DRAWN * side * side) {
            *light = gain * *light + offset + if noise > 0.0 { noise * deviate(rng) } else { 0.0 };
        }
        (shown, wanted)
    }
}

fn deviate(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}
