//! A simulated day with a shift: is it seen, and what does alignment on a reference sample make of it?
//!
//! The same three samples are filmed on two days, other cells of them each time. The second day has another lamp, another phase ring
//! and another focus. Everything goes the daemon's way: light evened, cells found, described, guarded; then [`course`].

use super::detector::Detector;
use crate::cells::DetectSettings;
use crate::frame;
use crate::infer::{Inference, Model};
use crate::learn::dataset::Origin;
use crate::learn::evaluate::batch::{self, Clustering};
use crate::learn::evaluate::pool;
use crate::sample::drift::{DayDrift, DayFacts, DriftLimits, FovLatents, TrackOfDay, TrainingSet, course};
use crate::simulate::scene::DayEffect;
use crate::simulate::{Class, Panel, Place, Scene, SceneSettings};
use crate::units::PixelSize;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// Cells of a field.
const CELLS: usize = 14;
/// Number of the first field, so that no cell is one of training.
const FIRST_FOV: usize = 800;

/// What is filmed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The panel's seed.
    pub panel: u64,
    /// Fields of view of every sample on either day.
    pub fovs: usize,
    /// The second day.
    pub shifted: DayEffect,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Found {
    /// Name of the reference sample.
    pub reference: String,
    /// Both days.
    pub days: Vec<DayDrift>,
    /// Mean score of every other sample on the first day, on the second as filmed, and on the second aligned.
    pub scores: Vec<(String, [f64; 3])>,
    /// How strongly the cells of the other samples cluster by day as filmed, and aligned.
    pub clustering: [Clustering; 2],
    /// Cells of the other samples.
    pub cells: usize,
}

/// One cell of one day.
struct Seen {
    day: usize,
    sample: String,
    fov: usize,
    high: bool,
    inference: Inference,
}

/// Films, describes and aligns.
///
/// # Errors
/// When the model or the network that finds cells fails.
pub fn measure(plan: &Plan, model: &mut Model, detector: &Detector) -> anyhow::Result<Option<Found>> {
    let panel = Panel::new(plan.panel);
    // A sample of either class, and as the reference another low one.
    let of = |class: Class| panel.tumours.iter().enumerate().filter(move |it| it.1.class == class).map(|it| it.0);
    let chosen: Vec<usize> = of(Class::Low).take(2).chain(of(Class::High).take(1)).collect();
    let Some(reference) = chosen.first().and_then(|at| panel.tumours.get(*at)).map(|it| it.name.clone()) else {
        return Ok(None);
    };
    let training = TrainingSet::of(&model.bundle().facts);
    let mut facts = Vec::new();
    let mut seen = Vec::new();
    let watcher = (detector, &panel, plan);
    for (day, effect) in [DayEffect::default(), plan.shifted].into_iter().enumerate() {
        let mut today = DayFacts {
            instrument: "simulated".to_owned(),
            day: format!("2026-01-0{}", day + 1),
            ..DayFacts::default()
        };
        for tumour in &chosen {
            film(watcher, (day, *tumour, effect), model, &mut today, &mut seen)?;
        }
        today.fovs.retain(|fov| fov.fov.starts_with(&reference));
        facts.push(today);
    }
    let days = course(&facts, Some(&training), true, &DriftLimits::default());
    let Some(alignment) = days.last().and_then(|day| day.alignment.clone()) else { return Ok(None) };
    let shift = alignment.logit_shift(&training.weights);
    let others: Vec<&Seen> = seen.iter().filter(|it| it.sample != reference).collect();
    let mut names: Vec<String> = others.iter().map(|it| it.sample.clone()).collect();
    names.dedup();
    names.truncate(chosen.len() - 1);
    let mean = |name: &str, day: usize, shift: f64| {
        let own = others.iter().filter(|it| it.sample == name && it.day == day);
        let scores: Vec<f64> = own.map(|it| crate::infer::discriminant::score(it.inference.logit + shift)).collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    };
    let scores = names.iter().map(|it| (it.clone(), [mean(it, 0, 0.0), mean(it, 1, 0.0), mean(it, 1, shift)]));
    let clustered = |aligned: bool| {
        let origin = |(number, it): (usize, &&Seen)| Origin {
            day: it.day.to_string(),
            sample: it.sample.clone(),
            fov: it.fov.to_string(),
            cell: number.to_string(),
            time_index: 0,
            high: Some(it.high),
        };
        let origins: Vec<Origin> = others.iter().enumerate().map(origin).collect();
        let features = others.iter().map(|it| {
            let moved = aligned && it.day > 0;
            let latent = if moved { alignment.apply(&it.inference.latent) } else { it.inference.latent };
            latent.iter().map(|value| f64::from(*value)).collect()
        });
        batch::by_day(&pool(&origins, &features.collect::<Vec<Vec<f64>>>()))
    };
    let clustering = [clustered(false), clustered(true)];
    Ok(Some(Found { scores: scores.collect(), cells: others.len(), reference, days, clustering }))
}

/// One sample's fields on one day.
fn film(
    (detector, panel, plan): (&Detector, &Panel, &Plan),
    (day, tumour, effect): (usize, usize, DayEffect),
    model: &mut Model,
    today: &mut DayFacts,
    seen: &mut Vec<Seen>,
) -> anyhow::Result<()> {
    let Some(sample) = panel.tumours.get(tumour) else { return Ok(()) };
    let base = SceneSettings { cells: CELLS, ..SceneSettings::default() };
    let rendered = |number: usize| {
        let fov = FIRST_FOV + 100 * day + number;
        let (settings, seed) = panel.field(Place { day, tumour, fov }, &base)?;
        // The day's own efficiency is the tumour's: only the microscope differs.
        let settings = SceneSettings { day: effect, efficiency: sample.efficiency, ..settings };
        Some((number, frame::correct(Scene::new(settings, seed).frame(0).plane()?, PixelSize::PAPER)))
    };
    let frames: Vec<_> = (0..plan.fovs).into_par_iter().filter_map(rendered).collect();
    for (number, frame) in frames {
        let quality = frame.quality;
        today.light.background_counts.add(quality.background_counts);
        today.light.evenness.add(quality.evenness);
        today.light.focus.add(quality.focus);
        today.light.saturated_share.add(quality.saturated_share);
        let found = detector.find(&frame, &DetectSettings::new(PixelSize::PAPER))?;
        let with_crop: Vec<_> = found.cells.into_iter().filter(|cell| cell.crop.is_some()).collect();
        let crops: Vec<_> = with_crop.iter().filter_map(|cell| cell.crop.clone()).collect();
        let mut inferences: Vec<Option<Inference>> = model.describe(&crops)?.into_iter().map(Some).collect();
        model.judge_frame(&with_crop, PixelSize::PAPER, &mut inferences);
        let mut latents = FovLatents::new(format!("{}/{number}", sample.name));
        for inference in inferences.into_iter().flatten().filter(|it| it.withheld.is_none()) {
            latents.add(&inference.latent);
            today.tracks.push(TrackOfDay { sample: sample.name.clone(), mean_logit: inference.logit });
            let (name, high) = (sample.name.clone(), sample.class == Class::High);
            seen.push(Seen { day, sample: name, fov: number, high, inference });
        }
        today.fovs.push(latents);
    }
    Ok(())
}
