//! The only file that knows all stages: queues, workers, wiring.
//!
//! ```text
//! watcher --Found--> conductor --Job--> workers --Analysed--> score --Scored--> recorder
//!    ^                 |    ^           (read, correct,       (model)          (order, link, commit)
//!    +--path again-----+    |            find cells)                               |
//!                           +---------------------------Done-----------------------+
//! ```
//!
//! Every arrow is a bounded queue; a stage that cannot send waits, and that time is a metric. A stage that ends before
//! it was asked to ends the daemon.

pub mod analyse;
pub mod backlog;
pub mod caller;
pub mod conductor;
pub mod explainer;
pub mod intake;
pub mod job;
pub mod persist;
pub mod recompute;
pub mod recorder;
pub mod reprocess;
pub mod reread;
pub mod score;
pub mod verify;
pub mod watcher;

use crate::id::FrameId;
use crate::infer::Model;
use crate::status::{Stage, Status};
use crate::store::StoreError;
use analyse::Optics;
use conductor::{Conductor, Queues};
use recorder::Recorder;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use watcher::{ScannerLost, Watcher};

/// Changes of the folder that may wait for the conductor, in messages.
const FOUND_CAPACITY: usize = 4;
/// Frames that may wait for the model. Each holds its crops (256 KiB a cell), not its pixels.
const ANALYSED_CAPACITY: usize = 2;
/// Frames that may wait for the recorder.
const SCORED_CAPACITY: usize = 4;
/// Words on ended frames that may wait for the conductor.
const DONE_CAPACITY: usize = 64;
/// Time between two looks at how full the queues are.
const LOOK_AT_QUEUES: Duration = Duration::from_millis(100);
/// Paths that may wait to be looked at anew.
const FORGET_CAPACITY: usize = 64;

/// `[pipeline]`: how much is worked on at once, and patience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineSettings {
    /// Threads that read frames and find cells; 0 = one per core.
    pub workers: usize,
    /// Frames between admission and commit; bounds the memory.
    pub max_in_flight: usize,
    /// How long a missing time point of a field is waited for before its later frames go on without it.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub gap_wait: Duration,
    /// How often the process may die while a frame is in flight before that frame is given up.
    pub max_attempts: u32,
    /// How long a stop waits for frames in flight.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub drain_deadline: Duration,
    /// A stage with work to do and no sign of life for this long counts as stuck.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub stall_limit: Duration,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            max_in_flight: 16,
            gap_wait: Duration::from_secs(30),
            max_attempts: 5,
            drain_deadline: Duration::from_secs(20),
            stall_limit: Duration::from_secs(9),
        }
    }
}

impl PipelineSettings {
    /// Worker threads, at least one.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        }
    }
}

/// Why the pipeline ended other than by being asked to.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The database refused for a reason that does not pass.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The scanner is gone.
    #[error(transparent)]
    Scanner(#[from] ScannerLost),
    /// A stage ended although nobody asked it to.
    #[error("stage {0} ended by itself; please report it")]
    EndedEarly(&'static str),
    /// A stage panicked.
    #[error("a defect stopped a stage; please report it")]
    Panicked(#[source] tokio::task::JoinError),
}

impl PipelineError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Scanner(_) => "scanner_lost",
            Self::EndedEarly(_) => "stage_ended_early",
            Self::Panicked(_) => "stage_panicked",
        }
    }
}

/// The stages, ready to be started.
#[derive(Debug)]
pub struct Stages {
    /// Looks at the folder.
    pub watcher: Watcher,
    /// Keeps the ledger.
    pub conductor: Conductor,
    /// What the workers know about the instrument.
    pub optics: Optics,
    /// Runs the bundle.
    pub model: Model,
    /// Links and commits.
    pub recorder: Recorder,
}

/// Runs all stages until `stop` becomes true and everything in flight has landed (or until everything in the folder
/// is done, when the conductor was told so).
///
/// # Errors
/// The first thing that ended a stage early.
pub async fn run(
    stages: Stages,
    settings: &PipelineSettings,
    status: Arc<Status>,
    stop: watch::Receiver<bool>,
) -> Result<(), PipelineError> {
    let workers = settings.worker_threads();
    let (found_in, found_out) = async_channel::bounded(FOUND_CAPACITY);
    let (jobs_in, jobs_out) = async_channel::bounded(workers);
    let (analysed_in, analysed_out) = async_channel::bounded(ANALYSED_CAPACITY);
    let (scored_in, scored_out) = async_channel::bounded(SCORED_CAPACITY);
    let (done_in, done_out) = async_channel::bounded(DONE_CAPACITY);
    let (forget_in, forget_out) = async_channel::bounded(FORGET_CAPACITY);

    let mut tasks: JoinSet<Result<Ended, PipelineError>> = JoinSet::new();
    let store = stages.recorder.store.clone();
    let recorder = tasks.spawn(async move {
        stages.recorder.run(scored_out, done_in).await?;
        Ok(Ended::Stage(Stage::Record))
    });
    let shared = Arc::clone(&status);
    let (analysed_depth, scored_depth) = (analysed_in.downgrade(), scored_in.downgrade());
    tasks.spawn_blocking(move || {
        score::score(stages.model, &analysed_out, &scored_in, &shared);
        Ok(Ended::Stage(Stage::Infer))
    });
    for _ in 0..workers {
        let (jobs, found, shared, optics) =
            (jobs_out.clone(), analysed_in.clone(), Arc::clone(&status), stages.optics.clone());
        tasks.spawn_blocking(move || {
            analyse::work(&jobs, &found, &optics, &shared);
            Ok(Ended::Stage(Stage::Cells))
        });
    }
    drop((jobs_out, analysed_in));
    let queues = Queues { found: found_out, jobs: jobs_in, done: done_out, forget: forget_in };
    let (draining_in, draining) = watch::channel(false);
    let (conductor_stop, watcher_stop) = (stop.clone(), stop.clone());
    tasks.spawn(async move { Ok(Ended::Drained(stages.conductor.run(queues, conductor_stop, draining_in).await?)) });
    tasks.spawn(async move {
        stages.watcher.run(found_in, forget_out, watcher_stop).await?;
        Ok(Ended::Stage(Stage::Watch))
    });
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => return Ok(()),
                Some(Err(panic)) => return Err(PipelineError::Panicked(panic)),
                Some(Ok(Err(error))) => return Err(error),
                // A stage may end once a stop was asked for (the watcher hears it as early as the conductor), or once
                // the conductor began to drain for a reason of its own.
                Some(Ok(Ok(Ended::Stage(stage)))) if !*draining.borrow() && !*stop.borrow() => {
                    return Err(PipelineError::EndedEarly(stage.name()));
                }
                Some(Ok(Ok(Ended::Stage(stage)))) => tracing::debug!(stage = stage.name(), "stage ended"),
                Some(Ok(Ok(Ended::Drained(left)))) if left.is_empty() => tracing::debug!("nothing is left in flight"),
                Some(Ok(Ok(Ended::Drained(left)))) => {
                    // First nobody may record any more, then what has not been recorded goes back. The workers and
                    // the model cannot be interrupted; what they still find is dropped with the process.
                    recorder.abort();
                    gone(&mut tasks, recorder.id()).await;
                    tasks.detach_all();
                    return Ok(store.put_back(&left, "given back at a stop").await?);
                }
            },
            () = tokio::time::sleep(LOOK_AT_QUEUES) => {
                status.set_queue(Stage::Infer, analysed_depth.upgrade().map_or(0, |queue| queue.len()), ANALYSED_CAPACITY);
                status.set_queue(Stage::Record, scored_depth.upgrade().map_or(0, |queue| queue.len()), SCORED_CAPACITY);
            }
        }
    }
}

/// How a task ended in order.
enum Ended {
    /// A stage other than the conductor.
    Stage(Stage),
    /// The conductor, with the frames that were still in flight at the deadline.
    Drained(Vec<FrameId>),
}

/// Waits until the task `id` is gone, however it ended.
async fn gone(tasks: &mut JoinSet<Result<Ended, PipelineError>>, id: tokio::task::Id) {
    while let Some(outcome) = tasks.join_next_with_id().await {
        let which = match outcome {
            Ok((which, _)) => which,
            Err(error) => error.id(),
        };
        if which == id {
            return;
        }
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        // Transparent errors repeat their cause's text.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}
