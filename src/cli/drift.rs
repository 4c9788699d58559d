//! `cytowatch drift`: is each day like the training set and like the day before?

use super::{ConfigArgs, say};
use crate::infer::bundle::Bundle;
use crate::sample::drift::{Alignment, DayFacts, DriftLimits, DriftReport, Yardstick, compare};
use crate::store;
use crate::store::query::bundle;
use crate::store::series::days;
use anyhow::Context as _;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The bundle's folder, for its training set; replaces infer.bundle. Without a readable bundle days are compared with
    /// each other only.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// A sample that is filmed every day: each day is compared, and aligned, on its cells alone, with the first such day.
    #[arg(long)]
    pub reference_sample: Option<String>,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// A day's comparisons.
#[derive(Debug, Serialize)]
struct DayDrift {
    reports: Vec<DriftReport>,
    /// Shift per feature that brings the reference sample to where it lay on its first day.
    alignment: Option<Alignment>,
}

/// Prints one line per instrument, day and yardstick.
///
/// # Errors
/// When the database cannot be read or holds no scores.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = args.config.settings()?;
    let folder = args.bundle.as_ref().unwrap_or(&settings.infer.bundle);
    let trained = match Bundle::read(folder) {
        Ok(bundle) => Yardstick::training_set(&bundle.facts.latent.mean, &bundle.facts.latent.covariance),
        Err(error) => {
            tracing::warn!("no training set to compare with: {error}");
            None
        }
    };
    let days = super::block_on(async {
        let readers = store::open_read_only(&settings.store.database).await?;
        let bundle = bundle(&readers).await?.context("no model has scored anything in this database yet")?;
        anyhow::Ok(days(&readers, bundle.bundle_id, args.reference_sample.as_deref()).await?)
    })?;
    let drifts = compared(&days, trained.as_ref(), args.reference_sample.is_some());
    if args.json {
        return Ok(say(&serde_json::to_string_pretty(&drifts)?)?);
    }
    for drift in &drifts {
        for report in &drift.reports {
            say(&report.to_string())?;
        }
        if let Some(alignment) = &drift.alignment {
            let length = alignment.shift.iter().map(|it| it * it).sum::<f64>().sqrt();
            say(&format!(
                "    reference sample: descriptors have to be moved by {length:.2} to lie as on its first day"
            ))?;
        }
    }
    Ok(())
}

/// Each day against the training set and the day before (the first day, on a reference sample).
fn compared(days: &[DayFacts], trained: Option<&Yardstick>, on_reference: bool) -> Vec<DayDrift> {
    let limits = DriftLimits::default();
    let mut drifts = Vec::new();
    for (index, today) in days.iter().enumerate() {
        let mut earlier = days.iter().take(index).filter(|day| day.instrument == today.instrument);
        let before = if on_reference { earlier.find(|day| !day.fovs.is_empty()) } else { earlier.next_back() };
        let mut reports: Vec<DriftReport> = trained.iter().map(|it| compare(today, it, &limits)).collect();
        reports.extend(before.and_then(DayFacts::yardstick).map(|it| compare(today, &it, &limits)));
        let alignment = before.filter(|_| on_reference).and_then(|first| {
            Alignment::fit(&today.fovs, &first.fovs)
                .inspect_err(|error| tracing::warn!("{} on {}: {error}", today.instrument, today.day))
                .ok()
        });
        drifts.push(DayDrift { reports, alignment });
    }
    drifts
}
