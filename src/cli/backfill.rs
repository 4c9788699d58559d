//! `cytowatch backfill PATH`: a folder that is already there.

use super::{ConfigArgs, say};
use crate::daemon::{self, Until};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `backfill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; takes the place of watch.folder.
    pub path: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Takes every frame of the folder through the same way as `run`, then ends. What is done already is not done again.
///
/// # Errors
/// What kept the daemon from starting, or ended it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut settings = args.config.settings()?;
    settings.watch.folder.clone_from(&args.path);
    // Nobody is writing: what is not there will not come.
    settings.watch.give_up = settings.watch.give_up.min(Duration::from_secs(5));
    settings.pipeline.gap_wait = Duration::ZERO;
    super::block_on(async {
        let prepared = daemon::prepare(settings).await?;
        let last = Box::pin(daemon::run(prepared, Until::Done, |_| ())).await?;
        let counts = &last.counts;
        say(&format!(
            "{} frames recorded with {} cells, {} failed, {:.1} s",
            counts.recorded, counts.cells, counts.failed, last.uptime_s
        ))?;
        for (code, frames) in &counts.failed_by_code {
            say(&format!("  failed: {frames} x {code}"))?;
        }
        Ok(())
    })
}
