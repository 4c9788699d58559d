//! The command line: one file per subcommand, here only their list and what they share.

pub mod backfill;
mod card;
pub mod certify;
pub mod changes;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod drift;
pub mod embed;
pub mod evaluate;
pub mod evaluate_cells;
pub mod evaluate_changes;
pub mod evaluate_crops;
pub mod evaluate_drift;
pub mod evaluate_explain;
pub mod evaluate_hallmarks;
pub mod evaluate_model;
pub mod explain;
pub mod export;
pub mod model;
pub mod overlay;
pub mod reprocess;
pub mod run;
pub mod runtime;
pub mod serve;
mod sheet;
pub mod simulate;
pub mod status;
pub mod stored;
mod table;
pub mod train;
pub mod train_exaggerator;
pub mod train_finder;
pub mod train_outliner;
pub mod verify;

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
/// scores it, and stores everything in one SQLite database. The daemon never writes into the watched folder.
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
    /// Measure a folder before a long run, and print the settings that fit it.
    Doctor(doctor::Args),
    /// Take a folder that is already there, then exit.
    Backfill(backfill::Args),
    /// Show everything at once: a simulated microscope, the daemon and its live page.
    Demo(demo::Args),
    /// Say what the running daemon does, or what its database holds.
    Status(status::Args),
    /// Show a finished session in the browser: the page and the API over its database, read-only.
    Serve(serve::Args),
    /// Write frames, cells, tracks or samples as CSV.
    Export(export::Args),
    /// Describe crops (PNG files): latent descriptors and scores as CSV.
    Embed(embed::Args),
    /// Draw what the model sees: reconstructions, ways between cells, exaggerated features.
    #[command(subcommand)]
    Explain(explain::Command),
    /// Recompute a stored session from its files, and prove the same bits or list what differs.
    Verify(verify::Args),
    /// Let another bundle score a finished session; the first scores stay.
    Reprocess(reprocess::Args),
    /// Say what became of every frame of a session, and whether anything is unexplained.
    Certify(certify::Args),
    /// List when followed cells go from low to high or back.
    Changes(changes::Args),
    /// Say whether each day's light and descriptors are like the training set and the days before.
    Drift(drift::Args),
    /// Check a model bundle and say what it is.
    #[command(subcommand)]
    Model(model::Command),
    /// Fetch ONNX Runtime, and say which one would be loaded.
    Runtime(runtime::Args),
    /// Write a film of simulated cells with known truth.
    Simulate(simulate::Args),
    /// Draw outlines, coloured by track, over frames as PNG.
    Overlay(overlay::Args),
    /// Judge a part of cytowatch against known truth.
    #[command(subcommand)]
    Evaluate(evaluate::What),
    /// Train an autoencoder and its discriminant, and write the model bundle.
    Train(train::Args),
    /// Train the network that finds cells, and write it as ONNX.
    TrainFinder(train_finder::Args),
    /// Train the network that draws a cell from low to high.
    TrainExaggerator(train_exaggerator::Args),
    /// Trains the network that draws the outlines of the cells that a finder found.
    TrainOutliner(train_outliner::Args),
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
        Command::Doctor(args) => doctor::run(args),
        Command::Backfill(args) => backfill::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Status(args) => status::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Export(args) => export::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Reprocess(args) => reprocess::run(args),
        Command::Certify(args) => certify::run(args),
        Command::Changes(args) => changes::run(args),
        Command::Drift(args) => drift::run(args),
        Command::Model(args) => model::run(args),
        Command::Runtime(args) => runtime::run(args),
        Command::Train(args) => train::run(args),
        Command::TrainFinder(args) => train_finder::run(args),
        Command::TrainExaggerator(args) => train_exaggerator::run(args),
        Command::TrainOutliner(args) => train_outliner::run(args),
        Command::Simulate(args) => simulate::run(args),
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

/// Runs a command's async part. Threads that are still at work when it ends end with the process: nobody waits for
/// them.
///
/// # Errors
/// What the command could not do; or when the system has no threads left.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
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
