//! Which frame goes next: order is restored here, never assumed.
//!
//! Takes what the ledger knows (a frame is there, is complete, is gone), gives the frames in the order in which they
//! may enter the pipeline. Pure: time is an argument. Promises, per field of view:
//!
//! - linkable frames leave in strictly rising time;
//! - a frame that is known but not complete, or a time point that should exist, is waited for, at most `gap_wait`;
//! - a frame that comes after a later one has left is *late*: it leaves at once, but is not linked;
//! - a *suspect*, a frame in whose company the process died before, leaves alone.

use crate::id::{FovId, FrameId, TimeIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A frame that may enter the pipeline now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Which frame.
    pub frame: FrameId,
    /// Its field of view.
    pub fov: FovId,
    /// Its time point.
    pub time: TimeIndex,
    /// Whether it continues its field's tracks; false for late frames.
    pub linkable: bool,
    /// The time point of its field that left before it.
    pub before: Option<TimeIndex>,
}

/// A complete frame that is held back, and the time point it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which frame.
    pub frame: FrameId,
    /// The earlier time point that is not there.
    pub missing: TimeIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// Known, not complete.
    Expected,
    /// Complete since this moment of the caller's clock.
    Ready { since: Duration, suspect: bool },
}

#[derive(Debug, Default)]
struct Fov {
    pending: BTreeMap<(TimeIndex, FrameId), Entry>,
    last_left: Option<TimeIndex>,
    step: Option<i64>,
}

/// The frames that have not entered the pipeline yet; see the module.
#[derive(Debug)]
pub struct Backlog {
    fovs: BTreeMap<FovId, Fov>,
    gap_wait: Duration,
    told: BTreeSet<FrameId>,
    ready: usize,
    expected: usize,
}

impl Backlog {
    /// An empty backlog that waits at most `gap_wait` for a missing time point.
    pub fn new(gap_wait: Duration) -> Self {
        Self { fovs: BTreeMap::new(), gap_wait, told: BTreeSet::new(), ready: 0, expected: 0 }
    }

    /// Number of complete frames.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Number of known frames that are not complete.
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// No frame is known.
    pub fn is_empty(&self) -> bool {
        self.ready + self.expected == 0
    }

    /// Says that the field's tracks have been linked up to `last` (before this process started).
    pub fn resume(&mut self, fov: FovId, last: TimeIndex) {
        self.fovs.entry(fov).or_default().last_left = Some(last);
    }

    /// Takes back that frames after `before` have left: they will come again.
    pub fn roll_back(&mut self, fov: FovId, before: Option<TimeIndex>) {
        self.fovs.entry(fov).or_default().last_left = before;
    }

    /// A frame is known but not complete.
    pub fn expect(&mut self, frame: FrameId, fov: FovId, time: TimeIndex) {
        self.put(frame, fov, time, Entry::Expected);
    }

    /// A frame is complete at `now`; `suspect` when the process died while it was in flight.
    pub fn ready_now(&mut self, frame: FrameId, fov: FovId, time: TimeIndex, (now, suspect): (Duration, bool)) {
        self.put(frame, fov, time, Entry::Ready { since: now, suspect });
    }

    /// A frame will not come (failed, skipped).
    pub fn forget(&mut self, frame: FrameId, fov: FovId, time: TimeIndex) {
        if let Some(entry) = self.fovs.entry(fov).or_default().pending.remove(&(time, frame)) {
            self.uncount(entry);
        }
    }

    fn put(&mut self, frame: FrameId, fov: FovId, time: TimeIndex, entry: Entry) {
        let before = self.fovs.entry(fov).or_default().pending.insert((time, frame), entry);
        if let Some(before) = before {
            self.uncount(before);
        }
        match entry {
            Entry::Expected => self.expected += 1,
            Entry::Ready { .. } => self.ready += 1,
        }
    }

    fn uncount(&mut self, entry: Entry) {
        match entry {
            Entry::Expected => self.expected -= 1,
            Entry::Ready { .. } => self.ready -= 1,
        }
    }

    /// The frame that may enter the pipeline at `now`, and takes it out; `idle` says that the pipeline is empty.
    /// Among fields of view the one whose frame has been complete longest goes first.
    pub fn next(&mut self, now: Duration, idle: bool) -> Option<Next> {
        let (_, suspect, fov, time, frame) = self
            .fovs
            .iter()
            .filter_map(|(&fov, queue)| queue.candidate(now, self.gap_wait).ok().map(|found| (fov, found)))
            .map(|(fov, (time, frame, since, suspect))| (since, suspect, fov, time, frame))
            .min()?;
        if suspect && !idle {
            return None;
        }
        self.forget(frame, fov, time);
        self.told.remove(&frame);
        let queue = self.fovs.entry(fov).or_default();
        let before = queue.last_left;
        let linkable = before.is_none_or(|last| time > last);
        if linkable {
            queue.learn_step(time);
            queue.last_left = Some(time);
        }
        Some(Next { frame, fov, time, linkable, before })
    }

    /// Frames that have begun to be held back since the last call.
    pub fn newly_held(&mut self, now: Duration) -> Vec<Held> {
        let held: Vec<Held> =
            self.fovs.values().filter_map(|queue| queue.candidate(now, self.gap_wait).err().flatten()).collect();
        held.into_iter().filter(|held| self.told.insert(held.frame)).collect()
    }
}

impl Fov {
    /// The frame that may leave, with the moment since when it is complete and whether it is suspect; otherwise the
    /// frame that is held back, if there is a complete one at all.
    fn candidate(
        &self,
        now: Duration,
        gap_wait: Duration,
    ) -> Result<(TimeIndex, FrameId, Duration, bool), Option<Held>> {
        let mut expected = None;
        for (&(time, frame), &entry) in &self.pending {
            let Entry::Ready { since, suspect } = entry else {
                if self.last_left.is_none_or(|last| time > last) {
                    expected = expected.or(Some(time));
                }
                continue;
            };
            let late = self.last_left.is_some_and(|last| time <= last);
            let waited = now.saturating_sub(since) >= gap_wait;
            let missing = if late { None } else { expected.or_else(|| self.missing_before(time)) };
            return match missing {
                Some(missing) if !waited => Err(Some(Held { frame, missing })),
                _ => Ok((time, frame, since, suspect)),
            };
        }
        Err(None)
    }

    /// The time point that should come before `time` but is not known.
    fn missing_before(&self, time: TimeIndex) -> Option<TimeIndex> {
        match self.last_left {
            // Instruments count from 0 or 1; anything later as the first frame of a field may be a late start or a
            // gap, which only waiting tells apart.
            None => (time.0 > 1).then_some(TimeIndex(time.0 - 1)),
            Some(last) => {
                let due = last.0 + self.step.or_else(|| self.step_ahead()).unwrap_or(1);
                (due < time.0).then_some(TimeIndex(due))
            }
        }
    }

    /// The smallest distance between the time points that are known, before one has been learnt. One distance alone
    /// may as well be a gap.
    fn step_ahead(&self) -> Option<i64> {
        let times: Vec<i64> =
            self.last_left.into_iter().chain(self.pending.keys().map(|&(t, _)| t)).map(|t| t.0).collect();
        let steps = times.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).filter(|&step| step > 0);
        if steps.clone().count() >= 2 { steps.min() } else { None }
    }

    fn learn_step(&mut self, time: TimeIndex) {
        if let Some(last) = self.last_left {
            let step = time.0 - last.0;
            self.step = Some(self.step.map_or(step, |known| known.min(step)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOV: FovId = FovId(1);
    const WAIT: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn arrive(backlog: &mut Backlog, time: i64, now: u64) {
        backlog.ready_now(FrameId(time), FOV, TimeIndex(time), (at(now), false));
    }

    fn drain(backlog: &mut Backlog, now: u64) -> Vec<(i64, bool)> {
        std::iter::from_fn(|| backlog.next(at(now), true)).map(|next| (next.time.0, next.linkable)).collect()
    }

    #[test]
    fn frames_in_order_leave_at_once() {
        let mut backlog = Backlog::new(WAIT);
        for time in 0..3 {
            arrive(&mut backlog, time, time as u64);
            assert_eq!(drain(&mut backlog, time as u64), [(time, true)]);
        }
    }

    #[test]
    fn a_gap_is_waited_for_and_named_then_given_up() {
        let mut backlog = Backlog::new(WAIT);
        arrive(&mut backlog, 0, 0);
        assert_eq!(drain(&mut backlog, 0), [(0, true)]);
        arrive(&mut backlog, 2, 1);
        assert_eq!(drain(&mut backlog, 2), []);
        assert_eq!(backlog.newly_held(at(2)), [Held { frame: FrameId(2), missing: TimeIndex(1) }]);
        assert_eq!(backlog.newly_held(at(3)), [], "told once");
        assert_eq!(drain(&mut backlog, 31), [(2, true)]);
        arrive(&mut backlog, 1, 32);
        assert_eq!(drain(&mut backlog, 32), [(1, false)], "late: recorded, not linked");
    }

    #[test]
    fn the_missing_frame_closes_the_gap() {
        let mut backlog = Backlog::new(WAIT);
        arrive(&mut backlog, 0, 0);
        drain(&mut backlog, 0);
        arrive(&mut backlog, 2, 1);
        arrive(&mut backlog, 1, 5);
        assert_eq!(drain(&mut backlog, 5), [(1, true), (2, true)]);
    }

    #[test]
    fn a_known_incomplete_frame_holds_the_later_ones() {
        let mut backlog = Backlog::new(WAIT);
        backlog.expect(FrameId(0), FOV, TimeIndex(0));
        arrive(&mut backlog, 1, 1);
        assert_eq!(drain(&mut backlog, 2), []);
        backlog.forget(FrameId(0), FOV, TimeIndex(0));
        assert_eq!(drain(&mut backlog, 3), [(1, true)]);
    }

    #[test]
    fn a_wide_step_is_learnt_from_what_is_there() {
        let mut backlog = Backlog::new(WAIT);
        for time in [0, 5, 10] {
            arrive(&mut backlog, time, 0);
        }
        assert_eq!(drain(&mut backlog, 0), [(0, true), (5, true), (10, true)]);
        arrive(&mut backlog, 15, 1);
        assert_eq!(drain(&mut backlog, 1), [(15, true)]);
    }

    #[test]
    fn a_suspect_waits_for_an_idle_pipeline() {
        let mut backlog = Backlog::new(WAIT);
        backlog.ready_now(FrameId(7), FOV, TimeIndex(0), (at(0), true));
        assert_eq!(backlog.next(at(0), false), None);
        assert_eq!(backlog.next(at(0), true).map(|next| next.frame), Some(FrameId(7)));
    }

    #[test]
    fn another_field_is_not_held_by_a_gap() {
        let mut backlog = Backlog::new(WAIT);
        arrive(&mut backlog, 9, 0);
        backlog.ready_now(FrameId(100), FovId(2), TimeIndex(0), (at(1), false));
        assert_eq!(backlog.next(at(1), true).map(|next| next.fov), Some(FovId(2)));
    }

    proptest! {
        #[test]
        fn every_frame_leaves_once_and_linkable_ones_in_order(
            times in proptest::collection::vec((0_i64..40, 0_u64..60), 1..60),
        ) {
            let mut backlog = Backlog::new(WAIT);
            let mut left = Vec::new();
            let mut clock = 0;
            for (number, &(time, pause)) in times.iter().enumerate() {
                clock += pause;
                backlog.ready_now(FrameId(number as i64), FOV, TimeIndex(time), (at(clock), false));
                left.extend(std::iter::from_fn(|| backlog.next(at(clock), true)));
            }
            clock += 10_000;
            left.extend(std::iter::from_fn(|| backlog.next(at(clock), true)));
            prop_assert!(backlog.is_empty());
            let frames: BTreeSet<_> = left.iter().map(|next| next.frame).collect();
            prop_assert_eq!(frames.len(), times.len());
            prop_assert_eq!(left.len(), times.len());
            let linked: Vec<_> = left.iter().filter(|next| next.linkable).map(|next| next.time).collect();
            prop_assert!(linked.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
