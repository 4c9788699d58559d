use super::*;
use std::fs::{self, File};
use std::io::Write as _;
use std::time::Instant;

const SETTLE: Duration = Duration::from_millis(250);
const GIVE_UP: Duration = Duration::from_mins(1);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn rules() -> Rules {
    Rules {
        naming: Naming::new(
            &["**/s{fov}_t{time}.tif".to_owned(), "s{fov}_t{time}.tif".to_owned()],
            &["**.txt".to_owned()],
        )
        .unwrap(),
        patience: Patience { settle: SETTLE, give_up: GIVE_UP },
        max_file_bytes: 1 << 30,
        inodes_are_stable: true,
    }
}

fn watched() -> (tempfile::TempDir, Scanner) {
    let folder = tempfile::tempdir().unwrap();
    let scanner = Scanner::new(folder.path().to_path_buf(), rules());
    (folder, scanner)
}

/// A little-endian 16-bit TIFF of `pages` pages of 8 x 6 pixels: for each page its directory, then its two strips.
pub(crate) fn tiff(pages: u32, value: u16) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(8_u32.to_le_bytes());
    let pixels: u32 = 8 * 6 * 2;
    for page in 0..pages {
        let start = bytes.len() as u32;
        let entries: [(u16, u16, u32, u32); 9] = [
            (256, 3, 1, 8),
            (257, 3, 1, 6),
            (258, 3, 1, 16),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, 2, start + 2 + 9 * 12 + 4),
            (277, 3, 1, 1),
            (278, 3, 1, 3),
            (279, 4, 2, start + 2 + 9 * 12 + 4 + 8),
        ];
        let data = start + 2 + 9 * 12 + 4 + 16;
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, number) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        let next = if page + 1 < pages { data + pixels } else { 0 };
        bytes.extend(next.to_le_bytes());
        for number in [data, data + pixels / 2, pixels / 2, pixels / 2] {
            bytes.extend(number.to_le_bytes());
        }
        for pixel in 0..pixels / 2 {
            bytes.extend((value + pixel as u16 + 1).to_le_bytes());
        }
    }
    bytes
}

/// The words of the changes, path and what.
fn words(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| {
            let what = match &change.what {
                What::Seen { name } => format!("seen fov {:?} time {:?}", name.fov, name.time_index),
                What::Waiting { reason } => format!("waiting {reason}"),
                What::Complete { planes, .. } => format!("complete {}", planes.len()),
                What::Grew { planes, .. } => {
                    format!("grew {:?}", planes.iter().map(|plane| plane.index).collect::<Vec<_>>())
                }
                What::Rewritten { planes, .. } => format!("rewritten {}", planes.len()),
                What::Vanished => "vanished".to_owned(),
                What::Failed { code, .. } => format!("failed {code}"),
            };
            format!("{} {what}", change.path)
        })
        .collect()
}

#[test]
fn a_file_is_complete_one_settle_time_after_it_was_seen_and_is_reported_once() {
    let (folder, mut scanner) = watched();
    fs::write(folder.path().join("s1_t2.tif"), tiff(1, 0)).unwrap();
    let seen = scanner.scan(ms(0), &mut || ()).changes;
    assert_eq!(words(&seen), ["s1_t2.tif seen fov Some(\"1\") time Some(2)", "s1_t2.tif waiting changing"]);
    assert_eq!(scanner.next_look_at(), Some(SETTLE));
    assert!(scanner.look_again(ms(249)).is_empty());
    assert_eq!(words(&scanner.look_again(ms(250))), ["s1_t2.tif complete 1"]);
    assert!(scanner.scan(ms(9000), &mut || ()).changes.is_empty());
    assert_eq!(scanner.next_look_at(), None);
}

#[test]
fn a_closed_file_is_complete_at_the_event() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, tiff(1, 0)).unwrap();
    let changes = scanner.poke(&path, true, ms(0));
    assert_eq!(words(&changes), ["s1_t2.tif seen fov Some(\"1\") time Some(2)", "s1_t2.tif complete 1"]);
    assert!(changes[1].stamp.is_same(Stamp::look(&path).unwrap()));
}

#[test]
fn no_prefix_of_a_tiff_is_taken_however_still_or_closed() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    let whole = tiff(1, 0);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        for change in scanner.poke(&path, true, ms(length as u64)) {
            assert!(
                matches!(change.what, What::Seen { .. } | What::Waiting { .. }),
                "{length} of {}: {change:?}",
                whole.len()
            );
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(9000))), ["s1_t2.tif complete 1"]);
}

#[test]
fn temporary_names_wait_for_their_rename() {
    let (folder, mut scanner) = watched();
    let (hidden, last) = (folder.path().join("s1_t2.tif.tmp"), folder.path().join("s1_t2.tif"));
    fs::write(&hidden, tiff(1, 0)).unwrap();
    assert!(scanner.scan(ms(0), &mut || ()).changes.is_empty() && scanner.poke(&hidden, true, ms(1)).is_empty());
    fs::rename(&hidden, &last).unwrap();
    assert_eq!(words(&scanner.poke(&last, true, ms(2)))[1..], ["s1_t2.tif complete 1"]);
}

#[test]
fn unfinished_files_say_why_they_wait_and_fail_only_after_long_stillness() {
    let (folder, mut scanner) = watched();
    for (name, bytes) in [
        ("s1_t1.tif", tiff(1, 0)[..60].to_vec()),
        ("s1_t2.tif", Vec::new()),
        ("s1_t3.tif", b"not an image at all".to_vec()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    scanner.scan(ms(0), &mut || ());
    assert_eq!(
        words(&scanner.look_again(ms(250))),
        ["s1_t1.tif waiting truncated", "s1_t2.tif waiting empty", "s1_t3.tif waiting wrong_type"]
    );
    assert!(scanner.scan(ms(30_000), &mut || ()).changes.is_empty());
    assert_eq!(
        words(&scanner.scan(ms(60_000), &mut || ()).changes),
        ["s1_t1.tif failed truncated", "s1_t2.tif failed empty", "s1_t3.tif failed wrong_type"]
    );
    assert!(scanner.scan(ms(90_000), &mut || ()).changes.is_empty());
    fs::write(folder.path().join("s1_t2.tif"), tiff(1, 0)).unwrap();
    assert_eq!(words(&scanner.scan(ms(90_001), &mut || ()).changes), ["s1_t2.tif waiting changing"]);
    assert_eq!(words(&scanner.look_again(ms(90_251))), ["s1_t2.tif complete 1"]);
}

#[test]
fn a_growing_stack_hands_over_only_what_is_new() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    let whole = tiff(4, 0);
    fs::write(&path, tiff(2, 0)).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(0)))[1..], ["s1_t2.tif complete 2"]);
    let mut file = File::create(&path).unwrap();
    file.write_all(&whole).unwrap();
    drop(file);
    assert_eq!(words(&scanner.poke(&path, true, ms(100))), ["s1_t2.tif grew [2, 3]"]);
    assert!(scanner.scan(ms(9000), &mut || ()).changes.is_empty());
}

#[test]
fn a_stack_cut_inside_its_last_page_gives_the_whole_ones() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    let whole = tiff(3, 0);
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let words_now = words(&scanner.poke(&path, true, ms(0)));
    assert_eq!(words_now[1..], ["s1_t2.tif complete 2", "s1_t2.tif waiting truncated"]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(10))), ["s1_t2.tif grew [2]"]);
}

#[test]
fn a_stack_that_never_rests_is_followed_two_looks_behind() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    let mut handed_over = Vec::new();
    for step in 1..=40_u32 {
        // One page every 200 ms, less than the settle time; now and then half a page at the end.
        let whole = tiff(step, 0);
        let cut = if step % 3 == 0 { 20 } else { 0 };
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        for change in scanner.poke(&path, false, ms(u64::from(step) * 200)) {
            match change.what {
                What::Complete { planes, .. } | What::Grew { planes, .. } => {
                    for plane in planes {
                        assert!(plane.index + 10 <= step as usize, "page {} was taken at once", plane.index);
                        handed_over.push(plane.index);
                    }
                }
                What::Seen { .. } | What::Waiting { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(handed_over.len() >= 20, "{handed_over:?}");
    fs::write(&path, tiff(41, 0)).unwrap();
    for change in scanner.poke(&path, true, ms(9000)) {
        if let What::Grew { planes, .. } = change.what {
            handed_over.extend(planes.iter().map(|plane| plane.index));
        }
    }
    assert_eq!(handed_over, (0..41).collect::<Vec<_>>());
}

#[test]
fn a_single_frame_that_never_rests_is_never_taken() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    for step in 0..60_u16 {
        fs::write(&path, tiff(1, step)).unwrap();
        for change in scanner.poke(&path, false, ms(u64::from(step) * 200)) {
            assert!(matches!(change.what, What::Seen { .. } | What::Waiting { .. }), "{change:?}");
        }
    }
}

#[test]
fn nothing_is_looked_at_in_a_busy_loop() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, b"II*").unwrap();
    let mut now = ms(0);
    scanner.poke(&path, false, now);
    fs::remove_file(&path).unwrap();
    for _ in 0..5 {
        let next = scanner.next_look_at().unwrap();
        assert!(next > now, "{next:?} after {now:?}");
        now = next;
        assert!(scanner.look_again(now).is_empty());
    }
    assert_eq!(words(&scanner.scan(now, &mut || ()).changes), ["s1_t2.tif vanished"]);
    assert_eq!(scanner.next_look_at(), None);
}

#[test]
fn a_stack_of_the_same_size_that_changed_is_rewritten() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, tiff(3, 0)).unwrap();
    scanner.poke(&path, true, ms(0));
    fs::write(&path, tiff(3, 900)).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(10))), ["s1_t2.tif rewritten 3"]);
}

#[test]
fn a_rewritten_file_is_told_from_an_unchanged_one() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, tiff(1, 0)).unwrap();
    scanner.poke(&path, true, ms(0));
    let fresh = folder.path().join("new.tmp");
    fs::write(&fresh, tiff(1, 500)).unwrap();
    fs::rename(&fresh, &path).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(10))), ["s1_t2.tif rewritten 1"]);
    assert!(scanner.poke(&path, true, ms(20)).is_empty());
}

#[test]
fn a_vanished_file_is_reported_and_comes_back_without_being_done_twice() {
    let (folder, mut scanner) = watched();
    let (path, away) = (folder.path().join("s1_t2.tif"), folder.path().join("elsewhere.tmp"));
    fs::write(&path, tiff(1, 0)).unwrap();
    scanner.poke(&path, true, ms(0));
    fs::rename(&path, &away).unwrap();
    assert_eq!(words(&scanner.scan(ms(10), &mut || ()).changes), ["s1_t2.tif vanished"]);
    assert!(scanner.scan(ms(20), &mut || ()).changes.is_empty());
    fs::rename(&away, &path).unwrap();
    assert!(scanner.scan(ms(30), &mut || ()).changes.is_empty());
}

#[test]
fn an_unmounted_folder_loses_nothing() {
    let (folder, mut scanner) = watched();
    let (root, away) = (folder.path().join("mount"), folder.path().join("unmounted"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("s1_t2.tif"), tiff(1, 0)).unwrap();
    scanner.folder = root.clone();
    scanner.scan(ms(0), &mut || ());
    scanner.scan(ms(300), &mut || ());
    fs::rename(&root, &away).unwrap();
    let scan = scanner.scan(ms(400), &mut || ());
    assert_eq!((scan.changes.len(), scan.problems[0].code), (0, "folder_gone"));
    fs::rename(&away, &root).unwrap();
    assert_eq!(scanner.scan(ms(500), &mut || ()), Scan { changes: Vec::new(), problems: Vec::new(), files: 1 });
}

#[test]
fn what_the_ledger_has_is_not_opened_again() {
    let (folder, mut scanner) = watched();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, tiff(2, 0)).unwrap();
    let stamp = Stamp::look(&path).unwrap();
    scanner.preload("s1_t2.tif".to_owned(), stamp.size_bytes, stamp.modified_unix_ns, 2);
    assert!(
        scanner.scan(ms(0), &mut || ()).changes.is_empty() && scanner.scan(ms(9000), &mut || ()).changes.is_empty()
    );
    fs::write(&path, tiff(3, 0)).unwrap();
    assert_eq!(words(&scanner.poke(&path, true, ms(9001))), ["s1_t2.tif grew [2]"]);
}

#[test]
fn names_that_fit_nothing_fail_at_once_and_ignored_ones_are_silent() {
    let (folder, mut scanner) = watched();
    fs::write(folder.path().join("holiday.tif"), tiff(1, 0)).unwrap();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    assert_eq!(words(&scanner.scan(ms(0), &mut || ()).changes), ["holiday.tif failed template_mismatch"]);
    assert!(scanner.scan(ms(1), &mut || ()).changes.is_empty());
}

#[test]
fn links_and_depths_are_bounded_and_said() {
    let (folder, mut scanner) = watched();
    let mut deep = folder.path().to_path_buf();
    for _ in 0..DEEPEST_FOLDER + 3 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(folder.path().join("d/s1_t1.tif"), tiff(1, 0)).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    let scan = scanner.scan(ms(0), &mut || ());
    assert_eq!(scan.files, 1);
    let codes: Vec<_> = scan.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["too_deep", "symlink_skipped"]);
}

#[test]
fn unreadable_folders_and_files_wait() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let (folder, mut scanner) = watched();
    let inside = folder.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("s1_t1.tif"), tiff(1, 0)).unwrap();
    let path = folder.path().join("s1_t2.tif");
    fs::write(&path, tiff(1, 0)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    scanner.scan(ms(0), &mut || ());
    assert!(
        words(&scanner.scan(ms(300), &mut || ()).changes).contains(&"s1_t2.tif waiting permission_denied".to_owned())
    );
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o0)).unwrap();
    let scan = scanner.scan(ms(600), &mut || ());
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scan.problems, [Problem { path: "in".to_owned(), code: "folder_unreadable" }]);
    assert!(scan.changes.is_empty());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(words(&scanner.scan(ms(900), &mut || ()).changes), ["s1_t2.tif complete 1"]);
}

#[test]
fn a_burst_is_complete_in_the_order_of_its_names() {
    let (folder, mut scanner) = watched();
    for time in 0..200 {
        fs::write(folder.path().join(format!("s1_t{time:03}.tif")), tiff(1, time)).unwrap();
    }
    scanner.scan(ms(0), &mut || ());
    let changes = scanner.look_again(ms(250));
    let paths: Vec<_> = changes.iter().map(|change| change.path.clone()).collect();
    assert_eq!(paths, (0..200).map(|time| format!("s1_t{time:03}.tif")).collect::<Vec<_>>());
    assert!(changes.iter().all(|change| matches!(change.what, What::Complete { .. })));
}

/// Prints how long it takes from closing a file to its planes, through the kernel's events.
#[test]
fn a_closed_file_is_found_at_once() {
    let (folder, mut scanner) = watched();
    let hints = match crate::watch::hint::Hints::listen(folder.path()) {
        Ok(hints) => hints,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut taken = Vec::new();
    for time in 0..50_u16 {
        fs::write(folder.path().join(format!("s1_t{time}.tif")), tiff(1, time)).unwrap();
        let closed = Instant::now();
        loop {
            let next = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), hints.next()).await });
            let Ok(Some(hint)) = next else { panic!("no event in ten seconds") };
            let crate::watch::hint::Hint::Path { path, closed } = hint else { continue };
            let changes = scanner.poke(&path, closed, ms(u64::from(time)));
            if changes.iter().any(|change| matches!(change.what, What::Complete { .. })) {
                break;
            }
        }
        taken.push(closed.elapsed());
    }
    taken.sort();
    println!("file closed -> planes known: median {:?}, longest {:?}", taken[25], taken[49]);
}

/// Prints how long a scan takes when nearly everything is known. Slow to set up, so run by name:
/// `cargo test --lib known_files_are_scanned_fast -- --ignored --nocapture`.
#[test]
#[ignore = "writes 100 000 files"]
fn known_files_are_scanned_fast() {
    let (folder, mut scanner) = watched();
    for fov in 0..100 {
        fs::create_dir(folder.path().join(format!("{fov}"))).unwrap();
        for time in 0..1000 {
            let path = format!("{fov}/s{fov}_t{time}.tif");
            fs::write(folder.path().join(&path), b"x").unwrap();
            let stamp = Stamp::look(&folder.path().join(&path)).unwrap();
            scanner.preload(path, stamp.size_bytes, stamp.modified_unix_ns, 1);
        }
    }
    for round in 0..3 {
        let started = Instant::now();
        let scan = scanner.scan(ms(round), &mut || ());
        println!("{} known files scanned in {:?}", scan.files, started.elapsed());
        assert!(scan.changes.is_empty());
    }
}
