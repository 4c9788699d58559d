//! A cell and its twin, ready to be cut into training pictures.

use crate::cells::CROP_SIDE_PX;
use crate::cells::crop::Cutter;
use crate::explain::hallmarks::Light;
use crate::infer::exaggerator::{Amount, apart, logarithm, told};
use crate::simulate::{CropPlan, Panel, SceneSettings, Twins, twins};
use crate::units::{PixelSize, PointPx};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Pixels of a crop that no training picture begins or ends in.
const RIM_PX: usize = 20;
/// Grey values of a crop.
const GREYS: f32 = 255.0;

/// Which simulated cells are shown.
#[derive(Debug, Clone, Copy)]
pub struct PairPlan {
    /// Seed of the panel of tumours and days.
    pub panel: u64,
    /// Fields of view per day and tumour.
    pub fovs: usize,
    /// Time points per field.
    pub time_points: usize,
    /// Most of an amount either way, natural logarithm.
    pub largest_amount: f64,
}

/// The crops of a cell and its twin.
#[derive(Debug, Clone)]
pub struct Pair {
    cell: (Vec<u8>, Light),
    twin: (Vec<u8>, Light),
    amount: Amount,
}

/// The pairs of a plan.
pub fn pairs(plan: &PairPlan) -> Vec<Pair> {
    let panel = Panel::new(plan.panel);
    let scene = SceneSettings { cells: 16, ..SceneSettings::default() };
    let (fovs, time_points) = (plan.fovs, plan.time_points);
    let crops = CropPlan { fovs, time_points, stride: 20, scene, ..CropPlan::default() };
    let cutter = Cutter::new(PixelSize::PAPER);
    twins(&panel, &crops, plan.largest_amount, |twins| pair(&twins, &cutter)).into_iter().flatten().collect()
}

fn pair(twins: &Twins, cutter: &Cutter) -> Option<Pair> {
    let middle = (twins.plane.width_px() / 2) as f64;
    let middle = PointPx { x: middle, y: middle };
    let grey = |plane| {
        let crop = cutter.cut(plane, middle)?;
        Some(crop.pixels().iter().map(|grey| (grey * GREYS).round() as u8).collect::<Vec<u8>>())
    };
    let (light, twin_light) = Light::of_twins(&twins.plane, &twins.twin)?;
    let amount = Amount { protrusions: twins.by.protrusions, granules: twins.by.granules };
    Some(Pair::new((grey(&twins.plane)?, light), (grey(&twins.twin)?, twin_light), amount))
}

impl Pair {
    /// A cell and its twin, each `[256, 256]` grey with its light, and the amount by which the twin differs.
    pub fn new(cell: (Vec<u8>, Light), twin: (Vec<u8>, Light), amount: Amount) -> Self {
        Self { cell, twin, amount }
    }

    /// What the network is told of a part of the crop (`[14, side / 2, side / 2]`), turned and mirrored by chance, and what it is
    /// to add there (`[4, side / 2, side / 2]`).
    pub(super) fn sample(&self, side: usize, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
        let corner = |rng: &mut ChaCha8Rng| rng.random_range(RIM_PX..=CROP_SIDE_PX - RIM_PX - side);
        let (left, top, turn) = (corner(rng), corner(rng), rng.random_range(0..8_u8));
        let part = |(grey, light): &(Vec<u8>, Light)| -> Vec<f32> {
            let range = (light.brightest - light.darkest) as f32 / GREYS;
            let place = |index: usize| {
                let (x, y) = turned((index % side, index / side), side, turn);
                (top + y) * CROP_SIDE_PX + left + x
            };
            let pixels = (0..side * side).map(|index| grey.get(place(index)).copied().map_or(0.0, f32::from));
            pixels.map(|grey| logarithm(light.darkest as f32 + range * grey)).collect()
        };
        let (cell, twin) = (part(&self.cell), part(&self.twin));
        let added: Vec<f32> = twin.iter().zip(&cell).map(|(twin, cell)| twin - cell).collect();
        (told(&cell, side, self.amount), apart(&added, side))
    }
}

/// Where the pixel at `(x, y)` of a turned and mirrored square comes from; `turn` is one of 8.
fn turned((x, y): (usize, usize), side: usize, turn: u8) -> (usize, usize) {
    let last = side - 1;
    let (x, y) = if turn & 1 == 0 { (x, y) } else { (last - x, y) };
    let (x, y) = if turn & 2 == 0 { (x, y) } else { (x, last - y) };
    if turn & 4 == 0 { (x, y) } else { (y, x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::parameters::generator;

    #[test]
    fn eight_turns_are_eight_pictures() {
        let side = 3;
        let of = |turn| (0..9).map(|i| turned((i % side, i / side), side, turn)).collect::<Vec<_>>();
        for turn in 0..8 {
            let mut places = of(turn);
            assert!((0..turn).all(|other| of(other) != places), "{turn}");
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 9, "{turn}");
        }
    }

    #[test]
    fn what_is_to_be_added_leads_from_the_cell_to_its_twin() {
        let light = Light { darkest: 0.5, brightest: 1.5 };
        let cell: Vec<u8> = (0..CROP_SIDE_PX * CROP_SIDE_PX).map(|index| (index % 251) as u8).collect();
        let twin: Vec<u8> = cell.iter().map(|grey| 255 - grey).collect();
        let amount = Amount { protrusions: 0.5, granules: -0.25 };
        let pair = Pair::new((cell, light), (twin, light), amount);
        let (told, added) = pair.sample(32, &mut generator(1, 1));
        assert_eq!((told.len(), added.len()), (14 * 256, 4 * 256));
        for (cell, added) in told.iter().zip(&added) {
            // Light of 0.5 to 1.5: the two of a place make 2.
            assert!((cell.exp() + (cell + added).exp() - 2.0).abs() < 1e-4);
        }
    }
}
