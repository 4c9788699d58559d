//! What the finder's network says of a working picture, and the cells that are read from it.
//!
//! Two maps: how likely a pixel is inside a cell, and how deep it lies in its cell (0 on the rim, 1 a few pixels further in
//! and in every cell's middle, so that there is a valley between any two cells). A cell is a hill of the second inside the mask of the first.

use super::blur::{Finest, without_blurred};
use super::busy::{Place, apart};
use super::grid::{Grid, View};
use super::mask::{Labels, Mask};
use super::rays::{self, RayMaps};
use super::segment::{Segmented, area_px, unparted};
use super::sheet::join_sheets;
use super::split::split;
use super::verdict;
use super::working::WorkingPicture;

/// Inside is what is more likely inside than outside.
const INSIDE_LOGIT: f32 = 0.0;
/// The shipped network is shy at rims: where it gives one half, outlines run some tenths of a um inside the true ones. Its cells end at
/// this logit (0.31 instead of 0.5). Against -0.4, finder alone, U373, T98G, deepcell and `LIVECell` gain 0.002 to 0.014 of their first measure;
/// the boxes of MDA-MB-231 lose 0.012, PSC 0.003 and 0.04 of SEG.
const SHIPPED_RIM_LOGIT: f32 = -0.8;
/// A hill that rises less than this above the pass to its neighbour is part of it; depths are 0..1.
const PROMINENCE: f32 = 0.15;
/// Smoothing of the depth before hills are counted, px.
const SMOOTHING_PX: f32 = 1.6;
/// Smoothing looks no further than this, px.
const MARGIN_PX: usize = 5;
/// A cell's deepest point is believed to lie at least this deep; what the network half believes on empty ground stays below.
const SHALLOWEST: f32 = 0.5;
/// Cells smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f32 = 0.25;
/// Holes up to this share of the hinted cell's area belong to the cell around them.
const HOLE_SHARE: f32 = 0.25;
/// Hills smaller than this share of the hinted cell's area are part of their neighbour.
const HILL_SHARE: f32 = 0.06;

/// What is larger than this many hinted cells may be several.
const LONE_SHARE: f32 = 2.0;
/// So far beyond the cells of a crowd the network is asked again, px.
const CROWD_MARGIN_PX: usize = 6;

/// Depth rises over this many working px from a cell's rim; a narrower cell's middle counts as deep too.
#[cfg(any(test, feature = "learn"))]
const RIM_PX: f32 = 6.0;

/// The network's two maps of a working picture.
#[derive(Debug, Clone, PartialEq)]
pub struct CellMaps {
    /// `[height, width]` of the working picture: logit that the pixel is inside a cell.
    pub inside: Vec<f32>,
    /// `[height, width]`: logit of the depth in its cell.
    pub depth: Vec<f32>,
    /// Whether doubt says that the picture shows something else than the network knows: the shipped one's does.
    pub tells_kinds: bool,
}

/// What a network said of a working picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Maps {
    /// Inside and depth.
    Depth(CellMaps),
    /// Polygons.
    Rays(RayMaps),
}

impl Maps {
    /// Whether the network is so unsure of cells' middles that it looks at something that it does not know.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Depth(maps) => sureness(maps).is_some_and(verdict::is_doubt),
            Self::Rays(_) => false,
        }
    }
}

/// The cells in the maps of `picture`; `None` when the maps are of another size or not finite.
pub(super) fn segment(picture: &WorkingPicture, maps: &Maps) -> Option<Segmented> {
    match maps {
        Maps::Depth(maps) => hills(picture, maps),
        Maps::Rays(maps) => rays::segment(picture, maps),
    }
}

fn hills(picture: &WorkingPicture, maps: &CellMaps) -> Option<Segmented> {
    let (width, height) = (picture.width, picture.height);
    let fits = |map: &[f32]| map.len() == width * height && map.iter().all(|value| value.is_finite());
    if !fits(&maps.inside) || !fits(&maps.depth) {
        return None;
    }
    let area = area_px(picture.diameter_px as f32);
    let rim = if maps.tells_kinds { SHIPPED_RIM_LOGIT } else { 0.0 };
    let inside = Grid { width, height, values: maps.inside.iter().map(|logit| logit - rim).collect() };
    let mask = Mask::above(&inside, INSIDE_LOGIT).filled((HOLE_SHARE * area) as usize);
    let parts = mask.parts();
    let mut labels = Labels { label: vec![0; parts.label.len()], count: 0, ..parts };
    let mut finest = Finest::default();
    let mut crowds = Vec::new();
    // Part by part: most of a frame is empty, and what happens in one part does not depend on the others, but for how fine it is.
    for window in parts.windows().into_iter().filter(|window| window.area >= smallest_px(area)) {
        let view = window.with_margin(MARGIN_PX, width, height);
        let own = parts.one(window.label, &view);
        let logits = view.rows(width).flat_map(|row| maps.depth.get(row).unwrap_or_default());
        let values = logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        let depth = Grid { width: view.width(), height: view.height(), values }.smoothed(SMOOTHING_PX);
        let hills = split(&own, &depth, PROMINENCE, (HILL_SHARE * area) as usize).largest_parts();
        let believable = believable(&hills, &depth, area);
        // The shipped network's picture has a contrast of its own, to which fine structure is held.
        let sharp = if maps.tells_kinds {
            without_blurred(&believable, picture, &view, labels.count, &mut finest)
        } else {
            believable
        };
        let is_crowd = sharp.windows().len() > 1 || window.area as f32 > LONE_SHARE * area;
        if is_crowd && maps.tells_kinds {
            let View { left, top, right, bottom } = window.with_margin(CROWD_MARGIN_PX, width, height);
            crowds.push(Place { left, top, right, bottom });
        }
        labels.add(&view, &sharp);
    }
    let blurred = finest.blurred();
    if !blurred.is_empty() {
        labels.label.iter_mut().filter(|label| blurred.contains(label)).for_each(|label| *label = 0);
    }
    if maps.tells_kinds {
        join_sheets(&mut labels, picture, area);
    }
    let unparted = unparted(mask.area(), &labels, area);
    Some(Segmented {
        scale: picture.scale,
        labels,
        unparted,
        covered: mask.share(),
        crowds: apart(crowds.into_iter()),
        sureness: sureness(maps),
        inside: Some(inside.values),
    })
}

/// How sure the network is of cells' middles, 0..=1: the depth that a twentieth of the inside exceeds. `None` when it sees
/// no inside, or its doubt says nothing.
fn sureness(maps: &CellMaps) -> Option<f64> {
    let inside = maps.inside.iter().zip(&maps.depth).filter(|(inside, _)| **inside > INSIDE_LOGIT);
    let mut depths: Vec<f32> = inside.map(|(_, depth)| *depth).collect();
    let at = depths.len() * 19 / 20;
    if depths.is_empty() || !maps.tells_kinds {
        return None;
    }
    let (_, deep, _) = depths.select_nth_unstable_by(at, f32::total_cmp);
    Some(f64::from(1.0 / (1.0 + (-*deep).exp())))
}

/// Cells are at least this large, px.
fn smallest_px(area: f32) -> usize {
    (SMALLEST_SHARE * area) as usize
}

/// Without the hills that are too small or too flat to be cells.
#[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the tables hold count + 1")]
fn believable(hills: &Labels, depth: &Grid, area: f32) -> Labels {
    let areas = hills.areas();
    let mut top = vec![0.0_f32; areas.len()];
    for (&label, &depth) in hills.label.iter().zip(&depth.values) {
        top[label as usize] = top[label as usize].max(depth);
    }
    let smallest = smallest_px(area);
    let good: Vec<bool> = top.iter().zip(&areas).map(|(&top, &area)| top >= SHALLOWEST && area >= smallest).collect();
    let label = hills.label.iter().map(|&label| if good[label as usize] { label } else { 0 }).collect();
    Labels { label, ..*hills }
}

/// The depth that the network is trained to give for a pixel `distance` px inside its cell's rim, in a cell whose middle
/// lies `largest` px inside: 0 on the rim, 1 from [`RIM_PX`] on, and in the middle of every cell, however narrow.
#[cfg(any(test, feature = "learn"))]
pub(crate) fn depth(distance: f32, largest: f32) -> f32 {
    (distance / largest.clamp(1.0, RIM_PX)).min(1.0)
}

/// For every pixel of `labels` (`[height, width]`, 0 for none) the distance to the rim of its cell, px, and the largest
/// such distance in that cell; 0 outside cells. The frame's edge is no rim.
#[cfg(any(test, feature = "learn"))]
#[expect(clippy::indexing_slicing, reason = "windows lie inside the picture")]
pub(crate) fn distances(labels: &[u16], width: usize, height: usize) -> (Vec<f32>, Vec<f32>) {
    let count = labels.iter().copied().max().map_or(0, u32::from);
    let labels = Labels { width, height, label: labels.iter().map(|&label| u32::from(label)).collect(), count };
    let (mut to_rim, mut largest) = (vec![0.0_f32; width * height], vec![0.0_f32; width * height]);
    for window in labels.windows() {
        let (left, top) = (window.left.saturating_sub(1), window.top.saturating_sub(1));
        let (right, bottom) = ((window.right + 2).min(width), (window.bottom + 2).min(height));
        let rows = || (top..bottom).map(|y| y * width + left..y * width + right);
        let own = Mask {
            width: right - left,
            height: bottom - top,
            inside: rows().flat_map(|row| labels.label[row].iter().map(|label| *label == window.label)).collect(),
        };
        let distance = own.squared_distance();
        let most = distance.iter().fold(0.0_f32, |a, &b| a.max(b)).sqrt();
        for (row, distance) in rows().zip(distance.chunks_exact(own.width)) {
            for (at, distance) in row.zip(distance).filter(|(_, distance)| **distance > 0.0) {
                (to_rim[at], largest[at]) = (distance.sqrt(), most);
            }
        }
    }
    (to_rim, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three discs, two of them touching.
    fn discs() -> (usize, usize, Vec<u16>) {
        let (width, height) = (120, 60);
        let centres = [(25.0, 30.0), (46.0, 30.0), (90.0, 25.0)];
        let label = |i: usize| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let near = centres.iter().zip(1..).map(|(c, n)| ((x - c.0).hypot(y - c.1), n));
            near.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(far, _)| *far < 11.5).map_or(0, |(_, n)| n)
        };
        (width, height, (0..width * height).map(label).collect())
    }

    #[test]
    fn cells_are_read_back_from_the_maps_that_are_wanted_for_them() {
        let (width, height, labels) = discs();
        let (to_rim, largest) = distances(&labels, width, height);
        let depth: Vec<f32> = to_rim.iter().zip(&largest).map(|(d, most)| depth(*d, *most)).collect();
        let inside: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(*label > 0))).collect();
        assert!(depth.iter().all(|d| (0.0..=1.0).contains(d)) && depth.iter().any(|d| *d > 0.99));
        let logit =
            |map: &[f32]| map.iter().map(|v| (v.clamp(0.01, 0.99) / (1.0 - v.clamp(0.01, 0.99))).ln()).collect();
        let maps = CellMaps { inside: logit(&inside), depth: logit(&depth), tells_kinds: true };
        // The light of cells whose rims are sharp.
        let values = inside.iter().map(|inside| 2.0 * inside).collect();
        let picture = WorkingPicture { width, height, values, scale: 2.0, diameter_px: 24.0, contrast: 1.0 };
        let found = hills(&picture, &maps).unwrap();
        assert_eq!(found.labels.windows().len(), 3);
        // The two that touch are a crowd, the third is alone.
        let [Place { left, top, right, bottom }] = found.crowds[..] else { panic!("{:?}", found.crowds) };
        assert!((left..right).contains(&13) && (left..right).contains(&58) && !(left..right).contains(&79));
        assert!(top < 18 && bottom > 42, "{:?}", found.crowds);
        assert!(found.sureness.is_some_and(|sureness| (0.9..=1.0).contains(&sureness)), "{:?}", found.sureness);
        assert!(
            hills(&picture, &CellMaps { tells_kinds: false, ..maps }).is_some_and(|found| found.sureness.is_none())
        );
        let same = found.labels.label.iter().zip(&labels).filter(|(a, b)| (**a > 0) == (**b > 0)).count();
        assert_eq!(same, width * height);
        let (a, b) = (found.labels.label[30 * width + 25], found.labels.label[30 * width + 46]);
        assert_ne!(a, b);
    }

    #[test]
    fn a_layer_without_gaps_is_unparted_only_where_it_could_not_be_parted() {
        let side = 192;
        // Square cells, 24 px wide, wall to wall: what is wanted of them, and the same without seams.
        let wall = |i: usize| (i % 24).min(23 - i % 24) as f32;
        let parted = (0..side * side).map(|i| depth(wall(i % side).min(wall(i / side)), 12.0) * 8.0 - 4.0).collect();
        let values =
            (0..side * side).map(|i| if (i / side + i % side).is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        let picture =
            WorkingPicture { width: side, height: side, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 };
        let found = |depth: Vec<f32>| {
            hills(&picture, &CellMaps { inside: vec![4.0; side * side], depth, tells_kinds: true }).unwrap()
        };
        let cells = found(parted);
        assert_eq!((cells.labels.windows().len(), cells.unparted), (64, 0.0));
        let layer = found(vec![4.0; side * side]);
        assert!(layer.unparted > 0.99, "{}", layer.unparted);
    }

    #[test]
    fn maps_of_another_size_or_not_finite_are_refused() {
        let picture =
            WorkingPicture { width: 2, height: 2, values: vec![0.0; 4], scale: 1.0, diameter_px: 24.0, contrast: 1.0 };
        let maps = |inside: Vec<f32>| CellMaps { inside, depth: vec![0.0; 4], tells_kinds: true };
        assert!(hills(&picture, &maps(vec![0.0; 3])).is_none());
        assert!(hills(&picture, &maps(vec![f32::NAN; 4])).is_none());
        assert!(hills(&picture, &maps(vec![-9.0; 4])).is_some_and(|found| found.labels.windows().is_empty()));
    }
}
