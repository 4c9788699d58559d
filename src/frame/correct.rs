//! Illumination: estimated from the frame itself and divided out.
//!
//! Takes a [`Plane`] in camera counts, gives a [`CorrectedFrame`] whose empty substrate is about 1. The estimate is
//! stateless on purpose: a frame gives the same bits alone, in any order and after any restart. The frame is looked at
//! through a coarse lattice of blocks; the light is a smooth surface (a polynomial of the fourth degree) through the
//! blocks' medians, fitted so that blocks with cells in them do not count.

use super::focus::{self, Sharpness};
use super::{CorrectedFrame, FrameQuality, Pixels, Plane};
use crate::units::PixelSize;
use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::{ParallelSlice as _, ParallelSliceMut as _};

/// Blocks along the longer side of the frame.
const BLOCKS: usize = 48;
/// A block is at least this wide, px.
const SMALLEST_BLOCK_PX: usize = 6;
/// At most this many pixels of a block are looked at.
const SAMPLES_PER_BLOCK: usize = 100;
/// Terms of a polynomial of the fourth degree in x and y.
const TERMS: usize = 15;
/// Rounds of reweighting.
const ROUNDS: usize = 12;
/// A thread takes at least so many rows at a time.
const ROWS_AT_ONCE: usize = 64;
/// The light is never taken as darker than this share of the frame's bright level: what is darker is not lit.
const DARKEST_SHARE: f64 = 0.05;

/// The plane with its illumination divided out, and the frame's quality.
///
/// `plane`: `[height, width]` camera counts, any range. Gives `relative`: `[height, width]`, dimensionless, about 1 on
/// empty substrate, always finite. The cost is linear in the number of pixels.
pub fn correct(plane: Plane, pixel_size: PixelSize) -> CorrectedFrame {
    let lattice = Lattice::of(&plane);
    let surface = lattice.fit(&plane);
    let (relative, saturated) = divide(&plane, &lattice, &surface);
    let (darkest, brightest) = surface
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(f64::from(v)), high.max(f64::from(v))));
    let evenness = if brightest > 0.0 { (darkest / brightest).clamp(0.0, 1.0) } else { 1.0 };
    let mut sorted = surface;
    let background_counts = f64::from(median(&mut sorted));
    let Sharpness { focus } = focus::sharpness(&relative, plane.width_px(), plane.height_px(), pixel_size);
    let saturated_share = saturated as f64 / plane.counts().len().max(1) as f64;
    let quality = FrameQuality { background_counts, evenness, focus, saturated_share };
    CorrectedFrame { raw: plane, relative, quality }
}

/// Block centres, evenly spread over the frame, `rows * columns` of them.
struct Lattice {
    block_px: usize,
    columns: usize,
    rows: usize,
    width_px: usize,
    height_px: usize,
}

impl Lattice {
    fn of(plane: &Plane) -> Self {
        let (width_px, height_px) = (plane.width_px(), plane.height_px());
        let block_px = width_px.max(height_px).div_ceil(BLOCKS).max(SMALLEST_BLOCK_PX);
        Self { block_px, columns: width_px.div_ceil(block_px), rows: height_px.div_ceil(block_px), width_px, height_px }
    }

    /// The light at every block's centre, counts; above zero.
    fn fit(&self, plane: &Plane) -> Vec<f32> {
        let blocks = self.blocks(plane);
        let mut medians: Vec<f32> = blocks.iter().map(|b| b.median).collect();
        let typical = f64::from(median(&mut medians));
        let level = medians.last().copied().map_or(1.0, f64::from).max(typical.abs());
        let floor = (level * DARKEST_SHARE).max(f64::from(f32::MIN_POSITIVE) * 1e6);
        let mut spreads: Vec<f32> = blocks.iter().map(|b| b.spread).collect();
        let typical_spread = f64::from(median(&mut spreads)).max(1e-6 * level).max(1e-12);
        let flatness: Vec<f64> =
            blocks.iter().map(|b| 1.0 / (1.0 + (f64::from(b.spread) / typical_spread).powi(2))).collect();
        let mut weights = flatness.clone();
        let mut surface = vec![typical; blocks.len()];
        for _ in 0..ROUNDS {
            let Some(coefficients) = self.least_squares(&blocks, &weights) else { break };
            for (index, value) in surface.iter_mut().enumerate() {
                *value = dot(&coefficients, &self.terms(index));
            }
            let residuals: Vec<f64> = blocks.iter().zip(&surface).map(|(b, s)| f64::from(b.median) - s).collect();
            let mut sizes: Vec<f32> = residuals.iter().map(|r| r.abs() as f32).collect();
            let scale = (f64::from(median(&mut sizes)) * 1.4826).max(1e-6 * level).max(1e-12);
            for ((weight, residual), flat) in weights.iter_mut().zip(&residuals).zip(&flatness) {
                let u = residual / (4.0 * scale);
                *weight = if u.abs() < 1.0 { flat * (1.0 - u * u).powi(2) } else { 0.0 };
            }
        }
        surface
            .into_iter()
            .map(|value| if value.is_finite() { value.max(floor) as f32 } else { floor as f32 })
            .collect()
    }

    /// Median and half the middle spread of every block.
    #[expect(clippy::indexing_slicing, reason = "y < height and x < width, and counts holds width * height values")]
    fn blocks(&self, plane: &Plane) -> Vec<Block> {
        let stride = (self.block_px * self.block_px).div_ceil(SAMPLES_PER_BLOCK).isqrt().max(1);
        let counts = plane.counts();
        let mut samples = Vec::with_capacity(2 * SAMPLES_PER_BLOCK);
        let mut blocks = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            for column in 0..self.columns {
                samples.clear();
                let bottom = ((row + 1) * self.block_px).min(self.height_px);
                let right = ((column + 1) * self.block_px).min(self.width_px);
                for y in (row * self.block_px..bottom).step_by(stride) {
                    let line = y * self.width_px;
                    samples.extend((column * self.block_px..right).step_by(stride).map(|x| finite(counts[line + x])));
                }
                blocks.push(Block::of(&mut samples));
            }
        }
        blocks
    }

    /// The polynomial's terms at a block's centre, coordinates within -1..=1.
    fn terms(&self, index: usize) -> [f64; TERMS] {
        let centre =
            |step: usize, count: usize| if count > 1 { 2.0 * step as f64 / (count - 1) as f64 - 1.0 } else { 0.0 };
        let x = centre(index % self.columns, self.columns);
        let y = centre(index / self.columns, self.rows);
        let (x2, y2) = (x * x, y * y);
        let (x3, y3) = (x2 * x, y2 * y);
        [1.0, x, y, x2, x * y, y2, x3, x2 * y, x * y2, y3, x2 * x2, x3 * y, x2 * y2, x * y3, y2 * y2]
    }

    /// The weighted least-squares coefficients; `None` when the blocks do not determine a surface.
    #[expect(clippy::indexing_slicing, reason = "all indices are below TERMS")]
    fn least_squares(&self, blocks: &[Block], weights: &[f64]) -> Option<[f64; TERMS]> {
        let mut normal = [[0.0; TERMS]; TERMS];
        let mut right = [0.0; TERMS];
        for (index, (block, &weight)) in blocks.iter().zip(weights).enumerate() {
            let terms = self.terms(index);
            for i in 0..TERMS {
                let weighted = weight * terms[i];
                right[i] += weighted * f64::from(block.median);
                // More than the lower triangle, but as many as can be added at once.
                for (sum, term) in normal[i].iter_mut().zip(&terms) {
                    *sum += weighted * term;
                }
            }
        }
        // A little ridge on all but the constant keeps frames of few blocks determined.
        let ridge = 1e-6 * normal[0][0];
        for (i, row) in normal.iter_mut().enumerate().skip(1) {
            row[i] += ridge;
        }
        solve(normal, right)
    }
}

/// What one block of the lattice looks like, counts.
struct Block {
    median: f32,
    spread: f32,
}

impl Block {
    /// Median and half the spread of the middle three quarters; sorts `samples` as far as that takes.
    fn of(samples: &mut [f32]) -> Self {
        let eighth = |share: usize| samples.len() * share / 8;
        let (low, middle, high) = (eighth(1), eighth(4), eighth(7));
        if samples.len() < 8 {
            samples.sort_unstable_by(f32::total_cmp);
            let at = |place: usize| samples.get(place).copied().unwrap_or(0.0);
            return Self { median: at(middle), spread: (at(high) - at(low)) / 2.0 };
        }
        let (below, &mut median, above) = samples.select_nth_unstable_by(middle, f32::total_cmp);
        let (_, &mut low, _) = below.select_nth_unstable_by(low, f32::total_cmp);
        let (_, &mut high, _) = above.select_nth_unstable_by(high - middle - 1, f32::total_cmp);
        Self { median, spread: (high - low) / 2.0 }
    }
}

/// Solves a symmetric positive definite system given by its lower triangle (Cholesky).
#[expect(clippy::indexing_slicing, reason = "all indices are below TERMS")]
fn solve(mut a: [[f64; TERMS]; TERMS], mut b: [f64; TERMS]) -> Option<[f64; TERMS]> {
    for i in 0..TERMS {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            if i == j {
                if !(sum > 0.0 && sum.is_finite()) {
                    return None;
                }
                a[i][i] = sum.sqrt();
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    }
    for i in 0..TERMS {
        let sum = b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>();
        b[i] = sum / a[i][i];
    }
    for i in (0..TERMS).rev() {
        let sum = b[i] - (i + 1..TERMS).map(|k| a[k][i] * b[k]).sum::<f64>();
        b[i] = sum / a[i][i];
    }
    Some(b)
}

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Raw divided by the surface, interpolated linearly between block centres; and, on the same way, how many pixels are at the
/// camera's full scale.
#[expect(clippy::indexing_slicing, reason = "block indices are clamped to the lattice, pixels to the plane")]
fn divide(plane: &Plane, lattice: &Lattice, surface: &[f32]) -> (Pixels, u64) {
    let (width, height) = (plane.width_px(), plane.height_px());
    let inverse: Vec<f32> = surface.iter().map(|v| 1.0 / v).collect();
    let place = |px: usize, count: usize| {
        let at = (px as f32 + 0.5) / lattice.block_px as f32 - 0.5;
        let low = (at.max(0.0) as usize).min(count.saturating_sub(2));
        // Beyond the outermost centres the slope goes on.
        (low, (low + 1).min(count - 1), at - low as f32)
    };
    let across: Vec<(usize, usize, f32)> = (0..width).map(|x| place(x, lattice.columns)).collect();
    let parts: Vec<f32> = across.iter().map(|at| at.2).collect();
    // Runs of pixels between the same two centres.
    let runs: Vec<(usize, usize, usize)> = across
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|run| Some((run.first()?.0, run.first()?.1, run.len())))
        .collect();
    let mut relative = Pixels::to_be_filled(width * height);
    let rows =
        relative.as_mut_slice().par_chunks_exact_mut(width).zip(plane.counts().par_chunks_exact(width)).enumerate();
    let saturated = rows.with_min_len(ROWS_AT_ONCE).map_init(
        || vec![0.0_f32; lattice.columns],
        |line, (y, (relative, counts))| {
            let (top, bottom, down) = place(y, lattice.rows);
            for (column, value) in line.iter_mut().enumerate() {
                let (above, below) =
                    (inverse[top * lattice.columns + column], inverse[bottom * lattice.columns + column]);
                *value = above + (below - above) * down;
            }
            let mut from = 0;
            for &(left, right, length) in &runs {
                let (first, slope) = (line[left], line[right] - line[left]);
                let run = counts[from..from + length].iter().zip(&parts[from..from + length]);
                for (relative, (&c, &part)) in relative[from..from + length].iter_mut().zip(run) {
                    *relative = (finite(c) * (first + slope * part)).clamp(-1e6, 1e6);
                }
                from += length;
            }
            u64::from(focus::saturated(counts, plane.full_scale_counts()))
        },
    );
    let saturated = saturated.sum();
    (relative, saturated)
}

fn finite(count: f32) -> f32 {
    if count.is_finite() { count } else { 0.0 }
}

/// The upper median; sorts `values`.
fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, count: impl Fn(usize, usize) -> f32) -> Plane {
        let counts = (0..width * height).map(|i| count(i % width, i / width)).collect();
        Plane::new(width, height, counts, 65535.0).unwrap()
    }

    #[test]
    fn vignetting_is_divided_out_and_cells_do_not_bend_it() {
        let light = |x: usize, y: usize| {
            let (u, v) = (x as f32 / 300.0 - 1.0, y as f32 / 200.0 - 1.0);
            4000.0 * (1.0 - 0.25 * (u * u + v * v))
        };
        let cell = |x: usize, y: usize| (x % 120 < 40) && (y % 110 < 40);
        let frame = correct(plane(600, 400, |x, y| light(x, y) * if cell(x, y) { 0.6 } else { 1.0 }), PixelSize::PAPER);
        for (index, &value) in frame.relative.iter().enumerate() {
            let expected = if cell(index % 600, index / 600) { 0.6 } else { 1.0 };
            assert!((value - expected).abs() < 0.03, "{value} at {index}");
        }
        assert!((0.4..0.7).contains(&frame.quality.evenness), "{}", frame.quality.evenness);
    }

    #[test]
    fn odd_frames_give_finite_numbers() {
        for frame in [
            correct(plane(1, 1, |_, _| 0.0), PixelSize::PAPER),
            correct(plane(5, 5, |_, _| 100.0), PixelSize::PAPER),
            correct(plane(7, 3, |x, _| -1e30 * x as f32), PixelSize::PAPER),
            correct(plane(64, 64, |x, y| if (x + y) % 2 == 0 { f32::NAN } else { 3.0 }), PixelSize::PAPER),
            correct(plane(3000, 2, |x, _| x as f32), PixelSize::PAPER),
        ] {
            assert!(frame.relative.iter().all(|v| v.is_finite()));
            let q = frame.quality;
            assert!(
                q.focus.is_finite() && q.background_counts.is_finite() && (0.0..=1.0).contains(&q.evenness),
                "{q:?}"
            );
            assert!((0.0..=1.0).contains(&q.saturated_share));
        }
    }

    #[test]
    fn brightness_of_the_lamp_does_not_matter() {
        let scene = |gain: f32| {
            correct(plane(200, 150, move |x, y| gain * (500.0 + ((x * 7 + y * 13) % 29) as f32)), PixelSize::PAPER)
        };
        let (dim, bright) = (scene(1.0), scene(8.0));
        for (a, b) in dim.relative.iter().zip(bright.relative.iter()) {
            assert!((a - b).abs() < 1e-4);
        }
    }

    #[test]
    fn what_a_former_frame_left_in_memory_is_never_seen() {
        // Large enough for its memory to be kept.
        let scene = |period: usize| plane(700, 500, move |x, y| 500.0 + ((x * 7 + y * 13) % period) as f32);
        let first = correct(scene(29), PixelSize::PAPER);
        let relative = first.relative.to_vec();
        drop(first);
        drop(correct(scene(41), PixelSize::PAPER));
        assert_eq!(correct(scene(29), PixelSize::PAPER).relative.to_vec(), relative);
    }
}
