//! Live events: a bounded ring that the pipeline writes and every open page reads.
//!
//! Every event has a number; a client that comes back with the number of the last one it got is given what it missed,
//! or, when that is more than the ring holds or from another run, one `reset`: load everything again.
//!
//! ```text
//! publish --> ring (1024 events) --> resume of a client
//!        \--> broadcast ----------> open streams
//! ```

use crate::id::{FovId, FrameId, SampleId};
use crate::status::StatusReport;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt as _};

/// Events that the ring holds.
const RING_CAPACITY: usize = 1024;
/// Streams that may be open at a time.
pub const MOST_STREAMS: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A frame's result is committed.
    FrameRecorded {
        /// Which.
        frame_id: FrameId,
        /// Its field of view.
        fov_id: FovId,
        /// When, as the instrument counts.
        time_index: i64,
        /// Cells found.
        cell_count: u64,
        /// Whether they can be believed.
        verdict: String,
        /// File closed to result committed, ms.
        latency_ms: Option<f64>,
    },
    /// A frame failed.
    FrameFailed {
        /// Which.
        frame_id: FrameId,
        /// Its field of view.
        fov_id: Option<FovId>,
        /// Stable code.
        code: String,
    },
    /// The call on a sample changed.
    SampleCalled {
        /// Which.
        sample_id: SampleId,
        /// `high`, `low`, `undecided` or `withheld`.
        verdict: String,
    },
    /// An alert was raised.
    AlertRaised {
        /// Which.
        alert_id: i64,
        /// Stable name of the rule.
        rule: String,
        /// What it speaks of.
        subject: String,
        /// `info`, `warning` or `critical`.
        severity: String,
        /// What happened and what to do.
        text: String,
    },
    /// An alert was cleared.
    AlertCleared {
        /// Which.
        alert_id: i64,
        /// Stable name of the rule.
        rule: String,
        /// What it spoke of.
        subject: String,
    },
    /// What the daemon says about itself; not kept for a resume.
    Status(Box<StatusReport>),
}

impl Event {
    /// Stable name: the event's name in the stream.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FrameRecorded { .. } => "frame_recorded",
            Self::FrameFailed { .. } => "frame_failed",
            Self::SampleCalled { .. } => "sample_called",
            Self::AlertRaised { .. } => "alert_raised",
            Self::AlertCleared { .. } => "alert_cleared",
            Self::Status(_) => "status",
        }
    }
}

/// An event as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `<run>-<number>`; empty for events that are not kept.
    pub id: String,
    /// The event's name.
    pub name: &'static str,
    /// JSON.
    pub data: String,
}

impl Published {
    fn reset() -> Self {
        Self { id: String::new(), name: "reset", data: "{}".to_owned() }
    }
}

/// The ring; see the module.
pub struct Live {
    epoch: i64,
    inner: Mutex<Inner>,
}

struct Inner {
    next: u64,
    ring: VecDeque<(u64, Arc<Published>)>,
    sender: Option<broadcast::Sender<Arc<Published>>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Live").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Live {
    /// An empty ring; `epoch` tells this run from others (the time it started, UTC ms).
    pub fn new(epoch: i64) -> Self {
        let (sender, _) = broadcast::channel(RING_CAPACITY);
        Self { epoch, inner: Mutex::new(Inner { next: 1, ring: VecDeque::new(), sender: Some(sender) }) }
    }

    /// Gives an event to everybody. Never waits.
    pub fn publish(&self, event: &Event) {
        let Ok(data) = serde_json::to_string(event) else {
            tracing::error!(event.name = event.name(), "an event cannot be written as JSON");
            return;
        };
        let kept = !matches!(event, Event::Status(_));
        let mut inner = self.lock();
        let number = inner.next;
        let id = if kept { format!("{}-{number}", self.epoch) } else { String::new() };
        let published = Arc::new(Published { id, name: event.name(), data });
        if kept {
            inner.next += 1;
            if inner.ring.len() == RING_CAPACITY {
                inner.ring.pop_front();
            }
            inner.ring.push_back((number, Arc::clone(&published)));
        }
        // Fails only when nobody listens.
        let _heard = inner.sender.as_ref().map(|sender| sender.send(published));
    }

    /// Whether anybody listens.
    pub fn has_listeners(&self) -> bool {
        self.lock().sender.as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Ends all streams, for the stop.
    pub fn close(&self) {
        self.lock().sender = None;
    }

    /// A stream of what came after `last_id` and everything to come; `None` when too many are open or at the stop.
    pub fn subscribe(&self, last_id: Option<&str>) -> Option<impl Stream<Item = Arc<Published>> + Send + use<>> {
        let inner = self.lock();
        let sender = inner.sender.as_ref()?;
        if sender.receiver_count() >= MOST_STREAMS {
            return None;
        }
        let receiver = sender.subscribe();
        let missed = self.missed(&inner, last_id);
        drop(inner);
        let coming = BroadcastStream::new(receiver)
            .map(|received| received.unwrap_or_else(|_lagged| Arc::new(Published::reset())));
        Some(tokio_stream::iter(missed).chain(coming))
    }

    fn missed(&self, inner: &Inner, last_id: Option<&str>) -> Vec<Arc<Published>> {
        let Some(last_id) = last_id else { return Vec::new() };
        let known = last_id
            .split_once('-')
            .filter(|(epoch, _)| epoch.parse() == Ok(self.epoch))
            .and_then(|(_, number)| number.parse::<u64>().ok())
            .filter(|&number| {
                number < inner.next && inner.ring.front().is_none_or(|(oldest, _)| number + 1 >= *oldest)
            });
        match known {
            None => vec![Arc::new(Published::reset())],
            Some(number) => {
                inner.ring.iter().filter(|(of, _)| *of > number).map(|(_, event)| Arc::clone(event)).collect()
            }
        }
    }

    /// A panic while the lock was held leaves a whole ring behind.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(sample: i64) -> Event {
        Event::SampleCalled { sample_id: SampleId(sample), verdict: "high".to_owned() }
    }

    async fn names(live: &Live, last_id: Option<&str>) -> Vec<String> {
        let stream = live.subscribe(last_id).unwrap();
        live.publish(&called(-1));
        live.close();
        stream.map(|event| if event.id.is_empty() { event.name.to_owned() } else { event.id.clone() }).collect().await
    }

    #[tokio::test]
    async fn a_client_gets_what_it_missed() {
        let live = Live::new(7);
        for sample in 1..=5 {
            live.publish(&called(sample));
        }
        assert_eq!(names(&live, Some("7-3")).await, ["7-4", "7-5", "7-6"]);
    }

    #[tokio::test]
    async fn a_new_client_gets_only_what_comes() {
        let live = Live::new(7);
        live.publish(&called(1));
        assert_eq!(names(&live, None).await, ["7-2"]);
    }

    #[tokio::test]
    async fn another_run_and_a_number_too_old_are_reset() {
        for last in ["6-1", "7-1", "7-99999", "nonsense", ""] {
            let live = Live::new(7);
            for sample in 0..RING_CAPACITY as i64 + 2 {
                live.publish(&called(sample));
            }
            assert_eq!(
                names(&live, Some(last)).await,
                ["reset".to_owned(), format!("7-{}", RING_CAPACITY + 3)],
                "{last}"
            );
        }
    }

    #[tokio::test]
    async fn streams_are_bounded() {
        let live = Live::new(7);
        let open: Vec<_> = (0..MOST_STREAMS).map(|_| live.subscribe(None).unwrap()).collect();
        assert!(live.subscribe(None).is_none());
        drop(open);
        assert!(live.subscribe(None).is_some());
    }
}
