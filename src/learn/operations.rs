//! The layers as burn operations, with their gradients: the only file that knows burn's backends.
//!
//! burn's own convolution and batch norm would do; on a CPU they cost several times more passes over memory than these.
//! Each operation here is one node of burn's graph whose forward and backward run the [`kernels`](super::kernels); the
//! matrix products between them stay burn's. Tensors on a graphics processor go through [`composed`](super::composed) instead.

use super::composed;
use super::kernels::{self, Norm};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

/// A batch norm's output and the batch's own moments.
#[derive(ExtensionType)]
pub(super) struct Normed<B: Backend> {
    output: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
}

/// The operations of the autoencoder that burn does not have in this shape.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Layers: Backend {
    /// `[b, h, w, c]` to `[b * h/2 * w/2, 16 c]`.
    fn gather(picture: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self>;
    /// `[b * h/2 * w/2, 16 c]` to `[b, h, w, c]`.
    fn scatter(patches: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self>;
    /// Batch norm by the batch's own moments, then `PReLU`, on `[rows, c]`; gain and bias `[c]`, slope `[1]`.
    fn norm(
        values: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
    ) -> Normed<Self>;
    /// Mean binary cross-entropy of the logits' sigmoid against constant targets, `[1]`.
    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// A contiguous copy (or the same) of a backend's tensor.
type Flat = FloatTensor<Flex>;

fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> Flat {
    Flat::from_data(TensorData::new(values, shape.into()))
}

impl Layers for Flex {
    fn gather(picture: Flat, shape: [usize; 4]) -> Flat {
        let [batch, height, width, channels] = shape;
        let picture = picture.to_contiguous();
        tensor(kernels::gather(picture.storage(), shape), [batch * height / 2 * (width / 2), 16 * channels])
    }

    fn scatter(patches: Flat, shape: [usize; 4]) -> Flat {
        tensor(kernels::scatter(patches.to_contiguous().storage(), shape), shape)
    }

    fn norm(values: Flat, gain: Flat, bias: Flat, slope: Flat) -> Normed<Self> {
        let values = values.to_contiguous();
        let (gain, bias) = (gain.to_contiguous(), bias.to_contiguous());
        let channels = gain.storage::<f32>().len();
        let (mean, variance) = kernels::moments(values.storage(), channels);
        let norm =
            Norm { mean: &mean, variance: &variance, gain: gain.storage(), bias: bias.storage(), slope: first(&slope) };
        let output = norm.forward(values.storage());
        let rows = output.len() / channels;
        Normed {
            output: tensor(output, [rows, channels]),
            mean: tensor(mean, [channels]),
            variance: tensor(variance, [channels]),
        }
    }

    fn cross_entropy(logits: Flat, targets: Flat) -> Flat {
        let (logits, targets) = (logits.to_contiguous(), targets.to_contiguous());
        tensor(vec![kernels::cross_entropy(logits.storage(), targets.storage())], [1])
    }
}

/// The number of a one-number tensor.
fn first(tensor: &Flat) -> f32 {
    tensor.to_contiguous().storage().first().copied().unwrap_or_default()
}

#[derive(Debug)]
struct GatherGradient;

impl Backward<Flex, 1> for GatherGradient {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, Flex::scatter(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct ScatterGradient;

impl Backward<Flex, 1> for ScatterGradient {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, Flex::gather(gradient, ops.state));
        }
    }
}

/// What the norm's gradient needs: values, gain, bias, slope, mean, variance.
type NormState = (Flat, Flat, Flat, Flat, Flat, Flat);

#[derive(Debug)]
struct NormGradient;

impl Backward<Flex, 4> for NormGradient {
    type State = NormState;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (values, gain, bias, slope, mean, variance) = ops.state;
        let norm = Norm {
            mean: mean.storage(),
            variance: variance.storage(),
            gain: gain.storage(),
            bias: bias.storage(),
            slope: first(&slope),
        };
        let channels = gain.storage::<f32>().len();
        let (input, gains, biases, slopes) = norm.backward(values.storage(), gradient.storage());
        let rows = input.len() / channels;
        let all = [
            tensor(input, [rows, channels]),
            tensor(gains, [channels]),
            tensor(biases, [channels]),
            tensor(vec![slopes], [1]),
        ];
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct CrossEntropyGradient;

impl Backward<Flex, 1> for CrossEntropyGradient {
    type State = (Flat, Flat);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let scale = first(&grads.consume::<Flex>(&ops.node));
        let (logits, targets) = ops.state;
        if let [Some(parent)] = ops.parents {
            let gradient = kernels::cross_entropy_gradient(logits.storage(), targets.storage(), scale);
            let shape = logits.layout().shape().to_vec();
            grads.register::<Flex>(parent.id, tensor(gradient, shape));
        }
    }
}

impl<C: CheckpointStrategy> Layers for Autodiff<Flex, C> {
    fn gather(picture: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self> {
        match GatherGradient.prepare::<C>([picture.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shape, Flex::gather(picture.into_primitive(), shape)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::gather(picture.into_primitive(), shape)),
        }
    }

    fn scatter(patches: FloatTensor<Self>, shape: [usize; 4]) -> FloatTensor<Self> {
        match ScatterGradient.prepare::<C>([patches.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shape, Flex::scatter(patches.into_primitive(), shape)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::scatter(patches.into_primitive(), shape)),
        }
    }

    fn norm(
        values: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
    ) -> Normed<Self> {
        let nodes = [values.node(), gain.node(), bias.node(), slope.node()];
        let [values, gain, bias, slope] =
            [values, gain, bias, slope].map(|tensor| tensor.into_primitive().to_contiguous());
        let normed = Flex::norm(values.clone(), gain.clone(), bias.clone(), slope.clone());
        let (mean, variance) = (normed.mean, normed.variance);
        let output = match NormGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((values, gain, bias, slope, mean.clone(), variance.clone()), normed.output)
            }
            OpsKind::UnTracked(prep) => prep.finish(normed.output),
        };
        Normed { output, mean: FloatTensor::<Self>::new(mean), variance: FloatTensor::<Self>::new(variance) }
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = logits.node();
        let (logits, targets) = (logits.into_primitive().to_contiguous(), targets.into_primitive().to_contiguous());
        let output = Flex::cross_entropy(logits.clone(), targets.clone());
        match CrossEntropyGradient.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((logits, targets), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// Whether a tensor of this device lies where the kernels can read it; devices are the same with and without gradients.
fn has_kernels(device: &Device) -> bool {
    *device == Device::flex()
}

/// `[b, h, w, c]` to `[b * h/2 * w/2, 16 c]`: the patches that a 4 x 4 convolution of stride 2 multiplies.
pub(super) fn gather(picture: Tensor<4>) -> Tensor<2> {
    if !has_kernels(&picture.device()) {
        return composed::gather(picture);
    }
    let shape = picture.dims();
    Tensor::from_dispatch(<Dispatch as Layers>::gather(picture.into_dispatch(), shape))
}

/// `[b * h/2 * w/2, 16 c]` added up to the picture of `shape`.
pub(super) fn scatter(patches: Tensor<2>, shape: [usize; 4]) -> Tensor<4> {
    if !has_kernels(&patches.device()) {
        return composed::scatter(patches, shape);
    }
    Tensor::from_dispatch(<Dispatch as Layers>::scatter(patches.into_dispatch(), shape))
}

/// Batch norm by the batch's own moments, then `PReLU`, on `[rows, c]`; also gives the moments.
pub(super) fn norm(
    values: Tensor<2>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    slope: Tensor<1>,
) -> (Tensor<2>, Tensor<1>, Tensor<1>) {
    if !has_kernels(&values.device()) {
        return composed::norm(values, gain, bias, slope);
    }
    let normed = <Dispatch as Layers>::norm(
        values.into_dispatch(),
        gain.into_dispatch(),
        bias.into_dispatch(),
        slope.into_dispatch(),
    );
    let (mean, variance) = (Tensor::from_dispatch(normed.mean), Tensor::from_dispatch(normed.variance));
    (Tensor::from_dispatch(normed.output), mean, variance)
}

/// Mean binary cross-entropy of the logits' sigmoid against constant targets of the same shape.
pub(super) fn cross_entropy<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<1> {
    if !has_kernels(&logits.device()) {
        return composed::cross_entropy(logits, targets);
    }
    Tensor::from_dispatch(<Dispatch as Layers>::cross_entropy(logits.into_dispatch(), targets.into_dispatch()))
}

/// `[rows, inner]` times `[inner, columns]`, without gradients.
pub(super) fn product(left: Vec<f32>, inner: usize, right: &[f32], columns: usize) -> Vec<f32> {
    let device = Device::flex();
    let rows = left.len() / inner.max(1);
    let left = Tensor::<2>::from_data(TensorData::new(left, [rows, inner]), &device);
    let right = Tensor::<2>::from_data(TensorData::new(right.to_vec(), [inner, columns]), &device);
    left.matmul(right).into_data().try_into_vec().unwrap_or_default()
}
