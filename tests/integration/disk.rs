//! The disk under the database fills up: work waits, nothing is lost, and it goes on by itself when there is room.

use crate::support::*;
use cytowatch::watch::filesystem::free_bytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of 16 MiB that is gone when this is dropped.
struct SmallDisk {
    folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with a word why, where nothing may be mounted.
    fn mount() -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("disk");
        fs::create_dir(&folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "cytowatch-test"]).arg(&folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder, _parent: parent }),
            _ => {
                eprintln!("skipped: a small disk cannot be mounted here (that takes root)");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Fills the disk until `left` bytes are free.
    fn fill(&self, left: u64) {
        let free = free_bytes(&self.folder).unwrap();
        fs::write(self.filler(), vec![1_u8; usize::try_from(free - left).unwrap()]).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn site_on(disk: &Path, min_free_bytes: u64) -> Site {
    let database = disk.join("cytowatch.db");
    let mut site = Site::new(&format!(
        "[instrument]\npixel_size_um = 0.325\n[store]\ndatabase = {database:?}\nmin_free_bytes = {min_free_bytes}"
    ));
    site.database = database;
    site
}

/// Fills the disk of a running daemon until it says `refusal`, makes room, and compares the end with an undisturbed run.
fn outlasts(min_free_bytes: u64, left: u64, refusal: &str) {
    let Some(disk) = SmallDisk::mount() else { return };
    let frames = film();
    let undisturbed = Site::new("[instrument]\npixel_size_um = 0.325");
    frames.iter().for_each(|frame| write_whole(&undisturbed.folder(), frame));
    undisturbed.backfill();

    let site = site_on(&disk.folder, min_free_bytes);
    let mut daemon = site.start();
    let address = daemon.ready();
    write_whole(&site.folder(), &frames[0]);
    wait_for("the first frame", || (site.frames("done") == 1).then_some(()));
    disk.fill(left);
    let noticed = || daemon.said().contains(refusal).then_some(());
    if left < min_free_bytes {
        wait_for("the pause before the disk is used up", noticed);
    }
    frames[1..].iter().for_each(|frame| write_whole(&site.folder(), frame));
    wait_for("the pause", noticed);
    let paused = get_json(&address, "/api/v1/status")["daemon"]["paused"].clone();
    assert!(paused.as_str().is_some_and(|why| why.contains("full")), "the status says why nothing moves: {paused}");
    assert!(site.frames("done") < frames.len());
    assert_eq!(site.frames("failed"), 0, "a full disk is not the frames' fault");

    disk.make_room();
    wait_for("all frames", || (site.frames("done") == frames.len()).then_some(()));
    assert!(daemon.stop().success());
    assert_eq!(site.whole_content(), undisturbed.whole_content());
    output_of(site.command("check").arg("--integrity"));
}

#[test]
fn a_disk_that_is_nearly_full_stops_admission_until_there_is_room() {
    outlasts(8 << 20, 4 << 20, "the database's disk is almost full");
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing() {
    outlasts(0, 300 << 10, "database or disk is full");
}
