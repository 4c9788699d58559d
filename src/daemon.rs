//! The daemon as a whole: what must hold before it is ready, the signals, the watchdog, an orderly end.
//!
//! ```text
//! settings -> prepare (folder, lock, database, model) -> stages -> READY -> .. -> SIGTERM -> drain -> end of run
//! ```
//!
//! `check` is [`prepare`] alone. Exit codes: 0 stopped, 1 failure (the service manager restarts), 2 usage,
//! 78 configuration (it does not).

use crate::alert;
use crate::alert::deliver::{DeliverError, Webhook};
use crate::folder::FolderProbe;
use crate::id::{BundleId, RunId};
use crate::infer::finder::Finder;
use crate::infer::{InferError, Model, bundle};
use crate::metrics::{Metrics, MetricsError};
use crate::pipeline::analyse::Optics;
use crate::pipeline::caller::Caller;
use crate::pipeline::conductor::{Conductor, Limits, Parts};
use crate::pipeline::intake::Intake;
use crate::pipeline::recorder::{Announce, Announcement, Recorder};
use crate::pipeline::watcher::Watcher;
use crate::pipeline::{self, PipelineError, Stages, chain};
use crate::sample::drift::TrainingSet;
use crate::serve::live::{Event, Live};
use crate::serve::{self, ServeError, ServeState};
use crate::settings::{Settings, SettingsError};
use crate::status::{Identity, Status, StatusReport, unix_ms};
use crate::store::record::verdict_name;
use crate::store::runs::{Purpose, RunFacts};
use crate::store::{Store, StoreError};
use crate::watch::filesystem::Kind;
use crate::watch::scan::Scanner;
use sha2::{Digest as _, Sha256};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the watchdog is fed when the service manager does not say.
const FEED: Duration = Duration::from_secs(5);

/// Why the daemon did not start, or ended.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The watched folder cannot be read.
    #[error("watched folder {folder}: it must exist and be readable (watch.folder)")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model cannot be used.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The page cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Alerts cannot be delivered as configured.
    #[error(transparent)]
    Alert(#[from] DeliverError),
    /// Metrics cannot be kept.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// A stage ended.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

impl DaemonError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(error) => error.code(),
            Self::Folder { .. } => "folder",
            Self::Store(error) => error.code(),
            Self::Infer(error) => error.code(),
            Self::Serve(error) => error.code(),
            Self::Alert(error) => error.code(),
            Self::Metrics(error) => error.code(),
            Self::Signals(_) => "signals",
            Self::Pipeline(error) => error.code(),
        }
    }

    /// Whether a restart cannot help because somebody has to change the configuration (or the bundle) first.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Infer(_) | Self::Alert(_) | Self::Store(StoreError::OnShare { .. }) => true,
            // An address that is taken may be free after the next restart.
            Self::Serve(error) => !matches!(error, ServeError::Bind { .. }),
            _ => false,
        }
    }
}

/// What is said when cells are found less well than they could be.
pub const NETWORK_LACKING: &str = "models/cells is not there, so the classical chain finds the cells, which it does less well: copy the folder \
    models of the sources to /usr/local/share/cytowatch, or say detect.model";

/// Everything that must hold before the daemon may say that it is ready.
#[derive(Debug)]
pub struct Prepared {
    /// Validated settings.
    pub settings: Settings,
    /// File system of the watched folder.
    pub kind: Kind,
    /// The open database.
    pub store: Store,
    /// The loaded model.
    pub model: Model,
    /// The network that finds cells; `None` for the classical chain.
    pub finder: Option<Arc<Finder>>,
    /// Whether the classical chain serves because the shipped network is not there.
    pub lacks_network: bool,
    /// The page's socket.
    pub listener: TcpListener,
    /// Where alerts are posted.
    pub webhook: Option<Webhook>,
    /// Held as long as this process uses the database.
    lock: File,
}

/// Checks and opens everything: settings, folder, lock, database, model.
///
/// # Errors
/// The first thing that does not hold; the message says what to do.
pub async fn prepare(mut settings: Settings) -> Result<Prepared, DaemonError> {
    settings.validate()?;
    settings.infer.bundle = bundle::find(settings.infer.bundle);
    let folder = &settings.watch.folder;
    let folder_error = |source| DaemonError::Folder { folder: folder.clone(), source };
    std::fs::read_dir(folder).map(drop).map_err(folder_error)?;
    let kind = Kind::of(folder).map_err(folder_error)?;
    let lock = lock_database(&settings.store.database)?;
    let store = Store::open(&settings.store.database).await?;
    let model = Model::load(&settings.infer)?;
    let lacks_network = settings.detect.lacks_network();
    settings.detect = settings.detect.resolved();
    // Cells are found in the engine that gives the scores, so that one word in the run says both.
    let finder = Finder::choose(&settings.detect, &settings.infer.with_engine(model.engine_name()))?.map(Arc::new);
    let found_by = finder.as_ref().map_or("the classical chain", |finder| finder.identity());
    let engine = finder.as_ref().map_or("none", |finder| finder.engine_name());
    tracing::info!(network = found_by, engine, "cells are found by");
    if lacks_network {
        tracing::warn!("{NETWORK_LACKING}");
    }
    let listener = serve::bind(&settings.serve).await?;
    let webhook = alert::webhook(&settings.alert)?;
    Ok(Prepared { settings, kind, store, model, finder, lacks_network, listener, webhook, lock })
}

/// Refuses a database on a share and takes the lock beside it. The operating system gives the lock back when the
/// process ends, however it ends.
pub(crate) fn lock_database(database: &Path) -> Result<File, StoreError> {
    let lock_error = |source| StoreError::Lock { path: database.to_owned(), source };
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(lock_error)?;
    let kind = Kind::of(folder).map_err(lock_error)?;
    if kind.is_network() {
        return Err(StoreError::OnShare { path: database.to_owned(), file_system: kind.name().to_owned() });
    }
    let mut beside = database.as_os_str().to_owned();
    beside.push(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&beside).map_err(lock_error)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: database.to_owned() }),
        Err(TryLockError::Error(source)) => Err(lock_error(source)),
    }
}

/// How long to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A signal asks to stop.
    Stopped,
    /// Everything in the folder is done, or a signal asks to stop.
    Done,
    /// This time has passed, or a signal asks to stop.
    Passed(Duration),
}

/// What somebody who starts the daemon from inside the process wants to know.
#[derive(Debug, Clone)]
pub struct Started {
    /// The shared picture.
    pub status: Arc<Status>,
    /// Where the page is.
    pub address: SocketAddr,
    /// Read connections.
    pub store: Store,
}

/// Runs the daemon; gives its last status. `started` is told when everything is ready.
///
/// # Errors
/// What kept it from starting or ended it.
pub async fn run(prepared: Prepared, until: Until, started: impl FnOnce(Started)) -> Result<StatusReport, DaemonError> {
    let Prepared { settings, kind, store, model, finder, listener, webhook, lock, .. } = prepared;
    let signals = Signals::listen().map_err(DaemonError::Signals)?;
    let metrics = Metrics::install()?;
    let status = Arc::new(Status::new(identity(&settings, &model), settings.pipeline.stall_limit));
    let live = Arc::new(Live::new(unix_ms()));
    let (stop_in, stop) = watch::channel(false);
    let announce = announce_to(Arc::clone(&live));
    let (run, bundle, stages) =
        begin(&settings, kind, (&store, model, finder), (&status, until), (announce, stop.clone())).await?;
    let folder = FolderProbe::new(settings.watch.folder.clone());
    let read_frame = pipeline::reread::door(settings.watch.folder.clone());
    let parts = serve::Parts {
        status: Some(Arc::clone(&status)),
        readers: store.readers().clone(),
        database: settings.store.database.clone(),
        folder: Some(Arc::clone(&folder)),
        live: Arc::clone(&live),
        read_frame: Arc::clone(&read_frame),
        explain: Some(pipeline::explainer::door(settings.infer.bundle.clone(), read_frame)),
        metrics: Some(metrics),
    };
    let state = ServeState::new(parts, &settings.serve)?;
    let address = listener.local_addr().map_err(DaemonError::Signals)?;
    let (page_stop_in, page_stop) = watch::channel(false);
    status.set_ready();
    notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(folder = %settings.watch.folder.display(), page = %format!("http://{address}/"), "ready");
    started(Started { status: Arc::clone(&status), address, store: store.clone() });
    // The page outlives the stages, so that a stop can be watched; it ends when they have.
    let work = async {
        let ended = pipeline::run(stages, &settings.pipeline, Arc::clone(&status), stop).await;
        page_stop_in.send_replace(true);
        ended
    };
    let supervised = async {
        tokio::pin!(work);
        tokio::select! {
            ended = &mut work => ended,
            () = keep_alive(&status) => Ok(()),
            () = asked_or_over(signals, until) => {
                tracing::info!("asked to stop: finishing what is in flight");
                notify(&[sd_notify::NotifyState::Stopping]);
                stop_in.send_replace(true);
                work.await
            }
        }
    };
    let alert_parts = alert::Parts {
        store: store.clone(),
        database: settings.store.database.clone(),
        status: Arc::clone(&status),
        folder,
        live: Arc::clone(&live),
    };
    let (ended, (), (), ()) = tokio::join!(
        supervised,
        serve::run(listener, state, page_stop.clone()),
        alert::keep(alert_parts, settings.alert.clone(), webhook, page_stop.clone()),
        Caller::new(store.clone(), live, bundle, settings.call).run(page_stop),
    );
    if let Err(error) = store.end_run(run, unix_ms()).await {
        tracing::warn!(code = error.code(), "the run's end could not be stored: {}", chain(&error));
    }
    store.close().await;
    drop(lock);
    ended?;
    Ok(status.report())
}

fn identity(settings: &Settings, model: &Model) -> Identity {
    let fallback = model.fallback().map(|error| chain(error));
    if let Some(reason) = &fallback {
        tracing::warn!(engine = model.engine_name(), "the built-in engine serves: {reason}");
    }
    metrics::gauge!("cytowatch_engine_fallback").set(f64::from(u8::from(fallback.is_some())));
    Identity {
        instrument: settings.instrument.name.clone(),
        folder: settings.watch.folder.display().to_string(),
        bundle: format!("{} {}", model.bundle().name, model.bundle().version),
        engine: model.engine_name().to_owned(),
        engine_warning: fallback,
    }
}

/// Puts what the recorder says into the ring of events.
fn announce_to(live: Arc<Live>) -> Announce {
    Arc::new(move |announcement| {
        let event = match announcement {
            Announcement::Recorded { frame, fov, time, cells, verdict, latency } => Event::FrameRecorded {
                frame_id: frame,
                fov_id: fov,
                time_index: time.0,
                cell_count: cells,
                verdict: verdict_name(verdict).to_owned(),
                latency_ms: latency.map(|latency| latency.as_secs_f64() * 1e3),
            },
            Announcement::Failed { frame, fov, code } => {
                Event::FrameFailed { frame_id: frame, fov_id: Some(fov), code: code.to_owned() }
            }
        };
        live.publish(&event);
    })
}

/// Notes the bundle and a run with it in the database.
///
/// # Errors
/// When the database refuses.
pub async fn begin_run(
    store: &Store,
    settings: &Settings,
    model: &Model,
    purpose: Purpose,
) -> Result<(RunId, BundleId), StoreError> {
    let unwritable = |error| StoreError::Unreadable { what: format!("settings or facts cannot be stored: {error}") };
    let now_unix_ms = unix_ms();
    let used = model.bundle();
    let bundle = store.register_bundle(&used.identity, &used.name, &used.version, now_unix_ms).await?;
    let training = serde_json::to_string(&TrainingSet::of(&used.facts)).map_err(unwritable)?;
    store.keep_training(bundle, &training).await?;
    let settings_json = serde_json::to_string(settings).map_err(unwritable)?;
    let facts = RunFacts {
        started_unix_ms: now_unix_ms,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        settings_sha256: hex(&Sha256::digest(settings_json.as_bytes())),
        settings_json,
        bundle,
        engine: model.engine_name().to_owned(),
        purpose,
    };
    Ok((store.begin_run(&facts).await?, bundle))
}

/// Notes the run in the database, lets the ledger recover, makes the stages.
async fn begin(
    settings: &Settings,
    kind: Kind,
    (store, model, finder): (&Store, Model, Option<Arc<Finder>>),
    (status, until): (&Arc<Status>, Until),
    (announce, stop): (Announce, watch::Receiver<bool>),
) -> Result<(RunId, BundleId, Stages), DaemonError> {
    let (run, bundle) = begin_run(store, settings, &model, Purpose::Frames).await?;
    let recovered = store.recover(settings.pipeline.max_attempts).await?;
    if recovered.given_up > 0 {
        tracing::error!(frames = recovered.given_up, "frames given up: the process died with them too often");
    }
    if !recovered.suspects.is_empty() {
        tracing::warn!(
            frames = recovered.suspects.len(),
            "frames were in flight when the process ended: done again, one at a time"
        );
    }
    let rules = settings.watch.rules(kind).map_err(SettingsError::Template)?;
    let mut scanner = Scanner::new(settings.watch.folder.clone(), rules);
    for source in store.known_sources().await? {
        if source.settled {
            let size_bytes = u64::try_from(source.stamp.size_bytes).unwrap_or(0);
            scanner.preload(source.path, size_bytes, source.stamp.modified_unix_ns, source.frames as usize);
        }
    }
    let folder_name = settings.watch.folder.canonicalize().ok();
    let folder_name = folder_name.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let intake = Intake {
        instrument: settings.instrument.name.clone(),
        folder_name: folder_name.unwrap_or_else(|| "session".to_owned()),
        channel: settings.watch.channel.clone(),
        z_index: settings.instrument.z_index,
    };
    let limits = Limits {
        max_in_flight: settings.pipeline.max_in_flight,
        gap_wait: settings.pipeline.gap_wait,
        drain_deadline: settings.pipeline.drain_deadline,
        min_free_bytes: settings.store.min_free_bytes,
        until_done: until == Until::Done,
    };
    let parts = Parts {
        store: store.clone(),
        status: Arc::clone(status),
        run,
        intake,
        folder: settings.watch.folder.clone(),
        database: settings.store.database.clone(),
        limits,
    };
    let stages = Stages {
        watcher: Watcher { scanner, settings: settings.watch.clone(), kind, status: Arc::clone(status) },
        conductor: Conductor::new(parts, recovered.suspects, stop.clone()).await?,
        optics: Optics {
            pixel_size: settings.instrument.pixel_size_um,
            trust_pixel_size: settings.instrument.trust_pixel_size,
            cell_diameter_um: settings.instrument.cell_diameter_um,
            finder,
        },
        model,
        recorder: Recorder::new((store.clone(), Arc::clone(status)), (run, bundle), settings.track, (announce, stop)),
    };
    Ok((run, bundle, stages))
}

/// The signals that ask to stop.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns when a signal asks to stop, or when the time is over.
async fn asked_or_over(signals: Signals, until: Until) {
    let over = async {
        match until {
            Until::Passed(time) => tokio::time::sleep(time).await,
            Until::Stopped | Until::Done => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.asked() => {}
        () = over => {}
    }
}

/// Feeds the service manager's watchdog as long as every stage moves; never returns.
async fn keep_alive(status: &Status) {
    let every = sd_notify::watchdog_enabled().map_or(FEED, |limit| limit / 3);
    loop {
        if status.every_stage_moves() {
            notify(&[sd_notify::NotifyState::Watchdog]);
        } else {
            tracing::error!("a stage is stuck: the watchdog is not fed");
        }
        tokio::time::sleep(every).await;
    }
}

/// Without a service manager there is nobody to tell, which is no error.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager could not be told: {error}");
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    nibbles.filter_map(|nibble| DIGITS.get(usize::from(nibble))).collect()
}
