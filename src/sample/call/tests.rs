use super::super::trial::{Outcome, Setting, Truth, session};
use super::*;
use rayon::prelude::*;

/// `count` cells in each of `fovs` fields with scores around `score`.
fn tracks(score: f64, fovs: i64, count: i64) -> Vec<TrackScore> {
    let logit = (score / (1.0 - score)).ln();
    (0..fovs * count)
        .map(|i| {
            let wobble = 0.8 * (((i / fovs + i % 3) * 41 % 101) as f64 / 50.0 - 1.0);
            let (fov, track) = (FovId(i % fovs), TrackId(i));
            let logit_sum = 30.0 * (logit + wobble);
            TrackScore { session: SessionId(1), fov, track, scored_count: 30, withheld_count: 0, logit_sum }
        })
        .collect()
}

#[test]
fn clear_sample_is_called_at_twenty_cells_and_not_at_nineteen() {
    let rule = CallRule::default();
    let mut tracker = CallTracker::default();
    let all = tracks(0.9, 4, 5);
    let early = tracker.update(&rule, &all[..19], 1000);
    assert_eq!((early.verdict, early.reason), (Verdict::Undecided, CallReason::TooFewCells));
    assert_eq!(early.cells_needed, Some(1));
    let call = tracker.update(&rule, &all, 2000);
    assert_eq!((call.verdict, call.reason), (Verdict::High, CallReason::Called));
    assert_eq!(call.standing_since_unix_ms, Some(2000));
    assert_eq!(tracker.first_call().unwrap().cells, 20);
    let low = CallTracker::default().update(&rule, &tracks(0.1, 4, 5), 2000);
    assert_eq!(low.verdict, Verdict::Low);
}

#[test]
fn sample_at_the_threshold_stays_undecided_and_says_what_it_needs() {
    let call = CallTracker::default().update(&CallRule::default(), &tracks(0.53, 5, 10), 0);
    assert_eq!(call.verdict, Verdict::Undecided);
    let (low, high) = call.interval.unwrap();
    assert!(low < 0.5 && high > 0.5);
    assert!(call.cells_needed.is_some() || call.fovs_needed.is_some(), "{call:?}");
    let on_it = CallTracker::default().update(&CallRule::default(), &tracks(0.52, 5, 10), 0);
    assert_eq!((on_it.verdict, on_it.reason), (Verdict::Undecided, CallReason::AtThreshold), "{on_it:?}");
}

#[test]
fn one_field_that_cannot_settle_it_asks_for_more_fields() {
    let call = CallTracker::default().update(&CallRule::default(), &tracks(0.53, 1, 400), 0);
    assert_eq!((call.verdict, call.reason), (Verdict::Undecided, CallReason::TooFewFields));
    assert!(call.cells_needed.is_none() && call.fovs_needed.is_some(), "{call:?}");
    assert!(call.to_string().contains("more fields"), "{call}");
}

#[test]
fn cells_needed_holds_when_they_come() {
    let rule = CallRule::default();
    let mut tracker = CallTracker::default();
    let call = tracker.update(&rule, &tracks(0.54, 10, 3), 0);
    let more = call.cells_needed.unwrap_or_else(|| panic!("{call:?}")) as i64;
    let later = tracker.update(&rule, &tracks(0.54, 10, 3 + more / 10 + 3), 1);
    assert_eq!(later.verdict, Verdict::High, "{call:?} {later:?}");
}

#[test]
fn short_tracks_and_withheld_frames_do_not_count_as_cells() {
    let rule = CallRule::default();
    let mut some = tracks(0.9, 4, 10);
    for track in &mut some {
        (track.scored_count, track.logit_sum) = (rule.min_scored_frames - 1, 8.0);
    }
    let call = CallTracker::default().update(&rule, &some, 0);
    assert_eq!((call.cells, call.score, call.cells_needed), (0, None, Some(20)));
    for track in &mut some {
        (track.scored_count, track.withheld_count) = (10, 11);
    }
    let call = CallTracker::default().update(&rule, &some, 0);
    assert_eq!((call.verdict, call.reason), (Verdict::Withheld, CallReason::MostWithheld));
}

#[test]
fn standing_call_is_kept_when_nothing_is_new_and_turns_over_when_the_cells_say_so() {
    let rule = CallRule::default();
    let mut tracker = CallTracker::default();
    assert_eq!(tracker.update(&rule, &tracks(0.9, 4, 6), 1).verdict, Verdict::High);
    // The same number of cells is no new look, whatever they say.
    assert_eq!(tracker.update(&rule, &tracks(0.1, 4, 6), 2).verdict, Verdict::High);
    let turned = tracker.update(&rule, &tracks(0.1, 4, 20), 3);
    assert_eq!((turned.verdict, turned.standing_since_unix_ms), (Verdict::Low, Some(3)));
    assert_eq!((tracker.changes(), tracker.first_call().unwrap().side), (1, Side::High));
}

#[test]
fn restart_from_the_stored_memory_goes_on_the_same() {
    let rule = CallRule::default();
    let mut whole = CallTracker::default();
    let mut parted = CallTracker::default();
    for count in [2, 5, 7, 9, 20, 40] {
        let tracks = tracks(0.6, 5, count);
        let stored = serde_json::to_string(&parted).unwrap();
        parted = serde_json::from_str(&stored).unwrap();
        assert_eq!(whole.update(&rule, &tracks, count), parted.update(&rule, &tracks, count));
    }
}

#[test]
fn order_of_tracks_does_not_matter() {
    let rule = CallRule::default();
    let forwards = tracks(0.6, 5, 12);
    let backwards: Vec<_> = forwards.iter().rev().copied().collect();
    let call = |tracks: &[TrackScore]| CallTracker::default().update(&rule, tracks, 0);
    assert_eq!(call(&forwards), call(&backwards));
}

fn outcomes(setting: Setting, truth: Truth, count: u64) -> Vec<Outcome> {
    let rule = CallRule::default();
    (0..count).into_par_iter().map(|seed| session(&setting, truth, &rule, 1_000_000 + seed, false)).collect()
}

#[test]
fn at_most_five_per_cent_of_a_thousand_sessions_per_class_are_ever_called_wrongly() {
    for truth in [Truth::High, Truth::Low] {
        for fov_correlation in [0.05, 0.2] {
            let setting = Setting { fov_correlation, fovs: 5, frames: 120, ..Setting::default() };
            let all = outcomes(setting, truth, 1000);
            let wrong = all.iter().filter(|it| it.ever_wrong).count();
            let right = all.iter().filter(|it| it.first.is_some() && !it.ever_wrong).count();
            assert!(wrong <= 50, "{truth:?}, fields {fov_correlation}: {wrong} of 1000 ever called wrongly");
            assert!(right >= 400, "{truth:?}, fields {fov_correlation}: only {right} of 1000 called");
        }
    }
}

#[test]
fn calls_do_not_flicker() {
    for truth in [Truth::High, Truth::Between] {
        let all = outcomes(Setting { frames: 120, ..Setting::default() }, truth, 1000);
        let back_and_forth = all.iter().filter(|it| it.changes > 1).count();
        assert!(back_and_forth <= 5, "{truth:?}: {back_and_forth} of 1000 changed more than once");
    }
}
