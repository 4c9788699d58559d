//! Alerts: looks at the facts every few seconds, raises and clears, keeps both in the database, delivers them.
//!
//! ```text
//! database, Status, folder, disk --> Facts --> rules (pure) --> raised / cleared, in one transaction with its message
//!                                                                  |-> journal   |-> page (Live)   |-> webhook queue
//! ```
//!
//! It promises that each alert is raised once and cleared once, also over restarts (the database allows one open alert
//! per rule and subject), and that a message waits in the database until it arrived or was given up.

pub mod deliver;
pub mod rule;
pub mod settings;

pub use settings::AlertSettings;

use crate::folder::FolderProbe;
use crate::serve::live::{Event, Live};
use crate::status::{Status, disk_space, unix_ms};
use crate::store::alerts::{AlertRow, NewAlert, open_alerts};
use crate::store::probe::takes_a_write;
use crate::store::{Readers, Store, StoreError, query};
use deliver::{DeliverError, Webhook};
use rule::{Change, Facts, FovFacts, Key, Rule};
use std::collections::{BTreeSet, VecDeque};
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Newest frames of a field of view that are looked at.
const RECENT_FRAMES: u32 = 10;
/// Newest frames in all that are looked at.
const RECENT_FRAMES_IN_ALL: u32 = 50;
/// Over how long the disk's filling is measured, ms.
const FILLING_OVER_MS: i64 = 30 * 60_000;
/// Messages sent in a row before the rules are looked at again.
const MESSAGES_IN_A_ROW: u32 = 20;
/// How often the database is asked whether it takes a write; health turns red on the answer.
const ASK_STORE_EVERY: Duration = Duration::from_secs(2);
/// How often the dead-man address is asked for.
const PING_EVERY: Duration = Duration::from_mins(1);

/// What the keeper looks at and tells.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Where the database lies.
    pub database: PathBuf,
    /// What the daemon is doing.
    pub status: Arc<Status>,
    /// The watched folder.
    pub folder: Arc<FolderProbe>,
    /// The page.
    pub live: Arc<Live>,
}

/// The webhook of the settings, if there is one.
///
/// # Errors
/// When its secret cannot be read.
pub fn webhook(settings: &AlertSettings) -> Result<Option<Webhook>, DeliverError> {
    settings
        .webhook_url
        .as_deref()
        .map(|url| Webhook::new(url, settings.webhook_secret_file.as_deref(), settings.webhook_timeout))
        .transpose()
}

/// Keeps alerts until `shutdown` turns true. A database that does not answer is tried again: health shows it.
pub async fn keep(parts: Parts, settings: AlertSettings, webhook: Option<Webhook>, shutdown: watch::Receiver<bool>) {
    let mut keeper = Keeper { parts: parts.clone(), settings: settings.clone(), free: VecDeque::new() };
    let looking = every(settings.period, shutdown.clone(), async || keeper.look_and_tell().await);
    let sending = every(settings.period, shutdown.clone(), async || {
        if let Some(webhook) = &webhook
            && let Err(error) = send_due(&parts.store, webhook).await
        {
            tracing::warn!(code = error.code(), error = %error, "alert messages could not be looked up");
        }
    });
    let asking = every(ASK_STORE_EVERY, shutdown.clone(), async || {
        let refused = takes_a_write(&parts.database).await.err();
        parts.status.store_answered(refused.map(|error| {
            let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("the database takes no write{cause}: see what else holds it, and whether its disk is full")
        }));
    });
    let pinging = every(PING_EVERY, shutdown, async || ping(&parts.status, &settings).await);
    tokio::join!(looking, sending, asking, pinging);
}

/// Does `work` at once and then every `period`, until `shutdown` turns true.
async fn every(period: Duration, mut shutdown: watch::Receiver<bool>, mut work: impl AsyncFnMut()) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work().await,
            changed = shutdown.changed() => if changed.is_err() || *shutdown.borrow() { return },
        }
    }
}

struct Keeper {
    parts: Parts,
    settings: AlertSettings,
    /// Free space on the disk over the last half hour: time, bytes.
    free: VecDeque<(i64, u64)>,
}

impl Keeper {
    async fn look_and_tell(&mut self) {
        let now = unix_ms();
        if let Err(error) = self.look(now).await {
            tracing::warn!(code = error.code(), error = %error, "alerts could not be looked at");
        }
        if let Some(file) = &self.settings.heartbeat_file
            && self.parts.status.every_stage_moves()
            && let Err(error) = beat(file, now)
        {
            tracing::warn!(file = %file.display(), error = %error, "the heartbeat file could not be written");
        }
    }

    async fn look(&mut self, now: i64) -> Result<(), StoreError> {
        let facts = self.facts(now).await?;
        let open: BTreeSet<Key> = open_alerts(self.parts.store.readers()).await?.iter().filter_map(key_of).collect();
        for change in rule::changes(&facts, &self.settings, &open) {
            match change {
                Change::Raise(key, text) => self.raise(&key, &text, now).await?,
                Change::Clear(key) => self.clear(&key, now).await?,
            }
        }
        Ok(())
    }

    async fn raise(&self, (rule, subject): &Key, text: &str, now: i64) -> Result<(), StoreError> {
        let alert = NewAlert { rule: rule.name(), subject, severity: rule.severity(), text };
        let body = |alert_id: i64| message("raised", alert_id, &alert, now);
        let webhook = self.settings.webhook_url.as_ref().map(|_| (self.settings.webhook_queue, &body as &_));
        let Some(alert_id) = self.parts.store.raise_alert(alert, now, webhook).await? else { return Ok(()) };
        match rule.severity() {
            "critical" => tracing::error!(alert.rule = rule.name(), alert.subject = subject, "alert: {text}"),
            "warning" => tracing::warn!(alert.rule = rule.name(), alert.subject = subject, "alert: {text}"),
            _ => tracing::info!(alert.rule = rule.name(), alert.subject = subject, "alert: {text}"),
        }
        self.parts.live.publish(&Event::AlertRaised {
            alert_id,
            rule: rule.name().to_owned(),
            subject: subject.clone(),
            severity: rule.severity().to_owned(),
            text: text.to_owned(),
        });
        Ok(())
    }

    async fn clear(&self, (rule, subject): &Key, now: i64) -> Result<(), StoreError> {
        let text = "It is over.";
        let alert = NewAlert { rule: rule.name(), subject, severity: rule.severity(), text };
        let body = |alert_id: i64| message("cleared", alert_id, &alert, now);
        let webhook = self.settings.webhook_url.as_ref().map(|_| (self.settings.webhook_queue, &body as &_));
        let cleared = self.parts.store.clear_alert((rule.name(), subject), now, webhook).await?;
        let Some(alert_id) = cleared else { return Ok(()) };
        tracing::info!(alert.rule = rule.name(), alert.subject = subject, "alert cleared");
        let (rule, subject) = (rule.name().to_owned(), subject.clone());
        self.parts.live.publish(&Event::AlertCleared { alert_id, rule, subject });
        Ok(())
    }

    async fn facts(&mut self, now: i64) -> Result<Facts, StoreError> {
        let readers = self.parts.store.readers();
        let bundle = query::bundle(readers).await?.map(|bundle| bundle.bundle_id);
        let withheld_share = match bundle {
            Some(bundle) => query::withheld_share(readers, bundle, RECENT_FRAMES_IN_ALL).await?,
            None => None,
        };
        let report = self.parts.status.report();
        let free_bytes = disk_space(&self.parts.database).map(|disk| disk.free_bytes);
        let filling_bytes_per_s = free_bytes.and_then(|free| filling(&mut self.free, now, free));
        self.parts.status.set_filling(filling_bytes_per_s);
        Ok(Facts {
            fovs: fovs(readers, now).await?,
            folder_fault: self.parts.folder.fault().await,
            free_bytes,
            filling_bytes_per_s,
            withheld_share,
            failed: query::failed_among_newest(readers, RECENT_FRAMES_IN_ALL).await?,
            silent_stages: report
                .stages
                .iter()
                .filter(|stage| report.ready && !stage.alive)
                .map(|stage| (stage.name.clone(), Duration::from_secs_f64(stage.beat_age_s)))
                .collect(),
            called: query::samples(readers, bundle, None, None, query::LARGEST_PAGE)
                .await?
                .items
                .iter()
                .filter_map(called)
                .collect(),
        })
    }
}

/// The call on a sample in words, when it is high or low.
fn called(sample: &query::SampleSummary) -> Option<(String, String, String)> {
    let call = sample.call.as_ref().filter(|call| matches!(call.verdict.as_str(), "high" | "low"))?;
    let words = match (call.score, call.interval_low, call.interval_high) {
        (Some(score), Some(low), Some(high)) => format!(
            "{}: score {score:.2} ({low:.2} to {high:.2}) from {} cells in {} fields",
            call.verdict, call.cell_count, call.fov_count
        ),
        _ => call.verdict.clone(),
    };
    Some((sample.name.clone(), call.verdict.clone(), words))
}

async fn fovs(readers: &Readers, now: i64) -> Result<Vec<FovFacts>, StoreError> {
    let qualities = query::recent_quality(readers, RECENT_FRAMES).await?;
    let facts = query::fov_pulses(readers).await?.into_iter().map(|pulse| {
        let quality = qualities.iter().find(|quality| quality.fov_id == pulse.fov_id);
        let steps = pulse.time_steps;
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        FovFacts {
            silent: ms(now - pulse.newest_seen_unix_ms),
            // Frames that were there already are all seen at once: then only the instrument's clock knows the pace.
            pace: (steps > 0).then(|| (ms(pulse.span_ms.max(pulse.acquired_span_ms) / steps), steps)),
            blurred: quality.map_or((0, 0), |it| (it.blurred, it.recent)),
            doubted: quality.map_or((0, 0), |it| (it.doubted, it.recent)),
            light: quality.and_then(|it| {
                let first = it.first_background_counts.filter(|first| *first > 0.0)?;
                Some(it.recent_background_counts? / first)
            }),
            done: pulse.done_count,
            name: pulse.name,
        }
    });
    Ok(facts.collect())
}

/// Notes the free space and gives how fast it shrinks, bytes per second, measured over at least five minutes.
fn filling(history: &mut VecDeque<(i64, u64)>, now: i64, free: u64) -> Option<f64> {
    // One note per half minute is enough and bounds the memory.
    if history.back().is_none_or(|(at, _)| now - at >= 30_000) {
        history.push_back((now, free));
    }
    while history.front().is_some_and(|(at, _)| now - at > FILLING_OVER_MS) {
        history.pop_front();
    }
    let (at, before) = history.front().copied()?;
    let rate = (before as f64 - free as f64) / ((now - at) as f64 / 1e3);
    (now - at >= 300_000 && rate > 1.0).then_some(rate)
}

fn key_of(row: &AlertRow) -> Option<Key> {
    let rule = Rule::ALL.into_iter().find(|rule| rule.name() == row.rule)?;
    Some((rule, row.subject.clone()))
}

/// The webhook's JSON; its fields are part of the public interface.
fn message(event: &str, alert_id: i64, alert: &NewAlert<'_>, now: i64) -> String {
    serde_json::json!({
        "event": event,
        "alert_id": alert_id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "text": alert.text,
        "at_unix_ms": now,
    })
    .to_string()
}

/// Sends what is due, oldest first, until one fails.
async fn send_due(store: &Store, webhook: &Webhook) -> Result<(), StoreError> {
    for delivery in store.due_deliveries(unix_ms(), MESSAGES_IN_A_ROW).await? {
        let (webhook, id, body) = (webhook.clone(), delivery.delivery_id, delivery.body);
        let sent = tokio::task::spawn_blocking(move || webhook.post(id, &body)).await;
        let failure = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(stopped) => Some(stopped.to_string()),
        };
        crate::metrics::webhook_tried(failure.is_none());
        let Some(why) = failure else {
            store.delivered(id).await?;
            continue;
        };
        let due = deliver::pause_after(delivery.attempts + 1)
            .map(|pause| unix_ms().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
        if due.is_some() {
            tracing::warn!(delivery = id, "an alert's message did not arrive and is tried again: {why}");
        } else {
            tracing::error!(delivery = id, "an alert's message is given up: {why}");
        }
        store.delivery_failed(id, &why, due).await?;
        return Ok(());
    }
    Ok(())
}

async fn ping(status: &Status, settings: &AlertSettings) {
    let Some(url) = settings.ping_url.clone() else { return };
    if !status.every_stage_moves() {
        return;
    }
    let timeout = settings.webhook_timeout;
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || deliver::ping(&url, timeout)).await {
        tracing::warn!(code = error.code(), error = %error, "the dead-man address did not answer");
    }
}

/// Rewrites the heartbeat file as a whole, so that a reader never sees half of it.
fn beat(file: &Path, now: i64) -> std::io::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, format!("{now}\n"))?;
    std::fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_is_measured_over_minutes_and_forgets() {
        let mut history = VecDeque::new();
        let mut rate = None;
        for minute in 0..40 {
            rate = filling(&mut history, minute * 60_000, 1_000_000_000 - minute as u64 * 60_000_000 / 10);
            assert_eq!(rate.is_some(), minute >= 5, "{minute}");
        }
        assert!((rate.unwrap() - 100_000.0).abs() < 1.0, "{rate:?}");
        assert!(history.len() <= 62);
        assert_eq!(filling(&mut VecDeque::from([(0, 5)]), 600_000, 900), None);
    }

    #[test]
    fn the_heartbeat_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heartbeat");
        for now in [1, 22] {
            beat(&file, now).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{now}\n"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
