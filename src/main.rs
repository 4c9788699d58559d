//! The binary: parses the command line, hands over to the library, turns the outcome into an exit code.

use clap::Parser as _;
use cytowatch::cli::{self, Cli};
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = cytowatch::infer::runtime::switch_telemetry_off() {
        drop(writeln!(std::io::stderr(), "warning: ONNX Runtime's telemetry was not switched off: {error}"));
    }
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before a subcommand has set up the log, nobody would hear it there. A closed stderr must not hide the
            // exit code.
            if tracing::dispatcher::has_been_set() {
                tracing::error!("{error:#}");
            } else {
                drop(writeln!(std::io::stderr(), "error: {error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}
