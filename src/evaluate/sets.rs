//! The public sets that detection and tracking are judged on, and their truth.
//!
//! A set has two knobs, its pixel size and a coarse hint of the cells' width, which is another one for every cell line in it;
//! everything else is as shipped.

use super::folder;
use super::instances::BoxPx;
use super::paint::LabelPicture;
use crate::cells::outline;
use crate::units::{PointPx, Um};
use anyhow::Context as _;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One set of pictures with truth.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// Its folder.
    pub name: &'static str,
    /// Pixel size, um.
    pub pixel_size_um: f64,
    /// Hint of a cell's width where no [line](Set::hint_um) is told, um.
    pub cell_diameter_um: Um,
    /// What it holds.
    pub kind: Kind,
}

/// How a set is laid out and what it can tell.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A film in the Cell Tracking Challenge's layout.
    Film {
        /// Folder of the frames.
        frames: &'static str,
        /// Folder of the markers and the track table.
        tracks: &'static str,
        /// Folder of the outlines.
        outlines: &'static str,
        /// Cells that lie wholly within this many px of the frame's edge are not annotated.
        border_px: usize,
    },
    /// Single pictures with label pictures: folders with `raw.tif` and `instances_ids.png`.
    Labels,
    /// Single pictures with boxes round the cells' bodies.
    Boxes,
    /// Single pictures with a picture of the cells' insides and one of their edges.
    EdgesAndInsides,
    /// Single pictures with polygons (COCO).
    Polygons,
}

/// All sets of the table.
pub const SETS: &[Set] = &[
    Set {
        name: "ctc_phc_u373_02",
        pixel_size_um: 0.65,
        cell_diameter_um: 40.0,
        kind: Kind::Film { frames: "02", tracks: "02_GT/TRA", outlines: "02_GT/SEG", border_px: 50 },
    },
    Set {
        name: "ctc_phc_psc_01",
        pixel_size_um: 1.6,
        cell_diameter_um: 20.0,
        kind: Kind::Film { frames: "01", tracks: "01_GT/TRA", outlines: "01_ST/SEG", border_px: 25 },
    },
    Set { name: "t98g_nikon_stills_gt", pixel_size_um: 0.8708, cell_diameter_um: 40.0, kind: Kind::Labels },
    Set { name: "mda_mb_231_boxes", pixel_size_um: 0.4287, cell_diameter_um: 30.0, kind: Kind::Boxes },
    Set {
        name: "deepcell_phase_micromanager",
        pixel_size_um: 0.32,
        cell_diameter_um: 15.0,
        kind: Kind::EdgesAndInsides,
    },
    Set { name: "livecell_incucyte", pixel_size_um: 1.24, cell_diameter_um: 25.0, kind: Kind::Polygons },
];

/// Cell lines of the sets that hold several, by how the names of their pictures or folders begin, and the hint of their width:
/// half way, as a ratio, between the circle that fits into the usual true cell and the disc of its area, to the nearest 5 um.
const LINES: &[(&str, Um)] = &[
    ("3T3", 20.0),
    ("HeLa", 15.0),
    ("MCF10A", 15.0),
    ("RAW", 10.0),
    ("A172", 35.0),
    ("BT474", 25.0),
    ("Huh7", 40.0),
    ("MCF7", 20.0),
    ("SKOV3", 35.0),
];

impl Set {
    /// Hint of the width of the cells in a picture of the set, um: its cell line's, or the set's.
    pub fn hint_um(&self, picture: &Path) -> Um {
        let mut names = picture.iter().rev().take(2).filter_map(|part| part.to_str());
        let line = names.find_map(|name| LINES.iter().find(|(line, _)| name.starts_with(line)));
        line.map_or(self.cell_diameter_um, |(_, hint_um)| *hint_um)
    }
}

/// The set of this name.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> anyhow::Result<&'static Set> {
    SETS.iter().find(|set| set.name == name).with_context(|| format!("there is no set {name}"))
}

/// A single picture and its truth.
#[derive(Debug, Clone)]
pub struct Still {
    /// The picture.
    pub path: PathBuf,
    /// What is true.
    pub truth: Truth,
}

/// Truth of a single picture.
#[derive(Debug, Clone)]
pub enum Truth {
    /// Outlines.
    Labels(LabelPicture),
    /// Boxes.
    Boxes(Vec<BoxPx>),
}

/// The single pictures of a set; none for a film.
///
/// # Errors
/// When the set's files cannot be read.
pub fn stills(set: &Set, data: &Path) -> anyhow::Result<Vec<Still>> {
    let root = data.join(set.name);
    match set.kind {
        Kind::Film { .. } => Ok(Vec::new()),
        Kind::Labels => {
            let read = |dir: &PathBuf| {
                let truth = Truth::Labels(labels(&dir.join("instances_ids.png"))?);
                Ok(Still { path: dir.join("raw.tif"), truth })
            };
            subfolders(&root)?.iter().filter(|dir| dir.join("instances_ids.png").is_file()).map(read).collect()
        }
        Kind::Boxes => boxes(&root),
        Kind::EdgesAndInsides => edges_and_insides(&root),
        Kind::Polygons => polygons(&root),
    }
}

/// The pictures of a set, those of a film in time order.
///
/// # Errors
/// When the set's files cannot be read.
pub fn pictures(set: &Set, data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    match set.kind {
        Kind::Film { frames, .. } => folder::pictures(&data.join(set.name).join(frames)),
        _ => Ok(stills(set, data)?.into_iter().map(|still| still.path).collect()),
    }
}

/// A label picture: a gray picture whose counts are labels.
///
/// # Errors
/// When it cannot be read.
pub fn labels(path: &Path) -> anyhow::Result<LabelPicture> {
    let plane = folder::plane(path)?;
    let labels = plane.counts().iter().map(|&count| count as u16).collect();
    Ok(LabelPicture { width: plane.width_px(), height: plane.height_px(), labels })
}

fn subfolders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).with_context(|| format!("list {}", root.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn boxes(root: &Path) -> anyhow::Result<Vec<Still>> {
    let table = root.join("gt_boxes.csv");
    let text = std::fs::read_to_string(&table).with_context(|| format!("read {}", table.display()))?;
    let mut stills: Vec<Still> = Vec::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        let path = root.join(fields.next().unwrap_or_default());
        let numbers: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
        let Ok([_, _, left, top, right, bottom]) = <[f64; 6]>::try_from(numbers) else { continue };
        let found = [left, top, right, bottom];
        match stills.iter_mut().find(|still| still.path == path) {
            Some(Still { truth: Truth::Boxes(boxes), .. }) => boxes.push(found),
            _ => stills.push(Still { path, truth: Truth::Boxes(vec![found]) }),
        }
    }
    Ok(stills)
}

/// Cells are the 4-connected parts of the insides without the edges.
fn edges_and_insides(root: &Path) -> anyhow::Result<Vec<Still>> {
    let mut stills = Vec::new();
    for dir in subfolders(root)? {
        let file =
            |name: &str| ["tif", "png"].iter().map(|kind| dir.join(name).with_extension(kind)).find(|p| p.is_file());
        let (Some(path), Some(edges), Some(insides)) = (file("phase"), file("feature_0"), file("feature_1")) else {
            continue;
        };
        let (edges, insides) = (labels(&edges)?, labels(&insides)?);
        let inside = insides.labels.iter().zip(&edges.labels).map(|(&inside, &edge)| inside > 0 && edge == 0).collect();
        let truth = LabelPicture::parts(insides.width, insides.height, inside);
        stills.push(Still { path, truth: Truth::Labels(truth) });
    }
    Ok(stills)
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<CocoImage>,
    annotations: Vec<CocoCell>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    width: usize,
    height: usize,
    file_name: String,
}

#[derive(Deserialize)]
struct CocoCell {
    image_id: u64,
    segmentation: Vec<Vec<f64>>,
}

fn polygons(root: &Path) -> anyhow::Result<Vec<Still>> {
    let table = root.join("livecell_coco_subset.json");
    let text = std::fs::read_to_string(&table).with_context(|| format!("read {}", table.display()))?;
    let coco: Coco = serde_json::from_str(&text).with_context(|| format!("understand {}", table.display()))?;
    let mut images = coco.images;
    images.sort_by(|a, b| a.file_name.cmp(&b.file_name));
    let still = |image: &CocoImage| {
        let mut picture = LabelPicture::empty(image.width, image.height);
        let cells = coco.annotations.iter().filter(|cell| cell.image_id == image.id);
        for (cell, number) in cells.zip(1..) {
            for flat in &cell.segmentation {
                let polygon: Vec<PointPx> = flat
                    .chunks_exact(2)
                    .filter_map(|pair| Some(PointPx { x: pair.first()? - 0.5, y: pair.last()? - 0.5 }))
                    .collect();
                outline::fill(&polygon, image.width, image.height, |y, left, right| {
                    picture.paint(y, left, right, number);
                });
            }
        }
        Still { path: root.join("gt_images").join(&image.file_name), truth: Truth::Labels(picture) }
    };
    Ok(images.iter().map(still).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pictures_cell_line_tells_the_hint_and_without_one_the_set_does() {
        let hint_um = |set: &str, picture: &str| named(set).unwrap().hint_um(Path::new(picture)) as u32;
        assert_eq!(hint_um("deepcell_phase_micromanager", "sets/RAW40X_set1/phase.tif"), 10);
        assert_eq!(hint_um("livecell_incucyte", "sets/gt_images/SKOV3_Phase_E4_1_00d00h00m_1.tif"), 35);
        assert_eq!(hint_um("t98g_nikon_stills_gt", "3T3/sets/set02/raw.tif"), 40);
        assert!(named("none").is_err());
    }
}
