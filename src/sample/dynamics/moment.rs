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
/// The swap stays where another place leaves less by no more than so many variances of the frames: noise alone comes to that.
const GAIN: f64 = 4.0;

/// The moment of the one change towards `to` in `frames` (in time order), whose states swap at `swap_min`; the swap itself
/// where no place parts the frames that way, or none does so clearly better.
pub(super) fn moment(frames: &[LogitAt], swap_min: f64, to: Side) -> f64 {
    let near = |frame: &&LogitAt| (frame.minute - swap_min).abs() <= REACH_MIN;
    let near: Vec<LogitAt> = frames.iter().filter(near).copied().collect();
    let places = (FEWEST_FRAMES..near.len()).filter_map(|place| {
        let (before, after) = near.split_at(place);
        let (minute, squares) = parted(before, after, to)?;
        ((minute - swap_min).abs() <= FURTHEST_MIN).then_some((minute, squares))
    });
    let Some((minute, least)) = places.min_by(|a, b| a.1.total_cmp(&b.1)) else { return swap_min };
    let (before, after) = near.split_at(near.partition_point(|frame| frame.minute < swap_min));
    let gain = squares(before) + squares(after) - least;
    if gain > GAIN * least / near.len() as f64 { minute } else { swap_min }
}

/// The moment between `before` and `after` and the squares that their two levels leave; `None` when either is too short or they step
/// the other way.
fn parted(before: &[LogitAt], after: &[LogitAt], to: Side) -> Option<(f64, f64)> {
    let (first, last) = (before.first()?.minute, after.last()?.minute);
    let minute = f64::midpoint(before.last()?.minute, after.first()?.minute);
    let is_long = minute - first >= SHORTEST_LEVEL_MIN && last - minute >= SHORTEST_LEVEL_MIN;
    let (low, high) = if to == Side::High { (level(before), level(after)) } else { (level(after), level(before)) };
    let squares = squares(before) + squares(after);
    (is_long && after.len() >= FEWEST_FRAMES && low < high).then_some((minute, squares))
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
