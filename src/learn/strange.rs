//! Crops on which no score may be shown: what the validity guard is measured by.
//!
//! Takes a seed or a picture, gives crops as the pipeline would cut them had it been told the model's own pixel size. The
//! simulated ones are cells seen wrongly (out of focus, through half the objective, by a camera that was cut off) and things
//! that are no cell (bare ground, specks, noise, a crowd).

use crate::cells::crop::{Cutter, radius_px};
use crate::cells::{self, Crop, DetectSettings};
use crate::frame::{self, Plane};
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

    /// About a dozen crops; the same seed gives the same bytes.
    pub fn crops(self, seed: u64) -> Vec<Crop> {
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
        frame.plane().map(|plane| cut(&plane, &centres)).unwrap_or_default()
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

/// Crops of a picture of another kind: around whatever is outlined in it, or side by side where nothing is.
pub fn of_plane(plane: &Plane) -> Vec<Crop> {
    let found =
        cells::find(&frame::correct::correct(plane.clone(), PixelSize::PAPER), &DetectSettings::new(PixelSize::PAPER));
    let around: Vec<PointPx> = found.cells.iter().map(|cell| cell.centroid).collect();
    let crops = cut(plane, &around);
    if !crops.is_empty() {
        return crops;
    }
    let step = 2 * radius_px(PixelSize::PAPER) + 1;
    let along = |size: usize| (0..size / step).map(move |n| (n * step + step / 2) as f64);
    let tiles: Vec<PointPx> =
        along(plane.height_px()).flat_map(|y| along(plane.width_px()).map(move |x| PointPx { x, y })).collect();
    cut(plane, &tiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_crops_and_the_same_ones_again() {
        for kind in [Strange::HalfSize, Strange::Specks, Strange::Noise] {
            let crops = kind.crops(3);
            assert!(crops.len() >= 4, "{kind:?}: {}", crops.len());
            assert_eq!(crops, kind.crops(3), "{kind:?}");
        }
    }
}
