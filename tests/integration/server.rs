//! The real server on port 0 over a seeded database, and a small HTTP client.

use crate::seed::{self, Scale};
use cytowatch::folder::FolderProbe;
use cytowatch::serve::live::Live;
use cytowatch::serve::{self, Parts, ServeSettings, ServeState};
use cytowatch::status::{Identity, Stage, Status};
use cytowatch::store::open_read_only;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const SMALL: Scale =
    Scale { fovs_per_sample: 3, times: 62, cells_per_fov: 9, end_unix_ms: 1_773_300_000_000 };

/// Idle stages never count as stuck, so that only a test that makes one work sees this limit.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(2);

/// A server that stops when [`TestServer::stop`] is called; its folder goes with it.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) live: Arc<Live>,
    pub(crate) status: Arc<Status>,
    pub(crate) folder: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }
}

/// A status in which every stage moves and a session is under way.
pub(crate) fn moving_status() -> Arc<Status> {
    let identity = Identity {
        instrument: "Ti2-incubator".to_owned(),
        folder: "/mnt/scope/plate4".to_owned(),
        bundle: "melanoma-sim-w16 1.0.0".to_owned(),
        engine: "ort".to_owned(),
        engine_warning: None,
    };
    let status = Arc::new(Status::new(identity, STALL_LIMIT));
    status.set_ready();
    for (stage, depth, capacity) in
        [(Stage::Admit, 0, 64), (Stage::Cells, 0, 8), (Stage::Infer, 0, 4), (Stage::Record, 0, 16)]
    {
        status.set_queue(stage, depth, capacity);
        status.begin(stage);
        status.add_work(stage, Duration::from_millis(4800), 553);
    }
    status.count(|counts| {
        counts.admitted = 556;
        counts.recorded = 550;
        counts.failed = 3;
        counts.in_flight = 3;
        counts.ready = 2;
        counts.waiting = 1;
        counts.cells = 4_950;
        counts.failed_by_code.insert("source_truncated".to_owned(), 2);
        counts.failed_by_code.insert("frame_size_changed".to_owned(), 1);
    });
    for step in 0..100 {
        status.committed(Some(Duration::from_millis(180 + 7 * (step % 13))));
    }
    status
}

impl TestServer {
    pub(crate) async fn start(scale: Scale) -> Self {
        Self::start_with(scale, |_| ServeSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..ServeSettings::default()
        })
        .await
    }

    pub(crate) async fn start_with(scale: Scale, settings: impl FnOnce(&TempDir) -> ServeSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        let database = folder.path().join("cytowatch.db");
        seed::create(&database, scale).await.close().await;
        let watched = folder.path().join("watched");
        std::fs::create_dir(&watched).unwrap();
        let (status, live) = (moving_status(), Arc::new(Live::new(1)));
        let parts = Parts {
            status: Some(Arc::clone(&status)),
            readers: open_read_only(&database).await.unwrap(),
            database,
            folder: Some(FolderProbe::new(watched)),
            live: Arc::clone(&live),
            read_frame: Arc::new(move |source| Ok(seed::paint(source.frame_id, scale))),
            explain: Some(Arc::new(|asked| Ok(seed::explain(asked)))),
            metrics: None,
        };
        let state = ServeState::new(parts, &settings).unwrap();
        let listener = serve::bind(&settings).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::task::spawn(serve::run(listener, state, stopped));
        Self { address, live, status, folder, stop, serving }
    }

    /// Why a server with these settings does not start.
    pub(crate) async fn refused(settings: ServeSettings) -> serve::ServeError {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("cytowatch.db");
        cytowatch::store::Store::open(&database).await.unwrap().close().await;
        let parts = Parts {
            status: None,
            readers: open_read_only(&database).await.unwrap(),
            database,
            folder: None,
            live: Arc::new(Live::new(1)),
            read_frame: Arc::new(|_| Err(serve::picture::PictureFault::Busy)),
            explain: None,
            metrics: None,
        };
        ServeState::new(parts, &settings).expect_err("the server started")
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)).await
    }

    /// Sends a raw request and reads to the end.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        parse(&bytes)
    }

    /// Stops the server and waits for its end, which must come soon.
    pub(crate) async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.serving).await.expect("the server did not stop").unwrap();
    }
}

/// Head and body; a chunked body is put together.
fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("no head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &bytes[end..];
    let mut body = Vec::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            body.extend_from_slice(&rest[line + 2..line + 2 + length]);
            rest = &rest[line + 2 + length + 2..];
        }
    } else {
        body.extend_from_slice(rest);
    }
    Answer { status, head, body }
}
