//! `cytowatch check`: everything that `run` does before it is ready.

use super::{ConfigArgs, say};
use crate::daemon;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Read the whole database and check every page of it as well.
    #[arg(long)]
    pub integrity: bool,
}

/// Checks settings, folder, database and model; says what was found.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = args.config.settings()?;
    super::block_on(async {
        let database = settings.store.database.clone();
        let prepared = daemon::prepare(settings).await?;
        if args.integrity {
            prepared.store.check_integrity(&database).await?;
        }
        let settings = &prepared.settings;
        say(&format!("folder    {} ({})", settings.watch.folder.display(), prepared.kind.name()))?;
        say(&format!("database  {}", database.display()))?;
        let bundle = prepared.model.bundle();
        say(&format!("model     {} {} ({})", bundle.name, bundle.version, bundle.identity))?;
        say(&format!("engine    {}", prepared.model.engine_name()))?;
        let found_by = prepared.finder.as_ref().map(|finder| format!("the network {}", finder.identity()));
        say(&format!("cells     {}", found_by.as_deref().unwrap_or("the classical chain")))?;
        if prepared.lacks_network {
            say(&format!("warning   {}", daemon::NETWORK_LACKING))?;
        }
        if let Some(reason) = prepared.model.fallback() {
            say(&format!("warning   the built-in engine serves: {}", crate::pipeline::chain(reason)))?;
        }
        prepared.store.close().await;
        say("ready to run")?;
        Ok(())
    })
}
