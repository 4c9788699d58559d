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

/// Where between a pixel and its neighbour outside a cell ends that a map of logits shows: where the line between them crosses
/// 0, half way where it does not.
pub(super) fn end(inner: Option<f32>, outer: Option<f32>) -> f64 {
    match (inner, outer) {
        (Some(inner), Some(outer)) if inner > 0.0 && outer < 0.0 => {
            f64::from(inner / (inner - outer)).clamp(0.05, 0.95)
        }
        _ => 0.5,
    }
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

/// The polygon without the corners that lie no further than `tolerance` px from the line between those that are kept (Ramer 1972, Douglas
/// and Peucker 1973); what it holds hardly changes, and it takes less room.
pub(super) fn simplified(polygon: &[PointPx], tolerance: f64) -> Vec<PointPx> {
    let Some(&first) = polygon.first() else { return Vec::new() };
    let far = |a: &PointPx, b: &PointPx| a.distance_px(first).total_cmp(&b.distance_px(first));
    let Some(opposite) = polygon.iter().enumerate().max_by(|a, b| far(a.1, b.1)).map(|(at, _)| at) else {
        return Vec::new();
    };
    // The first corner stands at the end as well: the two halves are open lines.
    let line: Vec<PointPx> = polygon.iter().chain([&first]).copied().collect();
    let mut kept = vec![false; line.len()];
    let mut open = vec![(0, opposite), (opposite, polygon.len())];
    while let Some((from, to)) = open.pop() {
        let (Some(&start), Some(&end)) = (line.get(from), line.get(to)) else { continue };
        for at in [from, to] {
            kept.iter_mut().skip(at).take(1).for_each(|kept| *kept = true);
        }
        let between = line.iter().enumerate().take(to).skip(from + 1);
        let furthest = between.map(|(at, p)| (at, off(*p, start, end))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, _)) = furthest.filter(|(_, far)| *far > tolerance) {
            open.extend([(from, at), (at, to)]);
        }
    }
    polygon.iter().zip(kept).filter_map(|(corner, kept)| kept.then_some(*corner)).collect()
}

/// How far `p` lies from the stretch between `start` and `end`, px.
fn off(p: PointPx, start: PointPx, end: PointPx) -> f64 {
    let (dx, dy) = (end.x - start.x, end.y - start.y);
    let squared = dx * dx + dy * dy;
    let part = if squared > 0.0 { ((p.x - start.x) * dx + (p.y - start.y) * dy) / squared } else { 0.0 };
    let part = part.clamp(0.0, 1.0);
    p.distance_px(PointPx { x: start.x + part * dx, y: start.y + part * dy })
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

    proptest::proptest! {
        /// Every corner that is left out lies near the line that is left.
        #[test]
        fn a_simplified_outline_stays_where_it_was(
            radii in proptest::collection::vec(5.0..30.0_f64, 3..120),
            tolerance in 0.0..2.0_f64,
        ) {
            let turn = std::f64::consts::TAU / radii.len() as f64;
            let corner = |(at, radius): (usize, &f64)| {
                let (sin, cos) = (at as f64 * turn).sin_cos();
                PointPx { x: 40.0 + radius * cos, y: 40.0 + radius * sin }
            };
            let polygon: Vec<PointPx> = radii.iter().enumerate().map(corner).collect();
            let simple = simplified(&polygon, tolerance);
            proptest::prop_assert!(simple.iter().all(|p| polygon.contains(p)));
            let ends = simple.iter().zip(simple.iter().cycle().skip(1));
            let sides: Vec<(&PointPx, &PointPx)> = ends.collect();
            for p in &polygon {
                let near = sides.iter().map(|(a, b)| off(*p, **a, **b)).fold(f64::INFINITY, f64::min);
                proptest::prop_assert!(near <= tolerance + 1e-9, "{near} {tolerance}");
            }
        }
    }

    #[test]
    fn a_staircase_of_half_pixels_becomes_a_line() {
        let (width, height) = (40, 30);
        let inside = |x: i64, y: i64| (2..36).contains(&x) && (3..25).contains(&y);
        let polygon = trace((2, 3), 10_000, inside, |_, _| 0.5);
        let corners = simplified(&polygon, 0.1);
        assert!(corners.len() <= 8 && polygon.len() >= corners.len(), "{corners:?}");
        assert_eq!(super::inside(&corners, (0, 0), (width, height)), super::inside(&polygon, (0, 0), (width, height)));
        assert!(simplified(&[], 0.1).is_empty());
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
