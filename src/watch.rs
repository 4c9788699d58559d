//! The watched folder: which frames are there and which may be read.
//!
//! Takes the instrument's folder, gives [`scan::Change`]s. Events ([`hint`]) only wake the scanner; a scan is the
//! truth. Nothing in the folder is ever written, renamed, locked or deleted.
//!
//! ```text
//! kernel events --> hint --(wake)--> scan --> Seen, Waiting(reason), Complete(planes), Grew, Rewritten, Vanished, Failed(code)
//!                                     |  uses
//!        naming: path -> fov, time .. | complete: the settle rule | frame::read: is the structure whole
//! ```
//!
//! The loop that a caller runs: `scan` at the start, every [`WatchSettings::rescan`] and on [`hint::Hint::Rescan`];
//! `poke` on [`hint::Hint::Path`]; `look_again` at `next_look_at`. After reading a frame's pixels the caller compares
//! [`complete::Stamp::look`] with the change's stamp and drops the pixels unless [`complete::Stamp::is_same`].

pub mod complete;
pub mod doctor;
pub mod filesystem;
pub mod hint;
pub mod naming;
pub mod scan;

use crate::watch::complete::Patience;
use crate::watch::naming::{Naming, TemplateError};
use crate::watch::scan::Rules;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the watched folder, `[watch]`. Durations are texts with units: `"250ms"`, `"5s"`, `"1m 30s"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// The folder that the instrument writes to. Empty: must be given.
    pub folder: PathBuf,
    /// File-name templates or preset names (see [`naming`]), tried in order.
    pub templates: Vec<String>,
    /// Templates of files that are on purpose not analysed.
    pub ignore: Vec<String>,
    /// How long a file must be unchanged before it counts as complete, when no event said that it was closed.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub settle: Duration,
    /// As `settle`, on a share, where sizes and times arrive late.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub settle_share: Duration,
    /// How long a file may be unchanged and not whole before it is failed. It is taken up again when it changes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub give_up: Duration,
    /// Time between full scans on a local disk, where events wake the scanner in between.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub rescan_local: Duration,
    /// Time between full scans on a share (NFS, SMB, FUSE, 9p), where there are no events.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub rescan_share: Duration,
    /// Listen to the kernel's events on a local disk; without them the rescans alone find the frames.
    pub events: bool,
    /// Files above this size are failed as `too_large` without being opened, bytes.
    pub max_file_bytes: u64,
    /// The phase-contrast channel, as in the file name or the container; frames of other channels are skipped.
    /// Empty: every frame is phase contrast.
    pub channel: String,
}

impl Default for WatchSettings {
    fn default() -> Self {
        let text = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Self {
            folder: PathBuf::new(),
            templates: text(&["s-t", "micro-manager", "nikon-export", "t-number"]),
            ignore: text(&["**.txt", "**.xml", "**.json", "**.csv", "**.log", "**.md", "**.db", "**.ini"]),
            settle: Duration::from_millis(250),
            settle_share: Duration::from_secs(2),
            give_up: Duration::from_mins(1),
            rescan_local: Duration::from_secs(5),
            rescan_share: Duration::from_secs(30),
            events: true,
            max_file_bytes: 64 << 30,
            channel: String::new(),
        }
    }
}

impl WatchSettings {
    /// Time between full scans on a file system of this kind.
    pub fn rescan(&self, kind: filesystem::Kind) -> Duration {
        if kind.is_network() { self.rescan_share } else { self.rescan_local }
    }

    /// The scanner's rules on a file system of this kind.
    ///
    /// # Errors
    /// The first template that cannot be used.
    pub fn rules(&self, kind: filesystem::Kind) -> Result<Rules, TemplateError> {
        let settle = if kind.is_network() { self.settle_share } else { self.settle };
        Ok(Rules {
            naming: Naming::new(&self.templates, &self.ignore)?,
            patience: Patience { settle, give_up: self.give_up.max(settle) },
            max_file_bytes: self.max_file_bytes,
            inodes_are_stable: !kind.is_network(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_texts_with_units_and_unknown_keys_are_refused() {
        let read = |text: &str| serde_json::from_str::<WatchSettings>(text);
        assert_eq!(read("{}").unwrap(), WatchSettings::default());
        let some = read(r#"{"settle": "400ms", "rescan_share": "1m 30s", "folder": "/data"}"#).unwrap();
        assert_eq!((some.settle, some.rescan_share), (Duration::from_millis(400), Duration::from_secs(90)));
        assert!(read(r#"{"setle": "400ms"}"#).unwrap_err().to_string().contains("setle"));
        assert!(read(r#"{"settle": 400}"#).is_err());
        let written = serde_json::to_string(&WatchSettings::default()).unwrap();
        assert!(written.contains(r#""settle":"250ms""#), "{written}");
        assert_eq!(read(&written).unwrap(), WatchSettings::default());
    }

    #[test]
    fn a_share_is_given_more_time() {
        let settings = WatchSettings::default();
        let (local, share) = (filesystem::Kind::Ext4, filesystem::Kind::Nfs);
        assert!(settings.rules(local).unwrap().patience.settle < settings.rules(share).unwrap().patience.settle);
        assert!(settings.rescan(local) < settings.rescan(share));
    }
}
