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
/// Texture this many times that of the empty substrate is cell ...
const TEXTURE_LOW: f32 = 2.2;
/// ... when somewhere in the part it is this many times as strong.
const TEXTURE_HIGH: f32 = 5.0;
/// Texture below this is never cell: change of relative light per working pixel.
const TEXTURE_FLOOR: f32 = 0.004;
/// Parts smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f32 = 0.15;
/// Holes smaller than this share of the hinted cell's area are filled.
const HOLE_SHARE: f32 = 0.5;

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
    let rough = rough_mask(&edges, diameter);
    let covered = rough.area() as f64 / rough.inside.len().max(1) as f64;
    let exact = to_membrane(&rough, &edges, diameter);
    let labels = split_cells(&exact, &light, diameter);
    Segmented { factor, labels, covered }
}

/// Where the texture stands out from the frame's empty substrate.
fn rough_mask(edges: &Grid, diameter: f32) -> Mask {
    let sigma = (TEXTURE_SHARE * diameter).max(1.0);
    let texture = edges.map(|v| v * v).smoothed(sigma).map(f32::sqrt);
    let substrate = texture.quantile(0.25);
    let low = (TEXTURE_LOW * substrate).max(TEXTURE_FLOOR);
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    let wide = Mask::above(&texture, low).closed(diameter / 16.0).filled((HOLE_SHARE * area) as usize);
    let strong = Mask::above(&texture, low * TEXTURE_HIGH / TEXTURE_LOW);
    keep_marked(&wide, &strong).opened(diameter / 24.0).without_specks((SMALLEST_SHARE * area).max(6.0) as usize)
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
fn to_membrane(rough: &Mask, edges: &Grid, diameter: f32) -> Mask {
    const LEVELS: usize = 512;
    let (width, height) = (rough.width, rough.height);
    let sigma = (TEXTURE_SHARE * diameter).max(1.0);
    let core = rough.narrowed(2.0 * sigma + 1.0);
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

/// One label per cell: hills of thickness, with dark bodies adding to the height.
fn split_cells(mask: &Mask, light: &Grid, diameter: f32) -> Labels {
    let distance = mask.squared_distance();
    let thickness = Grid {
        width: mask.width,
        height: mask.height,
        values: distance.iter().map(|d| (d.sqrt() / (0.5 * diameter)).min(1.5)).collect(),
    };
    let body = light.smoothed(diameter / 10.0).map(|v| (1.0 - v).clamp(-0.3, 0.3));
    let landscape = thickness.smoothed(diameter / 20.0).zip(&body, |t, b| t + 0.0 * b);
    let area = diameter * diameter * std::f32::consts::FRAC_PI_4;
    split::split(mask, &landscape, 0.25, (SMALLEST_SHARE * area) as usize)
}
