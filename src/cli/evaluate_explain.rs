//! `cytowatch evaluate explain`: does the driving feature follow the true efficiency, and do the hallmarks rise along it?

use super::say;
use crate::cells::Crop;
use crate::cells::crop::Cutter;
use crate::evaluate::correlation::{interval, pearson};
use crate::explain::drivers::{TrackMean, drivers};
use crate::explain::exaggerate::{Answer, Exaggerated, exaggerate};
use crate::explain::hallmarks::{Hallmarks, Light, measure};
use crate::explain::rank::rank;
use crate::explain::story::{Rise, Trend};
use crate::explain::traverse::{shifts, traverse};
use crate::infer::discriminant::score;
use crate::infer::exaggerator::Exaggerator;
use crate::infer::{EngineChoice, InferSettings, Inference, LATENT_LEN, Latent, Model};
use crate::simulate::{CropPlan, Panel, SceneSettings, crops};
use crate::units::{PixelSize, PointPx};
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Crops that are described at a time.
const AT_ONCE: usize = 32;
/// Seed of the bootstraps.
const SEED: u64 = 56;

/// Arguments of `evaluate explain`.
///
/// The cells come from a simulated panel; take another seed than the model was trained on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model bundle.
    #[arg(long, default_value = "models/compact")]
    pub bundle: PathBuf,
    /// The engine that describes the crops.
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// Seed of the simulated panel of tumours and days.
    #[arg(long, default_value_t = 2)]
    pub panel: u64,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 2)]
    pub fovs: usize,
    /// Time points per field.
    #[arg(long, default_value_t = 3)]
    pub time_points: usize,
    /// Minutes between two time points.
    #[arg(long, default_value_t = 20)]
    pub stride: usize,
    /// Cells that are exaggerated.
    #[arg(long, default_value_t = 60)]
    pub strips: usize,
    /// The largest shift, in standard deviations of the training set.
    #[arg(long, default_value_t = 2.0)]
    pub reach: f64,
    /// Folder of the network that exaggerates; when absent, the shipped one.
    #[arg(long)]
    pub exaggerator: Option<PathBuf>,
    /// The feature; when absent, the one that drives the score over the panel's cells.
    #[arg(long)]
    pub feature: Option<usize>,
}

/// Day, tumour, field, cell.
type CellKey = (usize, usize, usize, u32);
/// A cell's pictures with what the model says about each.
type Pictures<'a> = Vec<(&'a Seen, &'a Inference)>;

/// One picture with its truth.
struct Seen {
    cell: CellKey,
    sample: String,
    grey: Vec<u8>,
    light: Light,
    measured: Option<Hallmarks>,
    efficiency: f64,
    protrusion_total_um: f64,
    granularity_rad: f64,
}

/// One cell over its time points.
struct CellMean {
    sample: String,
    fov: String,
    latent: Latent,
    logit: f64,
    efficiency: f64,
}

/// Measures and prints.
///
/// # Errors
/// When the bundle cannot be loaded or fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let settings = InferSettings { bundle: args.bundle.clone(), engine: args.engine, ..InferSettings::default() };
    let mut model = Model::load(&settings)?;
    let seen = seen(args);
    let inferences = described(&mut model, &seen)?;
    let cells = pooled(&seen, &inferences);
    let (name, version) = (model.bundle().name.clone(), model.bundle().version.clone());
    say(&format!("{name} {version}, panel {}: {} pictures of {} cells", args.panel, seen.len(), cells.len()))?;
    of_the_measure(&seen)?;
    let feature = of_the_feature(args, &model, &cells)?;
    of_real_cells(&model, feature, (&seen, &inferences))?;
    let exaggerator = match &args.exaggerator {
        Some(folder) => Some(Exaggerator::open(folder, &settings)?),
        None => Exaggerator::shipped(&settings)?,
    };
    let usable: Vec<(&Seen, &Inference)> = seen.iter().zip(&inferences).filter(|it| it.1.withheld.is_none()).collect();
    let every = usable.len().div_ceil(args.strips.max(1)).max(1);
    let chosen: Vec<(&Seen, &Inference)> = usable.into_iter().step_by(every).collect();
    match exaggerator {
        Some(exaggerator) => of_the_exaggerated((&mut model, &exaggerator), feature, &chosen)?,
        None => say("no network that exaggerates: models/exaggerator is not there")?,
    }
    of_the_strips(args, &mut model, feature, &chosen)
}

fn seen(args: &Args) -> Vec<Seen> {
    let panel = Panel::new(args.panel);
    let cutter = Cutter::new(PixelSize::PAPER);
    let scene = SceneSettings { cells: 16, ..SceneSettings::default() };
    let (fovs, time_points, stride) = (args.fovs, args.time_points, args.stride);
    let plan = CropPlan { fovs, time_points, stride, scene, ..CropPlan::default() };
    let prepared = crops(&panel, &plan, |window| {
        let middle = (window.plane.width_px() / 2) as f64;
        let middle = PointPx { x: middle, y: middle };
        let crop = cutter.cut(&window.plane, middle)?;
        let light = Light::of(&window.plane, middle, plan.side_px)?;
        let (place, truth) = (window.place, &window.truth);
        Some(Seen {
            cell: (place.day, place.tumour, place.fov, truth.id),
            sample: panel.tumours.get(place.tumour)?.name.clone(),
            measured: measure(&crop, light, BOX_UM),
            grey: crop.pixels().iter().map(|value| (value * 255.0).round() as u8).collect(),
            light,
            efficiency: truth.traits.efficiency,
            protrusion_total_um: truth.protrusion_total_um,
            granularity_rad: truth.granularity_rad,
        })
    });
    prepared.into_iter().flatten().collect()
}

/// Side of a crop's box, um (method.md 5.6).
const BOX_UM: f64 = 70.5;

impl Seen {
    fn crop(&self) -> Option<Crop> {
        Crop::new(self.grey.iter().map(|grey| f32::from(*grey) / 255.0).collect())
    }
}

fn described(model: &mut Model, seen: &[Seen]) -> anyhow::Result<Vec<Inference>> {
    let mut all = Vec::with_capacity(seen.len());
    for chunk in seen.chunks(AT_ONCE) {
        all.extend(model.describe(&chunk.iter().filter_map(Seen::crop).collect::<Vec<_>>())?);
    }
    Ok(all)
}

fn pooled(seen: &[Seen], inferences: &[Inference]) -> Vec<CellMean> {
    let mut by_cell: BTreeMap<CellKey, Pictures<'_>> = BTreeMap::new();
    for (seen, inference) in seen.iter().zip(inferences).filter(|it| it.1.withheld.is_none()) {
        by_cell.entry(seen.cell).or_default().push((seen, inference));
    }
    let mean_of = |((day, _, fov, _), pictures): (CellKey, Pictures<'_>)| {
        let count = pictures.len() as f64;
        let mean = |of: &dyn Fn(&(&Seen, &Inference)) -> f64| pictures.iter().map(of).sum::<f64>() / count;
        let first = pictures.first()?.0;
        Some(CellMean {
            sample: first.sample.clone(),
            fov: format!("{day}/{fov}"),
            latent: std::array::from_fn(|i| mean(&|it| it.1.latent.get(i).copied().map_or(0.0, f64::from)) as f32),
            logit: mean(&|it| it.1.logit),
            efficiency: mean(&|it| it.0.efficiency),
        })
    };
    by_cell.into_iter().filter_map(mean_of).collect()
}

/// Whether the measure of hallmarks sees what it should, on the real pictures.
fn of_the_measure(seen: &[Seen]) -> anyhow::Result<()> {
    let measured: Vec<(&Seen, Hallmarks)> = seen.iter().filter_map(|it| Some((it, it.measured?))).collect();
    let column = |of: &dyn Fn(&(&Seen, Hallmarks)) -> f64| measured.iter().map(of).collect::<Vec<f64>>();
    let protrusion = pearson(&column(&|it| it.1.protrusion_total_um), &column(&|it| it.0.protrusion_total_um));
    let scattering = pearson(&column(&|it| it.1.scattering), &column(&|it| it.0.granularity_rad));
    say(&format!(
        "measure on the pictures themselves ({} of {} outlined): protrusions against true pseudopods r {protrusion:.2}, scattering \
         against true granules r {scattering:.2}",
        measured.len(),
        seen.len()
    ))?;
    Ok(())
}

/// Chooses the driving feature and says how it goes with the true efficiency.
fn of_the_feature(args: &Args, model: &Model, cells: &[CellMean]) -> anyhow::Result<usize> {
    let mut samples: BTreeMap<String, Vec<TrackMean>> = BTreeMap::new();
    for cell in cells {
        let mean = TrackMean { fov: cell.fov.clone(), latent: cell.latent, score: score(cell.logit) };
        samples.entry(cell.sample.clone()).or_default().push(mean);
    }
    let driver = drivers(&samples, SEED).into_iter().next();
    let by_model = rank(&model.bundle().facts).first().map(|it| it.feature);
    let feature = args.feature.or(driver.as_ref().map(|it| it.feature)).or(by_model).context("no feature drives")?;
    ensure!((1..=LATENT_LEN).contains(&feature), "feature {feature}: there are 1 to {LATENT_LEN}");
    if let Some(driver) = driver.filter(|it| it.feature == feature) {
        say(&format!(
            "driving feature {feature}: r {:.2} with the score, prominence {:.1}, first in {:.0} % of replicates",
            driver.correlation,
            driver.prominence,
            100.0 * driver.first_share
        ))?;
    }
    let efficiency: Vec<f64> = cells.iter().map(|it| it.efficiency).collect();
    let values: Vec<f64> = cells.iter().map(|it| it.latent.get(feature - 1).copied().map_or(0.0, f64::from)).collect();
    let logits: Vec<f64> = cells.iter().map(|it| it.logit).collect();
    for (what, values) in [(format!("feature {feature}"), values), ("the score's logit".to_owned(), logits)] {
        let r = pearson(&values, &efficiency);
        let (low, high) = interval(&values, &efficiency, pearson, SEED);
        let verdict = if r.abs() >= 0.7 { "reached" } else { "NOT reached" };
        say(&format!("{what} against the true efficiency, per cell: r {r:.2} ({low:.2} to {high:.2}); 0.7 {verdict}"))?;
    }
    Ok(feature)
}

/// Whether both hallmarks rise along the feature from one cell to the next, measured on the cells' own pictures, in bins of the
/// feature; slopes over cells, each once.
fn of_real_cells(model: &Model, feature: usize, (seen, inferences): (&[Seen], &[Inference])) -> anyhow::Result<()> {
    let facts = &model.bundle().facts;
    let towards_high = facts.discriminant.weights.get(feature - 1).map_or(1.0, |weight| weight.signum());
    let mean = facts.latent.mean.get(feature - 1).copied().unwrap_or(0.0);
    let sd = facts.latent.spreads().get(feature - 1).copied().unwrap_or(1.0);
    let mut by_cell: BTreeMap<CellKey, Vec<(f64, Hallmarks)>> = BTreeMap::new();
    for (seen, inference) in seen.iter().zip(inferences).filter(|it| it.1.withheld.is_none()) {
        let value = inference.latent.get(feature - 1).copied().map_or(0.0, f64::from);
        let position = towards_high * (value - mean) / sd;
        if let Some(hallmarks) = seen.measured {
            by_cell.entry(seen.cell).or_default().push((position, hallmarks));
        }
    }
    let of_cell = |pictures: Vec<(f64, Hallmarks)>| {
        let count = pictures.len() as f64;
        let over = |of: &dyn Fn(&(f64, Hallmarks)) -> f64| pictures.iter().map(of).sum::<f64>() / count;
        let mean = Hallmarks {
            protrusion_total_um: over(&|it| it.1.protrusion_total_um),
            protrusion_count: 0,
            scattering: over(&|it| it.1.scattering),
            area_um2: over(&|it| it.1.area_um2),
        };
        (over(&|it| it.0), mean)
    };
    let cells: Vec<(f64, Hallmarks)> = by_cell.into_values().map(of_cell).collect();
    say("real cells, sd towards high   protrusions, um   scattering   area, um2   cells")?;
    for bin in -3_i32..=3 {
        let here: Vec<&Hallmarks> = cells.iter().filter(|it| it.0.round() as i32 == bin).map(|it| &it.1).collect();
        if here.is_empty() {
            continue;
        }
        let over = |of: fn(&Hallmarks) -> f64| here.iter().map(|it| of(it)).sum::<f64>() / here.len() as f64;
        let (protrusion, scattering, area) =
            (over(|it| it.protrusion_total_um), over(|it| it.scattering), over(|it| it.area_um2));
        say(&format!("{bin:>+28}{protrusion:>18.2}{scattering:>13.4}{area:>12.0}{:>8}", here.len()))?;
    }
    let trend = Trend::over(&cells);
    for (what, unit, slope) in [("protrusions", " um", trend.protrusion_um), ("scattering", "", trend.scattering)] {
        let slope = slope.context("too few cells were measured")?;
        let verdict = if slope.rises() { "rises" } else { "does NOT rise" };
        say(&format!(
            "{what} of real cells: {:+.4}{unit} per sd towards high (standard error {:.4}): {verdict}",
            slope.per_unit, slope.standard_error
        ))?;
    }
    Ok(())
}

/// Pictures either way from the cell as it is.
const STEPS: u16 = 4;

/// Whether both hallmarks rise with what the model reads, measured on exaggerated pictures.
fn of_the_exaggerated(
    (model, exaggerator): (&mut Model, &Exaggerator),
    feature: usize,
    chosen: &[(&Seen, &Inference)],
) -> anyhow::Result<()> {
    let mut ways = Vec::with_capacity(chosen.len());
    for (seen, _) in chosen {
        let crop = seen.crop().context("a crop is lost")?;
        ways.push(exaggerate((model, exaggerator), (&crop, seen.light, BOX_UM), feature, STEPS)?);
    }
    let count = ways.len().max(1) as f64;
    let answers = |of: &dyn Fn(&Answer) -> f64| {
        let positive = ways.iter().filter(|way| of(&way.answer) > 0.0).count();
        (ways.iter().map(|way| of(&way.answer)).sum::<f64>() / count, positive)
    };
    let (protrusions, granules) = (answers(&|it| it.protrusions_sd), answers(&|it| it.granules_sd));
    say(&format!(
        "exaggerated, {} cells: with pseudopods 2.7 times as long the feature is read {:+.2} sd towards high ({} of them above 0), with granules \
         2.7 times as dense {:+.2} sd ({})",
        ways.len(),
        protrusions.0,
        protrusions.1,
        granules.0,
        granules.1
    ))?;
    say(
        "read, sd towards high   score's logit   protrusions, um   scattering   area, um2   pictures outlined   withheld",
    )?;
    for step in 0..=2 * usize::from(STEPS) {
        let here: Vec<&Exaggerated> = ways.iter().filter_map(|way| way.pictures.get(step)).collect();
        let measured: Vec<Hallmarks> = here.iter().filter_map(|it| it.hallmarks).collect();
        let over = |of: &dyn Fn(&Exaggerated) -> f64| here.iter().map(|it| of(it)).sum::<f64>() / count;
        let mean = |of: &dyn Fn(&Hallmarks) -> f64| measured.iter().map(of).sum::<f64>() / measured.len() as f64;
        say(&format!(
            "{:>+21.2}{:>16.2}{:>18.2}{:>13.2}{:>12.0}{:>20}{:>11}",
            over(&|it| it.shift),
            over(&|it| it.logit),
            mean(&|it| it.protrusion_total_um),
            mean(&|it| it.scattering),
            mean(&|it| it.area_um2),
            measured.len(),
            here.iter().filter(|it| it.score.is_none()).count()
        ))?;
    }
    let along = |pictures: &[Exaggerated]| {
        let measured: Vec<(f64, Hallmarks)> =
            pictures.iter().filter_map(|it| Some((it.shift, it.hallmarks?))).collect();
        Rise::along(&measured)
    };
    rises("exaggerated cells", &ways.iter().map(|way| along(&way.pictures)).collect::<Vec<_>>())
}

/// Whether both hallmarks rise along the feature, measured on decoded pictures.
fn of_the_strips(args: &Args, model: &mut Model, feature: usize, chosen: &[(&Seen, &Inference)]) -> anyhow::Result<()> {
    let towards_high = model.bundle().facts.discriminant.weights.get(feature - 1).map_or(1.0, |weight| weight.signum());
    let shifts = shifts(args.reach, 0.5)?;
    let mut by_shift: BTreeMap<i64, Vec<Hallmarks>> = BTreeMap::new();
    let mut rises_of: Vec<Rise> = Vec::new();
    for (seen, inference) in chosen {
        let found = traverse(model, &inference.latent, feature, &shifts)?;
        let strip: Vec<(f64, Hallmarks)> = found
            .iter()
            .filter_map(|it| Some((towards_high * it.shift, measure(&it.picture, seen.light, BOX_UM)?)))
            .collect();
        for (position, hallmarks) in &strip {
            by_shift.entry((position * 10.0).round() as i64).or_default().push(*hallmarks);
        }
        rises_of.push(Rise::along(&strip));
    }
    say("decoded: shift towards high, sd   protrusions, um   scattering   area, um2   pictures outlined")?;
    for (position, hallmarks) in &by_shift {
        let count = hallmarks.len() as f64;
        let mean = |of: &dyn Fn(&Hallmarks) -> f64| hallmarks.iter().map(of).sum::<f64>() / count;
        say(&format!(
            "{:>+32.1}{:>18.2}{:>13.4}{:>12.0}{:>20}",
            *position as f64 / 10.0,
            mean(&|it| it.protrusion_total_um),
            mean(&|it| it.scattering),
            mean(&|it| it.area_um2),
            hallmarks.len()
        ))?;
    }
    rises("decoded strips", &rises_of)
}

/// Says whether either hallmark rises along most of some strips.
fn rises(of_what: &str, rises: &[Rise]) -> anyhow::Result<()> {
    for (what, unit, of) in [
        ("protrusions", " um", (|it| it.protrusion_um) as fn(&Rise) -> Option<f64>),
        ("scattering", "", |it| it.scattering),
    ] {
        let slopes: Vec<f64> = rises.iter().filter_map(of).collect();
        let count = slopes.len().max(1) as f64;
        let mean = slopes.iter().sum::<f64>() / count;
        let error = (slopes.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0) / count).sqrt();
        let rising = slopes.iter().filter(|it| **it > 0.0).count();
        let verdict = if mean > 1.96 * error { "rises" } else { "does NOT rise" };
        say(&format!(
            "{what} of {of_what}: {mean:+.4}{unit} per sd towards high (standard error {error:.4}), in {rising} of {}: {verdict}",
            slopes.len()
        ))?;
    }
    Ok(())
}
