//! One walk through the watched folder: cheap facts only, nothing is opened.
//!
//! Bounded in depth; links are not followed, so no loop and no way out of the folder; what cannot be read is said.

use crate::watch::complete::{Stamp, is_temporary_name};
use crate::watch::scan::{DEEPEST_FOLDER, Problem};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;

/// One walk through the folder.
#[derive(Default)]
pub(super) struct Walk {
    /// Regular files and their stamps, by path.
    pub(super) files: Vec<(String, Stamp)>,
    /// What could not be looked at, by path.
    pub(super) problems: Vec<Problem>,
}

impl Walk {
    /// Everything below `folder` now.
    pub(super) fn of(folder: &Path, alive: &mut dyn FnMut()) -> Self {
        let mut walk = Self::default();
        walk.folder(folder, "", 0, alive);
        walk.files.sort_by(|left, right| left.0.cmp(&right.0));
        walk.problems.sort();
        walk
    }

    /// Whether `path` may be there without having been met: it lies in a folder that could not be read.
    pub(super) fn hides(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| {
            problem.path.is_empty()
                || path.strip_prefix(problem.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    fn folder(&mut self, folder: &Path, relative: &str, depth: usize, alive: &mut dyn FnMut()) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                // A folder below that went away between two steps is nothing to report.
                if relative.is_empty() || !gone {
                    self.problem(relative, if gone { "folder_gone" } else { "folder_unreadable" });
                }
                return;
            }
        };
        for entry in entries {
            alive();
            let Ok(entry) = entry else {
                // The listing broke off: what has not been listed is not gone.
                self.problem(relative, "folder_unreadable");
                return;
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.problem(&format!("{relative}/{}", name.to_string_lossy()), "name_not_text");
                continue;
            };
            if is_temporary_name(name) {
                continue;
            }
            let path = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
            // Without following links. A file that is gone by now is left out.
            let Ok(facts): Result<Metadata, _> = entry.metadata() else { continue };
            if facts.is_file() {
                self.files.push((path, Stamp::of(&facts)));
            } else if facts.is_symlink() {
                self.problem(&path, "symlink_skipped");
            } else if facts.is_dir() && depth >= DEEPEST_FOLDER {
                self.problem(&path, "too_deep");
            } else if facts.is_dir() {
                self.folder(&entry.path(), &path, depth + 1, alive);
            }
        }
    }

    fn problem(&mut self, path: &str, code: &'static str) {
        self.problems.push(Problem { path: path.to_owned(), code });
    }
}
