//! `cytowatch evaluate changes`: changes of state against the simulator's known events.

use super::say;
use crate::evaluate::changes::{
    FilmPlan, FollowedCell, Judged, SHORTEST_STAY_MIN, TOLERANCE_MIN, judge, of_hallmarks, of_model,
};
use crate::evaluate::detector::Detector;
use crate::infer::state::StateReading;
use crate::infer::{EngineChoice, InferSettings, Model};
use crate::learn::state::{self, SeenFrame};
use crate::sample::call::Side;
use crate::sample::film::Filmed;
use anyhow::Context as _;
use std::path::PathBuf;

/// A describer's frame noise that is tried on top of the true hallmarks, as a share of what a change moves the logit by.
const NOISE_SHARES: [f64; 5] = [0.0, 0.25, 0.33, 0.5, 0.75];

/// Arguments of `evaluate changes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model bundle to judge end to end: rendered frames, cells found, described and followed. When absent, only the score that
    /// the true hallmarks drive is judged.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// The engine that describes the crops.
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// Simulated cells whose score the true hallmarks drive; half of them change once.
    #[arg(long, default_value_t = 1000)]
    pub cells: usize,
    /// Rendered fields of view, with a bundle.
    #[arg(long, default_value_t = 24)]
    pub fields: usize,
    /// Side of a rendered field, px.
    #[arg(long, default_value_t = 1024)]
    pub field_px: usize,
    /// Cells in it at the start, about; with `--field-px 640 --field-cells 10` cells are twice as crowded and touch
    /// more often.
    #[arg(long, default_value_t = 12)]
    pub field_cells: usize,
    /// Length of the films, min.
    #[arg(long, default_value_t = 300)]
    pub minutes: u32,
    /// Minutes between rendered frames.
    #[arg(long, default_value_t = 2)]
    pub interval_min: usize,
    /// Seed of cells and panel.
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
    /// Folder of the network that finds cells, `auto` or `none`; by default as the daemon has it.
    #[arg(long, default_value = "auto")]
    pub finder: PathBuf,
    /// File for the rendered films, a line of JSON a track: `frames` (minute, what its state is read from), `events` (minute, to high).
    #[arg(long, requires = "bundle")]
    pub films: Option<PathBuf>,
    /// Changes less sure than this are not reported, 0 to 1.
    #[arg(long, default_value_t = 0.5)]
    pub least_confidence: f64,
}

/// Prints precision and recall.
///
/// # Errors
/// When the bundle cannot be loaded or there is too little to measure.
pub fn run(args: &Args) -> anyhow::Result<()> {
    say(&format!(
        "changes between stays of {SHORTEST_STAY_MIN:.0} min or longer; found: right direction, within {TOLERANCE_MIN:.0} min"
    ))?;
    for noise in NOISE_SHARES {
        let films = of_hallmarks(args.cells, args.minutes, noise, args.seed)?;
        let name = format!("score driven by the true hallmarks, frame noise {noise:.2} of a change");
        print(&name, &judge(&films, args.least_confidence)?)?;
    }
    let Some(bundle) = &args.bundle else { return Ok(()) };
    let settings = InferSettings { bundle: bundle.clone(), engine: args.engine, ..InferSettings::default() };
    let mut model = Model::load(&settings)?;
    let plan = FilmPlan {
        fields: args.fields,
        minutes: args.minutes as usize,
        interval_min: args.interval_min.max(1),
        panel: args.seed,
        field_px: args.field_px,
        field_cells: args.field_cells,
    };
    let detector = Detector::open(&args.finder, &settings)?;
    let cells = of_model(&mut model, &detector, plan, &mut |done| tracing::info!(done, of = args.fields, "fields"))?;
    let reading = model.bundle().facts.state;
    let films = |reading: &StateReading| cells.iter().filter_map(|it| it.film(reading)).collect::<Vec<Filmed>>();
    let name = format!("{} {}, end to end", model.bundle().name, model.bundle().version);
    let seen: Vec<Vec<SeenFrame>> = cells.iter().map(FollowedCell::seen).filter(|it| !it.is_empty()).collect();
    say(&format!(
        "{name}: within a cell, over 20 min, what is read goes with the true efficiency by a correlation of {:.3} (the logit alone: {:.3})",
        state::follows(&reading.unwrap_or_default(), &seen),
        state::follows(&StateReading::default(), &seen)
    ))?;
    if reading.is_some() {
        print(
            &format!("{name}, by the logit alone"),
            &judge(&films(&StateReading::default()), args.least_confidence)?,
        )?;
    }
    let films = films(&reading.unwrap_or_default());
    if let Some(path) = &args.films {
        let lines: Vec<String> = films.iter().map(line).collect();
        std::fs::write(path, lines.join("\n") + "\n").with_context(|| format!("write {}", path.display()))?;
    }
    print(&name, &judge(&films, args.least_confidence)?)
}

/// A track and its events, for other tools.
fn line(film: &Filmed) -> String {
    let frames: Vec<(f64, f64)> = film.frames.iter().map(|it| (it.minute, it.logit)).collect();
    let events: Vec<(f64, bool)> = film.events.iter().map(|it| (it.0, it.1 == Side::High)).collect();
    let cut_short: Vec<(f64, bool)> = film.cut_short.iter().map(|it| (it.0, it.1 == Side::High)).collect();
    serde_json::json!({ "frames": frames, "events": events, "cut_short": cut_short }).to_string()
}

fn print(name: &str, judged: &Judged) -> anyhow::Result<()> {
    let it = &judged.matched;
    say(&format!(
        "{name}: {} tracks, {} changes, {} reported, {} of them right: precision {:.3}, recall {:.3}; mean time error {:.1} min; \
         {} reported on {} tracks without a change",
        judged.films,
        it.events,
        it.reported,
        it.matched,
        it.precision(),
        it.recall(),
        it.off_min / f64::from(it.matched.max(1)),
        judged.reported_on_still,
        judged.still
    ))?;
    let d = &judged.dynamics;
    say(&format!(
        "    measured: states {:+.2} and {:+.2}, cells apart by {:.2}, noise {:.2} that lasts {:.1} min, stays of {:.0} min (logits)",
        d.low_logit, d.high_logit, d.offset_sd, d.noise_sd, d.noise_min, d.stay_min
    ))?;
    Ok(())
}
