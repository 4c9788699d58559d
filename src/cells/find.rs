//! From a corrected frame to its cells.

use super::body::Body;
use super::crop::Cutter;
use super::maps::Maps;
use super::mask::{Labels, Mask, Window};
use super::segment::Segmented;
use super::working::{View, WorkingPicture};
use super::{
    Cell, DetectSettings, FoundCells, FrameVerdict, maps, outline, protrusion, relief, scattering, segment, shape,
    verdict,
};
use crate::frame::CorrectedFrame;
use crate::units::PointPx;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

/// Finds and outlines the cells of one frame, measures their shape and cuts their crops.
///
/// Deterministic, bounded in time and memory by the number of pixels, never panics. When the verdict is not
/// [`FrameVerdict::Usable`], there are no cells: what cannot be believed is not reported.
pub fn find(frame: &CorrectedFrame, settings: &DetectSettings) -> FoundCells {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let diameter_px = settings.pixel_size.px_from_um(settings.cell_diameter_um);
    describe_all(frame, settings, &segment::segment(&frame.relative, width, height, diameter_px))
}

/// The picture that a finder's network is to look at.
pub fn working_picture(frame: &CorrectedFrame, settings: &DetectSettings, view: View) -> WorkingPicture {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let diameter_px = settings.pixel_size.px_from_um(settings.cell_diameter_um);
    WorkingPicture::of(&frame.relative, width, height, diameter_px, view)
}

/// A frame that the network doubts is looked at again as if cells were so much as wide as the hint says: most of what a hint
/// up to twice too large costs is won back, and brightfield, which at half the hint may look familiar, stays refused.
const SECOND_LOOK: f64 = 0.7;

/// As [`find`], by a finder's network that sees by `view`; `maps_of` asks it.
///
/// In cells that are much smaller than the hint says, a network sees no middles and is in doubt as it is about another kind of
/// picture. So a frame that it doubts is looked at once more, with a smaller hint, before it is refused.
///
/// # Errors
/// What `maps_of` gives.
pub fn find_by_network<E>(
    frame: &CorrectedFrame,
    settings: &DetectSettings,
    view: View,
    maps_of: impl Fn(&WorkingPicture) -> Result<Maps, E>,
) -> Result<FoundCells, E> {
    let look = |settings: &DetectSettings| {
        let picture = working_picture(frame, settings, view);
        maps_of(&picture).map(|maps| (picture, maps))
    };
    let (mut picture, mut maps) = look(settings)?;
    if maps.is_in_doubt() {
        let cell_diameter_um = SECOND_LOOK * settings.cell_diameter_um;
        let second = look(&DetectSettings { cell_diameter_um, ..*settings })?;
        if !second.1.is_in_doubt() {
            tracing::debug!(cell_diameter_um, "cells are smaller than the hint says");
            (picture, maps) = second;
        }
    }
    Ok(find_in_maps(frame, settings, &picture, &maps))
}

/// As [`find`], from what the finder's network said of the frame's [`working_picture`]. Maps that do not belong to it give
/// no cells and the verdict [`FrameVerdict::WrongKind`].
pub fn find_in_maps(
    frame: &CorrectedFrame,
    settings: &DetectSettings,
    picture: &WorkingPicture,
    maps: &Maps,
) -> FoundCells {
    match maps::segment(picture, maps) {
        Some(segmented) => describe_all(frame, settings, &segmented),
        None => FoundCells { verdict: FrameVerdict::WrongKind, cells: Vec::new() },
    }
}

fn describe_all(frame: &CorrectedFrame, settings: &DetectSettings, segmented: &Segmented) -> FoundCells {
    let verdict = verdict::judge(frame, segmented);
    if verdict != FrameVerdict::Usable {
        return FoundCells { verdict, cells: Vec::new() };
    }
    let windows = segmented.labels.windows();
    if windows.len() > settings.max_cells {
        return FoundCells { verdict: FrameVerdict::TooDense, cells: Vec::new() };
    }
    let cutter = Cutter::new(settings.pixel_size);
    let noise = scattering::noise(frame, settings.pixel_size);
    let at = Place { frame, noise, scale: segmented.scale, settings, inside: segmented.inside.as_deref() };
    // One cell's numbers do not depend on another's: on an idle machine a frame is measured by all cores.
    let described = windows.par_iter().filter_map(|cell| at.describe(cell, &segmented.labels, &cutter));
    let (mut cells, sides): (Vec<Cell>, Vec<Option<[f64; 2]>>) = described.unzip();
    let sides: Vec<[f64; 2]> = sides.into_iter().flatten().collect();
    let agreement = relief::agreement(&sides);
    let median_area_um2 = verdict::median_area_um2(&cells);
    tracing::debug!(cells = cells.len(), agreement, median_area_um2, "which side is brighter, and how large cells are");
    if relief::is_relief(&sides) || verdict::are_too_small(cells.len(), median_area_um2) {
        return FoundCells { verdict: FrameVerdict::WrongKind, cells: Vec::new() };
    }
    cells.sort_by(|a, b| a.centroid.y.total_cmp(&b.centroid.y).then(a.centroid.x.total_cmp(&b.centroid.x)));
    let verdict = if cells.is_empty() { FrameVerdict::Empty } else { FrameVerdict::Usable };
    FoundCells { verdict, cells }
}

/// Outline, shape and light of the largest connected part of a mask that somebody else made, its holes filled; `None` when
/// there is nothing in it.
///
/// `inside`: `[height, width]` of the frame.
pub fn measured(frame: &CorrectedFrame, inside: &[bool], settings: &DetectSettings) -> Option<Cell> {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    if inside.len() != width * height {
        return None;
    }
    let labels = Mask { width, height, inside: inside.to_vec() }.filled(width * height).parts();
    let windows = labels.windows();
    let largest = windows.iter().max_by_key(|window| window.area)?;
    let noise = scattering::noise(frame, settings.pixel_size);
    let at = Place { frame, noise, scale: 1.0, settings, inside: None };
    at.describe(largest, &labels, &Cutter::new(settings.pixel_size)).map(|(cell, _)| cell)
}

/// What all cells of a frame share.
struct Place<'a> {
    frame: &'a CorrectedFrame,
    /// Noise of the frame's empty ground.
    noise: f32,
    /// Working pixels are this many frame pixels wide.
    scale: f64,
    settings: &'a DetectSettings,
    /// `[height, width]` of the working picture: the finder's logit of the inside.
    inside: Option<&'a [f32]>,
}

impl Place<'_> {
    /// One label's outline, shape and crop, and its [brighter side](relief::brighter_side).
    fn describe(&self, cell: &Window, labels: &Labels, cutter: &Cutter) -> Option<(Cell, Option<[f64; 2]>)> {
        let inside = |x: i64, y: i64| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
            x < labels.width && labels.label.get(y * labels.width + x) == Some(&cell.label)
        };
        let start = (cell.first.0 as i64, cell.first.1 as i64);
        let ends = |from: (i64, i64), to: (i64, i64)| self.rim(labels, from, to);
        let outline = outline::trace(start, 8 * cell.area + 8, inside, ends);
        let outline: Vec<PointPx> = outline.into_iter().map(|p| self.in_frame(p)).collect();
        let measured = shape::measure(&outline)?;
        let mut shape = measured.in_um(self.settings.pixel_size);
        let light = (self.settings.pixel_size, self.noise);
        let foreign = |x: usize, y: usize| {
            let working = |at: usize| ((at as f64 + 0.5) / self.scale) as usize;
            let at = working(y).min(labels.height - 1) * labels.width + working(x).min(labels.width - 1);
            labels.label.get(at).is_some_and(|label| *label != 0 && *label != cell.label)
        };
        let frame_px = (self.frame.raw.width_px(), self.frame.raw.height_px());
        let mut brighter_side = None;
        if let Some(body) = Body::of(&outline, frame_px) {
            brighter_side = relief::brighter_side(self.frame, &body);
            let arms = protrusion::of_body(self.frame, &body, light, foreign);
            shape.protrusion_count = arms.count;
            shape.protrusion_total_um = arms.total_um;
            shape.protrusion_longest_um = arms.longest_um;
            shape.scattering = scattering::of_body(self.frame, &body, light);
        }
        let touches_border =
            cell.left == 0 || cell.top == 0 || cell.right + 1 >= labels.width || cell.bottom + 1 >= labels.height;
        let crop = cutter.cut(&self.frame.raw, measured.centroid);
        Some((Cell { centroid: measured.centroid, outline, shape, touches_border, crop }, brighter_side))
    }

    /// Where between the pixel `from` inside a cell and its neighbour `to` the cell ends: where the finder's map says so, half
    /// way where another cell begins, where the frame ends, or without such a map.
    fn rim(&self, labels: &Labels, from: (i64, i64), to: (i64, i64)) -> f64 {
        let at = |(x, y): (i64, i64)| {
            let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
            (x < labels.width && y < labels.height).then_some(y * labels.width + x)
        };
        let logit = |place| self.inside.and_then(|map| map.get(place?)).copied();
        let is_free = at(to).and_then(|at| labels.label.get(at)) == Some(&0);
        match (logit(at(from)), logit(at(to))) {
            (Some(inner), Some(outer)) if is_free && inner > 0.0 && outer < 0.0 => {
                f64::from(inner / (inner - outer)).clamp(0.05, 0.95)
            }
            _ => 0.5,
        }
    }

    /// A point of the working picture in frame pixels.
    fn in_frame(&self, point: PointPx) -> PointPx {
        PointPx { x: (point.x + 0.5) * self.scale - 0.5, y: (point.y + 0.5) * self.scale - 0.5 }
    }
}

#[cfg(test)]
mod tests;
