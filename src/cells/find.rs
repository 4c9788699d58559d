//! From a corrected frame to its cells.

use super::body::Body;
use super::busy::Place as Busy;
use super::close_up::{self, CloseUp, CloseUps};
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
use std::convert::Infallible;

/// Finds and outlines the cells of one frame, measures their shape and cuts their crops.
///
/// Deterministic, bounded in time and memory by the number of pixels, never panics. When the verdict is not
/// [`FrameVerdict::Usable`], there are no cells: what cannot be believed is not reported.
pub fn find(frame: &CorrectedFrame, settings: &DetectSettings) -> FoundCells {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let diameter_px = settings.pixel_size.px_from_um(settings.cell_diameter_um);
    let segmented = segment::segment(&frame.relative, width, height, diameter_px);
    let Ok(found) = describe_all::<NoSight>(frame, settings, &segmented, None);
    found
}

/// The networks that see a frame's cells, as the stage that runs networks has them.
pub trait Sight: Sync {
    /// Why a network cannot say.
    type Error: Send;

    /// How cells are to be shown.
    fn view(&self) -> View;

    /// What is said of the whole picture.
    ///
    /// # Errors
    /// When the network cannot run, or what it gives is of no use.
    fn maps(&self, picture: &WorkingPicture) -> Result<Maps, Self::Error>;

    /// `maps` of `picture` with these places looked at anew, mirrored and larger, and all looks taken together.
    ///
    /// # Errors
    /// As [`Sight::maps`].
    fn again(&self, picture: &WorkingPicture, places: &[Busy], maps: &Maps) -> Result<Maps, Self::Error>;

    /// Whether outlines are drawn from close-ups; otherwise they are read from the maps.
    fn draws(&self) -> bool;

    /// The logits that the pixels of a close-up are inside its cell (`[DRAWN, height, width]`).
    ///
    /// # Errors
    /// When the network cannot run, or what it gives is of no use.
    fn draw(&self, close_up: &CloseUp) -> Result<Vec<f32>, Self::Error>;
}

/// The classical chain sees without networks: there is no value of this type.
enum NoSight {}

impl Sight for NoSight {
    type Error = Infallible;

    fn view(&self) -> View {
        match *self {}
    }

    fn maps(&self, _: &WorkingPicture) -> Result<Maps, Infallible> {
        match *self {}
    }

    fn again(&self, _: &WorkingPicture, _: &[Busy], _: &Maps) -> Result<Maps, Infallible> {
        match *self {}
    }

    fn draws(&self) -> bool {
        match *self {}
    }

    fn draw(&self, _: &CloseUp) -> Result<Vec<f32>, Infallible> {
        match *self {}
    }
}

/// The picture that a finder's network is to look at.
pub fn working_picture(frame: &CorrectedFrame, settings: &DetectSettings, view: View) -> WorkingPicture {
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let diameter_px = settings.pixel_size.px_from_um(settings.cell_diameter_um);
    WorkingPicture::of(&frame.relative, width, height, diameter_px, view)
}

/// An outline has no corner that lies nearer than this many working px to the line between its neighbours: below a tenth of a um. Shape
/// and light are measured before such corners are left out.
const CORNER_SHARE: f64 = 0.1;

/// A frame that the network doubts is looked at again as if cells were so much as wide as the hint says: most of what a hint
/// up to twice too large costs is won back, and brightfield, which at half the hint may look familiar, stays refused.
const SECOND_LOOK: f64 = 0.7;
/// ... unless its usual cell there is this many hinted areas large (1.4 to 2.0 were seen under fitting hints): then something else is doubted.
const FITTING: f64 = 1.3;

/// As [`find`], by networks; `seen` hears when they have said where there are cells.
///
/// In cells that are much smaller than the hint says, a network sees no middles and is in doubt as it is about another kind of
/// picture. So a frame that it doubts is looked at once more, with a smaller hint, unless what it found there is as large as the hint says.
///
/// # Errors
/// What the networks give.
pub fn find_by_network<S: Sight>(
    frame: &CorrectedFrame,
    settings: &DetectSettings,
    sight: &S,
    seen: &dyn Fn(),
) -> Result<FoundCells, S::Error> {
    let look = |settings: &DetectSettings| {
        let picture = working_picture(frame, settings, sight.view());
        let maps = sight.maps(&picture);
        seen();
        maps.map(|maps| (picture, maps))
    };
    let (mut picture, mut maps) = look(settings)?;
    if maps.is_in_doubt() && are_small(&picture, &maps) {
        let cell_diameter_um = SECOND_LOOK * settings.cell_diameter_um;
        let second = look(&DetectSettings { cell_diameter_um, ..*settings })?;
        if !second.1.is_in_doubt() {
            tracing::debug!(cell_diameter_um, "cells are smaller than the hint says");
            (picture, maps) = second;
        }
    }
    find_in_maps(frame, settings, (&picture, &maps), sight)
}

/// Whether the usual cell of a look is smaller than under a fitting hint, or there is none.
fn are_small(picture: &WorkingPicture, maps: &Maps) -> bool {
    let Some(found) = maps::segment(picture, maps) else { return false };
    let hinted = std::f64::consts::FRAC_PI_4 * picture.diameter_px * picture.diameter_px;
    (found.labels.usual_area() as f64) < FITTING * hinted
}

/// As [`find`], from what the finder's network said of the frame's [`working_picture`]. Maps that do not belong to it give
/// no cells and the verdict [`FrameVerdict::WrongKind`].
///
/// # Errors
/// What `sight` gives when it draws outlines.
pub fn find_in_maps<S: Sight>(
    frame: &CorrectedFrame,
    settings: &DetectSettings,
    (picture, maps): (&WorkingPicture, &Maps),
    sight: &S,
) -> Result<FoundCells, S::Error> {
    let segmented = segmented(picture, maps, |places| sight.again(picture, places, maps))?;
    match segmented {
        Some(segmented) => describe_all(frame, settings, &segmented, sight.draws().then_some((picture, sight))),
        None => Ok(FoundCells::none(FrameVerdict::WrongKind)),
    }
}

/// The cells in `maps`, of which `again` gives those with some places looked at anew. `None` when the maps do not belong to the picture.
fn segmented<E>(
    picture: &WorkingPicture,
    maps: &Maps,
    again: impl FnOnce(&[Busy]) -> Result<Maps, E>,
) -> Result<Option<Segmented>, E> {
    let Some(first) = maps::segment(picture, maps) else { return Ok(None) };
    if first.crowds.is_empty() {
        return Ok(Some(first));
    }
    let second = maps::segment(picture, &again(&first.crowds)?);
    // What it sees no middles in is told by one look: those of several looks are less deep.
    Ok(second.map(|second| Segmented { sureness: first.sureness, covered: first.covered, ..second }))
}

/// The close-ups of the cells that the finder's maps show, as they are drawn from; `again` as [`Sight::again`].
///
/// # Errors
/// What `again` gives.
#[cfg(any(test, feature = "learn"))]
pub(crate) fn close_ups<E>(
    frame: &CorrectedFrame,
    picture: &WorkingPicture,
    maps: &Maps,
    again: impl FnOnce(&[Busy]) -> Result<Maps, E>,
) -> Result<Vec<CloseUp>, E> {
    let Some(segmented) = segmented(picture, maps, again)? else { return Ok(Vec::new()) };
    let near = CloseUps::new(frame, picture, &segmented);
    Ok(segmented.labels.windows().iter().filter_map(|cell| near.of(cell)).collect())
}

fn describe_all<S: Sight>(
    frame: &CorrectedFrame,
    settings: &DetectSettings,
    segmented: &Segmented,
    near: Option<(&WorkingPicture, &S)>,
) -> Result<FoundCells, S::Error> {
    let verdict = verdict::judge(frame, segmented);
    if verdict != FrameVerdict::Usable {
        return Ok(FoundCells::none(verdict));
    }
    let windows = segmented.labels.windows();
    if windows.len() > settings.max_cells {
        return Ok(FoundCells::none(FrameVerdict::TooDense));
    }
    let near = near.filter(|_| segmented.scale >= close_up::FINER);
    let near = near.map(|(picture, sight)| (CloseUps::new(frame, picture, segmented), sight));
    let drawn = |cell: &Window| -> Result<Option<Rim>, S::Error> {
        let Some((close_ups, sight)) = &near else { return Ok(None) };
        let Some(close_up) = close_ups.of(cell) else { return Ok(None) };
        Ok(close_up.outline(&sight.draw(&close_up)?, segmented.scale))
    };
    let cutter = Cutter::new(settings.pixel_size);
    let noise = scattering::noise(frame, settings.pixel_size);
    let at = Place { frame, noise, scale: segmented.scale, settings, inside: segmented.inside.as_deref() };
    // One cell's numbers do not depend on another's: on an idle machine a frame is measured by all cores.
    let described = windows.par_iter().filter_map(|cell| {
        let rim = drawn(cell).map(|rim| rim.unwrap_or_else(|| at.rim(cell, &segmented.labels)));
        rim.map(|rim| at.describe(rim, cell, &segmented.labels, &cutter)).transpose()
    });
    let described = described.collect::<Result<Vec<(Cell, Option<[f64; 2]>)>, S::Error>>()?;
    let (mut cells, sides): (Vec<Cell>, Vec<Option<[f64; 2]>>) = described.into_iter().unzip();
    let sides: Vec<[f64; 2]> = sides.into_iter().flatten().collect();
    let agreement = relief::agreement(&sides);
    let median_area_um2 = verdict::median_area_um2(&cells);
    tracing::debug!(cells = cells.len(), agreement, median_area_um2, "which side is brighter, and how large cells are");
    if relief::is_relief(&sides) || verdict::are_too_small(cells.len(), median_area_um2) {
        return Ok(FoundCells::none(FrameVerdict::WrongKind));
    }
    cells.sort_by(|a, b| a.centroid.y.total_cmp(&b.centroid.y).then(a.centroid.x.total_cmp(&b.centroid.x)));
    if cells.is_empty() {
        return Ok(FoundCells::none(FrameVerdict::Empty));
    }
    let in_doubt = segmented.sureness.is_some_and(verdict::is_doubt);
    Ok(FoundCells { verdict, in_doubt, cells })
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
    at.describe(at.rim(largest, &labels), largest, &labels, &Cutter::new(settings.pixel_size)).map(|(cell, _)| cell)
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

/// A cell's outline, frame px, and whether it touches the frame's edge.
type Rim = (Vec<PointPx>, bool);

impl Place<'_> {
    /// The rim of a label.
    fn rim(&self, cell: &Window, labels: &Labels) -> Rim {
        let inside = |x: i64, y: i64| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
            x < labels.width && labels.label.get(y * labels.width + x) == Some(&cell.label)
        };
        let start = (cell.first.0 as i64, cell.first.1 as i64);
        let ends = |from: (i64, i64), to: (i64, i64)| self.end(labels, from, to);
        let outline = outline::trace(start, 8 * cell.area + 8, inside, ends);
        let touches_border =
            cell.left == 0 || cell.top == 0 || cell.right + 1 >= labels.width || cell.bottom + 1 >= labels.height;
        (outline.into_iter().map(|p| self.in_frame(p)).collect(), touches_border)
    }

    /// The shape and the crop of one label with this rim, and its [brighter side](relief::brighter_side).
    fn describe(
        &self,
        (outline, touches_border): Rim,
        cell: &Window,
        labels: &Labels,
        cutter: &Cutter,
    ) -> Option<(Cell, Option<[f64; 2]>)> {
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
        let crop = cutter.cut(&self.frame.raw, measured.centroid);
        let outline = outline::simplified(&outline, CORNER_SHARE * self.scale);
        Some((Cell { centroid: measured.centroid, outline, shape, touches_border, crop }, brighter_side))
    }

    /// Where between the pixel `from` inside a cell and its neighbour `to` the cell ends: where the finder's map says so, half
    /// way where another cell begins, where the frame ends, or without such a map.
    fn end(&self, labels: &Labels, from: (i64, i64), to: (i64, i64)) -> f64 {
        let at = |(x, y): (i64, i64)| {
            let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
            (x < labels.width && y < labels.height).then_some(y * labels.width + x)
        };
        let logit = |place| self.inside.and_then(|map| map.get(at(place)?)).copied();
        let is_free = at(to).and_then(|at| labels.label.get(at)) == Some(&0);
        if is_free { outline::end(logit(from), logit(to)) } else { 0.5 }
    }

    /// A point of the working picture in frame pixels.
    fn in_frame(&self, point: PointPx) -> PointPx {
        PointPx { x: (point.x + 0.5) * self.scale - 0.5, y: (point.y + 0.5) * self.scale - 0.5 }
    }
}

#[cfg(test)]
mod tests;
