//! `cytowatch evaluate crops`: what a bundle makes of real crops.

#[cfg(feature = "learn")]
mod adapt;

use super::model::ModelArgs;
use super::{card, say};
use crate::cells::Crop;
use crate::explain::{Reconstruction, reconstruct};
use crate::infer::bundle::{Bundle, CARD};
use crate::learn::dataset::{Origin, crops_of_folder, labels};
use crate::learn::evaluate::Scored;
use crate::learn::evaluate::roc::{self, Unit};
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crops that are described at a time.
const AT_ONCE: usize = 32;
/// Heading of the model card's section.
const HEADING: &str = "## Real crops";

/// Arguments of `evaluate crops`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of 256 x 256 PNG crops named as openLCH names them.
    pub crops: PathBuf,
    /// Table with a line `sample,high` or `sample,low` per labelled sample.
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// The bundle's training checkpoint: train it on with the crops, without labels, and say what that does to crops that were
    /// left out (needs the cargo feature `learn`).
    #[arg(long)]
    pub adapt: Option<PathBuf>,
    /// Write the findings into the bundle's model card, in the place of earlier ones. The bundle's identity changes.
    #[arg(long)]
    pub into_card: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Evaluates and prints.
///
/// # Errors
/// When the bundle, a crop or the table cannot be read, or the card cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let labels = args.labels.as_deref().map(labels::read).transpose()?.unwrap_or_default();
    let (origins, crops): (Vec<Origin>, Vec<Crop>) = crops_of_folder(&args.crops, &labels)?.into_iter().unzip();
    labels::check(&labels, &origins)?;
    let mut model = args.model.load()?;
    let mut seen = Vec::new();
    for chunk in crops.chunks(AT_ONCE) {
        seen.extend(reconstruct(&mut model, chunk)?);
    }
    let mut lines = lines(model.bundle(), &origins, &seen);
    if let Some(checkpoint) = &args.adapt {
        lines.extend(adapted(checkpoint, model.bundle(), &origins, &crops)?);
    }
    for line in &lines {
        say(line)?;
    }
    if args.into_card {
        into_card(&args.model.bundle_folder()?.join(CARD), &lines)?;
    }
    Ok(())
}

#[cfg(feature = "learn")]
fn adapted(checkpoint: &Path, bundle: &Bundle, origins: &[Origin], crops: &[Crop]) -> anyhow::Result<Vec<String>> {
    adapt::lines(checkpoint, bundle, origins, crops)
}

#[cfg(not(feature = "learn"))]
fn adapted(_: &Path, _: &Bundle, _: &[Origin], _: &[Crop]) -> anyhow::Result<Vec<String>> {
    super::train::not_built().map(|()| Vec::new())
}

/// What was found, a line each.
fn lines(bundle: &Bundle, origins: &[Origin], seen: &[Reconstruction]) -> Vec<String> {
    let limits = &bundle.facts.validity;
    let samples: std::collections::BTreeSet<&str> = origins.iter().map(|origin| origin.sample.as_str()).collect();
    let mut lines = vec![format!("{} crops of {} samples, as they are.", seen.len(), samples.len())];
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for why in seen.iter().filter_map(|it| it.inference.withheld) {
        *reasons.entry(why.code()).or_default() += 1;
    }
    let withheld: usize = reasons.values().sum();
    let reasons: Vec<String> = reasons.iter().map(|(why, count)| format!("{why} {count}")).collect();
    lines.push(format!("Withheld: {withheld} ({}).", reasons.join(", ")));
    let limit = |limit: Option<f64>| limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:.4}"));
    lines.push(format!(
        "Mean squared difference to the reconstruction (grey of 0..1, squared): {}; limit {}.",
        spread(seen.iter().map(|it| it.mse), 4),
        limit(limits.reconstruction_limit)
    ));
    lines.push(format!(
        "Mahalanobis distance of the descriptor to the training set: {}; limit {}.",
        spread(seen.iter().map(|it| it.inference.distance), 2),
        limit(limits.distance_limit)
    ));
    let labelled = |shown: bool| -> Vec<Scored> {
        let all = origins.iter().zip(seen).filter(|(_, it)| !shown || it.inference.withheld.is_none());
        let scored = all.filter_map(|(origin, it)| {
            let logit = it.inference.logit;
            Some(Scored { high: origin.high?, origin: origin.clone(), logit, frame_logits: vec![logit] })
        });
        scored.collect()
    };
    for (name, scored) in [("all labelled crops", labelled(false)), ("those not withheld", labelled(true))] {
        let high = scored.iter().filter(|it| it.high).count();
        if high == 0 || high == scored.len() {
            continue;
        }
        let auc = roc::estimate(&scored, Unit::Cell);
        lines.push(format!(
            "Area under the curve, high against low, {name} ({high} high, {} low, a cell each): {:.3} ({:.3} to {:.3}, 95 %, for \
             samples and days drawn anew).",
            scored.len() - high,
            auc.value,
            auc.low,
            auc.high
        ));
    }
    lines
}

/// Median, 10th and 90th percentile.
fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    };
    format!("median {:.digits$}, {:.digits$} to {:.digits$} in four of five", at(0.5), at(0.1), at(0.9))
}

/// Puts the lines into the card as a section of its own, in the place of an earlier one.
fn into_card(path: &Path, lines: &[String]) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let list = lines.iter().fold(String::new(), |all, line| all + "- " + line + "\n");
    let section = format!("{HEADING}\n\nThe model has not seen these; it was trained on other cells.\n\n{list}");
    fs::write(path, card::with_section(&text, HEADING, &section))
        .with_context(|| format!("write {}", path.display()))?;
    let written = fs::read_to_string(path)?;
    ensure!(written.matches(HEADING).count() == 1, "the card has several sections {HEADING:?}");
    Ok(say(&format!("card      {}", path.display()))?)
}
