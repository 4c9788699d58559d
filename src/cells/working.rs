//! The picture that the finder's network sees: any instrument's frame brought to one scale and one contrast.
//!
//! Takes relative light, gives, for the shipped network, the logarithm of it without its slow part, resampled continuously so that a cell of the
//! hinted diameter is [`NETWORK_DIAMETER_PX`] wide, and divided by the strength of the frame's own structures. So the
//! network never learns an instrument: pixel size, exposure and depth of contrast are gone before it looks.

use super::busy::Place;
use super::grid::{Grid, View as Part};
use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;

/// A cell of the hinted diameter is this wide in the network's picture, px.
pub const NETWORK_DIAMETER_PX: f64 = 24.0;
/// Radius of the running mean that is taken away, in diameters.
const SLOW_DIAMETERS: f64 = 1.5;
/// Light is taken as never darker than this.
const DARKEST: f32 = 0.05;
/// Logarithms of light beyond this do not count more.
const STRONGEST: f32 = 1.5;
/// Structures weaker than this are the camera's noise: the contrast is raised no further.
const WEAKEST: f32 = 0.02;
/// A block's strength is taken as no less than this.
const FAINTEST: f64 = 1e-4;
/// Values beyond this are cut.
const CUT: f32 = 5.0;

/// How a network wants to see cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// A cell of the hinted diameter is to be this wide, px.
    pub diameter_px: f64,
    /// What a pixel is to say.
    pub light: Light,
}

/// What a pixel of a working picture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// About -4..4 and 0 on empty substrate: what the shipped network sees.
    Contrast,
    /// Relative light, about 1 on empty substrate: what other networks' own preprocessing starts from.
    Relative,
}

impl View {
    /// The shipped network's.
    pub const SHIPPED: Self = Self { diameter_px: NETWORK_DIAMETER_PX, light: Light::Contrast };
}

/// A frame as a network is to see it: `[height, width]` values.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingPicture {
    /// Pixels per row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Row after row.
    pub values: Vec<f32>,
    /// A working pixel is this many frame pixels wide.
    pub scale: f64,
    /// A cell of the hinted diameter is this wide, px.
    pub diameter_px: f64,
    /// What logarithms of relative light were multiplied with; 0 where values are none.
    pub contrast: f32,
}

impl WorkingPicture {
    /// The working picture of `relative` (`[height, width]`, about 1 on empty substrate) with cells `diameter_px` wide, for
    /// a network that sees by `view`.
    pub fn of(relative: &[f32], width: usize, height: usize, diameter_px: f64, view: View) -> Self {
        let working_px = view.diameter_px;
        let scale = (diameter_px / working_px).clamp(0.1, 64.0);
        let targets = |length: usize| ((length as f64 / scale).round() as usize).max(1);
        let light = Resampling::new((width, height), (targets(width), targets(height)), scale).all(relative);
        let (columns, rows) = (light.width, light.height);
        let (values, contrast) = match view.light {
            Light::Relative => (light.values, 0.0),
            Light::Contrast => contrasted(&light, working_px),
        };
        Self { width: columns, height: rows, values, scale, diameter_px: working_px, contrast }
    }

    /// A part of this picture seen `times` as near: as many times as many columns and rows, to the nearest.
    #[must_use]
    pub fn nearer(&self, part: &Place, times: f64) -> Self {
        let rows = part.rows(self.width).flat_map(|row| self.values.get(row).unwrap_or_default());
        let values: Vec<f32> = rows.copied().collect();
        let (columns, rows) = part.size();
        let to = |length: usize| ((length as f64 * times).round() as usize).max(1);
        let near = Resampling::new((columns, rows), (to(columns), to(rows)), 1.0 / times).all(&values);
        let (scale, diameter_px) = (self.scale / times, self.diameter_px * times);
        Self { width: near.width, height: near.height, values: near.values, scale, diameter_px, ..*self }
    }

    /// How a frame of `width` x `height` px becomes a picture of twice as many columns and rows as this one.
    pub(super) fn twice_as_fine(&self, width: usize, height: usize) -> Resampling {
        Resampling::new((width, height), (2 * self.width, 2 * self.height), self.scale / 2.0)
    }
}

/// `values` (`[height, width]`) of what is seen `times` as near, at the pixels of the part that is seen: the other way round than
/// [`WorkingPicture::nearer`].
pub fn farther(values: &[f32], (width, height): (usize, usize), part: &Place, times: f64) -> Vec<f32> {
    Resampling::new((width, height), part.size(), times).all(values).values
}

/// The logarithm of relative light, bounded.
pub(super) fn logarithm(light: f32) -> f32 {
    light.max(DARKEST).ln().clamp(-STRONGEST, STRONGEST)
}

/// The logarithm of light without its slow part, divided by the strength of the picture's own structures; and one over that.
fn contrasted(light: &Grid, diameter_px: f64) -> (Vec<f32>, f32) {
    let log = light.map(logarithm);
    let radius = (SLOW_DIAMETERS * diameter_px) as usize;
    let slow = log.mean(radius).mean(radius / 2);
    let fast = log.zip(&slow, |a, b| a - b);
    let factor = 1.0 / strength(&fast, diameter_px as usize).max(WEAKEST);
    (fast.values.iter().map(|v| (v * factor).clamp(-CUT, CUT)).collect(), factor)
}

/// How strong the structures of the picture's busier places are: the fourth-power mean of a block as wide as a cell, in the
/// middle of the busier of two classes of blocks. However few cells a frame has, they set the contrast and not the noise
/// round them; a frame full of cells comes out about alike, and a black corner or a single bright bubble does not count.
fn strength(picture: &Grid, block: usize) -> f32 {
    let (columns, rows) = (picture.width.div_ceil(block.max(1)), picture.height.div_ceil(block.max(1)));
    let mut sums = vec![(0.0_f64, 0_u32); columns * rows];
    for (y, line) in picture.values.chunks_exact(picture.width).enumerate() {
        for (x, run) in line.chunks(block.max(1)).enumerate() {
            if let Some((sum, count)) = sums.get_mut(y / block.max(1) * columns + x) {
                *sum += run.iter().map(|&v| f64::from(v * v) * f64::from(v * v)).sum::<f64>();
                *count += run.len() as u32;
            }
        }
    }
    let mut strengths: Vec<f64> =
        sums.iter().map(|(sum, count)| (sum / f64::from((*count).max(1))).powf(0.25).max(FAINTEST)).collect();
    strengths.sort_unstable_by(f64::total_cmp);
    let busier = strengths.split_off(most_apart(&strengths));
    busier.get(busier.len() / 2).map_or(0.0, |&strength| strength as f32)
}

/// Where ascending `values` fall into two classes whose logarithms lie furthest apart (Otsu 1979): the first place of the
/// upper class.
fn most_apart(values: &[f64]) -> usize {
    let all: f64 = values.iter().map(|v| v.ln()).sum();
    let (mut best, mut below) = ((0.0, 0), 0.0);
    for (count, value) in (1..values.len()).zip(values) {
        below += value.ln();
        let (lower, upper) = (count as f64, (values.len() - count) as f64);
        let apart = lower * upper * (below / lower - (all - below) / upper).powi(2);
        if apart > best.0 {
            best = (apart, count);
        }
    }
    best.1
}

/// Which source pixels make one target pixel, with their weights.
struct Taps {
    from: usize,
    weights: Vec<f32>,
}

impl Taps {
    /// The same with weights of nothing at its end; `None` when there are more.
    fn few(&self) -> Option<(usize, [f32; FEW_TAPS])> {
        let mut weights = [0.0; FEW_TAPS];
        weights.get_mut(..self.weights.len())?.copy_from_slice(&self.weights);
        Some((self.from, weights))
    }
}

/// The taps of `targets` pixels along one axis: the mean over their width when the picture shrinks, the line between
/// two neighbours when it grows.
fn taps(length: usize, targets: usize, scale: f64) -> Vec<Taps> {
    let last = length.saturating_sub(1);
    (0..targets)
        .map(|target| {
            let middle = (target as f64 + 0.5) * scale;
            if scale > 1.0 {
                let (left, right) = (middle - scale / 2.0, (middle + scale / 2.0).min(length as f64));
                let from = (left.max(0.0) as usize).min(last);
                let to = (right.ceil() as usize).clamp(from + 1, length);
                let mut weights: Vec<f32> =
                    (from..to).map(|at| (right.min(at as f64 + 1.0) - left.max(at as f64)).max(1e-6) as f32).collect();
                let sum: f32 = weights.iter().sum();
                for weight in &mut weights {
                    *weight /= sum;
                }
                Taps { from, weights }
            } else {
                let at = (middle - 0.5).clamp(0.0, last as f64);
                let from = (at as usize).min(last.saturating_sub(1));
                let part = (at - from as f64) as f32;
                let weights = if last == 0 { vec![1.0] } else { vec![1.0 - part, part] };
                Taps { from, weights }
            }
        })
        .collect()
}

/// As many taps are summed without a loop: enough for scales up to 3.
const FEW_TAPS: usize = 4;
/// A thread makes at least so many rows at a time.
const ROWS_AT_ONCE: usize = 32;

/// How a picture is brought to another pixel size.
pub(super) struct Resampling {
    /// Columns of the source.
    width: usize,
    columns: Vec<Taps>,
    rows: Vec<Taps>,
    /// The columns' taps, where none has more than a few.
    few: Option<Vec<(usize, [f32; FEW_TAPS])>>,
}

impl Resampling {
    /// A source of `from` columns and rows becomes one of `to`, with pixels `scale` times as wide.
    fn new(from: (usize, usize), to: (usize, usize), scale: f64) -> Self {
        let (columns, rows) = (taps(from.0, to.0, scale), taps(from.1, to.1, scale));
        let few = columns.iter().map(Taps::few).collect();
        Self { width: from.0, columns, rows, few }
    }

    /// The whole of `source`, on all cores.
    fn all(&self, source: &[f32]) -> Grid {
        let mut values = vec![0.0_f32; self.columns.len() * self.rows.len()];
        let targets = values.par_chunks_exact_mut(self.columns.len()).zip(&self.rows);
        targets
            .with_min_len(ROWS_AT_ONCE)
            .for_each_init(|| self.line(), |line, (target, row)| self.row(source, row, 0, (line, target)));
        Grid { width: self.columns.len(), height: self.rows.len(), values }
    }

    /// The pixels of `source` in `part` of the target.
    pub(super) fn part(&self, source: &[f32], part: &Part) -> Grid {
        let mut values = vec![0.0_f32; part.width() * part.height()];
        let mut line = self.line();
        let targets = values.chunks_exact_mut(part.width().max(1));
        for (target, row) in targets.zip(self.rows.iter().take(part.bottom).skip(part.top)) {
            self.row(source, row, part.left, (&mut line, target));
        }
        Grid { width: part.width(), height: part.height(), values }
    }

    /// Room for a row of the source, with more for taps of no weight beyond its end.
    fn line(&self) -> Vec<f32> {
        vec![0.0_f32; self.width + FEW_TAPS]
    }

    /// As many columns of one target row as `target` takes, from `left` on; `line` is room for a row of the source.
    #[expect(clippy::indexing_slicing, reason = "taps lie inside the row or column that they were made for")]
    fn row(&self, source: &[f32], row: &Taps, left: usize, (line, target): (&mut [f32], &mut [f32])) {
        let columns = left..left + target.len();
        let (Some(first), Some(last)) = (self.columns[columns.clone()].first(), self.columns[columns.clone()].last())
        else {
            return;
        };
        let stretch = first.from..last.from + last.weights.len();
        line[stretch.clone()].fill(0.0);
        for (tap, weight) in row.weights.iter().enumerate() {
            let from = (row.from + tap) * self.width;
            let source = &source[from + stretch.start..from + stretch.end];
            for (sum, value) in line[stretch.clone()].iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
        match &self.few {
            Some(few) => {
                for (target, (from, weights)) in target.iter_mut().zip(&few[columns]) {
                    let line = &line[*from..*from + FEW_TAPS];
                    *target = weights.iter().zip(line).map(|(weight, value)| weight * value).sum();
                }
            }
            None => {
                for (target, column) in target.iter_mut().zip(&self.columns[columns]) {
                    let line = &line[column.from..];
                    *target = column.weights.iter().zip(line).map(|(weight, value)| weight * value).sum();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_from_near_lies_where_it_lay() {
        let (width, height) = (60, 40);
        let values: Vec<f32> = (0..width * height).map(|i| (i % width) as f32 + 3.0 * (i / width) as f32).collect();
        let picture = WorkingPicture { width, height, values, scale: 2.0, diameter_px: 24.0, contrast: 1.0 };
        let part = Place { left: 11, top: 5, right: 42, bottom: 30 };
        let near = picture.nearer(&part, 1.5);
        assert_eq!((near.width, near.height, near.diameter_px), (47, 38, 36.0));
        let back = farther(&near.values, (near.width, near.height), &part, 1.5);
        let true_values = part.rows(width).flat_map(|row| picture.values[row].to_vec());
        let off = back.iter().zip(true_values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(back.len() == 31 * 25 && off < 1.5, "{off}");
    }

    #[test]
    fn resampling_keeps_a_slope_a_slope() {
        let (width, height) = (60, 40);
        let source: Vec<f32> = (0..width * height).map(|i| (i % width) as f32).collect();
        for scale in [0.5, 1.0, 1.7, 2.56, 4.0] {
            let targets = ((60.0_f64 / scale).round() as usize, (40.0_f64 / scale).round() as usize);
            let grid = Resampling::new((width, height), targets, scale).all(&source);
            assert_eq!(
                (grid.width, grid.height),
                ((60.0_f64 / scale).round() as usize, (40.0_f64 / scale).round() as usize)
            );
            let part = Part { left: 3, top: 2, right: 9, bottom: 7 };
            assert_eq!(Resampling::new((width, height), targets, scale).part(&source, &part), grid.within(&part));
            let row = &grid.values[grid.width * 3..grid.width * 4];
            for (x, value) in row.iter().enumerate().skip(2).take(grid.width - 4) {
                let expected = (x as f64 + 0.5) * scale - 0.5;
                assert!((f64::from(*value) - expected).abs() < 0.26, "{scale} {x}: {value} {expected}");
            }
        }
    }

    #[test]
    fn brightness_and_depth_of_contrast_do_not_matter() {
        let (width, height) = (240, 200);
        let pattern = |i: usize| ((i % width) as f32 / 9.0).sin() * ((i / width) as f32 / 7.0).cos();
        let at = |gain: f32, depth: f32| -> Vec<f32> {
            let frame: Vec<f32> = (0..width * height).map(|i| gain * (depth * pattern(i)).exp()).collect();
            WorkingPicture::of(&frame, width, height, 48.0, View::SHIPPED).values
        };
        let (one, other) = (at(1.0, 0.2), at(1.3, 0.5));
        let worst = one.iter().zip(&other).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 0.15, "{worst}");
    }

    #[test]
    fn few_cells_set_the_contrast_as_many_do() {
        let (width, height) = (600, 600);
        let at = |cells: usize| {
            let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0 - 0.5;
            let mut light: Vec<f32> = (0..width * height).map(|i| 1.0 + 0.02 * noise(i)).collect();
            for cell in 0..cells {
                let (left, top) = (60 + cell % 8 * 65, 60 + cell / 8 * 65);
                for y in top..top + 24 {
                    for x in left..left + 24 {
                        light[y * width + x] *= if (x + y) % 8 < 4 { 0.7 } else { 1.3 };
                    }
                }
            }
            let picture = WorkingPicture::of(&light, width, height, 24.0, View::SHIPPED).values;
            (60..84).map(|y| f64::from(picture[y * width + 61].abs())).sum::<f64>() / 24.0
        };
        let (few, many) = (at(3), at(64));
        assert!((0.6..1.6).contains(&(few / many)), "{few} {many}");
    }

    #[test]
    fn a_tiny_frame_has_a_working_picture() {
        let picture = WorkingPicture::of(&[1.0], 1, 1, 60.0, View::SHIPPED);
        assert_eq!((picture.width, picture.height, picture.values), (1, 1, vec![0.0]));
    }
}
