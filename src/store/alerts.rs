//! Alerts and their deliveries: raised once, cleared once, forgotten by no restart.

use super::query::{Cursor, LARGEST_PAGE, Page};
use super::{Store, StoreError, doing};
use crate::store::query::statements;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::sqlite::SqlitePool;

statements! {
    OPEN = "
        SELECT alert_id, rule, subject, severity, text, raised_unix_ms, cleared_unix_ms
        FROM alerts WHERE cleared_unix_ms IS NULL ORDER BY alert_id LIMIT 500";
    NEWEST = "
        SELECT alert_id, rule, subject, severity, text, raised_unix_ms, cleared_unix_ms
        FROM alerts WHERE alert_id < ?1 ORDER BY alert_id DESC LIMIT ?2";
    RAISE = "
        INSERT INTO alerts (rule, subject, severity, text, raised_unix_ms) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO NOTHING RETURNING alert_id";
    CLEAR = "
        UPDATE alerts SET cleared_unix_ms = max(?3, raised_unix_ms)
        WHERE rule = ?1 AND subject = ?2 AND cleared_unix_ms IS NULL RETURNING alert_id";
    ENQUEUE = "
        INSERT INTO deliveries (alert_id, event, body, due_unix_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    /// The queue is bounded: what is older than the newest ?1 waiting messages is given up.
    BOUND = "
        UPDATE deliveries SET state = 'given_up', last_error = 'the queue was full' WHERE delivery_id IN (
            SELECT delivery_id FROM deliveries WHERE state = 'waiting' ORDER BY delivery_id DESC LIMIT -1 OFFSET ?1)";
    DUE = "
        SELECT delivery_id, event, body, attempts FROM deliveries
        WHERE state = 'waiting' AND due_unix_ms <= ?1 ORDER BY due_unix_ms, delivery_id LIMIT ?2";
    DELIVERED = "
        UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, last_error = NULL WHERE delivery_id = ?1";
    POSTPONE = "
        UPDATE deliveries SET attempts = attempts + 1, due_unix_ms = ?2, last_error = ?3 WHERE delivery_id = ?1";
    GIVE_UP = "
        UPDATE deliveries SET attempts = attempts + 1, state = 'given_up', last_error = ?2 WHERE delivery_id = ?1";
    WAITING = "SELECT count(*) FROM deliveries WHERE state = 'waiting'";
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct AlertRow {
    /// Which.
    pub alert_id: i64,
    /// Stable name of the rule.
    pub rule: String,
    /// What it speaks of; empty for the whole instrument.
    pub subject: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What happened and what to do.
    pub text: String,
    /// Since when.
    pub raised_unix_ms: i64,
    /// Until when; `None` while it is open.
    pub cleared_unix_ms: Option<i64>,
}

/// A new alert, to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAlert<'a> {
    /// Stable name of the rule.
    pub rule: &'a str,
    /// What it speaks of.
    pub subject: &'a str,
    /// `info`, `warning` or `critical`.
    pub severity: &'a str,
    /// What happened and what to do.
    pub text: &'a str,
}

/// A webhook message to send.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Delivery {
    /// Which.
    pub delivery_id: i64,
    /// `raised` or `cleared`.
    pub event: String,
    /// The JSON text to send.
    pub body: String,
    /// How often it was tried.
    pub attempts: i64,
}

/// Alerts that are open, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn open_alerts(readers: &SqlitePool) -> Result<Vec<AlertRow>, StoreError> {
    sqlx::query_as(OPEN).fetch_all(readers).await.map_err(doing("list open alerts"))
}

/// Alerts, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn alerts(readers: &SqlitePool, after: Option<Cursor>, limit: u32) -> Result<Page<AlertRow>, StoreError> {
    let limit = limit.min(LARGEST_PAGE);
    let rows = sqlx::query_as(NEWEST)
        .bind(after.unwrap_or(Cursor::END).major)
        .bind(limit + 1)
        .fetch_all(readers)
        .await
        .map_err(doing("list alerts"))?;
    Ok(super::query::page(rows, limit, |row: &AlertRow| Cursor { major: row.alert_id, minor: 0 }))
}

impl Store {
    /// Raises an alert and, with `webhook`, queues its message built from the alert's id; `None` when it is open
    /// already. At most `queue_capacity` messages wait.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn raise_alert(
        &self,
        alert: NewAlert<'_>,
        now_unix_ms: i64,
        webhook: Option<(u32, &(dyn Fn(i64) -> String + Sync))>,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin to raise an alert"))?;
        let raised: Option<i64> = sqlx::query_scalar(RAISE)
            .bind(alert.rule)
            .bind(alert.subject)
            .bind(alert.severity)
            .bind(alert.text)
            .bind(now_unix_ms)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing("raise an alert"))?;
        if let (Some(alert_id), Some((capacity, body))) = (raised, webhook) {
            enqueue(&mut tx, (alert_id, "raised"), &body(alert_id), (now_unix_ms, capacity)).await?;
        }
        tx.commit().await.map_err(doing("commit an alert"))?;
        Ok(raised)
    }

    /// Clears an open alert, queues its message likewise; `None` when it was not open.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn clear_alert(
        &self,
        (rule, subject): (&str, &str),
        now_unix_ms: i64,
        webhook: Option<(u32, &(dyn Fn(i64) -> String + Sync))>,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin to clear an alert"))?;
        let cleared: Option<i64> = sqlx::query_scalar(CLEAR)
            .bind(rule)
            .bind(subject)
            .bind(now_unix_ms)
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing("clear an alert"))?;
        if let (Some(alert_id), Some((capacity, body))) = (cleared, webhook) {
            enqueue(&mut tx, (alert_id, "cleared"), &body(alert_id), (now_unix_ms, capacity)).await?;
        }
        tx.commit().await.map_err(doing("commit a cleared alert"))?;
        Ok(cleared)
    }

    /// At most `limit` messages that are due, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due_deliveries(&self, now_unix_ms: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        sqlx::query_as(DUE)
            .bind(now_unix_ms)
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(doing("list messages that are due"))
    }

    /// How many messages wait.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn waiting_deliveries(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar(WAITING).fetch_one(self.readers()).await.map_err(doing("count waiting messages"))
    }

    /// Notes that a message arrived.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delivered(&self, delivery_id: i64) -> Result<(), StoreError> {
        sqlx::query(DELIVERED).bind(delivery_id).execute(self.writer()).await.map_err(doing("note a delivery"))?;
        Ok(())
    }

    /// Notes a failed try; the message is due again at `due_unix_ms`, or given up when that is `None`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delivery_failed(
        &self,
        delivery_id: i64,
        error: &str,
        due_unix_ms: Option<i64>,
    ) -> Result<(), StoreError> {
        let query = match due_unix_ms {
            Some(due) => sqlx::query(POSTPONE).bind(delivery_id).bind(due).bind(error),
            None => sqlx::query(GIVE_UP).bind(delivery_id).bind(error),
        };
        query.execute(self.writer()).await.map_err(doing("note a failed delivery"))?;
        Ok(())
    }
}

async fn enqueue(
    tx: &mut sqlx::SqliteConnection,
    (alert_id, event): (i64, &str),
    body: &str,
    (now_unix_ms, capacity): (i64, u32),
) -> Result<(), StoreError> {
    sqlx::query(ENQUEUE)
        .bind(alert_id)
        .bind(event)
        .bind(body)
        .bind(now_unix_ms)
        .execute(&mut *tx)
        .await
        .map_err(doing("queue a message"))?;
    sqlx::query(BOUND).bind(capacity).execute(&mut *tx).await.map_err(doing("bound the message queue"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: NewAlert<'static> =
        NewAlert { rule: "stalled", subject: "s03", severity: "warning", text: "no frame since 09:12" };

    #[tokio::test]
    async fn an_alert_is_raised_once_and_cleared_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
        let body = |alert_id: i64| format!("{{\"alert_id\": {alert_id}}}");
        let first = store.raise_alert(ALERT, 1_000, Some((10, &body))).await.unwrap();
        assert!(first.is_some());
        assert_eq!(store.raise_alert(ALERT, 2_000, Some((10, &body))).await.unwrap(), None);
        assert_eq!(open_alerts(store.readers()).await.unwrap().len(), 1);
        assert_eq!(store.clear_alert(("stalled", "s03"), 3_000, Some((10, &body))).await.unwrap(), first);
        assert_eq!(store.clear_alert(("stalled", "s03"), 4_000, Some((10, &body))).await.unwrap(), None);
        assert!(store.raise_alert(ALERT, 5_000, None).await.unwrap() > first);
        let due = store.due_deliveries(10_000, 10).await.unwrap();
        assert_eq!(due.iter().map(|it| it.event.as_str()).collect::<Vec<_>>(), ["raised", "cleared"]);
        store.close().await;
    }

    #[tokio::test]
    async fn the_message_queue_is_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
        let body = |alert_id: i64| format!("{{\"alert_id\": {alert_id}}}");
        for number in 0..8 {
            let subject = format!("s{number:02}");
            store.raise_alert(NewAlert { subject: &subject, ..ALERT }, 1_000 + number, Some((3, &body))).await.unwrap();
        }
        assert_eq!(store.waiting_deliveries().await.unwrap(), 3);
        let due = store.due_deliveries(10_000, 10).await.unwrap();
        assert_eq!(due.len(), 3);
        assert!(due[2].body.contains('8'), "{due:?}");
        store.delivered(due[0].delivery_id).await.unwrap();
        store.delivery_failed(due[1].delivery_id, "no answer", Some(20_000)).await.unwrap();
        store.delivery_failed(due[2].delivery_id, "no answer", None).await.unwrap();
        assert!(store.due_deliveries(10_000, 10).await.unwrap().is_empty());
        assert_eq!(store.due_deliveries(20_000, 10).await.unwrap()[0].attempts, 1);
        store.close().await;
    }
}
