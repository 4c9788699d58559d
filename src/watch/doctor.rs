//! Measures a folder before a long run: what watching it will be like, and which settings fit.
//!
//! Takes a folder, gives a [`Report`]. What is already there is only listed, never opened or changed. Where the folder
//! may be written to, the measurements write into one hidden folder of their own ([`PROBE_PREFIX`]), which watchers
//! leave alone, and remove it at the end, also after an error.

mod probe;

use crate::watch::WatchSettings;
use crate::watch::complete::is_temporary_name;
use crate::watch::filesystem::{self, Kind};
use crate::watch::naming::{Naming, PRESETS, TemplateError};
use crate::watch::scan::{Rules, Scanner};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

pub use probe::{Events, PROBE_PREFIX, Probed};

/// Names listed of those that fit no template.
const NAMES_SHOWN: usize = 3;
/// A full scan may take this share of the time between two.
const SCAN_SHARE: u32 = 20;

/// Why a folder could not be examined.
#[derive(Debug, Error)]
pub enum DoctorError {
    /// The folder is not there or may not be looked at.
    #[error("{folder} cannot be looked at: check the path, the mount and its access rights")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file took its place.
    #[error("{folder} is not a folder")]
    NotAFolder {
        /// What was given.
        folder: PathBuf,
    },
    /// The probe folder could not be removed.
    #[error("{left} could not be removed: remove it by hand")]
    LeftBehind {
        /// What is left.
        left: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A template that cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// How well a list of templates fits the names that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// The preset's name, or the templates that were given.
    pub templates: Vec<String>,
    /// Image files that fit.
    pub fitting: usize,
    /// Some that do not.
    pub others: Vec<String>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// Kind of file system.
    pub file_system: &'static str,
    /// Whether other machines may write there unseen.
    pub is_network: bool,
    /// Space left, bytes.
    pub free_bytes: Option<u64>,
    /// Regular files in it, at any depth.
    pub files: usize,
    /// Those with an image's ending.
    pub images: usize,
    /// Time that one full scan took, ms.
    pub scan_ms: f64,
    /// What could not be looked at: path and code.
    pub problems: Vec<(String, &'static str)>,
    /// The templates that fit most image names; `None` without image names.
    pub fit: Option<Fit>,
    /// Measured by writing; `None` when not asked for or not allowed to.
    pub probed: Option<Probed>,
    /// Why there are no measurements by writing.
    pub not_probed: Option<String>,
    /// Probe folders that an interrupted earlier run left; safe to remove by hand.
    pub leftovers: Vec<PathBuf>,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Whether to write into the folder.
    pub write: bool,
    /// How much to write for the write rate, bytes.
    pub write_bytes: u64,
    /// Templates to try first; empty: the presets.
    pub templates: Vec<String>,
}

/// Examines `folder`.
///
/// # Errors
/// [`DoctorError`]; what cannot be measured by writing is said in the report instead.
pub fn examine(folder: &Path, what: &Examination) -> Result<Report, DoctorError> {
    let failed = |source| DoctorError::Folder { folder: folder.to_path_buf(), source };
    if !std::fs::metadata(folder).map_err(failed)?.is_dir() {
        return Err(DoctorError::NotAFolder { folder: folder.to_path_buf() });
    }
    let kind = Kind::of(folder).map_err(failed)?;
    let (paths, problems, scan_time) = list(folder)?;
    let images: Vec<&String> = paths.iter().filter(|path| is_image_name(path)).collect();
    let fit = best_fit(&images, &what.templates)?;
    let leftovers = leftovers(folder).map_err(failed)?;
    let (probed, not_probed) = if what.write {
        match probe::probe(folder, kind, what.write_bytes) {
            Ok(probed) => (Some(probed), None),
            Err(probe::ProbeError::LeftBehind { left, source }) => {
                return Err(DoctorError::LeftBehind { left, source });
            }
            Err(probe::ProbeError::Io(error)) => (None, Some(format!("writing was refused: {error}"))),
        }
    } else {
        (None, Some("not asked for (--read-only)".to_owned()))
    };
    Ok(Report {
        folder: folder.to_path_buf(),
        file_system: kind.name(),
        is_network: kind.is_network(),
        free_bytes: filesystem::free_bytes(folder).ok(),
        files: paths.len(),
        images: images.len(),
        scan_ms: scan_time.as_secs_f64() * 1e3,
        problems,
        fit,
        probed,
        not_probed,
        leftovers,
    })
}

type Listing = (Vec<String>, Vec<(String, &'static str)>, Duration);

/// All regular files by path, as the daemon's scanner meets them.
fn list(folder: &Path) -> Result<Listing, DoctorError> {
    let mut rules: Rules = WatchSettings::default().rules(Kind::Ext4)?;
    rules.naming = Naming::new(&["**".to_owned()], &[])?;
    let mut scanner = Scanner::new(folder.to_path_buf(), rules);
    let began = Instant::now();
    let scan = scanner.scan(Duration::ZERO, &mut || ());
    let took = began.elapsed();
    let mut paths: Vec<String> = scan.changes.into_iter().map(|change| change.path).collect();
    paths.dedup();
    Ok((paths, scan.problems.into_iter().map(|problem| (problem.path, problem.code)).collect(), took))
}

fn is_image_name(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".btf"].iter().any(|ending| lower.ends_with(ending))
}

fn best_fit(images: &[&String], given: &[String]) -> Result<Option<Fit>, DoctorError> {
    let candidates: Vec<Vec<String>> = if given.is_empty() {
        PRESETS.iter().map(|(name, _)| vec![(*name).to_owned()]).collect()
    } else {
        vec![given.to_vec()]
    };
    let mut best: Option<Fit> = None;
    for templates in candidates {
        let naming = Naming::new(&templates, &[])?;
        let others = || images.iter().filter(|path| naming.parse(path).is_err());
        let fitting = images.len() - others().count();
        if best.as_ref().is_none_or(|best| fitting > best.fitting) {
            let others = others().take(NAMES_SHOWN).map(|path| (*path).clone()).collect();
            best = Some(Fit { templates, fitting, others });
        }
    }
    Ok(best.filter(|_| !images.is_empty()))
}

fn leftovers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PROBE_PREFIX) && is_temporary_name(name)) {
            left.push(entry.path());
        }
    }
    left.sort();
    Ok(left)
}

impl Report {
    /// The settings that fit what was measured; everything else as shipped.
    pub fn settings(&self) -> WatchSettings {
        let mut settings = WatchSettings { folder: self.folder.clone(), ..WatchSettings::default() };
        let scan = Duration::from_secs_f64(self.scan_ms / 1e3);
        let calm = Duration::from_secs((scan * SCAN_SHARE).as_secs_f64().ceil() as u64);
        settings.rescan_local = settings.rescan_local.max(calm);
        settings.rescan_share = settings.rescan_share.max(calm);
        if let Some(fit) = self.fit.as_ref().filter(|fit| fit.fitting > 0) {
            settings.templates.clone_from(&fit.templates);
        }
        if let Some(probed) = &self.probed {
            // A change within one step of the clock cannot be seen: two steps tell it for sure.
            let steps = Duration::from_millis((2.0 * probed.clock_step_ms).ceil() as u64);
            settings.settle = settings.settle.max(steps);
            settings.settle_share = settings.settle_share.max(steps);
            settings.events = !matches!(probed.events, Events::Missing);
        }
        settings
    }

    /// The settings as the `[watch]` section of a configuration; only what matters for this folder.
    pub fn watch_section(&self) -> String {
        let settings = self.settings();
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let list: Vec<String> = settings.templates.iter().map(|template| text(template)).collect();
        let (settle, rescan) = if self.is_network {
            (("settle_share", settings.settle_share), ("rescan_share", settings.rescan_share))
        } else {
            (("settle", settings.settle), ("rescan_local", settings.rescan_local))
        };
        format!(
            "[watch]\nfolder = {}\ntemplates = [{}]\nevents = {}\n{} = \"{}ms\"\n{} = \"{}s\"\n",
            text(&self.folder.to_string_lossy()),
            list.join(", "),
            settings.events,
            settle.0,
            settle.1.as_millis(),
            rescan.0,
            rescan.1.as_secs(),
        )
    }

    /// The report for people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "file system   {}{}{}",
            self.file_system,
            if self.is_network { ", a share: polled, no events for what other machines write" } else { ", local" },
            self.free_bytes.map_or_else(String::new, |free| format!(", {:.1} GB free", free as f64 / 1e9)),
        )];
        lines.push(format!("files         {} ({} images), one scan {:.1} ms", self.files, self.images, self.scan_ms));
        for (path, code) in &self.problems {
            lines.push(format!("              {code}: {}", if path.is_empty() { "the folder itself" } else { path }));
        }
        match &self.fit {
            Some(fit) => {
                let names = fit.templates.join(", ");
                lines.push(format!("names         {} of {} images fit {names}", fit.fitting, self.images));
                lines.extend(fit.others.iter().map(|other| format!("              does not fit: {other}")));
            }
            None => lines.push("names         no images yet, so no template can be suggested".to_owned()),
        }
        match (&self.probed, &self.not_probed) {
            (Some(probed), _) => lines.extend(probed.lines()),
            (None, reason) => lines.push(format!("by writing    not measured: {}", reason.as_deref().unwrap_or("-"))),
        }
        lines.extend(self.leftovers.iter().map(|left| {
            format!("left over     {} from an interrupted earlier examination; it may be removed", left.display())
        }));
        if self.probed.is_some() {
            lines.push("left behind   nothing: the probe folder is removed".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn examination(write: bool) -> Examination {
        Examination { write, write_bytes: 1 << 20, templates: Vec::new() }
    }

    fn listing(folder: &Path) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_local_folder_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        for time in 0..5 {
            fs::write(folder.path().join(format!("A375_s1_t{time}.tif")), "x").unwrap();
        }
        fs::write(folder.path().join("holiday.png"), "x").unwrap();
        let before = listing(folder.path());
        let report = examine(folder.path(), &examination(true)).unwrap();
        println!("{}\n{}", report.lines().join("\n"), report.watch_section());
        assert_eq!(listing(folder.path()), before);
        assert_eq!((report.files, report.images), (6, 6));
        let fit = report.fit.clone().unwrap();
        assert_eq!(
            (fit.templates, fit.fitting, fit.others),
            (vec!["s-t".to_owned()], 5, vec!["holiday.png".to_owned()])
        );
        let probed = report.probed.clone().unwrap();
        assert!(probed.write_mb_per_s > 0.0 && probed.clock_step_ms > 0.0 && probed.rename_keeps_inode);
        assert!(probed.clock_offset_ms.abs() < 2000.0, "{probed:?}");
    }

    #[test]
    fn reading_only_writes_nothing_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let modified = fs::metadata(folder.path()).unwrap().modified().unwrap();
        let report = examine(folder.path(), &examination(false)).unwrap();
        assert!(report.probed.is_none() && report.lines().join("\n").contains("--read-only"));
        assert_eq!(fs::metadata(folder.path()).unwrap().modified().unwrap(), modified);
    }

    #[test]
    fn the_suggested_settings_follow_the_measurements() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = examine(folder.path(), &examination(true)).unwrap();
        report.scan_ms = 700.0;
        let probed = report.probed.as_mut().unwrap();
        probed.events = Events::Missing;
        probed.clock_step_ms = 2000.0;
        let settings = report.settings();
        assert_eq!(settings.rescan_local, Duration::from_secs(14));
        assert_eq!(settings.settle, Duration::from_secs(4));
        assert!(!settings.events);
        let section = report.watch_section();
        assert!(section.contains("events = false\nsettle = \"4000ms\"\nrescan_local = \"14s\""), "{section}");
    }

    #[test]
    fn no_folder_is_an_error_that_says_what_to_check() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        assert!(examine(&gone, &examination(true)).unwrap_err().to_string().contains("check the path"));
        fs::write(&gone, "x").unwrap();
        assert!(matches!(examine(&gone, &examination(true)), Err(DoctorError::NotAFolder { .. })));
    }

    #[test]
    fn leftovers_of_a_killed_run_are_named_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("{PROBE_PREFIX}1"));
        fs::create_dir(&left).unwrap();
        let report = examine(folder.path(), &examination(false)).unwrap();
        assert_eq!(report.leftovers, std::slice::from_ref(&left));
        assert!(left.is_dir());
    }
}
