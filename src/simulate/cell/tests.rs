use super::thickness::Canvas;
use super::*;

fn settled(efficiency: f64, seed: u64) -> SimulatedCell {
    SimulatedCell::new(1, &Habit { dead_share: 0.0, ..Habit::default() }, Traits::exactly(efficiency), seed)
}

/// Mean over many cells and two hours of (summed pseudopods in um, granules in rad).
fn hallmarks(efficiency: f64) -> (f64, f64) {
    let habit = Habit { dead_share: 0.0, deaths_per_h: 0.0, divisions_per_h: 0.0, ..Habit::default() };
    let (mut length, mut granules, mut n) = (0.0, 0.0, 0.0);
    for seed in 0..60 {
        let mut cell = settled(efficiency, seed);
        for minute in 0..120 {
            cell.step(1.0, f64::from(minute), &habit);
            length += cell.protrusion_total_um();
            granules += cell.granularity_rad();
            n += 1.0;
        }
    }
    (length / n, granules / n)
}

#[test]
fn efficiency_moves_pseudopods_and_granules_and_never_back() {
    let steps: Vec<(f64, f64)> = [-2.0, -1.0, 0.0, 1.0, 2.0].map(hallmarks).to_vec();
    println!("pseudopods um, granules rad at efficiency -2 .. 2: {steps:.1?}");
    for pair in steps.windows(2) {
        assert!(pair[1].0 > 1.2 * pair[0].0, "pseudopods: {steps:?}");
        assert!(pair[1].1 > 1.2 * pair[0].1, "granules: {steps:?}");
    }
}

#[test]
fn a_cell_keeps_its_volume_whatever_its_shape() {
    for kind in [Kind::Round, Kind::Spindle, Kind::Spread] {
        let mut cell = settled(-3.0, 4);
        cell.kind = kind;
        cell.blebs.clear();
        cell.granules.clear();
        cell.organelles.clear();
        cell.index_difference = 1.0;
        cell.settle();
        cell.blebs.clear();
        for pseudopod in &mut cell.pseudopods {
            pseudopod.length_um = 0.0;
        }
        (cell.x_um, cell.y_um) = (45.0, 45.0);
        let mut canvas = Canvas::new(300, 300, 0, 0.3, vec![0.0; 90_000]);
        // At an index difference of 1 and 1 rad per um the phase is the thickness.
        cell.draw(&mut canvas, (0.0, 0.0), 1.0, 1).unwrap();
        let volume: f64 = canvas.phase.iter().map(|&p| f64::from(p)).sum::<f64>() * 0.09;
        let ratio = volume / cell.volume_um3;
        assert!((0.75..1.3).contains(&ratio), "{kind:?}: {ratio}");
    }
}

#[test]
fn a_dividing_cell_becomes_two_of_half_the_volume_on_either_side() {
    let habit = Habit { dead_share: 0.0, deaths_per_h: 0.0, divisions_per_h: 0.0, ..Habit::default() };
    let mut cell = settled(0.0, 7);
    cell.kind = Kind::Dividing;
    cell.kind_age_min = 0.0;
    let mut minutes = 0;
    while !cell.has_parted() {
        cell.step(1.0, f64::from(minutes), &habit);
        minutes += 1;
        assert!(minutes < 60, "it never parts");
    }
    let [one, other] = cell.divide(5);
    assert_eq!((one.id, other.id, one.parent, other.parent), (5, 6, Some(1), Some(1)));
    assert!((one.volume_um3 + other.volume_um3 - cell.volume_um3).abs() < 1e-6);
    let apart = (one.x_um - other.x_um).hypot(one.y_um - other.y_um);
    assert!(apart > cell.sphere_radius_um(), "{apart}");
}

#[test]
fn a_transition_moves_the_latents_in_the_middle_of_the_film() {
    let mut cell = settled(-1.0, 3);
    cell.transition = Some(Transition { middle_min: 60.0, shift: 2.0 });
    let habit = Habit { deaths_per_h: 0.0, divisions_per_h: 0.0, ..Habit::default() };
    let mut told = Vec::new();
    for minute in 1..=120 {
        let events = cell.step(1.0, f64::from(minute), &habit);
        if events.contains(&life::Event::Transition) {
            told.push(minute);
        }
        if minute == 20 {
            assert!((cell.traits.efficiency + 1.0).abs() < 0.05, "{:?}", cell.traits);
        }
    }
    assert!((cell.traits.efficiency - 1.0).abs() < 0.05, "{:?}", cell.traits);
    assert_eq!(told.len(), 1, "{told:?}");
}
