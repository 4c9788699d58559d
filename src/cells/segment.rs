//! Which pixels are cell, and which cell.
//!
//! ```text
//! relative light --shrink--> texture --threshold--> rough mask (too wide by the halo)
//!       rough mask, texture --what stands out nearby, split at necks--> one seed a cell
//!       seeds and outside --flood over the edges' strength--> labels that end at the steepest edge (the membrane)
//!       labels --size, strength--> cells
//! ```
//!
//! A cell in phase contrast is where light changes quickly from place to place; its halo is bright but smooth, and its
//! membrane is the steepest edge. All lengths are shares of the cell-diameter hint, all levels multiples of what the
//! frame's own empty substrate shows, so that no instrument needs thresholds of its own.

use super::busy::Place;
use super::grid::Grid;
use super::mask::Labels;
use super::texture::Texture;
use super::{membrane, seeds};

/// The working picture shows a cell of the hinted diameter about this many pixels wide, or more.
const WORKING_DIAMETER_PX: f64 = 30.0;
/// Cells smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f32 = 0.4;
/// Cells with less than this share of the texture of most of what is found are debris, rings or stains.
const FAINT_SHARE: f32 = 0.45;

/// What is larger than this many hinted cells is no cell but a layer of them that could not be parted.
const LARGEST_SHARE: f32 = 4.0;
/// A splinter shares at least this part of its rim with the cell that it belongs to.
const SPLINTER_SHARE: f32 = 0.3;

/// The working picture and what has been found in it.
#[derive(Debug)]
pub(super) struct Segmented {
    /// Working pixels are this many frame pixels wide.
    pub(super) scale: f64,
    /// One label a cell; numbers may be missing.
    pub(super) labels: Labels,
    /// Share of the frame that looks like cell and could not be parted into cells, 0..=1.
    pub(super) unparted: f64,
    /// Share of the frame that looks like cell, 0..=1.
    pub(super) covered: f64,
    /// Where cells lie against each other, as far as a network can be asked about them again.
    pub(super) crowds: Vec<Place>,
    /// How sure a network is of the middles of what it found, 0..=1; `None` when none was asked, or it cannot say.
    pub(super) sureness: Option<f64>,
    /// Logit of the inside, `[height, width]`, when a network gave it.
    pub(super) inside: Option<Vec<f32>>,
}

/// Labels the cells of a corrected frame.
///
/// `relative`: `[height, width]`, about 1 on empty substrate; `diameter_px`: the hint, frame pixels.
pub(super) fn segment(relative: &[f32], width: usize, height: usize, diameter_px: f64) -> Segmented {
    let factor = (diameter_px / WORKING_DIAMETER_PX).floor().clamp(1.0, 64.0) as usize;
    let diameter = ((diameter_px / factor as f64) as f32).max(4.0);
    let light = Grid::shrunk(relative, width, height, factor).smoothed(0.7);
    let texture = Texture::of(&light, diameter);
    let rough = texture.rough_mask(diameter);
    let covered = rough.share();
    let edges = light.gradient();
    let strongest = membrane::strongest(&edges);
    let parts = rough.parts();
    let mut labels = Labels { label: vec![0; parts.label.len()], count: 0, ..parts };
    // Part by part: most of a frame is empty, and what happens in one part does not depend on the others.
    for window in parts.windows() {
        let view = window.with_margin(seeds::margin_px(diameter), parts.width, parts.height);
        let own = parts.one(window.label, &view);
        let seeds = seeds::seeds(&own, &texture.within(&view), diameter);
        labels.add(&view, &membrane::grown(&own, &seeds, &edges.within(&view), strongest).largest_parts());
    }
    Segmented {
        scale: factor as f64,
        labels: believable(&labels, &texture, diameter),
        // This chain fills what it cannot part with cells of any size: what is covered counts.
        unparted: covered,
        covered,
        crowds: Vec::new(),
        sureness: None,
        inside: None,
    }
}

/// Share of a picture that is in the `looks_like` px of it that look like cell, and in none of the labels that are no larger than a cell
/// of the hinted `area` (px) may be, 0..=1.
pub(super) fn unparted(looks_like: usize, labels: &Labels, area: f32) -> f64 {
    let largest = (LARGEST_SHARE * area) as usize;
    let parted: usize = labels.areas().into_iter().skip(1).filter(|area| *area <= largest).sum();
    looks_like.saturating_sub(parted) as f64 / labels.label.len().max(1) as f64
}

/// Without the labels that are too small or too faint to be cells: splinters go to the cell that they lie against, the
/// others are debris.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the tables hold count + 1")]
fn believable(labels: &Labels, texture: &Texture, diameter: f32) -> Labels {
    let areas = labels.areas();
    let mut strength = vec![0.0_f64; areas.len()];
    for (&label, &near) in labels.label.iter().zip(&texture.near.values) {
        strength[label as usize] += f64::from(near);
    }
    let faint = f64::from(FAINT_SHARE) * typical_strength(&strength, &areas);
    let smallest = (SMALLEST_SHARE * area_px(diameter)).max(6.0) as usize;
    let good: Vec<bool> = strength
        .iter()
        .zip(&areas)
        .enumerate()
        .map(|(label, (&sum, &area))| label > 0 && area >= smallest && sum > faint * area as f64)
        .collect();
    let mut becomes: Vec<u32> = (0..=labels.count).map(|label| if good[label as usize] { label } else { 0 }).collect();
    for (splinter, contacts) in labels.contacts() {
        let rim: usize = contacts.values().sum();
        let neighbour = contacts.iter().filter(|(other, _)| good[**other as usize]).max_by_key(|(_, length)| **length);
        if let Some((&other, &length)) = neighbour
            && !good[splinter as usize]
            && length as f32 >= SPLINTER_SHARE * rim as f32
        {
            becomes[splinter as usize] = other;
        }
    }
    let label = labels.label.iter().map(|&label| becomes[label as usize]).collect();
    Labels { label, ..*labels }
}

/// The mean texture that half of the labelled area exceeds.
fn typical_strength(strength: &[f64], areas: &[usize]) -> f64 {
    let mut mean: Vec<(f64, usize)> =
        strength.iter().zip(areas).skip(1).map(|(&sum, &area)| (sum / area.max(1) as f64, area)).collect();
    mean.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = mean.iter().map(|m| m.1).sum::<usize>() / 2;
    let mut below = 0;
    let typical = mean.iter().find(|m| {
        below += m.1;
        below >= half
    });
    typical.map_or(0.0, |m| m.0)
}

/// Area of a disc of the hinted diameter, px.
pub(super) fn area_px(diameter: f32) -> f32 {
    diameter * diameter * std::f32::consts::FRAC_PI_4
}
