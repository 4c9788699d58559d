//! What a session's certificate rests on: its frames by field and time, cells, alerts, runs, and a hash over its results.

use super::query::statements;
use super::{StoreError, doing};
use crate::id::SessionId;
use crate::sample::certificate::{
    AlertFacts, BundleFacts, CellFacts, Certificate, Expectation, Expected, FovFacts, LaterScores, Reason, RunFacts,
    SessionFacts, TimeFacts, certify,
};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{FromRow, Row as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;

statements! {
    SESSIONS_NAMED = "
        SELECT session_id, instrument, name FROM sessions
        WHERE name = ?1 OR instrument || '/' || name = ?1 OR CAST(session_id AS TEXT) = ?1
        ORDER BY session_id LIMIT 20";
    SESSION = "
        SELECT instrument, name, first_seen_unix_ms,
            (SELECT max(committed_unix_ms) FROM frames JOIN fields_of_view USING (fov_id)
             WHERE fields_of_view.session_id = sessions.session_id) AS last_committed_unix_ms
        FROM sessions WHERE session_id = ?1";
    TIMES = "
        SELECT fields_of_view.name AS fov, samples.name AS sample, frames.time_index, count(frames.frame_id) AS received,
            count(*) FILTER (WHERE state = 'done') AS analysed, count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state = 'skipped') AS skipped
        FROM fields_of_view
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        LEFT JOIN frames ON frames.fov_id = fields_of_view.fov_id
        WHERE fields_of_view.session_id = ?1
        GROUP BY fields_of_view.fov_id, frames.time_index
        ORDER BY fields_of_view.name, fields_of_view.fov_id, frames.time_index";
    REASONS = "
        SELECT frames.state, coalesce(frames.code, frames.reason, 'no_reason_given') AS reason, count(*) AS frames,
            min(sources.path) AS first_path
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN sources ON sources.source_id = frames.source_id
        WHERE fields_of_view.session_id = ?1 AND frames.state <> 'done' GROUP BY 1, 2 ORDER BY 1, 2";
    /// Files without a place cannot be told to belong to one session: those that came while it ran are shown.
    UNPLACED = "
        SELECT frames.state, coalesce(frames.code, frames.reason, 'no_reason_given') AS reason, count(*) AS frames,
            min(sources.path) AS first_path
        FROM frames JOIN sources ON sources.source_id = frames.source_id
        WHERE frames.fov_id IS NULL AND frames.first_seen_unix_ms BETWEEN ?1 AND ?2 GROUP BY 1, 2 ORDER BY 1, 2";
    CELLS = "
        SELECT count(*) AS cells
        FROM fields_of_view
        JOIN frames ON frames.fov_id = fields_of_view.fov_id
        JOIN cells ON cells.frame_id = frames.frame_id
        WHERE fields_of_view.session_id = ?1";
    /// Scores of the bundle that looked first.
    FOV_SCORES = "
        SELECT fields_of_view.name AS fov, samples.name AS sample,
            count(*) FILTER (WHERE inferences.withheld IS NULL) AS scored,
            count(*) FILTER (WHERE inferences.withheld IS NOT NULL) AS withheld
        FROM fields_of_view
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        JOIN frames ON frames.fov_id = fields_of_view.fov_id
        JOIN runs ON runs.run_id = frames.run_id
        JOIN cells ON cells.frame_id = frames.frame_id
        JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = runs.bundle_id
        WHERE fields_of_view.session_id = ?1
        GROUP BY fields_of_view.fov_id ORDER BY fields_of_view.fov_id";
    /// By bundle; `later` are those of bundles that looked again at what another one had scored first.
    SCORES = "
        SELECT bundles.name, bundles.version, bundles.sha256, inferences.bundle_id IS NOT runs.bundle_id AS later,
            inferences.withheld, count(*) AS cells
        FROM fields_of_view
        JOIN frames ON frames.fov_id = fields_of_view.fov_id
        JOIN runs ON runs.run_id = frames.run_id
        JOIN cells ON cells.frame_id = frames.frame_id
        JOIN inferences ON inferences.cell_id = cells.cell_id
        JOIN bundles ON bundles.bundle_id = inferences.bundle_id
        WHERE fields_of_view.session_id = ?1
        GROUP BY inferences.bundle_id, later, inferences.withheld
        ORDER BY inferences.bundle_id, later, inferences.withheld";
    VERDICTS = "
        SELECT coalesce(frames.verdict, 'not_judged') AS name, count(*) AS number
        FROM fields_of_view JOIN frames ON frames.fov_id = fields_of_view.fov_id
        WHERE fields_of_view.session_id = ?1 AND frames.state = 'done' GROUP BY 1 ORDER BY 1";
    ALERTS = "
        SELECT rule, subject, severity, text, raised_unix_ms, cleared_unix_ms FROM alerts
        WHERE raised_unix_ms <= ?2 AND coalesce(cleared_unix_ms, ?2) >= ?1 ORDER BY raised_unix_ms, alert_id";
    RUNS = "
        SELECT runs.run_id, runs.software_version, runs.host, runs.engine, runs.settings_sha256, runs.started_unix_ms,
            runs.ended_unix_ms, bundles.name, bundles.version, bundles.sha256, count(*) AS frames
        FROM frames
        JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
        JOIN runs ON runs.run_id = frames.run_id
        LEFT JOIN bundles ON bundles.bundle_id = runs.bundle_id
        WHERE fields_of_view.session_id = ?1 AND frames.state = 'done' GROUP BY runs.run_id ORDER BY runs.run_id";
    EXPECTED = "
        SELECT coalesce(json_extract(settings_json, '$.expected.times'), 0),
            coalesce(json_extract(settings_json, '$.expected.fovs'), 0)
        FROM runs WHERE run_id = (
            SELECT max(frames.run_id) FROM frames JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
            WHERE fields_of_view.session_id = ?1)";
    /// Every result in an order that does not depend on when it was computed; of the bundle that scored first.
    RESULTS = "
        SELECT samples.name || '/' || fields_of_view.name AS fov, frames.time_index, coalesce(frames.channel, '') AS channel,
            coalesce(frames.z_index, -1) AS z_index, cells.number, cells.x_px, cells.y_px, cells.outline, cells.area_um2,
            coalesce(tracks.number, 0) AS track, coalesce(bundles.sha256, '') AS bundle,
            coalesce(inferences.latent, x'') AS latent, coalesce(inferences.logit, 0.0) AS logit,
            coalesce(inferences.withheld, '') AS withheld
        FROM fields_of_view
        JOIN samples ON samples.sample_id = fields_of_view.sample_id
        JOIN frames ON frames.fov_id = fields_of_view.fov_id
        JOIN cells ON cells.frame_id = frames.frame_id
        LEFT JOIN tracks ON tracks.track_id = cells.track_id
        LEFT JOIN inferences ON inferences.cell_id = cells.cell_id AND inferences.bundle_id = (
            SELECT bundle_id FROM runs WHERE runs.run_id = frames.run_id)
        LEFT JOIN bundles ON bundles.bundle_id = inferences.bundle_id
        WHERE fields_of_view.session_id = ?1 AND frames.state = 'done'
        ORDER BY samples.name, fields_of_view.name, frames.time_index, channel, z_index, frames.plane_index, cells.number, bundle";
}

/// A session by which it can be called.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct NamedSession {
    /// Identity.
    pub session_id: SessionId,
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub name: String,
}

/// The sessions that `name` may mean: a session's name, `instrument/name`, or its number.
///
/// # Errors
/// When the database cannot be read.
pub async fn sessions_named(readers: &SqlitePool, name: &str) -> Result<Vec<NamedSession>, StoreError> {
    sqlx::query_as(SESSIONS_NAMED).bind(name).fetch_all(readers).await.map_err(doing("look up a session"))
}

/// What the configuration of the newest run that analysed frames of the session says about their number.
async fn configured(readers: &SqlitePool, session: SessionId) -> Result<Expected, StoreError> {
    const OPERATION: &str = "look up how many frames were expected";
    let read = |row: &SqliteRow| Ok(Expected { times: number(row, 0)? as u32, fovs: number(row, 1)? as u32 });
    let found = read_all(readers, (EXPECTED, &[session.0]), OPERATION, read).await?;
    Ok(found.first().copied().unwrap_or_default())
}

/// Whether a certificate carries the hash over all results, for which every stored row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// Read and hashed: longer than an answer of the API may take for a million cells.
    Hashed,
    /// Counted only: seconds.
    Counted,
}

/// The certificate of a session at this moment; `None` when there is no such session.
///
/// What is expected comes from the configuration
/// of its runs, and from the names where that is silent; `expectation` replaces both.
///
/// # Errors
/// When the database cannot be read.
pub async fn certificate(
    readers: &SqlitePool,
    session: SessionId,
    expectation: Option<Expectation>,
    results: Results,
    now_unix_ms: i64,
) -> Result<Option<Certificate>, StoreError> {
    let expectation = match expectation {
        Some(expectation) => expectation,
        None => configured(readers, session).await?.into(),
    };
    let facts = session_facts(readers, session, results, now_unix_ms).await?;
    Ok(facts.map(|facts| certify(facts, expectation, now_unix_ms)))
}

/// Everything a certificate of `session` needs; `None` when there is no such session. `now_unix_ms` bounds what came while it ran
/// when nothing was committed yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn session_facts(
    readers: &SqlitePool,
    session: SessionId,
    results: Results,
    now_unix_ms: i64,
) -> Result<Option<SessionFacts>, StoreError> {
    let row = sqlx::query(SESSION)
        .bind(session.0)
        .fetch_optional(readers)
        .await
        .map_err(doing("look up a session's facts"))?;
    let Some(row) = row else { return Ok(None) };
    let named = || -> Result<(String, String, i64, Option<i64>), sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    };
    let (instrument, name, first_seen_unix_ms, last_committed_unix_ms) = named().map_err(doing("read a session"))?;
    let period = (first_seen_unix_ms, last_committed_unix_ms.unwrap_or(now_unix_ms));
    let (cells, later_scores) = cells(readers, session).await?;
    Ok(Some(SessionFacts {
        instrument,
        session: name,
        first_seen_unix_ms,
        last_committed_unix_ms,
        fovs: fovs(readers, session).await?,
        reasons: read_all(readers, (REASONS, &[session.0]), "list a session's exceptions", reason).await?,
        unplaced: read_all(readers, (UNPLACED, &[period.0, period.1]), "list files without a place", reason).await?,
        cells,
        alerts: read_all(readers, (ALERTS, &[period.0, period.1]), "list a session's alerts", alert).await?,
        runs: read_all(readers, (RUNS, &[session.0]), "list a session's runs", run).await?,
        later_scores,
        results_sha256: match results {
            Results::Hashed => Some(results_sha256(readers, session).await?),
            Results::Counted => None,
        },
    }))
}

async fn read_all<T>(
    readers: &SqlitePool,
    (sql, values): (&'static str, &[i64]),
    operation: &'static str,
    read: fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, StoreError> {
    let query = values.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
    let rows = query.fetch_all(readers).await.map_err(doing(operation))?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(doing(operation))
}

fn reason(row: &SqliteRow) -> Result<Reason, sqlx::Error> {
    Ok(Reason { state: row.try_get(0)?, reason: row.try_get(1)?, frames: number(row, 2)?, first_path: row.try_get(3)? })
}

fn alert(row: &SqliteRow) -> Result<AlertFacts, sqlx::Error> {
    Ok(AlertFacts {
        rule: row.try_get(0)?,
        subject: row.try_get(1)?,
        severity: row.try_get(2)?,
        text: row.try_get(3)?,
        raised_unix_ms: row.try_get(4)?,
        cleared_unix_ms: row.try_get(5)?,
    })
}

fn run(row: &SqliteRow) -> Result<RunFacts, sqlx::Error> {
    let bundle: (Option<String>, Option<String>, Option<String>) = (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
    Ok(RunFacts {
        run: row.try_get(0)?,
        software_version: row.try_get(1)?,
        host: row.try_get(2)?,
        engine: row.try_get(3)?,
        settings_sha256: row.try_get(4)?,
        started_unix_ms: row.try_get(5)?,
        ended_unix_ms: row.try_get(6)?,
        bundle: match bundle {
            (Some(name), Some(version), Some(sha256)) => Some(BundleFacts { name, version, sha256 }),
            _ => None,
        },
        frames: number(row, 10)?,
    })
}

/// Cells with a score of one bundle, and why it is withheld.
struct Scores {
    bundle: BundleFacts,
    later: bool,
    withheld: Option<String>,
    cells: u64,
}

fn scores(row: &SqliteRow) -> Result<Scores, sqlx::Error> {
    Ok(Scores {
        bundle: BundleFacts { name: row.try_get(0)?, version: row.try_get(1)?, sha256: row.try_get(2)? },
        later: row.try_get(3)?,
        withheld: row.try_get(4)?,
        cells: number(row, 5)?,
    })
}

fn named_count(row: &SqliteRow) -> Result<(String, u64), sqlx::Error> {
    Ok((row.try_get(0)?, number(row, 1)?))
}

/// A count: never negative.
fn number(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|count| count.max(0).unsigned_abs())
}

async fn fovs(readers: &SqlitePool, session: SessionId) -> Result<Vec<FovFacts>, StoreError> {
    type Row = (String, String, Option<TimeFacts>, u32);
    let rows: Vec<Row> = read_all(readers, (TIMES, &[session.0]), "list a session's frames", |row| {
        let count = |column| number(row, column).map(|count| count as u32);
        let received = count(3)?;
        let time_index: Option<i64> = row.try_get(2)?;
        let (analysed, failed, skipped) = (count(4)?, count(5)?, count(6)?);
        let time = time_index.map(|time_index| TimeFacts { time_index, received, analysed, failed, skipped });
        let untimed = if time.is_none() { received - analysed - failed - skipped } else { 0 };
        Ok((row.try_get(0)?, row.try_get(1)?, time, untimed))
    })
    .await?;
    let mut fovs: Vec<FovFacts> = Vec::new();
    for (fov, sample, time, untimed) in rows {
        // Instruments number the fields of each sample from the beginning.
        if fovs.last().is_none_or(|last| last.fov != fov || last.sample != sample) {
            fovs.push(FovFacts { fov, sample, times: Vec::new(), untimed: 0, scored: 0, withheld: 0 });
        }
        if let Some(last) = fovs.last_mut() {
            last.times.extend(time);
            last.untimed += untimed;
        }
    }
    let scores: Vec<(String, String, u64, u64)> =
        read_all(readers, (FOV_SCORES, &[session.0]), "count a session's scores", |row| {
            Ok((row.try_get(0)?, row.try_get(1)?, number(row, 2)?, number(row, 3)?))
        })
        .await?;
    for (name, sample, scored, withheld) in scores {
        if let Some(fov) = fovs.iter_mut().find(|it| it.fov == name && it.sample == sample) {
            fov.scored += scored;
            fov.withheld += withheld;
        }
    }
    Ok(fovs)
}

async fn cells(readers: &SqlitePool, session: SessionId) -> Result<(CellFacts, Vec<LaterScores>), StoreError> {
    let count = read_all(readers, (CELLS, &[session.0]), "count a session's cells", |row| number(row, 0)).await?;
    let verdicts = read_all(readers, (VERDICTS, &[session.0]), "count frames by verdict", named_count).await?;
    let mut facts = CellFacts {
        cells: count.first().copied().unwrap_or_default(),
        frame_verdicts: BTreeMap::from_iter(verdicts),
        ..CellFacts::default()
    };
    let mut later: Vec<LaterScores> = Vec::new();
    facts.without_score = facts.cells;
    for found in read_all(readers, (SCORES, &[session.0]), "count a session's scores", scores).await? {
        if found.later {
            match later.last_mut().filter(|last| last.bundle == found.bundle) {
                Some(last) => last.cells += found.cells,
                None => later.push(LaterScores { bundle: found.bundle, cells: found.cells }),
            }
            continue;
        }
        facts.without_score = facts.without_score.saturating_sub(found.cells);
        match found.withheld {
            None => facts.scored += found.cells,
            Some(reason) => *facts.withheld.entry(reason).or_default() += found.cells,
        }
    }
    Ok((facts, later))
}

/// sha256 over every result of the session, hexadecimal. Rows are streamed: memory does not grow with the session.
async fn results_sha256(readers: &SqlitePool, session: SessionId) -> Result<String, StoreError> {
    const OPERATION: &str = "hash a session's results";
    let mut hash = Sha256::new();
    let mut rows = sqlx::query(RESULTS).bind(session.0).fetch(readers);
    loop {
        let row = std::future::poll_fn(|context| tokio_stream::Stream::poll_next(rows.as_mut(), context)).await;
        let Some(row) = row.transpose().map_err(doing(OPERATION))? else { break };
        add_result(&mut hash, &row).map_err(doing(OPERATION))?;
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    }))
}

/// Adds one row; texts and blobs with their length in front, so that no two rows can look alike.
fn add_result(hash: &mut Sha256, row: &SqliteRow) -> Result<(), sqlx::Error> {
    for column in [0, 2, 10, 13] {
        let text: String = row.try_get(column)?;
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    for column in [1, 3, 4, 9] {
        hash.update(row.try_get::<Option<i64>, _>(column)?.unwrap_or(i64::MIN).to_le_bytes());
    }
    for column in [5, 6, 8, 12] {
        hash.update(row.try_get::<f64, _>(column)?.to_bits().to_le_bytes());
    }
    for column in [7, 11] {
        let blob: Vec<u8> = row.try_get(column)?;
        hash.update((blob.len() as u64).to_le_bytes());
        hash.update(blob);
    }
    Ok(())
}

#[cfg(test)]
#[path = "facts/tests.rs"]
mod tests;
