//! The network that exaggerates: a cell's light in, the same cell with longer or shorter pseudopods and denser or fainter
//! granules out.
//!
//! It was shown pairs of simulated cells that differ in nothing else, and knows nothing of a score: what a model makes of the
//! pictures that it draws is for the model to say ([`explain::exaggerate`](../explain/exaggerate)).

use super::onnx_graph::unet::{ADDED_OUT, TOLD_IN};
use super::pictures::PictureNetwork;
use super::unet::{ADDED, TOLD};
use super::{InferError, InferSettings, bundle};
use crate::cells::CROP_SIDE_PX;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where the shipped network lies.
const SHIPPED: &str = "models/exaggerator";
/// Least light that is told apart from darkness, relative to the background.
const LEAST_LIGHT: f32 = 0.05;

/// How much of each hallmark: natural logarithms of how many times as long pseudopods and as dense granules are to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// Length of every pseudopod.
    pub protrusions: f64,
    /// Density of every granule.
    pub granules: f64,
}

#[derive(Debug, Deserialize)]
struct Own {
    largest_amount: f64,
}

/// A network that is ready to exaggerate.
#[derive(Debug)]
pub struct Exaggerator {
    network: PictureNetwork,
    largest: f64,
}

impl Exaggerator {
    /// The shipped network in the engine that `infer` wants; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Exaggerator::open`].
    pub fn shipped(infer: &InferSettings) -> Result<Option<Self>, InferError> {
        let folder = bundle::find(PathBuf::from(SHIPPED));
        if folder.join(bundle::RDF).is_file() { Self::open(&folder, infer).map(Some) } else { Ok(None) }
    }

    /// The network in a folder in the bioimage.io model format, as `cytowatch train-exaggerator` writes it.
    ///
    /// # Errors
    /// - `bundle_read`, `bundle_description`, `bundle_hash`, `bundle_facts` when the folder is not whole, or holds another model.
    /// - `engine_load`, `library_*` as [`PictureNetwork::open`].
    pub fn open(folder: &Path, infer: &InferSettings) -> Result<Self, InferError> {
        let (bytes, own): (Vec<u8>, Own) = bundle::own_network(folder)?;
        if !(own.largest_amount > 0.0 && own.largest_amount < 10.0) {
            let problem = format!("largest_amount is {}, must lie between 0 and 10", own.largest_amount);
            return Err(InferError::BundleFacts { problem });
        }
        Ok(Self { network: PictureNetwork::open(bytes, (TOLD_IN, &[ADDED_OUT]), infer)?, largest: own.largest_amount })
    }

    /// How far it may be asked to go either way, natural logarithm.
    pub fn largest_amount(&self) -> f64 {
        self.largest
    }

    /// What `light` (`[256, 256]` of a crop, relative to the background) becomes.
    ///
    /// # Errors
    /// - `engine_run` when the engine fails.
    /// - `bundle_network` when the network gives another number of numbers than it must.
    /// - `not_finite` when one of them is none.
    pub fn draw(&self, light: &[f32], amount: Amount) -> Result<Vec<f32>, InferError> {
        let side = CROP_SIDE_PX;
        let logarithms: Vec<f32> = light.iter().map(|light| logarithm(*light)).collect();
        let told = told(&logarithms, side, amount);
        let added = self.network.run([1, TOLD, side / 2, side / 2], &told)?.concat();
        if added.len() != side * side {
            let problem = format!("gives {} numbers for {} pixels", added.len(), side * side);
            return Err(InferError::BundleNetwork { file: "the exaggerator".to_owned(), problem });
        }
        let mut drawn = Vec::with_capacity(side * side);
        for (index, logarithm) in logarithms.iter().enumerate() {
            let (plane, place) = place(index, side);
            let added = added.get(plane * side * side / ADDED + place).copied().unwrap_or(f32::NAN);
            drawn.push((logarithm + added).exp());
        }
        if drawn.iter().all(|light| light.is_finite()) {
            Ok(drawn)
        } else {
            Err(InferError::NotFinite { what: "the exaggerated picture", index: 0 })
        }
    }
}

/// The logarithm of a pixel's light, relative to the background.
pub fn logarithm(light: f32) -> f32 {
    light.max(LEAST_LIGHT).ln()
}

/// What the network is told of `[side, side]` logarithms of light: `[14, side / 2, side / 2]`.
///
/// The four pixels of every 2 x 2 stand in channels of their own, then the same times either amount, then the amounts: a
/// convolution adds, and an amount must multiply.
pub fn told(logarithms: &[f32], side: usize, amount: Amount) -> Vec<f32> {
    let amounts = [amount.protrusions as f32, amount.granules as f32];
    let size = side * side / ADDED;
    let mut told = vec![0.0; TOLD * size];
    let (planes, constant) = told.split_at_mut(3 * ADDED * size);
    for (plane, factor) in planes.chunks_exact_mut(ADDED * size).zip([1.0, amounts[0], amounts[1]]) {
        let parts = apart(logarithms, side);
        plane.iter_mut().zip(parts).for_each(|(told, value)| *told = factor * value);
    }
    for (plane, amount) in constant.chunks_exact_mut(size).zip(amounts) {
        plane.fill(amount);
    }
    told
}

/// `[side, side]` pixels as `[4, side / 2, side / 2]`: the upper left ones of every 2 x 2, the upper right ones, the lower ones.
pub fn apart(pixels: &[f32], side: usize) -> Vec<f32> {
    let mut planes = vec![0.0; pixels.len()];
    for (index, value) in pixels.iter().enumerate() {
        let (plane, place) = place(index, side);
        if let Some(slot) = planes.get_mut(plane * side * side / ADDED + place) {
            *slot = *value;
        }
    }
    planes
}

/// Plane and place there of pixel `index` of `[side, side]`.
fn place(index: usize, side: usize) -> (usize, usize) {
    let (x, y) = (index % side, index / side);
    (2 * (y % 2) + x % 2, y / 2 * (side / 2) + x / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_its_four_pixels_and_what_the_amounts_make_of_them() {
        let pixels: Vec<f32> = (0..16_u8).map(f32::from).collect();
        assert_eq!(apart(&pixels, 4), [0., 2., 8., 10., 1., 3., 9., 11., 4., 6., 12., 14., 5., 7., 13., 15.]);
        let told = told(&pixels, 4, Amount { protrusions: 2.0, granules: -1.0 });
        assert_eq!(told.len(), TOLD * 4);
        assert_eq!(told[..16], apart(&pixels, 4));
        assert_eq!(told[16..20], [0.0, 4.0, 16.0, 20.0]);
        assert_eq!(told[32..36], [0.0, -2.0, -8.0, -10.0]);
        assert_eq!(told[48..], [2.0, 2.0, 2.0, 2.0, -1.0, -1.0, -1.0, -1.0]);
    }
}
