//! `cytowatch status`: what the daemon does if it runs, and what its database holds.

use super::{ConfigArgs, say};
use crate::settings::Settings;
use crate::status::StatusReport;
use crate::store;
use crate::store::summary::{Summary, summary};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer is not longer than this, bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// Everything that is printed.
#[derive(Debug, Serialize)]
struct Whole {
    /// What the daemon says; `None` when none runs with this configuration.
    daemon: Option<StatusReport>,
    #[serde(flatten)]
    database: Summary,
}

/// Prints the state of things.
///
/// # Errors
/// When there is no database to read.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = args.config.settings()?;
    let daemon = ask(&settings);
    let database = super::block_on(async {
        let readers = store::open_read_only(&settings.store.database).await?;
        Ok(summary(&readers).await?)
    })?;
    if args.json {
        say(&serde_json::to_string_pretty(&Whole { daemon, database })?)?;
        return Ok(());
    }
    match &daemon {
        Some(report) => print_daemon(report)?,
        None => say("no daemon answers for this configuration")?,
    }
    print(&database)?;
    Ok(())
}

/// The running daemon's own words; `None` when nothing listens there, or it watches another folder.
fn ask(settings: &Settings) -> Option<StatusReport> {
    #[derive(Deserialize)]
    struct Answer {
        daemon: Option<StatusReport>,
    }
    let mut stream = TcpStream::connect_timeout(&settings.serve.listen, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let token = settings.serve.token_file.as_deref().and_then(|file| std::fs::read_to_string(file).ok());
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {}\r\n", token.trim()));
    let host = settings.serve.listen;
    write!(stream, "GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut text).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    let report = serde_json::from_str::<Answer>(body).ok()?.daemon?;
    (report.folder == settings.watch.folder.display().to_string()).then_some(report)
}

fn print_daemon(report: &StatusReport) -> std::io::Result<()> {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} ms"));
    say(&format!(
        "daemon {} on {}: up {:.0} s, {} MiB, model {}, engine {}",
        report.process_id,
        report.folder,
        report.uptime_s,
        report.resident_bytes >> 20,
        report.bundle,
        report.engine
    ))?;
    if let Some(warning) = &report.engine_warning {
        say(&format!("  warning: {warning}"))?;
    }
    if let Some(reason) = &report.paused {
        say(&format!("  paused: {reason}"))?;
    }
    let counts = &report.counts;
    say(&format!(
        "  since its start: {} recorded, {} failed; now {} in flight, {} ready, {} waiting; lag p50 {}, p99 {}",
        counts.recorded,
        counts.failed,
        counts.in_flight,
        counts.ready,
        counts.waiting,
        ms(report.latency_p50_ms),
        ms(report.latency_p99_ms)
    ))?;
    for stage in &report.stages {
        let state = if stage.alive { "moves" } else { "STUCK" };
        say(&format!(
            "  {:<7} {state}  queue {} of {}  {} frames, busy {:.1} s, blocked {:.1} s",
            stage.name, stage.queue_depth, stage.queue_capacity, stage.frames, stage.busy_s, stage.blocked_s
        ))?;
    }
    Ok(())
}

fn print(summary: &Summary) -> std::io::Result<()> {
    for count in &summary.frames {
        say(&format!("{:>9} frames {:<10} {}", count.frames, count.state, count.reason))?;
    }
    say(&format!("{:>9} cells", summary.cells))?;
    for sample in &summary.samples {
        let score = sample.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        say(&format!(
            "sample {} ({}): {} tracks, {} scored cells, score {score}",
            sample.sample, sample.session, sample.tracks, sample.scored_cells
        ))?;
    }
    Ok(())
}
