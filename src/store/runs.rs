//! Runs of the software and the bundles that they used.

use super::{Store, StoreError, doing};
use crate::id::{BundleId, RunId};

/// What a run of the daemon stores about itself.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Start, ms since 1970 UTC.
    pub started_unix_ms: i64,
    /// Host name.
    pub host: String,
    /// Effective settings as JSON.
    pub settings_json: String,
    /// Hash of those settings, hexadecimal.
    pub settings_sha256: String,
    /// The model bundle.
    pub bundle: BundleId,
    /// The engine that runs it.
    pub engine: String,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Frames are read, their cells found, followed and scored.
    Frames,
    /// Cells of a finished session are scored by another bundle.
    Scores,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Scores => "scores",
        }
    }
}

impl Store {
    /// Notes that a bundle is used; gives its identity.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn register_bundle(
        &self,
        sha256: &str,
        name: &str,
        version: &str,
        now_unix_ms: i64,
    ) -> Result<BundleId, StoreError> {
        sqlx::query_scalar(
            "INSERT INTO bundles (sha256, name, version, first_used_unix_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (sha256) DO UPDATE SET name = excluded.name RETURNING bundle_id",
        )
        .bind(sha256)
        .bind(name)
        .bind(version)
        .bind(now_unix_ms)
        .fetch_one(self.writer())
        .await
        .map(BundleId)
        .map_err(doing("store the model bundle"))
    }

    /// Keeps what a bundle's training set looked like, as JSON: days are compared with it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn keep_training(&self, bundle: BundleId, training_json: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE bundles SET training = ?2 WHERE bundle_id = ?1 AND training IS NOT ?2")
            .bind(bundle.0)
            .bind(training_json)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(doing("store a bundle's training set"))
    }

    /// Notes the start of a run.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begin_run(&self, facts: &RunFacts) -> Result<RunId, StoreError> {
        sqlx::query_scalar(
            "INSERT INTO runs (started_unix_ms, software_version, host, process_id, settings_json, settings_sha256, bundle_id, engine,
                purpose)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING run_id",
        )
        .bind(facts.started_unix_ms)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(&facts.host)
        .bind(i64::from(std::process::id()))
        .bind(&facts.settings_json)
        .bind(&facts.settings_sha256)
        .bind(facts.bundle.0)
        .bind(&facts.engine)
        .bind(facts.purpose.name())
        .fetch_one(self.writer())
        .await
        .map(RunId)
        .map_err(doing("store the run"))
    }

    /// Notes the orderly end of a run.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_run(&self, run: RunId, now_unix_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE runs SET ended_unix_ms = ?2 WHERE run_id = ?1")
            .bind(run.0)
            .bind(now_unix_ms)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(doing("store the run's end"))
    }
}
