//! How much the guard withholds: of good cells, and of crops on which no score may be shown.

use crate::cells::Crop;
use crate::evaluate::folder;
use crate::infer::{Model, Withheld};
use crate::learn::report::Guarded;
use crate::learn::strange;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Fields of each simulated strange kind.
const FIELDS: u64 = 6;
/// Crops that are described at a time.
const AT_ONCE: usize = 32;

/// The simulated strange kinds, then the pictures of `paths`, a row for every file or folder.
pub(super) fn measure(model: &mut Model, paths: &[PathBuf]) -> anyhow::Result<Vec<Guarded>> {
    let mut rows = Vec::new();
    for kind in strange::ALL {
        let crops: Vec<Crop> = (0..FIELDS).flat_map(|seed| kind.crops(seed)).collect();
        rows.push(row(&format!("simulated: {}", kind.name()), &judged(model, &crops)?));
    }
    for path in paths {
        let mut crops = Vec::new();
        for file in files(path)? {
            let plane = folder::plane(&file)?;
            crops.extend(strange::of_plane(&plane));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        rows.push(row(&name, &judged(model, &crops)?));
    }
    Ok(rows)
}

/// What became of the crops called `name`.
pub(super) fn row(name: &str, judged: &[Option<Withheld>]) -> Guarded {
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for why in judged.iter().flatten() {
        *reasons.entry(why.code()).or_default() += 1;
    }
    Guarded { name: name.to_owned(), crops: judged.len(), reasons }
}

fn judged(model: &mut Model, crops: &[Crop]) -> anyhow::Result<Vec<Option<Withheld>>> {
    let mut all = Vec::with_capacity(crops.len());
    for chunk in crops.chunks(AT_ONCE) {
        all.extend(model.describe(chunk)?.into_iter().map(|inference| inference.withheld));
    }
    Ok(all)
}

/// The pictures of a folder and the folders in it, sorted; a file stands for itself.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let read = || format!("read folder {}", path.display());
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(read)?;
    let mut inside: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    inside.sort();
    let mut all = Vec::new();
    for entry in inside {
        let picture = entry.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        if entry.is_dir() {
            all.extend(files(&entry)?);
        } else if picture.is_some_and(|e| ["png", "jpg", "jpeg", "tif", "tiff"].contains(&e.as_str())) {
            all.push(entry);
        }
    }
    Ok(all)
}
