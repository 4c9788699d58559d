//! How near simulated crops come to real ones: grey values, radial power spectrum, and both side by side.
//!
//! Takes two sets of crops as the model sees them (`[256, 256]`, 0..=1), gives the figures of each ([`Figures`]) and what
//! separates them ([`Distance`]); [`montage`] draws either set.

use super::crops::{CropPlan, LabelledWindow, crops};
use super::optics::Bench;
use super::panel::Panel;
use super::scene::SceneSettings;
use crate::cells::CROP_SIDE_PX;
use crate::cells::crop::Cutter;
use crate::units::{PixelSize, PointPx};
use std::fmt;

/// Side of a crop in the sample plane, um.
const CROP_UM: f64 = 70.5;
/// Bins of the grey histogram.
const BINS: usize = 32;
/// Periods at which the spectrum is compared, um.
const PERIODS_UM: [f64; 12] = [35.25, 23.5, 17.6, 11.75, 8.8, 5.9, 4.4, 2.94, 2.2, 1.47, 1.1, 0.88];

/// A crop: `[256, 256]` grey values, 0..=1.
pub type GreyCrop = Vec<f32>;

/// What a set of crops looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Number of crops.
    pub crops: usize,
    /// 10th, 25th, 50th, 75th and 90th percentile of the crops' mean grey, and their mean, of 255.
    pub means: [f64; 6],
    /// The same of the crops' standard deviation.
    pub deviations: [f64; 6],
    /// The same of the crops' 99th percentile.
    pub brights: [f64; 6],
    /// Share of pixels per bin of grey.
    pub histogram: [f64; BINS],
    /// Mean over the crops of log10 of the share of power at each of 12 periods.
    pub spectrum: [f64; PERIODS_UM.len()],
}

/// What separates two sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Grey values by which the pixels must be moved on average to turn one histogram into the other, of 255.
    pub histogram_grey: f64,
    /// Root mean square difference of the log10 spectra.
    pub spectrum_log10: f64,
}

impl Figures {
    /// The figures of a set of crops; `None` when it is empty.
    pub fn of(crops: &[GreyCrop]) -> Option<Self> {
        let n = crops.len();
        let bench = Bench::new(CROP_SIDE_PX, CROP_SIDE_PX, super::optics::Optics::default());
        let (mut means, mut deviations, mut brights) = (Vec::new(), Vec::new(), Vec::new());
        let mut histogram = [0.0; BINS];
        let mut spectrum = [0.0; PERIODS_UM.len()];
        for crop in crops {
            let count = crop.len().max(1) as f64;
            let mean = crop.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let square = crop.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
            let mut sorted = crop.clone();
            sorted.sort_by(f32::total_cmp);
            means.push(255.0 * mean);
            deviations.push(255.0 * square.sqrt());
            brights.push(255.0 * f64::from(*sorted.get(crop.len() * 99 / 100)?));
            for &v in crop {
                if let Some(bin) = histogram.get_mut(((v * BINS as f32) as usize).min(BINS - 1)) {
                    *bin += 1.0 / (count * n as f64);
                }
            }
            let power = bench.radial_power(crop);
            let whole: f64 = power.iter().skip(1).sum();
            for (value, period) in spectrum.iter_mut().zip(PERIODS_UM) {
                let at = power.get((CROP_UM / period).round() as usize).copied().unwrap_or(0.0);
                *value += (at / whole.max(1e-30)).max(1e-12).log10() / n as f64;
            }
        }
        let (means, deviations, brights) = (spread(means)?, spread(deviations)?, spread(brights)?);
        Some(Self { crops: n, means, deviations, brights, histogram, spectrum })
    }

    /// How far `other` is from this set.
    pub fn distance(&self, other: &Self) -> Distance {
        let (mut ahead, mut moved) = (0.0_f64, 0.0);
        for (a, b) in self.histogram.iter().zip(&other.histogram) {
            ahead += a - b;
            moved += ahead.abs() * 255.0 / BINS as f64;
        }
        let squares: f64 = self.spectrum.iter().zip(&other.spectrum).map(|(a, b)| (a - b).powi(2)).sum();
        Distance { histogram_grey: moved, spectrum_log10: (squares / PERIODS_UM.len() as f64).sqrt() }
    }
}

/// Percentiles 10, 25, 50, 75, 90 and the mean.
fn spread(mut values: Vec<f64>) -> Option<[f64; 6]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Some([at(0.1)?, at(0.25)?, at(0.5)?, at(0.75)?, at(0.9)?, mean])
}

/// Two sets side by side, as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The real crops.
    pub real: Figures,
    /// The simulated crops.
    pub simulated: Figures,
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (real, simulated) = (&self.real, &self.simulated);
        writeln!(out, "{} real crops, {} simulated\n", real.crops, simulated.crops)?;
        writeln!(out, "| of one crop, grey of 255 | | 10 % | 25 % | 50 % | 75 % | 90 % | mean |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        let rows = [
            ("mean", &real.means, &simulated.means),
            ("standard deviation", &real.deviations, &simulated.deviations),
            ("99th percentile", &real.brights, &simulated.brights),
        ];
        for (name, real, simulated) in rows {
            for (who, values) in [("real", real), ("simulated", simulated)] {
                write!(out, "| {name} | {who} |")?;
                for value in values {
                    write!(out, " {value:.1} |")?;
                }
                writeln!(out)?;
            }
        }
        writeln!(out, "\n| period, um | real, log10 of the share of power | simulated | difference |")?;
        writeln!(out, "|---|---|---|---|")?;
        for ((period, real), simulated) in PERIODS_UM.iter().zip(&real.spectrum).zip(&simulated.spectrum) {
            writeln!(out, "| {period:.2} | {real:.2} | {simulated:.2} | {:+.2} |", simulated - real)?;
        }
        let distance = real.distance(simulated);
        writeln!(
            out,
            "\nhistogram distance {:.2} grey of 255; spectrum distance {:.3} (rms of log10)",
            distance.histogram_grey, distance.spectrum_log10
        )
    }
}

/// About `n` simulated crops, spread over the whole panel, as the model sees them.
pub fn simulated(n: usize, seed: u64) -> Vec<GreyCrop> {
    let panel = Panel::new(seed);
    let scene = SceneSettings { width_px: 720, height_px: 720, cells: 6, ..SceneSettings::default() };
    let plan = CropPlan { fovs: 1 + n / 80, time_points: 1, scene, ..CropPlan::default() };
    let cutter = Cutter::new(PixelSize::PAPER);
    let centre = PointPx { x: (plan.side_px / 2) as f64, y: (plan.side_px / 2) as f64 };
    let take = |window: LabelledWindow| cutter.cut(&window.plane, centre).map(|crop| crop.pixels().to_vec());
    let all: Vec<GreyCrop> = crops(&panel, &plan, take).into_iter().flatten().collect();
    let step = (all.len() / n.max(1)).max(1);
    all.into_iter().step_by(step).take(n).collect()
}

/// Crops in rows of `columns`, each shrunk to half its side: width, height, grey values.
pub fn montage(crops: &[GreyCrop], columns: usize) -> (usize, usize, Vec<u8>) {
    const SIDE: usize = CROP_SIDE_PX / 2;
    let columns = columns.max(1);
    let (width, height) = (columns * SIDE, crops.len().div_ceil(columns) * SIDE);
    let mut grey = vec![0_u8; width * height];
    for (i, crop) in crops.iter().enumerate() {
        let (x0, y0) = (i % columns * SIDE, i / columns * SIDE);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let at =
                    |dx: usize, dy: usize| crop.get((2 * y + dy) * CROP_SIDE_PX + 2 * x + dx).copied().unwrap_or(0.0);
                let mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0;
                if let Some(pixel) = grey.get_mut((y0 + y) * width + x0 + x) {
                    *pixel = (255.0 * mean + 0.5) as u8;
                }
            }
        }
    }
    (width, height, grey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_at_no_distance_from_itself_and_at_some_from_a_blurred_one() {
        let sharp = simulated(12, 5);
        let soft: Vec<GreyCrop> = sharp
            .iter()
            .map(|crop| {
                let at = |x: usize, y: usize| crop[y.min(255) * 256 + x.min(255)];
                (0..256 * 256)
                    .map(|i| {
                        let (x, y) = (i % 256, i / 256);
                        (0..16).map(|k| at(x + k % 4, y + k / 4)).sum::<f32>() / 16.0
                    })
                    .collect()
            })
            .collect();
        let (a, b) = (Figures::of(&sharp).unwrap(), Figures::of(&soft).unwrap());
        assert_eq!(a.distance(&a), Distance { histogram_grey: 0.0, spectrum_log10: 0.0 });
        assert!(a.distance(&b).spectrum_log10 > 0.3, "{:?}", a.distance(&b));
        assert_eq!(sharp, simulated(12, 5));
    }
}
