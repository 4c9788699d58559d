//! Labelled windows around simulated cells: what the autoencoder and the discriminant are trained on.
//!
//! Takes a [`Panel`] and a [`CropPlan`], gives one window per cell and time point: raw counts around the cell's true
//! centre, with a small jitter, neighbours and all. No detection is needed, and cells whose box does not lie wholly in
//! the frame are left out, as in the pipeline. Fields are rendered side by side; the order of the result is that of
//! day, tumour, field, time, cell, whatever the number of threads.

use super::panel::{Class, Panel, Place};
use super::scene::{CellTruth, Scene, SceneSettings};
use crate::frame::Plane;
use crate::units::PointPx;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// How many windows of what size.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    /// Fields of view per day and tumour.
    pub fovs: usize,
    /// Number of the first field (other numbers are other cells: use it to hold some back).
    pub first_fov: usize,
    /// Time points per field.
    pub time_points: usize,
    /// Frames between two time points.
    pub stride: usize,
    /// Side of the window, px.
    pub side_px: usize,
    /// Largest distance of the window's centre from the cell's, px, in x and in y.
    pub jitter_px: f64,
    /// Frame size, cells per field and microscope; the panel sets tumour and day.
    pub scene: SceneSettings,
}

impl Default for CropPlan {
    /// About 1,500 cells and 10,000 windows of 217 px (method.md 5.6) on the default panel.
    fn default() -> Self {
        Self {
            fovs: 8,
            first_fov: 0,
            time_points: 8,
            stride: 15,
            side_px: 217,
            jitter_px: 3.0,
            scene: SceneSettings { cells: 13, ..SceneSettings::default() },
        }
    }
}

impl CropPlan {
    /// Length of the plan's films, minutes.
    pub(super) fn film_min(&self) -> f64 {
        (self.time_points.saturating_sub(1) * self.stride).max(1) as f64 * self.scene.interval_min
    }
}

/// One window around one cell at one time point.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledWindow {
    /// `[side, side]` raw camera counts.
    pub plane: Plane,
    /// Where and when: day, tumour and field of the panel.
    pub place: Place,
    /// True class of the tumour.
    pub class: Class,
    /// Frame of the film.
    pub time_index: usize,
    /// The window's first column and row in the frame, px.
    pub corner: (usize, usize),
    /// What is true of the cell; `(place, truth.id)` is the physical cell.
    pub truth: CellTruth,
}

/// All windows of the plan, each handed to `take` as soon as it is cut, so that nobody needs to hold the raw ones.
pub fn crops<T, F>(panel: &Panel, plan: &CropPlan, take: F) -> Vec<T>
where
    T: Send,
    F: Fn(LabelledWindow) -> T + Sync,
{
    let places: Vec<Place> = panel
        .pairs()
        .into_iter()
        .flat_map(|(day, tumour)| (0..plan.fovs).map(move |k| Place { day, tumour, fov: plan.first_fov + k }))
        .collect();
    let of_fields: Vec<Vec<T>> =
        places.into_par_iter().map(|place| of_field(panel, plan, place).into_iter().map(&take).collect()).collect();
    of_fields.into_iter().flatten().collect()
}

/// The windows of one field, by time, then cell.
fn of_field(panel: &Panel, plan: &CropPlan, place: Place) -> Vec<LabelledWindow> {
    let Some(class) = panel.tumours.get(place.tumour).map(|t| t.class) else { return Vec::new() };
    let base = SceneSettings { film_min: plan.film_min(), ..plan.scene.clone() };
    let Some((settings, seed)) = panel.field(place, &base) else { return Vec::new() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0c40);
    let mut scene = Scene::new(settings, seed);
    let mut windows = Vec::new();
    for k in 0..plan.time_points {
        let frame = scene.frame(k * plan.stride);
        for truth in &frame.truth.cells {
            let mut jitter = || rng.random_range(-1.0..=1.0) * plan.jitter_px;
            let centre = PointPx { x: truth.centroid.x + jitter(), y: truth.centroid.y + jitter() };
            let Some(corner) = corner(centre, plan.side_px, (frame.width_px, frame.height_px)) else { continue };
            let plane = window(&frame.counts, frame.width_px, corner, plan.side_px);
            if let Some(plane) = plane {
                let truth = truth.clone();
                windows.push(LabelledWindow { plane, place, class, time_index: frame.time_index, corner, truth });
            }
        }
    }
    windows
}

/// The `side` x `side` px of a frame's `counts` from `corner` on.
pub(super) fn window(counts: &[u16], width_px: usize, corner: (usize, usize), side: usize) -> Option<Plane> {
    let rows = counts.chunks_exact(width_px).skip(corner.1).take(side);
    let counts = rows.flat_map(|row| row.iter().skip(corner.0).take(side).map(|&count| f32::from(count))).collect();
    Plane::new(side, side, counts, 65535.0)
}

/// First column and row of a window of `side` around `centre`; `None` when it does not lie wholly in the frame.
pub(super) fn corner(centre: PointPx, side: usize, (width, height): (usize, usize)) -> Option<(usize, usize)> {
    let first = |c: f64, n: usize| {
        let low = c.round() - (side / 2) as f64;
        (low >= 0.0 && low + side as f64 <= n as f64).then_some(low as usize)
    };
    Some((first(centre.x, width)?, first(centre.y, height)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_plan() -> CropPlan {
        let scene = SceneSettings { width_px: 420, height_px: 400, cells: 6, ..SceneSettings::default() };
        CropPlan { fovs: 1, time_points: 2, stride: 10, scene, ..CropPlan::default() }
    }

    #[test]
    fn windows_are_the_same_on_every_run_and_hold_the_cell() {
        let panel = Panel::new(3);
        let take = |w: LabelledWindow| w;
        let one = crops(&panel, &small_plan(), take);
        assert_eq!(one, crops(&panel, &small_plan(), take));
        assert!(one.len() > 20, "{}", one.len());
        for window in &one {
            assert_eq!(window.plane.counts().len(), 217 * 217);
            let (x, y) =
                (window.truth.centroid.x - window.corner.0 as f64, window.truth.centroid.y - window.corner.1 as f64);
            assert!((x - 108.0).abs() <= 4.0 && (y - 108.0).abs() <= 4.0, "{x} {y}");
        }
    }
}
