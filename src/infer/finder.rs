//! The network that finds cells: a working picture in, its two maps out.
//!
//! The shipped network or one of the user's own, in the bioimage.io model format ([`folder`]).
//!
//! Runs in the engine of the scores, one thread a picture ([`pictures`](super::pictures)). Only the
//! [places](crate::cells::busy) where something stands out are looked at, in tiles of bounded size that overlap by more than the
//! network sees.

mod again;
mod contract;
pub mod folder;
mod mirror;
mod tiles;

pub use contract::{Axes, Contract, Meaning, Preprocessing};

use super::outliner::Outliner;
use super::pictures::PictureNetwork;
use super::{InferError, InferSettings, bundle};
use crate::cells::Sight;
use crate::cells::busy::Place;
use crate::cells::close_up::CloseUp;
use crate::cells::maps::{CellMaps, Maps};
use crate::cells::rays::RayMaps;
use crate::cells::working::{Light, View, WorkingPicture};
use mirror::Mirror;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tiles::{Piece, pieces};

/// Where the shipped network lies.
const SHIPPED: &str = "models/cells";
/// The setting for the shipped network, where it is there.
const AUTO: &str = "auto";
/// The setting for the classical chain.
const NONE: &str = "none";
/// How many pixels apart the places of an output may be.
const STEPS: [usize; 3] = [1, 2, 4];
/// Logit of what was not looked at.
const OUTSIDE: f32 = -9.0;

/// `[detect]`: how cells are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FindSettings {
    /// `auto` (the shipped network when it is there, the classical chain otherwise), `none` (the classical chain), or the
    /// folder of a network in the bioimage.io model format.
    pub model: PathBuf,
}

impl Default for FindSettings {
    fn default() -> Self {
        Self { model: PathBuf::from(AUTO) }
    }
}

impl FindSettings {
    /// With `auto` and a relative folder replaced by what they come to here: what a run's settings are to say, so that the same
    /// is found again later and from anywhere.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let model = match self.model.to_str() {
            Some(NONE) => self.model.clone(),
            Some(AUTO) => {
                let shipped = bundle::find(PathBuf::from(SHIPPED));
                if shipped.join(bundle::RDF).is_file() { shipped } else { PathBuf::from(NONE) }
            }
            _ => bundle::find(self.model.clone()),
        };
        let is_folder = model.as_os_str() != NONE;
        Self { model: if is_folder { std::path::absolute(&model).unwrap_or(model) } else { model } }
    }

    /// Whether the shipped network would be used and is not there, so that the classical chain finds cells, which nobody asked for.
    pub fn lacks_network(&self) -> bool {
        self.model.as_os_str() == AUTO && self.resolved().model.as_os_str() == NONE
    }
}

/// A network that is ready to find cells.
#[derive(Debug)]
pub struct Finder {
    network: PictureNetwork,
    contract: Contract,
    /// The network that draws its cells' outlines.
    outliner: Option<Outliner>,
    /// sha256 of the ONNX file; of both files' where there is an outliner.
    identity: String,
}

impl Finder {
    /// The finder that the settings ask for, in the engine that `infer` wants; `None` for the classical chain.
    ///
    /// # Errors
    /// As [`Finder::open`].
    pub fn choose(settings: &FindSettings, infer: &InferSettings) -> Result<Option<Self>, InferError> {
        let FindSettings { model } = settings.resolved();
        if model.as_os_str() == NONE { Ok(None) } else { Self::open(&model, infer).map(Some) }
    }

    /// The finder in a folder in the bioimage.io model format.
    ///
    /// # Errors
    /// - `bundle_read`, `bundle_description`, `bundle_hash`, `bundle_facts` when the folder is not whole, its network is
    ///   none that finds cells, or its outliner is another finder's.
    /// - `engine_load`, `library_*` as [`PictureNetwork::open`].
    pub fn open(folder: &Path, infer: &InferSettings) -> Result<Self, InferError> {
        let finder = Self::alone(folder, infer)?;
        let outliner = match finder.contract.meaning {
            Meaning::InsideDepth => Outliner::of_finder(folder, &finder.identity, infer)?,
            Meaning::ForegroundBoundary | Meaning::Rays(..) => None,
        };
        let both = outliner.as_ref().map(|outliner| format!("{} {}", finder.identity, outliner.identity()));
        let identity = both.map_or(finder.identity, |both| bundle::sha256_hex(both.as_bytes()));
        Ok(Self { outliner, identity, ..finder })
    }

    /// The finder in a folder in the bioimage.io model format without its outliner, whichever's that is.
    ///
    /// # Errors
    /// As [`Finder::open`].
    pub fn alone(folder: &Path, infer: &InferSettings) -> Result<Self, InferError> {
        let (bytes, contract) = folder::read(folder)?;
        Self::new(bytes, contract, infer)
    }

    /// The finder in the bytes of an ONNX file that keeps `contract`.
    ///
    /// # Errors
    /// As [`PictureNetwork::open`].
    pub fn new(onnx: Vec<u8>, contract: Contract, infer: &InferSettings) -> Result<Self, InferError> {
        let identity = bundle::sha256_hex(&onnx);
        let outputs: Vec<&str> = contract.outputs.iter().map(|(name, ..)| name.as_str()).collect();
        let network = PictureNetwork::open(onnx, (&contract.input.0, &outputs), infer)?;
        Ok(Self { network, contract, outliner: None, identity })
    }

    /// `ort`, `openvino` or `rten`.
    pub fn engine_name(&self) -> &'static str {
        self.network.engine_name()
    }

    /// sha256 of its ONNX file, hexadecimal; with an outliner, that of the line with both files' sums.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Where the network is to look: a picture brought to one contrast shows where there is nothing.
    fn places(&self, picture: &WorkingPicture) -> Vec<Place> {
        match self.contract.view.light {
            Light::Contrast => picture.busy(),
            Light::Relative => vec![picture.whole()],
        }
    }

    /// What the network sees in a tile.
    fn tile(
        &self,
        pixels: &[f32],
        (picture_width, picture_height): (usize, usize),
        (columns, rows): (&Piece, &Piece),
        mirror: Mirror,
    ) -> Result<Seen, InferError> {
        let (width, height) = (columns.padded(self.contract.multiple_px), rows.padded(self.contract.multiple_px));
        let mut input = Vec::with_capacity(width * height);
        for row in mirror.rows(height) {
            let from = rows.mirrored(row, picture_height) * picture_width;
            let line = pixels.get(from..from + picture_width).unwrap_or_default();
            let place = |column| columns.mirrored(column, picture_width);
            input.extend(mirror.columns(width).map(|column| line.get(place(column)).copied().unwrap_or(0.0)));
        }
        let mut planes = Vec::with_capacity(self.contract.meaning.channels());
        let mut step_px = 1;
        let outputs = self.network.run(self.contract.shape(width, height), &input)?;
        for (output, (name, axes, channels)) in outputs.iter().zip(&self.contract.outputs) {
            let size = output.len() / channels;
            let step = STEPS.into_iter().find(|step| channels * (width / step) * (height / step) == output.len());
            let step = step.filter(|step| planes.is_empty() || *step == step_px).ok_or_else(|| {
                let problem = format!(
                    "{name} gives {} numbers for {} pixels, must give {channels} a place",
                    output.len(),
                    width * height
                );
                InferError::BundleNetwork { file: "the cell finder".to_owned(), problem }
            })?;
            step_px = step;
            planes.extend((0..*channels).map(|channel| match axes {
                Axes::ChannelFirst => output.iter().skip(channel * size).take(size).copied().collect::<Vec<f32>>(),
                Axes::ChannelLast => output.iter().skip(channel).step_by(*channels).copied().collect(),
            }));
        }
        let (width, height) = (width / step_px, height / step_px);
        for plane in &mut planes {
            mirror.undo(plane, width);
        }
        Ok(Seen { width, height, step_px, planes })
    }

    /// What the network says of `places`; the mean of several mirrors.
    fn look(&self, picture: &WorkingPicture, places: &[Place], mirrors: &[Mirror]) -> Result<Seen, InferError> {
        let prepared = self.contract.preprocessing.of(picture);
        let size = (picture.width, picture.height);
        let mut where_to = Vec::new();
        for place in places {
            for rows in pieces(place.top..place.bottom, picture.height) {
                let columns = pieces(place.left..place.right, picture.width);
                where_to.extend(columns.into_iter().map(|columns| (columns, rows.clone())));
            }
        }
        // Each tile on one thread and in an engine of its own: the same tile gives the same bits on any machine. As many
        // stretches as threads, since a thread that waits for an engine may take up another stretch meanwhile.
        let stretch = where_to.len().div_ceil(rayon::current_num_threads()).max(1);
        let tiles = where_to.par_chunks(stretch).map(|stretch| {
            let tile = |(columns, rows): &(Piece, Piece)| {
                let looks = mirrors.iter().map(|mirror| self.tile(&prepared, size, (columns, rows), *mirror));
                Ok(Seen::mean(looks.collect::<Result<Vec<Seen>, InferError>>()?))
            };
            stretch.iter().map(tile).collect::<Result<Vec<Option<Seen>>, InferError>>()
        });
        let tiles = tiles.collect::<Result<Vec<Vec<Option<Seen>>>, InferError>>()?;
        let mut seen: Option<Seen> = None;
        for (tile, (columns, rows)) in tiles.iter().flatten().flatten().zip(&where_to) {
            seen.get_or_insert_with(|| Seen::nothing(picture, tile.step_px, tile.planes.len()))
                .add(tile, (columns, rows));
        }
        let channels = self.contract.meaning.channels();
        let seen = seen.unwrap_or_else(|| Seen::nothing(picture, 1, channels));
        if seen.planes.iter().flatten().all(|value| value.is_finite()) {
            Ok(seen)
        } else {
            Err(InferError::NotFinite { what: "the cell finder's map", index: 0 })
        }
    }
}

impl Sight for Finder {
    type Error = InferError;

    fn view(&self) -> View {
        self.contract.view
    }

    /// The maps of `picture`.
    ///
    /// # Errors
    /// - `engine_run` when the engine fails.
    /// - `bundle_network` when it gives another number of numbers than its description says.
    /// - `not_finite` when a map holds no number.
    fn maps(&self, picture: &WorkingPicture) -> Result<Maps, InferError> {
        let seen = self.look(picture, &self.places(picture), &[Mirror::NONE])?;
        Ok(understood(seen, self.contract.meaning))
    }

    fn again(&self, picture: &WorkingPicture, places: &[Place], maps: &Maps) -> Result<Maps, InferError> {
        let (Maps::Depth(first), Meaning::InsideDepth) = (maps, self.contract.meaning) else { return Ok(maps.clone()) };
        let mut all = first.clone();
        let share = again::COUNT as f32 / (1.0 + again::COUNT as f32);
        let seen = places.par_iter().map(|place| self.look_again(picture, place));
        for (place, seen) in places.iter().zip(seen.collect::<Result<Vec<_>, InferError>>()?) {
            for (map, mean) in [&mut all.inside, &mut all.depth].into_iter().zip(seen) {
                let mut mean = mean.into_iter();
                for row in place.rows(picture.width) {
                    let logits = map.get_mut(row).into_iter().flatten();
                    logits.zip(&mut mean).for_each(|(logit, mean)| *logit += share * (mean - *logit));
                }
            }
        }
        Ok(Maps::Depth(all))
    }

    fn draws(&self) -> bool {
        self.outliner.is_some()
    }

    /// As [`Outliner::draw`]; nothing without an outliner.
    fn draw(&self, close_up: &CloseUp) -> Result<Vec<f32>, InferError> {
        self.outliner.as_ref().map_or(Ok(Vec::new()), |outliner| outliner.draw(close_up))
    }
}

/// What a network has said so far: one plane a channel.
struct Seen {
    /// Places per row and column.
    width: usize,
    height: usize,
    /// Places are this many pixels apart.
    step_px: usize,
    planes: Vec<Vec<f32>>,
}

impl Seen {
    fn nothing(picture: &WorkingPicture, step_px: usize, channels: usize) -> Self {
        let (width, height) = (picture.width.div_ceil(step_px), picture.height.div_ceil(step_px));
        Self { width, height, step_px, planes: vec![vec![OUTSIDE; width * height]; channels] }
    }

    /// The mean of what was seen of one place.
    fn mean(looks: Vec<Self>) -> Option<Self> {
        let share = 1.0 / looks.len() as f32;
        let mut mean = looks.into_iter().reduce(|mut sum, look| {
            let planes = sum.planes.iter_mut().zip(look.planes);
            planes.for_each(|(sum, plane)| sum.iter_mut().zip(plane).for_each(|(sum, value)| *sum += value));
            sum
        })?;
        mean.planes.iter_mut().flatten().for_each(|value| *value *= share);
        Some(mean)
    }

    /// Adds what is to be kept of a tile.
    fn add(&mut self, tile: &Self, (columns, rows): (&Piece, &Piece)) {
        let step = self.step_px;
        let (left, right) = (columns.keep.start / step, columns.keep.end.div_ceil(step));
        for (from, to) in tile.planes.iter().zip(&mut self.planes) {
            for row in rows.keep.start / step..rows.keep.end.div_ceil(step) {
                let source = (row - rows.from / step) * tile.width + left - columns.from / step;
                let target = row * self.width + left;
                let count = right - left;
                if let (Some(to), Some(from)) = (to.get_mut(target..target + count), from.get(source..source + count)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }
}

/// The planes by what they mean.
fn understood(seen: Seen, meaning: Meaning) -> Maps {
    let Seen { width, height, step_px, planes } = seen;
    let mut planes = planes.into_iter();
    let (first, second) = (planes.next().unwrap_or_default(), planes.next().unwrap_or_default());
    match meaning {
        Meaning::InsideDepth => Maps::Depth(CellMaps { inside: first, depth: second, tells_kinds: true }),
        Meaning::ForegroundBoundary => {
            // Inside is foreground, depth is foreground that is no boundary.
            let logit = |probability: f32| {
                let bounded = probability.clamp(1e-4, 1.0 - 1e-4);
                (bounded / (1.0 - bounded)).ln()
            };
            let depth = first.iter().zip(&second).map(|(foreground, boundary)| logit(foreground * (1.0 - boundary)));
            let depth = depth.collect();
            let inside = first.iter().map(|&foreground| logit(foreground)).collect();
            Maps::Depth(CellMaps { inside, depth, tells_kinds: false })
        }
        Meaning::Rays(_, thresholds) => {
            let mut rays = second;
            rays.extend(planes.flatten());
            Maps::Rays(RayMaps { width, height, step_px, probability: first, rays, thresholds })
        }
    }
}

#[cfg(test)]
mod tests;
