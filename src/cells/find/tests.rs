use super::*;
use crate::cells::maps::CellMaps;
use crate::frame::{self, Plane};
use crate::units::PixelSize;

/// Dark cells with a bright halo and fine grain on a flat substrate: centre and radius, px.
fn plane(width: usize, height: usize, cells: &[(f64, f64, f64)], blur: f64) -> Plane {
    let mut state = 7_u32;
    let counts = (0..width * height)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5;
            let (x, y) = ((i % width) as f64, (i / width) as f64);
            let mut light = 1.0 + 0.01 * noise;
            for &(cx, cy, radius) in cells {
                let beyond = (x - cx).hypot(y - cy) - radius;
                if beyond > 30.0 + 4.0 * blur {
                    continue;
                }
                let inside = 1.0 / (1.0 + (beyond / blur).exp());
                let grain = 0.12 * ((0.9 * x).sin() * (0.8 * y).cos()) / (1.0 + 0.3 * blur * blur);
                light += inside * (grain - 0.25) + (1.0 - inside) * 0.3 * (-beyond.max(0.0) / (4.0 + blur)).exp();
            }
            (light * 8000.0) as f32
        })
        .collect();
    Plane::new(width, height, counts, 65535.0).unwrap()
}

fn found(plane: Plane) -> FoundCells {
    find(&frame::correct(plane, PixelSize::PAPER), &DetectSettings::new(PixelSize::PAPER))
}

const SCENE: [(f64, f64, f64); 5] =
    [(150.0, 160.0, 32.0), (420.0, 170.0, 28.0), (620.0, 330.0, 36.0), (200.0, 480.0, 30.0), (10.0, 330.0, 30.0)];

#[test]
fn every_cell_is_found_where_it_is_and_as_large_as_it_is() {
    let found = found(plane(760, 620, &SCENE, 0.8));
    assert_eq!(found.verdict, FrameVerdict::Usable);
    assert_eq!(found.cells.len(), SCENE.len());
    for &(x, y, radius) in &SCENE[..4] {
        let cell = found.cells.iter().find(|c| c.centroid.distance_px(PointPx { x, y }) < 4.0).unwrap();
        let area_um2 = std::f64::consts::PI * (radius * 0.325).powi(2);
        assert!((cell.shape.area_um2 / area_um2 - 1.0).abs() < 0.2, "{} {area_um2}", cell.shape.area_um2);
        assert!(cell.shape.solidity > 0.9 && cell.shape.protrusion_count == 0, "{:?}", cell.shape);
        assert!(!cell.touches_border && cell.crop.is_some());
    }
    let at_border = found.cells.iter().find(|c| c.centroid.x < 40.0).unwrap();
    assert!(at_border.touches_border && at_border.crop.is_none());
}

#[test]
fn cells_come_in_reading_order_and_with_the_same_bits_every_time() {
    let once = found(plane(760, 620, &SCENE, 0.8));
    assert!(once.cells.windows(2).all(|pair| pair[0].centroid.y <= pair[1].centroid.y));
    assert_eq!(once, found(plane(760, 620, &SCENE, 0.8)));
}

#[test]
fn light_does_not_change_the_scattering() {
    let dim = plane(760, 620, &SCENE, 0.8);
    let counts = dim.counts().iter().map(|c| c * 4.0).collect();
    let bright = Plane::new(760, 620, counts, 65535.0).unwrap();
    for (a, b) in found(dim).cells.iter().zip(&found(bright).cells) {
        assert!((a.shape.scattering - b.shape.scattering).abs() < 1e-3 * a.shape.scattering);
    }
}

#[test]
fn blurred_frames_are_refused_with_the_reason() {
    let found = found(plane(760, 620, &SCENE, 8.0));
    assert!(found.cells.is_empty());
    assert_ne!(found.verdict, FrameVerdict::Usable);
}

#[test]
fn frames_without_cells_are_empty() {
    assert_eq!(found(plane(500, 400, &[], 1.0)).verdict, FrameVerdict::Empty);
    let flat = Plane::new(64, 48, vec![1000.0; 64 * 48].into(), 65535.0).unwrap();
    assert_eq!(found(flat).verdict, FrameVerdict::Empty);
}

#[test]
fn cells_that_are_all_bright_on_the_same_side_are_the_wrong_kind() {
    let centres: Vec<(f64, f64, f64)> =
        (0..20).map(|k| (90.0 + f64::from(k % 5) * 145.0, 80.0 + f64::from(k / 5) * 140.0, 26.0)).collect();
    let phase = plane(760, 620, &centres, 0.8);
    let lit = |side: fn(usize) -> f32| {
        let counts = phase.counts().iter().enumerate().map(|(i, &count)| {
            let (x, y) = ((i % 760) as f64, (i / 760) as f64);
            let nearest = centres.iter().position(|c| (x - c.0).hypot(y - c.1) < c.2);
            let slope = nearest.map_or(0.0, |cell| side(cell) * (x - centres[cell].0) as f32);
            count + 60.0 * slope
        });
        found(Plane::new(760, 620, counts.collect(), 65535.0).unwrap())
    };
    let relief = lit(|_| 1.0);
    assert!(relief.verdict == FrameVerdict::WrongKind && relief.cells.is_empty());
    let chance = lit(|cell| if cell % 2 == 0 { 1.0 } else { -1.0 });
    assert_eq!((chance.verdict, chance.cells.len()), (FrameVerdict::Usable, centres.len()));
}

#[test]
fn bright_objects_on_black_are_the_wrong_kind() {
    let glow = plane(760, 620, &SCENE, 0.8);
    let counts = glow.counts().iter().map(|c| if (c / 8000.0 - 1.0).abs() > 0.1 { 40_000.0 } else { 200.0 + 0.01 * c });
    let plane = Plane::new(760, 620, counts.collect(), 65535.0).unwrap();
    assert_eq!(found(plane).verdict, FrameVerdict::WrongKind);
}

#[test]
fn no_picture_makes_it_panic() {
    for (width, height) in [(1, 1), (5, 5), (2, 900), (700, 3), (33, 31)] {
        for seed in 0..3_u32 {
            let mut state = seed;
            let counts = (0..width * height)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) as f32 - 20_000.0
                })
                .collect();
            let plane = Plane::new(width, height, counts, 65535.0).unwrap();
            let cells = found(plane).cells;
            assert!(cells.iter().all(|cell| cell.shape.area_um2 > 0.0));
        }
    }
}

/// A network that gives every look the same maps: middles of this depth (0..=1) in [`SCENE`]'s cells, or in round places all over.
struct Unsure {
    depth: f32,
    is_everywhere: bool,
}

impl Sight for Unsure {
    type Error = Infallible;

    fn view(&self) -> View {
        View::SHIPPED
    }

    fn maps(&self, picture: &WorkingPicture) -> Result<Maps, Infallible> {
        let to_middle = |at: usize| {
            let (x, y) = ((at % picture.width) as f64 * picture.scale, (at / picture.width) as f64 * picture.scale);
            if self.is_everywhere {
                ((x % 80.0 - 40.0).hypot(y % 80.0 - 40.0) / 60.0).min(0.9)
            } else {
                SCENE.iter().fold(f64::INFINITY, |near, cell| near.min((x - cell.0).hypot(y - cell.1) / cell.2))
            }
        };
        let (mut inside, mut depth) = (Vec::new(), Vec::new());
        for far in (0..picture.width * picture.height).map(to_middle) {
            inside.push(if far < 1.0 { 4.0 } else { -4.0 });
            let deep = (self.depth * (2.0 * (1.0 - far)).clamp(0.0, 1.0) as f32).clamp(0.01, 0.99);
            depth.push((deep / (1.0 - deep)).ln());
        }
        Ok(Maps::Depth(CellMaps { inside, depth, tells_kinds: true }))
    }

    fn again(&self, _: &WorkingPicture, _: &[Busy], maps: &Maps) -> Result<Maps, Infallible> {
        Ok(maps.clone())
    }

    fn draws(&self) -> bool {
        false
    }

    fn draw(&self, _: &CloseUp) -> Result<Vec<f32>, Infallible> {
        Ok(Vec::new())
    }
}

#[test]
fn a_network_in_doubt_is_believed_only_where_it_sees_substrate() {
    let layer: Vec<_> =
        (0..72).map(|n| (f64::from(n % 9) * 80.0 + 40.0, f64::from(n / 9) * 80.0 + 40.0, 34.0)).collect();
    let found = |depth: f32, is_everywhere: bool| {
        let cells = if is_everywhere { layer.as_slice() } else { &SCENE };
        let frame = frame::correct(plane(720, 640, cells, 0.8), PixelSize::PAPER);
        let sight = Unsure { depth, is_everywhere };
        let Ok(found) = find_by_network(&frame, &DetectSettings::new(PixelSize::PAPER), &sight, &|| {});
        (found.verdict, found.in_doubt, found.cells.len())
    };
    assert_eq!(found(0.9, false), (FrameVerdict::Usable, false, SCENE.len()));
    assert_eq!(found(0.65, false), (FrameVerdict::Usable, true, SCENE.len()));
    assert_eq!(found(0.9, true), (FrameVerdict::Usable, false, layer.len()));
    assert_eq!(found(0.65, true), (FrameVerdict::WrongKind, false, 0));
    // Nothing believable in what it half sees: that is no doubt about cells.
    assert_eq!(found(0.3, false), (FrameVerdict::Empty, false, 0));
}

#[test]
fn a_second_look_is_for_cells_that_are_smaller_than_the_hint() {
    let frame = frame::correct(plane(760, 620, &SCENE, 0.8), PixelSize::PAPER);
    let looks = |hint_um: f64| {
        let settings = DetectSettings { cell_diameter_um: hint_um, ..DetectSettings::new(PixelSize::PAPER) };
        let looks = std::sync::atomic::AtomicUsize::new(0);
        let seen = || _ = looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Ok(_) = find_by_network(&frame, &settings, &Unsure { depth: 0.65, is_everywhere: false }, &seen);
        looks.into_inner()
    };
    // The usual cell of the scene is 19.5 um wide.
    assert_eq!((looks(15.0), looks(30.0)), (1, 2));
}
