//! Reads a frame's pixels again for the page: nothing is stored twice, so they come from the instrument's file.

use crate::frame::read::{self, ReadError};
use crate::serve::picture::{PictureFault, ReadFrame};
use crate::store::query::FrameSource;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A door that reads below `folder`, and nowhere else.
pub fn door(folder: PathBuf) -> ReadFrame {
    Arc::new(move |source| reread(&folder, source))
}

fn reread(folder: &Path, source: &FrameSource) -> Result<crate::frame::Plane, PictureFault> {
    let gone = || PictureFault::Gone { path: source.path.clone() };
    let below = Path::new(&source.path);
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(gone());
    }
    let failed = |error: ReadError| match error {
        ReadError::Vanished { .. } => gone(),
        other => PictureFault::Read { path: source.path.clone(), why: super::chain(&other) },
    };
    let plane = usize::try_from(source.plane_index).map_err(|_negative| gone())?;
    read::open(&folder.join(below)).map_err(failed)?.read(plane).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FrameId;

    #[test]
    fn frames_are_read_below_the_folder_only() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("watched");
        std::fs::create_dir(&folder).unwrap();
        let png = crate::picture::gray_png(4, 3, &[7; 12]).unwrap();
        for name in ["outside.png", "watched/inside.png"] {
            std::fs::write(outer.path().join(name), &png).unwrap();
        }
        let read = door(folder);
        let at = |path: &str| FrameSource {
            frame_id: FrameId(1),
            path: path.to_owned(),
            plane_index: 0,
            pixel_size_um: None,
            size_bytes: 0,
            modified_unix_ns: 0,
        };
        assert_eq!(read(&at("inside.png")).unwrap().counts(), [7.0; 12]);
        let absolute = outer.path().join("outside.png");
        for path in ["../outside.png", "none.png", absolute.to_str().unwrap(), ""] {
            assert!(matches!(read(&at(path)), Err(PictureFault::Gone { .. } | PictureFault::Read { .. })), "{path}");
        }
    }
}
