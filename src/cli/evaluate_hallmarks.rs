//! `cytowatch evaluate hallmarks`: do protrusions and scattering rise with what is true of a cell?

use super::say;
use crate::cells::Shape;
use crate::evaluate::correlation::{interval, spearman};
use crate::evaluate::detector::Detector;
use crate::evaluate::hallmarks::{Plan, Seen, seen};
use crate::infer::InferSettings;
use crate::simulate::CellTruth;
use crate::simulate::cell::Kind;
use std::path::PathBuf;

/// Seed of the bootstraps.
const SEED: u64 = 56;
/// A rank correlation from here on counts as monotone.
const MONOTONE: f64 = 0.9;
/// Fewer cells of a kind than this are not ranked.
const FEWEST: usize = 20;

/// Arguments of `evaluate hallmarks`.
///
/// Cells of a simulated panel that stand alone and in focus; Spearman's rank correlation with the truth, once inside the true
/// mask and once inside the own outline.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seed of the simulated panel of tumours and days.
    #[arg(long, default_value_t = 2)]
    pub panel: u64,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 2)]
    pub fovs: usize,
    /// Time points per field.
    #[arg(long, default_value_t = 2)]
    pub time_points: usize,
    /// Minutes between two time points.
    #[arg(long, default_value_t = 45)]
    pub stride: usize,
    /// Brightness of the lamp against the panel's own.
    #[arg(long, default_value_t = 1.0)]
    pub lamp: f64,
    /// Folder of the network that finds cells, `auto` or `none`.
    #[arg(long, default_value = "auto")]
    pub model: PathBuf,
}

/// A measured figure and what it should follow.
type Measure = (&'static str, fn(&Shape) -> f64, fn(&CellTruth) -> f64);

/// The measured figures.
const MEASURES: [Measure; 4] = [
    ("protrusions, number", |it| f64::from(it.protrusion_count), |it| f64::from(it.protrusion_count)),
    ("protrusions, total um", |it| it.protrusion_total_um, |it| it.protrusion_total_um),
    ("protrusions, longest um", |it| it.protrusion_longest_um, |it| it.protrusion_longest_um),
    ("scattering", |it| it.scattering, |it| it.granularity_rad),
];

/// The kinds, by name.
const KINDS: [(&str, Kind); 6] = [
    ("round", Kind::Round),
    ("spindle", Kind::Spindle),
    ("spread", Kind::Spread),
    ("blebbing", Kind::Blebbing),
    ("dividing", Kind::Dividing),
    ("dead", Kind::Dead),
];

/// Measures and prints.
///
/// # Errors
/// When the network that finds cells cannot be had or fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (fovs, time_points) = (args.fovs, args.time_points);
    let plan = Plan { panel: args.panel, fovs, time_points, stride: args.stride, lamp: args.lamp };
    let all = seen(&plan, &Detector::open(&args.model, &InferSettings::default())?)?;
    let outlined = all.iter().filter(|it| it.own_outline.is_some()).count();
    say(&format!("panel {}: {} cells alone and in focus, {outlined} of them outlined", args.panel, all.len()))?;
    say(&format!("{:<26}{:>28}{:>28}", "rank correlation", "inside the true mask", "inside the own outline"))?;
    for (name, measured, truth) in MEASURES {
        let of = |shape: fn(&Seen) -> Option<Shape>| -> (Vec<f64>, Vec<f64>) {
            all.iter().filter_map(|it| Some((measured(&shape(it)?), truth(&it.truth)))).unzip()
        };
        let columns = [of(|it| Some(it.true_mask)), of(|it| it.own_outline)].map(|(measured, truth)| {
            let (low, high) = interval(&measured, &truth, spearman, SEED);
            let r = spearman(&measured, &truth);
            format!("{r:.3} ({low:.3} to {high:.3}){}", if r >= MONOTONE { " " } else { "!" })
        });
        say(&format!("{name:<26}{:>28}{:>28}", columns[0], columns[1]))?;
        for (kind_name, kind) in KINDS {
            let pairs = |shape: fn(&Seen) -> Option<Shape>| -> String {
                let cells = all.iter().filter(|it| it.truth.kind == kind);
                let (m, t): (Vec<f64>, Vec<f64>) =
                    cells.filter_map(|it| Some((measured(&shape(it)?), truth(&it.truth)))).unzip();
                if m.len() < FEWEST { String::new() } else { format!("{:.3}, {} cells ", spearman(&m, &t), m.len()) }
            };
            let (one, other) = (pairs(|it| Some(it.true_mask)), pairs(|it| it.own_outline));
            if !one.is_empty() || !other.is_empty() {
                say(&format!("    {kind_name:<22}{one:>28}{other:>28}"))?;
            }
        }
    }
    say("!: below 0.9, not monotone").map_err(Into::into)
}
