//! Reference cells: what some of the cells that a model was trained on looked like, so that a new cell can be shown beside its nearest.
//!
//! ```text
//! bundle/  reference_cells.csv   name, class, bundle_sha256, z01 .. z56; one row per cell
//!          reference_cells.png   their crops at a quarter of the size, row after row
//! ```
//!
//! The two files are optional and no part of the bundle's identity; they name the bundle that described them, and a set of
//! another bundle is refused.

use super::ExplainError;
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::infer::{LATENT_LEN, Latent};
use crate::picture;
use std::fs;
use std::path::Path;

/// The table's file name.
pub const TABLE: &str = "reference_cells.csv";
/// The pictures' file name.
pub const SHEET: &str = "reference_cells.png";
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
}

impl Reference {
    /// From a crop and what the model says about it.
    pub fn new(name: &str, high: Option<bool>, crop: &Crop, latent: Latent) -> Self {
        Self { name: name.replace([',', '\n', '\r'], " "), high, latent, thumbnail: thumbnail(crop) }
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
    let mut table = format!("name,class,bundle_sha256,{}\r\n", features.join(","));
    for cell in cells {
        let class = cell.high.map_or("", |high| if high { "high" } else { "low" });
        let latent: Vec<String> = cell.latent.iter().map(ToString::to_string).collect();
        table.push_str(&format!("{},{class},{identity},{}\r\n", cell.name, latent.join(",")));
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
        let features: Vec<f32> = features.iter().filter_map(|text| text.parse().ok()).collect();
        let latent = features.try_into().map_err(|_| refused("a row does not hold 56 features"))?;
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
        cells.push(Reference { name: (*name).to_owned(), high, latent, thumbnail });
    }
    Ok(cells)
}

/// The `count` cells nearest to `latent` with their distances: Euclidean, each feature in units of `sd` (its standard deviation over
/// the training set).
pub fn nearest<'a>(cells: &'a [Reference], latent: &Latent, sd: &[f64], count: usize) -> Vec<(&'a Reference, f64)> {
    let distance = |cell: &Reference| {
        let features = cell.latent.iter().zip(latent).zip(sd);
        features.map(|((a, b), sd)| (f64::from(a - b) / sd.max(1e-6)).powi(2)).sum::<f64>().sqrt()
    };
    let mut found: Vec<(&Reference, f64)> = cells.iter().map(|cell| (cell, distance(cell))).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(count: usize) -> Vec<Reference> {
        let cell = |index: usize| {
            let crop = Crop::new(vec![index as f32 / 255.0; CROP_SIDE_PX * CROP_SIDE_PX]).unwrap();
            let high = [Some(true), Some(false), None][index % 3];
            Reference::new(&format!("m901, cell {index}"), high, &crop, [index as f32; LATENT_LEN])
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
}
