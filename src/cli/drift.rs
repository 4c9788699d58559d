//! `cytowatch drift`: is each day like the training set and like the days before?

use super::stored::ScoredBy;
use super::{ConfigArgs, say};
use crate::sample::drift::DayDrift;
use crate::store;
use crate::store::series::drift;

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Whose descriptors, and whose training set.
    #[command(flatten)]
    pub scored_by: ScoredBy,
    /// A sample that is filmed every day: each day is compared, and its scores aligned, on that sample's cells alone, with the
    /// first day that shows it. What is stored stays as it is.
    #[arg(long, value_name = "SAMPLE")]
    pub reference_sample: Option<String>,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// Prints a sentence per instrument and day, and with a reference sample the day's samples as filmed and aligned.
///
/// # Errors
/// When the database cannot be read or holds no scores.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    let days = super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let bundle = args.scored_by.bundle(&readers).await?;
        anyhow::Ok(drift(&readers, bundle.bundle_id, args.reference_sample.as_deref()).await?)
    })?;
    if args.json {
        return Ok(say(&serde_json::to_string_pretty(&days)?)?);
    }
    days.iter().try_for_each(print)
}

fn print(day: &DayDrift) -> anyhow::Result<()> {
    say(&day.text)?;
    if let Some(why) = &day.not_aligned {
        say(&format!("    not aligned: {why}"))?;
    }
    for it in &day.samples {
        let (name, cells, score, aligned) = (&it.sample, it.cells, it.score, it.aligned_score);
        say(&format!("    {name}: {cells} cells, score {score:.3} as filmed, {aligned:.3} aligned"))?;
    }
    Ok(())
}
