//! The log: to standard error, readable in a terminal and in the journal, or as JSON.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; without times under the journal, which has its own.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. `RUST_LOG` (as in `cytowatch=debug`) wins over `level`.
pub fn start(format: LogFormat, level: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("warn,cytowatch={level}")));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colours = std::io::stderr().is_terminal();
    let started = match (format, in_journal) {
        (LogFormat::Json, _) => log.json().flatten_event(true).try_init(),
        (LogFormat::Text, true) => log.with_ansi(false).without_time().try_init(),
        (LogFormat::Text, false) => log.with_ansi(colours).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log had been started before");
    }
}
