//! Crops on which no score may be shown: what the validity guard is measured by.
//!
//! Takes a seed or a picture, gives frames as the pipeline would see them had it been told the model's own pixel size. The
//! simulated ones are cells seen wrongly (out of focus, through half the objective, by a camera that was cut off) and things
//! that are no cell (bare ground, specks, noise, a crowd).

use crate::cells::Crop;
use crate::cells::crop::{Cutter, radius_px};
use crate::frame::Plane;
use crate::simulate::scene::DayEffect;
use crate::simulate::{Scene, SceneSettings};
use crate::units::{PixelSize, PointPx};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Cells of one simulated field.
const CELLS: usize = 14;
/// Specks of one field.
const SPECKS: usize = 12;
/// Brightest count of the simulated camera.
const FULL: f32 = 65_535.0;

/// A frame in which nothing may be scored, told to be of the model's own pixel size.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its counts.
    pub plane: Plane,
    /// Where things stand in it, px; empty when nobody knows.
    pub centres: Vec<PointPx>,
}

/// A kind of crop that must not be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strange {
    /// Cells 15 um above the focal plane.
    FarAbove,
    /// Cells 15 um below it.
    FarBelow,
    /// A 10x objective taken for 20x: cells half as large as they should be.
    HalfSize,
    /// Halos cut off by the camera.
    CutOff,
    /// Ground without a cell.
    Bare,
    /// Ground with dense specks of 1 to 3 um.
    Specks,
    /// Pixels of noise.
    Noise,
    /// Eight times as many cells as there is room for.
    Crowd,
}

/// All kinds.
pub const ALL: [Strange; 8] = [
    Strange::FarAbove,
    Strange::FarBelow,
    Strange::HalfSize,
    Strange::CutOff,
    Strange::Bare,
    Strange::Specks,
    Strange::Noise,
    Strange::Crowd,
];

impl Strange {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::FarAbove => "15 um above focus",
            Self::FarBelow => "15 um below focus",
            Self::HalfSize => "10x taken for 20x",
            Self::CutOff => "camera cut off",
            Self::Bare => "bare ground",
            Self::Specks => "specks",
            Self::Noise => "noise",
            Self::Crowd => "crowd",
        }
    }

    /// A field of about a dozen of them; the same seed gives the same bytes.
    pub fn field(self, seed: u64) -> Option<Field> {
        let usual = SceneSettings { cells: CELLS, ..SceneSettings::default() };
        let day = |defocus_um| DayEffect { defocus_um, ..DayEffect::default() };
        let settings = match self {
            Self::FarAbove => SceneSettings { day: day(15.0), ..usual },
            Self::FarBelow => SceneSettings { day: day(-15.0), ..usual },
            Self::HalfSize => {
                let mut settings = usual;
                settings.optics.pixel_um *= 2.0;
                settings
            }
            Self::CutOff => {
                let mut settings = usual;
                settings.camera.background_counts = 0.75 * f64::from(FULL);
                settings
            }
            Self::Bare | Self::Specks | Self::Noise => SceneSettings { cells: 0, ..usual },
            Self::Crowd => SceneSettings { cells: 8 * CELLS, ..usual },
        };
        let mut frame = Scene::new(settings, seed).frame(0);
        let centres: Vec<PointPx> = match self {
            Self::Bare | Self::Specks | Self::Noise => places(&mut ChaCha8Rng::seed_from_u64(seed)),
            _ => frame.truth.cells.iter().map(|cell| cell.centroid).collect(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x57);
        match self {
            Self::Noise => frame.counts.iter_mut().for_each(|count| *count = rng.random_range(2000..4000)),
            Self::Specks => {
                for centre in &centres {
                    speck(&mut frame.counts, frame.width_px, *centre, rng.random_range(2.0..8.0));
                }
            }
            _ => {}
        }
        Some(Field { plane: frame.plane()?, centres })
    }
}

/// Places far enough from the edge of a frame of 1024 px.
fn places(rng: &mut ChaCha8Rng) -> Vec<PointPx> {
    (0..SPECKS).map(|_| PointPx { x: rng.random_range(120.0..900.0), y: rng.random_range(120.0..900.0) }).collect()
}

/// A dark speck with a bright ring, `radius` px.
fn speck(counts: &mut [u16], width: usize, centre: PointPx, radius: f64) {
    for (y, row) in counts.chunks_exact_mut(width).enumerate() {
        for (x, count) in row.iter_mut().enumerate() {
            let r = (x as f64 - centre.x).hypot(y as f64 - centre.y) / radius;
            if r < 4.0 {
                let shade = 1.0 - 0.8 * (-r * r).exp() + 0.9 * (-(r - 1.6).powi(2) * 4.0).exp();
                *count = (f64::from(*count) * shade) as u16;
            }
        }
    }
}

/// The crops around `centres`, at the pixel size that the model was trained on.
fn cut(plane: &Plane, centres: &[PointPx]) -> Vec<Crop> {
    let cutter = Cutter::new(PixelSize::PAPER);
    centres.iter().filter_map(|centre| cutter.cut(plane, *centre)).collect()
}

impl Field {
    /// A picture of another kind, in which nobody knows where what stands.
    pub fn of(plane: Plane) -> Self {
        Self { plane, centres: Vec::new() }
    }

    /// Crops where no cell is outlined: around its centres, or side by side where it has none.
    pub fn crops(&self) -> Vec<Crop> {
        if !self.centres.is_empty() {
            return cut(&self.plane, &self.centres);
        }
        let step = 2 * radius_px(PixelSize::PAPER) + 1;
        let along = |size: usize| (0..size / step).map(move |n| (n * step + step / 2) as f64);
        let rows = along(self.plane.height_px());
        let tiles: Vec<PointPx> =
            rows.flat_map(|y| along(self.plane.width_px()).map(move |x| PointPx { x, y })).collect();
        cut(&self.plane, &tiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_crops_and_the_same_ones_again() {
        for kind in [Strange::HalfSize, Strange::Specks, Strange::Noise] {
            let field = kind.field(3).unwrap();
            assert!(field.crops().len() >= 4, "{kind:?}: {}", field.crops().len());
            assert_eq!(Some(&field), kind.field(3).as_ref(), "{kind:?}");
            let tiles = Field::of(field.plane).crops();
            assert_eq!(tiles.len(), 16, "four boxes of 217 px along 1024");
        }
    }
}
