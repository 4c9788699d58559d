//! The autoencoder's layers put together from burn's own operations, for every backend that the
//! [`operations`](super::operations) have no kernels for: graphics processors.
//!
//! Same shapes and same formulas as there; burn finds the gradients. On the CPU these cost several times the passes over memory
//! that the kernels do, and serve to check them.

use super::kernels::EPSILON;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::ops::PadMode;

/// Rows and columns of a kernel.
const TAPS: usize = 4;

/// `[b, h, w, c]` to `[b * h/2 * w/2, 16 c]`, height and width even.
pub(super) fn gather(picture: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = picture.dims();
    // One pixel of zeros before, as the patches want it; two behind, so that the last tap's rows can be taken in pairs.
    let padded = picture.pad([(0, 0), (1, 2), (1, 2), (0, 0)], PadMode::Constant(0.0));
    let tap = |number: usize| -> Tensor<4> {
        let (y, x) = (number / TAPS, number % TAPS);
        let shifted = padded.clone().slice([0..batch, y..y + height, x..x + width, 0..channels]);
        let pairs: Tensor<6> = shifted.reshape([batch, height / 2, 2, width / 2, 2, channels]);
        let first = pairs.slice([0..batch, 0..height / 2, 0..1, 0..width / 2, 0..1, 0..channels]);
        first.reshape([batch, height / 2, width / 2, channels])
    };
    let taps = (0..TAPS * TAPS).map(tap).collect();
    Tensor::cat(taps, 3).reshape([batch * (height / 2) * (width / 2), TAPS * TAPS * channels])
}

/// `[b * h/2 * w/2, 16 c]` added up to `[b, h, w, c]`.
pub(super) fn scatter(patches: Tensor<2>, [batch, height, width, channels]: [usize; 4]) -> Tensor<4> {
    let (rows, columns) = (height / 2, width / 2);
    let patches: Tensor<4> = patches.reshape([batch, rows, columns, TAPS * TAPS * channels]);
    // In the picture with a pixel around it, pixel 2 i + k is tap k of patch i, and tap k + 2 of the patch before.
    let moved = |y: usize, x: usize| {
        let from = (y * TAPS + x) * channels;
        let tap = patches.clone().slice([0..batch, 0..rows, 0..columns, from..from + channels]);
        let behind = |k: usize| (k / 2, 1 - k / 2);
        tap.pad([(0, 0), behind(y), behind(x), (0, 0)], PadMode::Constant(0.0))
    };
    let quarter = |y: usize, x: usize| moved(y, x) + moved(y, x + 2) + moved(y + 2, x) + moved(y + 2, x + 2);
    let line = |y: usize| -> Tensor<4> {
        Tensor::stack::<5>(vec![quarter(y, 0), quarter(y, 1)], 3).reshape([batch, rows + 1, width + 2, channels])
    };
    let all: Tensor<4> =
        Tensor::stack::<5>(vec![line(0), line(1)], 2).reshape([batch, height + 2, width + 2, channels]);
    all.slice([0..batch, 1..height + 1, 1..width + 1, 0..channels])
}

/// Batch norm by the batch's own moments, then `PReLU`, on `[rows, c]`; also gives the moments.
pub(super) fn norm(
    values: Tensor<2>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    slope: Tensor<1>,
) -> (Tensor<2>, Tensor<1>, Tensor<1>) {
    let [_, channels] = values.dims();
    let mean = values.clone().mean_dim(0);
    let centred = values - mean.clone();
    let variance = (centred.clone() * centred.clone()).mean_dim(0);
    let scaled = centred / (variance.clone() + EPSILON).sqrt() * gain.reshape([1, channels]);
    let output = scaled + bias.reshape([1, channels]);
    let output = relu(output.clone()) - relu(output.neg()) * slope.reshape([1, 1]);
    (output, mean.detach().reshape([channels]), variance.detach().reshape([channels]))
}

/// Mean binary cross-entropy of the logits' sigmoid against constant targets of the same shape.
pub(super) fn cross_entropy<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<1> {
    // The logarithm of the sigmoid without its overflow.
    let far = logits.clone().abs().neg().exp().log1p();
    (relu(logits.clone()) - logits * targets + far).mean()
}

#[cfg(test)]
mod tests {
    use crate::learn::{composed, operations};
    use burn::tensor::{Device, Tensor, TensorData};

    /// Values, gain, bias, slope to output, mean, variance.
    type Norm = fn(Tensor<2>, Tensor<1>, Tensor<1>, Tensor<1>) -> (Tensor<2>, Tensor<1>, Tensor<1>);

    /// Numbers that look random, -1..1.
    fn numbers(len: usize, seed: f32) -> Vec<f32> {
        (0..len).map(|i| 2.0 * ((i as f32 + seed) * 0.754_877_7).fract() - 1.0).collect()
    }

    fn leaf<const D: usize>(shape: [usize; D], seed: f32) -> Tensor<D> {
        let values = numbers(shape.iter().product(), seed);
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn alike(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 2e-5, "{apart}");
    }

    /// What both ways give and which gradient they leave on their input, for a loss that weighs every number of the output differently.
    fn compare<const D: usize, const O: usize>(
        shape: [usize; D],
        ours: impl Fn(Tensor<D>) -> Tensor<O>,
        burns: impl Fn(Tensor<D>) -> Tensor<O>,
    ) {
        let run = |layer: &dyn Fn(Tensor<D>) -> Tensor<O>| {
            let input = leaf(shape, 3.0);
            let output = layer(input.clone());
            let weights = Tensor::from_data(
                TensorData::new(numbers(output.dims().iter().product(), 11.0), output.dims()),
                &output.device(),
            );
            let gradients = (output.clone() * weights).sum().backward();
            (values(output), values(input.grad(&gradients).unwrap()))
        };
        let ((output, gradient), (output_too, gradient_too)) = (run(&ours), run(&burns));
        alike(&output, &output_too);
        alike(&gradient, &gradient_too);
    }

    #[test]
    fn layers_from_burns_operations_give_what_the_kernels_give_forward_and_backward() {
        compare([2, 6, 8, 3], operations::gather, composed::gather);
        let shape = [2, 6, 8, 3];
        compare([2 * 3 * 4, 48], |it| operations::scatter(it, shape), |it| composed::scatter(it, shape));
        let norm = |way: Norm| move |it: Tensor<2>| way(it, leaf([5], 1.0), leaf([5], 2.0), leaf([1], 4.0)).0;
        compare([24, 5], norm(operations::norm), norm(composed::norm));
        let targets = || Tensor::from_data(TensorData::new(vec![0.3_f32; 20], [20]), &Device::flex().autodiff());
        compare(
            [20],
            |it: Tensor<1>| operations::cross_entropy(it * 30.0, targets()),
            |it| composed::cross_entropy(it * 30.0, targets()),
        );
    }

    #[test]
    fn norms_from_burns_operations_leave_the_kernels_gradients_on_their_own_numbers() {
        let run = |way: Norm| {
            let (gain, bias, slope) = (leaf([5], 1.0), leaf([5], 2.0), leaf([1], 4.0));
            let (output, mean, variance) = way(leaf([24, 5], 3.0), gain.clone(), bias.clone(), slope.clone());
            let gradients = (output.clone() * output).sum().backward();
            let of = |leaf: &Tensor<1>| values(leaf.grad(&gradients).unwrap());
            [of(&gain), of(&bias), of(&slope), values(mean), values(variance)]
        };
        for (a, b) in run(operations::norm).iter().zip(run(composed::norm)) {
            alike(a, &b);
        }
    }
}
