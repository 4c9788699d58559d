//! `cytowatch certify`: what became of every frame of a session.

use super::{ConfigArgs, say};
use crate::sample::certificate::{Certificate, Expectation, certify};
use crate::store;
use crate::store::facts::{NamedSession, session_facts, sessions_named};
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Time points that every field of view should have; when absent, every field is expected at every time index between the
    /// first and last that any field has.
    #[arg(long)]
    pub times: Option<u32>,
    /// Fields of view that there should be.
    #[arg(long, requires = "times")]
    pub fovs: Option<u32>,
    /// The file to write; standard output when absent.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Prints the certificate. The database is only read; a running daemon is not disturbed.
///
/// # Errors
/// When the database cannot be read, the session is not known or not one, or frames are unexplained (the certificate is
/// written all the same; the exit code tells scripts).
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    let now_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let facts = super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let named = sessions_named(&readers, &args.session).await?;
        let session = the_one(&args.session, &named)?.session_id;
        session_facts(&readers, session, now_unix_ms).await?.context("the session is gone")
    })?;
    let expectation = args.times.map_or(Expectation::Seen, |times| Expectation::Configured { times, fovs: args.fovs });
    let certificate = certify(facts, expectation, now_unix_ms);
    let text = rendered(&certificate, args.format)?;
    match &args.out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?,
        None => say(text.trim_end())?,
    }
    if certificate.complete { Ok(()) } else { bail!("{}", certificate.verdict()) }
}

/// The one session that was meant.
pub(super) fn the_one<'a>(name: &str, named: &'a [NamedSession]) -> anyhow::Result<&'a NamedSession> {
    match named {
        [one] => Ok(one),
        [] => bail!("session {name:?} is not in the database: `cytowatch status` lists what is"),
        several => {
            let names: Vec<String> =
                several.iter().map(|it| format!("{} ({}/{})", it.session_id, it.instrument, it.name)).collect();
            bail!("session {name:?} may be any of {}: give instrument/name or the number", names.join(", "))
        }
    }
}

fn rendered(certificate: &Certificate, format: Format) -> serde_json::Result<String> {
    match format {
        Format::Text => Ok(certificate.to_text()),
        Format::Json => serde_json::to_string_pretty(certificate),
        Format::Html => Ok(certificate.to_html()),
    }
}
