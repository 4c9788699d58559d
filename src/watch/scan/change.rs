//! What a look at the watched folder can find.

use crate::frame::read::PlaneFacts;
use crate::watch::complete::Stamp;
use crate::watch::naming::FrameName;

/// One thing that became different.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Below the watched folder, folders separated by `/`.
    pub path: String,
    /// The file as it was then.
    pub stamp: Stamp,
    /// What became different.
    pub what: What,
}

/// What became different about a file.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Seen for the first time in this process.
    Seen {
        /// What its name says.
        name: FrameName,
    },
    /// Not to be taken yet; reported when the reason changes.
    Waiting {
        /// `changing`, `empty`, `truncated`, `corrupt`, `permission_denied`, `io` or another code of
        /// [`ReadError`](crate::frame::read::ReadError).
        reason: &'static str,
    },
    /// Planes that may be read now.
    Complete {
        /// What its name says.
        name: FrameName,
        /// The planes.
        planes: Vec<PlaneFacts>,
    },
    /// More planes of a file of which planes were handed over before.
    Grew {
        /// What its name says.
        name: FrameName,
        /// The new planes only.
        planes: Vec<PlaneFacts>,
    },
    /// The file was replaced or changed after its planes had been handed over: they count no more.
    Rewritten {
        /// What its name says.
        name: FrameName,
        /// All its planes now.
        planes: Vec<PlaneFacts>,
    },
    /// It is gone. When it comes back unchanged, nothing is reported; when it was unfinished, it is `Seen` again.
    Vanished,
    /// It cannot be used as it is. It is looked at anew when it changes.
    Failed {
        /// The stable code.
        code: &'static str,
        /// What to do about it.
        message: String,
    },
}

/// Something about the folder itself; none is fatal, the next scan tries again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Below the watched folder; empty for the folder itself.
    pub path: String,
    /// `folder_gone`, `folder_unreadable`, `too_deep`, `symlink_skipped` or `name_not_text`.
    pub code: &'static str,
}

/// What one scan found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scan {
    /// In the order of the paths.
    pub changes: Vec<Change>,
    /// What could not be looked at, in the order of the paths.
    pub problems: Vec<Problem>,
    /// Regular files met, whether they are frames or not.
    pub files: usize,
}
