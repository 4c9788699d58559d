//! Keeps the ledger and admits frames: the one task that knows what is waiting, ready and in flight.
//!
//! Takes the scanner's changes and the recorder's word on each frame's end, gives jobs to the workers. Promises:
//!
//! - a frame is in the ledger before it is worked on, and its attempt is counted before the work starts;
//! - at most `max_in_flight` frames are between admission and commit;
//! - when asked to stop it admits nothing more, waits for what is in flight, at most until the deadline, and says what
//!   is left to be given back to the ledger.

use super::backlog::Backlog;
use super::intake::{Entry, Intake};
use super::job::{Done, End, Job, Ticket};
use super::persist::{Patience, persist};
use crate::id::{FovId, FrameId, RunId, TimeIndex};
use crate::status::{Stage, Status, monotonic_now, unix_ms};
use crate::store::ledger::{Early, EarlyFrame, SourceStamp};
use crate::store::{Store, StoreError};
use crate::watch::complete::Stamp;
use crate::watch::scan::Change;
use async_channel::{Receiver, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time between two looks at the clock: held frames, disk space, signs of life.
const TICK: Duration = Duration::from_millis(250);

/// What the scanner found since the last time, and whether it knows of files that are not settled.
#[derive(Debug, Default)]
pub struct Found {
    /// Changes in the order of the paths.
    pub changes: Vec<Change>,
    /// Files whose fate is open (changing, not whole).
    pub open_files: usize,
    /// The whole folder has been walked at least once.
    pub walked: bool,
}

/// Limits of the conductor.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Frames between admission and commit.
    pub max_in_flight: usize,
    /// How long a missing time point is waited for.
    pub gap_wait: Duration,
    /// How long a stop waits for frames in flight.
    pub drain_deadline: Duration,
    /// Free disk space below which nothing is admitted, bytes.
    pub min_free_bytes: u64,
    /// End by yourself when everything in the folder is done.
    pub until_done: bool,
}

/// The conductor's queues.
#[derive(Debug)]
pub struct Queues {
    /// What the scanner found.
    pub found: Receiver<Found>,
    /// To the workers.
    pub jobs: Sender<Job>,
    /// From the recorder.
    pub done: Receiver<Done>,
    /// To the scanner: paths to be reported anew.
    pub forget: Sender<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Conductor {
    store: Store,
    status: Arc<Status>,
    run: RunId,
    intake: Intake,
    folder: PathBuf,
    database: PathBuf,
    limits: Limits,
    began: Instant,
    backlog: Backlog,
    sources: BTreeMap<FrameId, Source>,
    suspects: BTreeSet<FrameId>,
    flights: BTreeMap<FrameId, Flight>,
    fields: BTreeMap<FovId, Ticket>,
    open_files: usize,
    walked: bool,
    paused: bool,
    patience: Patience,
}

/// Where a frame of the backlog lies.
#[derive(Debug, Clone)]
struct Source {
    path: String,
    plane_index: u32,
    stamp: Stamp,
    may_grow: bool,
    closed_unix_ms: i64,
}

#[derive(Debug)]
struct Flight {
    source: Source,
    before: Option<TimeIndex>,
    suspect: bool,
}

/// What a conductor is made of.
#[derive(Debug)]
pub struct Parts {
    /// The ledger.
    pub store: Store,
    /// The shared picture.
    pub status: Arc<Status>,
    /// The run that frames are attributed to.
    pub run: RunId,
    /// Names to places.
    pub intake: Intake,
    /// The watched folder.
    pub folder: PathBuf,
    /// The database file, for the disk it lies on.
    pub database: PathBuf,
    /// Limits.
    pub limits: Limits,
}

impl Conductor {
    /// Reads back from the ledger where the fields stand and which frames are suspect.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn new(parts: Parts, suspects: Vec<FrameId>, stop: watch::Receiver<bool>) -> Result<Self, StoreError> {
        let mut backlog = Backlog::new(parts.limits.gap_wait);
        for (fov, time) in parts.store.last_linked().await? {
            backlog.resume(fov, time);
        }
        let patience = Patience::new(Arc::clone(&parts.status), Stage::Admit, stop);
        Ok(Self {
            patience,
            store: parts.store,
            status: parts.status,
            run: parts.run,
            intake: parts.intake,
            folder: parts.folder,
            database: parts.database,
            limits: parts.limits,
            began: monotonic_now(),
            backlog,
            sources: BTreeMap::new(),
            suspects: suspects.into_iter().collect(),
            flights: BTreeMap::new(),
            fields: BTreeMap::new(),
            open_files: 0,
            walked: false,
            paused: false,
        })
    }

    /// Works until asked to stop (or, with `until_done`, until everything is done), then says
    /// `draining` and drains. Gives the frames that were still in flight at the deadline.
    ///
    /// # Errors
    /// When the database refuses for a reason that does not pass.
    pub async fn run(
        mut self,
        queues: Queues,
        mut stop: watch::Receiver<bool>,
        draining: watch::Sender<bool>,
    ) -> Result<Vec<FrameId>, StoreError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !*stop.borrow() {
            tokio::select! {
                biased;
                _ = stop.changed() => continue,
                Ok(done) = queues.done.recv() => self.landed(done, &queues).await?,
                Ok(found) = queues.found.recv() => self.enter(found).await?,
                _ = tick.tick() => self.look_at_clock().await?,
            }
            self.admit(&queues).await?;
            self.show(&queues);
            if self.limits.until_done && self.all_done() {
                tracing::info!("everything in the folder is done");
                break;
            }
        }
        draining.send_replace(true);
        self.drain(queues).await
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn all_done(&self) -> bool {
        self.walked && self.open_files == 0 && self.backlog.is_empty() && self.flights.is_empty()
    }

    /// Enters what the scanner found into the ledger, then into the backlog.
    async fn enter(&mut self, found: Found) -> Result<(), StoreError> {
        self.open_files = found.open_files;
        self.walked |= found.walked;
        let now_unix_ms = unix_ms();
        let entries: Vec<(&Change, Entry)> = found
            .changes
            .iter()
            .flat_map(|change| self.intake.entries(change, now_unix_ms).into_iter().map(move |entry| (change, entry)))
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        let early: Vec<EarlyFrame<'_>> = entries
            .iter()
            .map(|(change, entry)| EarlyFrame {
                path: &change.path,
                stamp: SourceStamp {
                    size_bytes: change.stamp.size_bytes as i64,
                    modified_unix_ns: change.stamp.modified_unix_ns,
                },
                place: entry.place.as_ref(),
                facts: &entry.facts,
                state: entry.state.clone(),
                again: entry.again,
            })
            .collect();
        let rows = persist!(self.patience, self.store.enter(&early, now_unix_ms));
        let now = self.now();
        for ((change, entry), row) in entries.iter().zip(rows) {
            let (Some(fov), Some(time)) = (row.fov, entry.facts.time) else {
                self.note_failure(entry);
                continue;
            };
            if row.settled || self.flights.contains_key(&row.frame) {
                continue;
            }
            match entry.state {
                Early::Ready(closed_unix_ms) => {
                    let source = Source {
                        path: change.path.clone(),
                        plane_index: entry.facts.plane_index,
                        stamp: change.stamp,
                        may_grow: entry.may_grow,
                        closed_unix_ms,
                    };
                    self.sources.insert(row.frame, source);
                    self.backlog.ready_now(row.frame, fov, time, (now, self.suspects.contains(&row.frame)));
                }
                Early::Waiting(_) => self.backlog.expect(row.frame, fov, time),
                Early::Skipped(_) | Early::Failed(..) => {
                    self.note_failure(entry);
                    self.backlog.forget(row.frame, fov, time);
                    self.sources.remove(&row.frame);
                }
            }
        }
        Ok(())
    }

    fn note_failure(&self, entry: &Entry) {
        if let Early::Failed(code, reason) = &entry.state {
            tracing::error!(code, "frame failed: {reason}");
            self.status.count(|counts| {
                // It never reached a worker, but what ended must have begun: admitted = recorded + failed + put back + in flight.
                counts.admitted += 1;
                counts.failed += 1;
                *counts.failed_by_code.entry((*code).to_owned()).or_default() += 1;
            });
        }
    }

    /// A frame left the pipeline.
    async fn landed(&mut self, done: Done, queues: &Queues) -> Result<(), StoreError> {
        let next = done.next;
        let Some(flight) = self.flights.remove(&next.frame) else { return Ok(()) };
        match done.end {
            End::Recorded | End::Failed => {
                self.suspects.remove(&next.frame);
            }
            End::Again => {
                // What is behind it in this field comes back as well and is admitted anew, after it.
                let ticket = self.fields.entry(next.fov).or_insert(Ticket { epoch: 0, number: 0 });
                *ticket = Ticket { epoch: ticket.epoch + 1, number: 0 };
                if next.linkable {
                    self.backlog.roll_back(next.fov, flight.before);
                }
                self.backlog.expect(next.frame, next.fov, next.time);
                self.status.count(|counts| counts.put_back += 1);
                // The receiver is the scanner; when it has ended the daemon is stopping and a restart looks anew.
                if queues.forget.send(flight.source.path).await.is_err() {
                    tracing::debug!("the scanner has ended");
                }
            }
            End::PutBack => {
                self.backlog.ready_now(next.frame, next.fov, next.time, (self.now(), flight.suspect));
                self.sources.insert(next.frame, flight.source);
                self.status.count(|counts| counts.put_back += 1);
            }
        }
        Ok(())
    }

    /// Hands over as many frames as may go.
    async fn admit(&mut self, queues: &Queues) -> Result<(), StoreError> {
        if self.paused {
            return Ok(());
        }
        let mut jobs = Vec::new();
        loop {
            let queued = queues.jobs.len() + jobs.len();
            let room = queued < queues.jobs.capacity().unwrap_or(1) && self.flights.len() < self.limits.max_in_flight;
            let alone = self.flights.values().any(|flight| flight.suspect);
            if !room || alone {
                break;
            }
            let before = self.backlog.next(self.now(), self.flights.is_empty());
            let Some(next) = before else { break };
            let Some(source) = self.sources.remove(&next.frame) else { continue };
            let ticket = self.fields.entry(next.fov).or_insert(Ticket { epoch: 0, number: 0 });
            let job = Job {
                next,
                ticket: *ticket,
                path: self.folder.join(&source.path),
                plane_index: source.plane_index as usize,
                stamp: source.stamp,
                may_grow: source.may_grow,
                closed_unix_ms: source.closed_unix_ms,
            };
            ticket.number += 1;
            let suspect = self.suspects.contains(&next.frame);
            self.flights.insert(next.frame, Flight { source, before: next.before, suspect });
            jobs.push(job);
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let frames: Vec<FrameId> = jobs.iter().map(|job| job.next.frame).collect();
        persist!(self.patience, self.store.start(&frames, self.run));
        self.status.count(|counts| counts.admitted += jobs.len() as u64);
        for job in jobs {
            // There is room: this task is the only one that sends. A closed queue ends the daemon elsewhere.
            if queues.jobs.send(job).await.is_err() {
                tracing::error!("the workers have ended");
            }
        }
        Ok(())
    }

    async fn look_at_clock(&mut self) -> Result<(), StoreError> {
        for held in self.backlog.newly_held(self.now()) {
            let reason = format!("waits for time point {}", held.missing);
            persist!(self.patience, self.store.explain_hold(held.frame, &reason));
        }
        let folder = self.database.parent().filter(|folder| !folder.as_os_str().is_empty());
        let free_bytes = crate::watch::filesystem::free_bytes(folder.unwrap_or(std::path::Path::new(".")));
        match free_bytes {
            Ok(free) if free < self.limits.min_free_bytes => {
                if !self.paused {
                    tracing::error!(
                        free_bytes = free,
                        "paused: the database's disk is almost full; make room and work goes on by itself"
                    );
                    self.status.set_paused(Some(format!(
                        "disk almost full: {free} bytes free, store.min_free_bytes is {}",
                        self.limits.min_free_bytes
                    )));
                    self.paused = true;
                }
            }
            // A tenth above the limit, so that it does not flutter.
            Ok(free) if self.paused && free >= self.limits.min_free_bytes + self.limits.min_free_bytes / 10 => {
                tracing::info!(free_bytes = free, "there is room again: work goes on");
                self.status.set_paused(None);
                self.paused = false;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!("free disk space is unknown: {error}"),
        }
        Ok(())
    }

    fn show(&self, queues: &Queues) {
        self.status.beat(Stage::Admit);
        self.status.set_queue(Stage::Cells, queues.jobs.len(), queues.jobs.capacity().unwrap_or(0));
        self.status.set_queue(Stage::Admit, queues.found.len(), queues.found.capacity().unwrap_or(0));
        let (ready, waiting, in_flight) = (self.backlog.ready(), self.backlog.expected(), self.flights.len());
        self.status.count(|counts| {
            counts.ready = ready as u64;
            counts.waiting = waiting as u64;
            counts.in_flight = in_flight as u64;
        });
    }

    /// Lets what is in flight land, at most until the deadline; gives what has not.
    async fn drain(mut self, queues: Queues) -> Result<Vec<FrameId>, StoreError> {
        queues.jobs.close();
        let deadline = tokio::time::sleep(self.limits.drain_deadline);
        tokio::pin!(deadline);
        while !self.flights.is_empty() {
            tokio::select! {
                Ok(done) = queues.done.recv() => self.landed(done, &queues).await?,
                () = &mut deadline => break,
                else => break,
            }
            self.show(&queues);
        }
        let left: Vec<FrameId> = self.flights.keys().copied().collect();
        if left.is_empty() {
            tracing::info!("drained: nothing is in flight");
        } else {
            tracing::warn!(frames = left.len(), "stop deadline reached: frames go back to the ledger");
            self.status.count(|counts| counts.put_back += left.len() as u64);
        }
        Ok(left)
    }
}
