//! Any cell line under any phase-contrast microscope: pictures with true outlines for training the cell finder.
//!
//! [`scene`](super::scene) simulates one instrument and one kind of tumour faithfully; a finder that shall work on
//! instruments it never saw must be shown more than that. Here everything that differs between laboratories is drawn by
//! chance: magnification and aperture, focus, sign and depth of the contrast, noise, substrate, debris; and cells round,
//! spindle-shaped, spread, crawling, with arms or corners, lonely or grown together. The picture still comes out of the same transfer function
//! ([`Bench`]), so halo and shade-off are those of phase contrast.

mod colony;
mod draw;
mod line;
mod shape;
mod soil;

use super::optics::{Bench, Complex32, Optics};
use super::panel::{Panel, Place};
use super::scene::{Scene, SceneSettings};
use crate::frame::Plane;
use crate::picture;
use draw::Canvas;
use line::Line;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// Side of a culture's picture, px.
const SIDE_PX: usize = 400;
/// Margin on every side that is cut away, px: the transform is periodic.
const MARGIN_PX: usize = 40;
/// A cell of the usual diameter is this wide, px.
const DIAMETER_PX: f64 = 32.0;
/// A picture takes no more memory than this.
const MOST_BYTES: u64 = 1 << 24;
/// Counts of empty substrate.
const BACKGROUND_COUNTS: f32 = 10_000.0;

/// A picture and what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Culture {
    /// What the camera gave.
    pub plane: Plane,
    /// `[height, width]`: the number of the cell at each pixel, 0 for none.
    pub labels: Vec<u16>,
    /// How wide a usual cell is, px.
    pub diameter_px: f64,
    /// Pixel size, um.
    pub pixel_um: f64,
}

/// Uniform in `low..high`.
fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Log-uniform in `low..high`.
fn scaled(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    between(rng, low.ln(), high.ln()).exp()
}

fn chance(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// The culture of `seed`: the same seed gives the same bytes. `None` never happens: the picture is not empty.
pub fn culture(seed: u64) -> Option<Culture> {
    made(seed, None)
}

/// As [`culture`], harder to read: drops, bubbles and stains on other planes dim and bend its light, and cells round up beside or on others.
pub fn soiled(seed: u64) -> Option<Culture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(0x5011);
    made(seed, Some(&mut rng))
}

/// The culture of `seed` in which cells have grown together to colonies: flat and pale, cell against cell, fibroblasts with long tails, or cells that crawl.
pub fn grown_together(seed: u64) -> Option<Culture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(0xc010);
    let rng = &mut rng;
    let mut stage = Stage::set(rng);
    if chance(rng, 0.4) {
        // In many pictures of layers thin cells are brighter than the ground and the seams between them dark.
        stage.optics.ring_transmission *= -1.0;
    }
    let bench = Bench::new(stage.side, stage.side, stage.optics);
    let mut canvas = Canvas::new(stage.side, stage.optics.pixel_um);
    let line = match rng.random_range(0..10_u32) {
        0..4 => Line::of_fibroblasts(rng),
        4..6 => Line::of_crawlers(rng),
        _ => Line::of_colony(rng),
    };
    canvas.substrate(&line, &bench, rng);
    let shapes = colony::grown(stage.side, &line, rng);
    canvas.lay(&line, &shapes, &bench, rng);
    canvas.grain(line.grain, &bench, rng);
    stage.taken(canvas, &bench, None, rng)
}

/// Soil comes from a generator of its own: without it, the culture is the same.
fn made(seed: u64, mut soil: Option<&mut ChaCha8Rng>) -> Option<Culture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(0xce11);
    let rng = &mut rng;
    let stage = Stage::set(rng);
    let bench = Bench::new(stage.side, stage.side, stage.optics);
    let mut canvas = Canvas::new(stage.side, stage.optics.pixel_um);
    let mut line = if chance(rng, 0.1) { Line::of_crawlers(rng) } else { Line::draw(rng) };
    if let Some(soil) = soil.as_deref_mut() {
        match soil.random_range(0..10_u32) {
            0..3 => line.ruffle(soil),
            3..7 => line = Line::of_crawlers(soil),
            _ => {}
        }
    }
    canvas.substrate(&line, &bench, rng);
    let mut shapes = canvas.sown(&line, rng);
    if let Some(soil) = soil.as_deref_mut() {
        soil::round_up(&mut shapes, &line, soil);
    }
    canvas.lay(&line, &shapes, &bench, rng);
    canvas.grain(line.grain, &bench, rng);
    stage.taken(canvas, &bench, soil, rng)
}

/// The instrument that a culture stands on.
struct Stage {
    diameter_um: f64,
    optics: Optics,
    /// Side of the picture with its margin, px.
    side: usize,
}

impl Stage {
    fn set(rng: &mut ChaCha8Rng) -> Self {
        let diameter_um = scaled(rng, 12.0, 48.0);
        Self { diameter_um, optics: optics(rng, diameter_um / DIAMETER_PX), side: SIDE_PX + 2 * MARGIN_PX }
    }

    /// The picture of what lies on `canvas`, and soil on other planes.
    fn taken(
        &self,
        mut canvas: Canvas,
        bench: &Bench,
        soil: Option<&mut ChaCha8Rng>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Culture> {
        let Self { diameter_um, optics, side } = self;
        canvas.debris(rng);
        let depth_of_field = optics.wavelength_um / (optics.aperture * optics.aperture);
        let defocus_um = 0.6 * depth_of_field * normal(rng);
        let mut light = bench.image(&canvas.phase, defocus_um);
        if let Some(soil) = soil {
            soil::stain(&mut light, bench, depth_of_field, soil);
        }
        if chance(rng, 0.4) {
            without_slow_part(&mut light, bench, between(rng, 0.6, 1.0), between(rng, 0.7, 4.0) / diameter_um);
        }
        let noise = scaled(rng, 0.004, 0.05) as f32;
        let inner = MARGIN_PX..MARGIN_PX + SIDE_PX;
        let mut counts = Vec::with_capacity(SIDE_PX * SIDE_PX);
        let mut labels = Vec::with_capacity(SIDE_PX * SIDE_PX);
        for y in inner.clone() {
            for x in inner.clone() {
                let value = light.get(y * side + x).copied().unwrap_or(1.0);
                let deviate: f32 = StandardNormal.sample(rng);
                counts.push((BACKGROUND_COUNTS * (value + noise * value.sqrt() * deviate)).clamp(0.0, 65_535.0));
                labels.push(canvas.labels.get(y * side + x).copied().unwrap_or(0));
            }
        }
        let plane = Plane::new(SIDE_PX, SIDE_PX, counts.into(), 65_535.0)?;
        Some(Culture { plane, labels, diameter_px: DIAMETER_PX, pixel_um: optics.pixel_um })
    }
}

/// As instruments that process their pictures give it: without the `share` of what is slower than about `waves_per_um`.
fn without_slow_part(light: &mut [f32], bench: &Bench, share: f64, waves_per_um: f64) {
    let (n, share, corner) = (light.len() as f32, share as f32, waves_per_um as f32);
    let mut field: Vec<Complex32> = light.iter().map(|value| Complex32::new(value - 1.0, 0.0)).collect();
    bench.filter(&mut field, &|k| Complex32::new((1.0 - share * (-(k / corner).powi(2)).exp()) / n, 0.0));
    for (light, value) in light.iter_mut().zip(field) {
        *light = (1.0 + value.re).max(0.0);
    }
}

impl Culture {
    /// As an instrument gives it that writes JPEG pictures of 8 bits: exposure and quality are drawn from `seed`. `None` when
    /// it cannot be written.
    pub fn compressed(&self, seed: u64) -> Option<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(0x1be6);
        let (width, height) = (self.plane.width_px(), self.plane.height_px());
        let exposure = scaled(&mut rng, 30.0, 150.0) as f32 / BACKGROUND_COUNTS;
        let gray: Vec<u8> = self.plane.counts().iter().map(|count| (exposure * count) as u8).collect();
        let jpeg = picture::gray_jpeg(width, height, &gray, rng.random_range(15..95)).ok()?;
        let plane = picture::decode_gray(&jpeg, MOST_BYTES).ok()?;
        Some(Self { plane, ..self.clone() })
    }

    /// As a camera whose pixels are `factor` times as wide gives it. `None` when nothing is left of it.
    pub fn binned(&self, factor: usize) -> Option<Self> {
        let (columns, counts) = (self.plane.width_px(), self.plane.counts());
        let (width, height) = (columns / factor.max(1), self.plane.height_px() / factor.max(1));
        let at = |x: usize, y: usize| y * columns + x;
        let mut mean = Vec::with_capacity(width * height);
        let mut labels = Vec::with_capacity(width * height);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y * factor, x * factor))) {
            let block = (y..y + factor).flat_map(|y| (x..x + factor).filter_map(move |x| counts.get(at(x, y))));
            mean.push(block.sum::<f32>() / (factor * factor) as f32);
            labels.push(self.labels.get(at(x + factor / 2, y + factor / 2)).copied().unwrap_or(0));
        }
        let plane = Plane::new(width, height, mean.into(), 65_535.0)?;
        let (diameter_px, pixel_um) = (self.diameter_px / factor as f64, self.pixel_um * factor as f64);
        Some(Self { plane, labels, diameter_px, pixel_um })
    }
}

/// Side of a [`field`], px: a part of a frame.
const FIELD_SIDE_PX: usize = 480;
/// Width of a usual cell of the simulated tumours, um.
const FIELD_DIAMETER_UM: f64 = 20.0;

/// A part of a frame of [`scene`](super::scene)'s microscope: another panel of tumours, another day, another crowd with every
/// seed. `None` never happens: every panel has a pair of a day and a tumour.
pub fn field(seed: u64) -> Option<Culture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(0xf1e1d);
    let panel = Panel::new(rng.random());
    let pairs = panel.pairs();
    let &(day, tumour) = pairs.get(rng.random_range(0..pairs.len().max(1)))?;
    let base = SceneSettings {
        width_px: FIELD_SIDE_PX,
        height_px: FIELD_SIDE_PX,
        cells: scaled(&mut rng, 1.5, 24.0) as usize,
        interval_min: 10.0,
        ..SceneSettings::default()
    };
    let (settings, scene_seed) = panel.field(Place { day, tumour, fov: 1 }, &base)?;
    let pixel_um = settings.optics.pixel_um;
    let frame = Scene::new(settings, scene_seed).frame(rng.random_range(0..4));
    Some(Culture {
        plane: frame.plane()?,
        labels: frame.truth.labels,
        diameter_px: FIELD_DIAMETER_UM / pixel_um,
        pixel_um,
    })
}

/// Objectives from 4x to 40x, well or badly adjusted; in a few cases with negative contrast.
fn optics(rng: &mut ChaCha8Rng, pixel_um: f64) -> Optics {
    // The camera's pixels about match the objective, as they do on real instruments.
    let finest = (0.55 / (4.0 * pixel_um)).min(0.6);
    let aperture = between(rng, 0.6, 1.6) * finest.max(0.1);
    let aperture = aperture.clamp(0.1, 0.6);
    let ring_aperture = aperture * between(rng, 0.3, 0.55);
    let sign = if chance(rng, 0.06) { -1.0 } else { 1.0 };
    Optics {
        pixel_um,
        wavelength_um: 0.55,
        aperture,
        ring_aperture,
        ring_width: ring_aperture * scaled(rng, 0.08, 0.45),
        blur_um: pixel_um * between(rng, 0.3, 1.3),
        glare_share: between(rng, 0.0, 0.5),
        glare_um: between(rng, 1.0, 4.0),
        ring_transmission: sign * between(rng, 0.28, 0.65),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_culture_and_another_one_another() {
        let one = culture(3).unwrap();
        assert_eq!(one, culture(3).unwrap());
        assert_ne!(one, culture(4).unwrap());
        assert!(one.plane.counts().iter().all(|count| count.is_finite()));
    }

    #[test]
    fn soil_is_no_cell_and_bends_light_and_some_cells_round_up_on_others() {
        let pairs: Vec<(Culture, Culture)> = (0..12).filter_map(|seed| Some((culture(seed)?, soiled(seed)?))).collect();
        assert_eq!(pairs.len(), 12);
        let same_cells = |pair: &&(Culture, Culture)| pair.0.labels == pair.1.labels;
        let only_stained =
            pairs.iter().filter(same_cells).filter(|(clean, soiled)| clean.plane != soiled.plane).count();
        let rounded_up = pairs.iter().filter(|(clean, soiled)| soiled.labels.iter().max() > clean.labels.iter().max());
        assert!(only_stained > 2 && rounded_up.count() > 2, "{only_stained}");
        assert_eq!(soiled(7).unwrap(), pairs[7].1);
    }

    /// Share of the pixels beside a cell, to the right, that are another cell's and not bare.
    fn against_others(culture: &Culture) -> f64 {
        let rows = culture.labels.chunks_exact(culture.plane.width_px());
        let pairs = rows.flat_map(|row| row.iter().zip(row.iter().skip(1)));
        let ends: Vec<u16> = pairs.filter(|(cell, next)| **cell > 0 && cell != next).map(|(_, next)| *next).collect();
        ends.iter().filter(|next| **next > 0).count() as f64 / ends.len().max(1) as f64
    }

    #[test]
    fn in_colonies_cell_lies_against_cell() {
        let colonies: Vec<Culture> = (0..16).filter_map(grown_together).collect();
        assert_eq!(colonies.len(), 16);
        assert_eq!(colonies.get(7), grown_together(7).as_ref());
        let others: Vec<Culture> = (0..16).filter_map(culture).collect();
        let mean = |cultures: &[Culture]| cultures.iter().map(against_others).sum::<f64>() / cultures.len() as f64;
        let (grown, sown) = (mean(&colonies), mean(&others));
        assert!(grown > 0.5 && grown > 1.5 * sown, "{grown} {sown}");
    }

    #[test]
    fn a_compressed_culture_shows_the_same_in_eight_bits() {
        // A culture whose noise and whose quality leave most pixels as they were: not all do.
        let whole = culture(3).unwrap();
        let written = whole.compressed(3).unwrap();
        assert_eq!(written.labels, whole.labels);
        assert!(written.plane.counts().iter().all(|count| (0.0..=255.0).contains(count) && count.fract() == 0.0));
        let pairs = || whole.plane.counts().iter().zip(written.plane.counts());
        let dimmest = pairs().filter(|(_, count)| **count < 200.0);
        let factors: Vec<f32> = dimmest.map(|(before, after)| after / before.max(1.0)).collect();
        let mean = factors.iter().sum::<f32>() / factors.len() as f32;
        let off = factors.iter().filter(|factor| (**factor / mean - 1.0).abs() > 0.15).count();
        assert!(off < factors.len() / 10, "{off} of {}", factors.len());
        assert!(pairs().any(|(before, after)| (after / before - mean).abs() > 1e-3 * mean));
    }

    #[test]
    fn a_coarser_camera_sees_the_same_cells() {
        let (fine, coarse) = (culture(5).unwrap(), culture(5).unwrap().binned(2).unwrap());
        assert_eq!(coarse.labels.len() * 4, fine.labels.len());
        assert!((coarse.diameter_px * coarse.pixel_um - fine.diameter_px * fine.pixel_um).abs() < 1e-9);
        let mean = |culture: &Culture| culture.plane.counts().iter().sum::<f32>() / culture.labels.len() as f32;
        assert!((mean(&fine) / mean(&coarse) - 1.0).abs() < 1e-4);
        let share = |c: &Culture| c.labels.iter().filter(|l| **l > 0).count() as f64 / c.labels.len() as f64;
        assert!((share(&fine) - share(&coarse)).abs() < 0.02, "{} {}", share(&fine), share(&coarse));
    }

    #[test]
    fn a_field_shows_cells_of_the_hinted_width() {
        let field = field(3).unwrap();
        assert_eq!(field.labels.len(), field.plane.counts().len());
        let mut areas = std::collections::BTreeMap::new();
        for label in field.labels.iter().filter(|label| **label > 0) {
            *areas.entry(label).or_insert(0.0) += 1.0;
        }
        let widest = areas.values().fold(0.0_f64, |a, &b| a.max(b)).sqrt();
        assert!((0.5..3.0).contains(&(widest / field.diameter_px)), "{widest} {}", field.diameter_px);
    }

    #[test]
    fn most_cultures_have_cells_and_some_are_empty_or_full() {
        let covered: Vec<f64> = (0..24)
            .filter_map(culture)
            .map(|c| c.labels.iter().filter(|l| **l > 0).count() as f64 / c.labels.len() as f64)
            .collect();
        assert_eq!(covered.len(), 24);
        assert!(covered.iter().filter(|c| **c > 0.02).count() > 15, "{covered:?}");
        assert!(covered.iter().any(|c| *c > 0.5) && covered.iter().any(|c| *c < 0.2), "{covered:?}");
    }
}
