//! Asked to stop, slow models, full queues.

use crate::support::*;

#[test]
fn sigterm_under_load_records_or_gives_back_everything_admitted() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    let frames = film();
    frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
    let daemon = site.start();
    wait_for("some frames to be done", || (site.frames("done") >= 5).then_some(()));
    let began = std::time::Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!(site.frames("processing"), 0, "nothing is left in flight");
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE attempts <> (state = 'done')"), 0, "no lost attempt");
    let done = site.frames("done");
    assert!(done < frames.len(), "the stop came under load");
    let daemon = site.start();
    wait_for("the rest", || (site.frames("done") == frames.len()).then_some(()));
    assert!(daemon.stop().success());
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE attempts <> 1"), 0);
}

#[test]
fn a_stop_deadline_gives_frames_back_without_a_lost_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let slow = slow_bundle(folder.path(), 24);
    let site = Site::with_bundle(
        &slow,
        "[instrument]\npixel_size_um = 0.325\n[infer]\nengine = \"rten\"\n[pipeline]\ndrain_deadline = \"10ms\"",
    );
    film().iter().for_each(|frame| write_whole(&site.folder(), frame));
    let daemon = site.start();
    wait_for("frames in flight", || (site.frames("processing") > 3).then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(site.frames("processing"), 0);
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE attempts <> (state = 'done')"), 0);
}

#[test]
fn a_slow_model_fills_the_queues_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let slow = slow_bundle(folder.path(), 24);
    let site = Site::with_bundle(&slow, "[instrument]\npixel_size_um = 0.325\n[infer]\nengine = \"rten\"");
    let frames = film();
    let mut daemon = site.start();
    let address = daemon.ready();
    let at_rest = daemon.resident_bytes();
    frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
    let mut full = false;
    let mut largest = 0;
    wait_for("all frames through the slow model", || {
        let status = get_json(&address, "/api/v1/status").to_string();
        full |= status.contains("\"name\":\"infer\"") && queue_is_full(&status);
        largest = largest.max(daemon.resident_bytes());
        (site.frames("done") == frames.len()).then_some(())
    });
    assert!(full, "the queue in front of the model was never seen full");
    let grown = largest.saturating_sub(at_rest) >> 20;
    eprintln!("memory grew by {grown} MiB under a full backlog");
    assert!(grown < 700, "memory grew by {grown} MiB");
    assert!(daemon.stop().success());
}

/// Whether the stage `infer` reports its queue at capacity.
fn queue_is_full(status: &str) -> bool {
    let status: serde_json::Value = serde_json::from_str(status).unwrap();
    let report = status.get("daemon").unwrap_or(&status);
    let stages = report["stages"].as_array().cloned().unwrap_or_default();
    stages.iter().any(|stage| {
        stage["name"] == "infer"
            && stage["queue_capacity"].as_u64() > Some(0)
            && stage["queue_depth"] == stage["queue_capacity"]
    })
}
