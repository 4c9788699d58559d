//! What the daemon is doing now: one shared, lock-light picture that every stage writes and the page, the API, the
//! metrics and the watchdog read.
//!
//! Times are milliseconds of one monotonic clock that starts with the process ([`Status::now_ms`]).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The stages in path order; the label of metrics and the key in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking at the folder.
    Watch,
    /// Keeping the ledger and admitting frames.
    Admit,
    /// Reading, correcting and finding cells.
    Cells,
    /// Running the model.
    Infer,
    /// Linking tracks and committing.
    Record,
}

impl Stage {
    /// All stages in path order.
    pub const ALL: [Self; 5] = [Self::Watch, Self::Admit, Self::Cells, Self::Infer, Self::Record];

    /// Stable name in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Admit => "admit",
            Self::Cells => "cells",
            Self::Infer => "infer",
            Self::Record => "record",
        }
    }
}

/// One stage's counters; written by the stage alone, read by everyone.
#[derive(Debug, Default)]
pub struct StageGauge {
    beat_ms: AtomicU64,
    active: AtomicU64,
    waiting: AtomicU64,
    busy_us: AtomicU64,
    blocked_us: AtomicU64,
    frames: AtomicU64,
    queue_depth: AtomicU64,
    queue_capacity: AtomicU64,
}

/// One stage as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Stable name.
    pub name: String,
    /// Frames that left the stage.
    pub frames: u64,
    /// Entries waiting in the queue in front of the stage.
    pub queue_depth: u64,
    /// What that queue can hold; 0 when the stage has none.
    pub queue_capacity: u64,
    /// Time spent working, s, summed over workers.
    pub busy_s: f64,
    /// Time spent waiting for a full queue behind the stage, s, summed over workers.
    pub blocked_s: f64,
    /// Age of the last sign of life, s.
    pub beat_age_s: f64,
    /// Whether the stage moves: its sign of life is young enough.
    pub alive: bool,
}

/// Counters of frames and cells since the process started, and the backlog now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames handed to the workers, or failed at the look that would have handed them over.
    pub admitted: u64,
    /// Frames whose result is committed.
    pub recorded: u64,
    /// Frames that failed.
    pub failed: u64,
    /// Frames given back to the ledger (stop, disk full).
    pub put_back: u64,
    /// Frames between admission and commit now.
    pub in_flight: u64,
    /// Frames that are complete and wait for admission now.
    pub ready: u64,
    /// Frames known but not complete, or held for an earlier one, now.
    pub waiting: u64,
    /// Cells committed.
    pub cells: u64,
    /// Failed frames by stable code.
    pub failed_by_code: BTreeMap<String, u64>,
}

/// Everything the daemon says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Instrument's name.
    pub instrument: String,
    /// Watched folder.
    pub folder: String,
    /// Software version.
    pub version: String,
    /// Bundle's name and version.
    pub bundle: String,
    /// Engine that runs it, `ort` or `rten`.
    pub engine: String,
    /// Why the preferred engine is not used.
    pub engine_warning: Option<String>,
    /// Process id.
    pub process_id: u32,
    /// Time since start, s.
    pub uptime_s: f64,
    /// Resident memory, bytes; 0 where the system does not tell.
    pub resident_bytes: u64,
    /// Whether the daemon has finished starting.
    pub ready: bool,
    /// Why no frame is admitted at present.
    pub paused: Option<String>,
    /// How fast the disk with the database fills, bytes per second over the last half hour; `None` while it does not.
    pub disk_filling_bytes_per_s: Option<f64>,
    /// Time from now until the backlog is worked off at the present rate, s.
    pub backlog_eta_s: Option<f64>,
    /// Age of the newest commit, s.
    pub last_commit_age_s: Option<f64>,
    /// File closed to result committed, ms: median of the latest frames.
    pub latency_p50_ms: Option<f64>,
    /// File closed to result committed, ms: 99th percentile of the latest frames.
    pub latency_p99_ms: Option<f64>,
    /// Frames and cells.
    pub counts: Counts,
    /// Stages in path order.
    pub stages: Vec<StageReport>,
}

/// What stays the same for the whole process.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Instrument's name.
    pub instrument: String,
    /// Watched folder.
    pub folder: String,
    /// Bundle's name and version.
    pub bundle: String,
    /// Engine's name.
    pub engine: String,
    /// Why the preferred engine is not used.
    pub engine_warning: Option<String>,
}

/// How many latest latencies the percentiles are taken over.
const LATENCIES_KEPT: usize = 512;

#[derive(Debug, Default)]
struct Shared {
    counts: Counts,
    paused: Option<String>,
    filling_bytes_per_s: Option<f64>,
    store: StoreAnswer,
    latencies_ms: Vec<f64>,
    next_latency: usize,
}

/// What the database said when it was last asked whether it takes a write.
#[derive(Debug, Clone, Default)]
struct StoreAnswer {
    fault: Option<String>,
    at_ms: Option<u64>,
}

/// The shared picture; see the module.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    identity: Identity,
    stall_limit: Duration,
    ready: AtomicBool,
    last_commit_ms: AtomicU64,
    gauges: [StageGauge; Stage::ALL.len()],
    shared: Mutex<Shared>,
}

impl Status {
    /// A picture of a process that starts now; a stage without a sign of life for `stall_limit` counts as stuck.
    pub fn new(identity: Identity, stall_limit: Duration) -> Self {
        Self {
            started: monotonic_now(),
            identity,
            stall_limit,
            ready: AtomicBool::new(false),
            last_commit_ms: AtomicU64::new(0),
            gauges: Default::default(),
            shared: Mutex::default(),
        }
    }

    /// Milliseconds since the process started.
    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Marks the end of the start-up.
    pub fn set_ready(&self) {
        for stage in Stage::ALL {
            self.beat(stage);
        }
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the start-up has ended.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// A stage's sign of life.
    pub fn beat(&self, stage: Stage) {
        self.gauge(stage).beat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Says how full the queue in front of `stage` is.
    pub fn set_queue(&self, stage: Stage, depth: usize, capacity: usize) {
        let gauge = self.gauge(stage);
        gauge.queue_depth.store(depth as u64, Ordering::Relaxed);
        gauge.queue_capacity.store(capacity as u64, Ordering::Relaxed);
    }

    /// A stage begins to work on something; [`Status::add_work`] ends it.
    pub fn begin(&self, stage: Stage) {
        self.gauge(stage).active.fetch_add(1, Ordering::Relaxed);
        self.beat(stage);
    }

    /// A stage's worker stopped working without a result (it was asked to end).
    pub fn rest(&self, stage: Stage) {
        self.gauge(stage).active.fetch_sub(1, Ordering::Relaxed);
        self.beat(stage);
    }

    /// Adds working time of a stage that finished `frames` frames.
    pub fn add_work(&self, stage: Stage, worked: Duration, frames: u64) {
        let gauge = self.gauge(stage);
        gauge.busy_us.fetch_add(worked.as_micros() as u64, Ordering::Relaxed);
        gauge.frames.fetch_add(frames, Ordering::Relaxed);
        metrics::histogram!("cytowatch_stage_duration_seconds", "stage" => stage.name()).record(worked.as_secs_f64());
        self.rest(stage);
    }

    /// Hands a result on with `send`, which may wait for the full queue behind `stage`: that time is counted, and the stage is not
    /// stuck meanwhile, the one behind it may be.
    pub fn hand_on<T>(&self, stage: Stage, send: impl FnOnce() -> T) -> T {
        let gauge = self.gauge(stage);
        gauge.waiting.fetch_add(1, Ordering::Relaxed);
        let began = monotonic_now();
        let sent = send();
        gauge.blocked_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        gauge.waiting.fetch_sub(1, Ordering::Relaxed);
        self.beat(stage);
        sent
    }

    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock().counts);
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Says why no frame is admitted, or that frames are admitted again.
    pub fn set_paused(&self, reason: Option<String>) {
        self.lock().paused = reason;
    }

    /// Says how fast the disk with the database fills.
    pub fn set_filling(&self, bytes_per_s: Option<f64>) {
        self.lock().filling_bytes_per_s = bytes_per_s;
    }

    /// The database was asked whether it takes a write: `None` when it does, else why not.
    pub fn store_answered(&self, fault: Option<String>) {
        let now_ms = self.now_ms();
        self.lock().store = StoreAnswer { fault, at_ms: Some(now_ms) };
    }

    /// Why the database takes no write; also when it has not answered for `limit` after it was first asked.
    pub fn store_fault(&self, limit: Duration) -> Option<String> {
        let now_ms = self.now_ms();
        let StoreAnswer { fault, at_ms } = self.lock().store.clone();
        let silent = at_ms.map(|at| Duration::from_millis(now_ms.saturating_sub(at))).filter(|age| *age > limit);
        match silent {
            Some(age) => {
                Some(format!("the database has not answered for {} s: see whether its disk hangs", age.as_secs()))
            }
            None => fault,
        }
    }

    /// A frame's result was committed `latency` after its file was closed; `None` when that moment is unknown.
    pub fn committed(&self, latency: Option<Duration>) {
        self.last_commit_ms.store(self.now_ms().max(1), Ordering::Relaxed);
        let Some(latency) = latency else { return };
        metrics::histogram!("cytowatch_frame_latency_seconds").record(latency.as_secs_f64());
        let mut shared = self.lock();
        let at = shared.next_latency;
        let latency_ms = latency.as_secs_f64() * 1e3;
        match shared.latencies_ms.get_mut(at) {
            Some(slot) => *slot = latency_ms,
            None => shared.latencies_ms.push(latency_ms),
        }
        shared.next_latency = (at + 1) % LATENCIES_KEPT;
    }

    /// Whether every stage moves; the watchdog is fed only then.
    pub fn every_stage_moves(&self) -> bool {
        Stage::ALL.iter().all(|&stage| self.moves(stage))
    }

    /// Everything, for people and programs.
    pub fn report(&self) -> StatusReport {
        let (counts, paused, disk_filling_bytes_per_s, mut latencies_ms) = {
            let shared = self.lock();
            (shared.counts.clone(), shared.paused.clone(), shared.filling_bytes_per_s, shared.latencies_ms.clone())
        };
        latencies_ms.sort_by(f64::total_cmp);
        let uptime_s = self.started.elapsed().as_secs_f64();
        let last_commit_ms = self.last_commit_ms.load(Ordering::Relaxed);
        let pending = counts.ready + counts.in_flight;
        let rate_per_s = counts.recorded as f64 / uptime_s.max(1e-3);
        StatusReport {
            instrument: self.identity.instrument.clone(),
            folder: self.identity.folder.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bundle: self.identity.bundle.clone(),
            engine: self.identity.engine.clone(),
            engine_warning: self.identity.engine_warning.clone(),
            process_id: std::process::id(),
            uptime_s,
            resident_bytes: resident_bytes().unwrap_or(0),
            ready: self.is_ready(),
            paused,
            disk_filling_bytes_per_s,
            backlog_eta_s: (pending > 0 && rate_per_s > 0.0).then(|| pending as f64 / rate_per_s),
            last_commit_age_s: (last_commit_ms > 0).then(|| self.now_ms().saturating_sub(last_commit_ms) as f64 / 1e3),
            latency_p50_ms: percentile(&latencies_ms, 0.50),
            latency_p99_ms: percentile(&latencies_ms, 0.99),
            counts,
            stages: Stage::ALL.iter().map(|&stage| self.stage_report(stage)).collect(),
        }
    }

    fn stage_report(&self, stage: Stage) -> StageReport {
        let gauge = self.gauge(stage);
        StageReport {
            name: stage.name().to_owned(),
            frames: gauge.frames.load(Ordering::Relaxed),
            queue_depth: gauge.queue_depth.load(Ordering::Relaxed),
            queue_capacity: gauge.queue_capacity.load(Ordering::Relaxed),
            busy_s: gauge.busy_us.load(Ordering::Relaxed) as f64 / 1e6,
            blocked_s: gauge.blocked_us.load(Ordering::Relaxed) as f64 / 1e6,
            beat_age_s: self.beat_age(stage).as_secs_f64(),
            alive: self.moves(stage),
        }
    }

    /// A stage moves when it gave a sign of life lately, has nothing to do, or waits for the one behind it.
    fn moves(&self, stage: Stage) -> bool {
        let gauge = self.gauge(stage);
        let at_rest = gauge.active.load(Ordering::Relaxed) == 0
            && (gauge.queue_depth.load(Ordering::Relaxed) == 0 || gauge.waiting.load(Ordering::Relaxed) > 0);
        at_rest || self.beat_age(stage) <= self.stall_limit
    }

    fn beat_age(&self, stage: Stage) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.gauge(stage).beat_ms.load(Ordering::Relaxed)))
    }

    #[expect(clippy::indexing_slicing, reason = "the array has one gauge per stage")]
    fn gauge(&self, stage: Stage) -> &StageGauge {
        &self.gauges[stage as usize]
    }

    /// A panic while the lock was held leaves plain counters behind, which stay usable.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only reading of the monotonic clock outside the runtime's timers.
pub fn monotonic_now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Resident memory of this process, bytes, where `/proc` tells.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Space on the disk that holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// Left for us, bytes.
    pub free_bytes: u64,
    /// In all, bytes.
    pub total_bytes: u64,
}

/// Space on the disk that holds `path`; `None` where the system does not tell.
pub fn disk_space(path: &std::path::Path) -> Option<DiskSpace> {
    let facts = rustix::fs::statvfs(path).ok()?;
    Some(DiskSpace {
        free_bytes: facts.f_bavail.saturating_mul(facts.f_frsize),
        total_bytes: facts.f_blocks.saturating_mul(facts.f_frsize),
    })
}

/// The value below which `share` of the sorted values lie (nearest rank).
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 0.50), Some(50.0));
        assert_eq!(percentile(&sorted, 0.99), Some(99.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_stage_that_waits_for_the_one_behind_it_is_not_stuck() {
        let status = Status::new(Identity::default(), Duration::ZERO);
        status.set_ready();
        status.set_queue(Stage::Cells, 3, 3);
        while status.beat_age(Stage::Cells) == Duration::ZERO {
            std::hint::spin_loop();
        }
        assert!(!status.every_stage_moves(), "work waits and nobody takes it");
        assert!(status.hand_on(Stage::Cells, || status.every_stage_moves()));
        status.begin(Stage::Cells);
        while status.beat_age(Stage::Cells) == Duration::ZERO {
            std::hint::spin_loop();
        }
        assert!(!status.hand_on(Stage::Cells, || status.every_stage_moves()), "another worker of the stage is silent");
    }

    #[test]
    fn a_silent_stage_with_work_is_stuck_an_idle_one_is_not() {
        let status = Status::new(Identity::default(), Duration::ZERO);
        status.set_ready();
        assert!(status.every_stage_moves());
        status.begin(Stage::Cells);
        while status.beat_age(Stage::Cells) == Duration::ZERO {
            std::hint::spin_loop();
        }
        assert!(!status.every_stage_moves());
        let patient = Status::new(Identity::default(), Duration::from_hours(1));
        patient.set_ready();
        patient.begin(Stage::Cells);
        assert!(patient.every_stage_moves());
    }
}
