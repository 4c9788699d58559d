use super::*;

fn small(cells: usize) -> SceneSettings {
    SceneSettings { width_px: 320, height_px: 288, cells, ..SceneSettings::default() }
}

#[test]
fn same_seed_same_bytes_forwards_backwards_and_frozen() {
    let mut one = Scene::new(small(4), 11);
    let mut other = Scene::new(small(4), 11);
    let third = other.frame(3);
    let first = other.frame(1);
    assert_eq!(one.frame(1), first);
    one.go_to(3);
    assert_eq!(one.moment().render(), third);
    assert_eq!(one.frame(3), third);
    assert_ne!(Scene::new(small(4), 12).frame(3).counts, third.counts);
}

/// Standard deviation of the light over the substrate's where `inside` says, relative to the substrate.
fn roughness(frame: &SimulatedFrame, inside: impl Fn(usize) -> bool) -> f64 {
    let values: Vec<f64> =
        frame.counts.iter().enumerate().filter(|(i, _)| inside(*i)).map(|(_, &c)| f64::from(c)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn cells_are_seen_where_the_truth_says_and_only_there() {
    let mut scene = Scene::new(small(5), 21);
    for t in [0, 7] {
        let frame = scene.frame(t);
        let labels = &frame.truth.labels;
        assert!(frame.truth.cells.len() >= 3);
        // Away from every cell: nothing labelled within 24 px.
        let near = |i: usize| {
            let (x, y) = ((i % 320) as i64, (i / 320) as i64);
            (-24..=24).step_by(6).any(|dy| {
                (-24..=24).step_by(6).any(|dx| {
                    let (u, v) = (x + dx, y + dy);
                    (0..320).contains(&u) && (0..288).contains(&v) && labels[(v * 320 + u) as usize] != 0
                })
            })
        };
        let empty = roughness(&frame, |i| !near(i));
        for cell in &frame.truth.cells {
            let area = labels.iter().filter(|&&l| u32::from(l) == cell.id).count();
            assert_eq!(area, cell.area_px, "cell {} at {t}", cell.id);
            if area > 300 {
                let own = roughness(&frame, |i| u32::from(labels[i]) == cell.id);
                assert!(own > 3.0 * empty, "cell {} at {t}: {own} against {empty}", cell.id);
            }
        }
    }
}

#[test]
fn the_film_drifts_and_lives() {
    let habit = Habit { divisions_per_h: 1.0, ..Habit::default() };
    let mut scene = Scene::new(SceneSettings { habit, interval_min: 2.0, ..small(8) }, 5);
    let mut events = Vec::new();
    for t in 0..90 {
        scene.go_to(t);
        events.extend(scene.events.iter().map(|(_, event)| *event));
    }
    for event in [Event::DivisionBegan, Event::Divided, Event::Born] {
        assert!(events.contains(&event), "{event:?} in {events:?}");
    }
    let frame = scene.frame(90);
    assert!(frame.truth.drift_um != (0.0, 0.0));
    assert!(frame.truth.cells.iter().any(|c| c.parent.is_some()), "daughters are known");
    let ids: Vec<u32> = frame.truth.cells.iter().map(|c| c.id).collect();
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "{ids:?}");
}

#[test]
fn cells_look_alike_however_rarely_they_are_imaged() {
    let reach_um = |interval_min: f64, stride: usize| {
        let habit = Habit { dead_share: 0.0, deaths_per_h: 0.0, divisions_per_h: 0.0, ..Habit::default() };
        let mut scene = Scene::new(SceneSettings { interval_min, habit, ..small(12) }, 7);
        let cells: Vec<f64> = (1..9)
            .flat_map(|frame| {
                scene.go_to(frame * stride);
                scene.cells.iter().map(SimulatedCell::protrusion_total_um).collect::<Vec<_>>()
            })
            .collect();
        cells.iter().sum::<f64>() / cells.len() as f64
    };
    let (often, rarely) = (reach_um(1.0, 20), reach_um(20.0, 1));
    println!("pseudopods: {often:.1} um imaged every minute, {rarely:.1} um imaged every 20 minutes");
    assert!((0.7..1.4).contains(&(rarely / often)), "{rarely} {often}");
}
