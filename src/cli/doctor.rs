//! `cytowatch doctor`: measures a folder before a long run and suggests its settings.

use crate::watch::doctor::{Examination, examine};
use std::path::PathBuf;

/// Measure a folder before a long run, and print the settings that fit it.
///
/// Says which file system it is, whether events arrive there, how fine its file times are and how far its clock is
/// off, what a rename does, how fast it is written and listed, and which file-name template fits what is there.
///
/// Existing files are listed, never opened or changed. The measurements write into one hidden folder,
/// .cytowatch-doctor-NUMBER, and remove it at the end. Use --read-only while an acquisition runs that must not share its
/// disk with anybody.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instrument's folder.
    folder: PathBuf,
    /// Write nothing; events, clocks, renames and the write rate are then not measured.
    #[arg(long)]
    read_only: bool,
    /// How much to write for the write rate, in units of 2^20 bytes.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096))]
    write_mib: u64,
    /// A template to be tried on the names that are there, instead of the presets; may be given several times.
    #[arg(long = "template", value_name = "TEMPLATE")]
    templates: Vec<String>,
    /// Print the measurements as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `cytowatch doctor`.
///
/// # Errors
/// When the folder cannot be looked at, a template cannot be used, or the probe folder could not be removed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let what =
        Examination { write: !args.read_only, write_bytes: args.write_mib << 20, templates: args.templates.clone() };
    let report = examine(&args.folder, &what)?;
    if args.json {
        return Ok(super::say(&serde_json::to_string_pretty(&report)?)?);
    }
    for line in report.lines() {
        super::say(&line)?;
    }
    Ok(super::say(&format!("\nSettings that fit, for the configuration file:\n\n{}", report.watch_section()))?)
}
