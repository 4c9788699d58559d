//! A bundle's limits, fitted anew on cells that were found as the daemon finds them.
//!
//! Renders fields of simulated panels that no network was trained on, finds and describes their cells, and fits how crowded a box
//! may be, how large cells are, and how far descriptor, look and reconstruction may be off. No network is trained again.

use crate::cells::{Crop, FoundCells};
use crate::frame::{self, CorrectedFrame};
use crate::infer::appearance::{self, Looks};
use crate::infer::bundle::ValidityLimits;
use crate::infer::surroundings::{SurroundingsLimits, covered, log_areas};
use crate::infer::{InferError, Model};
use crate::simulate::{Moment, Panel, Place, Scene, SceneSettings};
use crate::units::PixelSize;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// Number of the first field: none of those that networks are trained on.
const FIRST_FOV: usize = 900;
/// Share of held-out crops or frames that may lie beyond each limit.
const WITHHELD_SHARE: f64 = 0.002;
/// Cells of a field, as in training.
const CELLS: usize = 16;

/// Which fields of a panel are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramesPlan {
    /// The panel's seed.
    pub panel: u64,
    /// Fields of view per day and tumour.
    pub fovs: usize,
    /// Time points per field.
    pub time_points: usize,
    /// Minutes between two time points.
    pub stride: usize,
}

/// Hands the frames of every field of the plan to `take`, in their order; gives what it gave, field by field.
///
/// # Errors
/// The first of `take`.
pub fn each_field<T, E>(
    plan: &FramesPlan,
    mut take: impl FnMut(&CorrectedFrame) -> Result<T, E>,
) -> Result<Vec<Vec<T>>, E> {
    let panel = Panel::new(plan.panel);
    let film_min = (plan.time_points.saturating_sub(1) * plan.stride).max(1) as f64;
    let base = SceneSettings { cells: CELLS, film_min, ..SceneSettings::default() };
    let mut fields = Vec::new();
    for (day, tumour) in panel.pairs() {
        for number in 0..plan.fovs {
            let Some((settings, seed)) = panel.field(Place { day, tumour, fov: FIRST_FOV + number }, &base) else {
                continue;
            };
            let mut scene = Scene::new(settings, seed);
            let moments: Vec<Moment> = (0..plan.time_points)
                .map(|k| {
                    scene.go_to(k * plan.stride);
                    scene.moment()
                })
                .collect();
            let corrected = |moment: Moment| Some(frame::correct(moment.render().plane()?, PixelSize::PAPER));
            let frames: Vec<CorrectedFrame> = moments.into_par_iter().filter_map(corrected).collect();
            fields.push(frames.iter().map(&mut take).collect::<Result<Vec<T>, E>>()?);
        }
    }
    Ok(fields)
}

/// What is measured of one found cell and its crop.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CropSeen {
    /// Share of its box that other cells cover.
    pub covered: f64,
    /// Distance of its descriptor to the training set.
    pub distance: f64,
    /// Distance of its look to the training set, where the bundle judges looks.
    pub look: Option<f64>,
    /// Mean squared difference to its reconstruction, where the bundle judges that.
    pub error: Option<f64>,
}

/// What is measured of the cells of one frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameSeen {
    /// Natural logarithm of the areas in um2 of the cells that are wholly seen.
    pub log_areas: Vec<f64>,
    /// The cells that have a crop.
    pub crops: Vec<CropSeen>,
}

impl FrameSeen {
    /// Of the cells found at the paper's pixel size, as `model` describes them.
    ///
    /// # Errors
    /// The model's, and `bundle_facts` when its limits cannot be.
    pub fn of(found: &FoundCells, model: &mut Model) -> Result<Self, InferError> {
        let facts = &model.bundle().facts;
        let looks = facts.validity.appearance.as_ref().map(Looks::new).transpose()?;
        let shares = covered(&found.cells, PixelSize::PAPER.px_from_um(facts.crop.box_um));
        let with_crop = found.cells.iter().zip(shares).filter_map(|(cell, share)| Some((cell.crop.as_ref()?, share)));
        let (crops, shares): (Vec<Crop>, Vec<f64>) = with_crop.map(|(crop, share)| (crop.clone(), share)).unzip();
        let described = model.describe(&crops)?;
        let seen = crops.iter().zip(shares).zip(described).map(|((crop, covered), inference)| CropSeen {
            covered,
            distance: inference.distance,
            look: looks.as_ref().map(|looks| looks.distance(&appearance::of(crop))),
            error: inference.reconstruction_error,
        });
        Ok(Self { log_areas: log_areas(&found.cells), crops: seen.collect() })
    }
}

/// The limits of `before` fitted anew on found cells; `None` when there are too few.
///
/// Two thousandths of held-out frames and boxes exceed those on surroundings, three the one on the look, which tells other objects
/// from cells, one the one on the descriptor, and a fifth of one the one on the reconstruction, which focus moves most from day to
/// day; those on focus and saturation stay.
pub fn refit(before: &ValidityLimits, fields: &[Vec<FrameSeen>]) -> Option<ValidityLimits> {
    let surroundings = surroundings(fields)?;
    let crops = || {
        let frames = fields.iter().flatten();
        let usual = frames.filter(|frame| surroundings.size_distance(&frame.log_areas) <= surroundings.size_limit);
        usual.flat_map(|frame| &frame.crops).filter(|crop| crop.covered <= surroundings.covered_limit)
    };
    let limit = |of: fn(&CropSeen) -> Option<f64>, share| beyond(crops().filter_map(of), share);
    let mut limits = before.clone();
    limits.surroundings = Some(surroundings);
    limits.distance_limit = limits.distance_limit.map(|_| limit(|crop| Some(crop.distance), 0.5));
    limits.reconstruction_limit = limits.reconstruction_limit.map(|_| limit(|crop| crop.error, 0.1));
    if let Some(appearance) = &mut limits.appearance {
        appearance.distance_limit = limit(|crop| crop.look, 1.5);
    }
    Some(limits)
}

/// Sizes from every second field, limits from the others.
fn surroundings(fields: &[Vec<FrameSeen>]) -> Option<SurroundingsLimits> {
    let every_second =
        |from: usize| fields.iter().skip(from).step_by(2).flatten().filter(|it| !it.log_areas.is_empty());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let squares = |values: &[f64]| values.iter().map(|value| (value - mean(values)).powi(2)).sum::<f64>();
    let (mut within, mut degrees, mut means, mut inverse) = (0.0_f64, 0.0_f64, Vec::new(), 0.0_f64);
    for frame in every_second(0) {
        let count = frame.log_areas.len() as f64;
        within += squares(&frame.log_areas);
        degrees += count - 1.0;
        inverse += 1.0 / count;
        means.push(mean(&frame.log_areas));
    }
    if degrees < 1.0 || means.len() < 2 {
        return None;
    }
    let cell_variance = within / degrees;
    // The means of frames of few cells differ by chance alone: that part is taken off.
    let frames = means.len() as f64;
    let between = squares(&means) / (frames - 1.0) - cell_variance * inverse / frames;
    let mut limits = SurroundingsLimits {
        covered_limit: 1.0,
        log_area_mean: mean(&means),
        log_area_cell_sd: cell_variance.sqrt(),
        log_area_frame_sd: between.max(0.0).sqrt(),
        size_limit: 1.0,
    };
    limits.covered_limit = beyond(every_second(1).flat_map(|frame| frame.crops.iter().map(|crop| crop.covered)), 1.0);
    limits.size_limit = beyond(every_second(1).map(|frame| limits.size_distance(&frame.log_areas)), 1.0);
    limits.check().is_ok().then_some(limits)
}

/// The value that `share` of [`WITHHELD_SHARE`] of `values` exceed.
pub fn beyond(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let index = ((1.0 - share * WITHHELD_SHARE) * sorted.len() as f64).floor() as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    #[test]
    fn sizes_are_measured_between_cells_and_between_frames() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let fields: Vec<Vec<FrameSeen>> = (0..2000)
            .map(|_| {
                let own = 6.0 + 0.2 * normal();
                let log_areas = (0..9).map(|_| own + 0.4 * normal()).collect();
                vec![FrameSeen {
                    log_areas,
                    crops: vec![CropSeen { covered: normal().abs() * 0.01, distance: 7.0, ..CropSeen::default() }],
                }]
            })
            .collect();
        let before = ValidityLimits { distance_limit: Some(3.0), ..ValidityLimits::default() };
        let refitted = refit(&before, &fields).unwrap();
        assert!(refitted.distance_limit == Some(7.0) && refitted.reconstruction_limit.is_none(), "{refitted:?}");
        let limits = refitted.surroundings.unwrap();
        assert!(
            (limits.log_area_mean - 6.0).abs() < 0.03 && (limits.log_area_cell_sd - 0.4).abs() < 0.02,
            "{limits:?}"
        );
        assert!((limits.log_area_frame_sd - 0.2).abs() < 0.03, "{limits:?}");
        assert!((2.5..4.0).contains(&limits.size_limit) && (0.025..0.04).contains(&limits.covered_limit), "{limits:?}");
        assert_eq!(refit(&before, &[]), None);
    }
}
