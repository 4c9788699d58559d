//! How far the grain of drawn pictures is from that of the pictures they were drawn from.
//!
//! A picture's cross-entropy asks for the mean of all pictures that a descriptor could stand for, and the mean of all grain is
//! none: granules and thin pseudopods are not drawn, however well the descriptor knows them. This loss asks for as much of
//! them as there is, and leaves open where: it compares the [grain](crate::infer::texture) of both pictures, the logarithms of
//! how strongly sixteen patterns answer at four scales, averaged over rings about the middle.

use super::operations::gather;
use crate::cells::CROP_SIDE_PX;
use crate::infer::texture::{self, FLOOR, GROUPS, PAIRS, PARTS, PATTERNS, RING_COUNT, SCALES};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};

/// Mean squared difference of the grain of the pictures with these `logits`, `[batch * side * side]`, to `wanted`,
/// `[batch, GROUPS]`; the logarithms' unit, squared. `side` is the network's working side, px.
pub(super) fn error(logits: Tensor<1>, side: usize, wanted: &[f32]) -> Tensor<1> {
    let device = logits.device();
    let batch = wanted.len() / GROUPS;
    let wanted = Tensor::<2>::from_data(TensorData::new(wanted.to_vec(), [batch, GROUPS]), &device);
    let mut drawn = sigmoid(logits).reshape([batch, side, side, 1]);
    if side == CROP_SIDE_PX {
        drawn = halved(drawn);
    }
    let difference = of_halves(drawn) - wanted;
    (difference.clone() * difference).mean()
}

/// Means of 2 x 2 pixels of `pictures`, `[batch, side, side, 1]`.
fn halved(pictures: Tensor<4>) -> Tensor<4> {
    let [batch, side, _, _] = pictures.dims();
    let half = side / 2;
    pictures.reshape([batch * half, 2, half, 2]).mean_dim(3).mean_dim(1).reshape([batch, half, half, 1])
}

/// What [`texture::grain`] gives for each of `pictures`, `[batch, 128, 128, 1]`, as `[batch, GROUPS]`.
fn of_halves(mut pictures: Tensor<4>) -> Tensor<2> {
    let device = pictures.device();
    let (patterns, pairs) = (patterns(&device), pairs(&device));
    let mut scales = Vec::with_capacity(SCALES);
    for scale in 0..SCALES {
        if scale > 0 {
            pictures = halved(pictures);
        }
        let [batch, side, _, _] = pictures.dims();
        let places = side / 2 * (side / 2);
        let answers = (gather(pictures.clone()).matmul(patterns.clone()).abs() + FLOOR).log().matmul(pairs.clone());
        let by_pair = answers.reshape([batch, places, PAIRS]).swap_dims(1, 2).reshape([batch * PAIRS, places]);
        scales.push(by_pair.matmul(rings(side / 2, &device)).reshape([batch, PAIRS * RING_COUNT]));
    }
    Tensor::cat(scales, 1)
}

/// The patterns as columns, `[16, PATTERNS]`.
fn patterns(device: &Device) -> Tensor<2> {
    Tensor::<2>::from_data(TensorData::new(texture::patterns(), [PATTERNS, PATTERNS]), device).transpose()
}

/// Averages over the patterns that differ by a transpose, `[PATTERNS, PAIRS]`.
fn pairs(device: &Device) -> Tensor<2> {
    let pair = |pattern: usize| texture::group(pattern * PARTS * PARTS) / RING_COUNT;
    averaging(&(0..PATTERNS).map(pair).collect::<Vec<_>>(), PAIRS, device)
}

/// Averages over the rings of parts, `[side * side, RING_COUNT]`, for `side` answers along a side.
fn rings(side: usize, device: &Device) -> Tensor<2> {
    let per_part = (side / PARTS).max(1);
    let ring = |at: usize| texture::group(at / side / per_part * PARTS + at % side / per_part) % RING_COUNT;
    averaging(&(0..side * side).map(ring).collect::<Vec<_>>(), RING_COUNT, device)
}

/// `[members.len(), groups]`: one over the size of its group in the column of every member's group.
fn averaging(members: &[usize], groups: usize, device: &Device) -> Tensor<2> {
    let size = |group: usize| members.iter().filter(|member| **member == group).count().max(1) as f32;
    let sizes: Vec<f32> = (0..groups).map(size).collect();
    let row = |member: usize| {
        let sizes = &sizes;
        (0..groups)
            .map(move |group| if group == member { sizes.get(group).map_or(0.0, |size| 1.0 / size) } else { 0.0 })
    };
    let weights: Vec<f32> = members.iter().flat_map(|member| row(*member)).collect();
    Tensor::from_data(TensorData::new(weights, [members.len(), groups]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 128;

    fn pictures() -> Vec<f32> {
        let pixel = |i: usize| 0.2 + 0.6 * ((i * i % 977) as f32 / 977.0).powi(2);
        (0..2 * SIDE * SIDE).map(pixel).collect()
    }

    fn logits(pictures: &[f32], device: &Device) -> Tensor<1> {
        let logits: Vec<f32> = pictures.iter().map(|p| (p / (1.0 - p)).ln()).collect();
        let count = logits.len();
        Tensor::from_data(TensorData::new(logits, [count]), device)
    }

    #[test]
    fn grain_of_tensors_is_the_grain_of_pictures() {
        let pictures = pictures();
        let tensor = Tensor::<1>::from_data(TensorData::new(pictures.clone(), [pictures.len()]), &Device::flex());
        let found: Vec<f32> = of_halves(tensor.reshape([2, SIDE, SIDE, 1])).into_data().try_into_vec().unwrap();
        let wanted: Vec<f32> = pictures.chunks(SIDE * SIDE).flat_map(texture::grain).collect();
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(&wanted) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn following_the_gradient_gives_a_flat_picture_the_wanted_grain() {
        let device = Device::flex().autodiff();
        let wanted: Vec<f32> = pictures().chunks(SIDE * SIDE).flat_map(texture::grain).collect();
        // Nearly flat: a flat picture's grain has no direction to grow in.
        let mut pixels: Vec<f32> = (0..2 * SIDE * SIDE).map(|i| 0.4 + 0.01 * ((i % 89) as f32 / 89.0)).collect();
        let mut errors = Vec::new();
        for _ in 0..60 {
            let leaf = logits(&pixels, &device).require_grad();
            let error = error(leaf.clone(), SIDE, &wanted);
            let gradients = error.backward();
            let slope: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
            errors.push(error.into_data().try_into_vec::<f32>().unwrap()[0]);
            for (pixel, slope) in pixels.iter_mut().zip(slope) {
                *pixel = (*pixel - 0.02 * slope.signum()).clamp(0.02, 0.98);
            }
        }
        let (first, last) = (errors[0], errors[59]);
        println!("{first} -> {last}");
        assert!(last < 0.3 * first, "{errors:?}");
    }
}
