//! Everything that can be said about one cell, in one value: what `explain cell` writes as JSON and shows as a page.

use super::exaggerate::Answer;
use super::hallmarks::{Hallmarks, Slope};
use crate::infer::discriminant::score;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Neighbouring frames are alike: this many stay together when a track's frames are drawn anew.
const BLOCK_FRAMES: usize = 10;
/// Fewer blocks than this do not show how far a track's score may be off.
const FEWEST_BLOCKS: usize = 4;
/// Replicates of the bootstrap.
const REPLICATES: usize = 1000;
/// Share of replicates outside the interval on each side.
const TAIL: f64 = 0.025;

/// One cell's story.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// Identity in the database.
    pub cell_id: i64,
    /// `instrument / session / sample / field of view`.
    pub place: String,
    /// When, as the instrument counts.
    pub time_index: Option<i64>,
    /// Name and version of the model bundle.
    pub bundle: String,
    /// Its hash.
    pub bundle_sha256: String,
    /// The model was trained on simulated cells.
    pub trained_on_simulation: bool,
    /// This frame's score, 0..=1; `None` when withheld.
    pub score: Option<f64>,
    /// Why the score is withheld.
    pub withheld: Option<String>,
    /// Measured on the frame.
    pub measured: Hallmarks,
    /// Its track; `None` for a cell without one.
    pub track: Option<TrackStory>,
    /// The crops of the series, in time order.
    pub series: Vec<SeriesPicture>,
    /// Mean squared difference between crop and reconstruction, grey of 0..=1 squared.
    pub reconstruction_mse: f64,
    /// The nearest reference cells, nearest first; empty when the bundle has none.
    pub nearest: Vec<NearestCell>,
    /// The feature along which the cell is exaggerated.
    pub feature: FeatureStory,
    /// This cell exaggerated, as the model reads it; `None` without the network that draws it.
    pub exaggerated: Option<ExaggeratedStory>,
    /// The decoded strip, from "low" to "high".
    pub strip: Vec<StripPicture>,
    /// What rises along it.
    pub rise: Rise,
    /// Reference cells that lie along the feature, from "low" to "high"; empty when the bundle has none.
    pub kin: Vec<KinPicture>,
    /// What rises with the feature over all reference cells.
    pub kin_trend: Trend,
}

/// A track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackStory {
    /// Number within the field of view.
    pub number: i64,
    /// Sigmoid of its mean logit; `None` when nothing counts.
    pub score: Option<f64>,
    /// 95 % interval of that; `None` for short tracks.
    pub interval: Option<(f64, f64)>,
    /// Frames whose score counts.
    pub scored_count: usize,
    /// Frames whose score is withheld.
    pub withheld_count: usize,
    /// Frame by frame.
    pub points: Vec<TrackPoint>,
}

/// A cell of a track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackPoint {
    /// When.
    pub time_index: i64,
    /// Place in the frame, um.
    pub x_um: f64,
    /// Place in the frame, um.
    pub y_um: f64,
    /// Score, 0..=1; `None` when withheld.
    pub score: Option<f64>,
    /// Measured protrusions, um.
    pub protrusion_total_um: f64,
    /// Measured scattering.
    pub scattering: f64,
}

/// A crop of the series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesPicture {
    /// The picture with the outline.
    pub file: String,
    /// When.
    pub time_index: i64,
    /// Score; `None` when withheld.
    pub score: Option<f64>,
}

/// A reference cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearestCell {
    /// The picture.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Class of its sample.
    pub high: Option<bool>,
    /// Euclidean distance in standard deviations of the training set.
    pub distance: f64,
}

/// Why this feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureStory {
    /// 1..=56.
    pub feature: usize,
    /// Who chose it, in words.
    pub chosen_by: String,
    /// Its correlation with the score there; `None` when it was given by hand.
    pub correlation: Option<f64>,
}

/// The cell exaggerated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExaggeratedStory {
    /// What the feature does when a hallmark of this cell grows.
    pub answer: Answer,
    /// From "low" to "high".
    pub pictures: Vec<ExaggeratedPicture>,
    /// What rises along them, per standard deviation of the feature.
    pub rise: Rise,
}

/// One picture of the cell exaggerated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExaggeratedPicture {
    /// The picture, on the crop's scale of grey.
    pub file: String,
    /// How many times as long pseudopods were to be.
    pub protrusions_times: f64,
    /// How many times as dense granules were to be.
    pub granules_times: f64,
    /// By how much the model reads the feature higher, standard deviations towards "high".
    pub shift: f64,
    /// Score there; `None` when withheld.
    pub score: Option<f64>,
    /// Measured on the picture; `None` when no cell stands out.
    pub hallmarks: Option<Hallmarks>,
}

/// One picture of the strip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StripPicture {
    /// The decoded picture.
    pub file: String,
    /// Where it is brighter than the reconstruction.
    pub brighter_file: String,
    /// Added to the feature, standard deviations.
    pub shift: f64,
    /// Score there; `None` outside the model's domain.
    pub score: Option<f64>,
    /// Mean absolute difference to the reconstruction, grey of 0..=1.
    pub mean_difference: f64,
    /// Measured on the picture; `None` when no cell stands out.
    pub hallmarks: Option<Hallmarks>,
}

/// A reference cell that stands for a step of the strip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KinPicture {
    /// The picture.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Class of its sample.
    pub high: Option<bool>,
    /// By how much its feature differs from this cell's, standard deviations.
    pub shift: f64,
    /// Measured on it.
    pub hallmarks: Option<Hallmarks>,
}

/// What rises with a feature over real cells, per standard deviation towards "high".
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Trend {
    /// Cells that could be measured.
    pub cells: usize,
    /// Protrusions, um per standard deviation.
    pub protrusion_um: Option<Slope>,
    /// Scattering per standard deviation.
    pub scattering: Option<Slope>,
}

impl Trend {
    /// Over cells whose feature lies `towards_high` standard deviations towards "high".
    pub fn over(cells: &[(f64, Hallmarks)]) -> Self {
        let positions: Vec<f64> = cells.iter().map(|it| it.0).collect();
        let slope = |of: fn(&Hallmarks) -> f64| {
            super::hallmarks::slope(&positions, &cells.iter().map(|it| of(&it.1)).collect::<Vec<_>>())
        };
        Self {
            cells: cells.len(),
            protrusion_um: slope(|it| it.protrusion_total_um),
            scattering: slope(|it| it.scattering),
        }
    }
}

/// What rises along a strip, per standard deviation towards "high".
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rise {
    /// Protrusions, um per standard deviation.
    pub protrusion_um: Option<f64>,
    /// Scattering per standard deviation.
    pub scattering: Option<f64>,
}

impl Rise {
    /// The slopes along pictures that lie `towards_high` standard deviations towards "high".
    pub fn along(pictures: &[(f64, Hallmarks)]) -> Self {
        let Trend { protrusion_um, scattering, .. } = Trend::over(pictures);
        let per_unit = |slope: Slope| slope.per_unit;
        Self { protrusion_um: protrusion_um.map(per_unit), scattering: scattering.map(per_unit) }
    }
}

/// The 95 % interval of a track's score: a bootstrap of its logits in blocks of ten neighbouring frames. `None` for tracks of
/// fewer than 40 scored frames. The same logits give the same bits.
pub fn interval(logits: &[f64], seed: u64) -> Option<(f64, f64)> {
    let blocks = logits.len() / BLOCK_FRAMES;
    if blocks < FEWEST_BLOCKS {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let starts = logits.len() - BLOCK_FRAMES + 1;
    let mut means: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let drawn = (0..blocks).flat_map(|_| {
                let from = random.random_range(0..starts);
                logits.get(from..from + BLOCK_FRAMES).unwrap_or_default().to_vec()
            });
            drawn.sum::<f64>() / (blocks * BLOCK_FRAMES) as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get((share * (REPLICATES - 1) as f64).round() as usize).copied().map(score);
    at(TAIL).zip(at(1.0 - TAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution as _, StandardNormal};

    #[test]
    fn interval_holds_the_true_score_of_correlated_frames_and_short_tracks_have_none() {
        let mut held = 0;
        for seed in 0..200 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut noise: f64 = StandardNormal.sample(&mut random);
            let logits: Vec<f64> = (0..200)
                .map(|_| {
                    let fresh: f64 = StandardNormal.sample(&mut random);
                    noise = 0.5 * noise + 0.75_f64.sqrt() * fresh;
                    0.4 + noise
                })
                .collect();
            let (low, high) = interval(&logits, 1).unwrap();
            held += usize::from((low..=high).contains(&score(0.4)));
        }
        assert!(held >= 178, "{held} of 200 intervals hold the true score");
        assert_eq!(interval(&[0.1; 39], 1), None);
    }
}
