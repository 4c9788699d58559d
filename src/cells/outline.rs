//! Outlines: the polygon round a set of pixels, and the pixels inside a polygon.
//!
//! The polygon runs between the last pixel inside and the first one outside, so that exactly the pixels inside have their
//! centre inside the polygon: half way, or where a map of the inside says that it ends.

use super::mask::Mask;
use crate::units::PointPx;

/// Where the trace goes next from a pixel, by direction.
const STEPS: [(i64, i64); 8] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];

/// The outer outline of the 8-connected set of pixels that `inside` tells and `start` begins: `start` is the set's first
/// pixel (topmost, then leftmost). At most `longest` edges are followed. `ends(from, to)` tells where between the centre of
/// the pixel `from` inside (0) and that of its neighbour `to` outside (1) the set ends.
///
/// Gives the polygon without its repeated first point, in the pixels' own coordinates; clockwise on the screen.
pub(super) fn trace(
    start: (i64, i64),
    longest: usize,
    inside: impl Fn(i64, i64) -> bool,
    ends: impl Fn((i64, i64), (i64, i64)) -> f64,
) -> Vec<PointPx> {
    // Walk along the cracks between pixels: `at` is the inside pixel, `facing` one of the four sides towards the outside.
    let mut polygon: Vec<PointPx> = Vec::new();
    let (mut at, mut facing) = (start, 6_usize);
    for _ in 0..longest {
        let side = step(facing);
        let part = ends(at, (at.0 + side.0, at.1 + side.1));
        push(&mut polygon, PointPx { x: at.0 as f64 + part * side.0 as f64, y: at.1 as f64 + part * side.1 as f64 });
        let ahead = step((facing + 2) % 8);
        let diagonal = (at.0 + ahead.0 + side.0, at.1 + ahead.1 + side.1);
        let next = (at.0 + ahead.0, at.1 + ahead.1);
        if inside(diagonal.0, diagonal.1) {
            at = diagonal;
            facing = (facing + 6) % 8;
        } else if inside(next.0, next.1) {
            at = next;
        } else {
            facing = (facing + 2) % 8;
        }
        if at == start && facing == 6 {
            break;
        }
    }
    polygon
}

#[expect(clippy::indexing_slicing, reason = "direction % 8 is below 8")]
fn step(direction: usize) -> (i64, i64) {
    STEPS[direction % 8]
}

/// Adds a corner; drops the one before when it lies on the straight line.
fn push(polygon: &mut Vec<PointPx>, corner: PointPx) {
    if let [.., before, last] = polygon.as_slice() {
        let turn = (last.x - before.x) * (corner.y - last.y) - (last.y - before.y) * (corner.x - last.x);
        if turn == 0.0 {
            polygon.pop();
        }
    }
    polygon.push(corner);
}

/// The corners moved half way towards their neighbours' mean: rounds the steps of the pixels, for lengths and looks.
pub(super) fn rounded(polygon: &[PointPx]) -> Vec<PointPx> {
    let count = polygon.len();
    if count < 5 {
        return polygon.to_vec();
    }
    let before = polygon.iter().cycle().skip(count - 1);
    let after = polygon.iter().cycle().skip(1);
    polygon
        .iter()
        .zip(before)
        .zip(after)
        .map(|((here, before), after)| PointPx {
            x: 0.5 * here.x + 0.25 * (before.x + after.x),
            y: 0.5 * here.y + 0.25 * (before.y + after.y),
        })
        .collect()
}

/// The pixels inside the polygon, in a window of `width` x `height` px whose first pixel is `corner`.
pub(super) fn inside(polygon: &[PointPx], corner: (usize, usize), (width, height): (usize, usize)) -> Mask {
    let moved: Vec<PointPx> =
        polygon.iter().map(|p| PointPx { x: p.x - corner.0 as f64, y: p.y - corner.1 as f64 }).collect();
    let mut inside = vec![false; width * height];
    fill(&moved, width, height, |y, left, right| {
        if let Some(run) = inside.get_mut(y * width + left..y * width + right) {
            run.fill(true);
        }
    });
    Mask { width, height, inside }
}

/// Length of the closed polygon, px.
pub fn length_px(polygon: &[PointPx]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    polygon.iter().zip(next).map(|(a, b)| a.distance_px(*b)).sum()
}

/// Calls `paint(y, left, right)` for every run of pixels `left..right` of row `y` whose centres lie inside the polygon,
/// within `[0, height) x [0, width)`.
pub fn fill(polygon: &[PointPx], width_px: usize, height_px: usize, mut paint: impl FnMut(usize, usize, usize)) {
    let top = polygon.iter().map(|p| p.y).fold(f64::INFINITY, f64::min).max(0.0).ceil();
    let bottom = polygon.iter().map(|p| p.y).fold(f64::NEG_INFINITY, f64::max).min(height_px as f64 - 1.0).floor();
    if top > bottom || top.is_nan() || bottom.is_nan() {
        return;
    }
    let mut crossings = Vec::new();
    for row in top as usize..=bottom as usize {
        let y = row as f64;
        crossings.clear();
        for (a, b) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
            if (a.y <= y) != (b.y <= y) {
                crossings.push(a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x));
            }
        }
        crossings.sort_unstable_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            if let [from, to] = pair {
                let left = from.ceil().clamp(0.0, width_px as f64) as usize;
                let right = (to.floor() + 1.0).clamp(0.0, width_px as f64) as usize;
                if left < right {
                    paint(row, left, right);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(rows: &[&str]) {
        let (width, height) = (rows[0].len(), rows.len());
        let set: Vec<bool> = rows.iter().flat_map(|r| r.bytes().map(|b| b == b'#')).collect();
        let inside = |x: i64, y: i64| {
            (0..width as i64).contains(&x) && (0..height as i64).contains(&y) && set[y as usize * width + x as usize]
        };
        let first = set.iter().position(|&v| v).unwrap();
        let polygon = trace(((first % width) as i64, (first / width) as i64), 10_000, inside, |_, _| 0.5);
        let mut painted = vec![false; set.len()];
        fill(&polygon, width, height, |y, left, right| painted[y * width + left..y * width + right].fill(true));
        assert_eq!(painted, set, "{polygon:?}");
    }

    #[test]
    fn the_outline_holds_exactly_its_pixels() {
        there_and_back(&["#"]);
        there_and_back(&["...", ".#.", "..."]);
        there_and_back(&["#####", "#####"]);
        there_and_back(&[".##..", "####.", "..###", "...#.", ".###."]);
        there_and_back(&["#...#", ".#.#.", "..#..", "..#.."]);
    }

    #[test]
    fn a_disc_has_its_circumference() {
        let inside = |x: i64, y: i64| x * x + y * y <= 400;
        let polygon = trace((0, -20), 10_000, inside, |_, _| 0.5);
        let length = length_px(&rounded(&polygon));
        assert!((length / (2.0 * std::f64::consts::PI * 20.3) - 1.0).abs() < 0.04, "{length}");
    }

    #[test]
    fn an_outline_between_pixels_follows_the_map() {
        let depth = |(x, y): (i64, i64)| 7.3 - ((x as f64 - 0.2).hypot(y as f64 + 0.4));
        let inside = |x: i64, y: i64| depth((x, y)) > 0.0;
        let first = (-8..=8).flat_map(|y| (-8..=8).map(move |x| (x, y))).find(|&(x, y)| inside(x, y)).unwrap();
        let polygon = trace(first, 1000, inside, |from, to| depth(from) / (depth(from) - depth(to)));
        for point in &polygon {
            assert!(((point.x - 0.2).hypot(point.y + 0.4) - 7.3).abs() < 0.06, "{point:?}");
        }
    }

    #[test]
    fn polygons_beyond_the_frame_paint_only_inside() {
        let square = [(-5.0, -5.0), (50.0, -5.0), (50.0, 2.5), (-5.0, 2.5)].map(|(x, y)| PointPx { x, y });
        let mut runs = Vec::new();
        fill(&square, 10, 8, |y, left, right| runs.push((y, left, right)));
        assert_eq!(runs, [(0, 0, 10), (1, 0, 10), (2, 0, 10)]);
        fill(&[], 10, 8, |_, _, _| panic!("nothing to paint"));
        fill(&[PointPx { x: f64::NAN, y: f64::NAN }], 10, 8, |_, _, _| panic!("nothing to paint"));
    }
}
