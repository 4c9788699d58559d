//! Sets of pixels of a working picture: widening, narrowing, holes, connected parts.

use super::grid::{Grid, View};
use std::collections::BTreeMap;

/// Discs from this radius on are widened by exact distances instead of runs, px.
const FURTHEST_STEPS: f32 = 60.0;

/// Pixels of a row that are looked at together.
const STRETCH_PX: usize = 32;

/// `[height, width]`, true inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mask {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) inside: Vec<bool>,
}

/// `[height, width]`, 0 outside, 1..=count inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) label: Vec<u32>,
    pub(super) count: u32,
}

impl Mask {
    /// Where `grid` is above `threshold`.
    pub(super) fn above(grid: &Grid, threshold: f32) -> Self {
        let inside = grid.values.iter().map(|&v| v > threshold).collect();
        Self { width: grid.width, height: grid.height, inside }
    }

    /// The same pixels in a larger mask, whose pixel `corner` is the first one here.
    #[expect(clippy::indexing_slicing, reason = "the larger mask holds this one")]
    pub(super) fn placed(&self, corner: (usize, usize), (width, height): (usize, usize)) -> Self {
        let mut inside = vec![false; width * height];
        for (y, row) in (corner.1..).zip(self.inside.chunks_exact(self.width)) {
            inside[y * width + corner.0..][..self.width].copy_from_slice(row);
        }
        Self { width, height, inside }
    }

    /// The pixels outside.
    pub(super) fn inverted(&self) -> Self {
        let inside = self.inside.iter().map(|&v| !v).collect();
        Self { width: self.width, height: self.height, inside }
    }

    /// Number of pixels inside.
    pub(super) fn area(&self) -> usize {
        self.inside.iter().map(|&v| usize::from(v)).sum()
    }

    /// Share of the pixels that is inside, 0..=1.
    pub(super) fn share(&self) -> f64 {
        self.area() as f64 / self.inside.len().max(1) as f64
    }

    /// All pixels within `radius` px of the set.
    pub(super) fn widened(&self, radius: f32) -> Self {
        if radius >= FURTHEST_STEPS {
            let squared = radius * radius;
            let inside = self.inverted().squared_distance().into_iter().map(|d| d <= squared).collect();
            return Self { width: self.width, height: self.height, inside };
        }
        // A disc is a stack of runs: a pixel is near when, in some row of the disc, the set is within that row's half width.
        let across = self.steps_across();
        let reach = radius.max(0.0) as usize;
        let mut near = vec![0_u8; self.inside.len()];
        // Rows in which nothing is inside bring nothing near.
        let empty = |row: &[bool]| !row.contains(&true);
        let first = self.inside.chunks_exact(self.width).take_while(|row| empty(row)).count();
        let last = self.height - self.inside.chunks_exact(self.width).rev().take_while(|row| empty(row)).count();
        for (y, output) in near.chunks_exact_mut(self.width).enumerate() {
            let rows = y.saturating_sub(reach).max(first)..(y + reach + 1).min(last);
            for (row, steps) in across.chunks_exact(self.width).enumerate().take(rows.end).skip(rows.start) {
                let down = row.abs_diff(y) as f32;
                let half = (radius * radius - down * down).max(0.0).sqrt() as u8;
                for (near, &steps) in output.iter_mut().zip(steps) {
                    *near |= u8::from(steps <= half);
                }
            }
        }
        Self { width: self.width, height: self.height, inside: near.into_iter().map(|v| v != 0).collect() }
    }

    /// Which of the `asked` pixels are within `radius` px of the set: as [`Self::widened`], but quick where few are asked for and most
    /// of them lie in the set or close to it.
    pub(super) fn near(&self, asked: &[bool], radius: f32) -> Vec<bool> {
        if radius >= FURTHEST_STEPS {
            return self.widened(radius).inside.into_iter().zip(asked).map(|(near, asked)| near && *asked).collect();
        }
        let across = self.steps_across();
        let reach = radius.max(0.0) as usize;
        let halves: Vec<u8> = (0..=reach).map(|d| (radius * radius - (d * d) as f32).max(0.0).sqrt() as u8).collect();
        let is_near = |at: usize| {
            halves.iter().enumerate().any(|(rows, half)| {
                let above = at.checked_sub(rows * self.width).and_then(|at| across.get(at));
                let below = across.get(at + rows * self.width);
                above.is_some_and(|steps| steps <= half) || below.is_some_and(|steps| steps <= half)
            })
        };
        asked.iter().enumerate().map(|(at, asked)| *asked && is_near(at)).collect()
    }

    /// For every pixel, the steps along its row to the nearest pixel inside (0 inside, at most 255).
    fn steps_across(&self) -> Vec<u8> {
        let mut steps: Vec<u8> = self.inside.iter().map(|&inside| if inside { 0 } else { u8::MAX }).collect();
        for row in steps.chunks_exact_mut(self.width) {
            if !row.contains(&0) {
                continue;
            }
            let mut far = u32::from(u8::MAX);
            for step in row.iter_mut() {
                far = if *step == 0 { 0 } else { far + 1 };
                *step = far.min(u32::from(u8::MAX)) as u8;
            }
            far = u32::from(u8::MAX);
            for step in row.iter_mut().rev() {
                far = if *step == 0 { 0 } else { far + 1 };
                *step = far.min(u32::from(*step)) as u8;
            }
        }
        steps
    }

    /// The pixels further than `radius` px from the outside; the frame's edge does not count as outside.
    pub(super) fn narrowed(&self, radius: f32) -> Self {
        self.inverted().widened(radius).inverted()
    }

    /// Gaps narrower than twice `radius` closed.
    pub(super) fn closed(&self, radius: f32) -> Self {
        self.widened(radius).narrowed(radius)
    }

    /// Parts narrower than twice `radius` removed.
    pub(super) fn opened(&self, radius: f32) -> Self {
        self.narrowed(radius).widened(radius)
    }

    /// Only the parts in which `marks` has at least one pixel.
    #[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
    pub(super) fn with_marks(&self, marks: &Self) -> Self {
        let parts = self.parts();
        let mut marked = vec![false; parts.count as usize + 1];
        for (&label, &mark) in parts.label.iter().zip(&marks.inside) {
            marked[label as usize] |= mark;
        }
        let inside = parts.label.iter().map(|&label| label > 0 && marked[label as usize]).collect();
        Self { width: self.width, height: self.height, inside }
    }

    /// The connected parts (8 neighbours), numbered in the order of their first pixel.
    pub(super) fn parts(&self) -> Labels {
        self.flood(true)
    }

    /// Holes (outside parts, 4 neighbours, that do not reach the frame's edge) of at most `largest` px filled in.
    #[expect(clippy::indexing_slicing, reason = "numbers are 1..=count, tables hold count + 1, runs lie in the mask")]
    pub(super) fn filled(&self, largest: usize) -> Self {
        let holes = self.runs(false, false);
        let mut area = vec![0; holes.count as usize + 1];
        let mut open = vec![false; holes.count as usize + 1];
        for (run, number) in holes.numbered() {
            area[number] += run.end - run.start;
            open[number] |= run.start == 0 || run.end == self.width || run.y == 0 || run.y + 1 == self.height;
        }
        let mut filled = self.clone();
        for (run, _) in holes.numbered().filter(|(_, number)| !open[*number] && area[*number] <= largest) {
            filled.inside[run.y * self.width + run.start..run.y * self.width + run.end].fill(true);
        }
        filled
    }

    /// Only the parts with at least `smallest` px.
    #[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
    pub(super) fn without_specks(&self, smallest: usize) -> Self {
        let parts = self.parts();
        let area = parts.areas();
        let inside = parts.label.iter().map(|&label| label > 0 && area[label as usize] >= smallest).collect();
        Self { width: self.width, height: self.height, inside }
    }

    /// The connected parts, 8 neighbours or 4, as labels.
    #[expect(clippy::indexing_slicing, reason = "runs lie in the mask")]
    fn flood(&self, diagonal: bool) -> Labels {
        let runs = self.runs(true, diagonal);
        let mut label = vec![0_u32; self.inside.len()];
        for (run, number) in runs.numbered() {
            label[run.y * self.width + run.start..run.y * self.width + run.end].fill(number as u32);
        }
        Labels { width: self.width, height: self.height, label, count: runs.count }
    }

    /// The runs of pixels that are `wanted`; those of every row joined with those of the row above that they touch.
    #[expect(clippy::indexing_slicing, reason = "runs are numbered as they are pushed and lie inside their rows")]
    fn runs(&self, wanted: bool, diagonal: bool) -> Runs {
        let reach = usize::from(diagonal);
        let mut runs: Vec<Run> = Vec::new();
        let mut joined: Vec<u32> = Vec::new();
        let mut above = 0..0;
        for (y, row) in self.inside.chunks_exact(self.width).enumerate() {
            let begin = runs.len();
            let mut candidate = above.start;
            let mut x = 0;
            while let Some(start) = row[x..].iter().position(|&inside| inside == wanted).map(|skip| x + skip) {
                let end = row[start..].iter().position(|&inside| inside != wanted);
                let end = end.map_or(self.width, |skip| start + skip);
                joined.push(runs.len() as u32);
                runs.push(Run { y, start, end });
                while candidate < above.end && runs[candidate].end + reach <= start {
                    candidate += 1;
                }
                let touching = (candidate..above.end).take_while(|&other| runs[other].start < end + reach);
                for other in touching {
                    join(&mut joined, other as u32, runs.len() as u32 - 1);
                }
                x = end;
            }
            above = begin..runs.len();
        }
        let mut numbers = vec![0_u32; runs.len()];
        let mut count = 0;
        for run in 0..runs.len() {
            let first = first_run(&mut joined, run as u32) as usize;
            if numbers[first] == 0 {
                count += 1;
                numbers[first] = count;
            }
            numbers[run] = numbers[first];
        }
        Runs { in_order: runs, numbers, count }
    }
}

/// Pixels `start..end` of row `y`.
struct Run {
    y: usize,
    start: usize,
    end: usize,
}

/// The runs of a mask in reading order, and the connected part that each belongs to.
struct Runs {
    in_order: Vec<Run>,
    /// 1..=count, in the order of the parts' first pixels.
    numbers: Vec<u32>,
    count: u32,
}

impl Runs {
    fn numbered(&self) -> impl Iterator<Item = (&Run, usize)> {
        self.in_order.iter().zip(self.numbers.iter().map(|&number| number as usize))
    }
}

/// The first run of the part that `run` belongs to.
#[expect(clippy::indexing_slicing, reason = "runs are numbered as they are pushed")]
fn first_run(joined: &mut [u32], mut run: u32) -> u32 {
    while joined[run as usize] != run {
        joined[run as usize] = joined[joined[run as usize] as usize];
        run = joined[run as usize];
    }
    run
}

#[expect(clippy::indexing_slicing, reason = "runs are numbered as they are pushed")]
fn join(joined: &mut [u32], a: u32, b: u32) {
    let (a, b) = (first_run(joined, a), first_run(joined, b));
    joined[a.max(b) as usize] = a.min(b);
}

/// Where one label lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) label: u32,
    pub(super) left: usize,
    pub(super) top: usize,
    /// The last column and row inside.
    pub(super) right: usize,
    pub(super) bottom: usize,
    /// First pixel in reading order.
    pub(super) first: (usize, usize),
    /// Number of pixels.
    pub(super) area: usize,
}

impl Window {
    /// The window with `margin` px around it, as far as a grid of `width` x `height` goes.
    pub(super) fn with_margin(&self, margin: usize, width: usize, height: usize) -> View {
        View {
            left: self.left.saturating_sub(margin),
            top: self.top.saturating_sub(margin),
            right: (self.right + 1 + margin).min(width),
            bottom: (self.bottom + 1 + margin).min(height),
        }
    }
}

impl Labels {
    /// The pixels of `label` in `view`.
    pub(super) fn one(&self, label: u32, view: &View) -> Mask {
        let inside = view.copied(&self.label, self.width).into_iter().map(|l| l == label).collect();
        Mask { width: view.width(), height: view.height(), inside }
    }

    /// Adds the labels of a part that was labelled by itself, numbered on from those that are there.
    #[expect(clippy::indexing_slicing, reason = "a view lies inside its grid")]
    pub(super) fn add(&mut self, view: &View, part: &Self) {
        for (row, added) in view.rows(self.width).zip(part.label.chunks_exact(part.width)) {
            for (label, &added) in self.label[row].iter_mut().zip(added).filter(|(_, added)| **added > 0) {
                *label = self.count + added;
            }
        }
        self.count += part.count;
    }

    /// The windows of all labels that occur.
    #[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
    pub(super) fn windows(&self) -> Vec<Window> {
        let none = Window { label: 0, left: 0, top: 0, right: 0, bottom: 0, first: (0, 0), area: 0 };
        let mut windows = vec![none; self.count as usize + 1];
        for (y, row) in self.label.chunks_exact(self.width).enumerate() {
            // Most stretches are empty and quickly passed over.
            let stretches = row.chunks(STRETCH_PX).zip((0..).step_by(STRETCH_PX));
            let filled = stretches.filter(|(stretch, _)| stretch.iter().fold(0, |any, label| any | label) > 0);
            let labelled = filled.flat_map(|(stretch, left)| (left..).zip(stretch)).filter(|(_, label)| **label > 0);
            for (x, &label) in labelled {
                let found = &mut windows[label as usize];
                if found.area == 0 {
                    *found = Window { label, left: x, top: y, right: x, bottom: y, first: (x, y), area: 0 };
                }
                found.left = found.left.min(x);
                found.right = found.right.max(x);
                found.bottom = y;
                found.area += 1;
            }
        }
        windows.retain(|window| window.area > 0);
        windows
    }

    /// For every label, how many of its pixels' sides face each other label (0 for the outside), px.
    #[expect(clippy::indexing_slicing, reason = "pixels are within the grid")]
    pub(super) fn contacts(&self) -> BTreeMap<u32, BTreeMap<u32, usize>> {
        let mut contacts: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
        for at in (0..self.label.len()).filter(|&at| self.label[at] > 0) {
            for next in neighbours(at, self.width, self.height, false) {
                if self.label[next] != self.label[at] {
                    *contacts.entry(self.label[at]).or_default().entry(self.label[next]).or_default() += 1;
                }
            }
        }
        contacts
    }

    /// Only the largest connected part (8 neighbours) of every label; the first one when several are as large.
    #[expect(clippy::indexing_slicing, reason = "pixels are within the grid, labels are 0..=count")]
    pub(super) fn largest_parts(self) -> Self {
        let (width, height) = (self.width, self.height);
        let mut part = vec![0_u32; self.label.len()];
        let mut sizes = vec![0_usize];
        let mut best = vec![0_u32; self.count as usize + 1];
        let mut open = Vec::new();
        for start in 0..part.len() {
            let own = self.label[start];
            if own == 0 || part[start] != 0 {
                continue;
            }
            let number = sizes.len() as u32;
            let mut size = 0;
            part[start] = number;
            open.push(start);
            while let Some(at) = open.pop() {
                size += 1;
                for next in neighbours(at, width, height, true) {
                    if self.label[next] == own && part[next] == 0 {
                        part[next] = number;
                        open.push(next);
                    }
                }
            }
            sizes.push(size);
            if size > sizes[best[own as usize] as usize] {
                best[own as usize] = number;
            }
        }
        let keep = |(&label, &part): (&u32, &u32)| if label > 0 && best[label as usize] == part { label } else { 0 };
        let label = self.label.iter().zip(&part).map(keep).collect();
        Self { label, ..self }
    }

    /// Number of pixels of every label, index 0 for the outside.
    #[expect(clippy::indexing_slicing, reason = "labels are 0..=count and the table holds count + 1")]
    pub(super) fn areas(&self) -> Vec<usize> {
        let mut areas = vec![0; self.count as usize + 1];
        for &label in &self.label {
            areas[label as usize] += 1;
        }
        areas
    }

    /// The area that half of the labels exceed (the upper one of two in the middle), px; 0 without labels.
    pub(super) fn usual_area(&self) -> usize {
        let mut areas: Vec<usize> = self.areas().into_iter().skip(1).filter(|area| *area > 0).collect();
        let middle = areas.len() / 2;
        if areas.is_empty() { 0 } else { *areas.select_nth_unstable(middle).1 }
    }
}

/// The 4-connected parts of `inside` (`[height, width]`), numbered from 1 in reading order; 0 outside.
pub(crate) fn parts(width: usize, height: usize, inside: Vec<bool>) -> Vec<u16> {
    let labels = Mask { width, height, inside }.flood(false);
    labels.label.into_iter().map(|label| u16::try_from(label).unwrap_or(u16::MAX)).collect()
}

/// The 4 or 8 neighbours of pixel `at` that lie inside the grid.
#[expect(clippy::indexing_slicing, reason = "a step across is -1, 0 or 1 and the table holds three")]
pub(super) fn neighbours(at: usize, width: usize, height: usize, diagonal: bool) -> impl Iterator<Item = usize> {
    // Up, left, right, down, then the corners; the step is taken in the row of the pixel itself or in that above or below.
    const STEPS: [(isize, isize); 8] = [(0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)];
    let (x, pixels) = (at % width, width * height);
    let free = [x > 0, true, x + 1 < width];
    STEPS.into_iter().take(if diagonal { 8 } else { 4 }).filter_map(move |(dx, dy)| {
        let next = at.checked_add_signed(dx + dy * width as isize)?;
        (next < pixels && free[(dx + 1) as usize]).then_some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let inside = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        Mask { width: rows[0].len(), height: rows.len(), inside }
    }

    #[test]
    fn parts_are_joined_over_corners_and_numbered_in_reading_order() {
        let comb = mask(&["#.#.#", "#.#.#", "###.#", "....#", "##.##", "..#.."]);
        assert_eq!(comb.parts().count, 2);
        let corner = Mask { inside: comb.inside.clone(), ..comb }.flood(false);
        assert_eq!(corner.count, 4);
        assert_eq!((corner.label[2], corner.label[4], corner.label[20], corner.label[27]), (1, 2, 3, 4));
    }

    #[test]
    fn widening_takes_what_lies_within_the_radius() {
        let (width, height) = (41, 37);
        let inside: Vec<bool> = (0..width * height).map(|i| (i * i + 5 * i) % 97 == 1).collect();
        let mask = Mask { width, height, inside };
        let distance = mask.inverted().squared_distance();
        for radius in [0.0, 0.5, 1.0, 1.5, 2.9, 6.0, 80.0] {
            let within: Vec<bool> = distance.iter().map(|&d| d <= radius * radius).collect();
            assert_eq!(mask.widened(radius).inside, within, "{radius}");
            let asked: Vec<bool> = (0..within.len()).map(|at| at % 3 > 0).collect();
            let near: Vec<bool> = within.iter().zip(&asked).map(|(within, asked)| *within && *asked).collect();
            assert_eq!(mask.near(&asked, radius), near, "{radius}");
        }
    }

    #[test]
    fn a_full_mask_is_far_from_everything_and_an_empty_one_is_not() {
        let full = mask(&["###", "###"]);
        assert!(full.squared_distance().iter().all(|&d| d > 50.0));
        assert_eq!(full.narrowed(2.0), full);
        let empty = full.inverted();
        assert_eq!(empty.widened(2.0), empty);
        assert_eq!(empty.parts().count, 0);
    }

    #[test]
    fn a_label_keeps_its_largest_part() {
        let labels = Labels { width: 7, height: 1, label: vec![1, 0, 1, 1, 2, 0, 2], count: 2 };
        let windows: Vec<(usize, usize)> = labels.windows().iter().map(|w| (w.left, w.area)).collect();
        assert_eq!(windows, [(0, 3), (4, 2)]);
        assert_eq!(labels.largest_parts().label, [0, 0, 1, 1, 2, 0, 0]);
    }

    #[test]
    fn holes_are_filled_and_bays_are_not() {
        let ring = mask(&["######", "#..#.#", "#..#.#", "####.."]);
        assert_eq!(ring.filled(4), mask(&["######", "####.#", "####.#", "####.."]));
        assert_eq!(ring.filled(3), ring);
        assert_eq!(ring.without_specks(2).area(), ring.area());
    }
}
