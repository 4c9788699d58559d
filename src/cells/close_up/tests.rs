use super::*;
use crate::cells::maps::{CellMaps, Maps};
use crate::cells::working::View as Sight;
use crate::cells::{self, DetectSettings};
use crate::frame::{self, Plane};
use crate::units::PixelSize;
use proptest::prelude::*;
use std::convert::Infallible;

const SIDE: usize = 320;

/// A frame with grainy discs (centre and radius, px) and thin spikes to the right of each, and its labels.
fn scene(discs: &[(f64, f64, f64)]) -> (Plane, Vec<u16>) {
    let mut labels = vec![0_u16; SIDE * SIDE];
    let counts = (0..SIDE * SIDE).map(|at| {
        let (x, y) = ((at % SIDE) as f64, (at / SIDE) as f64);
        let mut light = 1.0 + 0.004 * (1.7 * x + 0.9 * y).sin();
        for (&(cx, cy, radius), label) in discs.iter().zip(1..) {
            let spike = (y - cy).abs() < 3.0 && (0.0..radius + 24.0).contains(&(x - cx));
            if (x - cx).hypot(y - cy) < radius || spike {
                light = 0.7 + 0.15 * (0.9 * x).sin() * (0.8 * y).cos();
                labels[at] = label;
            }
        }
        (8000.0 * light) as f32
    });
    (Plane::new(SIDE, SIDE, counts.collect(), 65_535.0).unwrap(), labels)
}

/// The close-ups that are taken when the finder gives the discs without their spikes, and how many frame pixels a place is wide.
fn close_ups(discs: &[(f64, f64, f64)], hint_um: f64) -> (Vec<CloseUp>, Vec<u16>, f64) {
    let (plane, labels) = scene(discs);
    let frame = frame::correct(plane, PixelSize::PAPER);
    let settings = DetectSettings { cell_diameter_um: hint_um, ..DetectSettings::new(PixelSize::PAPER) };
    let picture = cells::working_picture(&frame, &settings, Sight::SHIPPED);
    let depth = |at: usize| {
        let along = |at: usize| (at as f64 + 0.5) * picture.scale - 0.5;
        let (x, y) = (along(at % picture.width), along(at / picture.width));
        let deepest = discs.iter().map(|(cx, cy, radius)| (radius - (x - cx).hypot(y - cy)) / picture.scale);
        deepest.fold(f64::NEG_INFINITY, f64::max) as f32
    };
    let inside: Vec<f32> = (0..picture.width * picture.height).map(depth).collect();
    let depth = inside.iter().map(|depth| depth - 3.0).collect();
    let maps = Maps::Depth(CellMaps { depth, inside, tells_kinds: true });
    let Ok(close_ups) = cells::close_ups(&frame, &picture, &maps, |_| Ok::<Maps, Infallible>(maps.clone()));
    (close_ups, labels, picture.scale)
}

const TWO: [(f64, f64, f64); 2] = [(90.0, 100.0, 30.0), (200.0, 220.0, 34.0)];

fn logits(wanted: &[f32]) -> Vec<f32> {
    wanted.iter().map(|inside| 8.0 * inside - 4.0).collect()
}

#[test]
fn what_is_wanted_of_a_close_up_is_drawn_with_its_thin_parts() {
    let (close_ups, labels, scale) = close_ups(&TWO, 20.0);
    assert_eq!(close_ups.len(), 2);
    for (close_up, (&(cx, cy, radius), label)) in close_ups.iter().zip(TWO.iter().zip(1..)) {
        let (wanted, shared) = close_up.wanted(&labels, (SIDE, SIDE), scale).unwrap();
        assert!((0.75..0.97).contains(&shared), "{shared}");
        let (outline, touches) = close_up.outline(&logits(&wanted), scale).unwrap();
        assert!(!touches);
        let furthest = outline.iter().fold(0.0_f64, |far, p| far.max(p.x - cx));
        assert!((furthest - radius - 24.0).abs() < 2.0, "{furthest} {cy}");
        let drawn = outline::inside(&outline, (0, 0), (SIDE, SIDE));
        let both = drawn.inside.iter().zip(&labels).filter(|(drawn, own)| **drawn && **own == label).count();
        let either = drawn.inside.iter().zip(&labels).filter(|(drawn, own)| **drawn || **own == label).count();
        assert!(both as f64 > 0.95 * either as f64, "{both} of {either}");
    }
}

#[test]
fn a_place_shows_whose_it_is_and_how_sure_the_finder_was() {
    // Near enough to be in each other's close-up.
    let (close_ups, ..) = close_ups(&[(90.0, 100.0, 30.0), (170.0, 100.0, 30.0)], 20.0);
    for close_up in &close_ups {
        let places = close_up.width * close_up.height;
        assert!(close_up.width.is_multiple_of(MULTIPLE) && close_up.height.is_multiple_of(MULTIPLE));
        assert_eq!(close_up.shown.len(), SHOWN * places);
        let plane = |at: usize| &close_up.shown[at * places..(at + 1) * places];
        let (own, foreign) = (plane(OWN), plane(FOREIGN));
        let area = own.iter().sum::<f32>() * (20.0_f32 / 24.0 / 0.325).powi(2);
        // The finder's cells end where its logit is -0.8, here 2 px beyond the disc's rim.
        assert!((area / (std::f32::consts::PI * 32.0 * 32.0) - 1.0).abs() < 0.05, "{area}");
        assert!(foreign.contains(&1.0) && own.iter().zip(foreign).all(|(a, b)| a * b == 0.0));
        let certain =
            plane(LOGIT).iter().zip(own.iter().zip(foreign)).all(|(logit, (a, b))| (*logit > 0.0) == (a + b > 0.0));
        assert!(certain && plane(LOGIT).iter().all(|logit| (-1.0..=1.0).contains(logit)));
    }
}

#[test]
fn another_thing_than_the_cell_is_not_believed() {
    let (close_ups, _, scale) = close_ups(&TWO, 20.0);
    let close_up = &close_ups[0];
    let places = close_up.width * close_up.height;
    assert!(close_up.outline(&vec![-1.0; DRAWN * places], scale).is_none());
    assert!(close_up.outline(&vec![1.0; DRAWN * places - 1], scale).is_none());
    // Something in a corner.
    let mut corner = vec![-1.0; DRAWN * places];
    corner[..4].fill(1.0);
    assert!(close_up.outline(&corner, scale).is_none());
}

#[test]
fn a_cell_at_the_edge_ends_there() {
    let (close_ups, labels, scale) = close_ups(&[(12.0, 100.0, 30.0)], 20.0);
    let (wanted, _) = close_ups[0].wanted(&labels, (SIDE, SIDE), scale).unwrap();
    let (outline, touches) = close_ups[0].outline(&logits(&wanted), scale).unwrap();
    assert!(touches && outline.iter().all(|p| p.x >= -0.6), "{outline:?}");
}

#[test]
fn where_the_frame_shows_no_more_than_the_finders_picture_nothing_is_looked_at_from_near() {
    // A cell of 7.8 um is 24 px wide in the frame as well.
    assert!(close_ups(&[(90.0, 100.0, 12.0)], 7.8).0.is_empty());
    assert_eq!(close_ups(&[(90.0, 100.0, 12.0)], 8.0).0.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever a network draws of the greater part of a cell is outlined, and stays in the frame.
    #[test]
    fn whatever_is_drawn_stays_in_the_frame(seed in 0_u32..1000, x in 20.0..300.0_f64, y in 20.0..300.0_f64) {
        let (close_ups, _, scale) = close_ups(&[(x, y, 30.0)], 20.0);
        for close_up in &close_ups {
            let count = DRAWN * close_up.width * close_up.height;
            let noise = (0..count as u32).map(|at| ((at.wrapping_add(seed)).wrapping_mul(2_654_435_761) >> 16) as f32);
            let drawn: Vec<f32> = noise.map(|noise| noise / 32_768.0 - 0.8).collect();
            let outlined = close_up.outline(&drawn, scale);
            prop_assert!(outlined.as_ref().is_some_and(|(outline, _)| outline.len() >= 3));
            let (outline, _) = outlined.unwrap();
            // The finder's picture ends up to half of its pixels off the frame's edge.
            let within = -0.6..=SIDE as f64 - 0.5 + 0.5 * scale;
            prop_assert!(outline.iter().all(|p| within.contains(&p.x) && within.contains(&p.y)));
        }
    }
}
