//! How fast the whole daemon is: file closed to result committed, and cells per second against the bare engine.
//!
//! `cargo bench --bench daemon` drives the real binary on simulated 2560 x 2160 frames with 30 cells. Times are of this
//! machine and this hour; the ratios are what to compare.

#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

use cytowatch::cells::{self, Crop, DetectSettings};
use cytowatch::frame;
use cytowatch::infer::{EngineChoice, InferSettings, Model};
use cytowatch::status::unix_ms;
use cytowatch::units::PixelSize;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Time points of the film; one field.
const FRAMES: usize = 32;
/// Time from one frame to the next when the latency is measured.
const PACE: Duration = Duration::from_millis(1200);

fn main() -> Outcome<()> {
    let root = tempfile::tempdir()?;
    let film = film(root.path())?;
    println!("{FRAMES} simulated frames of 2560 x 2160 px, 16 bit, 30 cells in the field");
    let compact = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/compact");
    let paper = root.path().join("paper");
    run(cytowatch().args(["model", "untrained", "--width", "64", "--downsample", "1"]).arg(&paper))?;
    latency(&root.path().join("latency"), &film, &compact)?;
    for (name, bundle) in [("compact", &compact), ("the paper's width, random weights", &paper)] {
        throughput(&root.path().join(name.replace([' ', ','], "-")), &film, (name, bundle))?;
    }
    Ok(())
}

fn cytowatch() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cytowatch"))
}

fn run(command: &mut Command) -> Outcome<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// The first field's frames in time order.
fn film(root: &Path) -> Outcome<Vec<PathBuf>> {
    let out = root.join("film");
    run(cytowatch()
        .args(["simulate", "--fields", "1", "--width", "2560", "--height", "2160", "--cells", "30", "--seed", "3"])
        .args(["--no-masks", "--frames", &FRAMES.to_string(), "--out"])
        .arg(&out)
        .arg("--truth")
        .arg(root.join("truth")))?;
    let mut frames = Vec::new();
    for session in fs::read_dir(&out)? {
        for frame in fs::read_dir(session?.path())? {
            frames.push(frame?.path());
        }
    }
    frames.sort();
    frames.truncate(FRAMES);
    Ok(frames)
}

/// A daemon on a folder of its own.
struct Site {
    folder: PathBuf,
    database: PathBuf,
    child: Child,
}

impl Site {
    fn start(root: &Path, bundle: &Path) -> Outcome<Self> {
        let folder = root.join("scope");
        fs::create_dir_all(&folder)?;
        let database = root.join("cytowatch.db");
        let log = fs::File::create(root.join("log"))?;
        let child = cytowatch()
            .arg("run")
            .arg("--folder")
            .arg(&folder)
            .arg("--database")
            .arg(&database)
            .env("CYTOWATCH_INSTRUMENT__PIXEL_SIZE_UM", "0.325")
            .env("CYTOWATCH_SERVE__LISTEN", "127.0.0.1:0")
            .env("CYTOWATCH_INFER__BUNDLE", bundle)
            .stderr(log)
            .spawn()?;
        let site = Self { folder, database, child };
        until("the daemon to be ready", || Ok(fs::read_to_string(root.join("log"))?.contains("page=http")))?;
        Ok(site)
    }

    fn page(root: &Path) -> Outcome<String> {
        let log = fs::read_to_string(root.join("log"))?;
        let page = log.split("page=http://").nth(1).and_then(|rest| rest.split('/').next());
        Ok(page.ok_or("no page")?.to_owned())
    }

    /// Commit times of the frames that are done, ms since 1970 UTC, by file name.
    fn committed(&self) -> Outcome<BTreeMap<String, i64>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let readers = cytowatch::store::open_read_only(&self.database).await?;
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "SELECT path, committed_unix_ms FROM frames JOIN sources USING (source_id) WHERE state = 'done'",
            )
            .fetch_all(&readers)
            .await?;
            readers.close().await;
            Ok(rows.into_iter().collect())
        })
    }

    fn scored(&self) -> Outcome<i64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let readers = cytowatch::store::open_read_only(&self.database).await?;
            let count = sqlx::query_scalar("SELECT count(*) FROM inferences").fetch_one(&readers).await?;
            readers.close().await;
            Ok(count)
        })
    }

    fn stop(mut self) -> Outcome<()> {
        run(Command::new("kill").arg(self.child.id().to_string()))?;
        self.child.wait()?;
        Ok(())
    }
}

fn until(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let began = Instant::now();
    while !holds()? {
        if began.elapsed() > Duration::from_mins(10) {
            return Err(format!("waited in vain for {what}").into());
        }
        pause(Duration::from_millis(250));
    }
    Ok(())
}

fn pause(time: Duration) {
    let (_keep, never) = mpsc::sync_channel::<()>(1);
    let waited = never.recv_timeout(time);
    debug_assert!(waited.is_err());
}

/// Frames arrive one at a time, as from a microscope.
fn latency(root: &Path, film: &[PathBuf], bundle: &Path) -> Outcome<()> {
    let site = Site::start(root, bundle)?;
    let mut closed = BTreeMap::new();
    for frame in film {
        let name = frame.file_name().ok_or("a frame without a name")?.to_string_lossy().into_owned();
        fs::copy(frame, site.folder.join(&name))?;
        closed.insert(name, unix_ms());
        pause(PACE);
    }
    until("all frames", || Ok(site.committed()?.len() == film.len()))?;
    let committed = site.committed()?;
    let mut waits: Vec<i64> = closed.iter().filter_map(|(name, at)| Some(committed.get(name)? - at)).collect();
    waits.sort_unstable();
    let rank = |share: f64| waits.get(((share * waits.len() as f64).ceil() as usize).saturating_sub(1)).copied();
    println!(
        "file closed -> committed, one frame every {PACE:?}: p50 {} ms, p99 {} ms ({} frames)",
        rank(0.5).unwrap_or(0),
        rank(0.99).unwrap_or(0),
        waits.len()
    );
    site.stop()
}

/// All frames at once; cells per second through everything, against the bare engine on the same crops.
fn throughput(root: &Path, film: &[PathBuf], (name, bundle): (&str, &Path)) -> Outcome<()> {
    fs::create_dir_all(root)?;
    let site = Site::start(root, bundle)?;
    let began = unix_ms();
    for frame in film {
        let name = frame.file_name().ok_or("a frame without a name")?;
        // A link appears whole and at once, as a file renamed into place does.
        fs::hard_link(frame, site.folder.join(name))?;
    }
    until("all frames", || Ok(site.committed()?.len() == film.len()))?;
    // By the daemon's own note of the last commit: asking often enough to see it would take the daemon's cores.
    let last = site.committed()?.into_values().max().ok_or("nothing committed")?;
    let took = (last - began) as f64 / 1e3;
    let cells = site.scored()?;
    let through = cells as f64 / took;
    let stages = stages(&Site::page(root)?)?;
    site.stop()?;

    let settings = DetectSettings::new(PixelSize::PAPER);
    let mut crops: Vec<Vec<Crop>> = Vec::new();
    for path in film {
        let plane = frame::read::open(path)?.read(0)?;
        let found = cells::find(&frame::correct(plane, PixelSize::PAPER), &settings);
        crops.push(found.cells.into_iter().filter_map(|cell| cell.crop).collect());
    }
    let mut model = Model::load(&InferSettings {
        bundle: bundle.to_owned(),
        engine: EngineChoice::Auto,
        ..InferSettings::default()
    })?;
    let began = Instant::now();
    for frame in &crops {
        model.describe(frame)?;
    }
    let bare = crops.iter().map(Vec::len).sum::<usize>() as f64 / began.elapsed().as_secs_f64();
    println!(
        "{name} ({}): {through:.0} cells/s through the daemon, {bare:.0} cells/s in the bare engine, ratio {:.2}",
        model.engine_name(),
        through / bare
    );
    let busy: f64 = stages.iter().map(|(_, busy_s)| busy_s).sum();
    for (stage, busy_s) in stages {
        println!(
            "  {stage:<8} {:>5.1} %  {:>7.1} ms per frame",
            100.0 * busy_s / busy,
            1e3 * busy_s / film.len() as f64
        );
    }
    Ok(())
}

/// Working time of each stage, s, as the daemon itself counts it.
fn stages(page: &str) -> Outcome<Vec<(String, f64)>> {
    let status: serde_json::Value = ureq::get(format!("http://{page}/api/v1/status")).call()?.body_mut().read_json()?;
    let report = status.get("daemon").unwrap_or(&status);
    let stages = report.get("stages").and_then(|stages| stages.as_array()).ok_or("no stages")?;
    Ok(stages
        .iter()
        .filter_map(|stage| Some((stage.get("name")?.as_str()?.to_owned(), stage.get("busy_s")?.as_f64()?)))
        .collect())
}
