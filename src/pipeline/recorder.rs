//! The last stage: restores the order within each field, links tracks, commits.
//!
//! The only stage with a memory (the linkers), and that memory is committed with each frame: after a restart it is
//! read back from the database, so that tracks come out the same whether or not the process died in between.

use super::job::{Done, End, Found, Job, Outcome, Scored, Ticket};
use super::persist::{Patience, persist};
use crate::cells::{FoundCells, FrameVerdict};
use crate::id::{BundleId, FovId, FrameId, RunId, TimeIndex};
use crate::infer::Inference;
use crate::status::{Stage, Status, monotonic_now, unix_ms};
use crate::store::record::{CellRecord, CellScore, CellTrack, FrameRecord};
use crate::store::{Store, StoreError};
use crate::track::TrackSettings;
use crate::track::link::{LinkSettings, Linker, Observation};
use async_channel::{Receiver, Sender};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A frame's end, for whoever watches live.
#[derive(Debug, Clone, PartialEq)]
pub enum Announcement {
    /// Its result is committed.
    Recorded {
        /// Which frame.
        frame: FrameId,
        /// Its field of view.
        fov: FovId,
        /// Its time point.
        time: TimeIndex,
        /// Number of its cells.
        cells: u64,
        /// Whether they can be believed.
        verdict: FrameVerdict,
        /// File closed to result committed.
        latency: Option<Duration>,
    },
    /// It failed.
    Failed {
        /// Which frame.
        frame: FrameId,
        /// Its field of view.
        fov: FovId,
        /// Stable code.
        code: &'static str,
    },
}

/// Whom the recorder tells; must not block.
pub type Announce = Arc<dyn Fn(Announcement) + Send + Sync>;

/// The recorder; see the module.
pub struct Recorder {
    /// Where results go.
    pub store: Store,
    /// The shared picture.
    pub status: Arc<Status>,
    /// The run that results are attributed to.
    pub run: RunId,
    /// The bundle that scored them.
    pub bundle: BundleId,
    /// How cells are linked.
    pub track: TrackSettings,
    patience: Patience,
    announce: Announce,
    fields: BTreeMap<FovId, Field>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Recorder").field("run", &self.run).field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

/// A field's place in its order.
#[derive(Debug, Default)]
struct Field {
    due: Option<Ticket>,
    /// Epoch whose remaining frames are put back because one of them has to be read again.
    broken: Option<u64>,
    early: BTreeMap<Ticket, Scored>,
    linker: Option<Linker>,
}

impl Recorder {
    /// A recorder with no memory yet.
    pub fn new(
        (store, status): (Store, Arc<Status>),
        (run, bundle): (RunId, BundleId),
        track: TrackSettings,
        (announce, stop): (Announce, watch::Receiver<bool>),
    ) -> Self {
        let patience = Patience::new(Arc::clone(&status), Stage::Record, stop);
        Self { store, status, run, bundle, track, patience, announce, fields: BTreeMap::new() }
    }

    /// Takes frames from `scored` until the queue is closed; tells `done` how each ended.
    ///
    /// # Errors
    /// When the database refuses for a reason that does not pass.
    pub async fn run(mut self, scored: Receiver<Scored>, done: Sender<Done>) -> Result<(), StoreError> {
        while let Ok(frame) = scored.recv().await {
            let fov = frame.job.next.fov;
            let field = self.fields.entry(fov).or_default();
            field.early.insert(frame.job.ticket, frame);
            while let Some(frame) = self.fields.entry(fov).or_default().take_due() {
                self.status.begin(Stage::Record);
                let began = monotonic_now();
                let end = self.finish(frame).await?;
                self.status.add_work(Stage::Record, began.elapsed(), 1);
                if done.send(end).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self, Scored { job, outcome }: Scored) -> Result<Done, StoreError> {
        let next = job.next;
        let field = self.fields.entry(next.fov).or_default();
        if field.broken == Some(job.ticket.epoch) {
            let reason = "an earlier frame of this field is being read again";
            persist!(self.patience, self.store.put_back(&[next.frame], reason));
            return Ok(Done { next, end: End::PutBack });
        }
        match outcome {
            Outcome::Result((found, inferences)) => {
                self.record(&job, *found, inferences).await?;
                Ok(Done { next, end: End::Recorded })
            }
            Outcome::Failed { code, reason } => {
                tracing::error!(frame = next.frame.0, path = %job.path.display(), code, "frame failed: {reason}");
                persist!(self.patience, self.store.fail(next.frame, code, &reason));
                self.status.count(|counts| {
                    counts.failed += 1;
                    *counts.failed_by_code.entry(code.to_owned()).or_default() += 1;
                });
                (self.announce)(Announcement::Failed { frame: next.frame, fov: next.fov, code });
                Ok(Done { next, end: End::Failed })
            }
            Outcome::Again { reason } => {
                tracing::warn!(frame = next.frame.0, path = %job.path.display(), "frame is looked at again: {reason}");
                field.broken = Some(job.ticket.epoch);
                persist!(self.patience, self.store.wait_again(next.frame, &reason));
                Ok(Done { next, end: End::Again })
            }
        }
    }

    async fn record(&mut self, job: &Job, found: Found, inferences: Vec<Option<Inference>>) -> Result<(), StoreError> {
        let next = job.next;
        let mut linker = self.linker(next.fov, self.track.at(found.pixel_size)).await?;
        let tracks = linked_cells(&mut linker, next.time, next.linkable, &found.cells);
        let linker_state = if next.linkable { Some(state_text(&linker)?) } else { None };
        let cells: Vec<CellRecord> = found
            .cells
            .cells
            .into_iter()
            .zip(inferences)
            .zip(tracks)
            .map(|((cell, inference), track)| CellRecord {
                cell,
                score: inference.map(|inference| cell_score(&inference, found.cells.verdict)),
                track,
            })
            .collect();
        let cell_count = cells.len() as u64;
        let record = FrameRecord {
            frame: next.frame,
            fov: next.fov,
            time: next.time,
            bundle: self.bundle,
            run: self.run,
            size_px: found.size_px,
            pixel_size: found.pixel_size,
            quality: found.quality,
            verdict: found.cells.verdict,
            in_doubt: found.cells.in_doubt,
            cells,
            linker_state,
        };
        persist!(self.patience, self.store.record(&record, unix_ms()));
        if next.linkable {
            self.fields.entry(next.fov).or_default().linker = Some(linker);
        }
        self.status.count(|counts| {
            counts.recorded += 1;
            counts.cells += cell_count;
        });
        let latency_ms = unix_ms().saturating_sub(job.closed_unix_ms);
        let latency = u64::try_from(latency_ms).ok().map(Duration::from_millis);
        self.status.committed(latency);
        (self.announce)(Announcement::Recorded {
            frame: next.frame,
            fov: next.fov,
            time: next.time,
            cells: cell_count,
            verdict: record.verdict,
            latency,
        });
        Ok(())
    }

    /// A copy of the field's linker, to be kept only when the frame is committed.
    async fn linker(&mut self, fov: FovId, settings: LinkSettings) -> Result<Linker, StoreError> {
        if let Some(linker) = self.fields.entry(fov).or_default().linker.clone() {
            return Ok(linker.with_settings(settings));
        }
        let Some(text) = self.store.linker_state(fov).await? else { return Ok(Linker::new(settings)) };
        let linker: Linker = serde_json::from_str(&text).map_err(|error| StoreError::Unreadable {
            what: format!("the tracking memory of field of view {fov}: {error}"),
        })?;
        Ok(linker.with_settings(settings))
    }
}

impl Field {
    /// The frame whose turn it is, if it has come.
    fn take_due(&mut self) -> Option<Scored> {
        let (&ticket, _) = self.early.first_key_value()?;
        let due = match self.due {
            Some(due) if due.epoch == ticket.epoch => due,
            // A new epoch begins at 0; frames of the one before all came earlier in the order of tickets.
            _ => Ticket { epoch: ticket.epoch, number: 0 },
        };
        if ticket != due {
            return None;
        }
        self.due = Some(Ticket { epoch: due.epoch, number: due.number + 1 });
        self.early.remove(&ticket)
    }
}

fn state_text(linker: &Linker) -> Result<String, StoreError> {
    serde_json::to_string(linker)
        .map_err(|error| StoreError::Unreadable { what: format!("the tracking memory cannot be written: {error}") })
}

/// The tracks of a frame's cells; the linker moves on when the frame can be linked.
pub(super) fn linked_cells(
    linker: &mut Linker,
    time: TimeIndex,
    linkable: bool,
    found: &FoundCells,
) -> Vec<Option<CellTrack>> {
    // An unusable frame has no cells to link; it is a gap that the linker bridges or not.
    if !linkable || found.verdict != FrameVerdict::Usable {
        return vec![None; found.cells.len()];
    }
    let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
    let links = linker.link(time, &seen);
    links.iter().map(|link| Some(CellTrack { number: link.number, parent: link.parent })).collect()
}

pub(super) fn cell_score(inference: &Inference, verdict: FrameVerdict) -> CellScore {
    let withheld = match verdict {
        FrameVerdict::Usable | FrameVerdict::Empty => inference.withheld.map(crate::infer::Withheld::code),
        FrameVerdict::OutOfFocus => Some("frame_out_of_focus"),
        FrameVerdict::TooDense => Some("frame_too_dense"),
        FrameVerdict::WrongKind => Some("frame_wrong_kind"),
    };
    CellScore {
        latent: inference.latent,
        logit: inference.logit,
        score: inference.score,
        distance: inference.distance,
        withheld,
    }
}
