use super::*;
use crate::sample::film::{Film, Filmed, Matched, track};

const TOLERANCE_MIN: f64 = 15.0;

fn tracks(film: &Film, seeds: std::ops::Range<u64>) -> Vec<Filmed> {
    seeds.map(|seed| track(film, seed)).collect()
}

fn measured(films: &[Filmed]) -> Dynamics {
    let start = Dynamics { low_logit: -0.8, high_logit: 0.8, ..Dynamics::default() };
    fit(&start, &films.iter().map(|it| it.frames.clone()).collect::<Vec<_>>()).unwrap()
}

fn matched(dynamics: &Dynamics, films: &[Filmed]) -> Matched {
    let mut sum = Matched::default();
    for film in films {
        sum.add(film, &follow(dynamics, &film.frames).transitions, TOLERANCE_MIN);
    }
    sum
}

#[test]
fn changes_between_stays_of_half_an_hour_are_found_with_measured_dynamics() {
    // Frame noise as large as the distance of the states; and smaller but strongly correlated noise.
    for film in [Film::default(), Film { noise_sd: 1.0, noise_correlation: 0.5, ..Film::default() }] {
        let dynamics = measured(&tracks(&film, 0..20));
        let found = matched(&dynamics, &tracks(&film, 1000..1200));
        assert!(found.events > 300);
        assert!(found.precision() >= 0.9 && found.recall() >= 0.9, "{film:?} {dynamics:?} {found:?}");
    }
}

#[test]
fn fit_measures_what_the_film_was_made_with() {
    let film = Film { noise_correlation: 0.5, ..Film::default() };
    let found = measured(&tracks(&film, 0..20));
    assert!((found.noise_sd / 2.0 - 1.0).abs() < 0.1, "{found:?}");
    assert!((found.noise_min / 1.44 - 1.0).abs() < 0.25, "{found:?}");
    assert!(((found.high_logit - found.low_logit) / 2.0 - 1.0).abs() < 0.25, "{found:?}");
}

#[test]
fn cells_that_never_change_are_left_in_peace() {
    let film = Film { further_stay_min: f64::INFINITY, noise_correlation: 0.5, ..Film::default() };
    let dynamics = Dynamics { low_logit: -1.0, high_logit: 1.0, offset_sd: 0.5, noise_sd: 2.0, ..Dynamics::default() };
    let changes: usize = tracks(&film, 0..200).iter().map(|it| follow(&dynamics, &it.frames).transitions.len()).sum();
    assert!(changes <= 40, "{changes} changes reported on 200 cells that never change");
}

#[test]
fn correlated_noise_taken_for_independent_reports_changes_that_are_not_there() {
    let film = Film { further_stay_min: f64::INFINITY, noise_correlation: 0.7, ..Film::default() };
    let honest = Dynamics {
        low_logit: -1.0,
        high_logit: 1.0,
        offset_sd: 0.5,
        noise_sd: 2.0,
        noise_min: 2.8,
        ..Dynamics::default()
    };
    let naive = Dynamics { noise_min: 0.01, ..honest };
    let films = tracks(&film, 0..100);
    let changes = |with: &Dynamics| films.iter().map(|it| follow(with, &it.frames).transitions.len()).sum::<usize>();
    assert!(changes(&naive) > 4 * changes(&honest).max(1), "{} {}", changes(&naive), changes(&honest));
}

/// Frames a minute apart: `low` minutes at -2, then `high` minutes at 2, with a small fixed ripple.
fn step_at(low: u32, high: u32) -> Vec<LogitAt> {
    let logit = |minute: u32| if minute < low { -2.0 } else { 2.0 } + 0.3 * f64::from(minute % 3) - 0.3;
    (0..low + high).map(|minute| LogitAt { minute: f64::from(minute), logit: logit(minute) }).collect()
}

#[test]
fn clear_step_is_one_transition_at_its_minute_and_the_score_is_smooth() {
    let dynamics = Dynamics { low_logit: -2.0, high_logit: 2.0, ..Dynamics::default() };
    let course = follow(&dynamics, &step_at(60, 60));
    assert_eq!(course.states.len(), 120);
    let [change] = course.transitions.as_slice() else { panic!("{:?}", course.transitions) };
    assert_eq!(change.to, Side::High);
    assert!((change.minute - 59.5).abs() <= 1.0 && change.confidence > 0.99, "{change:?}");
    assert!(course.states[10].smoothed_score < 0.2 && course.states[100].smoothed_score > 0.8);
    let within = &course.states[10..50];
    assert!(within.windows(2).all(|pair| (pair[0].smoothed_score - pair[1].smoothed_score).abs() < 0.05));
}

#[test]
fn short_excursions_are_joined_and_gaps_are_bridged() {
    let dynamics = Dynamics { low_logit: -2.0, high_logit: 2.0, ..Dynamics::default() };
    let mut frames = step_at(60, 8);
    frames.extend((68..140).map(|minute| LogitAt { minute: f64::from(minute), logit: -2.0 }));
    assert!(follow(&dynamics, &frames).transitions.is_empty());
    let mut with_gap = step_at(60, 60);
    with_gap.retain(|frame| !(50.0..70.0).contains(&frame.minute));
    let course = follow(&dynamics, &with_gap);
    assert_eq!(course.transitions.len(), 1);
    assert!((course.transitions[0].minute - 59.5).abs() < 1.0, "the middle of the gap");
}

#[test]
fn frames_out_of_order_and_numbers_that_are_none_are_left_out() {
    let dynamics = Dynamics::default();
    let frames = [(0.0, 0.1), (0.0, 5.0), (1.0, f64::NAN), (2.0, 0.2), (1.5, 0.3)];
    let frames = frames.map(|(minute, logit)| LogitAt { minute, logit });
    assert_eq!(follow(&dynamics, &frames).states.len(), 2);
    assert!(follow(&dynamics, &[]).states.is_empty());
}

#[test]
fn too_little_to_measure_is_said() {
    assert_eq!(fit(&Dynamics::default(), &[]), Err(FitError::TooFewFrames { frames: 0 }));
    let upside_down = Dynamics { low_logit: 1.0, high_logit: 0.0, ..Dynamics::default() };
    assert_eq!(fit(&upside_down, &[step_at(60, 60)]).unwrap_err().code(), "dynamics_unsound_start");
}
