//! Stage jumps: the shift that all cells of a field of view share.

use super::link::{LinkSettings, Observation};
use crate::units::PointPx;
use std::collections::BTreeMap;

/// Fewer cells than this cannot tell a jump from cells that moved.
const FEWEST_CELLS: usize = 4;
/// A jump must explain at least this share of the cells ...
const EXPLAINED_SHARE: f64 = 0.6;
/// ... and this many times as many as no jump at all.
const BETTER_THAN_REST: f64 = 1.5;
/// Two places are the same within this share of the gate.
const TOLERANCE_SHARE: f64 = 0.25;
/// With more pairs than this, only the nearest half of the field is asked; bounds the time in a crowd.
const MOST_CELLS: usize = 300;

/// The shift, px, that brings the expected places onto the cells; zero when the stage stood still or nothing can be said.
pub(super) fn shift(expected: &[PointPx], cells: &[Observation], settings: &LinkSettings) -> PointPx {
    let none = PointPx::default();
    let fewest = expected.len().min(cells.len());
    if fewest < FEWEST_CELLS || settings.stage_jump_um <= 0.0 {
        return none;
    }
    let expected: Vec<PointPx> = thinned(expected).collect();
    let places: Vec<PointPx> = thinned(cells).map(|cell| cell.centroid).collect();
    let tolerance = (settings.pixel_size.px_from_um(settings.gate_um) * TOLERANCE_SHARE).max(1.0);
    let furthest = settings.pixel_size.px_from_um(settings.stage_jump_um);
    let mut votes: BTreeMap<(i64, i64), Vec<PointPx>> = BTreeMap::new();
    for from in &expected {
        for to in &places {
            let moved = PointPx { x: to.x - from.x, y: to.y - from.y };
            if moved.distance_px(none) <= furthest {
                votes.entry(bin(moved, tolerance)).or_default().push(moved);
            }
        }
    }
    let support = |(x, y): (i64, i64)| -> Vec<PointPx> {
        let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (x + dx, y + dy)));
        around.filter_map(|key| votes.get(&key)).flatten().copied().collect()
    };
    let standing = support((0, 0)).len() as f64;
    let best = votes.keys().map(|&key| support(key)).max_by_key(Vec::len).unwrap_or_default();
    let found = best.len() as f64;
    let explains = found >= EXPLAINED_SHARE * expected.len().min(places.len()) as f64;
    if explains && found >= BETTER_THAN_REST * standing && best.len() >= FEWEST_CELLS {
        PointPx { x: middle(best.iter().map(|p| p.x)), y: middle(best.iter().map(|p| p.y)) }
    } else {
        none
    }
}

/// At most about [`MOST_CELLS`] of the items, evenly picked.
fn thinned<T: Copy>(items: &[T]) -> impl Iterator<Item = T> {
    items.iter().copied().step_by(items.len().div_ceil(MOST_CELLS).max(1))
}

fn bin(moved: PointPx, side: f64) -> (i64, i64) {
    ((moved.x / side).round() as i64, (moved.y / side).round() as i64)
}

/// The upper median.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
