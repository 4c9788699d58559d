//! The command line: one file per subcommand, here only their list.

pub mod model;
pub mod runtime;

use clap::{Parser, Subcommand};

/// Watches a microscope's output folder, finds, follows and scores living cells.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a model bundle and say what it is.
    Model(model::Args),
    /// Fetch ONNX Runtime, and say which one would be loaded.
    Runtime(runtime::Args),
}

/// Runs the chosen subcommand.
///
/// # Errors
/// What the subcommand could not do, with the cause chain.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Model(args) => model::run(&args),
        Command::Runtime(args) => runtime::run(&args),
    }
}
