//! What the files of a bundle must promise before an engine sees them.

use super::super::onnx_graph::{self, CROP, LATENT};
use super::super::validity::Guard;
use super::super::{InferError, LATENT_LEN};
use super::facts::Facts;
use crate::cells::CROP_SIDE_PX;

const SIDE: i64 = CROP_SIDE_PX as i64;
const CROP_SHAPE: [i64; 3] = [1, SIDE, SIDE];
const LATENT_SHAPE: [i64; 1] = [LATENT_LEN as i64];

/// Checks that `bytes` are an encoder by the contract.
pub(super) fn check_encoder(file: &str, bytes: &[u8]) -> Result<(), InferError> {
    check(file, bytes, (CROP, &CROP_SHAPE), (LATENT, &LATENT_SHAPE))
}

/// Checks that `bytes` are a decoder by the contract.
pub(super) fn check_decoder(file: &str, bytes: &[u8]) -> Result<(), InferError> {
    check(file, bytes, (LATENT, &LATENT_SHAPE), (CROP, &CROP_SHAPE))
}

/// Checks the numbers that score and judge descriptors.
pub(super) fn check_facts(facts: &Facts) -> Result<(), InferError> {
    Guard::new(&facts.latent, &facts.validity)?;
    let wrong = |problem: &str| Err(InferError::BundleFacts { problem: problem.to_owned() });
    if !facts.discriminant.is_sound() {
        return wrong("discriminant must have 56 finite weights and a finite bias");
    }
    if facts.state.is_some_and(|it| !it.is_sound()) {
        return wrong("the weights of state must be finite");
    }
    if facts.measured.iter().any(|m| !(m.low <= m.value && m.value <= m.high)) {
        return wrong("measured values must lie inside their intervals");
    }
    Ok(())
}

fn check(file: &str, bytes: &[u8], input: (&str, &[i64]), output: (&str, &[i64])) -> Result<(), InferError> {
    let wrong = |problem: String| Err(InferError::BundleNetwork { file: file.to_owned(), problem });
    let Some(promise) = onnx_graph::promise(bytes) else {
        return wrong("is not a complete ONNX model".to_owned());
    };
    if let Some(weight) = promise.bad_weight {
        return wrong(format!("has NaN, infinite or external numbers in {weight}"));
    }
    for (kind, found, wanted) in [("input", &promise.inputs, input), ("output", &promise.outputs, output)] {
        let fits = matches!(found.as_slice(), [(name, shape)] if name == wanted.0 && is_batch_of(shape, wanted.1));
        if !fits {
            return wrong(format!("has {kind} {found:?}, must have {} [N, {:?}]", wanted.0, wanted.1));
        }
    }
    Ok(())
}

fn is_batch_of(shape: &[Option<i64>], item: &[i64]) -> bool {
    let rest = shape.strip_prefix(&[None]).unwrap_or_default();
    rest.len() == item.len() && rest.iter().zip(item).all(|(found, wanted)| *found == Some(*wanted))
}
