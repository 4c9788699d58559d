//! Splits a mask of touching cells into single ones.
//!
//! Every cell is a hill of a landscape (see [`super::segment`]): the mask is flooded from the tops downwards, and where
//! two floods meet, they stay apart only when the lower hill rises at least `prominence` above the pass between them.

use super::grid::Grid;
use super::mask::{Labels, Mask, neighbours};

/// What has been flooded from one top.
struct Hill {
    /// Height of the top.
    top: f32,
    /// Number of pixels.
    area: usize,
    /// The hill that this one has been merged into.
    into: u32,
}

/// One label per hill of `landscape` inside `mask`; hills of less prominence than `prominence` or of fewer pixels than
/// `smallest` when they meet another are part of that other.
#[expect(clippy::indexing_slicing, reason = "pixels are within the grid, hills are numbered as they are pushed")]
pub(super) fn split(mask: &Mask, landscape: &Grid, prominence: f32, smallest: usize) -> Labels {
    let (width, height) = (mask.width, mask.height);
    let mut order: Vec<u32> = (0..mask.inside.len() as u32).filter(|&i| mask.inside[i as usize]).collect();
    order.sort_unstable_by(|&a, &b| {
        landscape.values[b as usize].total_cmp(&landscape.values[a as usize]).then(a.cmp(&b))
    });
    let mut label = vec![0_u32; mask.inside.len()];
    let mut hills = vec![Hill { top: f32::INFINITY, area: 0, into: 0 }];
    for &pixel in &order {
        let at = pixel as usize;
        let level = landscape.values[at];
        let mut best: Option<(f32, u32)> = None;
        for next in neighbours(at, width, height, true) {
            if label[next] == 0 {
                continue;
            }
            let hill = root(&mut hills, label[next]);
            let Some((steepest, current)) = best else {
                best = Some((landscape.values[next], hill));
                continue;
            };
            let mut chosen = if landscape.values[next] > steepest { hill } else { current };
            if hill != current {
                let (high, low) = if hills[hill as usize].top > hills[current as usize].top {
                    (hill, current)
                } else {
                    (current, hill)
                };
                let lower = &hills[low as usize];
                if lower.top - level < prominence || lower.area < smallest {
                    let area = lower.area;
                    hills[low as usize].into = high;
                    hills[high as usize].area += area;
                    chosen = high;
                }
            }
            best = Some((steepest.max(landscape.values[next]), chosen));
        }
        let hill = if let Some((_, hill)) = best {
            root(&mut hills, hill)
        } else {
            let new = hills.len() as u32;
            hills.push(Hill { top: level, area: 0, into: new });
            new
        };
        hills[hill as usize].area += 1;
        label[at] = hill;
    }
    number(mask, label, &mut hills)
}

/// Labels 1..=count in the order of their first pixel.
#[expect(clippy::indexing_slicing, reason = "hills are numbered as they are pushed")]
fn number(mask: &Mask, mut label: Vec<u32>, hills: &mut [Hill]) -> Labels {
    let mut numbers = vec![0_u32; hills.len()];
    let mut count = 0;
    for value in &mut label {
        if *value == 0 {
            continue;
        }
        let hill = root(hills, *value) as usize;
        if numbers[hill] == 0 {
            count += 1;
            numbers[hill] = count;
        }
        *value = numbers[hill];
    }
    Labels { width: mask.width, height: mask.height, label, count }
}

#[expect(clippy::indexing_slicing, reason = "hills are numbered as they are pushed")]
fn root(hills: &mut [Hill], mut hill: u32) -> u32 {
    while hills[hill as usize].into != hill {
        let into = hills[hill as usize].into;
        hills[hill as usize].into = hills[into as usize].into;
        hill = into;
    }
    hill
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hills of height 10 and 8 with a pass of height 5 between them.
    fn two_hills() -> (Mask, Grid) {
        let (width, height) = (40, 11);
        let hill = |x: f32, y: f32, cx: f32, top: f32| top - ((x - cx).powi(2) + (y - 5.0).powi(2)).sqrt() * 0.5;
        let values: Vec<f32> = (0..width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f32, (i / width) as f32);
                hill(x, y, 14.0, 10.0).max(hill(x, y, 30.0, 8.0))
            })
            .collect();
        (Mask { width, height, inside: vec![true; width * height] }, Grid { width, height, values })
    }

    #[test]
    fn hills_stay_apart_by_their_prominence() {
        let (mask, landscape) = two_hills();
        assert_eq!(split(&mask, &landscape, 1.0, 1).count, 2);
        assert_eq!(split(&mask, &landscape, 4.0, 1).count, 1);
        assert_eq!(split(&mask, &landscape, 1.0, 300).count, 1);
        let labels = split(&mask, &landscape, 1.0, 1);
        assert_ne!(labels.label[5 * 40 + 14], labels.label[5 * 40 + 30]);
        assert!(labels.label.iter().all(|&l| l > 0));
    }

    #[test]
    fn an_empty_mask_gives_nothing_and_a_flat_landscape_one_part() {
        let (mut mask, landscape) = two_hills();
        let flat = landscape.map(|_| 1.0);
        assert_eq!(split(&mask, &flat, 0.1, 1).count, 1);
        mask.inside.fill(false);
        assert_eq!(split(&mask, &landscape, 1.0, 1).count, 0);
    }
}
