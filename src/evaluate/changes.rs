//! Changes of state against the simulator's known events: precision and recall.
//!
//! Two kinds of films. [`of_hallmarks`]: the score is a linear discriminant on the cells' **true** hallmarks (summed pseudopods,
//! granules), minute by minute, so that what is measured is `sample::dynamics` on a describer that sees everything, with the noise
//! that the cells themselves make. [`of_model`]: frames are rendered, cells found, described and followed as the daemon does it,
//! so that what is measured is the whole way with one bundle.

use super::detector::Detector;
use crate::cells::{Cell, Crop, DetectSettings, Shape};
use crate::frame;
use crate::id::TimeIndex;
use crate::infer::state::StateReading;
use crate::infer::{Inference, Model};
use crate::learn::discriminant::{self, FitError, Linear, Priors};
use crate::learn::state::SeenFrame;
use crate::sample::call::Side;
use crate::sample::dynamics::{self, Dynamics, LogitAt, follow};
use crate::sample::film::{Filmed, Matched};
use crate::simulate::cell::{Habit, Kind, SimulatedCell, Traits};
use crate::simulate::scene::EfficiencyLaw;
use crate::simulate::{CellTruth, Moment, Panel, Place, Scene, SceneSettings};
use crate::track::link::{LinkSettings, Linker, Observation};
use crate::units::PixelSize;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::collections::BTreeMap;

/// A stay counts from this length on, min.
pub const SHORTEST_STAY_MIN: f64 = 30.0;
/// A change is found when its direction is right and its time within this, min.
pub const TOLERANCE_MIN: f64 = 15.0;
/// Tracks with fewer scored frames are left out, as by `cytowatch changes`.
const FEWEST_FRAMES: usize = 60;
/// Share of the simulated cells that change their state once.
const CHANGING_SHARE: f64 = 0.5;
/// Half of the distance of the two classes' mean efficiencies, as in the panel.
const HALF_CLASS_DISTANCE: f64 = 0.51;
/// Correlation of a describer's noise from one minute to the next.
const NOISE_CORRELATION: f64 = 0.5;
/// Frames rendered at a time.
const BATCH: usize = 16;
/// A found cell further than this from every true one is nobody's, px.
const NEAR_PX: f64 = 20.0;

/// How well the changes of some films were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What was measured on the films.
    pub dynamics: Dynamics,
    /// Films.
    pub films: usize,
    /// Events, reports and pairs.
    pub matched: Matched,
    /// Films without any event.
    pub still: usize,
    /// Changes reported on those.
    pub reported_on_still: usize,
}

/// Measures the dynamics of `films` and matches what is reported with what is true; changes less sure than `least_confidence`
/// are not reported.
///
/// # Errors
/// When there is too little to measure.
pub fn judge(films: &[Filmed], least_confidence: f64) -> Result<Judged, dynamics::FitError> {
    let frames: Vec<Vec<LogitAt>> = films.iter().map(|film| film.frames.clone()).collect();
    let dynamics = dynamics::fit(&Dynamics::default(), &frames)?;
    let mut judged =
        Judged { dynamics, films: films.len(), matched: Matched::default(), still: 0, reported_on_still: 0 };
    for film in films {
        let mut reported = follow(&dynamics, &film.frames).transitions;
        reported.retain(|change| change.confidence >= least_confidence);
        if film.events.is_empty() && film.cut_short.is_empty() {
            judged.still += 1;
            judged.reported_on_still += reported.len();
        }
        judged.matched.add(film, &reported, TOLERANCE_MIN);
    }
    Ok(judged)
}

/// What a perfect describer sees of a cell in a minute. Roots: both hallmarks rise faster than the efficiency, and a change should move
/// the score of a cell of any efficiency alike.
fn hallmarks(cell: &SimulatedCell) -> Vec<f64> {
    vec![cell.protrusion_total_um().max(0.0).sqrt(), cell.granularity_rad().max(0.0).sqrt()]
}

/// A cell of one class, and its film's hallmarks minute by minute until it divides or dies.
fn lived(number: u64, high: bool, changing: bool, minutes: u32, seed: u64) -> (SimulatedCell, Vec<Vec<f64>>) {
    let habit = Habit { dead_share: 0.0, ..Habit::default() };
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mean = if high { HALF_CLASS_DISTANCE } else { -HALF_CLASS_DISTANCE };
    let law = EfficiencyLaw { mean, transition_share: f64::from(u8::from(changing)), ..EfficiencyLaw::default() };
    let traits: Traits = law.draw(&mut random);
    let mut cell = SimulatedCell::new(1, &habit, traits, rand::RngExt::random(&mut random));
    cell.transition = law.draw_transition(traits, f64::from(minutes), &mut random);
    let mut seen = Vec::new();
    for minute in 0..minutes {
        if minute > 0 {
            cell.step(1.0, f64::from(minute), &habit);
        }
        if matches!(cell.kind, Kind::Dividing | Kind::Dead) {
            break;
        }
        seen.push(hallmarks(&cell));
    }
    (cell, seen)
}

/// Films of single cells whose score is driven by their true hallmarks.
///
/// On top comes a describer's frame noise, whose standard deviation is `noise_share` of what a change moves the logit by on average.
/// Half of the cells change once. The discriminant is fitted on other cells that never change.
///
/// # Errors
/// When no discriminant can be fitted.
pub fn of_hallmarks(cells: usize, minutes: u32, noise_share: f64, seed: u64) -> Result<Vec<Filmed>, FitError> {
    let training: Vec<(Vec<f64>, bool)> = (0..400_u64)
        .into_par_iter()
        .map(|number| {
            let high = number % 2 == 0;
            let (_, seen) = lived(number, high, false, 60, !seed);
            let count = seen.len().max(1) as f64;
            let sums = seen.iter().fold(vec![0.0; 2], |sums, it| sums.iter().zip(it).map(|(a, b)| a + b).collect());
            (sums.into_iter().map(|sum: f64| sum / count).collect(), high)
        })
        .collect();
    let labelled: Vec<(&[f64], bool)> = training.iter().map(|(features, high)| (features.as_slice(), *high)).collect();
    let linear: Linear = discriminant::fit(&labelled, Priors::Equal)?;
    let mut films: Vec<Filmed> = (0..cells as u64)
        .into_par_iter()
        .map(|number| {
            // Every second one changes, in both classes.
            let (cell, seen) = lived(number, number % 4 < 2, number % 2 == 0, minutes, seed);
            let logit_at = |(minute, features): (u32, &Vec<f64>)| LogitAt {
                minute: f64::from(minute),
                logit: linear.logit(features),
            };
            let event = cell.transition.map(|it| (it.middle_min, side_of(it.shift)));
            filmed((0..).zip(&seen).map(logit_at).collect(), event)
        })
        .collect();
    films.retain(|film| film.frames.len() >= FEWEST_FRAMES);
    let noise = noise_share * mean_step(&films);
    for (film, number) in films.iter_mut().zip(0_u64..) {
        let mut random = ChaCha8Rng::seed_from_u64(!seed ^ number);
        let mut deviate = normal(&mut random);
        for frame in &mut film.frames {
            frame.logit += noise * deviate;
            let fresh = (1.0 - NOISE_CORRELATION * NOISE_CORRELATION).sqrt() * normal(&mut random);
            deviate = NOISE_CORRELATION * deviate + fresh;
        }
    }
    Ok(films)
}

/// By how much a change moves the logit: between a quarter and half an hour after it against the same time before.
fn mean_step(films: &[Filmed]) -> f64 {
    let mean = |film: &Filmed, from: f64, to: f64| {
        let within = film.frames.iter().filter(|frame| (from..to).contains(&frame.minute)).map(|frame| frame.logit);
        let (sum, count) = within.fold((0.0, 0.0), |(sum, count), logit| (sum + logit, count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let steps: Vec<f64> = films
        .iter()
        .flat_map(|film| film.events.iter().map(move |(at, _)| (film, *at)))
        .map(|(film, at)| (mean(film, at + 15.0, at + 30.0) - mean(film, at - 30.0, at - 15.0)).abs())
        .collect();
    steps.iter().sum::<f64>() / steps.len().max(1) as f64
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

fn side_of(shift: f64) -> Side {
    if shift > 0.0 { Side::High } else { Side::Low }
}

/// A film with its event, if the event lies within it and leaves whole stays on both sides.
fn filmed(frames: Vec<LogitAt>, event: Option<(f64, Side)>) -> Filmed {
    let span = frames.first().zip(frames.last()).map_or((0.0, 0.0), |(first, last)| (first.minute, last.minute));
    let mut film = Filmed { frames, events: Vec::new(), cut_short: Vec::new() };
    if let Some((minute, side)) = event.filter(|it| (span.0..=span.1).contains(&it.0)) {
        let whole = minute - span.0 >= SHORTEST_STAY_MIN && span.1 - minute >= SHORTEST_STAY_MIN;
        if whole { &mut film.events } else { &mut film.cut_short }.push((minute, side));
    }
    film
}

/// What is filmed with a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmPlan {
    /// Fields of view, evenly over the panel's days and tumours.
    pub fields: usize,
    /// Length of each film, min.
    pub minutes: usize,
    /// From one frame to the next, min.
    pub interval_min: usize,
    /// The panel's seed.
    pub panel: u64,
    /// Side of a field, px.
    pub field_px: usize,
    /// Cells in it at the start, about.
    pub field_cells: usize,
}

/// One found cell of a track: what the model said, and the truth beneath it.
#[derive(Debug, Clone)]
struct Sight {
    minute: f64,
    /// Its score, where that counts.
    logit: Option<f64>,
    shape: Shape,
    truth: Option<CellTruth>,
}

/// A followed cell of rendered films.
#[derive(Debug, Clone)]
pub struct FollowedCell {
    /// In time order, until the cell divides or dies.
    sights: Vec<Sight>,
    /// The true cell that most of the track lies on.
    owner: u32,
}

/// Rendered cells that were found by `detector`, described by `model` and followed as the daemon does it. `progress` is told after
/// every field.
///
/// # Errors
/// When the finder or the model fails.
pub fn of_model(
    model: &mut Model,
    detector: &Detector,
    plan: FilmPlan,
    progress: &mut dyn FnMut(usize),
) -> anyhow::Result<Vec<FollowedCell>> {
    let panel = Panel::new(plan.panel);
    let pairs = panel.pairs();
    let mut cells = Vec::new();
    for field in 0..plan.fields {
        let Some(&(day, tumour)) = pairs.get(field * pairs.len() / plan.fields.max(1) % pairs.len().max(1)) else {
            break;
        };
        let base = SceneSettings {
            width_px: plan.field_px,
            height_px: plan.field_px,
            cells: plan.field_cells,
            interval_min: plan.interval_min as f64,
            film_min: plan.minutes as f64,
            ..SceneSettings::default()
        };
        let place = Place { day, tumour, fov: 500 + field };
        let Some((mut settings, seed)) = panel.field(place, &base) else { continue };
        settings.efficiency.transition_share = CHANGING_SHARE;
        let tracks = tracks_of(model, detector, Scene::new(settings, seed), plan)?;
        cells.extend(tracks.into_values().filter_map(FollowedCell::new));
        progress(field + 1);
    }
    Ok(cells)
}

fn tracks_of(
    model: &mut Model,
    detector: &Detector,
    mut scene: Scene,
    plan: FilmPlan,
) -> anyhow::Result<BTreeMap<u32, Vec<Sight>>> {
    let pixel_size = PixelSize::PAPER;
    let mut linker = Linker::new(LinkSettings::new(pixel_size));
    let mut tracks: BTreeMap<u32, Vec<Sight>> = BTreeMap::new();
    let times: Vec<usize> = (0..=plan.minutes / plan.interval_min.max(1)).collect();
    for batch in times.chunks(BATCH) {
        let moments: Vec<(usize, Moment)> = batch
            .iter()
            .map(|time| {
                scene.go_to(*time);
                (*time, scene.moment())
            })
            .collect();
        let seen: Vec<(usize, Vec<CellTruth>, Vec<Cell>)> = moments
            .into_par_iter()
            .filter_map(|(time, moment)| {
                let rendered = moment.render();
                let corrected = frame::correct(rendered.plane()?, pixel_size);
                let found = detector.find(&corrected, &DetectSettings::new(pixel_size));
                Some(found.map(|found| (time, rendered.truth.cells, found.cells)))
            })
            .collect::<anyhow::Result<_>>()?;
        for (time, truth, found) in seen {
            let minute = (time * plan.interval_min) as f64;
            let links = linker.link(TimeIndex(time as i64), &found.iter().map(Observation::from).collect::<Vec<_>>());
            let crops: Vec<Crop> = found.iter().filter_map(|cell| cell.crop.clone()).collect();
            let mut said = model.describe(&crops)?.into_iter();
            let mut inferences: Vec<Option<Inference>> =
                found.iter().map(|cell| cell.crop.as_ref().and_then(|_| said.next())).collect();
            model.judge_frame(&found, pixel_size, &mut inferences);
            for ((cell, link), inference) in found.iter().zip(links).zip(inferences) {
                let logit = inference.filter(|it| it.withheld.is_none()).map(|it| it.logit);
                let sight = Sight { minute, logit, shape: cell.shape, truth: truth_beneath(cell, &truth).cloned() };
                tracks.entry(link.number).or_default().push(sight);
            }
        }
    }
    Ok(tracks)
}

fn truth_beneath<'a>(cell: &Cell, truth: &'a [CellTruth]) -> Option<&'a CellTruth> {
    let near = truth.iter().map(|it| (it.centroid.distance_px(cell.centroid), it)).filter(|it| it.0 <= NEAR_PX);
    near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|it| it.1)
}

impl FollowedCell {
    /// `None` for a track that is nobody's.
    fn new(mut sights: Vec<Sight>) -> Option<Self> {
        let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
        for truth in sights.iter().filter_map(|it| it.truth.as_ref()) {
            *votes.entry(truth.id).or_default() += 1;
        }
        let (owner, _) = votes.into_iter().max_by_key(|it| it.1)?;
        // What a cell does that divides or is dead is no change between the two states.
        let ended = |it: &Sight| {
            it.truth.as_ref().is_some_and(|it| it.id == owner && matches!(it.kind, Kind::Dividing | Kind::Dead))
        };
        let lived = sights.iter().position(ended).unwrap_or(sights.len());
        sights.truncate(lived);
        Some(Self { sights, owner })
    }

    /// The true cell in its frames.
    fn truths(&self) -> impl Iterator<Item = (&Sight, &CellTruth)> {
        self.sights
            .iter()
            .filter_map(|it| it.truth.as_ref().filter(|truth| truth.id == self.owner).map(|truth| (it, truth)))
    }

    /// Its film, read by `reading`, with the event of the true cell; `None` for tracks that are too short.
    pub fn film(&self, reading: &StateReading) -> Option<Filmed> {
        let own: Vec<(f64, f64, Side)> = (self.truths())
            .filter_map(|(sight, truth)| {
                // The shift has not begun at a share of 0; its sign is then that towards the other side.
                let moved = truth.traits.efficiency - truth.resting_efficiency;
                let towards = if moved == 0.0 { -truth.resting_efficiency } else { moved };
                Some((sight.minute, truth.transition_share?, side_of(towards)))
            })
            .collect();
        let crossing = own.windows(2).find_map(|pair| match pair {
            [before, after] if before.1 < 0.5 && after.1 >= 0.5 => Some((f64::midpoint(before.0, after.0), after.2)),
            _ => None,
        });
        let read = |it: &Sight| Some(LogitAt { minute: it.minute, logit: reading.read(it.logit?, &it.shape) });
        let frames: Vec<LogitAt> = self.sights.iter().filter_map(read).collect();
        (frames.len() >= FEWEST_FRAMES).then(|| filmed(frames, crossing))
    }

    /// The frames whose score counts and whose true efficiency is known, to fit a reading on; empty for tracks that are too short.
    pub fn seen(&self) -> Vec<SeenFrame> {
        let seen = self.truths().filter_map(|(sight, truth)| {
            let (minute, shape, efficiency) = (sight.minute, sight.shape, truth.traits.efficiency);
            Some(SeenFrame { minute, logit: sight.logit?, shape, efficiency })
        });
        let seen: Vec<SeenFrame> = seen.collect();
        if seen.len() < FEWEST_FRAMES { Vec::new() } else { seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PointPx;

    /// A cell whose efficiency goes from 1 to -0.5 in the middle of its film, seen every other minute.
    fn followed(kind_at: impl Fn(usize) -> Kind) -> Option<FollowedCell> {
        let sight = |frame: usize| {
            let share = if frame < 60 { 0.0 } else { 1.0 };
            let truth = CellTruth {
                id: 7,
                parent: None,
                centroid: PointPx { x: 0.0, y: 0.0 },
                area_px: 1000,
                touches_border: false,
                kind: kind_at(frame),
                traits: Traits::exactly(1.0 - 1.5 * share),
                resting_efficiency: 1.0,
                transition_share: Some(share),
                protrusion_count: 0,
                protrusion_total_um: 0.0,
                protrusion_longest_um: 0.0,
                granularity_rad: 0.0,
            };
            let shape = Shape { scattering: 3.0, ..Shape::default() };
            Sight {
                minute: 2.0 * frame as f64,
                logit: (!frame.is_multiple_of(10)).then_some(0.4),
                shape,
                truth: Some(truth),
            }
        };
        FollowedCell::new((0..120).map(sight).collect())
    }

    #[test]
    fn a_film_holds_what_is_read_of_its_scored_frames_and_the_true_change() {
        let reading = StateReading::new([2.0, 0.0, 0.0, 0.0, 1.0], 0.0);
        let film = followed(|_| Kind::Spread).unwrap().film(&reading).unwrap();
        assert_eq!(film.frames.len(), 108);
        assert!((film.frames[0].logit - (0.8 + 4_f64.ln())).abs() < 1e-12);
        assert_eq!(film.events, [(119.0, Side::Low)]);
    }

    #[test]
    fn a_film_ends_when_the_cell_dies() {
        let film = |dies: usize| {
            let cell = followed(|frame| if frame < dies { Kind::Round } else { Kind::Dead }).unwrap();
            (cell.film(&StateReading::default()), cell.seen().len())
        };
        let (long, seen) = film(100);
        assert_eq!((long.unwrap().frames.len(), seen), (90, 90));
        assert_eq!(film(20), (None, 0));
    }

    #[test]
    fn changes_of_the_simulators_cells_are_found_from_their_true_hallmarks() {
        for noise_share in [0.25, 0.33] {
            let judged = judge(&of_hallmarks(240, 300, noise_share, 5).unwrap(), 0.5).unwrap();
            let found = &judged.matched;
            assert!(found.events >= 50, "{found:?}");
            assert!(found.precision() >= 0.9 && found.recall() >= 0.9, "noise {noise_share}: {judged:?}");
        }
    }
}
