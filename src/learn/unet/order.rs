//! Kernels from one order into another: `[tap, in, out]` as they are trained, and as an ONNX file wants them.

use crate::infer::unet::Step;

/// `[tap, in, out]` to `[tap, out, in]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * inputs * outputs numbers")]
pub(super) fn turned(kernel: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let place = |at: usize| (at / (inputs * outputs) * inputs + at % inputs) * outputs + at / inputs % outputs;
    (0..kernel.len()).map(|at| kernel[place(at)]).collect()
}

/// `[tap, in, out]` as the file wants it: `[out, in, tap]`, of a transposed convolution `[in, out, tap]`.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * inputs * outputs numbers")]
pub(super) fn for_file(step: Step, kernel: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let taps = kernel.len() / (inputs * outputs).max(1);
    let place = |at: usize| {
        let (tap, pair) = (at % taps, at / taps);
        let (input, output) = match step {
            Step::Up(..) => (pair / outputs, pair % outputs),
            _ => (pair % inputs, pair / inputs),
        };
        (tap * inputs + input) * outputs + output
    };
    (0..kernel.len()).map(|at| kernel[place(at)]).collect()
}

/// The other way round.
#[expect(clippy::indexing_slicing, reason = "the kernel holds taps * inputs * outputs numbers")]
pub(super) fn from_file(step: Step, kernel: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let taps = kernel.len() / (inputs * outputs).max(1);
    let place = |at: usize| {
        let (tap, input, output) = (at / (inputs * outputs), at / outputs % inputs, at % outputs);
        let pair = if matches!(step, Step::Up(..)) { input * outputs + output } else { output * inputs + input };
        pair * taps + tap
    };
    (0..kernel.len()).map(|at| kernel[place(at)]).collect()
}
