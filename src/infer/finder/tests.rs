//! A user's own network in the bioimage.io format finds cells; what is none is refused.

use super::*;
use crate::cells::{self, DetectSettings, FoundCells, FrameVerdict};
use crate::frame::{self, Plane};
use crate::infer::EngineChoice;
use crate::infer::onnx_graph::unet::{dark_is_a_star, dark_is_foreground};
use crate::units::PixelSize;

/// The engine that is always there.
fn builtin() -> InferSettings {
    InferSettings { engine: EngineChoice::Rten, ..InferSettings::default() }
}

/// Centres of dark discs, px, and their radius.
const DISCS: [(f64, f64); 5] = [(60.0, 70.0), (180.0, 60.0), (300.0, 90.0), (110.0, 220.0), (260.0, 230.0)];
const RADIUS_PX: f64 = 24.0;

/// A frame with dark discs on an even background.
fn discs() -> Plane {
    let (width, height) = (380, 300);
    let light = |i: usize| {
        let (x, y) = ((i % width) as f64, (i / width) as f64);
        let inside = DISCS.iter().any(|disc| (x - disc.0).hypot(y - disc.1) < RADIUS_PX);
        // A ripple, so that the background is not wholly flat.
        let ripple = 20.0 * (x / 3.0).sin() * (y / 4.0).cos();
        (if inside { 500.0 } else { 1000.0 } + ripple) as f32
    };
    Plane::new(width, height, (0..width * height).map(light).collect(), 4095.0).unwrap()
}

const DESCRIPTION: &str = "
type: model
format_version: 0.5.4
name: dark is foreground
inputs:
- id: raw
  axes:
  - type: batch
  - {type: channel, channel_names: [raw]}
  - {type: space, id: y, size: {min: 32, step: 16}}
  - {type: space, id: x, size: {min: 32, step: 16}}
  preprocessing:
  - {id: ensure_dtype, kwargs: {dtype: float32}}
  - {id: zero_mean_unit_variance, kwargs: {axes: [y, x]}}
outputs:
- id: seen
  axes:
  - type: batch
  - {type: channel, channel_names: [foreground, boundary]}
  - {type: space, id: y, size: {tensor_id: raw, axis_id: y}}
  - {type: space, id: x, size: {tensor_id: raw, axis_id: x}}
weights:
  onnx: {source: net.onnx, opset_version: 17}
config:
  cytowatch: {cell_diameter_px: 20}
";

fn folder_with(description: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rdf.yaml"), description).unwrap();
    // Of mean 0 and variance 1, the background lies at about 0.3 and the discs at -3.
    std::fs::write(folder.path().join("net.onnx"), dark_is_foreground(-1.3)).unwrap();
    folder
}

#[test]
fn a_network_of_the_users_own_finds_cells_by_configuration() {
    // ONNX Runtime where it is there.
    for engine in [builtin(), InferSettings::default()] {
        finds_discs(&engine);
    }
}

fn finds_discs(engine: &InferSettings) {
    let folder = folder_with(DESCRIPTION);
    let finder = Finder::choose(&FindSettings { model: folder.path().to_owned() }, engine).unwrap().unwrap();
    assert_eq!(finder.view(), View { diameter_px: 20.0, light: crate::cells::working::Light::Relative });
    let pixel_size = PixelSize::new(0.5).unwrap();
    let settings = DetectSettings { cell_diameter_um: 24.0, ..DetectSettings::new(pixel_size) };
    let frame = frame::correct(discs(), pixel_size);
    let picture = cells::working_picture(&frame, &settings, finder.view());
    let maps = finder.maps(&picture).unwrap();
    assert_eq!(maps, finder.maps(&picture).unwrap());
    are_the_discs(&cells::find_in_maps(&frame, &settings, (&picture, &maps), &finder).unwrap());
}

fn are_the_discs(found: &FoundCells) {
    assert_eq!((found.verdict, found.cells.len()), (FrameVerdict::Usable, DISCS.len()));
    let area_um2 = std::f64::consts::PI * (0.5 * RADIUS_PX).powi(2);
    for cell in &found.cells {
        let nearest = DISCS.iter().map(|disc| (cell.centroid.x - disc.0).hypot(cell.centroid.y - disc.1));
        assert!(nearest.fold(f64::INFINITY, f64::min) < 1.5, "{:?}", cell.centroid);
        assert!((cell.shape.area_um2 / area_um2 - 1.0).abs() < 0.12, "{} {area_um2}", cell.shape.area_um2);
    }
}

/// As exporters of `StarDist` write it: channels last, probability and rays in one output, thresholds of their own.
const STAR: &str = "
type: model
format_version: 0.5.4
name: dark is a star
inputs:
- id: raw
  axes:
  - type: batch
  - {type: space, id: y, size: {min: 16, step: 16}}
  - {type: space, id: x, size: {min: 16, step: 16}}
  - {type: channel, channel_names: [raw]}
  preprocessing:
  - {id: scale_range, kwargs: {axes: [y, x], min_percentile: 1.0, max_percentile: 99.8}}
outputs:
- id: seen
  axes:
  - type: batch
  - {type: space, id: y, size: {tensor_id: raw, axis_id: y}}
  - {type: space, id: x, size: {tensor_id: raw, axis_id: x}}
  - {type: channel, channel_names: [probability, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11]}
weights:
  onnx: {source: net.onnx, opset_version: 17}
config:
  stardist: {python_version: 0.9.1, thresholds: {prob: 0.8, nms: 0.3}}
  cytowatch: {cell_diameter_px: 20}
";

#[test]
fn a_star_network_finds_cells_by_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rdf.yaml"), STAR).unwrap();
    // A disc of 24 px is 10 px in a picture whose cells are 20 px wide and 24 um; the polygon has twelve corners.
    std::fs::write(folder.path().join("net.onnx"), dark_is_a_star(12, 10.3)).unwrap();
    let pixel_size = PixelSize::new(0.5).unwrap();
    let settings = DetectSettings { cell_diameter_um: 24.0, ..DetectSettings::new(pixel_size) };
    let frame = frame::correct(discs(), pixel_size);
    for engine in [builtin(), InferSettings::default()] {
        let finder = Finder::open(folder.path(), &engine).unwrap();
        let picture = cells::working_picture(&frame, &settings, finder.view());
        let maps = finder.maps(&picture).unwrap();
        let Maps::Rays(rays) = &maps else { panic!("the network gives rays") };
        assert_eq!((rays.thresholds.probability, rays.step_px), (0.8, 1));
        are_the_discs(&cells::find_in_maps(&frame, &settings, (&picture, &maps), &finder).unwrap());
    }
    let folder = folder_with(
        &STAR.replace("[probability, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11]", "[probability, r0, r1]"),
    );
    assert_eq!(Finder::open(folder.path(), &builtin()).unwrap_err().code(), "bundle_facts");
}

#[test]
fn what_is_no_network_that_finds_cells_is_refused_with_the_reason() {
    for (from, to, code) in [
        ("[foreground, boundary]", "[foreground]", "bundle_facts"),
        ("zero_mean_unit_variance", "fourier_magic", "bundle_facts"),
        ("{min: 32, step: 16}", "512", "bundle_facts"),
        ("cell_diameter_px: 20", "cell_diameter_px: 2", "bundle_facts"),
        ("source: net.onnx", "source: ../net.onnx", "bundle_facts"),
        ("source: net.onnx", "source: other.onnx", "bundle_read"),
        ("opset_version: 17", "sha256: 00", "bundle_hash"),
        ("weights:", "wheights:", "bundle_description"),
        ("id: seen", "id: unseen", "engine_load"),
    ] {
        assert!(DESCRIPTION.contains(from), "{from}");
        let folder = folder_with(&DESCRIPTION.replace(from, to));
        let refused = Finder::open(folder.path(), &builtin()).unwrap_err();
        assert_eq!(refused.code(), code, "{to}: {refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Finder::open(folder.path(), &builtin()).unwrap_err().code(), "bundle_read");
    assert!(Finder::choose(&FindSettings { model: "none".into() }, &builtin()).unwrap().is_none());
}

#[test]
fn tiles_give_what_the_whole_picture_gives() {
    let contract = Contract {
        input: ("raw".to_owned(), Axes::ChannelFirst),
        outputs: vec![("seen".to_owned(), Axes::ChannelFirst, 2)],
        view: View::SHIPPED,
        preprocessing: Preprocessing::None,
        meaning: Meaning::ForegroundBoundary,
        multiple_px: 16,
    };
    let finder = Finder::new(dark_is_foreground(0.0), contract, &builtin()).unwrap();
    let (width, height) = (tiles::TILE_PX + 37, 21);
    // Busy from end to end: all of it is looked at.
    let values: Vec<f32> = (0..width * height).map(|i| (i as f32 * 0.37).sin()).collect();
    let picture = WorkingPicture { width, height, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 };
    let Maps::Depth(maps) = finder.maps(&picture).unwrap() else { panic!("the network gives two maps") };
    for (value, logit) in picture.values.iter().zip(&maps.inside) {
        assert!((logit.clamp(-9.0, 9.0) + (20.0 * value).clamp(-9.0, 9.0)).abs() < 0.05, "{value} {logit}");
    }
}

#[test]
fn what_is_looked_at_again_is_the_mean_of_eight_looks_and_nothing_else_changes() {
    let contract = |meaning| Contract {
        input: ("raw".to_owned(), Axes::ChannelFirst),
        outputs: vec![("seen".to_owned(), Axes::ChannelFirst, 2)],
        view: View::SHIPPED,
        preprocessing: Preprocessing::None,
        meaning,
        multiple_px: 16,
    };
    let (width, height) = (70, 90);
    // Waves both ways, so long that they come out alike when they are shown larger, but turned round they do not.
    let wave = |at: usize| (at as f32 * 0.1).sin() / 4.0;
    let values: Vec<f32> = (0..width * height).map(|i| wave(i % width) + wave(i / width)).collect();
    let picture = WorkingPicture { width, height, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 };
    let places = [Place { left: 3, top: 5, right: 30, bottom: 41 }, Place { left: 40, top: 50, right: 70, bottom: 90 }];
    // This network looks at one pixel at a time: in a mirror it sees the same.
    let finder = Finder::new(dark_is_foreground(0.0), contract(Meaning::InsideDepth), &builtin()).unwrap();
    let whole = understood(finder.look(&picture, &[picture.whole()], &[Mirror::NONE]).unwrap(), Meaning::InsideDepth);
    let Maps::Depth(mut maps) = whole else { panic!("the network gives two maps") };
    let Maps::Depth(same) = finder.again(&picture, &places, &Maps::Depth(maps.clone())).unwrap() else {
        panic!("two maps stay two maps")
    };
    assert!(same.inside.iter().zip(&maps.inside).all(|(a, b)| (a - b).abs() < 0.2));
    // A first look that was wrong by 8 everywhere is wrong by 1 where it was looked again.
    maps.inside.iter_mut().for_each(|logit| *logit += 8.0);
    let Maps::Depth(again) = finder.again(&picture, &places, &Maps::Depth(maps)).unwrap() else {
        panic!("two maps stay two maps")
    };
    for (at, (again, same)) in again.inside.iter().zip(&same.inside).enumerate() {
        let is_in = places.iter().any(|place| place.rows(width).any(|row| row.contains(&at)));
        assert!((again - same - if is_in { 1.0 } else { 8.0 }).abs() < 1e-4, "{at}");
    }
    // Probabilities are no logits: of another kind of network nothing is taken together.
    let other = Finder::new(dark_is_foreground(0.0), contract(Meaning::ForegroundBoundary), &builtin()).unwrap();
    let maps = other.maps(&picture).unwrap();
    assert_eq!(other.again(&picture, &places, &maps).unwrap(), maps);
}

/// The shipped finder's folder, copied, with its outliner.
fn shipped() -> tempfile::TempDir {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells"), tempfile::tempdir().unwrap());
    std::fs::create_dir(to.path().join("outliner")).unwrap();
    for name in ["rdf.yaml", "finder.onnx", "outliner/rdf.yaml", "outliner/outliner.onnx"] {
        std::fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

#[test]
fn an_outliner_belongs_to_its_finder_and_both_name_a_run() {
    let folder = shipped();
    let whole = Finder::open(folder.path(), &builtin()).unwrap();
    assert!(whole.draws());
    let described = folder.path().join("outliner/rdf.yaml");
    let text = std::fs::read_to_string(&described).unwrap();
    for (from, to, code) in [
        ("finder_sha256: ", "finder_sha256: 0", "bundle_facts"),
        ("outliner.onnx\n    sha256: ", "outliner.onnx\n    sha256: 0", "bundle_hash"),
        ("source: outliner.onnx", "source: another.onnx", "bundle_read"),
        ("weights:", "wheights:", "bundle_description"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&described, text.replace(from, to)).unwrap();
        let refused = Finder::open(folder.path(), &builtin()).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(!Finder::alone(folder.path(), &builtin()).unwrap().draws());
    }
    std::fs::remove_file(&described).unwrap();
    let alone = Finder::open(folder.path(), &builtin()).unwrap();
    assert!(!alone.draws());
    assert_ne!(alone.identity(), whole.identity());
}
