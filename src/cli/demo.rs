//! `cytowatch demo`: a simulated microscope, the daemon, its live page.

use super::say;
use crate::daemon::{self, Started, Until};
use crate::infer::onnx;
use crate::infer::runtime::{self, Kind};
use crate::pipeline::chain;
use crate::settings::Settings;
use crate::simulate::{
    Fov, Instrument, InstrumentSettings, Layout, Panel, Place, Scene, SceneSettings, Stop, TruthWriter, WriteStyle,
};
use crate::store::summary::summary;
use crate::units::PixelSize;
use anyhow::Context as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time from one line of progress to the next.
const PROGRESS: Duration = Duration::from_secs(2);
/// The page's usual port; another one when it is taken.
const PORT: u16 = 8750;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for everything; a temporary one, removed at the end, when absent.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// End by itself after this many seconds; 0 = run until Ctrl-C.
    #[arg(long, default_value_t = 0)]
    pub seconds: u64,
    /// Seconds from one time point to the next. A simulated minute passes in each.
    #[arg(long, default_value_t = 2.0)]
    pub interval_s: f64,
    /// Fields of view of each of the two samples.
    #[arg(long, default_value_t = 2)]
    pub fields: u32,
    /// Cells in a field.
    #[arg(long, default_value_t = 12)]
    pub cells: usize,
    /// Side of a frame, px.
    #[arg(long, default_value_t = 1024)]
    pub side_px: usize,
    /// The simulated microscope's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Model bundle.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// Do not fetch ONNX Runtime; the built-in engine serves when it is not installed.
    #[arg(long)]
    pub offline: bool,
}

/// Runs the demo until Ctrl-C (or for the given time), then says what was seen.
///
/// # Errors
/// What kept the microscope or the daemon from starting, or ended them.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("cytowatch-demo-").tempdir().context("make a temporary folder")?;
    let root = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let folder = root.join("microscope");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    fetch_runtime(args.offline)?;
    let settings = settings(args, &root, &folder)?;
    say(&format!(
        "microscope  {} ({} x {} px, every {} s)",
        folder.display(),
        args.side_px,
        args.side_px,
        args.interval_s
    ))?;
    say(&format!("database    {}", settings.store.database.display()))?;
    say(&format!("model       {}", settings.infer.bundle.display()))?;

    let stop = Stop::default();
    let mut instrument = microscope(args, &root, &folder)?;
    let until = if args.seconds == 0 { Until::Stopped } else { Until::Passed(Duration::from_secs(args.seconds)) };
    let (last, written) = std::thread::scope(|threads| {
        let writing = threads.spawn(|| instrument.run(&stop, &mut |_| ()));
        let outcome = super::block_on(async {
            let prepared = daemon::prepare(settings).await?;
            let (started_in, started) = tokio::sync::oneshot::channel();
            tokio::select! {
                last = Box::pin(daemon::run(prepared, until, |daemon| drop(started_in.send(daemon)))) => Ok(last?),
                error = progress(started) => Err(error),
            }
        });
        stop.ask();
        // The only panic that the thread can have is a defect, which must not pass for a success.
        let written = writing.join().map_err(|_panic| anyhow::anyhow!("a defect stopped the simulated microscope"))?;
        Ok::<_, anyhow::Error>((outcome?, written?))
    })?;
    let counts = &last.counts;
    say("")?;
    say(&format!(
        "{} frames written by the microscope, {} recorded, {} failed, {} put back; {} cells in {:.0} s",
        written.frames, counts.recorded, counts.failed, counts.put_back, counts.cells, last.uptime_s
    ))?;
    if let (Some(p50), Some(p99)) = (last.latency_p50_ms, last.latency_p99_ms) {
        say(&format!("file closed to result committed: median {p50:.0} ms, 99th percentile {p99:.0} ms"))?;
    }
    match &args.dir {
        Some(dir) => say(&format!(
            "kept in {}; look at it again: cytowatch serve --database {}",
            dir.display(),
            dir.join("cytowatch.db").display()
        ))?,
        None => say("the temporary folder is removed; keep it next time with --dir")?,
    }
    Ok(())
}

/// ONNX Runtime is fetched when it is not there; without it the demo works as well, more slowly.
fn fetch_runtime(offline: bool) -> anyhow::Result<()> {
    if offline || onnx::find_library(Kind::Plain, None).is_ok() {
        return Ok(());
    }
    say("fetching ONNX Runtime (19 MB, checked against its hash; --offline leaves it out) ..")?;
    match runtime::install(Kind::Plain, None) {
        Ok(installed) => say(&format!("installed   {}", installed.library().display()))?,
        Err(error) => say(&format!("not fetched, the built-in engine serves: {}", chain(&error)))?,
    }
    Ok(())
}

fn settings(args: &Args, root: &Path, folder: &Path) -> anyhow::Result<Settings> {
    let mut settings = Settings::load(None)?;
    "simulated microscope".clone_into(&mut settings.instrument.name);
    settings.instrument.pixel_size_um = Some(PixelSize::PAPER);
    folder.clone_into(&mut settings.watch.folder);
    settings.store.database = root.join("cytowatch.db");
    if let Some(bundle) = &args.bundle {
        settings.infer.bundle.clone_from(bundle);
    }
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_err();
    settings.serve.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, if taken { 0 } else { PORT }));
    Ok(settings)
}

/// One day of the panel: a sample of each class, several fields each.
fn microscope(args: &Args, root: &Path, folder: &Path) -> anyhow::Result<Instrument> {
    let panel = Panel::new(args.seed);
    let base = SceneSettings {
        width_px: args.side_px,
        height_px: args.side_px,
        cells: args.cells,
        film_min: 600.0,
        ..SceneSettings::default()
    };
    let day = 0;
    let today = panel.days.first().context("the simulated panel has no day")?;
    let of_class = |high: bool| {
        let is = |&tumour: &usize| {
            panel.tumours.get(tumour).is_some_and(|t| (t.class == crate::simulate::Class::High) == high)
        };
        today.tumours.iter().copied().find(is)
    };
    let mut fovs = Vec::new();
    for tumour in [of_class(true), of_class(false)].into_iter().flatten() {
        let Some(sample) = panel.tumours.get(tumour).map(|tumour| tumour.name.clone()) else { continue };
        for number in 1..=args.fields {
            if let Some((scene, seed)) = panel.field(Place { day, tumour, fov: number as usize }, &base) {
                fovs.push(Fov { sample: sample.clone(), number, scene: Scene::new(scene, seed) });
            }
        }
    }
    let samples: Vec<_> = panel.tumours.iter().map(|tumour| (tumour.name.clone(), tumour.class)).collect();
    let truth = TruthWriter::new(&root.join("truth"), &samples, false)?;
    let settings = InstrumentSettings {
        folder: folder.to_owned(),
        session: today.date.clone(),
        layout: Layout::SeriesTime,
        style: WriteStyle::Partial,
        interval: Duration::try_from_secs_f64(args.interval_s).context("--interval-s")?,
        frames: None,
        burst: 1,
    };
    Ok(Instrument::new(settings, fovs, Some(truth))?)
}

/// Says every two seconds how far things are; returns only when nothing can be said any more.
async fn progress(started: tokio::sync::oneshot::Receiver<Started>) -> anyhow::Error {
    let Ok(daemon) = started.await else { return std::future::pending().await };
    let outcome = async {
        say(&format!("page        http://{}/", daemon.address))?;
        say("Ctrl-C ends it")?;
        loop {
            tokio::time::sleep(PROGRESS).await;
            say(&line(&daemon).await?)?;
        }
    };
    let outcome: Result<std::convert::Infallible, anyhow::Error> = outcome.await;
    match outcome {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn line(daemon: &Started) -> anyhow::Result<String> {
    let report = daemon.status.report();
    let lag = report.latency_p50_ms.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.0} ms"));
    let line = format!(
        "{:>5} frames {:>6} cells  lag {lag}  waiting {}",
        report.counts.recorded,
        report.counts.cells,
        report.counts.ready + report.counts.in_flight
    );
    let samples = summary(daemon.store.readers()).await?.samples;
    let samples = samples.iter().map(|sample| {
        let score = sample.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        format!("  {} {score} ({} tracks)", sample.sample, sample.tracks)
    });
    Ok(std::iter::once(line).chain(samples).collect())
}
