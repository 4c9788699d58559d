//! The network that finds cells: a working picture in, its two maps out.
//!
//! The shipped network or one of the user's own, in the bioimage.io model format ([`folder`]).
//!
//! Runs in the built-in engine, one thread a picture, so that a frame gives the same bits whatever else is going on and
//! however many workers there are. A picture of any size goes through in tiles of bounded size that overlap by more than
//! the network sees.

pub mod folder;

use super::builtin::PictureNetwork;
use super::finder_plan::MAPS;
use super::{InferError, bundle};
use crate::cells::maps::CellMaps;
use crate::cells::working::{View, WorkingPicture};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where the shipped network lies.
const SHIPPED: &str = "models/cells";
/// The setting for the classical chain.
const NONE: &str = "none";
/// Longest side of a tile, px; a multiple of every side that a network may ask for.
const TILE_PX: usize = 1536;
/// Tiles overlap by twice this, px.
const MARGIN_PX: usize = 96;

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
        Self { model: PathBuf::from(NONE) }
    }
}

impl FindSettings {
    /// With `auto` and a relative folder replaced by what they come to here: what a run's settings are to say, so that the same
    /// is found again later and from anywhere.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let model = match self.model.to_str() {
            Some(NONE) => self.model.clone(),
            Some("auto") => {
                let shipped = bundle::find(PathBuf::from(SHIPPED));
                if shipped.join(bundle::RDF).is_file() { shipped } else { PathBuf::from(NONE) }
            }
            _ => bundle::find(self.model.clone()),
        };
        let is_folder = model.as_os_str() != NONE;
        Self { model: if is_folder { std::path::absolute(&model).unwrap_or(model) } else { model } }
    }
}

/// What the two numbers that a network gives for a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Logits of inside and depth: the shipped network.
    InsideDepth,
    /// Probabilities of foreground and boundary: the usual U-Net.
    ForegroundBoundary,
}

/// What a network does to its picture before it looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preprocessing {
    /// Nothing.
    None,
    /// Mean 0 and variance 1 over the picture.
    ZeroMeanUnitVariance,
    /// These two percentiles (0..100) become 0 and 1.
    Percentiles(f64, f64),
}

/// How a network is to be fed and understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Name of the input, `[1, 1, height, width]`.
    pub input: String,
    /// Name of the output, `[1, 2, height, width]`.
    pub output: String,
    /// How it wants to see cells.
    pub view: View,
    /// What it does first.
    pub preprocessing: Preprocessing,
    /// What its output is.
    pub meaning: Meaning,
    /// The picture's sides must be multiples of this, px; divides 1536.
    pub multiple_px: usize,
}

/// A network that is ready to find cells.
#[derive(Debug)]
pub struct Finder {
    network: PictureNetwork,
    contract: Contract,
    /// sha256 of the ONNX file.
    identity: String,
}

impl Finder {
    /// The finder that the settings ask for; `None` for the classical chain.
    ///
    /// # Errors
    /// As [`Finder::open`].
    pub fn choose(settings: &FindSettings) -> Result<Option<Self>, InferError> {
        let FindSettings { model } = settings.resolved();
        if model.as_os_str() == NONE { Ok(None) } else { Self::open(&model).map(Some) }
    }

    /// The finder in a folder in the bioimage.io model format.
    ///
    /// # Errors
    /// - `bundle_read`, `bundle_description`, `bundle_hash`, `bundle_facts` when the folder is not whole, or its network is
    ///   none that finds cells.
    /// - `engine_load` when the engine does not take the network.
    pub fn open(folder: &Path) -> Result<Self, InferError> {
        let (bytes, contract) = folder::read(folder)?;
        Self::new(bytes, contract)
    }

    /// The finder in the bytes of an ONNX file that keeps `contract`.
    ///
    /// # Errors
    /// `engine_load` when the engine does not take it or its input or output has another name.
    pub fn new(onnx: Vec<u8>, contract: Contract) -> Result<Self, InferError> {
        let identity = bundle::sha256_hex(&onnx);
        let network = PictureNetwork::open(onnx, &contract.input, &contract.output)?;
        Ok(Self { network, contract, identity })
    }

    /// How it wants to see cells.
    pub fn view(&self) -> View {
        self.contract.view
    }

    /// sha256 of its ONNX file, hexadecimal.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The maps of `picture`.
    ///
    /// # Errors
    /// - `engine_run` when the engine fails.
    /// - `not_finite` when a map holds no number.
    pub fn maps(&self, picture: &WorkingPicture) -> Result<CellMaps, InferError> {
        let pixels = picture.width * picture.height;
        let mut maps = CellMaps { inside: vec![0.0; pixels], depth: vec![0.0; pixels] };
        let prepared = prepared(picture, self.contract.preprocessing);
        for rows in pieces(picture.height) {
            for columns in pieces(picture.width) {
                self.tile(&prepared, (picture.width, picture.height), (&columns, &rows), &mut maps)?;
            }
        }
        if self.contract.meaning == Meaning::ForegroundBoundary {
            understand(&mut maps);
        }
        if maps.inside.iter().chain(&maps.depth).all(|value| value.is_finite()) {
            Ok(maps)
        } else {
            Err(InferError::NotFinite { what: "the cell finder's map", index: 0 })
        }
    }

    fn tile(
        &self,
        pixels: &[f32],
        (picture_width, picture_height): (usize, usize),
        (columns, rows): (&Piece, &Piece),
        maps: &mut CellMaps,
    ) -> Result<(), InferError> {
        let (width, height) = (columns.padded(self.contract.multiple_px), rows.padded(self.contract.multiple_px));
        let mut input = Vec::with_capacity(width * height);
        for row in 0..height {
            let from = rows.mirrored(row, picture_height) * picture_width;
            let line = pixels.get(from..from + picture_width).unwrap_or_default();
            input.extend(
                (0..width).map(|column| line.get(columns.mirrored(column, picture_width)).copied().unwrap_or(0.0)),
            );
        }
        let output = self.network.run([1, 1, height, width], &input)?;
        let size = width * height;
        if output.len() != MAPS * size {
            let problem = format!("gives {} numbers for {size} pixels, must give {MAPS} a pixel", output.len());
            return Err(InferError::BundleNetwork { file: "the cell finder".to_owned(), problem });
        }
        let (inside, depth) = output.split_at(size);
        for (from, to) in [(inside, &mut maps.inside), (depth, &mut maps.depth)] {
            for row in rows.keep_from..rows.keep_to {
                let source = (row - rows.from) * width + columns.keep_from - columns.from;
                let count = columns.keep_to - columns.keep_from;
                let target = row * picture_width + columns.keep_from;
                if let (Some(to), Some(from)) = (to.get_mut(target..target + count), from.get(source..source + count)) {
                    to.copy_from_slice(from);
                }
            }
        }
        Ok(())
    }
}

/// The picture's values as the network's own preprocessing leaves them.
fn prepared(picture: &WorkingPicture, preprocessing: Preprocessing) -> Vec<f32> {
    let values = &picture.values;
    let (offset, factor) = match preprocessing {
        Preprocessing::None => return values.clone(),
        Preprocessing::ZeroMeanUnitVariance => {
            let count = values.len().max(1) as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
            (mean, 1.0 / (variance.sqrt() + 1e-6))
        }
        Preprocessing::Percentiles(low, high) => {
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            let last = sorted.len().saturating_sub(1) as f64;
            let at = |percent: f64| sorted.get((last * percent / 100.0).round() as usize).copied().unwrap_or(0.0);
            let (low, high) = (f64::from(at(low)), f64::from(at(high)));
            (low, 1.0 / (high - low).max(1e-6))
        }
    };
    values.iter().map(|&value| ((f64::from(value) - offset) * factor) as f32).collect()
}

/// From probabilities of foreground and boundary to logits: inside is foreground, depth is foreground that is no boundary.
fn understand(maps: &mut CellMaps) {
    let logit = |probability: f32| {
        let bounded = probability.clamp(1e-4, 1.0 - 1e-4);
        (bounded / (1.0 - bounded)).ln()
    };
    for (inside, depth) in maps.inside.iter_mut().zip(&mut maps.depth) {
        let (foreground, boundary) = (*inside, *depth);
        // A NaN stays one, and is refused after this.
        *inside = logit(foreground);
        *depth = logit(foreground * (1.0 - boundary));
    }
}

/// A stretch of an axis: what the network sees, and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    from: usize,
    to: usize,
    keep_from: usize,
    keep_to: usize,
}

impl Piece {
    /// The length that the network takes.
    fn padded(&self, multiple_px: usize) -> usize {
        (self.to - self.from).next_multiple_of(multiple_px)
    }

    /// The pixel at `offset`; beyond the picture's end it is mirrored.
    fn mirrored(&self, offset: usize, length: usize) -> usize {
        let at = self.from + offset;
        if at < length { at } else { (2 * length).saturating_sub(at + 2).min(length.saturating_sub(1)) }
    }
}

/// The pieces of an axis of `length` px.
fn pieces(length: usize) -> Vec<Piece> {
    if length <= TILE_PX {
        return vec![Piece { from: 0, to: length, keep_from: 0, keep_to: length }];
    }
    let step = TILE_PX - 2 * MARGIN_PX;
    (0..length.div_ceil(step))
        .map(|number| {
            let (keep_from, keep_to) = (number * step, ((number + 1) * step).min(length));
            Piece {
                from: keep_from.saturating_sub(MARGIN_PX),
                to: (keep_to + MARGIN_PX).min(length),
                keep_from,
                keep_to,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
