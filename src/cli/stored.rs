//! What commands over a stored session share: which session, which bundle's scores, where the result goes.

use super::ConfigArgs;
use crate::id::SessionId;
use crate::store::Readers;
use crate::store::facts::sessions_named;
use crate::store::query::{BundleSummary, bundle, bundles_named};
use anyhow::{Context as _, bail};
use std::path::PathBuf;

/// Where a command reads and writes.
#[derive(Debug, Clone, clap::Args)]
pub struct StoredArgs {
    /// The file to write; standard output when absent.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Whose scores are meant, where several bundles have looked at the same cells.
#[derive(Debug, Clone, clap::Args)]
pub struct ScoredBy {
    /// Take the scores of this bundle: its name, version, both, number, or the beginning of its hash. When absent, those of the
    /// bundle that the newest run of the daemon used.
    #[arg(long, value_name = "BUNDLE")]
    pub scored_by: Option<String>,
}

impl ScoredBy {
    /// The bundle that was meant.
    ///
    /// # Errors
    /// When there is none, or several.
    pub(super) async fn bundle(&self, readers: &Readers) -> anyhow::Result<BundleSummary> {
        let Some(name) = &self.scored_by else {
            return bundle(readers).await?.context("no model has scored anything in this database yet");
        };
        the_one("bundle", name, bundles_named(readers, Some(name)).await?, |it| {
            format!("{} ({} {})", it.bundle_id, it.name, it.version)
        })
    }
}

/// The session that `name` means: its name, instrument/name, or number.
///
/// # Errors
/// When there is none, or several.
pub(super) async fn session(readers: &Readers, name: &str) -> anyhow::Result<SessionId> {
    let named = sessions_named(readers, name).await?;
    let one = the_one("session", name, named, |it| format!("{} ({}/{})", it.session_id, it.instrument, it.name))?;
    Ok(one.session_id)
}

fn the_one<T>(kind: &str, name: &str, mut named: Vec<T>, in_words: impl Fn(&T) -> String) -> anyhow::Result<T> {
    match (named.pop(), named.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => bail!("{kind} {name:?} is not in the database: `cytowatch status` lists what is"),
        (Some(last), false) => {
            let names: Vec<String> = named.iter().chain([&last]).map(in_words).collect();
            bail!("{kind} {name:?} may be any of {}: give the number", names.join(", "))
        }
    }
}
