//! What the autoencoder promises.

use super::*;

/// Bright discs at changing places, `[count, side, side]`.
fn discs(count: usize, side: usize) -> Vec<f32> {
    let disc = |n: usize| {
        let (cx, cy) = (0.3 + 0.4 * (n as f32 * 0.37).fract(), 0.3 + 0.4 * (n as f32 * 0.61).fract());
        let radius = 0.1 + 0.1 * (n as f32 * 0.23).fract();
        (0..side * side).map(move |i| {
            let (x, y) = ((i % side) as f32 / side as f32, (i / side) as f32 / side as f32);
            if (x - cx).hypot(y - cy) < radius { 0.9 } else { 0.2 }
        })
    };
    (0..count).flat_map(disc).collect()
}

fn noise(count: usize) -> Vec<f32> {
    (0..count * LATENT_LEN).map(|i| ((i as f32 * 0.754_877).fract() - 0.5) * 3.4).collect()
}

fn batch<'a>(pictures: &'a [f32], noise: &'a [f32]) -> Batch<'a> {
    let count = noise.len() / LATENT_LEN;
    Batch { pictures, noise, labels: &[1.0; 64][..count], tied: &[0.5; 128][..count * READ] }
}

const SETTINGS: StepSettings =
    StepSettings { learning_rate: 2e-4, adversarial_weight: 1.0, label_weight: 0.1, momentum: 0.1 };

#[test]
fn the_papers_network_has_the_papers_counts() {
    let (halves, adversary) = Autoencoder::new(AutoencoderSpec::new(4, 1).unwrap(), 1).parameter_counts();
    let spec = AutoencoderSpec::new(4, 1).unwrap();
    assert_eq!(halves, spec.encoder_parameters() + spec.decoder_parameters());
    assert_eq!(adversary, 1_636_353);
}

#[test]
fn training_learns_and_repeats_itself() {
    let spec = AutoencoderSpec::new(4, 2).unwrap();
    let pictures = discs(8, spec.working_side_px());
    let train = || {
        let mut net = Autoencoder::new(spec, 7);
        let losses: Vec<Losses> = (0..30)
            .map(|_| net.step(batch(&pictures, &noise(8)), StepSettings { learning_rate: 2e-3, ..SETTINGS }))
            .collect();
        (net, losses)
    };
    let (net, losses) = train();
    let (again, losses_again) = train();
    println!("{:?} -> {:?}", losses[0], losses[29]);
    assert!(losses[29].reconstruction < 0.9 * losses[0].reconstruction, "{losses:?}");
    assert_eq!(losses, losses_again);
    assert!(net == again);
}

#[test]
fn every_layers_gradient_is_the_difference_quotient_of_the_loss() {
    let spec = AutoencoderSpec::new(2, 2).unwrap();
    let pictures = discs(6, spec.working_side_px());
    let still = StepSettings { learning_rate: 0.0, adversarial_weight: 0.0, label_weight: 0.0, momentum: 0.0 };
    let loss = |net: &Autoencoder| f64::from(net.clone().step(batch(&pictures, &noise(6)), still).reconstruction);
    // Some steps first: at the very start the decoder ignores the descriptor, and all encoder gradients are about 0.
    let mut net = Autoencoder::new(spec, 7);
    for _ in 0..60 {
        net.step(batch(&pictures, &noise(6)), StepSettings { learning_rate: 5e-3, adversarial_weight: 0.0, ..still });
    }
    let mut fresh = Autoencoder::new(spec, 7);
    for (to, from) in fresh.halves.arrays_mut().zip(net.halves.arrays_mut()).step_by(3) {
        to.clone_from(from);
    }
    let mut stepped = fresh.clone();
    stepped.step(batch(&pictures, &noise(6)), still);
    for index in 0..fresh.halves.list().len() {
        let gradient: Vec<f32> = stepped.halves.first_moment(index).iter().map(|first| 10.0 * first).collect();
        let at = (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs())).unwrap();
        let moved = |by: f32| {
            let mut net = fresh.clone();
            net.halves.arrays_mut().nth(3 * index).unwrap()[at] += by;
            loss(&net)
        };
        let numeric = (moved(2e-2) - moved(-2e-2)) / 4e-2;
        let exact = f64::from(gradient[at]);
        let name = &fresh.halves.list()[index].name;
        println!("{name}: {exact:.6} {numeric:.6}");
        assert!((numeric - exact).abs() < 0.25 * exact.abs() + 2e-4, "{name}: {exact} {numeric}");
    }
}

#[test]
fn the_descriptor_carries_the_picture() {
    let spec = AutoencoderSpec::new(4, 2).unwrap();
    let side = spec.working_side_px();
    let pictures = discs(8, side);
    let mut net = Autoencoder::new(spec, 7);
    let settings = StepSettings { learning_rate: 3e-3, adversarial_weight: 0.0, label_weight: 0.0, momentum: 0.1 };
    let mut last = 0.0;
    for _ in 0..150 {
        last = net.step(batch(&pictures, &noise(8)), settings).reconstruction;
    }
    // What the best picture that is the same for all cells would reach.
    let same: Vec<f32> =
        (0..side * side).map(|i| pictures.iter().skip(i).step_by(side * side).sum::<f32>() / 8.0).collect();
    let entropy = |p: f32, t: f32| -(t * p.ln() + (1.0 - t) * (1.0 - p).ln());
    let flat = pictures.iter().enumerate().map(|(i, t)| entropy(same[i % (side * side)], *t)).sum::<f32>()
        / pictures.len() as f32;
    let floor = pictures.iter().map(|t| entropy(*t, *t)).sum::<f32>() / pictures.len() as f32;
    println!("same for all {flat:.4}, floor {floor:.4}, reached {last:.4}");
    assert!(last < flat - 0.5 * (flat - floor), "same for all {flat}, floor {floor}, reached {last}");
}

#[cfg(feature = "gpu")]
#[test]
fn a_graphics_processor_trains_as_the_cpu_does() {
    use crate::learn::processor::{Processor, Wanted};
    let Ok(processor) = Processor::choose(Wanted::Gpu) else {
        eprintln!("skipped: there is no graphics processor, nor a driver that imitates one");
        return;
    };
    println!("on {}", processor.name());
    let spec = AutoencoderSpec::new(4, 2).unwrap();
    let pictures = discs(8, spec.working_side_px());
    let train = |processor: Processor| {
        let mut net = Autoencoder::new(spec, 7).on(processor);
        (0..5).map(|_| net.step(batch(&pictures, &noise(8)), SETTINGS)).collect::<Vec<Losses>>()
    };
    // The first losses differ by rounding alone; Adam's first steps, as long for a small gradient as for a large one, then part the
    // two nets a little.
    for (step, (cpu, gpu)) in train(Processor::cpu()).iter().zip(train(processor)).enumerate() {
        println!("{cpu:?}\n{gpu:?}");
        let tolerance = if step == 0 { 1e-4 } else { 2e-2 };
        for (cpu, gpu) in [
            (cpu.reconstruction, gpu.reconstruction),
            (cpu.deception, gpu.deception),
            (cpu.adversary, gpu.adversary),
            (cpu.label, gpu.label),
        ] {
            assert!((cpu - gpu).abs() < tolerance * cpu.abs().max(1.0), "{cpu} {gpu}");
        }
    }
}
