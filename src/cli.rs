//! The command line: one file per subcommand, here only their list and what they share.

pub mod backfill;
pub mod check;
pub mod evaluate;
pub mod export;
pub mod overlay;
pub mod run;
pub mod runtime;
pub mod status;

use crate::daemon::DaemonError;
use crate::settings::{Settings, SettingsError};
use crate::telemetry::{self, LogFormat};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Exit code of a failure after which a restart may help.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code for a configuration that cannot work; the service manager does not restart.
pub const EXIT_CONFIGURATION: u8 = 78;

/// Watches a microscope's output folder, finds, follows and scores living cells.
///
/// cytowatch takes every frame as it lands, finds and follows the cells, describes each with a learned descriptor,
/// scores it, and stores everything in one SQLite database. It never writes into the watched folder.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How the log looks.
    #[arg(long, global = true, value_enum, default_value_t, env = "CYTOWATCH_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// How much is logged: error, warn, info, debug or trace (`RUST_LOG` wins).
    #[arg(long, global = true, default_value = "info", env = "CYTOWATCH_LOG_LEVEL")]
    pub log_level: String,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the instrument's folder until asked to stop.
    Run(run::Args),
    /// Do everything that `run` does before it is ready, say what was found, and exit.
    Check(check::Args),
    /// Take a folder that is already there, then exit.
    Backfill(backfill::Args),
    /// Say what the running daemon does, or what its database holds.
    Status(status::Args),
    /// Write frames, cells, tracks or samples as CSV.
    Export(export::Args),
    /// Fetch ONNX Runtime, and say which one would be loaded.
    Runtime(runtime::Args),
    /// Draw outlines, coloured by track, over frames as PNG.
    Overlay(overlay::Args),
    /// Judge detection and tracking against known truth.
    Evaluate(evaluate::Args),
}

/// The configuration that a command works with.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); every key is explained in the shipped config/default.toml.
    #[arg(long, short, env = "CYTOWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// The watched folder; replaces watch.folder.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// The database file; replaces store.database.
    #[arg(long)]
    pub database: Option<PathBuf>,
}

impl ConfigArgs {
    /// The settings with the flags applied.
    ///
    /// # Errors
    /// [`SettingsError`] with the key's name.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(folder) = &self.folder {
            settings.watch.folder.clone_from(folder);
        }
        if let Some(database) = &self.database {
            settings.store.database.clone_from(database);
        }
        Ok(settings)
    }
}

/// Runs the chosen subcommand.
///
/// # Errors
/// What the subcommand could not do, with the cause chain.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    telemetry::start(cli.log_format, &cli.log_level);
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Backfill(args) => backfill::run(args),
        Command::Status(args) => status::run(args),
        Command::Export(args) => export::run(args),
        Command::Runtime(args) => runtime::run(args),
        Command::Overlay(args) => overlay::run(args),
        Command::Evaluate(args) => evaluate::run(args),
    }
}

/// The exit code for an error: 78 when somebody has to change the configuration before a restart can help.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let configuration = error.chain().any(|cause| {
        cause.downcast_ref::<DaemonError>().is_some_and(DaemonError::is_configuration)
            || cause.downcast_ref::<SettingsError>().is_some()
    });
    if configuration { EXIT_CONFIGURATION } else { EXIT_FAILURE }
}

/// The async runtime of a command.
///
/// # Errors
/// When the system has no threads left.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Prints a line for people or programs; an output that is closed early (`| head`) ends the command quietly.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn say(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
