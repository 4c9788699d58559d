//! The live calls: what is said about each sample now, and the memory that the next look needs.

use super::query::statements;
use super::{Store, StoreError, doing};
use crate::id::{BundleId, SampleId, SessionId};
use crate::sample::call::{Call, MadeCall};
use sqlx::FromRow;

statements! {
    /// How much evidence each sample has, and when its newest frame was taken.
    EVIDENCE = "
        SELECT samples.sample_id, samples.session_id,
            coalesce(sum(track_scores.scored_count + track_scores.withheld_count), 0) AS judged_count,
            (SELECT max(coalesce(newest.acquired_unix_ms, newest.committed_unix_ms))
                FROM fields_of_view AS place JOIN frames AS newest ON newest.frame_id = (
                    SELECT frame_id FROM frames WHERE state = 'done' AND frames.fov_id = place.fov_id
                    ORDER BY time_index DESC LIMIT 1)
                WHERE place.sample_id = samples.sample_id) AS newest_unix_ms
        FROM samples
        LEFT JOIN fields_of_view ON fields_of_view.sample_id = samples.sample_id
        LEFT JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
        LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id AND track_scores.bundle_id = ?1
        GROUP BY samples.sample_id ORDER BY samples.sample_id";
    TRACKER = "SELECT tracker, verdict FROM calls WHERE sample_id = ?1 AND bundle_id = ?2";
    SAVE = "
        INSERT OR REPLACE INTO calls (sample_id, bundle_id, verdict, reason, score, interval_low, interval_high,
            cell_count, fov_count, withheld_share, cells_needed, fovs_needed, standing_since_unix_ms, first_called,
            first_called_unix_ms, updated_unix_ms, tracker)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
}

/// How much evidence a sample has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Evidence {
    /// Which.
    pub sample_id: SampleId,
    /// Its session.
    pub session_id: SessionId,
    /// Detections that were scored or withheld.
    pub judged_count: i64,
    /// When its newest frame was taken; `None` before the first.
    pub newest_unix_ms: Option<i64>,
}

/// A call to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// Which sample.
    pub sample: SampleId,
    /// By which bundle.
    pub bundle: BundleId,
    /// What is said now.
    pub call: Call,
    /// What was called first, and when.
    pub first: Option<MadeCall>,
    /// The memory that the next look needs, JSON.
    pub tracker: String,
}

impl Store {
    /// How much evidence each sample has from `bundle`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn evidence(&self, bundle: BundleId) -> Result<Vec<Evidence>, StoreError> {
        sqlx::query_as(EVIDENCE)
            .bind(bundle.0)
            .fetch_all(self.readers())
            .await
            .map_err(doing("look how much evidence samples have"))
    }

    /// The memory (JSON) and the verdict of the last look at a sample.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn call_tracker(
        &self,
        sample: SampleId,
        bundle: BundleId,
    ) -> Result<Option<(String, String)>, StoreError> {
        sqlx::query_as(TRACKER)
            .bind(sample.0)
            .bind(bundle.0)
            .fetch_optional(self.readers())
            .await
            .map_err(doing("load a sample's call"))
    }

    /// Keeps a call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn save_call(&self, record: &CallRecord, now_unix_ms: i64) -> Result<(), StoreError> {
        let call = &record.call;
        sqlx::query(SAVE)
            .bind(record.sample.0)
            .bind(record.bundle.0)
            .bind(call.verdict.name())
            .bind(call.reason.code())
            .bind(call.score)
            .bind(call.interval.map(|it| it.0))
            .bind(call.interval.map(|it| it.1))
            .bind(call.cells)
            .bind(call.fovs)
            .bind(call.withheld_share)
            .bind(call.cells_needed)
            .bind(call.fovs_needed)
            .bind(call.standing_since_unix_ms)
            .bind(record.first.map(|made| made.side.name()))
            .bind(record.first.map(|made| made.at_unix_ms))
            .bind(now_unix_ms)
            .bind(record.tracker.as_str())
            .execute(self.writer())
            .await
            .map_err(doing("keep a sample's call"))?;
        Ok(())
    }
}
