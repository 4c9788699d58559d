//! The process dies at any moment and is started again: nothing lost, nothing twice, the same tracks and scores.

use crate::support::*;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KILLS: usize = 200;

#[test]
fn two_hundred_kills_leave_the_content_of_an_undisturbed_run() {
    // The deaths are the test's doing, not the frames'.
    let more = "[instrument]\npixel_size_um = 0.325\n[pipeline]\nmax_attempts = 50";
    let undisturbed = Site::new(more);
    let frames = film();
    frames.iter().for_each(|frame| write_whole(&undisturbed.folder(), frame));
    undisturbed.backfill();

    let site = Site::new(more);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(20_261_123);
    let stop_writing = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            // A live session: spread over the first three quarters of the kills, whole, in pieces, and renamed.
            for (number, frame) in frames.iter().enumerate() {
                match number % 3 {
                    0 => write_whole(&site.folder(), frame),
                    1 => write_in_pieces(&site.folder(), frame, 4, Duration::from_millis(3)),
                    _ => write_and_rename(&site.folder(), frame),
                }
                if !stop_writing.load(Ordering::Relaxed) {
                    pause(Duration::from_millis(1500));
                }
            }
        });
        for _ in 0..KILLS {
            let daemon = site.start();
            pause(Duration::from_millis(u64::from(random.random_range(0..700_u32))));
            daemon.kill();
        }
        stop_writing.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    let progress = site.frames("done");
    eprintln!("{progress} of {} frames were done between the kills", frames.len());
    let mut daemon = site.start();
    daemon.ready();
    wait_for("all frames after the last start", || (site.frames("done") == frames.len()).then_some(()));
    assert!(daemon.stop().success());
    assert!(progress > 0, "no progress between the kills: they all hit the start-up");
    assert_eq!(site.count("SELECT count(*) FROM frames"), frames.len(), "none twice, none failed");
    assert!(site.count("SELECT count(*) FROM runs") > KILLS / 4, "most starts got as far as the database");
    for (table, (found, wanted)) in ["frames", "cells", "tracks", "samples"]
        .iter()
        .zip(site.whole_content().iter().zip(&undisturbed.whole_content()))
    {
        assert_eq!(found, wanted, "{table} differ from those of an undisturbed run");
    }
    output_of(site.command("check").arg("--integrity"));
}

#[test]
fn a_frame_that_kills_the_process_cannot_kill_it_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    // So slow a model that the poison is in flight for as long as a look and a kill take, every time.
    let slow = slow_bundle(folder.path(), 48);
    let site = Site::with_bundle(&slow, "[instrument]\npixel_size_um = 0.325\n[infer]\nengine = \"rten\"");
    let frames = film();
    let poison = frames[4].0.clone();
    frames.iter().take(10).for_each(|frame| write_whole(&site.folder(), frame));
    let in_flight = format!(
        "SELECT count(*) FROM frames JOIN sources USING (source_id) WHERE path = '{poison}' AND state = 'processing'"
    );
    let mut deaths = 0;
    loop {
        let mut daemon = site.start();
        // Only now is what was in flight before no longer so in the ledger.
        daemon.ready();
        let killed = wait_for("the poison or the end", || {
            if site.count(&in_flight) == 1 {
                return Some(true);
            }
            (site.frames("done") + site.frames("failed") == 10).then_some(false)
        });
        if !killed {
            assert!(daemon.stop().success());
            break;
        }
        daemon.kill();
        deaths += 1;
        assert!(deaths < 20, "it kills the process for ever");
    }
    let failed = site.query::<String>(
        "SELECT path || ' ' || code FROM frames JOIN sources USING (source_id) WHERE state = 'failed'",
    );
    assert_eq!(failed, [format!("{poison} killed_process")]);
    assert_eq!(deaths, 5, "pipeline.max_attempts");
    assert_eq!(site.frames("done"), 9);
}

#[test]
fn a_second_daemon_on_the_same_database_is_refused() {
    let site = Site::new("");
    let mut first = site.start();
    first.ready();
    let second = site.command("check").output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another cytowatch"), "{said}");
    assert!(first.stop().success());
    output_of(&mut site.command("check"));
}
