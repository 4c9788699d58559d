//! From a trained network and labelled cells to a model bundle: descriptors, their statistics, and the limits.
//!
//! The limits come from cells that were held out of training.

use super::autoencoder::Autoencoder;
use super::calibrated::features;
use super::dataset::{Origin, Pictures};
use super::evaluate::{self, CellFeatures};
use super::guard::beyond;
use super::split::Split;
use crate::cells::CROP_SIDE_PX;
use crate::infer::appearance::{self, AppearanceLimits, Looks};
use crate::infer::bundle::{Facts, ValidityLimits};
use crate::infer::validity::{Domain, Guard, LatentStatistics};
use crate::infer::{InferError, Latent};
use nalgebra::{DMatrix, DVector};
use std::collections::BTreeMap;

/// Pictures that are described at a time.
const AT_ONCE: usize = 50;

/// Descriptors of all pictures, in order.
pub fn describe(net: &Autoencoder, pictures: &Pictures) -> Vec<Latent> {
    let indices: Vec<usize> = (0..pictures.len()).collect();
    indices.chunks(AT_ONCE).flat_map(|chunk| net.describe(pictures, chunk)).collect()
}

/// Mean and covariance of descriptors.
pub fn statistics(latents: &[Latent]) -> LatentStatistics {
    let rows: Vec<Vec<f64>> = features(latents);
    let (mean, covariance) = moments(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    LatentStatistics { mean, covariance }
}

/// Mean and covariance of rows of equal length.
fn moments(rows: &[&[f64]]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let len = rows.first().map_or(0, |row| row.len());
    let count = rows.len().max(2) as f64;
    let rows: Vec<DVector<f64>> = rows.iter().map(|row| DVector::from_column_slice(row)).collect();
    let mean = rows.iter().sum::<DVector<f64>>() / count;
    let mut covariance = DMatrix::zeros(len, len);
    for row in &rows {
        let centred = row - &mean;
        covariance.ger(1.0 / (count - 1.0), &centred, &centred, 1.0);
    }
    // A feature that never moves would make everything infinitely far away.
    let floor = 1e-6 * covariance.trace() / len.max(1) as f64;
    for i in 0..len {
        if let Some(entry) = covariance.get_mut((i, i)) {
            *entry += floor;
        }
    }
    (mean.as_slice().to_vec(), covariance.row_iter().map(|row| row.iter().copied().collect()).collect())
}

/// Mean squared difference between every crop and its reconstruction, as the daemon measures it on the whole crop.
pub fn reconstruction_errors(net: &Autoencoder, pictures: &Pictures, latents: &[Latent]) -> Vec<f64> {
    let len = pictures.side_px() * pictures.side_px();
    let halved = pictures.side_px() < CROP_SIDE_PX;
    let indices: Vec<usize> = (0..latents.len()).collect();
    let of_chunk = |chunk: &[usize]| {
        let chosen: Vec<Latent> = chunk.iter().filter_map(|index| latents.get(*index)).copied().collect();
        let (drawn, seen) = (net.decode(&chosen), pictures.batch(chunk));
        let each = drawn.chunks_exact(len).zip(seen.chunks_exact(len)).zip(chunk).map(|((drawn, seen), index)| {
            let squares = drawn.iter().zip(seen).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / len as f64;
            // A network at half resolution draws 2 x 2 pixels alike: what they differ by in the crop comes on top.
            let within = pictures.look(*index).map_or(0.0, |look| appearance::finest_variance(&look.appearance));
            squares + if halved { within } else { 0.0 }
        });
        each.collect::<Vec<_>>()
    };
    indices.chunks(AT_ONCE).flat_map(of_chunk).collect()
}

/// The limits beyond which a few thousandths of the held-out crops lie, each limit by itself.
///
/// # Errors
/// `bundle_facts` when the statistics are degenerate.
pub fn limits(
    (training, held_out): (&[usize], &[usize]),
    pictures: &Pictures,
    statistics: &LatentStatistics,
    (latents, errors): (&[Latent], &[f64]),
) -> Result<ValidityLimits, InferError> {
    let domain = Domain::new(statistics, None)?;
    let distances = held_out.iter().filter_map(|index| latents.get(*index)).map(|latent| domain.distance(latent));
    let looks = |indices: &[usize]| indices.iter().filter_map(|index| pictures.look(*index)).collect::<Vec<_>>();
    let (seen, judged) = (looks(training), looks(held_out));
    let rows: Vec<&[f64]> = seen.iter().map(|look| look.appearance.as_slice()).collect();
    let (mean, covariance) = moments(&rows);
    let mut appearance =
        AppearanceLimits { mean, covariance, distance_limit: 1.0, sharpness_limit: 0.0, saturation_limit: 0.0 };
    let measured = Looks::new(&appearance)?;
    appearance.distance_limit = beyond(judged.iter().map(|look| measured.distance(&look.appearance)), 1.0);
    // Blurred and saturated crops are few among good ones and far off when they come: a limit with room to spare.
    appearance.sharpness_limit = -beyond(judged.iter().map(|look| -appearance::sharpness(&look.appearance)), 0.2);
    appearance.saturation_limit = beyond(judged.iter().map(|look| look.saturation), 0.2);
    Ok(ValidityLimits {
        distance_limit: Some(beyond(distances, 1.0)),
        reconstruction_limit: Some(beyond(held_out.iter().filter_map(|index| errors.get(*index)).copied(), 1.0)),
        appearance: Some(appearance),
        surroundings: None,
    })
}

/// Share of crops whose score would be withheld, by reason, and in all.
///
/// # Errors
/// `bundle_facts` when the statistics are degenerate.
pub fn withheld_share(
    facts: &Facts,
    pictures: &Pictures,
    (latents, errors): (&[Latent], &[f64]),
) -> Result<(BTreeMap<&'static str, f64>, f64), InferError> {
    let guard = Guard::new(&facts.latent, &facts.validity)?;
    let mut shares = BTreeMap::new();
    let mut all = 0.0;
    let one = 1.0 / latents.len().max(1) as f64;
    for (index, (latent, error)) in latents.iter().zip(errors).enumerate() {
        let look = pictures.look(index).map(|look| (&look.appearance, look.saturation));
        if let Some(why) = guard.judge(look, guard.domain().distance(latent), Some(*error)) {
            *shares.entry(why.code()).or_insert(0.0) += one;
            all += one;
        }
    }
    Ok((shares, all))
}

/// Cells of the indices `indices` of pictures.
pub fn cells_of(origins: &[Origin], features: &[Vec<f64>], indices: &[usize]) -> Vec<CellFeatures> {
    let origins: Vec<Origin> = indices.iter().filter_map(|index| origins.get(*index)).cloned().collect();
    let features: Vec<Vec<f64>> = indices.iter().filter_map(|index| features.get(*index)).cloned().collect();
    evaluate::pool(&origins, &features)
}

/// How many physical cells `split` trains on.
pub fn trained_cells(origins: &[Origin], split: &Split) -> usize {
    let cells = split.training.iter().filter_map(|index| origins.get(*index));
    cells.map(Origin::cell_key).collect::<std::collections::BTreeSet<_>>().len()
}
