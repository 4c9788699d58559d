//! Health and metrics of the real daemon: red soon when the folder or the database is stuck, scraped over a socket.

use crate::support::*;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Red within this time of what went wrong.
const SOON: Duration = Duration::from_secs(10);

/// Status and body of `GET path`.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until `/healthz` is red for `check`; gives what it says and how long that took.
fn red(address: &str, check: &str) -> (String, Duration) {
    let began = Instant::now();
    let detail = wait_for("health to turn red", || {
        let (status, body) = get(address, "/healthz");
        let health: serde_json::Value = serde_json::from_str(&body).unwrap();
        let found = health["checks"].as_array().unwrap().iter().find(|it| it["name"] == check).cloned()?;
        (status == 503 && found["ok"] == false).then(|| found["detail"].as_str().unwrap().to_owned())
    });
    (detail, began.elapsed())
}

fn green(address: &str) {
    wait_for("health to turn green", || (get(address, "/healthz").0 == 200).then_some(()));
}

#[test]
fn a_folder_that_is_moved_away_turns_health_red_and_its_return_green() {
    let site = Site::new("");
    let mut daemon = site.start();
    let address = daemon.ready();
    green(&address);
    let away = site.folder().with_file_name("away");
    std::fs::rename(site.folder(), &away).unwrap();
    let (detail, took) = red(&address, "folder");
    println!("folder gone: red after {took:?}");
    assert!(took < SOON && detail.contains("mount or create it"), "{took:?}: {detail}");
    assert_eq!(get(&address, "/readyz").0, 200, "ready is about the start");
    std::fs::rename(&away, site.folder()).unwrap();
    green(&address);
    assert!(daemon.stop().success());
}

#[test]
fn a_database_that_another_program_holds_turns_health_red_and_its_release_green() {
    let site = Site::new("");
    let mut daemon = site.start();
    let address = daemon.ready();
    green(&address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other = runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&site.database).busy_timeout(PATIENCE);
        let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        other
    });
    let (detail, took) = red(&address, "store");
    println!("database held: red after {took:?}");
    assert!(took < SOON && detail.contains("takes no write"), "{took:?}: {detail}");
    runtime.block_on(async {
        let mut other = other;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        sqlx::Connection::close(other).await.unwrap();
    });
    green(&address);
    assert!(daemon.stop().success());
}

/// What every dashboard of the daemon may count on.
const LEAST: [&str; 19] = [
    "cytowatch_frames_seen_total",
    "cytowatch_frames_admitted_total",
    "cytowatch_frames_recorded_total",
    "cytowatch_frames_failed_total",
    "cytowatch_frames_put_back_total",
    "cytowatch_frames_in_flight",
    "cytowatch_cells_recorded_total",
    "cytowatch_queue_depth_frames",
    "cytowatch_queue_capacity_frames",
    "cytowatch_stage_blocked_seconds",
    "cytowatch_stage_duration_seconds",
    "cytowatch_frame_latency_seconds",
    "cytowatch_scan_duration_seconds",
    "cytowatch_batch_size_cells",
    "cytowatch_model_duration_seconds",
    "cytowatch_database_size_bytes",
    "cytowatch_last_frame_timestamp_seconds",
    "cytowatch_store_retries_total",
    "cytowatch_alerts_open",
];

#[test]
fn metrics_are_scraped_add_up_and_promtool_takes_them() {
    let site = Site::new("");
    let mut daemon = site.start();
    let address = daemon.ready();
    for frame in film().iter().take(6) {
        write_whole(&site.folder(), frame);
    }
    let (name, whole) = film().swap_remove(7);
    let mut damaged = whole;
    let half = damaged.len() / 2;
    damaged.iter_mut().take(half).for_each(|byte| *byte = 0xff);
    write_whole(&site.folder(), &(name, damaged));
    wait_for("six frames to be done", || (site.frames("done") == 6).then_some(()));
    wait_for("the damaged frame to fail", || (site.frames("failed") == 1).then_some(()));
    let (status, text) = get(&address, "/metrics");
    assert_eq!(status, 200);
    let value = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    for name in LEAST {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no words");
        let sampled = [name.to_owned(), format!("{name}_count")]
            .iter()
            .any(|of| text.lines().any(|line| line.split([' ', '{']).next() == Some(of.as_str())));
        assert!(sampled || name == "cytowatch_frames_failed_total", "{name} has no value in\n{text}");
    }
    assert!((value("cytowatch_frames_recorded_total") - 6.0).abs() < 0.5, "{text}");
    let ended = ["recorded", "failed", "put_back"].map(|what| value(&format!("cytowatch_frames_{what}_total")));
    let in_flight = value("cytowatch_frames_in_flight");
    let admitted = value("cytowatch_frames_admitted_total");
    assert!(
        (admitted - ended.iter().sum::<f64>() - in_flight).abs() < 0.5,
        "{admitted}: {ended:?} + {in_flight}\n{text}"
    );
    assert!(!text.contains(site.folder().to_str().unwrap()), "a path is no label");

    let Ok(mut promtool) =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()
    else {
        eprintln!("skipped: promtool is not here (apt-get install prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    assert!(judged.status.success(), "promtool: {}", String::from_utf8_lossy(&judged.stderr));
    assert!(daemon.stop().success());
}
