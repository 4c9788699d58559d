//! The mean of networks that were taught further from one and the same: their weights still lie close together, and what each of
//! them learned too much of its own pictures cancels out.

use crate::infer::unet::{Layer, UnetWeights};

/// The network whose every weight is the mean of that of `networks`; `None` of none, or when they are not of one size.
pub(super) fn of(networks: &[UnetWeights]) -> Option<UnetWeights> {
    let (first, rest) = networks.split_first()?;
    let mut mean = first.clone();
    for other in rest {
        if other.steps != mean.steps || other.layers.len() != mean.layers.len() {
            return None;
        }
        for (sum, layer) in mean.layers.iter_mut().zip(&other.layers) {
            for (sum, numbers) in numbers_of(sum).into_iter().zip(numbers_of(&mut layer.clone())) {
                sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += *number);
            }
            sum.slope = sum.slope.zip(layer.slope).map(|(sum, slope)| sum + slope);
        }
    }
    let share = 1.0 / networks.len() as f32;
    for layer in &mut mean.layers {
        numbers_of(layer).into_iter().flatten().for_each(|number| *number *= share);
        layer.slope = layer.slope.map(|slope| slope * share);
    }
    Some(mean)
}

/// What a layer was taught, its batch norm folded into it.
fn numbers_of(layer: &mut Layer) -> [&mut Vec<f32>; 2] {
    [&mut layer.kernel, &mut layer.norm.bias]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::onnx_graph::unet as onnx;
    use crate::learn::finder::task;
    use crate::learn::unet::Network;

    #[test]
    fn a_mean_lies_half_way_and_that_of_one_network_is_itself() {
        let network = |width: usize, seed: u64| {
            onnx::read_finder(&onnx::finder(&Network::new(task(width), seed).weights()).unwrap()).unwrap()
        };
        let (a, b) = (network(4, 1), network(4, 2));
        assert_eq!(of(std::slice::from_ref(&a)).unwrap(), a);
        let mean = of(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(mean, of(&[b.clone(), a.clone()]).unwrap());
        let kernels = |weights: &UnetWeights| weights.layers.iter().flat_map(|layer| layer.kernel.clone()).collect();
        let [mean, first, second]: [Vec<f32>; 3] = [kernels(&mean), kernels(&a), kernels(&b)];
        assert_ne!(first, second);
        let half_way: Vec<f32> = first.iter().zip(second).map(|(a, b)| 0.5 * (a + b)).collect();
        assert_eq!(mean, half_way);
        assert!(of(&[a, network(8, 1)]).is_none() && of(&[]).is_none());
    }
}
