//! The measured hallmarks against the simulator's truth, on cells that stand alone and in focus.
//!
//! Renders the fields of a panel and measures every such cell twice: inside its **true** mask, which shows what the formula is
//! worth, and inside the outline that the daemon's own way of finding draws, which shows what is left of it.

use super::ctc::Overlaps;
use super::detector::Detector;
use super::paint::LabelPicture;
use crate::cells::{self, Cell, DetectSettings, Shape};
use crate::frame::{self, CorrectedFrame};
use crate::simulate::scene::DayEffect;
use crate::simulate::{CellTruth, Panel, Place, Scene, SceneSettings, SimulatedFrame};
use crate::units::PixelSize;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::collections::{BTreeMap, BTreeSet};

/// A cell stands alone when no other one comes nearer to its box than this, um.
const ALONE_UM: f64 = 8.0;
/// Half the depth of field of the paper's objective, um: wavelength / (2 NA^2), 0.55 um and 0.45.
const IN_FOCUS_UM: f64 = 1.36;

/// What is rendered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The panel's seed.
    pub panel: u64,
    /// Fields of view per day and tumour.
    pub fovs: usize,
    /// Time points per field.
    pub time_points: usize,
    /// Minutes between two time points.
    pub stride: usize,
    /// The lamp's brightness against the panel's own: the hallmarks should not see it.
    pub lamp: f64,
}

/// A cell and what was measured of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What is true.
    pub truth: CellTruth,
    /// Measured inside the true mask.
    pub true_mask: Shape,
    /// Measured inside the own outline; `None` when none covers the cell.
    pub own_outline: Option<Shape>,
}

/// All cells of the plan that stand alone, in focus and wholly in their frame.
///
/// # Errors
/// When the network that finds cells fails.
pub fn seen(plan: &Plan, detector: &Detector) -> anyhow::Result<Vec<Seen>> {
    let panel = Panel::new(plan.panel);
    let places = panel
        .pairs()
        .into_iter()
        .flat_map(|(day, tumour)| (0..plan.fovs).map(move |fov| Place { day, tumour, fov: 700 + fov }));
    let base = SceneSettings { cells: 9, ..SceneSettings::default() };
    let mut all = Vec::new();
    for place in places {
        let Some((settings, seed)) = panel.field(place, &base) else { continue };
        let day = DayEffect { lamp: settings.day.lamp * plan.lamp, ..settings.day };
        let mut scene = Scene::new(SceneSettings { day, ..settings }, seed);
        let moments: Vec<_> = (0..plan.time_points)
            .map(|k| {
                scene.go_to(k * plan.stride);
                scene.moment()
            })
            .collect();
        let rendered: Vec<(SimulatedFrame, CorrectedFrame)> = moments
            .into_par_iter()
            .filter_map(|moment| {
                let frame = moment.render();
                let corrected = frame::correct(frame.plane()?, PixelSize::PAPER);
                (frame.truth.defocus_um.abs() <= IN_FOCUS_UM).then_some((frame, corrected))
            })
            .collect();
        for (frame, corrected) in rendered {
            all.extend(of_frame(&frame, &corrected, detector)?);
        }
    }
    Ok(all)
}

fn of_frame(frame: &SimulatedFrame, corrected: &CorrectedFrame, detector: &Detector) -> anyhow::Result<Vec<Seen>> {
    let settings = DetectSettings::new(PixelSize::PAPER);
    let found = detector.find(corrected, &settings)?;
    let truth = LabelPicture { width: frame.width_px, height: frame.height_px, labels: frame.truth.labels.clone() };
    let painted = LabelPicture::of(frame.width_px, frame.height_px, found.cells.iter().zip(1..));
    let overlaps = Overlaps::of(&truth, &painted);
    let alone = alone(&truth, PixelSize::PAPER.px_from_um(ALONE_UM) as usize);
    let mut all = Vec::new();
    for cell in frame.truth.cells.iter().filter(|cell| !cell.touches_border) {
        let Ok(label) = u16::try_from(cell.id) else { continue };
        if !alone.contains(&label) {
            continue;
        }
        let inside: Vec<bool> = truth.labels.iter().map(|own| *own == label).collect();
        let Some(true_mask) = cells::measured(corrected, &inside, &settings) else { continue };
        let own_outline = covering(&overlaps, label, &found.cells).map(|cell| cell.shape);
        all.push(Seen { truth: cell.clone(), true_mask: true_mask.shape, own_outline });
    }
    Ok(all)
}

/// The found cell that shares more than half of what either covers with the true cell `label`.
fn covering<'a>(overlaps: &Overlaps, label: u16, found: &'a [Cell]) -> Option<&'a Cell> {
    let area = |table: &BTreeMap<u16, usize>, label: u16| table.get(&label).copied().unwrap_or(0);
    let covers = |(&(_, own), &both): (&(u16, u16), &usize)| {
        (2 * both > area(&overlaps.true_area, label) + area(&overlaps.found_area, own) - both).then_some(own)
    };
    let own = overlaps.shared.range((label, 0)..=(label, u16::MAX)).find_map(covers)?;
    found.get(usize::from(own).checked_sub(1)?)
}

/// The labels whose box, widened by `margin` px, lies inside the picture and holds nothing of another.
fn alone(picture: &LabelPicture, margin: usize) -> BTreeSet<u16> {
    let mut boxes: BTreeMap<u16, [usize; 4]> = BTreeMap::new();
    for (y, row) in picture.labels.chunks_exact(picture.width).enumerate() {
        for (x, label) in row.iter().enumerate().filter(|it| *it.1 > 0) {
            let own = boxes.entry(*label).or_insert([x, y, x, y]);
            *own = [own[0].min(x), own[1].min(y), own[2].max(x), own[3].max(y)];
        }
    }
    let is_alone = |(&label, &[left, top, right, bottom]): (&u16, &[usize; 4])| {
        let inside =
            left >= margin && top >= margin && right + margin < picture.width && bottom + margin < picture.height;
        let rows =
            picture.labels.chunks_exact(picture.width).take(bottom + margin + 1).skip(top.saturating_sub(margin));
        let nobody = rows
            .flat_map(|row| row.iter().take(right + margin + 1).skip(left.saturating_sub(margin)))
            .all(|other| *other == 0 || *other == label);
        (inside && nobody).then_some(label)
    };
    boxes.iter().filter_map(is_alone).collect()
}

#[cfg(test)]
mod tests {
    use super::super::correlation::spearman;
    use super::*;

    type Masked = fn(&Seen) -> Option<Shape>;

    #[test]
    fn hallmarks_follow_the_truth() {
        let plan = Plan { panel: 12, fovs: 1, time_points: 2, stride: 45, lamp: 1.0 };
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let infer = crate::infer::InferSettings { engine: crate::infer::EngineChoice::Rten, ..Default::default() };
        let all = seen(&plan, &Detector::open(&shipped, &infer).unwrap()).unwrap();
        assert!(all.len() > 150, "{}", all.len());
        let follows = |shape: fn(&Seen) -> Option<Shape>, measured: fn(&Shape) -> f64, truth: fn(&CellTruth) -> f64| {
            let pairs = all.iter().filter_map(|it| Some((measured(&shape(it)?), truth(&it.truth))));
            let (measured, truth): (Vec<f64>, Vec<f64>) = pairs.unzip();
            spearman(&measured, &truth)
        };
        let masks: [(&str, Masked); 2] =
            [("inside the true mask", |it| Some(it.true_mask)), ("inside the own outline", |it| it.own_outline)];
        for (name, shape) in masks {
            let total = follows(shape, |it| it.protrusion_total_um, |it| it.protrusion_total_um);
            let longest = follows(shape, |it| it.protrusion_longest_um, |it| it.protrusion_longest_um);
            let number = follows(shape, |it| f64::from(it.protrusion_count), |it| f64::from(it.protrusion_count));
            let scattering = follows(shape, |it| it.scattering, |it| it.granularity_rad);
            println!("{name}: total {total:.3}, longest {longest:.3}, number {number:.3}, scattering {scattering:.3}");
            assert!(total > 0.85 && longest > 0.85 && scattering > 0.85, "{name}");
        }
    }

    #[test]
    fn neighbours_and_the_edge_are_seen() {
        let mut labels = vec![0; 40 * 30];
        for (x, y, label) in [(10, 10, 1), (11, 10, 1), (20, 10, 2), (35, 20, 3), (10, 22, 4)] {
            labels[y * 40 + x] = label;
        }
        let picture = LabelPicture { width: 40, height: 30, labels };
        assert_eq!(alone(&picture, 5), BTreeSet::from([1, 2, 4]));
        assert_eq!(alone(&picture, 9), BTreeSet::new());
        assert_eq!(alone(&picture, 3), BTreeSet::from([1, 2, 3, 4]));
    }
}
