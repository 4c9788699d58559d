//! The pictures of the public sets that have outlines, as training material.

use super::folder;
use super::paint::LabelPicture;
use super::sets::{self, Kind, Set, Truth};
use crate::frame::Plane;
use crate::units::Um;
use std::path::Path;

/// Of a film, about this many frames are taken, evenly spread: neighbours are nearly the same picture.
const FRAMES_OF_A_FILM: usize = 12;

/// A picture and its true outlines.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The picture.
    pub plane: Plane,
    /// Its outlines, of the same size.
    pub truth: LabelPicture,
    /// A band of this many px is not annotated.
    pub border_px: usize,
    /// Hint of a cell's width, um.
    pub cell_diameter_um: Um,
}

/// The pictures of `set` that have outlines; none for a set of boxes.
///
/// # Errors
/// When the set's files cannot be read.
pub fn pictures(set: &Set, data: &Path) -> anyhow::Result<Vec<Labelled>> {
    let mut found = Vec::new();
    if let Kind::Film { frames, outlines, border_px, .. } = set.kind {
        let root = data.join(set.name);
        let (frames, outlines) = (folder::pictures(&root.join(frames))?, folder::pictures(&root.join(outlines))?);
        let every = outlines.len().div_ceil(FRAMES_OF_A_FILM).max(1);
        for outline in outlines.iter().step_by(every) {
            let time = outline.file_stem().unwrap_or_default().to_string_lossy().replace("man_seg", "t");
            if let Some(frame) = frames.iter().find(|frame| frame.file_stem().is_some_and(|stem| *stem == *time)) {
                let (truth, cell_diameter_um) = (sets::labels(outline)?, set.hint_um(frame));
                found.push(Labelled { plane: folder::plane(frame)?, truth, border_px, cell_diameter_um });
            }
        }
        return Ok(found);
    }
    for still in sets::stills(set, data)? {
        if let Truth::Labels(truth) = still.truth {
            let cell_diameter_um = set.hint_um(&still.path);
            found.push(Labelled { plane: folder::plane(&still.path)?, truth, border_px: 0, cell_diameter_um });
        }
    }
    Ok(found)
}
