//! `cytowatch certify`: what became of every frame of a session.

use super::stored::{self, StoredArgs};
use super::table::output;
use crate::sample::certificate::{Certificate, Expectation};
use crate::status::unix_ms;
use crate::store;
use crate::store::query::{Results, certificate};
use anyhow::{Context as _, bail};
use std::io::Write as _;

/// How the certificate is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Plain text.
    #[default]
    Text,
    /// JSON for programs.
    Json,
    /// A page fit to print.
    Html,
}

/// Arguments of `certify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session: its name, instrument/name, or number.
    pub session: String,
    /// How the certificate is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Time points that every field of view should have; replaces expected.times of the session's own configuration. With neither,
    /// every field is expected at every time index between the first and last that any field has.
    #[arg(long)]
    pub times: Option<u32>,
    /// Fields of view that there should be.
    #[arg(long, requires = "times")]
    pub fovs: Option<u32>,
    /// Where from and where to.
    #[command(flatten)]
    pub stored: StoredArgs,
}

/// Prints the certificate. The database is only read; a running daemon is not disturbed.
///
/// # Errors
/// When the database cannot be read, the session is not known or not one, or frames are unexplained (the certificate is
/// written all the same; the exit code tells scripts).
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.stored.config.settings()?.store.database;
    let expectation = args.times.map(|times| Expectation::Configured { times, fovs: args.fovs });
    let certificate = super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let session = stored::session(&readers, &args.session).await?;
        certificate(&readers, session, expectation, Results::Hashed, unix_ms()).await?.context("the session is gone")
    })?;
    let text = rendered(&certificate, args.format)?;
    let mut out = output(args.stored.out.as_deref())?;
    writeln!(out, "{}", text.trim_end())?;
    out.flush()?;
    if certificate.complete { Ok(()) } else { bail!("{}", certificate.verdict()) }
}

fn rendered(certificate: &Certificate, format: Format) -> serde_json::Result<String> {
    match format {
        Format::Text => Ok(certificate.to_text()),
        Format::Json => serde_json::to_string_pretty(certificate),
        Format::Html => Ok(certificate.to_html()),
    }
}
