//! `cytowatch evaluate model`: what a bundle is worth on samples and days that it has not seen.

mod validity;

use super::say;
use crate::cells::{self, CROP_SIDE_PX, Crop, DetectSettings};
use crate::evaluate::detector::Detector;
use crate::frame::{self, Plane};
use crate::infer::engine::EngineChoice;
use crate::infer::texture::{self, halved};
use crate::infer::{InferSettings, Inference, Model, Withheld};
use crate::learn::dataset::{Origin, PanelPlan, Shown, each_of_panel};
use crate::learn::discriminant::Linear;
use crate::learn::evaluate::cells_needed::{self, CALL_CELLS, Draw};
use crate::learn::evaluate::roc::{self, Unit};
use crate::learn::evaluate::{self, CellFeatures, Scored, batch, permutation, score_with};
use crate::learn::guard::FramesPlan;
use crate::learn::lbp;
use crate::learn::report::{self, Findings, Fold, Row};
use crate::simulate::Panel;
use crate::units::{PixelSize, PointPx};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Arguments of `evaluate model`.
///
/// The cells come from a simulated panel; take another seed than the model was trained on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model bundle.
    #[arg(long, default_value = "models/compact")]
    pub bundle: PathBuf,
    /// Seed of the simulated panel of tumours and days.
    #[arg(long, default_value_t = 2)]
    pub panel: u64,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 6)]
    pub fovs: usize,
    /// Time points per field.
    #[arg(long, default_value_t = 4)]
    pub time_points: usize,
    /// Minutes between two time points.
    #[arg(long, default_value_t = 30)]
    pub stride: usize,
    /// Pictures of another kind (another modality, objective or object), as files or folders of PNG, JPEG and TIFF files:
    /// their crops should be withheld.
    #[arg(long)]
    pub strange: Vec<PathBuf>,
    /// Folder of the network that finds cells, `auto` or `none`.
    #[arg(long, default_value = "auto")]
    pub finder: PathBuf,
    /// Which engine describes the crops.
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// The page, HTML.
    #[arg(long, default_value = "evaluation.html")]
    pub out: PathBuf,
}

/// Engines by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// ONNX Runtime when it is there.
    Auto,
    /// The built-in one.
    Rten,
}

/// Crops that are described at a time.
const AT_ONCE: usize = 32;
/// Calls on each sample and day from which the best possible share of right ones is computed.
const BEST_CALLS: usize = 2_000;
/// Cells of each class from which the panel's best possible area is computed.
const BAYES_CELLS: usize = 60_000;
/// Standard errors by which a refitted discriminant of many features draws class differences towards zero.
const THRESHOLD: f64 = 3.0;
/// Farthest that an outlined cell's centre may lie from the window's, px.
const NEAR_PX: f64 = 30.0;

/// One picture of the panel, with what the baselines need.
struct Seen {
    origin: Origin,
    /// 256 grey values: crops are whole 255ths.
    grey: Vec<u8>,
    texture: Vec<f64>,
    grain: Vec<f64>,
    /// Roots of the true hallmarks.
    hallmarks: Vec<f64>,
    /// Seven features of the shape, then protrusions and scattering.
    shape: Option<Vec<f64>>,
}

/// Evaluates and writes the page.
///
/// # Errors
/// When the bundle cannot be loaded or the page cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let engine = match args.engine {
        Engine::Auto => EngineChoice::Auto,
        Engine::Rten => EngineChoice::Rten,
    };
    let settings = InferSettings { bundle: args.bundle.clone(), engine, ..InferSettings::default() };
    let mut model = Model::load(&settings)?;
    let plan = PanelPlan { seed: args.panel, fovs: args.fovs, time_points: args.time_points, stride: args.stride };
    let seen = each_of_panel(plan, see);
    let inferences = describe(&mut model, &seen)?;
    let mut findings = find(args, &model, &seen, &inferences)?;
    let frames = FramesPlan { panel: args.panel, fovs: args.fovs.min(2), time_points: 2, stride: 60 };
    findings.validity =
        validity::measure(&mut model, &Detector::open(&args.finder, &settings)?, frames, &args.strange)?;
    for row in &findings.rows {
        say(&in_words(row))?;
    }
    for row in std::iter::once(&findings.good).chain(&findings.validity) {
        let reasons: Vec<String> = row.reasons.iter().map(|(why, count)| format!("{why} {count}")).collect();
        say(&format!(
            "withheld  {:>6.2} % of {:>5} crops: {} ({})",
            100.0 * row.share(),
            row.crops,
            row.name,
            reasons.join(", ")
        ))?;
    }
    if let (Some(bayes), Some(calls)) = (findings.bayes_auc, findings.best_calls) {
        say(&format!("at best   auc per cell {bayes:.4}, right calls from {CALL_CELLS} cells {calls:.4}"))?;
    }
    std::fs::write(&args.out, report::html(&findings)).with_context(|| format!("write {}", args.out.display()))?;
    say(&format!("page      {}", args.out.display()))?;
    Ok(())
}

fn see(shown: Shown<'_>) -> Seen {
    let grey = shown.crop.pixels().iter().map(|value| (value * 255.0).round() as u8).collect();
    let grain = texture::grain(&halved(shown.crop.pixels(), CROP_SIDE_PX)).into_iter().map(f64::from).collect();
    Seen {
        grey,
        texture: lbp::histogram(shown.crop),
        grain,
        hallmarks: shown.hallmarks.map(f64::sqrt).to_vec(),
        shape: shape(shown.window),
        origin: shown.origin,
    }
}

/// The seven shape features of method.md 8, of the cell in the middle of a window; `None` when none is outlined there.
fn shape(plane: &Plane) -> Option<Vec<f64>> {
    let middle = PointPx { x: plane.width_px() as f64 / 2.0, y: plane.height_px() as f64 / 2.0 };
    let frame = frame::correct::correct(plane.clone(), PixelSize::PAPER);
    let found = cells::find(&frame, &DetectSettings::new(PixelSize::PAPER));
    let near = found.cells.iter().map(|cell| (cell.centroid.distance_px(middle), cell)).filter(|near| near.0 < NEAR_PX);
    let (_, cell) = near.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let s = cell.shape;
    let narrow = s.minor_axis_um / s.major_axis_um.max(f64::MIN_POSITIVE);
    let axes = [s.major_axis_um, s.minor_axis_um, narrow];
    let hallmarks = [s.protrusion_total_um, s.scattering];
    Some([[s.area_um2, s.eccentricity, s.perimeter_um, s.solidity].as_slice(), &axes, &hallmarks].concat())
}

fn describe(model: &mut Model, seen: &[Seen]) -> anyhow::Result<Vec<Inference>> {
    let mut all = Vec::with_capacity(seen.len());
    for chunk in seen.chunks(AT_ONCE) {
        let crops: Vec<Crop> = chunk
            .iter()
            .filter_map(|seen| Crop::new(seen.grey.iter().map(|grey| f32::from(*grey) / 255.0).collect()))
            .collect();
        all.extend(model.describe(&crops)?);
    }
    Ok(all)
}

fn find(args: &Args, model: &Model, seen: &[Seen], inferences: &[Inference]) -> anyhow::Result<Findings> {
    let origins: Vec<Origin> = seen.iter().map(|seen| seen.origin.clone()).collect();
    let latents: Vec<Vec<f64>> =
        inferences.iter().map(|i| i.latent.iter().map(|value| f64::from(*value)).collect()).collect();
    let cells = evaluate::pool(&origins, &latents);
    let discriminant = &model.bundle().facts.discriminant;
    let own = Linear { weights: discriminant.weights.clone(), bias: discriminant.bias };
    let by_bundle = score_with(&own, &cells);
    let by_bundle_aligned: Vec<Scored> = evaluate::samples(&cells)
        .iter()
        .flat_map(|sample| {
            let aligned = batch::align(&cells, sample);
            score_with(&own, aligned.iter().filter(|cell| cell.origin.sample == *sample))
        })
        .collect();
    let refitted = evaluate::leave_each_out_with(&cells, evaluate::unchanged, THRESHOLD)?;
    let aligned = evaluate::leave_each_out_with(&cells, batch::align, THRESHOLD)?;
    let textures: Vec<Vec<f64>> = seen.iter().map(|seen| seen.texture.clone()).collect();
    let texture = evaluate::by_median(evaluate::pool(&origins, &textures));
    let grains: Vec<Vec<f64>> = seen.iter().map(|seen| seen.grain.clone()).collect();
    let grain = evaluate::pool(&origins, &grains);
    let hallmarks: Vec<Vec<f64>> = seen.iter().map(|seen| seen.hallmarks.clone()).collect();
    let hallmarks = evaluate::pool(&origins, &hallmarks);
    let outlined: Vec<(Origin, Vec<f64>)> =
        seen.iter().filter_map(|seen| Some((seen.origin.clone(), seen.shape.clone()?))).collect();
    let of_shape = |range: std::ops::Range<usize>| {
        let part =
            outlined.iter().map(|(origin, all)| (origin.clone(), all.get(range.clone()).unwrap_or_default().to_vec()));
        let (origins, features): (Vec<Origin>, Vec<Vec<f64>>) = part.unzip();
        evaluate::pool(&origins, &features)
    };
    let (shape, measured) = (of_shape(0..7), of_shape(7..9));
    let without = "descriptor, discriminant refitted";
    let mut rows = vec![
        row("bundle as it is", &by_bundle, Some(&cells)),
        row("bundle, days aligned on the other samples", &by_bundle_aligned, None),
        row(without, &refitted, Some(&cells)),
        row("descriptor, aligned by day, refitted", &aligned, Some(&batch::align(&cells, ""))),
        row(
            "grain: 240 numbers",
            &evaluate::leave_each_out_with(&grain, evaluate::unchanged, THRESHOLD)?,
            Some(&grain),
        ),
        row("texture: LBP, 40 features", &evaluate::leave_each_out(&texture, evaluate::unchanged)?, Some(&texture)),
        row("true hallmarks", &evaluate::leave_each_out(&hallmarks, evaluate::unchanged)?, Some(&hallmarks)),
    ];
    if !shape.is_empty() {
        let name = format!("shape: 7 features, {} of {} cells outlined", shape.len(), cells.len());
        rows.push(row(&name, &evaluate::leave_each_out(&shape, evaluate::unchanged)?, Some(&shape)));
        let by_hallmarks = evaluate::leave_each_out(&measured, evaluate::unchanged)?;
        rows.push(row("measured hallmarks: protrusions, scattering", &by_hallmarks, Some(&measured)));
    }
    let bundle = model.bundle();
    Ok(Findings {
        model: format!("{} {}", bundle.name, bundle.version),
        identity: bundle.identity.clone(),
        data: format!(
            "{} pictures of {} simulated cells: panel {}, 8 tumours over 6 days",
            seen.len(),
            cells.len(),
            args.panel
        ),
        simulated: true,
        bayes_auc: Some(Panel::new(args.panel).bayes_auc(BAYES_CELLS, 2)),
        best_calls: Some(Panel::new(args.panel).best_calls(CALL_CELLS, BEST_CALLS, 2)),
        rows,
        folds: folds(&cells, &refitted),
        curves: vec![
            ("bundle, by cell".to_owned(), cells_needed::curve(&by_bundle, Draw::Cells, 1)),
            ("bundle, by field of view".to_owned(), cells_needed::curve(&by_bundle, Draw::Fovs, 1)),
            ("refitted, by field of view".to_owned(), cells_needed::curve(&refitted, Draw::Fovs, 1)),
        ],
        calibration: calibration(&by_bundle),
        permutation: permutation::test(&cells, 1),
        good: validity::row(
            "good cells of the panel",
            &inferences.iter().map(|it| it.withheld.map(Withheld::code)).collect::<Vec<_>>(),
        ),
        validity: Vec::new(),
        command: format!("cytowatch {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
    })
}

/// A row as a line: areas per cell, frame and sample, and calls.
fn in_words(row: &Row) -> String {
    let of = |it: roc::Estimate| format!("{:.4} ({:.4} to {:.4})", it.value, it.low, it.high);
    let calls = row.call.map_or_else(
        || format!("fewer than {CALL_CELLS} cells a sample and day"),
        |call| format!("right calls from {CALL_CELLS} cells {}, {} samples on days", of(call.right), call.clusters),
    );
    format!(
        "{:<48} auc per cell {}, frame {}, sample {}; {calls}",
        row.name,
        of(row.cell),
        of(row.frame),
        of(row.sample)
    )
}

fn row(name: &str, scored: &[Scored], cells: Option<&[CellFeatures]>) -> Row {
    Row {
        name: name.to_owned(),
        frame: roc::estimate(scored, Unit::Frame),
        cell: roc::estimate(scored, Unit::Cell),
        sample: roc::estimate(scored, Unit::Sample),
        call: cells_needed::right_from(scored, CALL_CELLS, Draw::Fovs, 1),
        clustering: cells.map(batch::by_day),
    }
}

fn folds(cells: &[CellFeatures], scored: &[Scored]) -> Vec<Fold> {
    let of = |sample: &String| {
        let judged: Vec<&Scored> = scored.iter().filter(|cell| cell.origin.sample == *sample).collect();
        let days: BTreeSet<String> = judged.iter().map(|cell| cell.origin.day.clone()).collect();
        let scores = judged.iter().map(|cell| crate::infer::discriminant::score(cell.logit));
        Fold {
            sample: sample.clone(),
            high: judged.first().is_some_and(|cell| cell.high),
            training_cells: cells
                .iter()
                .filter(|c| c.origin.sample != *sample && !days.contains(&c.origin.day))
                .count(),
            held_out_cells: judged.len(),
            mean_score: scores.sum::<f64>() / judged.len().max(1) as f64,
            days: days.into_iter().collect(),
        }
    };
    evaluate::samples(cells).iter().map(of).collect()
}

/// Mean score, share of high cells and their number in each tenth of the score.
fn calibration(scored: &[Scored]) -> Vec<(f64, f64, usize)> {
    let scores: Vec<(f64, bool)> =
        scored.iter().map(|cell| (crate::infer::discriminant::score(cell.logit), cell.high)).collect();
    let tenth = |number: u8| {
        let within = |score: f64| (score * 10.0).min(9.0) as u8 == number;
        let inside: Vec<&(f64, bool)> = scores.iter().filter(|cell| within(cell.0)).collect();
        let count = inside.len() as f64;
        let mean = inside.iter().map(|cell| cell.0).sum::<f64>() / count;
        (count > 0.0).then(|| (mean, inside.iter().filter(|cell| cell.1).count() as f64 / count, inside.len()))
    };
    (0..10).filter_map(tenth).collect()
}
