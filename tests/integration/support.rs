//! A watched folder with a configuration, a daemon in it, an instrument that writes, and bounded waits.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest wait for anything; generous because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) fn cytowatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytowatch"));
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs the binary to its end and gives its standard output; fails with what it said otherwise.
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `ready`, looking often; fails with `what` when it takes too long.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        pause(Duration::from_millis(10));
    }
}

/// A pause between two looks, or the pace of an instrument; never a stand-in for a condition.
pub(crate) fn pause(time: Duration) {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(1);
    let _ = never.recv_timeout(time);
}

/// Everything that the tests of one process share and nobody changes.
struct Shared {
    folder: tempfile::TempDir,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        output_of(cytowatch().args(["model", "untrained"]).arg(folder.path().join("bundle")));
        output_of(
            cytowatch()
                .args(["simulate", "--fields", "1", "--frames", "20", "--seed", "7", "--no-masks"])
                .args(["--width", "480", "--height", "400", "--cells", "5", "--minutes", "5"])
                .arg("--out")
                .arg(folder.path().join("film"))
                .arg("--truth")
                .arg(folder.path().join("truth")),
        );
        Shared { folder }
    })
}

/// A small bundle with random weights.
pub(crate) fn bundle() -> PathBuf {
    shared().folder.path().join("bundle")
}

/// A simulated film: 2 fields x 20 time points, by path relative to the folder, sorted by time point, then field.
pub(crate) fn film() -> Vec<(String, Vec<u8>)> {
    let mut frames = files_below(&shared().folder.path().join("film"));
    let field = |path: &str| path.rsplit_once("_t").map(|(field, _)| field.to_owned()).unwrap();
    let fields: std::collections::BTreeSet<String> = frames.iter().map(|(path, _)| field(path)).collect();
    let two: Vec<&String> = fields.iter().take(2).collect();
    frames.retain(|(path, _)| two.contains(&&field(path)));
    assert_eq!(frames.len(), 40, "{fields:?}");
    // Instruments write time point after time point.
    frames.sort_by_key(|(path, _)| (path.rsplit_once("_t").map(|(_, time)| time.to_owned()), path.clone()));
    frames
}

/// Files below `root` with their content, by path relative to it.
pub(crate) fn files_below(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The folder with the public test data; says so when it is not there.
pub(crate) fn data(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CYTOWATCH_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(set);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: the test data {} are not here", path.display());
    None
}

/// A watched folder, a database and a configuration of their own.
pub(crate) struct Site {
    root: tempfile::TempDir,
    pub(crate) database: PathBuf,
}

impl Site {
    /// A site with `more` added to the configuration.
    pub(crate) fn new(more: &str) -> Self {
        Self::with_bundle(&bundle(), more)
    }

    pub(crate) fn with_bundle(bundle: &Path, more: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("scope");
        fs::create_dir(&folder).unwrap();
        let database = root.path().join("cytowatch.db");
        let mut sections = BTreeMap::from([
            ("instrument", "name = \"test\"\npixel_size_um = 0.65\n".to_owned()),
            ("watch", format!("folder = {folder:?}\nrescan_local = \"1s\"\n")),
            ("infer", format!("bundle = {bundle:?}\nthreads = 1\n")),
            ("store", format!("database = {database:?}\nmin_free_bytes = 0\n")),
            ("serve", "listen = \"127.0.0.1:0\"\n".to_owned()),
        ]);
        let mut section = String::new();
        for line in more.lines() {
            if let Some(name) = line.strip_prefix('[') {
                name.trim_end_matches(']').clone_into(&mut section);
            } else {
                let name: &'static str =
                    ["alert", "instrument", "watch", "infer", "store", "serve", "pipeline", "track", "expected"]
                        .into_iter()
                        .find(|name| *name == section)
                        .unwrap();
                let keys = sections.entry(name).or_default();
                let key = line.split('=').next().unwrap().trim();
                *keys = keys.lines().filter(|old| !old.starts_with(key)).map(|old| format!("{old}\n")).collect();
                keys.push_str(line);
                keys.push('\n');
            }
        }
        let text: String = sections.iter().map(|(name, keys)| format!("[{name}]\n{keys}\n")).collect();
        fs::write(root.path().join("cytowatch.toml"), text).unwrap();
        Self { root, database }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("scope")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.path().join("cytowatch.toml")
    }

    /// A command of the binary with this site's configuration.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = cytowatch();
        command.arg(name).arg("--config").arg(self.config());
        command
    }

    /// Starts the daemon; does not wait for anything.
    pub(crate) fn start(&self) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let child = self.command("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Daemon { child: Some(child), log: self.log(), log_from: self.log_len() }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.path().join("log")
    }

    fn log_len(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |facts| facts.len())
    }

    /// Takes everything in the folder, then ends.
    pub(crate) fn backfill(&self) -> String {
        output_of(self.command("backfill").arg(self.folder()))
    }

    /// Number of frames in `state`; 0 as long as there is no database.
    pub(crate) fn frames(&self, state: &str) -> usize {
        self.count(&format!("SELECT count(*) FROM frames WHERE state = '{state}'"))
    }

    /// The number that `sql` gives; 0 as long as there is no database or no table.
    pub(crate) fn count(&self, sql: &str) -> usize {
        usize::try_from(self.query::<i64>(sql).first().copied().unwrap_or(0)).unwrap()
    }

    /// The first column of what `sql` gives; nothing as long as there is no database.
    pub(crate) fn query<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Ok(readers) = cytowatch::store::open_read_only(&self.database).await else { return Vec::new() };
            let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&readers).await;
            readers.close().await;
            rows.unwrap_or_default()
        })
    }

    /// What a user exports, without the columns that tell when and in which order rows were made.
    pub(crate) fn content(&self, table: &str) -> Vec<String> {
        let text = output_of(self.command("export").arg(table));
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let kept: Vec<usize> = (0..header.len())
            .filter(|&at| {
                let name = header[at].as_str();
                let of_the_run = name.ends_with("_id") || name.ends_with("_unix_ms") || name == "latency_ms";
                !of_the_run && name != "attempts"
            })
            .collect();
        let mut content: Vec<String> =
            lines.map(|fields| kept.iter().map(|&at| fields[at].as_str()).collect::<Vec<_>>().join(",")).collect();
        content.sort();
        content
    }

    /// Frames, cells, tracks and samples as a user exports them.
    pub(crate) fn whole_content(&self) -> Vec<Vec<String>> {
        ["frames", "cells", "tracks", "samples"].map(|table| self.content(table)).into()
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Option<Child>,
    log: PathBuf,
    log_from: u64,
}

impl Daemon {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn process_id(&mut self) -> u32 {
        self.child().id()
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[usize::try_from(self.log_from).unwrap().min(log.len())..]).into_owned()
    }

    /// Waits until it says that it is ready; gives the address of its page.
    pub(crate) fn ready(&mut self) -> String {
        wait_for("the daemon to be ready", || {
            if let Some(status) = self.child().try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.said());
            }
            let said = self.said();
            let page = said.split("page=http://").nth(1)?;
            page.contains('/').then(|| page.split('/').next().unwrap().to_owned())
        })
    }

    pub(crate) fn signal(&mut self, name: &str) {
        let id = self.process_id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        wait_for("the daemon to end", || child.try_wait().unwrap())
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&mut self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.process_id())).unwrap();
        text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                let said = self.said();
                eprintln!("the daemon's last words:\n{}", &said[said.len().saturating_sub(4000)..]);
            }
        }
    }
}

/// Writes a whole file under its name.
pub(crate) fn write_whole(folder: &Path, (name, bytes): &(String, Vec<u8>)) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a file in `pieces`, closing it only at the end.
pub(crate) fn write_in_pieces(folder: &Path, (name, bytes): &(String, Vec<u8>), pieces: usize, between: Duration) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::create(path).unwrap();
    for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        pause(between);
    }
}

/// Writes a file under a temporary name, then renames it into place.
pub(crate) fn write_and_rename(folder: &Path, (name, bytes): &(String, Vec<u8>)) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut beside = path.clone().into_os_string();
    beside.push(".tmp");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, path).unwrap();
}

/// `GET path` from the daemon's page; the body as JSON.
pub(crate) fn get_json(address: &str, path: &str) -> serde_json::Value {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A network so wide that the model is what everything waits for; its cost per cell grows with the square of `width`.
pub(crate) fn slow_bundle(folder: &Path, width: usize) -> PathBuf {
    let bundle = folder.join("bundle");
    output_of(
        cytowatch().args(["model", "untrained", "--downsample", "1", "--width"]).arg(width.to_string()).arg(&bundle),
    );
    bundle
}
