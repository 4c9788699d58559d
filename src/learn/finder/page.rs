//! A picture with true outlines, ready to be cut into disturbed training pictures.

use super::loss::WANTED;
use crate::cells::maps;
use crate::cells::working::{View, WorkingPicture};
use crate::frame::{self, Plane};
use crate::units::PixelSize;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use std::f64::consts::TAU;

/// A cell of the hinted diameter is this wide on a page, px: somewhat wider than in the network's picture, so that
/// turning and scaling lose nothing.
const PAGE_DIAMETER_PX: f64 = 30.0;
/// A page is seen as the network sees it.
const PAGE_VIEW: View = View { diameter_px: PAGE_DIAMETER_PX, ..View::SHIPPED };
/// Cells are shown up to this many times narrower or wider than hinted.
const SCALES: f64 = 1.7;
/// Two cells this near each other are close, page px ...
const CLOSE_PX: usize = 2;
/// ... and the pixels between them count this much more than others.
const CLOSE_WEIGHT: f32 = 3.0;

/// The working picture and what is wanted for it.
#[derive(Debug, Clone)]
pub struct Page {
    width: usize,
    height: usize,
    pixels: Vec<Pixel>,
    /// Left, top, right, bottom of the annotated part, page px.
    within: [f64; 4],
}

/// Light; 1 inside cells; distance to the cell's rim and the cell's largest, px; 1 where two cells are close.
type Pixel = [f32; 5];

impl Page {
    /// The page of a frame with cells about `diameter_px` wide; `labels` are `[height, width]` of the frame, 0 for none; a
    /// band of `border_px` is not annotated.
    pub fn new(plane: Plane, pixel_size: PixelSize, labels: &[u16], diameter_px: f64, border_px: usize) -> Self {
        let (frame_width, frame_height) = (plane.width_px(), plane.height_px());
        let relative = frame::correct(plane, pixel_size).relative;
        let picture = WorkingPicture::of(&relative, frame_width, frame_height, diameter_px, PAGE_VIEW);
        let (width, height) = (picture.width, picture.height);
        let at =
            |target: usize, most: usize| (((target as f64 + 0.5) * picture.scale) as usize).min(most.saturating_sub(1));
        let label = |i: usize| {
            let (x, y) = (at(i % width, frame_width), at(i / width, frame_height));
            labels.get(y * frame_width + x).copied().unwrap_or(0)
        };
        let labels: Vec<u16> = (0..width * height).map(label).collect();
        let (to_rim, largest) = maps::distances(&labels, width, height);
        let maps = picture.values.iter().zip(&labels).zip(to_rim.iter().zip(&largest)).zip(close(&labels, width));
        let pixels = maps.map(|(((light, label), (to_rim, largest)), close)| {
            [*light, f32::from(u8::from(*label > 0)), *to_rim, *largest, close]
        });
        let border = border_px as f64 / picture.scale;
        let within = [border, border, width as f64 - border, height as f64 - border];
        Self { width, height, pixels: pixels.collect(), within }
    }

    /// A picture (`[side, side]`) and what is wanted for it (`[side, side, WANTED]`): a place, turned, mirrored, scaled,
    /// with another contrast, other light, blur and noise.
    pub(super) fn sample(&self, side: usize, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
        let per_px = PAGE_DIAMETER_PX / crate::cells::working::NETWORK_DIAMETER_PX
            * SCALES.powf(2.0 * rng.random::<f64>() - 1.0);
        let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
        let mirror = if rng.random::<f64>() < 0.5 { -1.0 } else { 1.0 };
        let [left, top, right, bottom] = self.within;
        // Corners may stick out: beyond the annotated part the page is mirrored.
        let half = 0.35 * side as f64 * per_px;
        let place = |low: f64, high: f64, part: f64| {
            let (low, high) = (low + half, high - half);
            if low < high { low + part * (high - low) } else { f64::midpoint(low, high) }
        };
        let (cx, cy) = (place(left, right, rng.random()), place(top, bottom, rng.random()));
        let middle = (side as f64 - 1.0) / 2.0;
        let mut light = Vec::with_capacity(side * side);
        let mut wanted = Vec::with_capacity(WANTED * side * side);
        for row in 0..side {
            let v = (row as f64 - middle) * per_px;
            for column in 0..side {
                let u = (column as f64 - middle) * per_px * mirror;
                let x = folded(cx + u * cos - v * sin, left, right);
                let y = folded(cy + u * sin + v * cos, top, bottom);
                let [value, inside, to_rim, largest, close] = self.at(x, y);
                let scale = 1.0 / per_px as f32;
                light.push(value);
                wanted.extend([inside, maps::depth(to_rim * scale, largest * scale), 1.0 + CLOSE_WEIGHT * close]);
            }
        }
        disturb(&mut light, side, rng);
        (light, wanted)
    }

    /// A pixel's numbers between the four pixels around a place.
    fn at(&self, x: f64, y: f64) -> Pixel {
        let (x, y) = (x.clamp(0.0, self.width as f64 - 1.0), y.clamp(0.0, self.height as f64 - 1.0));
        let (x0, y0) =
            ((x as usize).min(self.width.saturating_sub(2)), (y as usize).min(self.height.saturating_sub(2)));
        let (px, py) = ((x - x0 as f64) as f32, (y - y0 as f64) as f32);
        let read = |column: usize, row: usize| self.pixels.get(row * self.width + column).copied().unwrap_or_default();
        let between = |a: Pixel, b: Pixel, part: f32| {
            let mut mixed = a;
            mixed.iter_mut().zip(b).for_each(|(a, b)| *a += part * (b - *a));
            mixed
        };
        let line = |row: usize| between(read(x0, row), read(x0 + 1, row), px);
        between(line(y0), line(y0 + 1), py)
    }
}

/// 1 where two cells lie within [`CLOSE_PX`] along a row or a column, 0 elsewhere.
fn close(labels: &[u16], width: usize) -> impl Iterator<Item = f32> {
    let height = labels.len() / width.max(1);
    (0..labels.len()).map(move |at| {
        let (x, y) = (at % width, at / width);
        let read = |x: usize, y: usize| labels.get(y * width + x).copied().unwrap_or(0);
        let along = |here: usize, length: usize| here.saturating_sub(CLOSE_PX)..(here + CLOSE_PX + 1).min(length);
        let around = along(x, width).map(|x| read(x, y)).chain(along(y, height).map(|y| read(x, y)));
        let mut cells = around.filter(|label| *label > 0);
        let first = cells.next();
        f32::from(u8::from(cells.any(|label| Some(label) != first)))
    })
}

/// `value` mirrored at `low` and `high` until it lies between.
fn folded(value: f64, low: f64, high: f64) -> f64 {
    let range = (high - low - 1.0).max(1.0);
    if (low..low + range).contains(&value) {
        return value;
    }
    let turn = (value - low).rem_euclid(2.0 * range);
    low + if turn > range { 2.0 * range - turn } else { turn }
}

/// Other contrast, slow light, blur and noise.
fn disturb(light: &mut [f32], side: usize, rng: &mut ChaCha8Rng) {
    let gain = 1.9_f32.powf(2.0 * rng.random::<f32>() - 1.0);
    let sign = if rng.random::<f64>() < 0.12 { -1.0 } else { 1.0 };
    let bend = 0.25 * (2.0 * rng.random::<f32>() - 1.0);
    let [offset, slope_x, slope_y] = [0; 3].map(|_| 0.2 * deviate(rng));
    match rng.random::<f64>() {
        0.0..0.12 => {
            blur(light, side);
            blur(light, side);
        }
        0.12..0.3 => blur(light, side),
        // Instruments that sharpen.
        0.3..0.5 => {
            let before = light.to_vec();
            blur(light, side);
            let more = 1.0 + 1.5 * rng.random::<f32>();
            light.iter_mut().zip(before).for_each(|(value, before)| *value += more * (before - *value));
        }
        _ => {}
    }
    let noise = if rng.random::<f64>() < 0.6 { 0.3 * rng.random::<f32>().powi(2) } else { 0.0 };
    for (index, value) in light.iter_mut().enumerate() {
        let x = (index % side) as f32 / side as f32 - 0.5;
        let y = (index / side) as f32 / side as f32 - 0.5;
        let bent = *value + bend * value.abs();
        *value = sign * gain * bent + offset + slope_x * x + slope_y * y;
        if noise > 0.0 {
            *value += noise * deviate(rng);
        }
    }
}

fn deviate(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}

/// The weighted mean (1, 2, 1) along rows and columns.
fn blur(light: &mut [f32], side: usize) {
    let source = light.to_vec();
    let read = |x: usize, y: usize| source.get(y * side + x).copied().unwrap_or(0.0);
    for (index, value) in light.iter_mut().enumerate() {
        let (x, y) = (index % side, index / side);
        let columns = [x.saturating_sub(1), x, (x + 1).min(side - 1)];
        let rows = [y.saturating_sub(1), y, (y + 1).min(side - 1)];
        let line = |y: usize| {
            let [a, b, c] = columns;
            0.25 * read(a, y) + 0.5 * read(b, y) + 0.25 * read(c, y)
        };
        let [a, b, c] = rows;
        *value = 0.25 * line(a) + 0.5 * line(b) + 0.25 * line(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_what_is_wanted_for_it() {
        let culture = crate::simulate::culture::culture(5).unwrap();
        let pixel_size = PixelSize::new(culture.pixel_um).unwrap();
        let page = Page::new(culture.plane, pixel_size, &culture.labels, culture.diameter_px, 0);
        let mut rng = crate::learn::parameters::generator(1, 1);
        for _ in 0..8 {
            let (light, wanted) = page.sample(96, &mut rng);
            assert_eq!((light.len(), wanted.len()), (96 * 96, WANTED * 96 * 96));
            assert!(light.iter().all(|v| v.is_finite()));
            for pixel in wanted.chunks(WANTED) {
                assert!(pixel[..2].iter().all(|v| (0.0..=1.0).contains(v)), "{pixel:?}");
                assert!((1.0..=1.0 + CLOSE_WEIGHT).contains(&pixel[2]) && pixel[1] <= pixel[0] + 0.51, "{pixel:?}");
            }
        }
    }

    #[test]
    fn places_beyond_the_page_are_mirrored() {
        assert!((folded(-3.0, 0.0, 11.0) - 3.0).abs() < 1e-9);
        assert!((folded(12.0, 0.0, 11.0) - 8.0).abs() < 1e-9);
        assert!((folded(4.5, 0.0, 11.0) - 4.5).abs() < 1e-9);
    }
}
