//! Which pixels are cell, and which cell.
//!
//! ```text
//! relative light --shrink--> texture --threshold--> rough mask (too wide by the halo)
//!       rough mask, edges --flood from both sides--> mask that ends at the steepest edge (the membrane)
//!       mask, landscape --split at passes--> one label a cell
//! ```
//!
//! A cell in phase contrast is where light changes quickly from place to place; its halo is bright but smooth, and its
//! membrane is the steepest edge. All lengths are shares of the cell-diameter hint, all levels multiples of what the
//! frame's own empty substrate shows, so that no instrument needs thresholds of its own.

use super::grid::Grid;
use super::mask::{Labels, Mask, neighbours};
use super::split;

/// The working picture shows a cell of the hinted diameter about this many pixels wide, or more.
const WORKING_DIAMETER_PX: f64 = 30.0;
/// Texture is averaged over this share of the diameter.
const TEXTURE_SHARE: f32 = 1.0 / 24.0;
/// The wider neighbourhood of a place, share of the diameter.
const WIDE_SHARE: f32 = 0.12;
/// Texture that is sure to be cell is at least this share of its wider neighbourhood's.
const NEAR_OVER_WIDE: f32 = 0.7;
/// Texture this many times that of the empty substrate is cell ...
const TEXTURE_LOW: f32 = 3.0;
/// ... when somewhere in the part it is this many times as strong.
const TEXTURE_HIGH: f32 = 8.0;
/// Texture below this is never cell: change of relative light per working pixel.
const TEXTURE_FLOOR: f32 = 0.004;
/// Parts with less than this share of the texture of most of what is found are not cells.
const FAINT_SHARE: f32 = 0.35;
/// Within one part, texture below this share of the part's strongest is halo, not cell.
const HALO_SHARE: f32 = 0.08;
/// Parts smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f32 = 0.3;
/// Gaps in what is surely inside are closed up to this share of the diameter.
const SURE_CLOSING_SHARE: f32 = 1.0 / 16.0;
/// What is surely inside keeps this many blur widths away from where the texture ends.
const SURE_INSET: f32 = 2.0;
/// A cell's thickness rises at least this far above the pass to its neighbour, in radii of the hinted cell.
const PROMINENCE: f32 = 0.25;
/// Holes smaller than this share of the hinted cell's area are filled.
const HOLE_SHARE: f32 = 1.0;

/// The working picture and what has been found in it.
#[derive(Debug)]
pub(super) struct Segmented {
    /// Working pixels are this many frame pixels wide.
    pub(super) factor: usize,
    /// One label a cell.
    pub(super) labels: Labels,
    /// Share of the frame that the rough mask covers, 0..=1.
    pub(super) covered: f64,
}

/// Labels the cells of a corrected frame.
///
/// `relative`: `[height, width]`, about 1 on empty substrate; `diameter_px`: the hint, frame pixels.
pub(super) fn segment(relative: &[f32], width: usize, height: usize, diameter_px: f64) -> Segmented {
    let factor = (diameter_px / WORKING_DIAMETER_PX).floor().clamp(1.0, 64.0) as usize;
    let light = Grid::shrunk(relative, width, height, factor);
    let diameter = ((diameter_px / factor as f64) as f32).max(4.0);
    let edges = light.smoothed(0.7).gradient();
    let texture = Texture::of(&edges, diameter);
    let rough = rough_mask(&texture, diameter);
    let covered = rough.area() as f64 / rough.inside.len().max(1) as f64;
    let exact = to_membrane(&rough, &texture, &edges, diameter);
    let exact = without_faint(&exact, &texture);
    let labels = split_cells(&exact, diameter);
    Segmented { factor, labels, covered }
}

/// How strongly light changes from place to place.
struct Texture {
    /// Root mean square of the edges' strength nearby.
    near: Grid,
    /// The same over a wider neighbourhood.
    wide: Grid,
    /// The level that stands out from the frame's empty substrate.
    low: f32,
}

impl Texture {
    fn of(edges: &Grid, diameter: f32) -> Self {
        let energy = edges.map(|v| v * v);
        let near = energy.smoothed((TEXTURE_SHARE * diameter).max(1.0)).map(f32::sqrt);
        let wide = energy.smoothed((WIDE_SHARE * diameter).max(3.0)).map(f32::sqrt);
        let low = (TEXTURE_LOW * near.quantile(0.25)).max(TEXTURE_FLOOR);
        Self { near, wide, low }
    }
}

/// Where the texture stands out from the frame's empty substrate.
fn rough_mask(texture: &Texture, diameter: f32) -> Mask {
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    let wide = Mask::above(&texture.near, texture.low).closed(diameter / 16.0).filled((HOLE_SHARE * area) as usize);
    let strong = Mask::above(&texture.near, texture.low * TEXTURE_HIGH / TEXTURE_LOW);
    without_halo_rings(&keep_marked(&wide, &strong), texture)
        .closed(diameter / 16.0)
        .filled((HOLE_SHARE * area) as usize)
        .opened(diameter / 24.0)
        .without_specks((SMALLEST_SHARE * area).max(6.0) as usize)
}

/// Without the faint surroundings of parts that are much stronger elsewhere.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
fn without_halo_rings(mask: &Mask, texture: &Texture) -> Mask {
    let parts = mask.parts();
    let mut strongest = vec![0.0_f32; parts.count as usize + 1];
    for (&label, &near) in parts.label.iter().zip(&texture.near.values) {
        strongest[label as usize] = strongest[label as usize].max(near);
    }
    let inside = parts.label.iter().zip(&texture.near.values);
    let inside = inside.map(|(&label, &near)| label > 0 && near > HALO_SHARE * strongest[label as usize]).collect();
    Mask { width: mask.width, height: mask.height, inside }
}

/// What is surely inside: texture that also stands out from its neighbourhood, so that a strong edge's blur does not count.
fn sure_mask(rough: &Mask, texture: &Texture, diameter: f32) -> Mask {
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    let stands_out =
        texture.near.zip(&texture.wide, |near, wide| if near > NEAR_OVER_WIDE * wide { near } else { 0.0 });
    let mut sure = Mask::above(&stands_out, texture.low)
        .closed(diameter * SURE_CLOSING_SHARE)
        .filled((HOLE_SHARE * area) as usize);
    for (value, rough) in sure.inside.iter_mut().zip(&rough.inside) {
        *value &= rough;
    }
    sure.narrowed(SURE_INSET * (TEXTURE_SHARE * diameter).max(1.0) + 0.5)
}

/// Without the parts whose texture is faint beside that of most of the masked area: debris, rings, stains.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the tables hold count + 1")]
fn without_faint(mask: &Mask, texture: &Texture) -> Mask {
    let parts = mask.parts();
    let areas = parts.areas();
    let mut strength = vec![0.0_f32; areas.len()];
    for (&label, &near) in parts.label.iter().zip(&texture.near.values) {
        strength[label as usize] += near;
    }
    let mut order: Vec<(f32, usize)> =
        strength.iter().zip(&areas).skip(1).map(|(&sum, &area)| (sum / area.max(1) as f32, area)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = order.iter().map(|o| o.1).sum::<usize>() / 2;
    let mut sum = 0;
    let typical = order.iter().find(|o| {
        sum += o.1;
        sum >= half
    });
    let faint = FAINT_SHARE * typical.map_or(0.0, |o| o.0);
    let keep = |label: u32| label > 0 && strength[label as usize] / areas[label as usize] as f32 > faint;
    Mask { width: mask.width, height: mask.height, inside: parts.label.iter().map(|&label| keep(label)).collect() }
}

/// The parts of `mask` in which `marks` has at least one pixel.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
fn keep_marked(mask: &Mask, marks: &Mask) -> Mask {
    let parts = mask.parts();
    let mut marked = vec![false; parts.count as usize + 1];
    for (&label, &mark) in parts.label.iter().zip(&marks.inside) {
        marked[label as usize] |= mark;
    }
    let inside = parts.label.iter().map(|&label| label > 0 && marked[label as usize]).collect();
    Mask { width: mask.width, height: mask.height, inside }
}

/// Floods the band along the mask's edge from the inside and from the outside over the edges' strength: the two meet
/// at the steepest edge.
#[expect(clippy::indexing_slicing, reason = "pixels are within the grid, levels below LEVELS")]
fn to_membrane(rough: &Mask, texture: &Texture, edges: &Grid, diameter: f32) -> Mask {
    const LEVELS: usize = 512;
    let (width, height) = (rough.width, rough.height);
    let core = sure_mask(rough, texture, diameter);
    let scale = (LEVELS - 1) as f32 / edges.quantile(0.999).max(1e-6).sqrt();
    let level = |at: usize| ((edges.values[at].sqrt() * scale) as usize).min(LEVELS - 1);
    // 0 not reached, 1 outside, 2 inside
    let mut side: Vec<u8> =
        rough.inside.iter().zip(&core.inside).map(|(&rough, &core)| if core { 2 } else { u8::from(!rough) }).collect();
    let mut queues: Vec<Vec<u32>> = vec![Vec::new(); LEVELS];
    for at in 0..side.len() {
        if side[at] != 0 && neighbours(at, width, height, false).any(|next| side[next] == 0) {
            queues[level(at)].push(at as u32);
        }
    }
    let mut current = 0;
    while current < LEVELS {
        let Some(at) = queues[current].pop() else {
            current += 1;
            continue;
        };
        let at = at as usize;
        for next in neighbours(at, width, height, false) {
            if side[next] == 0 {
                side[next] = side[at];
                let to = level(next).max(current);
                queues[to].push(next as u32);
            }
        }
    }
    let inside: Vec<bool> = side.iter().map(|&s| s == 2).collect();
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    Mask { width, height, inside }
        .filled((HOLE_SHARE * area) as usize)
        .opened(1.0)
        .without_specks((SMALLEST_SHARE * area).max(6.0) as usize)
}

/// One label per cell: hills of thickness.
fn split_cells(mask: &Mask, diameter: f32) -> Labels {
    let distance = mask.squared_distance();
    let thickness = Grid {
        width: mask.width,
        height: mask.height,
        values: distance.iter().map(|d| (d.sqrt() / (0.5 * diameter)).min(1.5)).collect(),
    };
    let landscape = thickness.smoothed(diameter / 20.0);
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    split::split(mask, &landscape, PROMINENCE, (SMALLEST_SHARE * area) as usize)
}
