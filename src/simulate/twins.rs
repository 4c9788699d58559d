//! Twins: a simulated cell twice, at the same place under the same light, once with its hallmarks as they are and once
//! exaggerated. What a network that draws counterfactuals is trained on.
//!
//! Takes a [`Panel`] and a [`CropPlan`], gives one pair of windows per cell and time point. Fields are rendered side by side;
//! the order of the result is that of day, tumour, field, time, cell, whatever the number of threads.

use super::cell::Exaggeration;
use super::crops::{CropPlan, corner, window};
use super::panel::{Panel, Place};
use super::scene::{CellTruth, Scene, SceneSettings};
use crate::frame::Plane;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// One cell and its twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Twins {
    /// `[side, side]` raw camera counts of the cell as it is.
    pub plane: Plane,
    /// The same window with every cell in it exaggerated.
    pub twin: Plane,
    /// How the twin differs.
    pub by: Exaggeration,
    /// What is true of the cell as it is.
    pub truth: CellTruth,
    /// What is true of its twin.
    pub twin_truth: CellTruth,
}

/// All pairs of the plan, exaggerated by up to `largest` (natural logarithm) either way, pseudopods and granules each by their
/// own; each handed to `take` as soon as it is cut.
pub fn twins<T, F>(panel: &Panel, plan: &CropPlan, largest: f64, take: F) -> Vec<T>
where
    T: Send,
    F: Fn(Twins) -> T + Sync,
{
    let places: Vec<Place> = (panel.pairs().into_iter())
        .flat_map(|(day, tumour)| (0..plan.fovs).map(move |k| Place { day, tumour, fov: plan.first_fov + k }))
        .collect();
    let of_fields: Vec<Vec<T>> = (places.into_par_iter())
        .map(|place| of_field(panel, plan, place, largest).into_iter().map(&take).collect())
        .collect();
    of_fields.into_iter().flatten().collect()
}

/// The pairs of one field, by time, then cell.
fn of_field(panel: &Panel, plan: &CropPlan, place: Place, largest: f64) -> Vec<Twins> {
    let base = SceneSettings { film_min: plan.film_min(), ..plan.scene.clone() };
    let Some((settings, seed)) = panel.field(place, &base) else { return Vec::new() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7417);
    let mut scene = Scene::new(settings, seed);
    let mut pairs = Vec::new();
    for k in 0..plan.time_points {
        scene.go_to(k * plan.stride);
        let mut any = || largest * rng.random_range(-1.0..=1.0);
        let by = Exaggeration { protrusions: any(), granules: any() };
        let moment = scene.moment();
        let (frame, twin) = (moment.render(), moment.exaggerated(by).render());
        for truth in frame.truth.cells {
            let Some(corner) = corner(truth.centroid, plan.side_px, (frame.width_px, frame.height_px)) else {
                continue;
            };
            let twin_truth = twin.truth.cells.iter().find(|it| it.id == truth.id).cloned();
            let windows = window(&frame.counts, frame.width_px, corner, plan.side_px).zip(window(
                &twin.counts,
                twin.width_px,
                corner,
                plan.side_px,
            ));
            if let (Some((plane, twin)), Some(twin_truth)) = (windows, twin_truth) {
                pairs.push(Twins { plane, twin, by, truth, twin_truth });
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_differ_by_their_hallmarks_alone() {
        let scene = SceneSettings { width_px: 420, height_px: 400, cells: 6, ..SceneSettings::default() };
        let plan = CropPlan { fovs: 1, time_points: 2, stride: 10, scene, ..CropPlan::default() };
        let pairs = twins(&Panel::new(3), &plan, 1.0, |pair| pair);
        assert_eq!(pairs, twins(&Panel::new(3), &plan, 1.0, |pair| pair));
        assert!(pairs.len() > 20, "{}", pairs.len());
        for Twins { plane, twin, by, truth, twin_truth } in pairs {
            let times = twin_truth.granularity_rad / truth.granularity_rad;
            assert!(truth.granularity_rad <= 0.0 || (times.ln() - by.granules).abs() < 1e-6, "{times} {by:?}");
            // Longer pseudopods, and some that were too short to count.
            let longest = truth.protrusion_longest_um;
            if longest > 1.0 && by.protrusions > 0.0 {
                assert!((twin_truth.protrusion_longest_um / longest - by.protrusions.exp()).abs() < 1e-9);
            }
            // The corner of a window is ground, and ground is the same to the last count unless a pseudopod reaches it.
            let same = plane.counts().iter().zip(twin.counts()).filter(|it| (it.0 - it.1).abs() < 0.5).count();
            assert!(same > 0, "nothing is left of the ground");
            assert_ne!(plane, twin);
        }
    }
}
