//! Files that arrive late, twice, changed, or under other names.

use crate::support::*;

const FINE: &str = "[instrument]\npixel_size_um = 0.325";

/// The frames of one field in time order.
fn one_field() -> Vec<(String, Vec<u8>)> {
    let all = film();
    let field = |path: &str| path.rsplit_once("_t").map(|(field, _)| field.to_owned());
    let first = field(&all[0].0);
    all.into_iter().filter(|(path, _)| field(path) == first).collect()
}

#[test]
fn a_late_frame_is_recorded_but_not_linked() {
    let site = Site::new(&format!("{FINE}\n[pipeline]\ngap_wait = \"3s\""));
    let frames = one_field();
    let mut daemon = site.start();
    daemon.ready();
    for (number, frame) in frames.iter().enumerate().take(5) {
        if number != 2 {
            write_whole(&site.folder(), frame);
        }
    }
    wait_for("the frames around the gap", || (site.frames("done") == 4).then_some(()));
    write_whole(&site.folder(), &frames[2]);
    wait_for("the late frame", || (site.frames("done") == 5).then_some(()));
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE linked"), 4);
    let late = "SELECT count(*) FROM cells JOIN frames USING (frame_id) WHERE NOT linked";
    assert!(site.count(late) > 0);
    assert_eq!(site.count(&format!("{late} AND track_id IS NOT NULL")), 0);
    assert!(daemon.stop().success());
}

#[test]
fn a_gap_is_waited_for_and_the_ledger_says_so() {
    let site = Site::new(&format!("{FINE}\n[pipeline]\ngap_wait = \"10m\""));
    let frames = one_field();
    let mut daemon = site.start();
    daemon.ready();
    for number in [0, 1, 3] {
        write_whole(&site.folder(), &frames[number]);
    }
    let reason = wait_for("the reason of waiting", || {
        site.query::<String>("SELECT reason FROM frames WHERE state = 'ready' AND reason IS NOT NULL").pop()
    });
    assert!(reason.starts_with("waits for time point"), "{reason}");
    write_whole(&site.folder(), &frames[2]);
    wait_for("all four", || (site.frames("done") == 4).then_some(()));
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE linked"), 4);
    assert!(daemon.stop().success());
}

#[test]
fn a_rewritten_frame_replaces_its_result() {
    let site = Site::new(FINE);
    let frames = one_field();
    let mut daemon = site.start();
    daemon.ready();
    for frame in &frames[..3] {
        write_whole(&site.folder(), frame);
    }
    wait_for("three frames", || (site.frames("done") == 3).then_some(()));
    let name = frames[1].0.clone();
    let of_it = format!(
        "SELECT committed_unix_ms FROM frames JOIN sources USING (source_id) WHERE path = '{name}' AND state = 'done'"
    );
    let before = site.query::<i64>(&of_it);
    write_and_rename(&site.folder(), &(name, frames[5].1.clone()));
    wait_for("the new result", || {
        let now = site.query::<i64>(&of_it);
        (now.len() == 1 && now != before).then_some(())
    });
    assert_eq!(site.count("SELECT count(*) FROM frames"), 3, "the same row");
    let sums = "SELECT count(*) FROM tracks WHERE cell_count <> (SELECT count(*) FROM cells WHERE cells.track_id = tracks.track_id)";
    assert_eq!(site.count(sums), 0, "tracks do not count the cells that are gone");
    assert!(daemon.stop().success());
}

#[test]
fn a_name_that_fits_no_template_is_named_in_the_ledger() {
    let site = Site::new(FINE);
    let frames = one_field();
    write_whole(&site.folder(), &("overview picture.tif".to_owned(), frames[0].1.clone()));
    write_whole(&site.folder(), &frames[0]);
    write_whole(&site.folder(), &(format!("{}.tmp", frames[1].0), frames[1].1.clone()));
    site.backfill();
    assert_eq!(site.frames("done"), 1);
    let codes = site.query::<String>(
        "SELECT code || ': ' || path FROM frames JOIN sources USING (source_id) WHERE state = 'failed'",
    );
    assert_eq!(codes, ["template_mismatch: overview picture.tif"]);
    assert_eq!(site.count("SELECT count(*) FROM sources"), 2, "temporary names are not known at all");
}

#[test]
fn a_folder_that_goes_and_comes_back_loses_nothing() {
    let site = Site::new(FINE);
    let frames = one_field();
    let mut daemon = site.start();
    daemon.ready();
    write_whole(&site.folder(), &frames[0]);
    wait_for("the first frame", || (site.frames("done") == 1).then_some(()));
    let away = site.folder().with_extension("away");
    std::fs::rename(site.folder(), &away).unwrap();
    wait_for("the loss to be noticed", || daemon.said().contains("folder_gone").then_some(()));
    write_whole(&away, &frames[1]);
    std::fs::rename(&away, site.folder()).unwrap();
    wait_for("the second frame", || (site.frames("done") == 2).then_some(()));
    assert!(daemon.stop().success());
}
