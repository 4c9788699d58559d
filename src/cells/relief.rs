//! Relief: all cells bright on the same side, as differential interference contrast and slanting light show them.
//!
//! Phase contrast knows no direction: which half of a cell is the brighter one is chance, and over the cells of a frame the
//! directions cancel out. Where they agree, the frame shows slopes and not phase.

use super::body::Body;
use crate::frame::CorrectedFrame;

/// Of fewer cells nothing is said: chance makes the directions of few agree (Rayleigh's test: those of `n` cells agree by `r` or more
/// with probability `exp(-n r^2)`, here 0.00007).
const FEWEST: usize = 15;
/// Directions agree from here on; what real frames give stands in `docs/detection.md`.
const ALIGNED: f64 = 0.8;

/// Towards the brighter side of a body, a vector of length 1 (x, y); `None` when neither side is.
#[expect(clippy::indexing_slicing, reason = "a body's window lies inside the frame that it was made for")]
pub(super) fn brighter_side(frame: &CorrectedFrame, body: &Body) -> Option<[f64; 2]> {
    let frame_width = frame.raw.width_px();
    let rows = body.inside.inside.chunks_exact(body.inside.width).zip(body.top..);
    // Places, light, and light by place, summed.
    let (mut count, mut places, mut light, mut both) = (0.0_f64, [0.0_f64; 2], 0.0_f64, [0.0_f64; 2]);
    for (inside, y) in rows {
        let values = &frame.relative[y * frame_width + body.left..][..inside.len()];
        for (x, (_, &value)) in inside.iter().zip(values).enumerate().filter(|(_, (inside, _))| **inside) {
            let place = [x as f64, (y - body.top) as f64];
            count += 1.0;
            light += f64::from(value);
            for axis in 0..2 {
                places[axis] += place[axis];
                both[axis] += place[axis] * f64::from(value);
            }
        }
    }
    let side = [0, 1].map(|axis| both[axis] - places[axis] * light / count);
    let length = side[0].hypot(side[1]);
    (length > 0.0 && length.is_finite()).then(|| side.map(|part| part / length))
}

/// How well these [`brighter_side`]s agree: the length of their mean, 0..=1; 0 for none.
pub(super) fn agreement(sides: &[[f64; 2]]) -> f64 {
    let [x, y] = sides.iter().fold([0.0, 0.0], |[x, y], side| [x + side[0], y + side[1]]);
    x.hypot(y) / sides.len().max(1) as f64
}

/// Whether cells with these [`brighter_side`]s lie in relief.
pub(super) fn is_relief(sides: &[[f64; 2]]) -> bool {
    sides.len() >= FEWEST && agreement(sides) >= ALIGNED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{self, Plane};
    use crate::units::{PixelSize, PointPx};
    use proptest::prelude::{prop_assert, proptest};
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use std::f64::consts::TAU;

    /// A frame under this light, and a disc in it.
    fn disc(light: impl Fn(f32, f32) -> f32) -> (CorrectedFrame, Body) {
        let counts = (0..120 * 120).map(|i| light((i % 120) as f32 - 60.0, (i / 120) as f32 - 60.0)).collect();
        let frame = frame::correct(Plane::new(120, 120, counts, 65535.0).unwrap(), PixelSize::PAPER);
        let corner = |k: u32| f64::from(k).to_radians() * 6.0;
        let circle: Vec<PointPx> =
            (0..60).map(|k| PointPx { x: 60.0 + 20.0 * corner(k).cos(), y: 60.0 + 20.0 * corner(k).sin() }).collect();
        (frame, Body::of(&circle, (120, 120)).unwrap())
    }

    #[test]
    fn the_brighter_side_is_where_the_light_comes_from() {
        let slope = |x: f32, y: f32| if x.hypot(y) < 20.0 { 1000.0 + 12.0 * x - 9.0 * y } else { 1000.0 };
        let (frame, body) = disc(slope);
        let [x, y] = brighter_side(&frame, &body).unwrap();
        assert!((x - 0.8).abs() < 0.02 && (y + 0.6).abs() < 0.02, "{x} {y}");
        let (frame, body) = disc(|x, y| if x.hypot(y) < 20.0 { 1400.0 } else { 1000.0 });
        assert!(brighter_side(&frame, &body).is_none_or(|side| side.iter().all(|part| part.is_finite())));
    }

    #[test]
    fn few_cells_are_not_judged_and_many_that_agree_are() {
        let agree = [[0.6, 0.8]; FEWEST];
        assert!(is_relief(&agree) && !is_relief(&agree[1..]) && !is_relief(&[]));
    }

    fn towards(angles: impl Iterator<Item = f64>) -> Vec<[f64; 2]> {
        angles.map(|angle| [angle.cos(), angle.sin()]).collect()
    }

    #[test]
    fn directions_by_chance_agree_as_rarely_as_rayleigh_says() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let frame = |_| towards((0..FEWEST).map(|_| random.random_range(0.0..TAU)).collect::<Vec<_>>().into_iter());
        let refused = (0..50_000).map(frame).filter(|sides| is_relief(sides)).count();
        // 3.4 are expected.
        assert!((1..=12).contains(&refused), "{refused}");
    }

    proptest! {
        #[test]
        fn only_how_far_directions_spread_counts_and_not_where_they_point(turn in 0.0..TAU, cells in FEWEST..200) {
            let fan = |width: f64| {
                let place = move |cell: usize| cell as f64 / (cells - 1) as f64 - 0.5;
                towards((0..cells).map(move |cell| turn + width * place(cell)))
            };
            // A fan of this width has a mean of length sin(w / 2) / (w / 2), less for few cells: 0.9 and 0.7.
            prop_assert!(is_relief(&fan(1.5)));
            prop_assert!(!is_relief(&fan(2.8)));
        }
    }
}
