//! The binary: parses the command line, hands over to the library, turns the outcome into an exit code.

use clap::Parser as _;
use cytowatch::cli::{self, Cli};
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = cytowatch::infer::runtime::switch_telemetry_off() {
        drop(writeln!(std::io::stderr(), "warning: ONNX Runtime's telemetry was not switched off: {error}"));
    }
    match cli::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(cli::exit_code(&error))
        }
    }
}
