use super::*;
use proptest::prelude::*;

const SIZE: PixelSize = PixelSize::PAPER;

fn cell(x: f64, y: f64, area_um2: f64) -> Observation {
    Observation { centroid: PointPx { x, y }, area_um2, touches_border: false }
}

fn numbers(links: &[Link]) -> Vec<u32> {
    links.iter().map(|link| link.number).collect()
}

fn linker() -> Linker {
    Linker::new(LinkSettings::new(SIZE))
}

#[test]
fn cells_keep_their_number_while_they_crawl() {
    let mut linker = linker();
    for t in 0..30 {
        let step = f64::from(t);
        let cells = [cell(100.0 + 6.0 * step, 100.0, 300.0), cell(300.0 - 5.0 * step, 130.0, 280.0)];
        let links = linker.link(TimeIndex(i64::from(t)), &cells);
        assert_eq!(numbers(&links), [1, 2], "at {t}");
    }
}

#[test]
fn a_cell_missed_for_three_frames_is_the_same_cell() {
    let mut linker = linker();
    assert_eq!(numbers(&linker.link(TimeIndex(0), &[cell(50.0, 50.0, 300.0)])), [1]);
    for t in 1..=3 {
        assert!(linker.link(TimeIndex(t), &[]).is_empty());
    }
    assert_eq!(numbers(&linker.link(TimeIndex(4), &[cell(70.0, 60.0, 310.0)])), [1]);
    for t in 5..=8 {
        linker.link(TimeIndex(t), &[]);
    }
    assert_eq!(numbers(&linker.link(TimeIndex(9), &[cell(70.0, 60.0, 310.0)])), [2]);
}

#[test]
fn frames_that_never_came_count_as_a_gap() {
    let mut linker = linker();
    linker.link(TimeIndex(0), &[cell(50.0, 50.0, 300.0)]);
    assert_eq!(numbers(&linker.link(TimeIndex(3), &[cell(60.0, 50.0, 300.0)])), [1]);
    assert_eq!(numbers(&linker.link(TimeIndex(30), &[cell(60.0, 50.0, 300.0)])), [2]);
}

#[test]
fn a_late_frame_changes_no_track() {
    let mut linker = linker();
    linker.link(TimeIndex(5), &[cell(50.0, 50.0, 300.0)]);
    let late = linker.link(TimeIndex(4), &[cell(50.0, 50.0, 300.0)]);
    assert_eq!(numbers(&late), [2]);
    assert_eq!(numbers(&linker.link(TimeIndex(6), &[cell(52.0, 50.0, 300.0)])), [1]);
}

#[test]
fn a_stage_jump_moves_all_cells_and_breaks_no_track() {
    let mut linker = linker();
    let places: Vec<(f64, f64)> = (0..8)
        .map(|i| (100.0 + 211.0 * f64::from(i % 4), 150.0 + 333.0 * f64::from(i / 4) + 17.0 * f64::from(i)))
        .collect();
    let scene =
        |dx: f64, dy: f64| -> Vec<Observation> { places.iter().map(|&(x, y)| cell(x + dx, y + dy, 300.0)).collect() };
    let first = numbers(&linker.link(TimeIndex(0), &scene(0.0, 0.0)));
    assert_eq!(numbers(&linker.link(TimeIndex(1), &scene(2.0, -1.0))), first);
    assert_eq!(numbers(&linker.link(TimeIndex(2), &scene(130.0, -90.0))), first);
    assert_eq!(numbers(&linker.link(TimeIndex(3), &scene(131.0, -92.0))), first);
}

#[test]
fn a_division_gives_two_daughters_with_their_mother() {
    let mut linker = linker();
    for t in 0..6 {
        linker.link(TimeIndex(t), &[cell(200.0, 200.0, 400.0), cell(600.0, 200.0, 350.0)]);
    }
    let links =
        linker.link(TimeIndex(6), &[cell(185.0, 200.0, 210.0), cell(216.0, 201.0, 200.0), cell(600.0, 200.0, 350.0)]);
    assert_eq!(links.iter().map(|l| l.parent).collect::<Vec<_>>(), [Some(1), Some(1), None]);
    assert_eq!(numbers(&links), [3, 4, 2]);
    let later = linker.link(TimeIndex(7), &[cell(180.0, 200.0, 220.0), cell(221.0, 201.0, 210.0)]);
    assert_eq!(later, [Link { number: 3, parent: None }, Link { number: 4, parent: None }]);
}

#[test]
fn a_cell_that_enters_beside_another_is_no_daughter() {
    let mut linker = linker();
    for t in 0..6 {
        linker.link(TimeIndex(t), &[cell(60.0, 200.0, 400.0)]);
    }
    let mut entering = cell(10.0, 200.0, 300.0);
    entering.touches_border = true;
    let links = linker.link(TimeIndex(6), &[cell(60.0, 200.0, 400.0), entering]);
    assert_eq!(links, [Link { number: 1, parent: None }, Link { number: 2, parent: None }]);
}

/// A random film: a few frames of random cells at rising times.
fn film() -> impl Strategy<Value = Vec<(i64, Vec<Observation>)>> {
    let observation = (0.0..800.0_f64, 0.0..600.0_f64, 20.0..900.0_f64, any::<bool>()).prop_map(
        |(x, y, area_um2, touches_border)| Observation { centroid: PointPx { x, y }, area_um2, touches_border },
    );
    proptest::collection::vec((1_i64..3, proptest::collection::vec(observation, 0..25)), 1..14).prop_map(|frames| {
        let mut time = 0;
        frames
            .into_iter()
            .map(|(step, cells)| {
                time += step;
                (time, cells)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_are_unique_and_parents_are_known(film in film()) {
        let mut linker = linker();
        let mut known = std::collections::BTreeSet::new();
        for (time, cells) in &film {
            let links = linker.link(TimeIndex(*time), cells);
            prop_assert_eq!(links.len(), cells.len());
            let mut here: Vec<u32> = numbers(&links);
            for link in &links {
                prop_assert!(link.parent.is_none_or(|parent| known.contains(&parent) && parent != link.number));
                prop_assert!(link.parent.is_none() || !known.contains(&link.number));
            }
            known.extend(here.iter().copied());
            here.sort_unstable();
            here.dedup();
            prop_assert_eq!(here.len(), cells.len());
        }
    }

    #[test]
    fn a_restart_at_any_point_changes_nothing(film in film()) {
        let mut steady = linker();
        let mut restarted = linker();
        for (time, cells) in &film {
            let written = serde_json::to_string(&restarted).unwrap();
            restarted = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(steady.link(TimeIndex(*time), cells), restarted.link(TimeIndex(*time), cells));
            prop_assert_eq!(&steady, &restarted);
        }
    }
}
