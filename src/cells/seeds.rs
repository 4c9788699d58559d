//! One seed a cell: pixels that are surely inside it, and in no other.

use super::mask::{Labels, Mask};
use super::segment::area_px;
use super::split;
use super::texture::Texture;

/// The wider neighbourhood of a place, share of the diameter.
const AROUND_SHARE: f32 = 0.12;
/// Texture that is surely inside is at least this share of that of its wider neighbourhood: the blur of an edge is not.
const NEAR_OVER_AROUND: f32 = 0.7;
/// Gaps up to this share of the diameter are closed.
const GAP_SHARE: f32 = 0.06;
/// What is surely inside keeps this many blur widths away from where the texture ends.
const INSET: f32 = 2.0;
/// A cell's thickness rises at least this far above the neck to its neighbour, in radii of the hinted cell.
const PROMINENCE: f32 = 0.15;
/// Thicker than this many radii counts no more.
const THICKEST: f32 = 1.5;
/// A seed smaller than this share of the hinted cell's area belongs to a neighbour, if it has one.
const SMALLEST_SHARE: f32 = 0.1;
/// Bays of one seed up to this share of the diameter are closed: thin lamellae between a cell's body and its rim.
const BAY_SHARE: f32 = 0.2;

/// What lies further than this from a part of the rough mask has no say in its seeds, px.
pub(super) fn margin_px(diameter: f32) -> usize {
    // Smoothing looks 2.5 widths far; every other step looks less far.
    (2.5 * (AROUND_SHARE * diameter).max(3.0)).ceil() as usize + 3
}

/// The seeds inside the rough mask.
pub(super) fn seeds(rough: &Mask, texture: &Texture, diameter: f32) -> Labels {
    let sure = sure_mask(rough, texture, diameter);
    let radius = 0.5 * diameter;
    let thickness = sure.distance().map(|px| (px / radius).min(THICKEST)).smoothed(0.05 * diameter);
    let smallest = (SMALLEST_SHARE * area_px(diameter)) as usize;
    let split = split::split(&sure, &thickness, PROMINENCE, smallest);
    let mut seeds = without_crumbs(&split, &rough.parts(), smallest);
    close_bays(&mut seeds, rough, BAY_SHARE * diameter);
    seeds
}

/// Texture that stands out from the substrate and from its own neighbourhood, with a margin.
fn sure_mask(rough: &Mask, texture: &Texture, diameter: f32) -> Mask {
    let around = texture.near.map(|v| v * v).smoothed((AROUND_SHARE * diameter).max(3.0));
    let share = NEAR_OVER_AROUND * NEAR_OVER_AROUND;
    let stands_out = texture.near.zip(&around, |near, around| if near * near > share * around { near } else { 0.0 });
    let sure = Mask::above(&stands_out, texture.low).closed(GAP_SHARE * diameter).filled(area_px(diameter) as usize);
    let mut sure = sure.narrowed(INSET * texture.sigma + 0.5);
    for (inside, rough) in sure.inside.iter_mut().zip(&rough.inside) {
        *inside &= rough;
    }
    sure.closed(GAP_SHARE * diameter)
}

/// Without seeds below `smallest` px, except the largest of each part of the rough mask.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the tables hold count + 1")]
fn without_crumbs(seeds: &Labels, parts: &Labels, smallest: usize) -> Labels {
    let areas = seeds.areas();
    let mut largest = vec![0_usize; parts.count as usize + 1];
    let pairs = || seeds.label.iter().zip(&parts.label).filter(|(seed, _)| **seed > 0);
    for (&seed, &part) in pairs() {
        largest[part as usize] = largest[part as usize].max(areas[seed as usize]);
    }
    let mut keep = vec![false; areas.len()];
    for (&seed, &part) in pairs() {
        let area = areas[seed as usize];
        keep[seed as usize] |= area >= smallest || area >= largest[part as usize];
    }
    let label = seeds.label.iter().map(|&label| if keep[label as usize] { label } else { 0 }).collect();
    Labels { label, ..*seeds }
}

/// Closes the bays and holes of every seed by itself, so that no seed grows together with its neighbour.
#[expect(clippy::indexing_slicing, reason = "windows are clamped to the grid")]
fn close_bays(seeds: &mut Labels, rough: &Mask, radius: f32) {
    let pad = radius.ceil() as usize + 2;
    let (width, height) = (seeds.width, seeds.height);
    for window in seeds.windows() {
        let (left, top) = (window.left.saturating_sub(pad), window.top.saturating_sub(pad));
        let (right, bottom) = ((window.right + pad).min(width - 1), (window.bottom + pad).min(height - 1));
        let line = |y: usize| y * width + left..=y * width + right;
        let inside = (top..=bottom).flat_map(|y| seeds.label[line(y)].iter().map(|&l| l == window.label)).collect();
        let own = Mask { width: right + 1 - left, height: bottom + 1 - top, inside };
        let closed = own.closed(radius).filled(usize::MAX);
        for (y, row) in (top..=bottom).zip(closed.inside.chunks_exact(closed.width)) {
            let free = seeds.label[line(y)].iter_mut().zip(&rough.inside[line(y)]).zip(row);
            for ((label, _), _) in free.filter(|((label, rough), closed)| **label == 0 && **rough && **closed) {
                *label = window.label;
            }
        }
    }
}
