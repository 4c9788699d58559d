//! The first stage: runs the scanner when an event hints, when a file's second look is due, and from time to time.

use super::conductor::Found;
use crate::status::{Stage, Status, monotonic_now};
use crate::watch::WatchSettings;
use crate::watch::filesystem::Kind;
use crate::watch::hint::{Hint, Hints};
use crate::watch::scan::{Change, Problem, Scanner};
use async_channel::{Receiver, Sender};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Changes told at once.
const CHANGES_PER_MESSAGE: usize = 500;
/// Hints that are followed before anything else is looked at again.
const HINTS_PER_ROUND: usize = 256;
/// Shortest pause between two looks at waiting files: bounds the work when very many wait.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// The scanner did not come back from a look at the folder.
#[derive(Debug, thiserror::Error)]
#[error("a defect stopped the scanner; please report it")]
pub struct ScannerLost(#[source] tokio::task::JoinError);

/// What makes the watcher look.
enum Wake {
    Hints(Vec<Hint>),
    Forget(String),
    Due,
    Rescan,
    Stop,
}

/// See the module.
#[derive(Debug)]
pub struct Watcher {
    /// Knows the ledger's finished files already.
    pub scanner: Scanner,
    /// How often to look.
    pub settings: WatchSettings,
    /// File system of the folder.
    pub kind: Kind,
    /// The shared picture.
    pub status: Arc<Status>,
}

impl Watcher {
    /// Looks until asked to stop.
    ///
    /// # Errors
    /// When the scanner is lost by a defect.
    pub async fn run(
        self,
        found: Sender<Found>,
        forget: Receiver<String>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ScannerLost> {
        let Self { mut scanner, settings, kind, status } = self;
        let rescan = settings.rescan(kind);
        let mut hints = listen(&settings, kind);
        let began = monotonic_now();
        let mut told: Vec<Problem> = Vec::new();
        let mut next_rescan = Duration::ZERO;
        let mut walked = false;
        loop {
            let wake = if walked {
                let due = scanner.next_look_at().map(|at| at.max(began.elapsed() + SHORTEST_PAUSE));
                wait(&mut hints, &forget, (due, next_rescan), (began.elapsed(), &mut stop)).await
            } else {
                Wake::Rescan
            };
            let now = began.elapsed();
            status.begin(Stage::Watch);
            let work_began = monotonic_now();
            let beat = Arc::clone(&status);
            let look = tokio::task::spawn_blocking(move || look(scanner, wake, now, &beat));
            let (returned, wake, changes, problems) = look.await.map_err(ScannerLost)?;
            scanner = returned;
            status.add_work(Stage::Watch, work_began.elapsed(), changes.len() as u64);
            match wake {
                Wake::Stop => return Ok(()),
                Wake::Rescan => {
                    walked = true;
                    // A very full folder: walking it may take a twentieth of the time.
                    next_rescan = began.elapsed() + rescan.max(work_began.elapsed() * 20);
                    metrics::histogram!("cytowatch_scan_duration_seconds").record(work_began.elapsed().as_secs_f64());
                    tell_problems(&mut told, problems);
                }
                Wake::Hints(_) | Wake::Forget(_) | Wake::Due => {}
            }
            let (_, open_files) = scanner.counts();
            for chunk in chunks(changes) {
                let message = Found { changes: chunk, open_files, walked };
                tokio::select! {
                    sent = found.send(message) => if sent.is_err() { return Ok(()) },
                    _ = stop.changed() => return Ok(()),
                }
            }
            status.beat(Stage::Watch);
        }
    }
}

/// Events are a help, not a need: without them the rescan finds everything.
fn listen(settings: &WatchSettings, kind: Kind) -> Option<Hints> {
    if kind.is_network() {
        tracing::info!(file_system = kind.name(), "no events on a share: the folder is polled");
        return None;
    }
    if !settings.events {
        return None;
    }
    match Hints::listen(&settings.folder) {
        Ok(hints) => Some(hints),
        Err(error) => {
            tracing::warn!(code = error.code(), "no events, the folder is polled: {}", super::chain(&error));
            None
        }
    }
}

async fn wait(
    hints: &mut Option<Hints>,
    forget: &Receiver<String>,
    (due, next_rescan): (Option<Duration>, Duration),
    (now, stop): (Duration, &mut watch::Receiver<bool>),
) -> Wake {
    if *stop.borrow() {
        return Wake::Stop;
    }
    let hint = async {
        match hints {
            Some(listening) => listening.next().await,
            None => std::future::pending().await,
        }
    };
    let until = |at: Duration| tokio::time::sleep(at.saturating_sub(now));
    let first = tokio::select! {
        _ = stop.changed() => return Wake::Stop,
        // Nobody can ask any more: the conductor has ended.
        path = forget.recv() => return path.map_or(Wake::Stop, Wake::Forget),
        () = until(next_rescan) => return Wake::Rescan,
        () = async { match due { Some(at) => until(at).await, None => std::future::pending().await } } => return Wake::Due,
        hint = hint => hint,
    };
    let Some(first) = first else {
        tracing::warn!("the kernel's watcher ended: the folder is polled");
        *hints = None;
        return Wake::Rescan;
    };
    let more = hints.iter().flat_map(|listening| std::iter::from_fn(|| listening.try_next())).take(HINTS_PER_ROUND);
    let all: Vec<Hint> = std::iter::once(first).chain(more).collect();
    if all.iter().any(|hint| matches!(hint, Hint::Rescan)) { Wake::Rescan } else { Wake::Hints(all) }
}

fn look(
    mut scanner: Scanner,
    wake: Wake,
    now: Duration,
    status: &Status,
) -> (Scanner, Wake, Vec<Change>, Vec<Problem>) {
    let mut changes = Vec::new();
    let mut problems = Vec::new();
    match &wake {
        Wake::Rescan => {
            let scan = scanner.scan(now, &mut || status.beat(Stage::Watch));
            changes = scan.changes;
            problems = scan.problems;
        }
        Wake::Hints(hints) => {
            for hint in hints {
                if let Hint::Path { path, closed } = hint {
                    changes.extend(scanner.poke(path, *closed, now));
                    status.beat(Stage::Watch);
                }
            }
        }
        Wake::Forget(path) => {
            scanner.forget(path);
            let path: PathBuf = scanner.folder().join(path);
            changes = scanner.poke(&path, false, now);
        }
        Wake::Due => changes = scanner.look_again(now),
        Wake::Stop => {}
    }
    (scanner, wake, changes, problems)
}

/// At least one message, so that the conductor hears that the folder has been walked.
fn chunks(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut rest = changes.into_iter();
    let mut chunks = vec![rest.by_ref().take(CHANGES_PER_MESSAGE).collect::<Vec<_>>()];
    loop {
        let chunk: Vec<Change> = rest.by_ref().take(CHANGES_PER_MESSAGE).collect();
        if chunk.is_empty() {
            return chunks;
        }
        chunks.push(chunk);
    }
}

/// Says what is wrong with the folder once, and again when it changes.
fn tell_problems(told: &mut Vec<Problem>, problems: Vec<Problem>) {
    for problem in problems.iter().filter(|problem| !told.contains(problem)) {
        tracing::warn!(code = problem.code, path = problem.path, "part of the watched folder cannot be looked at");
    }
    for problem in told.iter().filter(|problem| !problems.contains(problem)) {
        tracing::info!(code = problem.code, path = problem.path, "the watched folder can be looked at again");
    }
    metrics::gauge!("cytowatch_folder_problems").set(problems.len() as f64);
    *told = problems;
}
