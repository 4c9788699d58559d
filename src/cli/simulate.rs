//! `cytowatch simulate`: write a film of simulated cells the way an instrument would, or calibrate the simulator.

use crate::learn::evaluate::cells_needed::CALL_CELLS;
use crate::picture;
use crate::simulate::calibrate::{self, Comparison, Figures, GreyCrop};
use crate::simulate::{
    Class, Fov, Instrument, InstrumentSettings, Layout, Panel, Place, Scene, SceneSettings, Stop, TruthWriter,
    WriteStyle,
};
use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Write a film of simulated melanoma cells, with its truth beside.
///
/// Cells are thickness maps seen through a model of phase contrast; nothing is copied from real pictures. The same seed
/// and options give the same bytes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Compare the simulator with real crops instead of writing a film.
    #[command(subcommand)]
    pub what: Option<What>,
    /// What to write.
    #[command(flatten)]
    pub film: FilmArgs,
}

/// The film to write.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line, not states")]
pub struct FilmArgs {
    /// Folder for the instrument's files (made when absent).
    #[arg(long, required = true)]
    pub out: Option<PathBuf>,
    /// Folder for the truth; default: a folder `truth` beside `--out`.
    #[arg(long)]
    pub truth: Option<PathBuf>,
    /// Fields of view of every sample.
    #[arg(long, default_value_t = 4)]
    pub fields: u32,
    /// Time points; 0 = until stopped by Ctrl-C.
    #[arg(long, default_value_t = 30)]
    pub frames: usize,
    /// Time from one time point to the next, such as 500ms, 1s or 1m; 0 = as fast as it goes.
    #[arg(long, default_value = "0", value_parser = duration)]
    pub interval: Duration,
    /// Minutes of the cells' life from one time point to the next.
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// How files are named.
    #[arg(long, value_enum, default_value_t = Layout::SeriesTime)]
    pub layout: Layout,
    /// Write half of every file, pause, then the rest.
    #[arg(long, conflicts_with = "rename")]
    pub partial: bool,
    /// Write under a temporary name, then rename.
    #[arg(long)]
    pub rename: bool,
    /// Hold this many time points back and write them at once.
    #[arg(long, default_value_t = 1)]
    pub burst: usize,
    /// Everything hangs on it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Columns of a frame (the paper's camera: 2560).
    #[arg(long, default_value_t = 1024)]
    pub width: usize,
    /// Rows of a frame (the paper's camera: 2160).
    #[arg(long, default_value_t = 1024)]
    pub height: usize,
    /// Cells in a field at the start, about.
    #[arg(long, default_value_t = 12)]
    pub cells: usize,
    /// Day of the panel, from 1: its four tumours are the samples.
    #[arg(long, default_value_t = 1)]
    pub day: usize,
    /// All days of the panel, one session each, one after the other.
    #[arg(long, conflicts_with = "day")]
    pub panel: bool,
    /// Write the truth's tables but no masks.
    #[arg(long)]
    pub no_masks: bool,
}

/// What else the simulator does.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Compare simulated crops with real ones: grey values, radial power spectrum, both side by side.
    Calibrate(CalibrateArgs),
    /// Print the panel: tumours, days, and the best AUC that anyone can reach.
    Panel {
        /// The panel's seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct CalibrateArgs {
    /// Folder of real crops: 256 x 256 grey PNG, scaled as method 5.7 says.
    #[arg(long)]
    pub crops: PathBuf,
    /// Folder for the table and the pictures; `real.png` stays yours, it is not ours to pass on.
    #[arg(long)]
    pub out: PathBuf,
    /// Simulated crops.
    #[arg(long, default_value_t = 400)]
    pub n: usize,
    /// The panel's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A duration such as `500ms`, `1.5s`, `2m`, or 0.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match text.strip_prefix(digits).unwrap_or_default() {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "" if digits == "0" => 1.0,
        _ => return Err("write a number and its unit: 500ms, 1s, 2m".to_owned()),
    };
    let seconds = digits.parse::<f64>().map_err(|e| e.to_string())? * unit_s;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// Writes the film, or does what else was asked.
///
/// # Errors
/// Options that make no film, and files that cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        Some(What::Calibrate(calibrate)) => compare(calibrate),
        Some(What::Panel { seed }) => show_panel(*seed),
        None => film(&args.film),
    }
}

fn film(args: &FilmArgs) -> anyhow::Result<()> {
    let Some(out) = &args.out else { bail!("give --out, the folder for the instrument's files") };
    ensure!(args.width >= 64 && args.height >= 64, "a frame has at least 64 x 64 pixels");
    ensure!(args.fields > 0, "give at least one field");
    ensure!(args.minutes > 0.0 && args.minutes <= 60.0, "give more than 0 and at most 60 minutes between frames");
    ensure!(!(args.panel && args.frames == 0), "the whole panel needs an end: give --frames");
    let panel = Panel::new(args.seed);
    let days: Vec<usize> = if args.panel { (0..panel.days.len()).collect() } else { vec![args.day.wrapping_sub(1)] };
    let samples: Vec<(String, Class)> = panel.tumours.iter().map(|t| (t.name.clone(), t.class)).collect();
    let beside = || out.parent().unwrap_or(Path::new(".")).join("truth");
    let truth = args.truth.clone().unwrap_or_else(beside);
    let stop = Stop::default();
    for day in days {
        let Some(date) = panel.days.get(day).map(|d| d.date.clone()) else {
            bail!("the panel has days 1 to {}", panel.days.len());
        };
        let folder = if args.panel { truth.join(&date) } else { truth.clone() };
        let writer = TruthWriter::new(&folder, &samples, !args.no_masks)?;
        let fovs = fields(args, &panel, day);
        let settings = InstrumentSettings {
            folder: out.clone(),
            session: date.clone(),
            layout: args.layout,
            style: match (args.partial, args.rename) {
                (true, _) => WriteStyle::Partial,
                (_, true) => WriteStyle::Rename,
                _ => WriteStyle::Whole,
            },
            interval: args.interval,
            frames: (args.frames > 0).then_some(args.frames),
            burst: args.burst,
        };
        let bar = progress((args.frames * fovs.len()) as u64, &date);
        let mut instrument = Instrument::new(settings, fovs, Some(writer))?;
        let written = instrument.run(&stop, &mut |written| bar.set_position(written.frames as u64))?;
        bar.finish_and_clear();
        say(&format!("{date}: {} frames in {}, truth in {}", written.frames, out.display(), folder.display()))?;
    }
    Ok(())
}

fn fields(args: &FilmArgs, panel: &Panel, day: usize) -> Vec<Fov> {
    let base = SceneSettings {
        width_px: args.width,
        height_px: args.height,
        cells: args.cells,
        interval_min: args.minutes,
        film_min: (args.frames.max(120) as f64) * args.minutes,
        ..SceneSettings::default()
    };
    let tumours = panel.days.get(day).map(|d| d.tumours.clone()).unwrap_or_default();
    let places = tumours.into_iter().flat_map(|t| (1..=args.fields).map(move |number| (t, number)));
    places
        .filter_map(|(tumour, number)| {
            let (settings, seed) = panel.field(Place { day, tumour, fov: number as usize }, &base)?;
            let sample = panel.tumours.get(tumour)?.name.clone();
            Some(Fov { sample, number, scene: Scene::new(settings, seed) })
        })
        .collect()
}

fn progress(frames: u64, date: &str) -> ProgressBar {
    let bar = if frames > 0 { ProgressBar::new(frames) } else { ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} frames, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(date.to_owned())
}

fn compare(args: &CalibrateArgs) -> anyhow::Result<()> {
    let real = read_crops(&args.crops)?;
    let simulated = calibrate::simulated(args.n, args.seed);
    let (Some(of_real), Some(of_simulated)) = (Figures::of(&real), Figures::of(&simulated)) else {
        bail!("{} holds no PNG of 256 x 256 pixels", args.crops.display());
    };
    let table = Comparison { real: of_real, simulated: of_simulated }.to_string();
    fs::create_dir_all(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    let fewer: Vec<GreyCrop> = simulated.iter().step_by((simulated.len() / 48).max(1)).take(48).cloned().collect();
    for (name, crops) in [("real.png", &real), ("simulated.png", &fewer)] {
        let (width, height, grey) = calibrate::montage(crops, 8);
        let path = args.out.join(name);
        let png = picture::gray_png(width, height, &grey)?;
        fs::write(&path, png).with_context(|| format!("write {}", path.display()))?;
    }
    let path = args.out.join("calibration.md");
    fs::write(&path, &table).with_context(|| format!("write {}", path.display()))?;
    say(&table)
}

fn read_crops(folder: &Path) -> anyhow::Result<Vec<GreyCrop>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut crops = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let plane = picture::decode_gray(&bytes, 1 << 24).with_context(|| format!("decode {}", path.display()))?;
        if plane.width_px() == crate::cells::CROP_SIDE_PX && plane.height_px() == crate::cells::CROP_SIDE_PX {
            crops.push(plane.counts().iter().map(|c| c / plane.full_scale_counts()).collect());
        }
    }
    Ok(crops)
}

/// Cells of each class in the simulation of the best possible AUC.
const BAYES_CELLS: usize = 200_000;
/// Calls on each tumour and day in the simulation of the best possible calls.
const BEST_CALLS: usize = 10_000;

fn show_panel(seed: u64) -> anyhow::Result<()> {
    let panel = Panel::new(seed);
    say("| tumour | class | mean efficiency | days |\n|---|---|---|---|")?;
    for (i, tumour) in panel.tumours.iter().enumerate() {
        let days: Vec<&str> = panel.days.iter().filter(|d| d.tumours.contains(&i)).map(|d| d.date.as_str()).collect();
        let class = if tumour.class == Class::High { "high" } else { "low" };
        say(&format!("| {} | {class} | {:+.2} | {} |", tumour.name, tumour.efficiency.mean, days.join(" ")))?;
    }
    say(&format!(
        "\nBayes AUC of one cell, from its true hallmarks over a film: {:.4} ({BAYES_CELLS} cells of each class)",
        panel.bayes_auc(BAYES_CELLS, seed)
    ))?;
    say(&format!(
        "Best share of right calls from {CALL_CELLS} cells of a tumour on a day: {:.4} ({BEST_CALLS} calls of each)",
        panel.best_calls(CALL_CELLS, BEST_CALLS, seed)
    ))
}

/// A line on standard output.
fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("5").is_err() && duration("-1s").is_err() && duration("s").is_err());
    }
}
