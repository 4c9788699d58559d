//! A field of view over time: cells that move, divide, die, come and go, seen by a microscope that drifts.
//!
//! Takes [`SceneSettings`] and a seed, gives one [`SimulatedFrame`] per time index: camera counts and what is true. The
//! same settings and seed give the same bytes. [`Scene::moment`] freezes a time point, so that frames can be rendered
//! side by side while the scene goes on.

mod passing;
mod render;

use super::cell::life::Event;

use super::cell::{Habit, Kind, SimulatedCell, Traits, Transition, normal};
use super::optics::{Bench, Optics};
use crate::frame::Plane;
use crate::units::PointPx;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The camera: how light becomes counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Counts of empty substrate in the brightest part of the field, without the offset.
    pub background_counts: f64,
    /// Counts without light.
    pub offset_counts: f64,
    /// Counts per photoelectron.
    pub counts_per_electron: f64,
    /// Read noise, counts.
    pub read_noise_counts: f64,
}

impl Default for Camera {
    fn default() -> Self {
        Self { background_counts: 3200.0, offset_counts: 100.0, counts_per_electron: 0.9, read_noise_counts: 3.0 }
    }
}

/// What differs from day to day, and says nothing about the cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayEffect {
    /// Brightness of the lamp, 1 = usual.
    pub lamp: f64,
    /// Amplitude that the phase ring lets through (a dirty or badly set ring lets through more).
    pub ring_transmission: f64,
    /// Focus of the day, um from the best.
    pub defocus_um: f64,
    /// Refractive index of cells above the medium, 1 = usual.
    pub index_scale: f64,
    /// Roughness of the substrate, rad.
    pub substrate_rad: f64,
    /// Fall of brightness over the field in x and y, share.
    pub tilt: (f64, f64),
    /// Fall of brightness towards the corners, share.
    pub vignetting: f64,
    /// Volume of the cells, 1 = usual.
    pub volume_scale: f64,
}

impl Default for DayEffect {
    fn default() -> Self {
        Self {
            lamp: 1.0,
            ring_transmission: 0.31,
            defocus_um: 0.0,
            index_scale: 1.0,
            substrate_rad: 0.018,
            tilt: (0.05, -0.03),
            vignetting: 0.12,
            volume_scale: 1.0,
        }
    }
}

/// How the efficiency of the cells of one sample is distributed, in standard deviations of single cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EfficiencyLaw {
    /// Mean over the sample's cells.
    pub mean: f64,
    /// Standard deviation of single cells.
    pub spread: f64,
    /// Standard deviation of what each hallmark adds of its own.
    pub own_spread: f64,
    /// Share of cells that change state during the film.
    pub transition_share: f64,
    /// Size of such a change; its sign leads towards the other side.
    pub transition_shift: f64,
}

impl Default for EfficiencyLaw {
    fn default() -> Self {
        Self { mean: 0.0, spread: 1.0, own_spread: 0.25, transition_share: 0.1, transition_shift: 1.5 }
    }
}

impl EfficiencyLaw {
    /// The latent drives of one cell.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Traits {
        let efficiency = self.mean + self.spread * normal(rng);
        let mut own = || efficiency + self.own_spread * normal(rng);
        Traits { efficiency, protrusion: own(), granularity: own() }
    }

    /// A change of state for a cell of these traits, or none, in a film of `film_min` minutes.
    pub fn draw_transition(&self, traits: Traits, film_min: f64, rng: &mut ChaCha8Rng) -> Option<Transition> {
        let (happens, place) = (rng.random::<f64>() < self.transition_share, rng.random::<f64>());
        happens.then(|| Transition {
            middle_min: film_min * (0.2 + 0.6 * place),
            shift: if traits.efficiency > 0.0 { -self.transition_shift } else { self.transition_shift },
        })
    }
}

/// Everything that makes a field of view, besides the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneSettings {
    /// Columns of the frame.
    pub width_px: usize,
    /// Rows of the frame.
    pub height_px: usize,
    /// Minutes from frame to frame.
    pub interval_min: f64,
    /// Cells in the field at the start, about.
    pub cells: usize,
    /// How the cells are.
    pub habit: Habit,
    /// How efficient they are.
    pub efficiency: EfficiencyLaw,
    /// Length of the film in which changes of state are spread, minutes.
    pub film_min: f64,
    /// The day's own.
    pub day: DayEffect,
    /// The microscope.
    pub optics: Optics,
    /// The camera.
    pub camera: Camera,
    /// Random walk of the stage, um per square root of a minute.
    pub stage_drift_um: f64,
    /// Random walk of the focus (it is pulled back within half an hour), um per square root of a minute.
    pub focus_drift_um: f64,
}

impl Default for SceneSettings {
    fn default() -> Self {
        Self {
            width_px: 1024,
            height_px: 1024,
            interval_min: 1.0,
            cells: 12,
            habit: Habit::default(),
            efficiency: EfficiencyLaw::default(),
            film_min: 120.0,
            day: DayEffect::default(),
            optics: Optics::default(),
            camera: Camera::default(),
            stage_drift_um: 0.08,
            focus_drift_um: 0.12,
        }
    }
}

/// What is true of one cell in one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellTruth {
    /// Unique in the field; the value of its pixels in [`FrameTruth::labels`].
    pub id: u32,
    /// The cell that divided into this one.
    pub parent: Option<u32>,
    /// Centre of mass of the whole cell, also of what lies outside the frame, px.
    pub centroid: PointPx,
    /// Pixels of the frame that show it.
    pub area_px: usize,
    /// It reaches the frame's edge or lies partly outside.
    pub touches_border: bool,
    /// What it looks like.
    pub kind: Kind,
    /// Its latent drives at this time.
    pub traits: Traits,
    /// The efficiency it had before any change of state.
    pub resting_efficiency: f64,
    /// Share of its change of state that has happened; `None` for a cell that keeps its state.
    pub transition_share: Option<f64>,
    /// Number of pseudopods longer than 1 um.
    pub protrusion_count: u32,
    /// Their summed length, um.
    pub protrusion_total_um: f64,
    /// The longest, um.
    pub protrusion_longest_um: f64,
    /// Summed phase of the granules, rad.
    pub granularity_rad: f64,
}

/// What is true of one frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameTruth {
    /// `[height, width]`: identity of the cell at each pixel, 0 for none.
    pub labels: Vec<u16>,
    /// The cells that show in the frame, by identity.
    pub cells: Vec<CellTruth>,
    /// What happened since the frame before, by cell.
    pub events: Vec<(u32, Event)>,
    /// Distance from best focus, um.
    pub defocus_um: f64,
    /// Where the stage stands against the first frame (x, y), um.
    pub drift_um: (f64, f64),
}

/// A frame as the camera gives it, and what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedFrame {
    /// `[height, width]` counts.
    pub counts: Vec<u16>,
    /// Columns.
    pub width_px: usize,
    /// Rows.
    pub height_px: usize,
    /// Its place in the film, from 0.
    pub time_index: usize,
    /// What is true.
    pub truth: FrameTruth,
}

impl SimulatedFrame {
    /// The counts as a plane of the pipeline; `None` only for an empty frame.
    pub fn plane(&self) -> Option<Plane> {
        let counts = self.counts.iter().map(|&c| f32::from(c)).collect();
        Plane::new(self.width_px, self.height_px, counts, 65535.0)
    }
}

/// Cells are simulated this far outside the frame, px, so that they come in and go out whole.
const MARGIN_PX: usize = 56;

/// What does not change during a film.
#[derive(Debug)]
struct Stand {
    settings: SceneSettings,
    seed: u64,
    bench: Bench,
    substrate: Vec<f32>,
    light: Vec<f32>,
}

/// A field of view that goes on from frame to frame.
#[derive(Debug, Clone)]
pub struct Scene {
    stand: Arc<Stand>,
    rng: ChaCha8Rng,
    time_index: usize,
    cells: Vec<SimulatedCell>,
    events: Vec<(u32, Event)>,
    next_id: u32,
    drift_um: (f64, f64),
    focus_um: f64,
}

/// A scene at one time point, ready to be rendered anywhere.
#[derive(Debug, Clone)]
pub struct Moment {
    scene: Scene,
}

#[cfg(test)]
mod tests;
