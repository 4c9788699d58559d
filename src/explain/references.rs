//! Reference cells: what some of the cells that a model was trained on looked like, so that a new cell can be shown beside its nearest.
//!
//! ```text
//! bundle/  reference_cells.csv   name, class, bundle_sha256, z01 .. z56, protrusion_total_um, protrusion_count, scattering,
//!                                area_um2; one row per cell, the last four empty where nothing could be measured
//!          reference_cells.png   their crops at a quarter of the size, row after row
//! ```
//!
//! They also stand for the steps of a strip ([`along`]): a decoder draws neither grain nor thin pseudopods, real cells have them.
//!
//! The two files are optional and no part of the bundle's identity; they name the bundle that described them, and a set of
//! another bundle is refused.

use super::ExplainError;
use super::hallmarks::Hallmarks;
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::infer::{LATENT_LEN, Latent};
use crate::picture;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The table's file name.
pub const TABLE: &str = "reference_cells.csv";
/// The pictures' file name.
pub const SHEET: &str = "reference_cells.png";
/// The columns of what is measured.
const MEASURED: &str = "protrusion_total_um,protrusion_count,scattering,area_um2";
/// A cell stands for a step of a strip when its feature is at most this far from it, standard deviations.
const WITHIN_SD: f64 = 0.25;
/// Side of a thumbnail, px.
pub const THUMBNAIL_PX: usize = 64;
/// Thumbnails in a row of the sheet.
const COLUMNS: usize = 16;
/// No sheet is larger than this when decoded, bytes.
const LARGEST_SHEET_BYTES: u64 = 256 << 20;

/// A cell that the model was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Where it comes from: no comma.
    pub name: String,
    /// The class of its sample, when it is known: high or not.
    pub high: Option<bool>,
    /// Its descriptor.
    pub latent: Latent,
    /// `[64, 64]` grey values.
    pub thumbnail: Vec<u8>,
    /// Measured on the crop; `None` without a cell in its middle, or when nobody knows how bright it was.
    pub hallmarks: Option<Hallmarks>,
}

impl Reference {
    /// From a crop and what the model says about it.
    pub fn new(name: &str, high: Option<bool>, crop: &Crop, latent: Latent, hallmarks: Option<Hallmarks>) -> Self {
        Self { name: name.replace([',', '\n', '\r'], " "), high, latent, thumbnail: thumbnail(crop), hallmarks }
    }

    /// The thumbnail at a crop's size, every pixel sixteen times.
    pub fn picture(&self) -> Option<Crop> {
        const GROW: usize = CROP_SIDE_PX / THUMBNAIL_PX;
        let pixel = |at: usize| {
            let (x, y) = (at % CROP_SIDE_PX / GROW, at / CROP_SIDE_PX / GROW);
            self.thumbnail.get(y * THUMBNAIL_PX + x).map_or(0.0, |grey| f32::from(*grey) / 255.0)
        };
        Crop::new((0..CROP_SIDE_PX * CROP_SIDE_PX).map(pixel).collect())
    }
}

/// The crop in means of 4 x 4 pixels.
fn thumbnail(crop: &Crop) -> Vec<u8> {
    const SHRINK: usize = CROP_SIDE_PX / THUMBNAIL_PX;
    let mean = |at: usize| {
        let (x, y) = (at % THUMBNAIL_PX * SHRINK, at / THUMBNAIL_PX * SHRINK);
        let rows = crop.pixels().chunks_exact(CROP_SIDE_PX).skip(y).take(SHRINK);
        let sum: f32 = rows.flat_map(|row| row.iter().skip(x).take(SHRINK)).sum();
        (255.0 * sum / (SHRINK * SHRINK) as f32).round() as u8
    };
    (0..THUMBNAIL_PX * THUMBNAIL_PX).map(mean).collect()
}

/// Writes a bundle's reference cells into its `folder`; `identity` is the bundle's.
///
/// # Errors
/// - `picture` when there is none.
/// - `reference_write` when a file cannot be written.
pub fn write(folder: &Path, identity: &str, cells: &[Reference]) -> Result<(), ExplainError> {
    let features: Vec<String> = (1..=LATENT_LEN).map(|feature| format!("z{feature:02}")).collect();
    let mut table = format!("name,class,bundle_sha256,{},{MEASURED}\r\n", features.join(","));
    for cell in cells {
        let class = cell.high.map_or("", |high| if high { "high" } else { "low" });
        let latent: Vec<String> = cell.latent.iter().map(ToString::to_string).collect();
        let measured = cell.hallmarks.map_or_else(
            || ",,,".to_owned(),
            |it| format!("{},{},{},{}", it.protrusion_total_um, it.protrusion_count, it.scattering, it.area_um2),
        );
        // Writing into a string cannot fail.
        let _written = write!(table, "{},{class},{identity},{},{measured}\r\n", cell.name, latent.join(","));
    }
    let rows = cells.len().div_ceil(COLUMNS);
    let width = COLUMNS * THUMBNAIL_PX;
    let mut sheet = vec![0_u8; width * rows * THUMBNAIL_PX];
    for (index, cell) in cells.iter().enumerate() {
        let corner = index / COLUMNS * THUMBNAIL_PX * width + index % COLUMNS * THUMBNAIL_PX;
        for (y, line) in cell.thumbnail.chunks_exact(THUMBNAIL_PX).enumerate() {
            let from = corner + y * width;
            if let Some(target) = sheet.get_mut(from..from + THUMBNAIL_PX) {
                target.copy_from_slice(line);
            }
        }
    }
    let sheet = picture::gray_png(width, rows * THUMBNAIL_PX, &sheet)?;
    for (name, bytes) in [(SHEET, sheet.as_slice()), (TABLE, table.as_bytes())] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| ExplainError::ReferenceWrite { path, source })?;
    }
    Ok(())
}

/// The reference cells in a bundle's `folder`; none when there are no such files.
///
/// # Errors
/// `references` when the files do not belong together, or belong to another bundle than `identity`.
pub fn read(folder: &Path, identity: &str) -> Result<Vec<Reference>, ExplainError> {
    let path = folder.join(TABLE);
    let refused = |problem: &str| ExplainError::References { path: path.clone(), problem: problem.to_owned() };
    let table = match fs::read_to_string(&path) {
        Ok(table) => table,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ExplainError::Read { path, source }),
    };
    let sheet =
        fs::read(folder.join(SHEET)).map_err(|source| ExplainError::Read { path: folder.join(SHEET), source })?;
    let sheet = picture::decode_gray(&sheet, LARGEST_SHEET_BYTES)?;
    if sheet.width_px() != COLUMNS * THUMBNAIL_PX {
        return Err(refused("its pictures have another width"));
    }
    let mut cells = Vec::new();
    for (index, line) in table.lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let [name, class, bundle, features @ ..] = fields.as_slice() else { return Err(refused("a row is too short")) };
        if *bundle != identity {
            return Err(refused("it was described by another bundle: make it again with `explain references`"));
        }
        let (features, measured) = features.split_at(features.len().min(LATENT_LEN));
        let features: Vec<f32> = features.iter().filter_map(|text| text.parse().ok()).collect();
        let latent = Latent::try_from(features).map_err(|_other_length| refused("a row does not hold 56 features"))?;
        let (x, y) = (index % COLUMNS * THUMBNAIL_PX, index / COLUMNS * THUMBNAIL_PX);
        let rows = sheet.counts().chunks_exact(sheet.width_px()).skip(y).take(THUMBNAIL_PX);
        let thumbnail: Vec<u8> =
            rows.flat_map(|row| row.iter().skip(x).take(THUMBNAIL_PX).map(|value| *value as u8)).collect();
        if thumbnail.len() != THUMBNAIL_PX * THUMBNAIL_PX {
            return Err(refused("it has more rows than pictures"));
        }
        let high = match *class {
            "high" => Some(true),
            "low" => Some(false),
            _ => None,
        };
        cells.push(Reference { name: (*name).to_owned(), high, latent, thumbnail, hallmarks: hallmarks(measured) });
    }
    Ok(cells)
}

/// The `count` cells nearest to `latent` with their distances: Euclidean, each feature in units of `sd` (its standard deviation over
/// the training set).
pub fn nearest<'a>(cells: &'a [Reference], latent: &Latent, sd: &[f64], count: usize) -> Vec<(&'a Reference, f64)> {
    let mut found: Vec<(&Reference, f64)> =
        cells.iter().map(|cell| (cell, distance(&cell.latent, latent, sd))).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found.truncate(count);
    found
}

/// Euclidean distance of two descriptors, each feature in units of `sd`.
fn distance(one: &Latent, other: &Latent, sd: &[f64]) -> f64 {
    let features = one.iter().zip(other).zip(sd);
    features.map(|((a, b), sd)| (f64::from(a - b) / sd.max(1e-6)).powi(2)).sum::<f64>().sqrt()
}

/// The last four fields of a row; `None` when they are empty, or when the table is older than they are.
fn hallmarks(fields: &[&str]) -> Option<Hallmarks> {
    let [total, count, scattering, area] = fields else { return None };
    Some(Hallmarks {
        protrusion_total_um: total.parse().ok()?,
        protrusion_count: count.parse().ok()?,
        scattering: scattering.parse().ok()?,
        area_um2: area.parse().ok()?,
    })
}

/// The cells that stand for steps of a strip, one for each of `shifts`: standard deviations of feature `feature`, 1..=56.
///
/// A cell's feature lies that far from that of `latent`, and of those that do, it is the nearest in all other features. No cell
/// stands for two steps. Gives with it how far its feature really is from `latent`'s; `None` where no cell comes near.
pub fn along<'a>(
    cells: &'a [Reference],
    latent: &Latent,
    (feature, shifts): (usize, &[f64]),
    sd: &[f64],
) -> Vec<Option<(&'a Reference, f64)>> {
    let index = feature.wrapping_sub(1);
    let own_sd = sd.get(index).copied().unwrap_or(1.0).max(1e-6);
    let away = |cell: &Reference| {
        let (Some(theirs), Some(own)) = (cell.latent.get(index), latent.get(index)) else { return f64::NAN };
        f64::from(theirs - own) / own_sd
    };
    let mut left: Vec<(&Reference, f64)> = cells.iter().map(|cell| (cell, away(cell))).collect();
    let in_others = |cell: &Reference| {
        let mut there = cell.latent;
        if let (Some(value), Some(own)) = (there.get_mut(index), latent.get(index)) {
            *value = *own;
        }
        distance(&there, latent, sd)
    };
    let mut step = |shift: &f64| {
        let near = left.iter().enumerate().filter(|(_, it)| (it.1 - shift).abs() <= WITHIN_SD);
        let best = near.min_by(|a, b| in_others(a.1.0).total_cmp(&in_others(b.1.0))).map(|(at, _)| at);
        best.map(|at| left.swap_remove(at))
    };
    shifts.iter().map(&mut step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(count: usize) -> Vec<Reference> {
        let cell = |index: usize| {
            let crop = Crop::new(vec![index as f32 / 255.0; CROP_SIDE_PX * CROP_SIDE_PX]).unwrap();
            let high = [Some(true), Some(false), None][index % 3];
            let measured = Hallmarks {
                protrusion_total_um: 0.5 * index as f64,
                protrusion_count: 2,
                scattering: 3.25,
                area_um2: 280.0,
            };
            let hallmarks = (!index.is_multiple_of(4)).then_some(measured);
            Reference::new(&format!("m901, cell {index}"), high, &crop, [index as f32; LATENT_LEN], hallmarks)
        };
        (0..count).map(cell).collect()
    }

    #[test]
    fn reference_cells_go_there_and_back_and_another_bundles_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), "a").unwrap().is_empty(), "a bundle needs none");
        let written = cells(19);
        write(folder.path(), "a", &written).unwrap();
        assert_eq!(read(folder.path(), "a").unwrap(), written);
        assert_eq!(read(folder.path(), "b").unwrap_err().code(), "references");
    }

    #[test]
    fn nearest_come_first() {
        let cells = cells(9);
        let found = nearest(&cells, &[3.2; LATENT_LEN], &[1.0; LATENT_LEN], 2);
        assert_eq!(found.iter().map(|it| it.0.latent[0]).collect::<Vec<_>>(), [3.0, 4.0]);
        assert!((found[0].1 - 0.2 * (LATENT_LEN as f64).sqrt()).abs() < 1e-5);
    }

    #[test]
    fn cells_along_a_feature_differ_in_it_and_hardly_in_the_others() {
        let mut cells = cells(12);
        for (index, cell) in cells.iter_mut().enumerate() {
            // Feature 3 runs from 0 to 5, each value twice; in the others every second cell is far away.
            cell.latent = [if index % 2 == 0 { 0.0 } else { 50.0 }; LATENT_LEN];
            cell.latent[2] = (index / 2) as f32;
        }
        let own = cells[4].latent;
        let found = along(&cells, &own, (3, &[-1.0, 0.0, 1.0, 2.5, 40.0]), &[1.0; LATENT_LEN]);
        let shifts: Vec<Option<f64>> = found.iter().map(|it| it.map(|it| it.1)).collect();
        assert_eq!(shifts, [Some(-1.0), Some(0.0), Some(1.0), None, None], "none within a quarter of the others");
        assert!(found.iter().flatten().all(|it| it.0.latent[0] == 0.0));
        // The second time round the far ones are all that is left.
        let twice = along(&cells, &own, (3, &[1.0, 1.0, 1.0]), &[1.0; LATENT_LEN]);
        assert_eq!(twice.iter().flatten().map(|it| it.0.latent[0]).collect::<Vec<_>>(), [0.0, 50.0]);
        assert_eq!(twice[2], None);
    }
}
