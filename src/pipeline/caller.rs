//! Keeps the live call of every sample: looks when its evidence has grown, writes the call and its memory, tells.
//!
//! The memory is written with the call, so that a restart goes on from exactly there.

use crate::id::{BundleId, SampleId, SessionId};
use crate::sample::call::{CallRule, CallTracker, TrackScore};
use crate::serve::live::{Event, Live};
use crate::status::unix_ms;
use crate::store::calls::{CallRecord, Evidence};
use crate::store::{Store, StoreError, query};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often samples are looked at.
const PERIOD: Duration = Duration::from_secs(3);

/// Looks at samples; see the module.
#[derive(Debug)]
pub struct Caller {
    store: Store,
    live: Arc<Live>,
    bundle: BundleId,
    rule: CallRule,
    /// What each sample's evidence was when it was looked at last.
    seen: BTreeMap<SampleId, Evidence>,
}

impl Caller {
    /// A caller for the scores of `bundle`.
    pub fn new(store: Store, live: Arc<Live>, bundle: BundleId, rule: CallRule) -> Self {
        Self { store, live, bundle, rule, seen: BTreeMap::new() }
    }

    /// Looks every few seconds until `shutdown` turns true, and once more then.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = shutdown.changed() => last = changed.is_err() || *shutdown.borrow(),
            }
            if let Err(error) = self.look(None).await {
                tracing::warn!(code = error.code(), error = %error, "samples could not be called");
            }
        }
    }

    /// Looks at the samples (of one session, or of all) whose evidence has grown.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn look(&mut self, session: Option<SessionId>) -> Result<(), StoreError> {
        let of_session = |evidence: &Evidence| session.is_none_or(|session| session == evidence.session_id);
        for evidence in self.store.evidence(self.bundle).await?.into_iter().filter(of_session) {
            let known = self.seen.get(&evidence.sample_id) == Some(&evidence);
            if let Some(newest_unix_ms) = evidence.newest_unix_ms.filter(|_| !known) {
                self.call(&evidence, newest_unix_ms).await?;
                self.seen.insert(evidence.sample_id, evidence);
            }
        }
        Ok(())
    }

    async fn call(&self, evidence: &Evidence, newest_unix_ms: i64) -> Result<(), StoreError> {
        let sample = evidence.sample_id;
        let tracks: Vec<TrackScore> = query::track_logits(self.store.readers(), self.bundle, sample)
            .await?
            .iter()
            .map(|track| TrackScore {
                session: track.session_id,
                fov: track.fov_id,
                track: track.track_id,
                scored_count: u32::try_from(track.scored_count).unwrap_or(0),
                withheld_count: u32::try_from(track.withheld_count).unwrap_or(0),
                logit_sum: track.logit_sum,
            })
            .collect();
        let unreadable =
            |error: serde_json::Error| StoreError::Unreadable { what: format!("a call's memory: {error}") };
        let before = self.store.call_tracker(sample, self.bundle).await?;
        let mut tracker: CallTracker = match &before {
            Some((memory, _)) => serde_json::from_str(memory).map_err(unreadable)?,
            None => CallTracker::default(),
        };
        let rule = self.rule;
        let (tracker, call) = tokio::task::spawn_blocking(move || {
            let call = tracker.update(&rule, &tracks, newest_unix_ms);
            (tracker, call)
        })
        .await
        .map_err(|error| StoreError::Unreadable { what: format!("a call could not be worked out: {error}") })?;
        let verdict = call.verdict.name();
        let record = CallRecord {
            sample,
            bundle: self.bundle,
            call,
            first: tracker.first_call(),
            tracker: serde_json::to_string(&tracker).map_err(unreadable)?,
        };
        self.store.save_call(&record, unix_ms()).await?;
        if before.is_none_or(|(_, said)| said != verdict) {
            self.live.publish(&Event::SampleCalled { sample_id: sample, verdict: verdict.to_owned() });
        }
        Ok(())
    }
}
