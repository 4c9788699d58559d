//! From seeds to outlines: the flood that ends at the membrane.

use super::grid::Grid;
use super::mask::{Labels, Mask, neighbours};

/// Steps of the edges' strength.
const LEVELS: usize = 512;
/// The strongest edges that are told apart: this share of the frame is weaker.
const STRONGEST: f64 = 0.999;
/// Whiskers narrower than twice this are cut off, px.
const WHISKER_PX: f32 = 1.0;
/// What the flood from the outside is called.
const OUTSIDE: u32 = u32::MAX;

/// The strength from which on a frame's edges are not told apart.
pub(super) fn strongest(edges: &Grid) -> f32 {
    edges.quantile(STRONGEST).max(1e-6)
}

/// Floods the rough mask from the seeds and from the outside over the edges' strength, weakest first: two floods meet at
/// the steepest edge between them. Edges of `strongest` and more are all the same.
#[expect(clippy::indexing_slicing, reason = "pixels are within the grid, levels below LEVELS")]
pub(super) fn grown(rough: &Mask, seeds: &Labels, edges: &Grid, strongest: f32) -> Labels {
    let (width, height) = (rough.width, rough.height);
    let scale = (LEVELS - 1) as f32 / strongest.sqrt();
    let level = |at: usize| ((edges.values[at].sqrt() * scale) as usize).min(LEVELS - 1);
    let mut owner: Vec<u32> =
        rough.inside.iter().zip(&seeds.label).map(|(&rough, &seed)| if rough { seed } else { OUTSIDE }).collect();
    let mut queues: Vec<Vec<u32>> = vec![Vec::new(); LEVELS];
    for at in (0..owner.len()).filter(|&at| rough.inside[at] && owner[at] == 0) {
        // The rim of every flood: queued once for each free neighbour, which does no harm.
        for from in neighbours(at, width, height, false).filter(|&from| owner[from] != 0) {
            queues[level(from)].push(from as u32);
        }
    }
    let mut current = 0;
    while current < LEVELS {
        let Some(from) = queues[current].pop() else {
            current += 1;
            continue;
        };
        let from = from as usize;
        for next in neighbours(from, width, height, false) {
            if owner[next] == 0 {
                owner[next] = owner[from];
                queues[level(next).max(current)].push(next as u32);
            }
        }
    }
    let owned = |&owner: &u32| owner != OUTSIDE && owner != 0;
    let smooth = Mask { width, height, inside: owner.iter().map(owned).collect() }.opened(WHISKER_PX);
    let label = owner.iter().zip(&smooth.inside).map(|(&owner, &inside)| if inside { owner } else { 0 }).collect();
    Labels { width, height, label, count: seeds.count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flood_ends_at_the_steepest_edge() {
        // Edges rise towards column 12 and column 30; the seed stands between them, the rough mask is wider.
        let (width, height) = (44, 24);
        let ridge = |x: usize, at: f32| (1.0 - (x as f32 - at).abs() / 4.0).max(0.0);
        let values = (0..width * height).map(|i| ridge(i % width, 12.0).max(ridge(i % width, 30.0))).collect();
        let edges = Grid { width, height, values };
        let rough =
            Mask { width, height, inside: (0..width * height).map(|i| (5..40).contains(&(i % width))).collect() };
        let seed = |i: usize| u32::from((19..23).contains(&(i % width)));
        let seeds = Labels { width, height, label: (0..width * height).map(seed).collect(), count: 1 };
        let grown = grown(&rough, &seeds, &edges, strongest(&edges));
        let row: Vec<usize> = (0..width).filter(|x| grown.label[12 * width + x] == 1).collect();
        assert!((11..=13).contains(&row[0]) && (29..=31).contains(row.last().unwrap()), "{row:?}");
    }
}
