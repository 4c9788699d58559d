//! The ledger: every frame ever seen and what became of it.
//!
//! Each function is one transaction; doing it twice changes nothing.

use super::{Store, StoreError, doing};
use crate::id::{FovId, FrameId, RunId, SourceId, TimeIndex};
use sqlx::{Row as _, SqliteConnection};

/// A file's size and change time: what tells one version of it from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStamp {
    /// Size, bytes.
    pub size_bytes: i64,
    /// Change time by the file system's clock, ns since 1970; only ever compared for equality.
    pub modified_unix_ns: i64,
}

/// A source as the ledger knows it.
#[derive(Debug, Clone)]
pub struct KnownSource {
    /// Path relative to the watched folder.
    pub path: String,
    /// Its version when it was last looked at.
    pub stamp: SourceStamp,
    /// Every frame of it has reached its end (done, failed, skipped).
    pub settled: bool,
    /// Number of its frames that are in the ledger.
    pub frames: u64,
}

/// Where a frame belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub session: String,
    /// Sample's name.
    pub sample: String,
    /// Field of view's name.
    pub fov: String,
}

/// A frame as it is known before its pixels are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameFacts {
    /// Number of the plane inside its source, from 0.
    pub plane_index: u32,
    /// Time point.
    pub time: Option<TimeIndex>,
    /// Channel's name.
    pub channel: Option<String>,
    /// Number of the focal plane.
    pub z_index: Option<i64>,
    /// Moment of acquisition by the instrument's clock, ms since 1970 UTC.
    pub acquired_unix_ms: Option<i64>,
}

/// The state that a frame enters before its pixels are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Early {
    /// Known, not complete: why.
    Waiting(String),
    /// Complete since, ms since 1970 UTC.
    Ready(i64),
    /// Not to be analysed: why.
    Skipped(String),
    /// Will never be analysed: stable code, and what it means.
    Failed(&'static str, String),
}

/// One frame of one source with its place and state.
#[derive(Debug, Clone)]
pub struct EarlyFrame<'a> {
    /// Path relative to the watched folder.
    pub path: &'a str,
    /// The source's version.
    pub stamp: SourceStamp,
    /// Where the frame belongs; `None` when its name does not say.
    pub place: Option<&'a Place>,
    /// What is known about the frame.
    pub facts: &'a FrameFacts,
    /// The state it enters.
    pub state: Early,
    /// The source was rewritten: a frame that has reached its end is done again.
    pub again: bool,
}

/// A frame's row after a ledger write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRow {
    /// The frame.
    pub frame: FrameId,
    /// Its field of view.
    pub fov: Option<FovId>,
    /// The write changed nothing because the frame had reached its end before.
    pub settled: bool,
}

/// What start-up found in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Frames with which the process has died before; they are to be done again, one at a time.
    pub suspects: Vec<FrameId>,
    /// Frames given up: the process died with them too often.
    pub given_up: u64,
}

impl Store {
    /// Sends every frame that is not at its end back to waiting: the first scan finds those that are still there. Gives
    /// up frames with which the process has died `max_attempts` times.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recover(&self, max_attempts: u32) -> Result<Recovered, StoreError> {
        let given_up = sqlx::query(
            "UPDATE frames SET state = 'failed', code = 'killed_process',
                    reason = 'the process died ' || attempts || ' times while this frame was in flight'
             WHERE state = 'processing' AND attempts >= ?1",
        )
        .bind(i64::from(max_attempts))
        .execute(self.writer())
        .await
        .map_err(doing("give up frames that killed the process"))?
        .rows_affected();
        sqlx::query(
            "UPDATE frames SET state = 'waiting', reason = 'not looked at since the daemon started'
             WHERE state IN ('seen', 'waiting', 'ready', 'processing')",
        )
        .execute(self.writer())
        .await
        .map_err(doing("send open frames back to waiting"))?;
        let suspects = sqlx::query_scalar("SELECT frame_id FROM frames WHERE state = 'waiting' AND attempts > 0")
            .fetch_all(self.writer())
            .await
            .map_err(doing("find frames that were in flight"))?;
        Ok(Recovered { suspects: suspects.into_iter().map(FrameId).collect(), given_up })
    }

    /// All sources, for the scanner's first comparison.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn known_sources(&self) -> Result<Vec<KnownSource>, StoreError> {
        let rows = sqlx::query(
            "SELECT path, size_bytes, modified_unix_ns, count(frame_id) AS frames,
                    coalesce(min(state IN ('done', 'failed', 'skipped')), 0) AS settled
             FROM sources LEFT JOIN frames USING (source_id) GROUP BY source_id ORDER BY path",
        )
        .fetch_all(self.readers())
        .await
        .map_err(doing("load the known sources"))?;
        rows.iter()
            .map(|row| {
                Ok(KnownSource {
                    path: row.try_get("path")?,
                    stamp: SourceStamp {
                        size_bytes: row.try_get("size_bytes")?,
                        modified_unix_ns: row.try_get("modified_unix_ns")?,
                    },
                    settled: row.try_get("settled")?,
                    frames: row.try_get::<i64, _>("frames")? as u64,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(doing("read the known sources"))
    }

    /// The last linked time point of every field of view that has one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn last_linked(&self) -> Result<Vec<(FovId, TimeIndex)>, StoreError> {
        let rows = sqlx::query(
            "SELECT fov_id, last_linked_time_index FROM fields_of_view WHERE last_linked_time_index IS NOT NULL",
        )
        .fetch_all(self.readers())
        .await
        .map_err(doing("load the last linked frames"))?;
        rows.iter()
            .map(|row| Ok((FovId(row.try_get(0)?), TimeIndex(row.try_get(1)?))))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(doing("read the last linked frames"))
    }

    /// Enters what the scanner found; one transaction for all. A frame in flight is left alone (the worker looks at
    /// the file again after reading), and one that has reached its end changes only when its source was rewritten.
    ///
    /// # Errors
    /// When the database refuses; then nothing is entered.
    pub async fn enter(&self, frames: &[EarlyFrame<'_>], now_unix_ms: i64) -> Result<Vec<LedgerRow>, StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin a ledger entry"))?;
        let mut rows = Vec::with_capacity(frames.len());
        for frame in frames {
            rows.push(enter_one(&mut tx, frame, now_unix_ms).await?);
        }
        tx.commit().await.map_err(doing("commit ledger entries"))?;
        Ok(rows)
    }

    /// Marks frames as in flight and counts the attempt, before the work starts.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn start(&self, frames: &[FrameId], run: RunId) -> Result<(), StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin to admit frames"))?;
        for frame in frames {
            sqlx::query(
                "UPDATE frames SET state = 'processing', reason = NULL, attempts = attempts + 1, run_id = ?2
                 WHERE frame_id = ?1",
            )
            .bind(frame.0)
            .bind(run.0)
            .execute(&mut *tx)
            .await
            .map_err(doing("admit a frame"))?;
        }
        tx.commit().await.map_err(doing("commit admitted frames"))
    }

    /// Gives frames back that were admitted but not done: ready again, the attempt not counted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_back(&self, frames: &[FrameId], reason: &str) -> Result<(), StoreError> {
        let mut tx = self.writer().begin().await.map_err(doing("begin to put frames back"))?;
        for frame in frames {
            sqlx::query(
                "UPDATE frames SET state = 'ready', reason = ?2, attempts = max(attempts - 1, 0)
                 WHERE frame_id = ?1 AND state = 'processing'",
            )
            .bind(frame.0)
            .bind(reason)
            .execute(&mut *tx)
            .await
            .map_err(doing("put a frame back"))?;
        }
        tx.commit().await.map_err(doing("commit frames put back"))
    }

    /// Says why a frame that is ready is held back.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn explain_hold(&self, frame: FrameId, reason: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE frames SET reason = ?2 WHERE frame_id = ?1 AND state = 'ready'")
            .bind(frame.0)
            .bind(reason)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(doing("say why a frame is held back"))
    }

    /// Ends a frame without a result.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn fail(&self, frame: FrameId, code: &str, reason: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE frames SET state = 'failed', code = ?2, reason = ?3 WHERE frame_id = ?1")
            .bind(frame.0)
            .bind(code)
            .bind(reason)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(doing("store a failed frame"))
    }

    /// Sends a frame whose file changed or vanished while it was read back to waiting; the attempt is not counted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wait_again(&self, frame: FrameId, reason: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE frames SET state = 'waiting', reason = ?2, attempts = max(attempts - 1, 0), closed_unix_ms = NULL
             WHERE frame_id = ?1",
        )
        .bind(frame.0)
        .bind(reason)
        .execute(self.writer())
        .await
        .map(drop)
        .map_err(doing("send a frame back to waiting"))
    }

    /// Checks the whole database file.
    ///
    /// # Errors
    /// When SQLite finds damage, or the check cannot run.
    pub async fn check_integrity(&self, path: &std::path::Path) -> Result<(), StoreError> {
        let finding: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(self.readers())
            .await
            .map_err(doing("check the database's integrity"))?;
        if finding == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), finding }) }
    }
}

async fn enter_one(
    tx: &mut SqliteConnection,
    entry: &EarlyFrame<'_>,
    now_unix_ms: i64,
) -> Result<LedgerRow, StoreError> {
    let source = enter_source(tx, entry, now_unix_ms).await?;
    let fov = match entry.place {
        Some(place) => Some(enter_place(tx, place, now_unix_ms).await?),
        None => None,
    };
    let (state, reason, code, closed_unix_ms) = match &entry.state {
        Early::Waiting(reason) => ("waiting", Some(reason.as_str()), None, None),
        Early::Ready(closed_unix_ms) => ("ready", None, None, Some(*closed_unix_ms)),
        Early::Skipped(reason) => ("skipped", Some(reason.as_str()), None, None),
        Early::Failed(code, reason) => ("failed", Some(reason.as_str()), Some(*code), None),
    };
    let changed: Option<i64> = sqlx::query_scalar(
        "INSERT INTO frames (source_id, plane_index, fov_id, time_index, channel, z_index, acquired_unix_ms, state, reason, code,
                             closed_unix_ms, first_seen_unix_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (source_id, plane_index) DO UPDATE SET
             fov_id = coalesce(excluded.fov_id, frames.fov_id), time_index = coalesce(excluded.time_index, frames.time_index),
             channel = coalesce(excluded.channel, frames.channel), z_index = coalesce(excluded.z_index, frames.z_index),
             acquired_unix_ms = coalesce(excluded.acquired_unix_ms, frames.acquired_unix_ms), state = excluded.state,
             reason = excluded.reason, code = excluded.code,
             closed_unix_ms = CASE WHEN ?13 THEN excluded.closed_unix_ms
                                   ELSE coalesce(frames.closed_unix_ms, excluded.closed_unix_ms) END
         WHERE frames.state IN ('seen', 'waiting', 'ready') OR (?13 AND frames.state <> 'processing')
         RETURNING frame_id",
    )
    .bind(source.0)
    .bind(i64::from(entry.facts.plane_index))
    .bind(fov.map(|fov| fov.0))
    .bind(entry.facts.time.map(|time| time.0))
    .bind(entry.facts.channel.as_deref())
    .bind(entry.facts.z_index)
    .bind(entry.facts.acquired_unix_ms)
    .bind(state)
    .bind(reason)
    .bind(code)
    .bind(closed_unix_ms)
    .bind(now_unix_ms)
    .bind(entry.again)
    .fetch_optional(&mut *tx)
    .await
    .map_err(doing("enter a frame"))?;
    let frame = match changed {
        Some(frame) => frame,
        None => sqlx::query_scalar("SELECT frame_id FROM frames WHERE source_id = ?1 AND plane_index = ?2")
            .bind(source.0)
            .bind(i64::from(entry.facts.plane_index))
            .fetch_one(&mut *tx)
            .await
            .map_err(doing("find a frame"))?,
    };
    Ok(LedgerRow { frame: FrameId(frame), fov, settled: changed.is_none() })
}

async fn enter_source(
    tx: &mut SqliteConnection,
    entry: &EarlyFrame<'_>,
    now_unix_ms: i64,
) -> Result<SourceId, StoreError> {
    sqlx::query_scalar(
        "INSERT INTO sources (path, size_bytes, modified_unix_ns, first_seen_unix_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes, modified_unix_ns = excluded.modified_unix_ns
         RETURNING source_id",
    )
    .bind(entry.path)
    .bind(entry.stamp.size_bytes)
    .bind(entry.stamp.modified_unix_ns)
    .bind(now_unix_ms)
    .fetch_one(&mut *tx)
    .await
    .map(SourceId)
    .map_err(doing("enter a source"))
}

async fn enter_place(tx: &mut SqliteConnection, place: &Place, now_unix_ms: i64) -> Result<FovId, StoreError> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT fov_id FROM fields_of_view JOIN sessions USING (session_id) JOIN samples USING (sample_id)
         WHERE instrument = ?1 AND sessions.name = ?2 AND samples.name = ?3 AND fields_of_view.name = ?4",
    )
    .bind(&place.instrument)
    .bind(&place.session)
    .bind(&place.sample)
    .bind(&place.fov)
    .fetch_optional(&mut *tx)
    .await
    .map_err(doing("find a field of view"))?;
    if let Some(fov) = known {
        return Ok(FovId(fov));
    }
    let session: i64 = sqlx::query_scalar(
        "INSERT INTO sessions (instrument, name, first_seen_unix_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (instrument, name) DO UPDATE SET name = excluded.name RETURNING session_id",
    )
    .bind(&place.instrument)
    .bind(&place.session)
    .bind(now_unix_ms)
    .fetch_one(&mut *tx)
    .await
    .map_err(doing("enter a session"))?;
    let sample: i64 = sqlx::query_scalar(
        "INSERT INTO samples (session_id, name) VALUES (?1, ?2)
         ON CONFLICT (session_id, name) DO UPDATE SET name = excluded.name RETURNING sample_id",
    )
    .bind(session)
    .bind(&place.sample)
    .fetch_one(&mut *tx)
    .await
    .map_err(doing("enter a sample"))?;
    sqlx::query_scalar("INSERT INTO fields_of_view (session_id, sample_id, name) VALUES (?1, ?2, ?3) RETURNING fov_id")
        .bind(session)
        .bind(sample)
        .bind(&place.fov)
        .fetch_one(&mut *tx)
        .await
        .map(FovId)
        .map_err(doing("enter a field of view"))
}
