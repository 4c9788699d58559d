//! `cytowatch explain`: what the model sees, as pictures and tables.

mod cell;
mod exaggerated;
mod rank;
mod references;

use super::model::ModelArgs;
use super::say;
use super::table::Table;
use crate::cells::Crop;
use crate::explain::interpolate::interpolate;
use crate::explain::rank::rank as rank_by_model;
use crate::explain::traverse::{Shift, shifts, traverse};
use crate::explain::{latent, read_crop, reconstruct, shown_score, strip};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What to explain.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the latent features by how strongly they go with the score, by the model itself.
    ///
    /// With `--session`, over the cells of that session: correlation per sample and bootstrap.
    Rank(rank::Args),
    /// Write everything about one stored cell: its track, score, nearest training cells, and pictures that exaggerate it.
    Cell(Box<cell::Args>),
    /// Keep some training cells beside the bundle, so that `explain cell` can show the nearest.
    References(references::Args),
    /// Draw crops beside what the decoder makes of their descriptors.
    Reconstruct {
        /// Crops: PNG files of 256 x 256 gray pixels.
        #[arg(required = true)]
        crops: Vec<PathBuf>,
        /// How.
        #[command(flatten)]
        common: Common,
    },
    /// Draw the way from one cell to another through the latent space.
    Interpolate {
        /// The first cell: the sequence begins with it.
        a: PathBuf,
        /// The last cell.
        b: PathBuf,
        /// Number of pictures, both ends included.
        #[arg(long, default_value_t = 25)]
        steps: usize,
        /// How.
        #[command(flatten)]
        common: Common,
    },
    /// Draw a cell with one latent feature exaggerated, and where it became brighter than its reconstruction.
    Traverse {
        /// The cell: a PNG file of 256 x 256 gray pixels.
        crop: PathBuf,
        /// The features, 1 to 56; the one that goes most strongly with the score when absent.
        #[arg(long, short)]
        feature: Vec<usize>,
        /// The largest shift, in standard deviations of the training set.
        #[arg(long, default_value_t = 3.5)]
        reach: f64,
        /// From one shift to the next.
        #[arg(long, default_value_t = 0.5)]
        step: f64,
        /// How.
        #[command(flatten)]
        common: Common,
    },
}

/// What all of them need.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// The folder that the picture and the table are written into; made when it is not there.
    #[arg(long, short, default_value = ".")]
    out: PathBuf,
    /// The model.
    #[command(flatten)]
    model: ModelArgs,
}

/// Explains.
///
/// # Errors
/// When the model cannot be loaded, a crop cannot be read, or a result cannot be written.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Cell(args) => cell::run(args),
        Command::References(args) => references::run(args),
        Command::Rank(args) => rank::run(args),
        Command::Reconstruct { crops, common } => draw_reconstructions(crops, common),
        Command::Interpolate { a, b, steps, common } => draw_way(a, b, *steps, common),
        Command::Traverse { crop, feature, reach, step, common } => {
            draw_shifts(crop, feature, &shifts(*reach, *step)?, common)
        }
    }
}

fn draw_reconstructions(files: &[PathBuf], common: &Common) -> anyhow::Result<()> {
    let mut model = common.model.load()?;
    let crops: Vec<Crop> = files.iter().map(|file| read_crop(file)).collect::<Result<_, _>>()?;
    let found = reconstruct(&mut model, &crops)?;
    let rows: Vec<Vec<&Crop>> = crops.iter().zip(&found).map(|(crop, found)| vec![crop, &found.picture]).collect();
    let mut table = common.table("reconstruct.csv", &["file", "mse", "score", "distance", "withheld"])?;
    for (file, found) in files.iter().zip(&found) {
        let withheld = found.inference.withheld.map(|why| why.code().to_owned()).unwrap_or_default();
        let (score, distance) = (number(shown_score(&found.inference)), found.inference.distance.to_string());
        table.row(&[file.display().to_string(), found.mse.to_string(), score, distance, withheld])?;
    }
    table.finish()?;
    common.picture("reconstruct.png", &rows)
}

fn draw_way(a: &Path, b: &Path, steps: usize, common: &Common) -> anyhow::Result<()> {
    let mut model = common.model.load()?;
    let (a, b) = (read_crop(a)?, read_crop(b)?);
    let way = interpolate(&mut model, &a, &b, steps)?;
    let names = ["share_of_b", "mse_to_a", "mse_to_b", "latent_distance_to_a", "latent_distance_to_b", "score"];
    let mut table = common.table("interpolate.csv", &names)?;
    for point in &way {
        let numbers = [point.share, point.mse_to_a, point.mse_to_b, point.distance_to_a, point.distance_to_b];
        let fields: Vec<String> = numbers.iter().map(ToString::to_string).chain([number(point.score)]).collect();
        table.row(&fields)?;
    }
    table.finish()?;
    let pictures = way.iter().map(|point| &point.picture);
    common.picture("interpolate.png", &[std::iter::once(&a).chain(pictures).chain([&b]).collect()])
}

fn draw_shifts(file: &Path, features: &[usize], shifts: &[f64], common: &Common) -> anyhow::Result<()> {
    let mut model = common.model.load()?;
    let strongest = rank_by_model(&model.bundle().facts).first().map(|drive| drive.feature);
    let features = if features.is_empty() { strongest.into_iter().collect() } else { features.to_vec() };
    let latent = latent(&mut model, &read_crop(file)?)?;
    let mut found: Vec<(usize, Vec<Shift>)> = Vec::new();
    for feature in features {
        found.push((feature, traverse(&mut model, &latent, feature, shifts)?));
    }
    let mut table = common.table("traverse.csv", &["feature", "shift", "logit", "score", "mean_difference"])?;
    for (feature, shifts) in &found {
        for shift in shifts {
            let numbers = [shift.shift.to_string(), shift.logit.to_string(), number(shift.score)];
            let [value, logit, score] = numbers;
            table.row(&[feature.to_string(), value, logit, score, shift.mean_difference.to_string()])?;
        }
    }
    table.finish()?;
    let brighter = found.iter().flat_map(|(_, shifts)| shifts).map(|shift| &shift.brighter);
    let (brighter, gain) = strip::stretched(brighter);
    let mut rows: Vec<Vec<&Crop>> = Vec::new();
    for ((_, shifts), brighter) in found.iter().zip(brighter.chunks(shifts.len())) {
        rows.push(shifts.iter().map(|shift| &shift.picture).collect());
        rows.push(brighter.iter().collect());
    }
    say(&format!("Every second row shows where it became brighter, {gain:.1} times stretched."))?;
    common.picture("traverse.png", &rows)
}

impl Common {
    fn table(&self, name: &str, header: &[&str]) -> anyhow::Result<Table> {
        fs::create_dir_all(&self.out).with_context(|| format!("make folder {}", self.out.display()))?;
        let path = self.out.join(name);
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        let table = Table::create(Some(&path), &header)?;
        say(&path.display().to_string())?;
        Ok(table)
    }

    fn picture(&self, name: &str, rows: &[Vec<&Crop>]) -> anyhow::Result<()> {
        let path = self.out.join(name);
        fs::write(&path, strip::png(rows)?).with_context(|| format!("write {}", path.display()))?;
        say(&path.display().to_string())?;
        Ok(())
    }
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
