//! `cytowatch export`: the database's tables for other programs.

use super::ConfigArgs;
use crate::store;
use crate::store::export::{Table, csv};
use anyhow::Context as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

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
    /// The file to write; standard output when absent.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Writes a table. The database is only read; a running daemon is not disturbed.
///
/// # Errors
/// When the database cannot be read or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let out: Box<dyn Write> = match &args.out {
            Some(path) => Box::new(File::create(path).with_context(|| format!("create {}", path.display()))?),
            None => Box::new(std::io::stdout()),
        };
        let mut out = BufWriter::new(out);
        let rows = csv(&readers, args.table, &mut out).await?;
        out.flush()?;
        tracing::debug!(rows, "written");
        Ok(())
    })
}
