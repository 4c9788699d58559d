//! `cytowatch evaluate cells`: how good detection and tracking are on pictures with known truth.

use crate::cells::DetectSettings;
use crate::evaluate::detector::Detector;
use crate::evaluate::film::{self, FilmScore, Layout};
use crate::evaluate::folder;
use crate::evaluate::instances::{self, BoxPx, Matches};
use crate::evaluate::label_tiff;
use crate::evaluate::paint::LabelPicture;
use crate::evaluate::sets::{self, Kind, Set, Still, Truth};
use crate::frame;
use crate::infer::{EngineChoice, InferSettings};
use crate::units::PixelSize;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Judges detection, outlines and tracks against known truth, by the field's own measures.
///
/// Films give the Cell Tracking Challenge's DET, TRA and SEG; single pictures give F1 at an intersection over union of
/// one half (of outlines, or of boxes round the cells' bodies). Pixel size and a coarse cell width are all that is set
/// per set of pictures.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the public sets; those that are not there are named and left out.
    #[arg(long, env = "CYTOWATCH_DATA")]
    data: Option<PathBuf>,
    /// Only the sets whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Folder for what was found, for other tools to judge: films in the challenge's layout, single pictures as label pictures.
    #[arg(long)]
    results: Option<PathBuf>,
    /// A film of your own: folder of its frames.
    #[arg(long, requires = "truth")]
    frames: Option<PathBuf>,
    /// Truth of that film in the challenge's layout: a folder with TRA and SEG.
    #[arg(long, requires = "frames")]
    truth: Option<PathBuf>,
    /// Pixel size of that film, um.
    #[arg(long, default_value_t = 0.325)]
    pixel_size_um: f64,
    /// Width of that film's typical cell, um.
    #[arg(long, default_value_t = 20.0)]
    cell_diameter_um: f64,
    /// Cells wholly within this many px of that film's edge are not judged, as in the challenge's own films: of many of them
    /// there is no more to see than a sliver.
    #[arg(long, default_value_t = 0)]
    border_px: usize,
    /// Factor on every hint of a cell's width: shows how much hangs on a hint that is meant to be coarse.
    #[arg(long, default_value_t = 1.0)]
    hint_factor: f64,
    /// Folder of the network that finds cells, `auto` or `none`; by default as the daemon has it.
    #[arg(long, default_value = "auto")]
    model: PathBuf,
    /// The engine that runs the network.
    #[arg(long, default_value = "auto")]
    engine: EngineChoice,
}

/// Runs the command.
///
/// # Errors
/// When pictures or truth cannot be read or results cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let detector = Detector::open(&args.model, &InferSettings { engine: args.engine, ..InferSettings::default() })?;
    super::say(&format!("{:<28} {:>7} {:>7} {:>7} {:>7}  cells", "set", "DET", "TRA", "SEG", "F1"))?;
    if let (Some(frames), Some(truth)) = (&args.frames, &args.truth) {
        let layout = Layout {
            frames,
            tracks: &truth.join("TRA"),
            outlines: &truth.join("SEG"),
            border_px: args.border_px,
            truth_in_border: true,
            results: args.results.as_deref(),
        };
        let score =
            film::judge(&layout, &detect(args.pixel_size_um, args.hint_factor * args.cell_diameter_um)?, &detector)?;
        return print_film(&frames.display().to_string(), &score);
    }
    let Some(data) = &args.data else {
        anyhow::bail!("say where the sets are (--data) or give a film (--frames, --truth)")
    };
    for set in sets::SETS.iter().filter(|set| args.only.as_ref().is_none_or(|only| set.name.contains(only.as_str()))) {
        if data.join(set.name).is_dir() {
            one_set(set, args.hint_factor, data, args.results.as_deref(), &detector)?;
        } else {
            super::say(&format!("{:<28} not there", set.name))?;
        }
    }
    Ok(())
}

fn detect(pixel_size_um: f64, cell_diameter_um: f64) -> anyhow::Result<DetectSettings> {
    Ok(DetectSettings { cell_diameter_um, ..DetectSettings::new(PixelSize::new(pixel_size_um)?) })
}

fn one_set(
    set: &Set,
    hint_factor: f64,
    data: &Path,
    results: Option<&Path>,
    detector: &Detector,
) -> anyhow::Result<()> {
    let root = data.join(set.name);
    if let Kind::Film { frames, tracks, outlines, border_px } = set.kind {
        let results = results.map(|folder| folder.join(set.name));
        let layout = Layout {
            frames: &root.join(frames),
            tracks: &root.join(tracks),
            outlines: &root.join(outlines),
            border_px,
            truth_in_border: false,
            results: results.as_deref(),
        };
        let detect = detect(set.pixel_size_um, hint_factor * set.cell_diameter_um)?;
        return print_film(set.name, &film::judge(&layout, &detect, detector)?);
    }
    let results = results.map(|folder| folder.join(set.name));
    let (mut total, mut middles) = (Matches::default(), None);
    for still in sets::stills(set, data)? {
        let detect = detect(set.pixel_size_um, hint_factor * set.hint_um(&still.path))?;
        let (matches, of_middles) = matches(&still, &detect, results.as_deref(), detector)?;
        total = total + matches;
        middles = of_middles.map(|it| it + middles.unwrap_or_default());
    }
    print_stills(set.name, total)?;
    middles.map_or(Ok(()), |middles| print_stills("  outlines round a box's middle", middles))
}

fn print_stills(name: &str, total: Matches) -> anyhow::Result<()> {
    let cells = total.right + total.missed;
    Ok(super::say(&format!("{name:<28} {:>7} {:>7} {:>7} {:>7.3}  {cells}", "", "", "", total.f1()))?)
}

/// What was found of a picture's true cells; where these are boxes, also by their middles alone.
fn matches(
    still: &Still,
    detect: &DetectSettings,
    results: Option<&Path>,
    detector: &Detector,
) -> anyhow::Result<(Matches, Option<Matches>)> {
    let frame = frame::correct(folder::plane(&still.path)?, detect.pixel_size);
    let found = detector.find(&frame, detect)?;
    let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
    let painted = LabelPicture::of(width, height, found.cells.iter().zip(1..));
    if let Some(results) = results {
        write_labels(results, &still.path, &painted)?;
    }
    let (matches, middles) = match &still.truth {
        Truth::Labels(truth) => (instances::match_outlines(truth, &painted), None),
        Truth::Boxes(truth) => {
            let boxes: Vec<BoxPx> =
                found.cells.iter().map(|cell| instances::body_box(&frame, cell, detect.pixel_size)).collect();
            (instances::match_boxes(truth, &boxes), Some(instances::match_middles(truth, &painted)))
        }
    };
    tracing::debug!(path = %still.path.display(), verdict = ?found.verdict, f1 = matches.f1(), ?matches, "judged");
    Ok((matches, middles))
}

/// Writes a single picture's labels under its own name, with its folder's where pictures of a set are called alike.
fn write_labels(results: &Path, picture: &Path, painted: &LabelPicture) -> anyhow::Result<()> {
    let part = |path: Option<&std::ffi::OsStr>| path.unwrap_or_default().to_string_lossy().into_owned();
    let folder = part(picture.parent().and_then(Path::file_name));
    let out = results.join(format!("{folder}_{}.tif", part(picture.file_stem())));
    std::fs::create_dir_all(results).with_context(|| format!("make {}", results.display()))?;
    std::fs::write(&out, label_tiff::bytes(painted)).with_context(|| format!("write {}", out.display()))
}

fn print_film(name: &str, score: &FilmScore) -> anyhow::Result<()> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.3}"));
    let (det, tra, seg) = (number(score.repairs.det()), number(score.repairs.tra()), number(score.seg));
    super::say(&format!("{name:<28} {det:>7} {tra:>7} {seg:>7} {:>7}  {}", "", score.repairs.true_cells))?;
    tracing::debug!(repairs = ?score.repairs, "compared");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_are_called_alike_keep_their_own_labels() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results");
        let picture = |label: u16| LabelPicture { width: 2, height: 1, labels: vec![0, label] };
        write_labels(&results, Path::new("sets/set02/raw.tif"), &picture(300)).unwrap();
        write_labels(&results, Path::new("sets/set03/raw.tif"), &picture(7)).unwrap();
        for (name, label) in [("set02_raw.tif", 300), ("set03_raw.tif", 7)] {
            assert_eq!(sets::labels(&results.join(name)).unwrap(), picture(label));
        }
    }
}
