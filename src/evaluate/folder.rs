//! Pictures in folders.

use crate::frame::{Plane, read};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// The pictures of a folder in the order of their names, or `path` itself when it is a file.
///
/// # Errors
/// When the folder cannot be read or holds no TIFF, PNG or JPEG.
pub fn pictures(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let about = || format!("list {}", path.display());
    if !std::fs::metadata(path).with_context(about)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(about)? {
        let path = entry.with_context(about)?.path();
        let kind = path.extension().map(|kind| kind.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if matches!(kind.as_str(), "tif" | "tiff" | "png" | "jpg" | "jpeg") {
            files.push(path);
        }
    }
    anyhow::ensure!(!files.is_empty(), "no TIFF, PNG or JPEG in {}", path.display());
    files.sort();
    Ok(files)
}

/// The first plane of a file.
///
/// # Errors
/// When the file cannot be read.
pub fn plane(path: &Path) -> anyhow::Result<Plane> {
    let mut source = read::open(path).with_context(|| format!("open {}", path.display()))?;
    source.read(0).with_context(|| format!("read {}", path.display()))
}
