//! The scene's way from frame to frame: placing cells, stepping them, births, comings and goings, drift.

use super::{MARGIN_PX, Moment, Scene, SceneSettings, SimulatedFrame, Stand, render};
use crate::simulate::cell::life::Event;
use crate::simulate::cell::{Exaggeration, SimulatedCell, normal};
use crate::simulate::optics::{Bench, Optics, fast_length};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Centres keep at least this share of the sum of their radii apart.
const PERSONAL_SPACE: f64 = 0.95;
/// Cells live in the frame and this far around it, um.
const OUTSIDE_UM: f64 = 26.0;
/// Cells live in steps no longer than this, min: pseudopods come and go within a quarter of an hour.
const LONGEST_STEP_MIN: f64 = 2.0;

impl Scene {
    /// A field of view at its first frame.
    pub fn new(settings: SceneSettings, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let optics = Optics { ring_transmission: settings.day.ring_transmission, ..settings.optics };
        let width = fast_length(settings.width_px + 2 * MARGIN_PX);
        let height = fast_length(settings.height_px + 2 * MARGIN_PX);
        let bench = Bench::new(width, height, optics);
        let substrate = render::substrate(&bench, settings.day.substrate_rad, &mut rng);
        let light = render::light(&settings, &mut rng);
        let cells = settings.cells;
        let stand = Arc::new(Stand { settings, seed, bench, substrate, light });
        let mut scene = Self {
            stand,
            rng,
            time_index: 0,
            cells: Vec::new(),
            events: Vec::new(),
            next_id: 1,
            drift_um: (0.0, 0.0),
            focus_um: 0.0,
        };
        scene.populate(cells);
        scene
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &SceneSettings {
        &self.stand.settings
    }

    /// The time index of the scene's present state.
    pub fn time_index(&self) -> usize {
        self.time_index
    }

    /// The present state, frozen for rendering.
    pub fn moment(&self) -> Moment {
        Moment { scene: self.clone() }
    }

    /// The frame at `time_index`; going back starts the film anew.
    pub fn frame(&mut self, time_index: usize) -> SimulatedFrame {
        self.go_to(time_index);
        render::frame(self)
    }

    /// Lets the scene's time run to `time_index`; going back starts the film anew.
    pub fn go_to(&mut self, time_index: usize) {
        if time_index < self.time_index {
            *self = Self::new(self.stand.settings.clone(), self.stand.seed);
        }
        while self.time_index < time_index {
            self.advance();
        }
    }

    /// Side lengths of the frame, um.
    fn extent_um(&self) -> (f64, f64) {
        let s = &self.stand.settings;
        (s.width_px as f64 * s.optics.pixel_um, s.height_px as f64 * s.optics.pixel_um)
    }

    fn fresh_cell(&mut self) -> SimulatedCell {
        let id = self.next_id;
        self.next_id += 1;
        let settings = &self.stand.settings;
        let traits = settings.efficiency.draw(&mut self.rng);
        let mut habit = settings.habit;
        habit.volume_um3 *= settings.day.volume_scale;
        let mut cell = SimulatedCell::new(id, &habit, traits, self.rng.random());
        cell.transition = settings.efficiency.draw_transition(traits, settings.film_min, &mut self.rng);
        cell.index_difference *= settings.day.index_scale;
        cell
    }

    /// Places cells at random, apart from each other; the area around the frame gets its share.
    fn populate(&mut self, in_frame: usize) {
        let (width, height) = self.extent_um();
        let around = (width + 2.0 * OUTSIDE_UM) * (height + 2.0 * OUTSIDE_UM) / (width * height);
        let wanted = (in_frame as f64 * around).round() as usize;
        for _ in 0..wanted {
            let mut cell = self.fresh_cell();
            for _ in 0..60 {
                cell.x_um = self.rng.random_range(-OUTSIDE_UM..width + OUTSIDE_UM);
                cell.y_um = self.rng.random_range(-OUTSIDE_UM..height + OUTSIDE_UM);
                if self.cells.iter().all(|other| overlap_um(&cell, other) <= 0.0) {
                    self.cells.push(cell);
                    break;
                }
            }
        }
    }

    /// One frame interval.
    fn advance(&mut self) {
        let interval = self.stand.settings.interval_min;
        let steps = (interval / LONGEST_STEP_MIN).ceil().max(1.0);
        let before = self.time_index as f64;
        self.time_index += 1;
        self.events.clear();
        for step in 1..=steps as usize {
            self.live(interval / steps, (before + step as f64 / steps) * interval);
        }
    }

    /// A short time until `minute` after the film's start.
    fn live(&mut self, minutes: f64, minute: f64) {
        let stand = Arc::clone(&self.stand);
        for cell in &mut self.cells {
            let happened = cell.step(minutes, minute, &stand.settings.habit);
            self.events.extend(happened.into_iter().map(|event| (cell.id, event)));
        }
        self.divide();
        self.push_apart();
        self.come_and_go(minutes);
        let root = minutes.sqrt();
        let (dx, dy, dz) = (normal(&mut self.rng), normal(&mut self.rng), normal(&mut self.rng));
        self.drift_um.0 += stand.settings.stage_drift_um * root * dx;
        self.drift_um.1 += stand.settings.stage_drift_um * root * dy;
        self.focus_um += stand.settings.focus_drift_um * root * dz - self.focus_um * (minutes / 30.0).min(1.0);
    }

    fn divide(&mut self) {
        let parted: Vec<SimulatedCell> = self.cells.iter().filter(|c| c.has_parted()).cloned().collect();
        self.cells.retain(|c| !c.has_parted());
        for mother in parted {
            self.events.push((mother.id, Event::Divided));
            for daughter in mother.divide(self.next_id) {
                self.events.push((daughter.id, Event::Born));
                self.cells.push(daughter);
            }
            self.next_id += 2;
        }
    }

    /// Cells that overlap move apart by half of the overlap.
    fn push_apart(&mut self) {
        for i in 1..self.cells.len() {
            let (before, rest) = self.cells.split_at_mut(i);
            let Some(one) = rest.first_mut() else { continue };
            for other in before {
                let overlap = overlap_um(one, other);
                if overlap > 0.0 {
                    let (dx, dy) = (one.x_um - other.x_um, one.y_um - other.y_um);
                    let distance = dx.hypot(dy).max(0.1);
                    let (mx, my) = (dx / distance * overlap * 0.25, dy / distance * overlap * 0.25);
                    one.x_um += mx;
                    one.y_um += my;
                    other.x_um -= mx;
                    other.y_um -= my;
                }
            }
        }
    }

    /// Cells far outside are gone; as many come in over the edge as the density asks for.
    fn come_and_go(&mut self, minutes: f64) {
        let (width, height) = self.extent_um();
        let (right, below) = (width + OUTSIDE_UM, height + OUTSIDE_UM);
        let gone =
            |c: &SimulatedCell| !(-OUTSIDE_UM..=right).contains(&c.x_um) || !(-OUTSIDE_UM..=below).contains(&c.y_um);
        let left: Vec<u32> = self.cells.iter().filter(|c| gone(c)).map(|c| c.id).collect();
        self.cells.retain(|c| !gone(c));
        self.events.extend(left.into_iter().map(|id| (id, Event::Left)));
        // Half of the cells at the edge move inwards, at a good third of the usual speed across it.
        let settings = &self.stand.settings;
        let per_um2 = settings.cells as f64 / (width * height);
        let rate = per_um2 * 2.0 * (right + below) * settings.habit.speed_um_min * 0.2;
        if self.rng.random::<f64>() < rate * minutes {
            let along: f64 = self.rng.random();
            let side: u8 = self.rng.random_range(0..4);
            let mut cell = self.fresh_cell();
            let (x, y) =
                (along * (width + 2.0 * OUTSIDE_UM) - OUTSIDE_UM, along * (height + 2.0 * OUTSIDE_UM) - OUTSIDE_UM);
            (cell.x_um, cell.y_um, cell.heading) = match side {
                0 => (-OUTSIDE_UM, y, 0.0),
                1 => (right, y, std::f64::consts::PI),
                2 => (x, -OUTSIDE_UM, std::f64::consts::FRAC_PI_2),
                _ => (x, below, -std::f64::consts::FRAC_PI_2),
            };
            if self.cells.iter().all(|other| overlap_um(&cell, other) <= 0.0) {
                self.events.push((cell.id, Event::Entered));
                self.cells.push(cell);
            }
        }
    }
}

impl Moment {
    /// Renders the frame; pure.
    pub fn render(&self) -> SimulatedFrame {
        render::frame(&self.scene)
    }

    /// The same moment, with every cell its own twin: same places, same noise, longer pseudopods and denser granules.
    #[must_use]
    pub fn exaggerated(&self, by: Exaggeration) -> Self {
        let mut twin = self.clone();
        twin.scene.cells.iter_mut().for_each(|cell| cell.exaggerate(by));
        twin
    }
}

/// By how much two cells' bodies come too near, um; negative when they do not.
fn overlap_um(one: &SimulatedCell, other: &SimulatedCell) -> f64 {
    let radius = |c: &SimulatedCell| {
        let (a, b) = c.half_axes_um();
        0.5 * (a + b)
    };
    PERSONAL_SPACE * (radius(one) + radius(other)) - (one.x_um - other.x_um).hypot(one.y_um - other.y_um)
}
