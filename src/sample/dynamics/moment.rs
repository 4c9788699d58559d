//! When a change happened: where a track's own two levels part.
//!
//! The chain says that a cell changed, and which way. It swaps states where the track crosses the middle between the session's two
//! levels, and a cell whose own levels lie higher or lower crosses it early or late. So the moment is looked for in the cell's own
//! frames: the place that parts them into two levels with the least squares left, the likeliest place of a step in even noise.

use super::LogitAt;
use crate::sample::call::Side;

/// Frames this long before and after the swap of states take part, min.
const REACH_MIN: f64 = 60.0;
/// The moment lies no further from the swap than this, min.
const FURTHEST_MIN: f64 = 30.0;
/// A level is the mean of so much time at least, min ...
const SHORTEST_LEVEL_MIN: f64 = 8.0;
/// ... and of so many frames.
const FEWEST_FRAMES: usize = 3;
/// A step smaller than so many standard deviations of what its two levels leave is placed better by the chain, which knows the
/// session's levels.
const CLEAR_SD: f64 = 2.5;

/// The moment of the one change towards `to` in `frames` (in time order), whose states swap at `swap_min`; the swap itself
/// where no place parts the frames that way, or the step there is lost in noise.
pub(super) fn moment(frames: &[LogitAt], swap_min: f64, to: Side) -> f64 {
    let near = |frame: &&LogitAt| (frame.minute - swap_min).abs() <= REACH_MIN;
    let near: Vec<LogitAt> = frames.iter().filter(near).copied().collect();
    let places = (FEWEST_FRAMES..near.len()).filter_map(|place| {
        let (before, after) = near.split_at(place);
        parted(before, after, to).filter(|it| (it.minute - swap_min).abs() <= FURTHEST_MIN)
    });
    let best = places.min_by(|a, b| a.squares.total_cmp(&b.squares));
    let is_clear = |it: &Parted| it.step * it.step >= CLEAR_SD * CLEAR_SD * it.squares / near.len() as f64;
    best.filter(is_clear).map_or(swap_min, |it| it.minute)
}

/// Frames parted into two levels.
struct Parted {
    /// Between the last frame before and the first after.
    minute: f64,
    /// From the lower level to the higher one, > 0.
    step: f64,
    /// What the levels leave.
    squares: f64,
}

/// `before` and `after` as two levels; `None` when either is too short or they step the other way.
fn parted(before: &[LogitAt], after: &[LogitAt], to: Side) -> Option<Parted> {
    let (first, last) = (before.first()?.minute, after.last()?.minute);
    let minute = f64::midpoint(before.last()?.minute, after.first()?.minute);
    let is_long = minute - first >= SHORTEST_LEVEL_MIN && last - minute >= SHORTEST_LEVEL_MIN;
    let up = level(after) - level(before);
    let step = if to == Side::High { up } else { -up };
    let parted = Parted { minute, step, squares: squares(before) + squares(after) };
    (is_long && after.len() >= FEWEST_FRAMES && step > 0.0).then_some(parted)
}

fn level(frames: &[LogitAt]) -> f64 {
    frames.iter().map(|frame| frame.logit).sum::<f64>() / frames.len().max(1) as f64
}

/// Sum of the squared distances from the level.
fn squares(frames: &[LogitAt]) -> f64 {
    let level = level(frames);
    frames.iter().map(|frame| (frame.logit - level).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    /// Frames two minutes apart that step from `before` to `after` at `step_min`, with a ripple.
    fn film(step_min: f64, (before, after): (f64, f64)) -> Vec<LogitAt> {
        let frame = |number: u32| {
            let minute = 2.0 * f64::from(number);
            let level = if minute < step_min { before } else { after };
            LogitAt { minute, logit: level + 0.2 * f64::from(number % 3) - 0.2 }
        };
        (0..100).map(frame).collect()
    }

    #[test]
    fn a_step_that_the_session_crosses_late_is_put_where_it_is() {
        // From -2 to -0.5, with the session's middle at 0: some swap of states far too late.
        assert!((moment(&film(81.0, (-2.0, -0.5)), 103.0, Side::High) - 81.0).abs() < 1e-9);
        assert!((moment(&film(81.0, (2.0, 0.5)), 60.0, Side::Low) - 81.0).abs() < 1e-9);
    }

    #[test]
    fn what_steps_the_other_way_or_too_far_off_does_not_move_the_swap() {
        assert!((moment(&film(81.0, (-2.0, 2.0)), 100.0, Side::Low) - 100.0).abs() < 1e-9);
        assert!((moment(&[], 7.0, Side::High) - 7.0).abs() < 1e-9);
        assert!((moment(&film(21.0, (-1.0, 1.0)), 60.0, Side::High) - 21.0).abs() > 1.0, "39 min off");
    }

    #[test]
    fn a_step_that_is_lost_in_noise_stays_where_the_states_swap() {
        let noisy = |frames: Vec<LogitAt>| -> Vec<LogitAt> {
            let noise = |minute: f64| 2.0 * ((minute * 0.754_877_666).fract() - 0.5);
            frames.into_iter().map(|it| LogitAt { logit: it.logit + 2.0 * noise(it.minute), ..it }).collect()
        };
        assert!((moment(&noisy(film(81.0, (-0.5, 0.5))), 92.0, Side::High) - 92.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_moment_is_near_the_swap_and_another_level_of_the_cell_does_not_move_it(
            step_min in 40.0..160.0_f64, off_min in -20.0..20.0_f64, shift in -3.0..3.0_f64
        ) {
            let at = |shift: f64| moment(&film(step_min, (shift, shift + 1.0)), step_min + off_min, Side::High);
            prop_assert!((at(0.0) - step_min).abs() <= 2.0 && (at(shift) - at(0.0)).abs() < 1e-9);
        }
    }
}
