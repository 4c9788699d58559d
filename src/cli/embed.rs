//! `cytowatch embed`: latent descriptors and scores of crops, or of a session's cells, as a table.

mod session;

use super::model::ModelArgs;
use super::sheet::Sheet;
use super::stored::ScoredBy;
use crate::explain::{read_crop, shown_score};
use crate::infer::{Inference, LATENT_LEN, Latent, Model};
use crate::openlch::CropName;
use crate::parquet::{Kind, Value};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `embed`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Crops: PNG files of 256 x 256 gray pixels, or folders of them.
    #[arg(required_unless_present = "session")]
    pub crops: Vec<PathBuf>,
    /// Take the followed cells of this session (its name, instrument/name, or number; `all` for every session) as the
    /// database holds them, instead of crops.
    #[arg(long, conflicts_with = "crops")]
    pub session: Option<String>,
    /// The database, with `--session`; replaces store.database.
    #[arg(long, requires = "session")]
    pub database: Option<PathBuf>,
    /// Whose scores, with `--session`.
    #[command(flatten)]
    pub scored_by: ScoredBy,
    /// The file to write: Parquet when its name ends in .parquet, CSV otherwise; CSV on standard output when absent.
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// Go on after a file that is no crop, and say at the end how many there were.
    #[arg(long)]
    pub skip_bad: bool,
    /// The model, without `--session`.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Writes one line per crop, or with `--session` one line per frame of every followed cell.
///
/// For a crop: file, bundle, what an openLCH file name says, 56 latent features, logit, score, distance, and why a score is
/// withheld (then logit and score are empty).
///
/// Crops go through the model one by one, so that a crop's numbers do not depend on its neighbours in the list.
///
/// # Errors
/// When the model cannot be loaded, a crop or the database cannot be read, or the table cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(name) = &args.session {
        return session::run(args, name);
    }
    let mut model = args.model.load()?;
    let mut table = Sheet::create(args.out.as_deref(), &columns(&BEFORE, &AFTER))?;
    let (mut written, mut bad) = (0_u64, 0_u64);
    for path in crop_files(&args.crops)? {
        match line(&mut model, &path) {
            Ok(values) => {
                table.row(&values)?;
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

const BEFORE: [(&str, Kind); 8] = [
    ("file", Kind::Text),
    ("bundle_sha256", Kind::Text),
    ("engine", Kind::Text),
    ("date", Kind::Text),
    ("system", Kind::Text),
    ("position", Kind::Number),
    ("track_start", Kind::Number),
    ("film_frame", Kind::Number),
];
const AFTER: [(&str, Kind); 4] =
    [("logit", Kind::Number), ("score", Kind::Number), ("distance", Kind::Number), ("withheld", Kind::Text)];

/// `before`, the 56 features, `after`.
fn columns(before: &[(&str, Kind)], after: &[(&str, Kind)]) -> Vec<(String, Kind)> {
    let named = |columns: &[(&str, Kind)]| columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    let features = (1..=LATENT_LEN).map(|feature| (format!("z{feature:02}"), Kind::Number)).collect();
    let all: [Vec<(String, Kind)>; 3] = [named(before), features, named(after)];
    all.concat()
}

/// The features as they are written: 32-bit numbers by their shortest text, so that nothing is made up.
fn features(latent: &Latent) -> impl Iterator<Item = Value> {
    latent.map(|feature| Value::Number(feature.to_string().parse().unwrap_or_else(|_| f64::from(feature)))).into_iter()
}

fn line(model: &mut Model, path: &Path) -> anyhow::Result<Vec<Value>> {
    let crop = read_crop(path)?;
    let described = model.describe(std::slice::from_ref(&crop))?;
    let inference = described.first().context("the model described nothing")?;
    let file = path.display().to_string();
    let name = CropName::parse(&file);
    let text = |text: Option<String>| text.map_or(Value::Absent, Value::Text);
    let number = |number: Option<f64>| number.map_or(Value::Absent, Value::Number);
    let mut values = vec![
        Value::Text(file),
        Value::Text(model.bundle().identity.clone()),
        Value::Text(model.engine_name().to_owned()),
        text(name.as_ref().and_then(|name| name.date).map(|date| date.to_string())),
        text(name.as_ref().map(|name| name.system.clone())),
        number(name.as_ref().map(|name| f64::from(name.position))),
        number(name.as_ref().map(|name| f64::from(name.start))),
        number(name.as_ref().map(|name| f64::from(name.film_frame()))),
    ];
    values.extend(features(&inference.latent));
    values.extend(judgement(inference));
    Ok(values)
}

fn judgement(inference: &Inference) -> [Value; 4] {
    let shown = shown_score(inference);
    [
        shown.map_or(Value::Absent, |_| Value::Number(inference.logit)),
        shown.map_or(Value::Absent, Value::Number),
        Value::Number(inference.distance),
        inference.withheld.map_or(Value::Absent, |why| Value::Text(why.code().to_owned())),
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
