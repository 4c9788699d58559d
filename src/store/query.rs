//! Reading the results: what the page, the API, the alerts and the exports ask of the database.
//!
//! Every statement is a named constant with bound parameters, listed in [`every_statement`], so that one test prepares them
//! all against the schema. Every list has a limit and a [`Cursor`]; none grows with the session.

mod cell;
mod course;
mod fov;
mod frame;
mod sample;
mod session;
mod watchful;

pub use super::facts::{Results, certificate};
pub use super::series::drift;
pub use cell::{CellDetail, CellInFrame, TrackCell, TrackDetail, TrackSummary, cell, cells_of_frame, track, tracks};
pub use course::{LogitOfTrack, TrackLength, logits_of_track, long_tracks, session_of_track};
pub use fov::{FovSummary, Gap, StateCounts, fov, fovs, gaps};
pub use frame::{
    FailureGroup, FrameDetail, FrameInStrip, FrameSource, LedgerEntry, LedgerFilter, WaitingGroup, failures, frame,
    frame_source, ledger, strip, waiting,
};
pub use sample::{SampleSummary, StandingCall, TrackLogit, TrendPoint, sample, samples, track_logits, trend};
pub use session::{BundleSummary, SessionSummary, bundle, bundles_named, newest_commit, sessions};
pub use watchful::{FovPulse, RecentQuality, failed_among_newest, fov_pulses, recent_quality, withheld_share};

use crate::id::{BundleId, CellId, FovId, FrameId, RunId, SampleId, SessionId, SourceId, TrackId};
use serde::Serialize;
use sqlx::sqlite::{Sqlite, SqliteTypeInfo, SqliteValueRef};

/// The most rows that one answer holds.
pub const LARGEST_PAGE: u32 = 500;

/// Where a list goes on: the sort key of the last row given. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// First part of the sort key.
    pub major: i64,
    /// Second part, which makes it unique.
    pub minor: i64,
}

impl Cursor {
    /// In front of every row of an ascending list.
    pub const START: Self = Self { major: i64::MIN, minor: i64::MIN };
    /// In front of every row of a descending list.
    pub const END: Self = Self { major: i64::MAX, minor: i64::MAX };

    /// A cursor from the text that an earlier answer gave; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('_')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The text for the client.
    pub fn text(self) -> String {
        format!("{}_{}", self.major, self.minor)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the list goes on; `None` at its end.
    pub next_cursor: Option<String>,
}

/// A page from up to `limit + 1` rows: the row too many only tells that the list goes on.
pub(in crate::store) fn page<T>(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> Cursor) -> Page<T> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = if more { rows.last().map(|row| key(row).text()) } else { None };
    Page { items: rows, next_cursor }
}

/// Score from the discriminant's logit.
pub fn score_of(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Lets an identity be bound and read as the integer it is.
macro_rules! stored_as_integer {
    ($($id:ty),*) => {$(
        impl sqlx::Type<Sqlite> for $id {
            fn type_info() -> SqliteTypeInfo {
                <i64 as sqlx::Type<Sqlite>>::type_info()
            }
        }

        impl<'r> sqlx::Decode<'r, Sqlite> for $id {
            fn decode(value: SqliteValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                <i64 as sqlx::Decode<'r, Sqlite>>::decode(value).map(Self)
            }
        }
    )*};
}

stored_as_integer!(BundleId, CellId, FovId, FrameId, RunId, SampleId, SessionId, SourceId, TrackId);

/// Declares the statements of a file: constants with a name, and the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        pub(in crate::store) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(in crate::store) use statements;

/// Every statement of the readers with its name.
pub fn every_statement() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        cell::ALL,
        course::ALL,
        fov::ALL,
        frame::ALL,
        sample::ALL,
        session::ALL,
        watchful::ALL,
        super::alerts::ALL,
        super::calls::ALL,
        super::facts::ALL,
        super::places::ALL,
        super::probe::ALL,
        super::series::ALL,
        super::stored::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use sqlx::{Executor as _, SqlSafeStr as _};

    #[tokio::test]
    async fn every_statement_fits_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
        let mut seen = 0;
        for (name, sql) in every_statement() {
            let prepared = store.readers().prepare(sqlx::AssertSqlSafe(sql).into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {prepared:?}");
            seen += 1;
        }
        assert!(seen > 20, "only {seen} statements are listed");
        store.close().await;
    }

    #[tokio::test]
    async fn views_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
        for view in ["cells_view", "tracks_view", "samples_view", "ledger_view"] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT * FROM {view}"));
            assert!(sqlx::query(sql).fetch_all(store.readers()).await.unwrap().is_empty());
        }
        store.close().await;
    }

    #[test]
    fn cursors_go_there_and_back() {
        for cursor in [Cursor::START, Cursor::END, Cursor { major: -3, minor: 17 }] {
            assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }
        for text in ["", "1", "_", "1_", "a_b", "1_2_3", "99999999999999999999_1"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
