//! Links the cells of one field of view from frame to frame.
//!
//! Takes the cells of a frame as [`Observation`]s, in time order, gives one [`Link`] a cell: which track it belongs to and,
//! when a division made it, which track it came from. [`Linker`] is the whole memory: written as JSON and read back,
//! it continues with the same bits.
//!
//! ```text
//! live tracks --stage shift, motion--> where each should be now
//!   gate (um per elapsed time step) --> candidate pairs --> independent groups --optimal assignment--> links
//!   tracks without a cell wait a few time steps; cells without a track are new, or the daughters of a division
//! ```

use crate::id::TimeIndex;
use crate::track::stage;
use crate::units::{PixelSize, PointPx, Um};
use serde::{Deserialize, Serialize};

/// How cells may move and change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSettings {
    /// The frames' pixel size.
    pub pixel_size: PixelSize,
    /// A cell moves at most this far in one time step, um.
    pub gate_um: Um,
    /// A track waits this many time steps for a cell that was not found.
    pub max_gap_frames: u32,
    /// The stage may have jumped up to this far between two frames, um; 0 when it never does.
    pub stage_jump_um: Um,
}

impl LinkSettings {
    /// Settings for frames of `pixel_size` with everything else as shipped.
    pub fn new(pixel_size: PixelSize) -> Self {
        Self { pixel_size, gate_um: 20.0, max_gap_frames: 3, stage_jump_um: 60.0 }
    }
}

/// What the linker needs to know of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Centre of mass, px.
    pub centroid: PointPx,
    /// Area inside the outline, um2.
    pub area_um2: f64,
    /// The outline touches the frame's edge.
    pub touches_border: bool,
}

impl From<&crate::cells::Cell> for Observation {
    fn from(cell: &crate::cells::Cell) -> Self {
        Self { centroid: cell.centroid, area_um2: cell.shape.area_um2, touches_border: cell.touches_border }
    }
}

/// The track of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The track's number within the field of view, from 1.
    pub number: u32,
    /// The track that divided into this one; only on a track's first cell.
    pub parent: Option<u32>,
}

/// A track that may go on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct LiveTrack {
    number: u32,
    last_time: TimeIndex,
    position: PointPx,
    /// Smoothed motion, px per time step.
    velocity: PointPx,
    /// Smoothed area, um2.
    area_um2: f64,
    touches_border: bool,
    /// Number of cells so far.
    length: u32,
}

/// The memory of one field of view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linker {
    settings: LinkSettings,
    next_number: u32,
    last_time: Option<TimeIndex>,
    /// In the order of their numbers.
    live: Vec<LiveTrack>,
}

/// Not linking costs as much as linking at this cost: distance in gates squared plus what the change of area adds.
const NO_LINK_COST: f64 = 1.2;
/// Cost of an area that changes by a factor of e.
const AREA_COST: f64 = 0.35;
/// Share of the last motion that is expected to go on.
const MOTION_SHARE: f64 = 0.5;
/// Share of a new measurement in the smoothed motion and area.
const FRESH_SHARE: f64 = 0.5;
/// Beyond this many time steps the gate grows no further.
const WIDEST_GATE_STEPS: f64 = 3.0;
/// Cost of what must not be; far above any sum of possible costs.
const FORBIDDEN: f64 = 1e9;
/// A mother is at least this many cells old; younger ones are more likely detections that fell apart.
const YOUNGEST_MOTHER: u32 = 4;

impl Linker {
    /// The memory of a field of view of which nothing has been seen.
    pub fn new(settings: LinkSettings) -> Self {
        Self { settings, next_number: 1, last_time: None, live: Vec::new() }
    }

    /// The same memory with other settings from now on.
    #[must_use]
    pub fn with_settings(self, settings: LinkSettings) -> Self {
        Self { settings, ..self }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    /// The last time that was linked.
    pub fn last_time(&self) -> Option<TimeIndex> {
        self.last_time
    }

    /// Links the cells of the frame at `time`: one [`Link`] a cell, in the cells' order; numbers are unique in a frame.
    ///
    /// A frame that is not later than the last one changes no track: each of its cells gets a number of its own.
    pub fn link(&mut self, time: TimeIndex, cells: &[Observation]) -> Vec<Link> {
        if self.last_time.is_some_and(|last| time <= last) {
            return cells.iter().map(|_| Link { number: self.take_number(), parent: None }).collect();
        }
        let patience = i64::from(self.settings.max_gap_frames) + 1;
        self.live.retain(|track| time.0.saturating_sub(track.last_time.0) <= patience);
        let before: Vec<PointPx> = self.live.iter().map(|track| self.expected(track, time)).collect();
        let shift = stage::shift(&before, cells, &self.settings);
        let expected: Vec<PointPx> = before.iter().map(|p| PointPx { x: p.x + shift.x, y: p.y + shift.y }).collect();
        for track in &mut self.live {
            track.position = exact_point(PointPx { x: track.position.x + shift.x, y: track.position.y + shift.y });
        }
        let assigned = self.assign(time, &expected, cells);
        let links = self.number(time, cells, &assigned);
        self.last_time = Some(time);
        links
    }

    /// Where a track's cell should be at `time`, px.
    fn expected(&self, track: &LiveTrack, time: TimeIndex) -> PointPx {
        let steps = self.steps(track, time) * MOTION_SHARE;
        PointPx { x: track.position.x + steps * track.velocity.x, y: track.position.y + steps * track.velocity.y }
    }

    /// Time steps since the track's last cell, within 1..=[`WIDEST_GATE_STEPS`].
    #[expect(clippy::unused_self, reason = "reads as a property of the linker's clock")]
    fn steps(&self, track: &LiveTrack, time: TimeIndex) -> f64 {
        (time.0.saturating_sub(track.last_time.0) as f64).clamp(1.0, WIDEST_GATE_STEPS)
    }

    /// For every cell the index of the live track it continues.
    fn assign(&self, time: TimeIndex, expected: &[PointPx], cells: &[Observation]) -> Vec<Option<usize>> {
        let mut pairs = Vec::new();
        for (index, (track, place)) in self.live.iter().zip(expected).enumerate() {
            let gate_px = self.settings.pixel_size.px_from_um(self.settings.gate_um) * self.steps(track, time);
            for (cell_index, cell) in cells.iter().enumerate() {
                let distance = place.distance_px(cell.centroid).min(track.position.distance_px(cell.centroid) * 1.1);
                if distance <= gate_px {
                    let change = area_change(track.area_um2, cell.area_um2);
                    // At the border only a part of the cell is seen: its area says little.
                    let trust = if track.touches_border || cell.touches_border { 0.2 } else { 1.0 };
                    let cost = (distance / gate_px).powi(2) + trust * AREA_COST * change * change;
                    if cost < NO_LINK_COST {
                        pairs.push(Pair { track: index, cell: cell_index, cost });
                    }
                }
            }
        }
        super::assignment::best(&pairs, self.live.len(), cells.len(), NO_LINK_COST, FORBIDDEN)
    }

    /// Turns the assignment into numbers, finds divisions, updates the live tracks.
    fn number(&mut self, time: TimeIndex, cells: &[Observation], assigned: &[Option<usize>]) -> Vec<Link> {
        let mothers = self.mothers(time, cells, assigned);
        let mut links = Vec::with_capacity(cells.len());
        let mut live: Vec<LiveTrack> = Vec::new();
        let mut gone = vec![false; self.live.len()];
        for ((cell, &track), &mother) in cells.iter().zip(assigned).zip(&mothers) {
            let parent = mother.and_then(|index| self.live.get(index)).map(|track| track.number);
            if let Some(slot) = mother.or(track).and_then(|index| gone.get_mut(index)) {
                *slot = true;
            }
            let old = if mother.is_some() { None } else { track.and_then(|index| self.live.get(index)).copied() };
            let now = match old {
                Some(track) => track.continued(time, cell),
                None => LiveTrack::begun(self.take_number(), time, cell),
            };
            links.push(Link { number: now.number, parent });
            live.push(now);
        }
        live.extend(self.live.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(track, _)| *track));
        live.sort_by_key(|track| track.number);
        self.live = live;
        links
    }

    /// For every cell the index of the live track that divided into it and another cell.
    fn mothers(&self, time: TimeIndex, cells: &[Observation], assigned: &[Option<usize>]) -> Vec<Option<usize>> {
        let mut mothers = vec![None; cells.len()];
        for (new_index, new) in cells.iter().enumerate() {
            let taken = assigned.get(new_index).is_some_and(Option::is_some);
            if taken || new.touches_border {
                continue;
            }
            let sister = cells.iter().zip(assigned).enumerate().filter_map(|(index, (cell, track))| {
                let track_index = (*track)?;
                let track = self.live.get(track_index)?;
                let fit = self.division_fit(track, time, cell, new)?;
                Some((index, track_index, fit))
            });
            let best = sister.min_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
            if let Some((sister_index, track_index, _)) = best {
                let free = mothers.get(sister_index).is_some_and(Option::is_none);
                if free && let Some(slot) = mothers.get_mut(sister_index) {
                    *slot = Some(track_index);
                    if let Some(slot) = mothers.get_mut(new_index) {
                        *slot = Some(track_index);
                    }
                }
            }
        }
        mothers
    }

    /// How well `track` divided into `a` and `b` (lower is better); `None` when it did not.
    fn division_fit(&self, track: &LiveTrack, time: TimeIndex, a: &Observation, b: &Observation) -> Option<f64> {
        let gate_px = self.settings.pixel_size.px_from_um(self.settings.gate_um) * self.steps(track, time);
        let middle =
            PointPx { x: f64::midpoint(a.centroid.x, b.centroid.x), y: f64::midpoint(a.centroid.y, b.centroid.y) };
        let off = middle.distance_px(track.position) / gate_px;
        let apart_um = self.settings.pixel_size.um_from_px(a.centroid.distance_px(b.centroid));
        let daughter_um = 2.0 * (a.area_um2.max(b.area_um2) / std::f64::consts::PI).sqrt();
        let whole = (a.area_um2 + b.area_um2) / track.area_um2.max(1e-9);
        let alike = area_change(a.area_um2, b.area_um2);
        let fits = track.length >= YOUNGEST_MOTHER
            && !a.touches_border
            && !track.touches_border
            && off <= 0.6
            && apart_um <= 1.5 * daughter_um + 0.5 * self.settings.gate_um
            && alike <= std::f64::consts::LN_2
            && (0.6..=1.8).contains(&whole);
        fits.then_some(off + alike)
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        number
    }
}

impl LiveTrack {
    fn begun(number: u32, time: TimeIndex, cell: &Observation) -> Self {
        Self {
            number,
            last_time: time,
            position: exact_point(cell.centroid),
            velocity: PointPx::default(),
            area_um2: exact(cell.area_um2),
            touches_border: cell.touches_border,
            length: 1,
        }
    }

    fn continued(&self, time: TimeIndex, cell: &Observation) -> Self {
        let steps = time.0.saturating_sub(self.last_time.0).max(1) as f64;
        let fresh = |old: f64, new: f64| old + FRESH_SHARE * (new - old);
        let velocity = PointPx {
            x: fresh(self.velocity.x, (cell.centroid.x - self.position.x) / steps),
            y: fresh(self.velocity.y, (cell.centroid.y - self.position.y) / steps),
        };
        Self {
            number: self.number,
            last_time: time,
            position: exact_point(cell.centroid),
            velocity: exact_point(velocity),
            area_um2: exact(fresh(self.area_um2, cell.area_um2)),
            touches_border: cell.touches_border,
            length: self.length.saturating_add(1),
        }
    }
}

/// A track and a cell that may be the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) track: usize,
    pub(super) cell: usize,
    pub(super) cost: f64,
}

/// The value in whole 1024ths: such numbers survive being written as decimal text and read back bit for bit.
fn exact(value: f64) -> f64 {
    (value * 1024.0).round() / 1024.0
}

fn exact_point(point: PointPx) -> PointPx {
    PointPx { x: exact(point.x), y: exact(point.y) }
}

/// Natural logarithm of the ratio of two areas, 0 when equal.
fn area_change(a: f64, b: f64) -> f64 {
    (a.max(1e-9) / b.max(1e-9)).ln().abs()
}

#[cfg(test)]
mod tests;
