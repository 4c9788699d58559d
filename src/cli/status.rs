//! `cytowatch status`: what the database holds, and what the daemon does if it runs.

use super::{ConfigArgs, say};
use crate::store;
use crate::store::query::score_of;
use crate::store::summary::{Summary, summary};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// Prints the state of things.
///
/// # Errors
/// When there is no database to read.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = args.config.settings()?;
    let summary = super::block_on(async {
        let readers = store::open_read_only(&settings.store.database).await?;
        Ok(summary(&readers).await?)
    })?;
    if args.json {
        say(&serde_json::to_string_pretty(&summary)?)?;
        return Ok(());
    }
    print(&summary)?;
    Ok(())
}

fn print(summary: &Summary) -> std::io::Result<()> {
    for count in &summary.frames {
        say(&format!("{:>9} frames {:<10} {}", count.frames, count.state, count.reason))?;
    }
    say(&format!("{:>9} cells", summary.cells))?;
    for sample in &summary.samples {
        let score = sample.mean_logit.map_or_else(|| "-".to_owned(), |logit| format!("{:.2}", score_of(logit)));
        say(&format!(
            "sample {} ({}): {} tracks, {} scored cells, score {score}",
            sample.sample, sample.session, sample.tracks, sample.scored_cells
        ))?;
    }
    Ok(())
}
