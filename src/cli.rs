//! The command line: one file per subcommand, here only their list.

pub mod evaluate;
pub mod overlay;

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
    /// Draws outlines over frames.
    Overlay(overlay::Args),
    /// dev
    Evaluate(evaluate::Args),
}

/// Runs the chosen subcommand.
///
/// # Errors
/// What the subcommand could not do, with the cause chain.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Overlay(args) => overlay::run(args),
        Command::Evaluate(args) => evaluate::run(args),
    }
}
