//! Reads a frame's pixels again for the page: nothing is stored twice, so they come from the instrument's file.

use crate::frame::read::{self, ReadError};
use crate::serve::picture::{PictureFault, ReadFrame};
use crate::store::query::FrameSource;
use crate::watch::complete::Stamp;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A door that reads below `folder`, and nowhere else; and only a file that is still the one whose result is stored.
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
    let path = folder.join(below);
    let unchanged = || match Stamp::look(&path) {
        Ok(stamp) if is_as_stored(stamp, source) => Ok(()),
        Ok(_) => Err(PictureFault::Changed { path: source.path.clone() }),
        Err(_gone) => Err(gone()),
    };
    unchanged()?;
    let pixels = read::open(&path).map_err(failed)?.read(plane).map_err(failed)?;
    // Once more: it may have been rewritten while it was read.
    unchanged()?;
    Ok(pixels)
}

fn is_as_stored(stamp: Stamp, source: &FrameSource) -> bool {
    i64::try_from(stamp.size_bytes) == Ok(source.size_bytes) && stamp.modified_unix_ns == source.modified_unix_ns
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
        let inside = folder.join("inside.png");
        let stamp = Stamp::look(&inside).unwrap();
        let read = door(folder);
        let at = |path: &str| FrameSource {
            frame_id: FrameId(1),
            path: path.to_owned(),
            plane_index: 0,
            pixel_size_um: None,
            size_bytes: i64::try_from(stamp.size_bytes).unwrap(),
            modified_unix_ns: stamp.modified_unix_ns,
        };
        assert_eq!(read(&at("inside.png")).unwrap().counts(), [7.0; 12]);
        let absolute = outer.path().join("outside.png");
        for path in ["../outside.png", "none.png", absolute.to_str().unwrap()] {
            assert!(matches!(read(&at(path)), Err(PictureFault::Gone { .. } | PictureFault::Read { .. })), "{path}");
        }
        assert!(read(&at("")).is_err(), "the folder itself is no picture");
    }

    #[test]
    fn a_file_that_changed_since_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let write = |gray: u8| std::fs::write(&path, crate::picture::gray_png(4, 3, &[gray; 12]).unwrap()).unwrap();
        write(7);
        let stamp = Stamp::look(&path).unwrap();
        let source = |modified_unix_ns: i64, more_bytes: i64| FrameSource {
            frame_id: FrameId(1),
            path: "a.png".to_owned(),
            plane_index: 0,
            pixel_size_um: None,
            size_bytes: stamp.size_bytes as i64 + more_bytes,
            modified_unix_ns,
        };
        let read = door(folder.path().to_owned());
        assert_eq!(read(&source(stamp.modified_unix_ns, 0)).unwrap().counts(), [7.0; 12]);
        for (modified_unix_ns, more_bytes) in [(stamp.modified_unix_ns - 1, 0), (stamp.modified_unix_ns, 1)] {
            let fault = read(&source(modified_unix_ns, more_bytes)).unwrap_err();
            assert_eq!(fault.code(), "source_changed", "{fault}");
        }
    }
}
