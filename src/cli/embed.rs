//! `cytowatch embed`: latent descriptors and scores of crops, as a table.

use super::model::ModelArgs;
use super::table::Table;
use crate::explain::{read_crop, shown_score};
use crate::infer::{Inference, LATENT_LEN, Model};
use crate::openlch::CropName;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `embed`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Crops: PNG files of 256 x 256 gray pixels, or folders of them.
    #[arg(required = true)]
    pub crops: Vec<PathBuf>,
    /// The CSV file to write; standard output when absent.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// Go on after a file that is no crop, and say at the end how many there were.
    #[arg(long)]
    pub skip_bad: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Writes one line per crop: file, bundle, what an openLCH file name says, 56 latent features, logit, score, distance, and why
/// a score is withheld (then logit and score are empty).
///
/// Crops go through the model one by one, so that a crop's numbers do not depend on its neighbours in the list.
///
/// # Errors
/// When the model cannot be loaded, a crop cannot be read, or the table cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut model = args.model.load()?;
    let mut table = Table::create(args.out.as_deref(), &header())?;
    let (mut written, mut bad) = (0_u64, 0_u64);
    for path in crop_files(&args.crops)? {
        match line(&mut model, &path) {
            Ok(fields) => {
                table.row(&fields)?;
                written += 1;
            }
            Err(error) if args.skip_bad => {
                tracing::warn!("{error:#}");
                bad += 1;
            }
            Err(error) => return Err(error),
        }
    }
    table.finish()?;
    tracing::info!(crops = written, skipped = bad, "embedded");
    Ok(())
}

fn header() -> Vec<String> {
    let before = ["file", "bundle_sha256", "engine", "date", "system", "position", "track_start", "film_frame"];
    let features = (1..=LATENT_LEN).map(|feature| format!("z{feature:02}"));
    let after = ["logit", "score", "distance", "withheld"];
    let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    text(&before).into_iter().chain(features).chain(text(&after)).collect()
}

fn line(model: &mut Model, path: &Path) -> anyhow::Result<Vec<String>> {
    let crop = read_crop(path)?;
    let described = model.describe(std::slice::from_ref(&crop))?;
    let inference = described.first().context("the model described nothing")?;
    let file = path.display().to_string();
    let mut fields = vec![file.clone(), model.bundle().identity.clone(), model.engine_name().to_owned()];
    match CropName::parse(&file) {
        Some(name) => fields.extend([
            name.date.map(|date| date.to_string()).unwrap_or_default(),
            name.system.clone(),
            name.position.to_string(),
            name.start.to_string(),
            name.film_frame().to_string(),
        ]),
        None => fields.extend([const { String::new() }; 5]),
    }
    fields.extend(inference.latent.iter().map(ToString::to_string));
    fields.extend(judgement(inference));
    Ok(fields)
}

fn judgement(inference: &Inference) -> [String; 4] {
    let shown = shown_score(inference);
    [
        shown.map(|_| inference.logit.to_string()).unwrap_or_default(),
        shown.map(|score| score.to_string()).unwrap_or_default(),
        inference.distance.to_string(),
        inference.withheld.map(|why| why.code().to_owned()).unwrap_or_default(),
    ]
}

/// The files as given; a folder stands for its `.png` files, sorted by name.
fn crop_files(given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let entries = entries.with_context(|| format!("read folder {}", path.display()))?;
            let mut pngs: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
            pngs.retain(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")));
            pngs.sort();
            files.append(&mut pngs);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
