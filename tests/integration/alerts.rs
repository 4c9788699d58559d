//! Alerts from fact to message: every rule raised once and cleared once through the real database, and the real daemon's webhook
//! with a receiver that refuses, a death in between, signature, heartbeat and ping.

use crate::seed::{self, Scale, frame_id};
use crate::server::moving_status;
use crate::support::*;
use cytowatch::alert::deliver::signature;
use cytowatch::alert::{self, AlertSettings};
use cytowatch::folder::FolderProbe;
use cytowatch::serve::live::Live;
use cytowatch::status::{Identity, Stage, Status, unix_ms};
use cytowatch::store::Store;
use cytowatch::store::alerts::{AlertRow, alerts};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

const SECRET: &str = "a-secret-that-both-sides-know";

/// A request as the receiver got it.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A receiver of webhooks on a port of its own; refuses while `refuse` is set.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Received>>>,
    refuse: Arc<AtomicBool>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            refuse: Arc::new(AtomicBool::new(true)),
        };
        let (got, refuse) = (Arc::clone(&receiver.got), Arc::clone(&receiver.refuse));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let mut headers = BTreeMap::new();
                loop {
                    let mut header = String::new();
                    reader.read_line(&mut header).unwrap();
                    let Some((name, value)) = header.trim_end().split_once(": ") else { break };
                    headers.insert(name.to_ascii_lowercase(), value.to_owned());
                }
                let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let refused = refuse.load(Ordering::SeqCst) && line.starts_with("POST");
                got.lock().unwrap().push(Received { line, headers, body: String::from_utf8(body).unwrap() });
                let status = if refused { "500 Internal Server Error" } else { "204 No Content" };
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            }
        });
        receiver
    }

    fn posts(&self) -> Vec<Received> {
        self.got.lock().unwrap().iter().filter(|it| it.line.starts_with("POST /hook ")).cloned().collect()
    }

    fn pings(&self) -> usize {
        self.got.lock().unwrap().iter().filter(|it| it.line.starts_with("GET /alive ")).count()
    }
}

#[test]
fn a_refused_message_survives_a_death_and_arrives_signed_and_in_order() {
    let receiver = Receiver::start();
    let keys = tempfile::tempdir().unwrap();
    let (secret, heartbeat) = (keys.path().join("secret"), keys.path().join("heartbeat"));
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let site = Site::new(&format!(
        "[alert]\nperiod = \"200ms\"\nwebhook_url = \"http://{0}/hook\"\nwebhook_secret_file = {secret:?}\n\
         heartbeat_file = {heartbeat:?}\nping_url = \"http://{0}/alive\"\ndisk_low_bytes = 0\ndisk_low_time = \"0s\"\n",
        receiver.address
    ));
    let mut daemon = site.start();
    daemon.ready();
    wait_for("the dead-man address to be asked for", || (receiver.pings() > 0).then_some(()));
    let beat = || std::fs::read_to_string(&heartbeat).ok()?.trim().parse::<i64>().ok();
    let first = wait_for("the heartbeat file", beat);
    wait_for("the next beat", || beat().filter(|at| *at > first));

    let away = site.folder().with_file_name("away");
    std::fs::rename(site.folder(), &away).unwrap();
    wait_for("the first try", || (!receiver.posts().is_empty()).then_some(()));
    wait_for("the refusal to be noted", || {
        (site.count("SELECT count(*) FROM deliveries WHERE attempts = 1 AND state = 'waiting'") == 1).then_some(())
    });
    let due_in = site.query::<i64>("SELECT due_unix_ms FROM deliveries")[0] - unix_ms();
    assert!((0..=10_000).contains(&due_in), "the first pause is 10 s: {due_in} ms");
    daemon.kill();
    let last_words = beat().unwrap();
    std::fs::rename(&away, site.folder()).unwrap();
    assert_eq!(beat(), Some(last_words), "nobody beats for a dead daemon");

    receiver.refuse.store(false, Ordering::SeqCst);
    let mut daemon = site.start();
    daemon.ready();
    wait_for("both messages to be delivered", || {
        (site.count("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == 2).then_some(())
    });
    assert!(daemon.stop().success());
    let posts = receiver.posts();
    let told = |post: &Received| -> serde_json::Value { serde_json::from_str(&post.body).unwrap() };
    for post in &posts {
        assert_eq!(post.headers["x-cytowatch-signature-256"], signature(SECRET.as_bytes(), post.body.as_bytes()));
        assert_eq!(told(post)["rule"], "folder_gone");
    }
    let same: Vec<&Received> = posts.iter().filter(|post| told(post)["event"] == "raised").collect();
    assert!(same.len() >= 2, "tried again: {posts:?}");
    assert!(same.iter().all(|post| post.body == same[0].body), "the same bytes each time");
    assert!(same.iter().all(|post| post.headers["x-cytowatch-delivery"] == same[0].headers["x-cytowatch-delivery"]));
    let cleared = posts.iter().filter(|post| told(post)["event"] == "cleared").count();
    assert_eq!(cleared, 1, "{posts:?}");
    assert_eq!(site.count("SELECT count(*) FROM alerts WHERE rule = 'folder_gone'"), 1, "raised once");
    assert_eq!(site.count("SELECT count(*) FROM alerts WHERE cleared_unix_ms IS NOT NULL"), 1);
}

/// A keeper over a seeded session whose end is now.
struct Kept {
    folder: tempfile::TempDir,
    store: Store,
    status: Arc<Status>,
    scale: Scale,
}

impl Kept {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("watched")).unwrap();
        let scale = Scale { fovs_per_sample: 3, times: 62, cells_per_fov: 9, end_unix_ms: unix_ms() };
        let store = seed::create(&folder.path().join("cytowatch.db"), scale).await;
        let status = Arc::new(Status::new(Identity::default(), Duration::from_millis(50)));
        status.set_ready();
        let kept = Self { folder, store, status, scale };
        kept.execute("DELETE FROM alerts").await;
        kept
    }

    async fn execute(&self, sql: &str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.folder.path().join("cytowatch.db"))
            .busy_timeout(PATIENCE);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// Lets a keeper look until what is open is `expected`; gives every alert ever.
    async fn open_becomes(&self, expected: &[&str], disk_low_bytes: u64) -> Vec<AlertRow> {
        let parts = alert::Parts {
            store: self.store.clone(),
            database: self.folder.path().join("cytowatch.db"),
            status: Arc::clone(&self.status),
            folder: FolderProbe::new(self.folder.path().join("watched")),
            live: Arc::new(Live::new(1)),
        };
        let period = Duration::from_millis(100);
        let disk_low_time = Duration::ZERO;
        let settings = AlertSettings { period, disk_low_bytes, disk_low_time, ..AlertSettings::default() };
        let (stop, stopped) = watch::channel(false);
        let look = async {
            let began = std::time::Instant::now();
            let rows = loop {
                let rows = alerts(self.store.readers(), None, 100).await.unwrap().items;
                let mut open: Vec<String> = rows
                    .iter()
                    .filter(|row| row.cleared_unix_ms.is_none())
                    .map(|row| format!("{} {}", row.rule, row.subject).trim().to_owned())
                    .collect();
                open.sort();
                if open == expected {
                    break rows;
                }
                assert!(began.elapsed() < PATIENCE, "open are {open:?}, expected {expected:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            stop.send(true).unwrap();
            rows
        };
        tokio::join!(look, alert::keep(parts, settings, None, stopped)).0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_is_raised_once_and_cleared_once_from_what_the_database_says() {
    let kept = Kept::start().await;
    let calls = ["call_reached m405: high", "call_reached m610: low"];
    kept.open_becomes(&calls, 0).await;

    // Everything goes wrong at once; a second keeper (a restart) raises nothing twice.
    let newest = frame_id(1, kept.scale.times - 10);
    for sql in [
        // s01 loses focus, s02 its light, s03 has been silent for an hour, the finder doubts s04, the newest frames fail, most scores are
        // withheld.
        format!("UPDATE frames SET verdict = 'out_of_focus' WHERE fov_id = 1 AND frame_id > {newest}"),
        format!(
            "UPDATE frames SET background_counts = background_counts * 0.5 WHERE fov_id = 2 AND frame_id > {newest}"
        ),
        "UPDATE frames SET first_seen_unix_ms = first_seen_unix_ms - 3600000 WHERE fov_id = 3".to_owned(),
        format!("UPDATE frames SET in_doubt = 1 WHERE fov_id = 4 AND frame_id > {newest}"),
        "UPDATE frames SET state = 'failed', code = 'source_truncated' WHERE fov_id = 9 AND frame_id > 46000"
            .to_owned(),
        "UPDATE frames SET state = 'failed', code = 'source_truncated' WHERE fov_id = 8 AND frame_id > 46000"
            .to_owned(),
        "UPDATE inferences SET withheld = 'out_of_domain' WHERE cell_id > 30000000".to_owned(),
    ] {
        kept.execute(&sql).await;
    }
    std::fs::remove_dir(kept.folder.path().join("watched")).unwrap();
    kept.status.begin(Stage::Infer);
    let all = [
        calls[0],
        calls[1],
        "disk_low",
        "drift s02",
        "failures_rising",
        "finder_doubts s04",
        "focus_lost s01",
        "folder_gone",
        "stage_silent infer",
        "stalled s03",
        "withheld_high",
    ];
    kept.open_becomes(&all, u64::MAX).await;
    let again = kept.open_becomes(&all, u64::MAX).await;
    assert_eq!(again.len(), all.len(), "a restart raised something twice: {again:?}");

    // And well again.
    for sql in [
        "UPDATE frames SET verdict = 'usable' WHERE verdict = 'out_of_focus'".to_owned(),
        "UPDATE frames SET in_doubt = 0".to_owned(),
        format!("UPDATE frames SET background_counts = background_counts * 2 WHERE fov_id = 2 AND frame_id > {newest}"),
        "UPDATE frames SET first_seen_unix_ms = first_seen_unix_ms + 3600000 WHERE fov_id = 3".to_owned(),
        "UPDATE frames SET state = 'done', code = NULL WHERE fov_id IN (8, 9)".to_owned(),
        "UPDATE inferences SET withheld = NULL".to_owned(),
        "UPDATE calls SET verdict = 'undecided' WHERE verdict IN ('high', 'low')".to_owned(),
    ] {
        kept.execute(&sql).await;
    }
    std::fs::create_dir(kept.folder.path().join("watched")).unwrap();
    kept.status.rest(Stage::Infer);
    let rows = kept.open_becomes(&[], 0).await;
    assert_eq!(rows.len(), all.len(), "each raised once: {rows:?}");
    assert!(rows.iter().all(|row| row.cleared_unix_ms.is_some() && row.text.len() > 20), "{rows:?}");
    assert_eq!(moving_status().report().disk_filling_bytes_per_s, None);
    kept.store.close().await;
}
