//! Fits what changes of state are read from ([`StateReading`]) on films of cells whose efficiency is known.
//!
//! Only what happens within a cell counts: cells differ for good in many ways, and none of them is a change. So each cell's terms
//! and its efficiency are taken as means over [`WINDOW_MIN`], their mean over the cell's film is taken off, and a ridge
//! regression looks for the sum that follows the efficiency. Cells that keep their state weigh as much as those that change: on them
//! the sum learns to stay.

use crate::cells::Shape;
use crate::infer::state::StateReading;
use nalgebra::{Cholesky, SMatrix, SVector};

/// Terms and efficiency are means over this, min: a change takes about as long.
const WINDOW_MIN: f64 = 20.0;
/// From one window to the next, min.
const STRIDE_MIN: f64 = 10.0;
/// Strength of the ridge, in units of the number of windows; terms have spread 1.
const RIDGE: f64 = 1e-3;
/// Spread that every term is believed to have within cells, at least: one that never moves gets no weight for its rounding.
const LEAST_SPREAD: f64 = 0.01;
/// Spread of the efficiency within cells, below which nothing changes but the last bits.
const LEAST_CHANGE: f64 = 1e-3;
/// Fewest cells to fit on.
const FEWEST_CELLS: usize = 20;

type Terms = SVector<f64, { StateReading::TERMS }>;

/// One frame of a followed cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenFrame {
    /// Time since any fixed moment, min.
    pub minute: f64,
    /// The discriminant before the sigmoid.
    pub logit: f64,
    /// As measured on its outline.
    pub shape: Shape,
    /// The true efficiency, standard deviations between cells.
    pub efficiency: f64,
}

impl SeenFrame {
    fn terms(&self) -> Terms {
        Terms::from(StateReading::terms(self.logit, &self.shape))
    }
}

/// The reading that follows the efficiency of `cells` best, each with its frames in time order; `None` for too few cells, or cells
/// of which nothing changes.
pub fn fit(cells: &[Vec<SeenFrame>]) -> Option<StateReading> {
    if cells.len() < FEWEST_CELLS {
        return None;
    }
    let windows: Vec<(Terms, f64)> = cells.iter().flat_map(|cell| within(cell)).collect();
    let count = windows.len().max(1) as f64;
    if windows.iter().map(|it| it.1 * it.1).sum::<f64>() / count < LEAST_CHANGE * LEAST_CHANGE {
        return None;
    }
    let squares = windows.iter().map(|it| it.0.component_mul(&it.0)).sum::<Terms>();
    let spread = squares.map(|sum| (sum / count).sqrt().max(LEAST_SPREAD));
    let mut square = SMatrix::<f64, { StateReading::TERMS }, { StateReading::TERMS }>::identity() * RIDGE;
    let mut product = Terms::zeros();
    for (terms, efficiency) in &windows {
        let scaled = terms.component_div(&spread);
        square += scaled * scaled.transpose() / count;
        product += scaled * (efficiency / count);
    }
    let weights = Cholesky::new(square)?.solve(&product).component_div(&spread);
    // On the logit's scale: the same mean and spread over cells.
    let means: Vec<Terms> = cells.iter().map(|cell| mean(cell.iter().map(SeenFrame::terms))).collect();
    let (logit_mean, logit_spread) = moments(means.iter().map(|it| it.x));
    let (mean, spread) = moments(means.iter().map(|it| it.dot(&weights)));
    let scale = logit_spread / spread;
    let reading = StateReading::new((weights * scale).into(), logit_mean - mean * scale);
    reading.is_sound().then_some(reading)
}

/// How far what is read follows the efficiency within `cells`: the correlation of both over windows, each less its mean over the film.
/// Not a number where nothing changes.
pub fn follows(reading: &StateReading, cells: &[Vec<SeenFrame>]) -> f64 {
    // The offset drops out: a mean is taken off.
    let read = |terms: &Terms| Terms::from(reading.weights()).dot(terms);
    let windows = cells.iter().flat_map(|cell| within(cell));
    let pairs: Vec<(f64, f64)> = windows.map(|(terms, efficiency)| (read(&terms), efficiency)).collect();
    let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    sum(|it| it.0 * it.1) / (sum(|it| it.0 * it.0) * sum(|it| it.1 * it.1)).sqrt()
}

/// Means over windows, less their mean over the film.
fn within(cell: &[SeenFrame]) -> Vec<(Terms, f64)> {
    let span = cell.first().zip(cell.last()).map_or((0.0, 0.0), |(first, last)| (first.minute, last.minute));
    let middles = (0..=((span.1 - span.0) / STRIDE_MIN).max(0.0) as usize).map(|n| span.0 + n as f64 * STRIDE_MIN);
    let windows: Vec<(Terms, f64)> = middles
        .filter_map(|middle| {
            let inside: Vec<&SeenFrame> =
                cell.iter().filter(|it| (it.minute - middle).abs() <= WINDOW_MIN / 2.0).collect();
            let efficiency = inside.iter().map(|it| it.efficiency).sum::<f64>() / inside.len().max(1) as f64;
            (!inside.is_empty()).then(|| (mean(inside.iter().map(|it| it.terms())), efficiency))
        })
        .collect();
    let terms_mean = mean(windows.iter().map(|it| it.0));
    let efficiency_mean = windows.iter().map(|it| it.1).sum::<f64>() / windows.len().max(1) as f64;
    windows.into_iter().map(|(terms, efficiency)| (terms - terms_mean, efficiency - efficiency_mean)).collect()
}

fn mean(terms: impl Iterator<Item = Terms>) -> Terms {
    let (sum, count) = terms.fold((Terms::zeros(), 0.0), |(sum, count), it| (sum + it, count + 1.0));
    sum / f64::max(count, 1.0)
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|it| (it - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt().max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells whose scattering follows the efficiency, whose logit does so with much noise of its own, and whose protrusions do not
    /// change at all but differ between cells along with the efficiency.
    fn cells(count: usize) -> Vec<Vec<SeenFrame>> {
        let noise = |n: usize| 2.0 * (n as f64 * 0.754_877_666).fract() - 1.0;
        let cell = |number: usize| {
            let rests = noise(number);
            (0..120)
                .map(|frame| {
                    let efficiency = rests + if number.is_multiple_of(2) && frame >= 60 { 1.5 } else { 0.0 };
                    SeenFrame {
                        minute: 2.0 * frame as f64,
                        logit: 0.3 * efficiency + 3.0 * noise(7 * number + frame / 12),
                        shape: Shape {
                            protrusion_total_um: (3.0 + rests).exp_m1(),
                            scattering: (2.0 + 0.5 * efficiency).exp_m1(),
                            ..Shape::default()
                        },
                        efficiency,
                    }
                })
                .collect()
        };
        (0..count).map(cell).collect()
    }

    #[test]
    fn what_follows_a_cell_is_weighed_and_what_only_parts_cells_is_not() {
        let reading = fit(&cells(40)).unwrap();
        assert!(reading.ln_scattering > 10.0 * reading.logit.abs(), "{reading:?}");
        assert!(reading.ln_protrusion_total_um.abs() < 1e-6 * reading.ln_scattering, "{reading:?}");
        let (fitted, logit) = (follows(&reading, &cells(40)), follows(&StateReading::default(), &cells(40)));
        assert!(fitted > 0.99 && logit < 0.6, "{fitted} {logit}");
    }

    #[test]
    fn readings_of_cells_have_the_mean_and_spread_of_their_logits() {
        let cells = cells(40);
        let reading = fit(&cells).unwrap();
        let of_cells = |of: &dyn Fn(&SeenFrame) -> f64| -> Vec<f64> {
            cells.iter().map(|cell| cell.iter().map(of).sum::<f64>() / cell.len() as f64).collect()
        };
        let logits = moments(of_cells(&|it| it.logit).into_iter());
        let read = moments(of_cells(&|it| reading.read(it.logit, &it.shape)).into_iter());
        assert!((logits.0 - read.0).abs() < 1e-9 && (logits.1 - read.1).abs() < 1e-9, "{logits:?} {read:?}");
    }

    #[test]
    fn too_few_cells_and_cells_without_a_change_give_nothing() {
        assert_eq!(fit(&cells(10)), None);
        let still: Vec<Vec<SeenFrame>> = cells(60).into_iter().skip(1).step_by(2).collect();
        assert_eq!(fit(&still), None);
    }
}
