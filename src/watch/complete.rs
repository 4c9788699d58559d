//! When a file counts as complete: the settle rule, pure.
//!
//! Takes looks at a file (its [`Stamp`] and, when that holds still, what its structure says) and the time of each
//! look; gives whether its planes may be taken. Promises: a file is never taken on one look without a reason, and no
//! decision compares the file's clock with ours - only whether a stamp has *changed* counts, timed by our own clock.
//!
//! ```text
//!             stamp changed                      structure whole, still for `settle`
//!   (start) --------------> changing ----------------------------------------> complete
//!                 ^            |  still for `settle`, structure not whole          |
//!                 |            v                                                   |
//!                 +------- waiting(empty | truncated | corrupt | ...)              |
//!                 |            |  still for `give_up`                              |
//!                 |            v                                                   |
//!                 +------- failed(code) <-- stamp changed: looked at anew ---------+
//! ```
//!
//! # The short cut for closed and renamed files
//!
//! The kernel's "closed after writing" and "renamed to" events say that a writer has finished *for now*. Then the
//! two looks may follow each other at once, **if** the structure is whole. This is safe because three things would
//! have to fail together for a half-written frame to be taken: the structure is whole (every strip lies inside the
//! file), the writer has closed or renamed it, and [`Stamp`] is equal before opening and after reading (the caller
//! looks again; see [`Stamp::look`]). A writer that closes and reopens a file to go on changes the stamp and so
//! brings the file back as rewritten. A file that merely *appears* with an old modification time gets no short cut: copying
//! tools that preserve times (`cp -p`, `rsync -t`, SMB clients) set an old time on files that are not whole yet, so
//! age is never evidence.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// What identifies one state of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Size, bytes.
    pub size_bytes: u64,
    /// Modification time by the clock of the file's own machine, ns since 1970; only compared for equality.
    pub modified_unix_ns: i64,
    /// The file's number on its file system; a file renamed over another has a different one.
    pub inode: u64,
}

impl Stamp {
    /// Stands for an unknown inode: equal to every other.
    pub const ANY_INODE: u64 = 0;

    /// Whether `other` is the same state of the same file, as far as both are known.
    pub fn is_same(self, other: Self) -> bool {
        self.size_bytes == other.size_bytes
            && self.modified_unix_ns == other.modified_unix_ns
            && self.is_same_inode(other)
    }

    fn is_same_inode(self, other: Self) -> bool {
        self.inode == other.inode || self.inode == Self::ANY_INODE || other.inode == Self::ANY_INODE
    }

    /// The stamp within `metadata`.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified_unix_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Looks at `path` now. Call it again after reading: unless both are equal, what was read is not to be used.
    ///
    /// # Errors
    /// When the file is gone or may not be looked at.
    pub fn look(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// Whether `later` can be this file after more has been appended to it.
    pub fn may_have_grown_to(self, later: Self) -> bool {
        self.is_same_inode(later) && later.size_bytes >= self.size_bytes
    }
}

/// What an event said about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing, or only that it changed.
    None,
    /// Its writer closed it, or it was renamed into place.
    Closed,
}

/// What is remembered of a file between looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stillness {
    stamp: Stamp,
    since: Duration,
}

/// How long has the file to hold still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between the two looks that show the same stamp.
    pub settle: Duration,
    /// Until a file that is still but not whole is given up (until it changes).
    pub give_up: Duration,
}

/// What one look says, before the file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is still changing, or was seen for the first time: look again at the given time.
    Changing {
        /// By the clock that `now` is of.
        look_again_at: Duration,
    },
    /// It has held still for long enough to ask for its structure.
    Still {
        /// Whether it has been still for so long that what is not whole now is given up.
        given_up: bool,
    },
}

impl Stillness {
    /// The first look, at `now` (any steady clock).
    pub fn begin(stamp: Stamp, now: Duration) -> Self {
        Self { stamp, since: now }
    }

    /// Since when the stamp is what it is.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// The stamp of the last look.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A further look at `now`.
    pub fn look(&mut self, stamp: Stamp, now: Duration, evidence: Evidence, patience: Patience) -> Look {
        if stamp != self.stamp {
            *self = Self::begin(stamp, now);
        }
        let still_for = now.saturating_sub(self.since);
        if still_for >= patience.settle || evidence == Evidence::Closed {
            Look::Still { given_up: still_for >= patience.give_up }
        } else {
            Look::Changing { look_again_at: self.since.saturating_add(patience.settle) }
        }
    }
}

/// Whether `name` is a name that writers and copying tools give to files that are not finished, or that desktop
/// software leaves behind: such files are not looked at until they are renamed.
pub fn is_temporary_name(name: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        ".tmp",
        ".temp",
        ".part",
        ".partial",
        ".filepart",
        ".crdownload",
        ".download",
        ".opdownload",
        ".!ut",
        ".swp",
        ".lock",
        ".writing",
        ".incomplete",
        ".inprogress",
    ];
    let lower = name.to_ascii_lowercase();
    name.starts_with(['.', '~'])
        || name.ends_with('~')
        || matches!(lower.as_str(), "thumbs.db" | "desktop.ini")
        || ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Patience = Patience { settle: Duration::from_millis(250), give_up: Duration::from_mins(1) };

    fn stamp(size_bytes: u64, modified_unix_ns: i64) -> Stamp {
        Stamp { size_bytes, modified_unix_ns, inode: 7 }
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_file_that_holds_still_is_asked_for_its_structure_after_the_settle_time() {
        let mut file = Stillness::begin(stamp(10, 1), ms(0));
        assert_eq!(
            file.look(stamp(10, 1), ms(249), Evidence::None, PATIENCE),
            Look::Changing { look_again_at: ms(250) }
        );
        assert_eq!(file.look(stamp(10, 1), ms(250), Evidence::None, PATIENCE), Look::Still { given_up: false });
        assert_eq!(file.look(stamp(10, 1), ms(60_000), Evidence::None, PATIENCE), Look::Still { given_up: true });
    }

    #[test]
    fn any_change_starts_the_wait_anew_even_at_the_same_size() {
        let mut file = Stillness::begin(stamp(10, 1), ms(0));
        for (next, at) in [(stamp(11, 1), 1000), (stamp(11, 2), 2000), (Stamp { inode: 8, ..stamp(11, 2) }, 3000)] {
            assert_eq!(
                file.look(next, ms(at), Evidence::None, PATIENCE),
                Look::Changing { look_again_at: ms(at + 250) }
            );
        }
    }

    #[test]
    fn a_closed_file_needs_no_second_wait() {
        let mut file = Stillness::begin(stamp(10, 1), ms(0));
        assert_eq!(file.look(stamp(12, 1), ms(1), Evidence::Closed, PATIENCE), Look::Still { given_up: false });
    }

    #[test]
    fn a_clock_that_went_back_only_delays() {
        let mut file = Stillness::begin(stamp(10, 1), ms(5000));
        assert!(matches!(file.look(stamp(10, 1), ms(10), Evidence::None, PATIENCE), Look::Changing { .. }));
    }

    #[test]
    fn names_of_unfinished_files_are_known() {
        for name in
            ["a.tif.tmp", "a.tif.part", ".a.tif.x3Fq", "a.tif~", "~a.tif", "A.TIF.PARTIAL", "a.crdownload", "Thumbs.db"]
        {
            assert!(is_temporary_name(name), "{name}");
        }
        for name in ["a.tif", "part.tif", "tmp_01.tif", "s1_t2.ome.tif"] {
            assert!(!is_temporary_name(name), "{name}");
        }
    }

    proptest! {
        /// Whatever the stamps and the times of the looks: without a close event, a file is only taken when two looks
        /// at least `settle` apart showed the same stamp with no other in between.
        #[test]
        fn no_order_of_looks_takes_a_file_that_did_not_hold_still(
            looks in proptest::collection::vec((0_u64..4, 0_u64..400), 2..40)
        ) {
            let mut now = 0;
            let mut history: Vec<(u64, u64)> = Vec::new();
            let mut file: Option<Stillness> = None;
            for (size, wait_ms) in looks {
                now += wait_ms;
                let seen = stamp(size, 0);
                let taken = match file.as_mut() {
                    None => { file = Some(Stillness::begin(seen, ms(now))); false }
                    Some(it) => matches!(it.look(seen, ms(now), Evidence::None, PATIENCE), Look::Still { .. }),
                };
                history.push((now, size));
                if taken {
                    let run: Vec<_> = history.iter().rev().take_while(|(_, other)| *other == size).collect();
                    prop_assert!(run.len() >= 2 && now - run[run.len() - 1].0 >= 250);
                }
            }
        }
    }
}
