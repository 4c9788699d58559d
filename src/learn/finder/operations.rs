//! The patches of a 3 x 3 convolution as a burn operation with its gradient; see [`operations`](crate::learn::operations)
//! for why burn's own convolution is not used.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

/// Taps of a kernel.
pub(super) const TAPS: usize = 9;

/// What burn does not have in this shape.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Neighbourhood: Backend {
    /// `[b, h, w, c]` to `[b * h * w, 9 c]`.
    fn around(picture: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self>;
    /// `[b * h * w, 9 c]` added up to `[b, h, w, c]`.
    fn added(patches: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self>;
}

type Flat = FloatTensor<Flex>;

impl Neighbourhood for Flex {
    fn around(picture: Flat, shape: [usize; 4]) -> Flat {
        let [batch, height, width, channels] = shape;
        let patches = patches(picture.to_contiguous().storage(), shape);
        Flat::from_data(TensorData::new(patches, vec![batch * height * width, TAPS * channels]))
    }

    fn added(patches: Flat, shape: [usize; 4]) -> Flat {
        Flat::from_data(TensorData::new(sum_of_patches(patches.to_contiguous().storage(), shape), shape.to_vec()))
    }
}

#[derive(Debug)]
struct AroundGradient;

impl Backward<Flex, 1> for AroundGradient {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, Flex::added(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct AddedGradient;

impl Backward<Flex, 1> for AddedGradient {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, Flex::around(gradient, ops.state));
        }
    }
}

impl<C: CheckpointStrategy> Neighbourhood for Autodiff<Flex, C> {
    fn around(picture: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self> {
        match AroundGradient.prepare::<C>([picture.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shape, Flex::around(picture.into_primitive(), shape)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::around(picture.into_primitive(), shape)),
        }
    }

    fn added(patches: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self> {
        match AddedGradient.prepare::<C>([patches.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shape, Flex::added(patches.into_primitive(), shape)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::added(patches.into_primitive(), shape)),
        }
    }
}

/// The 3 x 3 patches of every pixel, zero beyond the edge: `[b * h * w, 9 c]`, over kernel row, kernel column, channel.
pub(super) fn around(picture: Tensor<4>) -> Tensor<2> {
    let shape = picture.dims();
    Tensor::from_dispatch(<Dispatch as Neighbourhood>::around(picture.into_dispatch(), shape))
}

/// For every column of a row of `width` the first and last tap column that lies in the row.
fn span(x: usize, width: usize) -> (usize, usize) {
    (usize::from(x == 0), if x + 1 == width { 2 } else { 3 })
}

fn patches(picture: &[f32], [_, height, width, channels]: [usize; 4]) -> Vec<f32> {
    let line = width * channels;
    let mut patches = vec![0.0; picture.len() * TAPS];
    patches.par_chunks_mut(line * TAPS).enumerate().for_each(|(row, patch_row)| {
        let (image, y) = (row / height, row % height);
        for tap_y in 0..3 {
            let Some(source_y) = (y + tap_y).checked_sub(1).filter(|y| *y < height) else { continue };
            let source = picture.get((image * height + source_y) * line..).unwrap_or_default();
            for (x, patch) in patch_row.chunks_exact_mut(TAPS * channels).enumerate() {
                let (first, last) = span(x, width);
                let target = patch.get_mut((3 * tap_y + first) * channels..(3 * tap_y + last) * channels);
                let source = source.get((x + first - 1) * channels..(x + last - 1) * channels);
                if let (Some(target), Some(source)) = (target, source) {
                    target.copy_from_slice(source);
                }
            }
        }
    });
    patches
}

fn sum_of_patches(patches: &[f32], [batch, height, width, channels]: [usize; 4]) -> Vec<f32> {
    let line = width * channels;
    let mut picture = vec![0.0; batch * height * line];
    picture.par_chunks_mut(line).enumerate().for_each(|(row, target_row)| {
        let (image, y) = (row / height, row % height);
        for tap_y in 0..3 {
            // The patch row whose kernel row `tap_y` lies on this pixel row.
            let Some(patch_y) = (y + 1).checked_sub(tap_y).filter(|y| *y < height) else { continue };
            let source = patches.get((image * height + patch_y) * line * TAPS..).unwrap_or_default();
            for (x, patch) in source.chunks_exact(TAPS * channels).take(width).enumerate() {
                let (first, last) = span(x, width);
                let target = target_row.get_mut((x + first - 1) * channels..(x + last - 1) * channels);
                let source = patch.get((3 * tap_y + first) * channels..(3 * tap_y + last) * channels);
                for (sum, value) in target.into_iter().flatten().zip(source.into_iter().flatten()) {
                    *sum += value;
                }
            }
        }
    });
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_its_neighbours_and_adding_is_its_adjoint() {
        let shape = [2, 3, 4, 2];
        let picture: Vec<f32> = (0..48).map(|i| (i * 37 % 23) as f32 - 11.0).collect();
        let other: Vec<f32> = (0..48 * TAPS).map(|i| (i * 53 % 29) as f32 - 14.0).collect();
        let made = patches(&picture, shape);
        for (row, patch) in made.chunks(TAPS * 2).enumerate() {
            let (image, y, x) = (row / 12, row / 4 % 3, row % 4);
            for (k, value) in patch.iter().enumerate() {
                let (sy, sx) = ((y + k / 6) as isize - 1, (x + k / 2 % 3) as isize - 1);
                let inside = (0..3).contains(&sy) && (0..4).contains(&sx);
                let expected =
                    if inside { picture[((image * 3 + sy as usize) * 4 + sx as usize) * 2 + k % 2] } else { 0.0 };
                assert!((value - expected).abs() < 1e-9, "{row} {k}");
            }
        }
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!((dot(&made, &other) - dot(&picture, &sum_of_patches(&other, shape))).abs() < 1e-3);
    }
}
