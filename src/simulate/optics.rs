//! Phase contrast: from a map of optical phase to relative intensity, and from there to camera counts.
//!
//! Takes the phase that the sample adds to the light (radians, `[height, width]`), gives the intensity relative to empty
//! substrate. No halo, shade-off or dark body is painted: they come out of the transfer function.
//!
//! ```text
//!  exp(i phase) --FFT--> x K(k) --inverse FFT--> |.|^2 / t^2
//!
//!  K(k) = mean over the points s of the condenser's ring of
//!         objective(k + s) * plate(k + s) * defocus(k + s)
//!         objective: 1 inside the numerical aperture
//!         plate:     -i t on the phase ring (positive contrast), 1 beside it
//!         defocus:   exp(-i pi wavelength z (|k + s|^2 - |s|^2)), and a Gaussian blur
//! ```
//!
//! Light scattered by so little that it still meets the phase ring is treated like the direct light: that is the halo
//! around, and the shade-off inside, everything larger than about one over the ring's width. The mean over the ring is
//! exact to first order in the scattered light; what thick cells do beyond that is [`glare`]'s.

mod glare;

pub(super) use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};
use std::f32::consts::PI;
use std::fmt;
use std::sync::Arc;

/// The parts of the microscope that make the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optics {
    /// Side of a pixel in the sample plane, um.
    pub pixel_um: f64,
    /// Wavelength, um.
    pub wavelength_um: f64,
    /// The objective's numerical aperture.
    pub aperture: f64,
    /// Numerical aperture of the middle of the phase ring.
    pub ring_aperture: f64,
    /// Width of the phase ring, in numerical aperture.
    pub ring_width: f64,
    /// Blur of the whole path (aberrations, thick sample, pixels): standard deviation in the sample plane, um.
    pub blur_um: f64,
    /// Share of the light that thick cells spread, and how far, um (see [`glare`]).
    pub glare_share: f64,
    /// Standard deviation of that spread, um.
    pub glare_um: f64,
    /// Share of the amplitude that the phase ring lets through, 0..1; background intensity is its square.
    pub ring_transmission: f64,
}

impl Default for Optics {
    /// A 20x phase objective on the paper's camera (method.md 3): 0.325 um, NA 0.45.
    fn default() -> Self {
        Self {
            pixel_um: 0.325,
            wavelength_um: 0.55,
            aperture: 0.45,
            ring_aperture: 0.19,
            ring_width: 0.045,
            blur_um: 0.27,
            glare_share: 0.42,
            glare_um: 2.8,
            ring_transmission: 0.31,
        }
    }
}

/// Points of the transfer function's table; the largest spatial frequency is that of the pixel grid's corner.
const TABLE_LEN: usize = 4096;
/// Azimuths and radii at which the condenser's ring is sampled.
const RING_AZIMUTHS: usize = 48;
const RING_RADII: usize = 5;

impl Optics {
    /// Optical phase of one micrometre of material whose refractive index is higher by `index_difference`, rad.
    pub fn phase_per_um(&self, index_difference: f64) -> f64 {
        std::f64::consts::TAU / self.wavelength_um * index_difference
    }

    /// Largest spatial frequency of the table, cycles per um.
    fn table_top(&self) -> f32 {
        (std::f64::consts::FRAC_1_SQRT_2 / self.pixel_um) as f32 * 1.0001
    }

    /// `K` at `TABLE_LEN` spatial frequencies from 0 to [`Optics::table_top`], at a defocus of `defocus_um`.
    fn transfer_table(&self, defocus_um: f64) -> Vec<Complex32> {
        let lambda = self.wavelength_um as f32;
        let z = defocus_um as f32;
        let cut = self.aperture as f32 / lambda;
        let (ring, half) = (self.ring_aperture as f32 / lambda, self.ring_width as f32 / lambda / 2.0);
        let plate = Complex32::new(0.0, -self.ring_transmission as f32);
        let step = self.table_top() / (TABLE_LEN - 1) as f32;
        let sources: Vec<(f32, f32)> = (0..RING_RADII)
            .flat_map(|j| {
                let s = ring + half * ((2 * j + 1) as f32 / RING_RADII as f32 - 1.0);
                (0..RING_AZIMUTHS).map(move |a| {
                    let azimuth = PI * (a as f32 + 0.5) / RING_AZIMUTHS as f32;
                    (s, azimuth.cos())
                })
            })
            .collect();
        let one_point = |k: f32| {
            let mut sum = Complex32::default();
            for &(s, cosine) in &sources {
                let at = k.mul_add(k, (2.0 * k * s).mul_add(cosine, s * s));
                let radius = at.sqrt();
                // Edges as wide as one step of the ring's sampling, so that the table is smooth.
                let inside = ((cut - radius) / 0.02 + 0.5).clamp(0.0, 1.0);
                if inside <= 0.0 {
                    continue;
                }
                let on_ring = ((half - (radius - ring).abs()) / 0.006 + 0.5).clamp(0.0, 1.0);
                let amplitude = plate * on_ring + Complex32::new(1.0 - on_ring, 0.0);
                sum += amplitude * inside * Complex32::cis(-PI * lambda * z * (at - s * s));
            }
            let blur = PI * self.blur_um as f32 * k;
            sum * ((-2.0 * blur * blur).exp() / sources.len() as f32)
        };
        let mut table: Vec<Complex32> = (0..TABLE_LEN).map(|i| one_point(i as f32 * step)).collect();
        if let Some(direct) = table.first_mut() {
            *direct = plate;
        }
        table
    }
}

/// A two-dimensional field of light: FFT plans for one size, reusable for any number of frames.
pub struct Bench {
    width: usize,
    height: usize,
    optics: Optics,
    rows: Arc<dyn Fft<f32>>,
    columns: Arc<dyn Fft<f32>>,
    rows_back: Arc<dyn Fft<f32>>,
    columns_back: Arc<dyn Fft<f32>>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Bench")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("optics", &self.optics)
            .finish_non_exhaustive()
    }
}

impl Bench {
    /// A bench for maps of `width * height` pixels (products of small primes are fast).
    pub fn new(width: usize, height: usize, optics: Optics) -> Self {
        let mut planner = FftPlanner::new();
        Self {
            width,
            height,
            optics,
            rows: planner.plan_fft_forward(width),
            columns: planner.plan_fft_forward(height),
            rows_back: planner.plan_fft_inverse(width),
            columns_back: planner.plan_fft_inverse(height),
        }
    }

    /// Columns of the map.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of the map.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The optics.
    pub fn optics(&self) -> &Optics {
        &self.optics
    }

    /// Relative intensity (empty substrate = 1) of a sample whose optical phase is `phase` (rad, `[height, width]`,
    /// exactly `width * height` values), seen `defocus_um` out of focus. Periodic at the map's edges.
    pub fn image(&self, phase: &[f32], defocus_um: f64) -> Vec<f32> {
        let table = self.optics.transfer_table(defocus_um);
        let norm = 1.0 / (self.width * self.height) as f32;
        let mut light: Vec<Complex32> = phase.iter().map(|&p| wave(p)).collect();
        light.resize(self.width * self.height, Complex32::new(1.0, 0.0));
        self.filter(&mut light, &|k| nearest(&table, k / self.optics.table_top()) * norm);
        let background = (self.optics.ring_transmission * self.optics.ring_transmission) as f32;
        let mut intensity: Vec<f32> = light.iter().map(|v| v.norm_sqr() / background).collect();
        let spread_px = (self.optics.glare_um / self.optics.pixel_um) as f32;
        glare::spread(&mut intensity, self.width, self.optics.glare_share as f32, spread_px);
        intensity
    }

    /// Mean power of a picture (`[height, width]`) at 0, 1, 2 .. periods per width, after a Hann window; for square benches.
    pub fn radial_power(&self, picture: &[f32]) -> Vec<f64> {
        let mean = picture.iter().sum::<f32>() / picture.len().max(1) as f32;
        let window = |i: usize, n: usize| 0.5 - 0.5 * (2.0 * PI * i as f32 / n as f32).cos();
        let mut field: Vec<Complex32> = picture
            .iter()
            .enumerate()
            .map(|(i, &v)| {
                let taper = window(i % self.width, self.width) * window(i / self.width, self.height);
                Complex32::new((v - mean) * taper, 0.0)
            })
            .collect();
        field.resize(self.width * self.height, Complex32::default());
        let mut turned = vec![Complex32::default(); field.len()];
        self.rows.process(&mut field);
        transpose(&field, &mut turned, self.width, self.height);
        self.columns.process(&mut turned);
        let half = self.width / 2;
        let mut sums = vec![(0.0_f64, 0_u32); half];
        for (i, value) in turned.iter().enumerate() {
            let fold = |k: usize, n: usize| k.min(n - k) as f64;
            let radius = fold(i / self.height, self.width).hypot(fold(i % self.height, self.height)).round() as usize;
            if let Some((sum, n)) = sums.get_mut(radius) {
                *sum += f64::from(value.norm_sqr());
                *n += 1;
            }
        }
        sums.into_iter().map(|(sum, n)| sum / f64::from(n.max(1))).collect()
    }

    /// Multiplies the spectrum of `field` (in place, `[height, width]`) by `transfer(k)`, `k` in cycles per um. The
    /// transforms are not normalised: `transfer` carries `1 / (width * height)`.
    pub fn filter(&self, field: &mut [Complex32], transfer: &dyn Fn(f32) -> Complex32) {
        let mut turned = vec![Complex32::default(); field.len()];
        self.rows.process(field);
        transpose(field, &mut turned, self.width, self.height);
        self.columns.process(&mut turned);
        let kx = frequencies(self.width, self.optics.pixel_um);
        let ky = frequencies(self.height, self.optics.pixel_um);
        for (column, &x) in turned.chunks_exact_mut(self.height).zip(&kx) {
            for (value, &y) in column.iter_mut().zip(&ky) {
                *value *= transfer(x.mul_add(x, y * y).sqrt());
            }
        }
        self.columns_back.process(&mut turned);
        transpose(&turned, field, self.height, self.width);
        self.rows_back.process(field);
    }
}

/// `exp(i phase)`; a short series where the phase is small, which is nearly everywhere.
fn wave(phase: f32) -> Complex32 {
    if phase.abs() < 0.15 {
        let square = phase * phase;
        Complex32::new(1.0 - square * (0.5 - square / 24.0), phase * (1.0 - square / 6.0))
    } else {
        Complex32::cis(phase)
    }
}

/// The table's value nearest to `share` (0 = first, 1 = last).
fn nearest(table: &[Complex32], share: f32) -> Complex32 {
    let index = (share * (table.len() - 1) as f32 + 0.5) as usize;
    table.get(index).copied().unwrap_or_default()
}

/// Spatial frequencies of an FFT of `n` samples `step_um` apart, cycles per um.
fn frequencies(n: usize, step_um: f64) -> Vec<f32> {
    (0..n)
        .map(|i| {
            let signed = if i <= n / 2 { i as f64 } else { i as f64 - n as f64 };
            (signed / (n as f64 * step_um)) as f32
        })
        .collect()
}

/// Side of the blocks in which a map is turned, so that both maps stay in the cache.
const BLOCK: usize = 32;

/// `to[x, y] = from[y, x]`; `from` has rows of `width`, both hold `width * height` values.
#[expect(clippy::indexing_slicing, reason = "x < width and y < height; both slices hold width * height values")]
fn transpose(from: &[Complex32], to: &mut [Complex32], width: usize, height: usize) {
    for y0 in (0..height).step_by(BLOCK) {
        for x0 in (0..width).step_by(BLOCK) {
            for y in y0..(y0 + BLOCK).min(height) {
                for x in x0..(x0 + BLOCK).min(width) {
                    to[x * height + y] = from[y * width + x];
                }
            }
        }
    }
}

/// The smallest length of at least `least` whose only prime factors are 2, 3 and 5 (fast transforms).
pub fn fast_length(least: usize) -> usize {
    (least.max(1)..=2 * least.max(1))
        .find(|&n| {
            let mut rest = n;
            for prime in [2, 3, 5] {
                while rest % prime == 0 {
                    rest /= prime;
                }
            }
            rest == 1 && n % 2 == 0
        })
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc(side: usize, radius_um: f64, height_um: f64) -> (Bench, Vec<f32>) {
        let optics = Optics::default();
        let bench = Bench::new(side, side, optics);
        let middle = side as f64 / 2.0;
        let phase = (0..side * side)
            .map(|i| {
                let (x, y) = ((i % side) as f64 - middle, (i / side) as f64 - middle);
                let r = x.hypot(y) * optics.pixel_um / radius_um;
                if r < 1.0 { (optics.phase_per_um(0.03) * height_um * (1.0 - r * r)) as f32 } else { 0.0 }
            })
            .collect();
        (bench, phase)
    }

    #[test]
    fn empty_substrate_is_one_everywhere() {
        let bench = Bench::new(96, 64, Optics::default());
        let picture = bench.image(&vec![0.0; 96 * 64], 0.0);
        assert_eq!(picture.len(), 96 * 64);
        assert!(picture.iter().all(|v| (v - 1.0).abs() < 1e-3));
    }

    #[test]
    fn a_thin_cell_is_dark_with_a_bright_halo_and_its_middle_fades() {
        let (bench, phase) = disc(288, 18.0, 1.5);
        let picture = bench.image(&phase, 0.0);
        let at = |x_um: f64| picture[144 * 288 + 144 + (x_um / 0.325) as usize];
        let rim = at(10.0);
        assert!(rim < 0.85, "dark inside: {rim}");
        assert!(at(20.0) > 1.03, "bright outside: {}", at(20.0));
        assert!(at(40.0) < at(20.0), "the halo ends");
        let flat = bench.image(&phase.iter().map(|&p| if p > 0.0 { 0.4 } else { 0.0 }).collect::<Vec<_>>(), 0.0);
        let inner = |x_um: f64| flat[144 * 288 + 144 + (x_um / 0.325) as usize];
        assert!(inner(0.0) > inner(16.0) + 0.05, "shade-off: middle {} edge {}", inner(0.0), inner(16.0));
    }

    #[test]
    fn a_thick_round_cell_is_bright() {
        let (bench, phase) = disc(288, 10.0, 16.0);
        let picture = bench.image(&phase, 0.0);
        let brightest = picture.iter().fold(0.0_f32, |a, &b| a.max(b));
        assert!(brightest > 3.0, "{brightest}");
    }

    #[test]
    fn defocus_softens_and_changes_the_picture() {
        let (bench, phase) = disc(192, 6.0, 1.0);
        let sharp = bench.image(&phase, 0.0);
        let soft = bench.image(&phase, 8.0);
        let steepest = |p: &[f32]| p.windows(2).fold(0.0_f32, |m, w| m.max((w[1] - w[0]).abs()));
        assert!(steepest(&soft) < 0.8 * steepest(&sharp));
    }

    #[test]
    fn fast_lengths_have_small_factors() {
        assert_eq!(fast_length(1024), 1024);
        assert_eq!(fast_length(1025), 1080);
        assert_eq!(fast_length(2561), 2592);
    }
}
