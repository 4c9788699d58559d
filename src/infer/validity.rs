//! Whether a score may be shown: a descriptor far from the training set means nothing, whatever its score.
//!
//! Takes a latent descriptor and the training set's mean and covariance, gives the Mahalanobis distance (about 7.5 for a
//! typical descriptor, the root of 56) and, beyond the bundle's limit, the reason why the score is withheld.

use super::appearance::{self, Appearance, Looks};
use super::bundle::ValidityLimits;
use super::surroundings::SurroundingsLimits;
use super::{InferError, LATENT_LEN, Latent};
use crate::cells::Crop;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use serde::{Deserialize, Serialize};

/// Why a cell's score is withheld; stored with the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The 70.5 um box around the cell leaves the frame, so there is no crop to describe.
    NoCrop,
    /// The descriptor is farther from the training set than the bundle's limit.
    OutOfDomain,
    /// The crop is too blurred for its descriptor to be comparable.
    OutOfFocus,
    /// Too many pixels stand at the brightest value: the camera was cut off.
    Saturated,
    /// The crop looks unlike those of the training set: another modality, objective or object.
    UnlikeTraining,
    /// What the decoder draws from the descriptor is too far from the crop.
    NotRedrawn,
    /// The file tells another pixel size than the configuration.
    PixelSize,
    /// Other cells cover too much of the crop's box.
    SeveralCells,
    /// The frame's cells are of another size than those of the training set: is the pixel size right?
    CellSize,
}

impl Withheld {
    /// Stable name for metrics, the database and the API.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoCrop => "no_crop",
            Self::OutOfDomain => "out_of_domain",
            Self::OutOfFocus => "out_of_focus",
            Self::Saturated => "saturated",
            Self::UnlikeTraining => "unlike_training",
            Self::NotRedrawn => "not_redrawn",
            Self::PixelSize => "pixel_size",
            Self::SeveralCells => "several_cells",
            Self::CellSize => "cell_size",
        }
    }
}

/// Mean and covariance of the descriptors of the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentStatistics {
    /// 56 means.
    #[serde(serialize_with = "super::bundle::in_one_line")]
    pub mean: Vec<f64>,
    /// 56 rows of 56, symmetric and positive definite.
    #[serde(serialize_with = "super::bundle::rows_in_one_line")]
    pub covariance: Vec<Vec<f64>>,
}

impl LatentStatistics {
    /// Standard deviation of every feature over the training set; 1 where it does not vary.
    pub fn spreads(&self) -> Vec<f64> {
        let variances = self.covariance.iter().enumerate().map(|(index, row)| row.get(index).copied().unwrap_or(0.0));
        variances.map(|variance| if variance > 0.0 { variance.sqrt() } else { 1.0 }).collect()
    }
}

/// Measures how far a descriptor is from the training set.
#[derive(Debug, Clone)]
pub struct Domain {
    mean: Vec<f64>,
    factor: Cholesky<f64, Dyn>,
    distance_limit: Option<f64>,
}

impl Domain {
    /// The domain that `statistics` describe; farther than `distance_limit` is outside.
    ///
    /// # Errors
    /// `bundle_facts` when the statistics are not 56 finite means and a positive definite 56 x 56 covariance, or the limit
    /// is not a positive number.
    pub fn new(statistics: &LatentStatistics, distance_limit: Option<f64>) -> Result<Self, InferError> {
        let wrong = |problem: &str| InferError::BundleFacts { problem: problem.to_owned() };
        let rows = &statistics.covariance;
        let square = rows.len() == LATENT_LEN && rows.iter().all(|row| row.len() == LATENT_LEN);
        if statistics.mean.len() != LATENT_LEN || !square {
            return Err(wrong("latent mean and covariance must be 56 and 56 x 56 numbers"));
        }
        if !statistics.mean.iter().chain(rows.iter().flatten()).all(|number| number.is_finite()) {
            return Err(wrong("latent mean and covariance must be finite numbers"));
        }
        if distance_limit.is_some_and(|limit| !limit.is_finite() || limit <= 0.0) {
            return Err(wrong("distance_limit must be a positive number"));
        }
        let covariance = DMatrix::from_row_iterator(LATENT_LEN, LATENT_LEN, rows.iter().flatten().copied());
        let asymmetry = (&covariance - covariance.transpose()).amax();
        if asymmetry > 1e-6 * covariance.amax() {
            return Err(wrong("latent covariance must be symmetric"));
        }
        let factor = Cholesky::new(covariance).ok_or_else(|| wrong("latent covariance must be positive definite"))?;
        Ok(Self { mean: statistics.mean.clone(), factor, distance_limit })
    }

    /// Mahalanobis distance of `latent` to the training set, >= 0, in standard deviations.
    pub fn distance(&self, latent: &Latent) -> f64 {
        let differences = latent.iter().zip(&self.mean).map(|(feature, mean)| f64::from(*feature) - mean);
        let difference = DVector::from_iterator(LATENT_LEN, differences);
        // The diagonal of a Cholesky factor is positive: the system always has a solution, NaN otherwise says so.
        self.factor.l_dirty().solve_lower_triangular(&difference).map_or(f64::NAN, |solved| solved.norm())
    }

    /// Why a score at `distance` is withheld, `None` when it may be shown.
    pub fn withheld(&self, distance: f64) -> Option<Withheld> {
        self.distance_limit.is_some_and(|limit| distance > limit).then_some(Withheld::OutOfDomain)
    }
}

/// All that is asked of a crop before its score may be shown, in the order in which the first no is told.
#[derive(Debug, Clone)]
pub struct Guard {
    domain: Domain,
    looks: Option<Looks>,
    reconstruction_limit: Option<f64>,
}

impl Guard {
    /// The guard that a bundle's facts describe; what they do not limit never withholds.
    ///
    /// # Errors
    /// `bundle_facts` when a limit is not a positive number or the statistics cannot be.
    pub fn new(statistics: &LatentStatistics, limits: &ValidityLimits) -> Result<Self, InferError> {
        let reconstruction_limit = limits.reconstruction_limit;
        if reconstruction_limit.is_some_and(|limit| !limit.is_finite() || limit <= 0.0) {
            let problem = "reconstruction_limit must be a positive number".to_owned();
            return Err(InferError::BundleFacts { problem });
        }
        limits.surroundings.iter().try_for_each(SurroundingsLimits::check)?;
        let looks = limits.appearance.as_ref().map(Looks::new).transpose()?;
        Ok(Self { domain: Domain::new(statistics, limits.distance_limit)?, looks, reconstruction_limit })
    }

    /// The descriptors' domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether crops must be redrawn to be judged.
    pub fn wants_reconstruction(&self) -> bool {
        self.reconstruction_limit.is_some()
    }

    /// Why the score of `crop` is withheld, `None` when it may be shown. `distance` is its descriptor's, `error` that of
    /// its reconstruction, where it was redrawn.
    pub fn withheld(&self, crop: &Crop, distance: f64, error: Option<f64>) -> Option<Withheld> {
        let appearance = self.looks.as_ref().map(|_| (appearance::of(crop), appearance::saturation(crop)));
        self.judge(appearance.as_ref().map(|(look, saturation)| (look, *saturation)), distance, error)
    }

    /// As [`withheld`](Self::withheld), from a crop's look (statistics and share of brightest pixels), its descriptor's
    /// distance and its reconstruction's error.
    pub fn judge(&self, look: Option<(&Appearance, f64)>, distance: f64, error: Option<f64>) -> Option<Withheld> {
        let seen = look.zip(self.looks.as_ref()).and_then(|((appearance, saturation), looks)| {
            let limits = looks.limits();
            if saturation > limits.saturation_limit {
                Some(Withheld::Saturated)
            } else if appearance::sharpness(appearance) < limits.sharpness_limit {
                Some(Withheld::OutOfFocus)
            } else {
                (looks.distance(appearance) > limits.distance_limit).then_some(Withheld::UnlikeTraining)
            }
        });
        let far = error.zip(self.reconstruction_limit).filter(|(error, limit)| error > limit);
        seen.or_else(|| self.domain.withheld(distance)).or(far.map(|_| Withheld::NotRedrawn))
    }
}

/// Mean squared difference between a crop and what the decoder makes of it, grey of 0..=1 squared.
pub fn reconstruction_error(crop: &Crop, redrawn: &Crop) -> f64 {
    let squares = crop.pixels().iter().zip(redrawn.pixels()).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>() / crop.pixels().len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(variances: impl Fn(usize) -> f64) -> LatentStatistics {
        let row = |i| (0..LATENT_LEN).map(|j| if i == j { variances(i) } else { 0.0 }).collect();
        LatentStatistics { mean: vec![1.0; LATENT_LEN], covariance: (0..LATENT_LEN).map(row).collect() }
    }

    #[test]
    fn distance_counts_standard_deviations() {
        let domain = Domain::new(&diagonal(|i| if i == 3 { 4.0 } else { 1.0 }), Some(5.0)).unwrap();
        let mut latent: Latent = [1.0; LATENT_LEN];
        assert!(domain.distance(&latent).abs() < 1e-12);
        latent[3] = 7.0;
        latent[9] = 5.0;
        assert!((domain.distance(&latent) - 5.0).abs() < 1e-12, "3 and 4 standard deviations make 5");
        assert_eq!(domain.withheld(5.0), None);
        assert_eq!(domain.withheld(5.01), Some(Withheld::OutOfDomain));
    }

    #[test]
    fn correlated_features_are_judged_together() {
        let mut statistics = diagonal(|_| 1.0);
        statistics.covariance[0][1] = 0.9;
        statistics.covariance[1][0] = 0.9;
        let domain = Domain::new(&statistics, None).unwrap();
        let (mut along, mut across): (Latent, Latent) = ([1.0; LATENT_LEN], [1.0; LATENT_LEN]);
        (along[0], along[1]) = (2.0, 2.0);
        (across[0], across[1]) = (2.0, 0.0);
        assert!((domain.distance(&along) - (2.0_f64 / 1.9).sqrt()).abs() < 1e-12);
        assert!((domain.distance(&across) - 20.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(domain.withheld(1e9), None, "no limit, nothing withheld");
    }

    #[test]
    fn statistics_that_cannot_be_are_refused() {
        let mut short = diagonal(|_| 1.0);
        short.mean.pop();
        let mut crooked = diagonal(|_| 1.0);
        crooked.covariance[2][5] = 0.5;
        for wrong in [short, crooked, diagonal(|_| f64::NAN), diagonal(|i| if i == 5 { -1.0 } else { 1.0 })] {
            assert_eq!(Domain::new(&wrong, None).unwrap_err().code(), "bundle_facts");
        }
        assert!(Domain::new(&diagonal(|_| 1.0), Some(f64::NAN)).is_err());
    }
}
