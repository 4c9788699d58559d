//! `cytowatch export`: the database's tables for other programs.

use super::stored::{ScoredBy, StoredArgs};
use super::table::output;
use crate::store;
use crate::store::export::{Table, csv};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header line.
    #[default]
    Csv,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which table.
    #[arg(value_enum)]
    pub table: Table,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Whose scores.
    #[command(flatten)]
    pub scored_by: ScoredBy,
    /// Where from and where to.
    #[command(flatten)]
    pub stored: StoredArgs,
}

/// Writes a table. The database is only read; a running daemon is not disturbed.
///
/// # Errors
/// When the database cannot be read or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.stored.config.settings()?.store.database;
    super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        // Before the first score every row is there, without any.
        let bundle = match args.scored_by.scored_by {
            Some(_) => Some(args.scored_by.bundle(&readers).await?),
            None => store::query::bundle(&readers).await?,
        };
        let mut out = output(args.stored.out.as_deref())?;
        let rows = csv(&readers, args.table, bundle.map(|it| it.bundle_id), &mut out).await?;
        out.flush()?;
        tracing::debug!(rows, "written");
        Ok(())
    })
}
