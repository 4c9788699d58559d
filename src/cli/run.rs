//! `cytowatch run`: the daemon.

use super::ConfigArgs;
use crate::daemon::{self, Until};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Watches until a signal asks to stop.
///
/// # Errors
/// What kept the daemon from starting, or ended it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = args.config.settings()?;
    super::block_on(async {
        let prepared = daemon::prepare(settings).await?;
        let last = Box::pin(daemon::run(prepared, Until::Stopped, |_| ())).await?;
        tracing::info!(
            recorded = last.counts.recorded,
            failed = last.counts.failed,
            put_back = last.counts.put_back,
            cells = last.counts.cells,
            "stopped"
        );
        Ok(())
    })
}
