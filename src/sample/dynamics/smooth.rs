//! Forward-backward over one track: exact probabilities of the two states, the cell's offset integrated over.

use super::{Dynamics, LogitAt, Side};

/// Nodes of a standard normal variable, so close that a cell of little noise finds one near its own offset.
const NODES: usize = 25;
/// They reach so many standard deviations to either side.
const REACH_SD: f64 = 2.4;

fn nodes() -> [f64; NODES] {
    std::array::from_fn(|number| REACH_SD * (2.0 * number as f64 / (NODES - 1) as f64 - 1.0))
}

/// Something for low and for high.
type Two = [f64; 2];
/// Something by the state before (row) and after (column).
type Pair = [Two; 2];

/// One offset's pass over the track.
#[derive(Debug, Clone)]
struct Pass {
    offset: f64,
    /// Weight of this offset given the whole track; the weights of all passes add up to 1.
    weight: f64,
    forward: Vec<Two>,
    backward: Vec<Two>,
    /// Step `i` leads from frame `i` to frame `i + 1`.
    steps: Vec<Pair>,
}

/// All passes over one track.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    passes: [Pass; NODES],
    means: Two,
    frames: usize,
}

impl Chain {
    pub(super) fn run(dynamics: &Dynamics, frames: &[LogitAt]) -> Self {
        let runs = nodes().map(|node| {
            let (mut pass, log_likelihood) = forward(dynamics, frames, node * dynamics.offset_sd);
            backward(&mut pass);
            (pass, log_likelihood - 0.5 * node * node)
        });
        let largest = runs.iter().map(|run| run.1).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = runs.iter().map(|run| (run.1 - largest).exp()).sum();
        let passes = runs.map(|(pass, log)| Pass { weight: (log - largest).exp() / total, ..pass });
        Self { passes, means: [dynamics.low_logit, dynamics.high_logit], frames: frames.len() }
    }

    /// Probability of the high state, frame by frame.
    pub(super) fn high(&self) -> Vec<f64> {
        self.average(|pass, [_, high]| pass.weight * high)
    }

    /// Expected logit without the noise, frame by frame.
    pub(super) fn smoothed_logits(&self) -> Vec<f64> {
        let [low_mean, high_mean] = self.means;
        self.average(|pass, [low, high]| pass.weight * (low * low_mean + high * high_mean + pass.offset))
    }

    fn average(&self, of: impl Fn(&Pass, Two) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.frames];
        for pass in &self.passes {
            for ((sum, forward), backward) in sums.iter_mut().zip(&pass.forward).zip(&pass.backward) {
                let (posterior, _) = normalised(times(*forward, *backward));
                *sum += of(pass, posterior);
            }
        }
        sums
    }

    /// Probability that the cell is in state `before` at frame `from` and in state `after` at frame `to` >= `from`.
    pub(super) fn both(&self, (from, before): (usize, Side), (to, after): (usize, Side)) -> f64 {
        let joint = |pass: &Pass| {
            let (Some([low, high]), Some(end)) = (pass.forward.get(from), pass.backward.get(to)) else { return 0.0 };
            let mut pair = [[*low, 0.0], [0.0, *high]];
            for step in pass.steps.iter().take(to).skip(from) {
                pair = pair.map(|row| advance(row, step));
                let total = pair.iter().flatten().sum::<f64>().max(f64::MIN_POSITIVE);
                pair = pair.map(|row| row.map(|it| it / total));
            }
            let [from_low, from_high] = pair.map(|row| times(row, *end));
            let total: f64 = from_low.iter().chain(&from_high).sum();
            let [to_low, to_high] = if before == Side::Low { from_low } else { from_high };
            pass.weight * if after == Side::Low { to_low } else { to_high } / total.max(f64::MIN_POSITIVE)
        };
        self.passes.iter().map(joint).sum()
    }
}

/// Logarithm of the likelihood of a track (up to a constant per frame), the offset integrated over.
pub(super) fn log_likelihood(dynamics: &Dynamics, frames: &[LogitAt]) -> f64 {
    let logs = nodes().map(|node| forward(dynamics, frames, node * dynamics.offset_sd).1 - 0.5 * node * node);
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let normaliser: f64 = nodes().iter().map(|node| (-0.5 * node * node).exp()).sum();
    largest + (logs.iter().map(|log| (log - largest).exp()).sum::<f64>() / normaliser).ln()
}

fn times([a, b]: Two, [c, d]: Two) -> Two {
    [a * c, b * d]
}

fn advance([low, high]: Two, [from_low, from_high]: &Pair) -> Two {
    let [low_low, low_high] = from_low;
    let [high_low, high_high] = from_high;
    [low * low_low + high * high_low, low * low_high + high * high_high]
}

fn normalised([low, high]: Two) -> (Two, f64) {
    let total = (low + high).max(f64::MIN_POSITIVE);
    ([low / total, high / total], total)
}

/// The forward probabilities and the logarithm of the likelihood for one offset.
fn forward(dynamics: &Dynamics, frames: &[LogitAt], offset: f64) -> (Pass, f64) {
    let means = [dynamics.low_logit + offset, dynamics.high_logit + offset];
    let mut pass = Pass { offset, weight: 0.0, forward: Vec::new(), backward: Vec::new(), steps: Vec::new() };
    let Some(first) = frames.first() else { return (pass, 0.0) };
    let logs = means.map(|mean| log_normal(first.logit - mean, dynamics.noise_sd));
    let largest = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let (mut current, total) = normalised(logs.map(|log| 0.5 * (log - largest).exp()));
    let mut log_likelihood = largest + total.ln();
    pass.forward.push(current);
    for pair in frames.windows(2) {
        let [last, next] = pair else { continue };
        let (step, log) = step(dynamics, means, last, next);
        let (following, total) = normalised(advance(current, &step));
        log_likelihood += log + total.ln();
        pass.steps.push(step);
        pass.forward.push(following);
        current = following;
    }
    (pass, log_likelihood)
}

fn backward(pass: &mut Pass) {
    if pass.forward.is_empty() {
        return;
    }
    let mut current = [1.0, 1.0];
    pass.backward.push(current);
    for step in pass.steps.iter().rev() {
        (current, _) = normalised(step.map(|row| times(row, current).iter().sum()));
        pass.backward.push(current);
    }
    pass.backward.reverse();
}

/// Probability of each next state times the likelihood of the next logit, by pair of states, up to a factor whose
/// logarithm is also given.
fn step(dynamics: &Dynamics, means: Two, last: &LogitAt, next: &LogitAt) -> (Pair, f64) {
    let gap_min = next.minute - last.minute;
    let stay = 0.5 + 0.5 * (-2.0 * gap_min / dynamics.stay_min).exp();
    let leave = 1.0 - stay;
    let kept = (-gap_min / dynamics.noise_min).exp();
    let fresh_sd = dynamics.noise_sd * (1.0 - kept * kept).max(1e-12).sqrt();
    let logs = means.map(|from| means.map(|to| log_normal(next.logit - to - kept * (last.logit - from), fresh_sd)));
    let largest = logs.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let [from_low, from_high] = logs.map(|row| row.map(|log| (log - largest).exp()));
    ([times([stay, leave], from_low), times([leave, stay], from_high)], largest)
}

/// Logarithm of the normal density, without its constant.
fn log_normal(distance: f64, sd: f64) -> f64 {
    let z = distance / sd;
    -0.5 * z * z - sd.ln()
}
