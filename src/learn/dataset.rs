//! Labelled pictures of cells: what the network is trained on and judged by.
//!
//! Takes the simulator's panel, or a folder of crops named as openLCH names them (method.md 4) with a table of labels;
//! gives [`Pictures`], small enough to hold in memory, each with the [`Origin`] that a split needs. The order is that of
//! the source, and the same source gives the same bytes.

pub mod labels;

use crate::cells::crop::Cutter;
use crate::cells::{self, CROP_SIDE_PX, Crop, DetectSettings};
use crate::explain::{ExplainError, read_crop};
use crate::frame::{self, Plane};
use crate::infer::appearance::{self, Appearance};
use crate::infer::bundle::CropRule;
use crate::infer::texture;
pub use crate::infer::texture::halved;
use crate::openlch::CropName;
use crate::simulate::{Class, CropPlan, LabelledWindow, Panel, SceneSettings, crops};
use crate::units::{PixelSize, PointPx};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Farthest that the outlined cell's centre may lie from the crop's, px of the crop.
const NEAR_PX: f64 = 36.0;

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// Day of the experiment.
    pub day: String,
    /// Sample: the tumour or cell system.
    pub sample: String,
    /// Field of view, unique within day and sample.
    pub fov: String,
    /// Physical cell, unique within the field of view. Pieces of one track bear one name.
    pub cell: String,
    /// Frame of the film.
    pub time_index: usize,
    /// The sample's class, when it is known: high or not.
    pub high: Option<bool>,
}

impl Origin {
    /// What no split may cut: one physical cell.
    pub fn cell_key(&self) -> (&str, &str, &str, &str) {
        (&self.day, &self.sample, &self.fov, &self.cell)
    }
}

/// Pictures of cells in 256 grey values, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    side_px: usize,
    pixels: Vec<u8>,
    origins: Vec<Origin>,
    hallmarks: Vec<Option<[f64; 2]>>,
    looks: Vec<Look>,
}

/// What the whole crop looked like, before it was made smaller.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Its statistics.
    pub appearance: Appearance,
    /// Share of pixels at the brightest value.
    pub saturation: f64,
    /// Its grain.
    pub grain: Vec<f32>,
}

impl Look {
    fn of(crop: &Crop) -> Self {
        Self {
            appearance: appearance::of(crop),
            saturation: appearance::saturation(crop),
            grain: texture::grain(&halved(crop.pixels(), CROP_SIDE_PX)),
        }
    }
}

/// What can go wrong while pictures are collected.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file or folder cannot be read.
    #[error("read {path}: check that it is there and readable")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no crop.
    #[error(transparent)]
    Crop(#[from] ExplainError),
    /// A file name does not say where the crop comes from.
    #[error("{name} is not named DATE_SAMPLE_sN_tN_xN_yN_tN_t7Ready_fN.png: name the crops as openLCH does")]
    Name {
        /// The name.
        name: String,
    },
    /// A line of the label table is not `sample,high` or `sample,low`.
    #[error("label table, line {line}: {text:?} is not `sample,high` or `sample,low`")]
    Label {
        /// Line from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// The label table names a sample that is not there.
    #[error(
        "the label table names sample {sample}, but the cells are of {there}: correct the name or take the line out"
    )]
    UnknownSample {
        /// As the table has it.
        sample: String,
        /// The samples that are there.
        there: String,
    },
    /// Nothing was found.
    #[error("no crops found: give a folder with PNG crops, or a panel with at least one field")]
    Empty,
}

impl DatasetError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "dataset_read",
            Self::Crop(error) => error.code(),
            Self::Name { .. } => "dataset_name",
            Self::Label { .. } => "dataset_label",
            Self::UnknownSample { .. } => "dataset_unknown_sample",
            Self::Empty => "dataset_empty",
        }
    }
}

/// How much of a simulated panel is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanelPlan {
    /// The panel's seed: another seed is other tumours, days and cells.
    pub seed: u64,
    /// Fields of view per day and tumour.
    pub fovs: usize,
    /// Time points per field.
    pub time_points: usize,
    /// Minutes between two time points.
    pub stride: usize,
}

impl PanelPlan {
    fn crop_plan(self) -> CropPlan {
        let scene = SceneSettings { cells: 16, ..SceneSettings::default() };
        CropPlan { fovs: self.fovs, time_points: self.time_points, stride: self.stride, scene, ..CropPlan::default() }
    }
}

/// One crop of a simulated panel.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The window of raw counts that it was cut from.
    pub window: &'a Plane,
    /// Prepared as the pipeline prepares crops.
    pub crop: &'a Crop,
    /// Day and sample bear the panel's seed, so that those of several panels stay apart.
    pub origin: Origin,
    /// Both hallmarks as they truly are: summed pseudopods, um, and summed phase of the granules, rad.
    pub hallmarks: [f64; 2],
    /// The cell's true efficiency at this time, standard deviations.
    pub efficiency: f64,
}

/// Every crop of a simulated panel, handed to `take`.
pub fn each_of_panel<T: Send>(plan: PanelPlan, take: impl Fn(Shown<'_>) -> T + Sync) -> Vec<T> {
    let panel = Panel::new(plan.seed);
    let seed = plan.seed;
    let cutter = Cutter::new(PixelSize::PAPER);
    let prepared = crops(&panel, &plan.crop_plan(), |window: LabelledWindow| {
        let middle = (window.plane.width_px() / 2) as f64;
        let crop = cutter.cut(&window.plane, PointPx { x: middle, y: middle })?;
        let place = window.place;
        let origin = Origin {
            day: format!("{}-p{seed}", panel.days.get(place.day)?.date),
            sample: format!("{}-p{seed}", panel.tumours.get(place.tumour)?.name),
            fov: place.fov.to_string(),
            cell: window.truth.id.to_string(),
            time_index: window.time_index,
            high: Some(window.class == Class::High),
        };
        let hallmarks = [window.truth.protrusion_total_um, window.truth.granularity_rad];
        let efficiency = window.truth.traits.efficiency;
        Some(take(Shown { window: &window.plane, crop: &crop, origin, hallmarks, efficiency }))
    });
    prepared.into_iter().flatten().collect()
}

impl Pictures {
    /// No pictures yet, of `side_px` (256, or 128 for a network at half resolution).
    pub fn new(side_px: usize) -> Self {
        Self { side_px, pixels: Vec::new(), origins: Vec::new(), hallmarks: Vec::new(), looks: Vec::new() }
    }

    /// All crops of simulated panels, with their true hallmarks.
    ///
    /// # Errors
    /// `dataset_empty` when the plans give none.
    pub fn of_panels(plans: &[PanelPlan], side_px: usize) -> Result<Self, DatasetError> {
        let mut all = Self::new(side_px);
        for plan in plans {
            let prepared =
                |shown: Shown<'_>| (grey(shown.crop, side_px), Look::of(shown.crop), shown.origin, shown.hallmarks);
            for (grey, look, origin, hallmarks) in each_of_panel(*plan, prepared) {
                all.looks.push(look);
                all.pixels.extend(grey);
                all.origins.push(origin);
                all.hallmarks.push(Some(hallmarks));
            }
        }
        if all.origins.is_empty() { Err(DatasetError::Empty) } else { Ok(all) }
    }

    /// All `.png` crops of `folder`, by name, with the labels of `labels` (see [`labels::read`]).
    ///
    /// # Errors
    /// As [`crops_of_folder`].
    pub fn of_folder(folder: &Path, labels: &BTreeMap<String, bool>, side_px: usize) -> Result<Self, DatasetError> {
        let mut all = Self::new(side_px);
        for (origin, crop) in crops_of_folder(folder, labels)? {
            all.push(&crop, origin);
        }
        Ok(all)
    }

    /// Adds a crop.
    pub fn push(&mut self, crop: &Crop, origin: Origin) {
        self.pixels.extend(grey(crop, self.side_px));
        self.origins.push(origin);
        self.looks.push(Look::of(crop));
        self.hallmarks.push(measured_hallmarks(crop));
    }

    /// Where each picture comes from.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Both hallmarks of picture number `index`: pseudopods (um) and light scattering; `None` when they are not known.
    pub fn hallmarks(&self, index: usize) -> Option<[f64; 2]> {
        self.hallmarks.get(index).copied().flatten()
    }

    /// What crop number `index` looked like.
    pub fn look(&self, index: usize) -> Option<&Look> {
        self.looks.get(index)
    }

    /// Side of the pictures, px.
    pub fn side_px(&self) -> usize {
        self.side_px
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Picture number `index`, `[side, side]` in 256 grey values; empty when there is none.
    pub fn grey(&self, index: usize) -> &[u8] {
        let len = self.side_px * self.side_px;
        self.pixels.get(index * len..(index + 1) * len).unwrap_or_default()
    }

    /// Pictures `indices` one after the other, 0..=1.
    pub fn batch(&self, indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|index| self.grey(*index)).map(|grey| f32::from(*grey) / 255.0).collect()
    }
}

/// All `.png` crops of `folder`, by name, each with where it comes from and its sample's label, when it has one.
///
/// # Errors
/// - `dataset_read`, `dataset_name`, and as [`read_crop`] for a file that is no crop.
/// - `dataset_empty` when there is none.
pub fn crops_of_folder(folder: &Path, labels: &BTreeMap<String, bool>) -> Result<Vec<(Origin, Crop)>, DatasetError> {
    let mut all = Vec::new();
    for path in png_files(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut origin = CropName::parse(&name).map(|name| origin_of(&name)).ok_or(DatasetError::Name { name })?;
        origin.high = labels.get(&origin.sample).copied();
        all.push((origin, read_crop(&path)?));
    }
    if all.is_empty() { Err(DatasetError::Empty) } else { Ok(all) }
}

/// Pseudopods (um) and light scattering of the cell in the middle of a crop, as the daemon's own outline shows them;
/// `None` when no cell is outlined there.
fn measured_hallmarks(crop: &Crop) -> Option<[f64; 2]> {
    // An 8-bit crop as counts; the box of 70.5 um is 256 pixels wide.
    let counts = crop.pixels().iter().map(|value| value * 255.0).collect();
    let plane = Plane::new(CROP_SIDE_PX, CROP_SIDE_PX, counts, 255.0)?;
    let pixel_size = PixelSize::new(CropRule::default().box_um / CROP_SIDE_PX as f64).ok()?;
    let middle = PointPx { x: CROP_SIDE_PX as f64 / 2.0, y: CROP_SIDE_PX as f64 / 2.0 };
    let found = cells::find(&frame::correct::correct(plane, pixel_size), &DetectSettings::new(pixel_size));
    let near = found.cells.iter().map(|cell| (cell.centroid.distance_px(middle), cell.shape));
    let (distance, shape) = near.min_by(|a, b| a.0.total_cmp(&b.0))?;
    (distance < NEAR_PX).then_some([shape.protrusion_total_um, shape.scattering])
}

/// The crop at `side_px` (256 or 128) in 256 grey values.
fn grey(crop: &Crop, side_px: usize) -> Vec<u8> {
    let round = |value: f32| (value * 255.0).round() as u8;
    if side_px == CROP_SIDE_PX {
        crop.pixels().iter().map(|value| round(*value)).collect()
    } else {
        halved(crop.pixels(), CROP_SIDE_PX).into_iter().map(round).collect()
    }
}

fn png_files(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let failed = |source| DatasetError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where the crop of an openLCH name comes from; its class is not in the name.
///
/// Nothing in a name ties a track's pieces together, because only the first frame's place is written: the cell is named
/// by place and start, and splits of such crops must keep whole fields apart. Crops whose names hold the day of processing
/// share one unknown day, so that no split can tear them apart by it.
fn origin_of(name: &CropName) -> Origin {
    Origin {
        day: name.date.map_or_else(|| "unknown".to_owned(), |date| date.to_string()),
        sample: name.system.clone(),
        fov: format!("s{}", name.position),
        cell: format!("x{}_y{}_t{}", name.x_px, name.y_px, name.start),
        time_index: name.film_frame() as usize,
        high: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openlch_names_say_where_a_crop_comes_from() {
        let of = |name: &str| origin_of(&CropName::parse(name).unwrap());
        let origin = of("150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png");
        assert_eq!((origin.day.as_str(), origin.sample.as_str(), origin.fov.as_str()), ("2015-03-12", "m610", "s19"));
        assert_eq!(origin.time_index, 139, "start 60 + frame 80 - 1");
        let processed = of("22-Feb-2018_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png");
        assert_eq!(processed.day, "unknown", "a day of processing is no day of the experiment");
    }

    #[test]
    fn halving_averages_two_by_two() {
        assert_eq!(halved(&[0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5], 4), [0.5, 0.5]);
    }
}
