//! Guides: what ties the first features of a descriptor to the two hallmarks, pseudopods and light scattering.
//!
//! An autoencoder's features are whatever draws pictures best. A pseudopod at one side of the cell moves them one way, at the
//! other side another way, so that the mean over a film forgets how far a cell reaches out. A guide asks for it: the first
//! feature follows the sum of both hallmarks, the second their difference, and the rest stay free. No class takes part.

use super::autoencoder::GUIDED;
use super::trainer::Material;

/// What the first features are tied to: the pictures' hallmarks as two uncorrelated z-scores, their sum and difference.
///
/// Centre and spread come from the training pictures alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Guides {
    all: Vec<[f32; GUIDED]>,
}

impl Guides {
    /// The guides of all pictures; unknown (NaN) where a picture has no hallmarks or guides have no weight.
    pub fn of(material: Material<'_>, weight: f32) -> Self {
        let pictures = material.pictures;
        let hallmarks = |index: usize| {
            // Roots: lengths and sums of many small parts spread in proportion to their own size.
            let known = (weight > 0.0).then(|| pictures.hallmarks(index)).flatten();
            known.map_or([f64::NAN; GUIDED], |hallmarks| hallmarks.map(|value| f64::from(value.max(0.0)).sqrt()))
        };
        let scaled = zscored((0..pictures.len()).map(hallmarks).collect(), material.training);
        let turned = scaled.into_iter().map(|[a, b]| [a + b, a - b]).collect();
        let all = zscored(turned, material.training);
        Self { all: all.into_iter().map(|guide| guide.map(|value| value as f32)).collect() }
    }

    pub(super) fn batch(&self, indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|index| self.all.get(*index).copied().unwrap_or([f32::NAN; GUIDED])).collect()
    }
}

/// `all` less its mean, in units of its spread, both over the known ones among `training`.
fn zscored(mut all: Vec<[f64; GUIDED]>, training: &[usize]) -> Vec<[f64; GUIDED]> {
    for feature in 0..GUIDED {
        let of = |row: &[f64; GUIDED]| row.get(feature).copied().unwrap_or(f64::NAN);
        let known: Vec<f64> = training.iter().filter_map(|i| all.get(*i)).map(of).filter(|v| v.is_finite()).collect();
        let count = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / count;
        let spread = (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-9);
        for value in all.iter_mut().filter_map(|row| row.get_mut(feature)) {
            *value = (*value - mean) / spread;
        }
    }
    all
}
