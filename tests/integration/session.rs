//! A whole session: frames in, rows out.

use crate::support::*;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::Duration;

/// The public sequence U373-02 as (name, bytes) in time order.
fn u373() -> Option<Vec<(String, Vec<u8>)>> {
    let frames = files_below(&data("ctc_phc_u373_02")?.join("02"));
    assert_eq!(frames.len(), 115);
    Some(frames)
}

fn assert_whole_sequence(site: &Site) {
    assert_eq!(site.frames("done"), 115);
    assert_eq!(site.count("SELECT count(*) FROM frames"), 115, "each once");
    assert_eq!(site.count("SELECT count(DISTINCT time_index) FROM frames"), 115);
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE attempts <> 1 OR NOT linked"), 0);
    let unscored = "SELECT count(*) FROM cells LEFT JOIN inferences USING (cell_id)
                    WHERE inferences.cell_id IS NULL AND x_px > 60 AND x_px < 630 AND y_px > 60 AND y_px < 455";
    assert_eq!(site.count(unscored), 0, "every cell whose box lies inside the frame is scored");
    assert!(site.count("SELECT count(*) FROM inferences") > 115 * 2);
    assert_eq!(site.content("frames").len(), 115);
    assert_eq!(site.content("cells").len(), site.count("SELECT count(*) FROM cells"));
    assert!(!site.content("tracks").is_empty());
}

#[test]
fn the_u373_sequence_dropped_file_by_file_is_done_once() {
    let Some(frames) = u373() else { return };
    let site = Site::new("");
    let mut daemon = site.start();
    daemon.ready();
    for frame in &frames {
        write_whole(&site.folder(), frame);
    }
    wait_for("115 frames to be done", || (site.frames("done") == 115).then_some(()));
    assert_whole_sequence(&site);
    assert!(daemon.stop().success());
    let alone = site.whole_content();

    // The same in other ways: partial writes, renames, a burst, no events at all. The same rows.
    let ways: [(&str, &str, fn(&Site, &[(String, Vec<u8>)])); 3] = [
        ("partial writes and renames", "", |site, frames| {
            for (number, frame) in frames.iter().enumerate() {
                if number % 2 == 0 {
                    write_in_pieces(&site.folder(), frame, 3, Duration::from_millis(5));
                } else {
                    write_and_rename(&site.folder(), frame);
                }
            }
        }),
        ("a burst before the start", "", |site, frames| {
            frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
        }),
        ("no events", "[watch]\nevents = false", |site, frames| {
            frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
        }),
    ];
    for (way, more, write) in ways {
        let site = Site::new(more);
        let before_start = way.contains("before");
        if before_start {
            write(&site, &frames);
        }
        let mut daemon = site.start();
        daemon.ready();
        if !before_start {
            write(&site, &frames);
        }
        wait_for(way, || (site.frames("done") == 115).then_some(()));
        assert_whole_sequence(&site);
        assert!(daemon.stop().success());
        assert!(site.whole_content() == alone, "{way}: other rows");
    }
}

#[test]
fn a_simulated_film_is_found_followed_and_scored() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    let frames = film();
    frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
    let said = site.backfill();
    assert!(said.starts_with("40 frames recorded"), "{said}");
    assert_eq!(site.frames("done"), 40);
    assert_eq!(site.count("SELECT count(*) FROM fields_of_view"), 2);
    assert!(site.count("SELECT count(*) FROM cells") > 40, "a field holds several cells");
    assert!(site.count("SELECT count(*) FROM tracks WHERE cell_count >= 10") >= 2, "cells are followed");
    assert!(site.count("SELECT count(*) FROM inferences") > 20);
    let again = site.backfill();
    assert!(again.starts_with("0 frames recorded"), "what is done is not done again: {again}");
}

#[test]
fn status_and_export_speak_of_what_is_there() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    film().iter().take(6).for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let status: serde_json::Value = serde_json::from_str(&output_of(site.command("status").arg("--json"))).unwrap();
    assert_eq!(status["frames"][0]["state"], "done");
    assert_eq!(status["frames"][0]["frames"], 6);
    let text = output_of(&mut site.command("status"));
    assert!(text.contains("6 frames done"), "{text}");
    let cells = output_of(site.command("export").arg("cells"));
    assert!(cells.starts_with("cell_id,"), "{cells}");
    assert_eq!(cells.lines().count() - 1, site.count("SELECT count(*) FROM cells"));
}

#[test]
fn the_daemon_says_what_it_is_doing() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    let mut daemon = site.start();
    let address = daemon.ready();
    film().iter().take(8).for_each(|frame| write_whole(&site.folder(), frame));
    wait_for("8 frames in the status", || {
        let status = get_json(&address, "/api/v1/status");
        (status.to_string().contains("\"recorded\":8")).then_some(())
    });
    assert!(daemon.stop().success());
    assert_eq!(site.count("SELECT count(*) FROM runs WHERE ended_unix_ms IS NOT NULL AND settings_json <> ''"), 1);
}

#[test]
fn status_asks_the_running_daemon() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::new(&format!("[instrument]\npixel_size_um = 0.325\n[serve]\nlisten = \"{free}\""));
    let mut daemon = site.start();
    daemon.ready();
    film().iter().take(2).for_each(|frame| write_whole(&site.folder(), frame));
    wait_for("two frames", || (site.frames("done") == 2).then_some(()));
    let text = output_of(&mut site.command("status"));
    assert!(text.contains(&format!("daemon {}", daemon.process_id())), "{text}");
    assert!(text.contains("2 recorded") && text.contains("record  moves"), "{text}");
    assert!(daemon.stop().success());
    let text = output_of(&mut site.command("status"));
    assert!(text.contains("no daemon answers") && text.contains("2 frames done"), "{text}");
}

/// `cytowatch serve` on a finished session; killed when dropped.
struct Viewer {
    child: std::process::Child,
    address: String,
}

impl Viewer {
    fn open(site: &Site) -> Self {
        let mut child = cytowatch()
            .args(["serve", "--listen", "127.0.0.1:0", "--database"])
            .arg(&site.database)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        Self { child, address }
    }

    /// The head of the answer to `GET path`.
    fn head(&self, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn a_finished_session_is_shown_with_its_pictures_and_explanations() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    film().iter().take(4).for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let scored = "SELECT cell_id FROM cells JOIN inferences USING (cell_id) ORDER BY cell_id LIMIT 1";
    let cell = site.query::<i64>(scored)[0];
    let frame = site.query::<i64>("SELECT frame_id FROM frames ORDER BY frame_id LIMIT 1")[0];
    let viewer = Viewer::open(&site);
    // Nobody said where frames and bundle lie: the run did.
    for path in
        [format!("frames/{frame}/image.png"), format!("cells/{cell}/crop.png"), format!("cells/{cell}/explanation.png")]
    {
        let head = viewer.head(&format!("/api/v1/{path}"));
        assert!(head.starts_with("http/1.1 200") && head.contains("image/png"), "{path}: {head}");
    }
    std::fs::rename(site.folder(), site.folder().with_file_name("elsewhere")).unwrap();
    let later = Viewer::open(&site);
    assert!(later.head(&format!("/api/v1/frames/{frame}/image.png")).starts_with("http/1.1 410"));
    assert_eq!(
        get_json(&later.address, &format!("/api/v1/frames/{frame}"))["frame_id"],
        frame,
        "numbers are still shown"
    );
}
