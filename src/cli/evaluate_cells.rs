//! `cytowatch evaluate cells`: how good detection and tracking are on pictures with known truth.

use crate::cells::DetectSettings;
use crate::evaluate::detector::Detector;
use crate::evaluate::film::{self, FilmScore, Layout};
use crate::evaluate::folder;
use crate::evaluate::instances::{self, BoxPx, Matches};
use crate::evaluate::paint::LabelPicture;
use crate::evaluate::sets::{self, Kind, Set, Still, Truth};
use crate::frame;
use crate::infer::{EngineChoice, InferSettings};
use crate::units::PixelSize;
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
    /// Folder for the films' results in the challenge's layout, for other tools to judge.
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
            let hint_um = args.hint_factor * set.cell_diameter_um;
            let detect = detect(set.pixel_size_um, hint_um)?;
            one_set(set, &detect, data, args.results.as_deref(), &detector)?;
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
    detect: &DetectSettings,
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
        return print_film(set.name, &film::judge(&layout, detect, detector)?);
    }
    let mut total = Matches::default();
    for still in sets::stills(set, data)? {
        total = total + matches(&still, detect, detector)?;
    }
    let cells = total.right + total.missed;
    super::say(&format!("{:<28} {:>7} {:>7} {:>7} {:>7.3}  {cells}", set.name, "", "", "", total.f1()))?;
    Ok(())
}

fn matches(still: &Still, detect: &DetectSettings, detector: &Detector) -> anyhow::Result<Matches> {
    let frame = frame::correct(folder::plane(&still.path)?, detect.pixel_size);
    let found = detector.find(&frame, detect)?;
    tracing::debug!(path = %still.path.display(), cells = found.cells.len(), verdict = ?found.verdict, "judged");
    Ok(match &still.truth {
        Truth::Labels(truth) => {
            let painted = LabelPicture::of(truth.width, truth.height, found.cells.iter().zip(1..));
            instances::match_outlines(truth, &painted)
        }
        Truth::Boxes(truth) => {
            let boxes: Vec<BoxPx> =
                found.cells.iter().map(|cell| instances::body_box(&frame, cell, detect.pixel_size)).collect();
            instances::match_boxes(truth, &boxes)
        }
    })
}

fn print_film(name: &str, score: &FilmScore) -> anyhow::Result<()> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.3}"));
    let (det, tra, seg) = (number(score.repairs.det()), number(score.repairs.tra()), number(score.seg));
    super::say(&format!("{name:<28} {det:>7} {tra:>7} {seg:>7} {:>7}  {}", "", score.repairs.true_cells))?;
    tracing::debug!(repairs = ?score.repairs, "compared");
    Ok(())
}
