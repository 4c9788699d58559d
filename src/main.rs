//! The binary: parses the command line, hands over to the library, turns the outcome into an exit code.

use clap::Parser as _;
use cytowatch::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(cli::exit_code(&error))
        }
    }
}
