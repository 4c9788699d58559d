//! The way cells are found: by the network or by the classical chain.

use crate::cells::{self, DetectSettings, FoundCells};
use crate::frame::CorrectedFrame;
use crate::infer::InferSettings;
use crate::infer::finder::{FindSettings, Finder};
use std::path::Path;

/// Finds the cells of frames.
#[derive(Debug)]
pub struct Detector {
    finder: Option<Finder>,
}

impl Detector {
    /// By the setting `detect.model`: a folder, `auto` or `none`; in the engine that `infer` wants.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no such network.
    pub fn open(model: &Path, infer: &InferSettings) -> anyhow::Result<Self> {
        Ok(Self { finder: Finder::choose(&FindSettings { model: model.to_owned() }, infer)? })
    }

    /// In words for the person who looks at its cells: which network in which engine, or that there is none.
    pub fn name(&self) -> String {
        match &self.finder {
            Some(finder) => {
                format!("the network {} in {}", finder.identity().get(..12).unwrap_or_default(), finder.engine_name())
            }
            None => "the classical chain, without a network".to_owned(),
        }
    }

    /// The cells of `frame`.
    ///
    /// # Errors
    /// When the network cannot run.
    pub fn find(&self, frame: &CorrectedFrame, settings: &DetectSettings) -> anyhow::Result<FoundCells> {
        match &self.finder {
            Some(finder) => Ok(cells::find_by_network(frame, settings, finder, &|| ())?),
            None => Ok(cells::find(frame, settings)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::{FrameVerdict, Sight as _};
    use crate::evaluate::folder;
    use crate::evaluate::paint::LabelPicture;
    use crate::frame::{self, Plane};
    use crate::simulate::{Scene, SceneSettings};
    use crate::units::PixelSize;
    use std::path::PathBuf;

    /// More than this many cells in a frame that shows none of ours would be a flood.
    const FLOOD: usize = 100;

    fn verdict(detector: &Detector, plane: Plane, pixel_um: f64, diameter_um: f64) -> (usize, FrameVerdict) {
        let pixel_size = PixelSize::new(pixel_um).unwrap();
        let settings = DetectSettings { cell_diameter_um: diameter_um, ..DetectSettings::new(pixel_size) };
        let found = detector.find(&frame::correct(plane, pixel_size), &settings).unwrap();
        (found.cells.len(), found.verdict)
    }

    #[test]
    fn pictures_of_another_kind_never_give_a_flood_of_cells() {
        let root = std::env::var_os("CYTOWATCH_DATA")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        for model in [shipped.as_path(), Path::new("none")] {
            let detector = Detector::open(model, &InferSettings::default()).unwrap();
            for (set, pixel_um, diameter_um) in [
                ("yeast_phase_yeaz", 0.2, 5.0),
                ("slim_qpi_hela", 0.3, 20.0),
                ("vicar_qpi_dic/dic", 0.3, 20.0),
                ("vicar_qpi_dic/qpi_pnt1a", 0.6, 20.0),
                ("celldetective_brightfield_multichannel/images", 0.31, 20.0),
            ] {
                let folder = root.join(set);
                if !folder.is_dir() {
                    eprintln!("skipped: the test data {} are not here", folder.display());
                    continue;
                }
                let of_truth = |path: &PathBuf| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    name.contains("_res_") || name.contains("groundtruth")
                };
                for path in folder::pictures(&folder).unwrap().iter().filter(|path| !of_truth(path)).take(3) {
                    let (cells, verdict) = verdict(&detector, folder::plane(path).unwrap(), pixel_um, diameter_um);
                    println!("{} {}: {cells} cells, {verdict:?}", model.display(), path.display());
                    assert!(cells <= FLOOD, "{}: {cells}", path.display());
                    // Only a network can be in doubt.
                    let is_refused = set.contains("qpi_pnt1a")
                        || set.ends_with("dic")
                        || ((set.contains("brightfield") || set.contains("yeast")) && model == shipped);
                    assert!(!is_refused || verdict == FrameVerdict::WrongKind, "{verdict:?}");
                }
            }
        }
    }

    #[test]
    fn cells_as_small_as_yeast_are_the_wrong_kind() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let detector = Detector::open(&shipped, &InferSettings::default()).unwrap();
        let settings = SceneSettings { width_px: 640, height_px: 640, cells: 10, ..SceneSettings::default() };
        let plane = Scene::new(settings, 11).frame(0).plane().unwrap();
        // The same pixels, told a fifth of their size.
        assert_eq!(verdict(&detector, plane.clone(), 0.325 / 5.0, 20.0 / 5.0), (0, FrameVerdict::WrongKind));
        assert_eq!(verdict(&detector, plane, 0.325, 20.0).1, FrameVerdict::Usable);
    }

    #[test]
    fn phase_contrast_of_any_instrument_is_not_refused() {
        let root = std::env::var_os("CYTOWATCH_DATA")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let detector = Detector::open(&shipped, &InferSettings::default()).unwrap();
        for (folder, pixel_um, diameter_um) in [
            ("ctc_phc_u373_02/02", 0.65, 40.0),
            ("ctc_phc_psc_01/01", 1.6, 20.0),
            ("t98g_nikon_stills_gt/set02", 0.8708, 40.0),
            ("mda_mb_231_boxes", 0.4287, 30.0),
            ("deepcell_phase_micromanager/3T3_set1", 0.32, 15.0),
            ("deepcell_phase_micromanager/MCF10A", 0.32, 15.0),
            ("livecell_incucyte/gt_images", 1.24, 25.0),
        ] {
            let folder = root.join(folder);
            if !folder.is_dir() {
                eprintln!("skipped: the test data {} are not here", folder.display());
                continue;
            }
            let is_frame = |path: &&PathBuf| !path.to_string_lossy().contains("feature_");
            let pictures = folder::pictures(&folder).unwrap();
            let path = pictures.iter().rfind(is_frame).unwrap();
            // With a hint that is half as large again as well.
            for hint_um in [diameter_um, 1.5 * diameter_um] {
                let (cells, verdict) = verdict(&detector, folder::plane(path).unwrap(), pixel_um, hint_um);
                let what = format!("{} at {hint_um} um: {cells} cells, {verdict:?}", path.display());
                println!("{what}");
                assert!(verdict == FrameVerdict::Usable && cells > 0, "{what}");
            }
        }
    }

    #[test]
    fn cells_are_found_as_well_with_a_hint_that_is_far_too_large() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let detector = Detector::open(&shipped, &InferSettings::default()).unwrap();
        let settings = SceneSettings { width_px: 640, height_px: 640, cells: 10, ..SceneSettings::default() };
        let plane = Scene::new(settings, 11).frame(0).plane().unwrap();
        let (cells, usable) = verdict(&detector, plane.clone(), 0.325, 20.0);
        assert!(usable == FrameVerdict::Usable && cells >= 8, "{cells} cells, {usable:?}");
        // The smallest hint that is in doubt at the first look: without a second one its frame is refused.
        let pixel_size = PixelSize::PAPER;
        let frame = frame::correct(plane.clone(), pixel_size);
        let finder = detector.finder.as_ref().unwrap();
        let is_in_doubt = |hint_um: &f64| {
            let settings = DetectSettings { cell_diameter_um: *hint_um, ..DetectSettings::new(pixel_size) };
            finder.maps(&cells::working_picture(&frame, &settings, finder.view())).unwrap().is_in_doubt()
        };
        let doubted_um = (5..12).map(|tens| 10.0 * f64::from(tens)).find(is_in_doubt).unwrap();
        for hint_um in [28.0, 36.0, doubted_um] {
            let (found, verdict) = verdict(&detector, plane.clone(), 0.325, hint_um);
            println!("{cells} cells at 20 um, {found} at {hint_um} um");
            assert!(verdict == FrameVerdict::Usable && found.abs_diff(cells) <= 3, "{found} of {cells}, {verdict:?}");
        }
    }

    #[test]
    fn outlines_of_simulated_cells_hold_their_pseudopods() {
        let settings = SceneSettings { width_px: 640, height_px: 640, cells: 6, ..SceneSettings::default() };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        // The finder without the network that draws outlines.
        let alone = tempfile::tempdir().unwrap();
        for name in ["rdf.yaml", "finder.onnx"] {
            std::fs::copy(shipped.join(name), alone.path().join(name)).unwrap();
        }
        let mut mean = [0.0; 2];
        for (model, mean) in [alone.path(), &shipped].into_iter().zip(&mut mean) {
            let detector = Detector::open(model, &InferSettings::default()).unwrap();
            let (mut shared, mut count) = (0.0, 0.0);
            for seed in 71..75 {
                let frame = Scene::new(settings.clone(), seed).frame(0);
                let (width, height) = (settings.width_px, settings.height_px);
                let corrected = frame::correct(frame.plane().unwrap(), PixelSize::PAPER);
                let found = detector.find(&corrected, &DetectSettings::new(PixelSize::PAPER)).unwrap();
                let painted = LabelPicture::of(width, height, found.cells.iter().zip(1..));
                for label in 1..=found.cells.len() as u16 {
                    let mut truths = std::collections::BTreeMap::new();
                    let own = |at: &usize| painted.labels[*at] == label;
                    for at in (0..width * height).filter(own) {
                        *truths.entry(frame.truth.labels[at]).or_insert(0) += 1;
                    }
                    let Some((&truth, &both)) = truths.iter().filter(|(truth, _)| **truth > 0).max_by_key(|it| *it.1)
                    else {
                        continue;
                    };
                    let either = (0..width * height).filter(|at| own(at) || frame.truth.labels[*at] == truth).count();
                    shared += f64::from(both) / either as f64;
                    count += 1.0;
                }
            }
            *mean = shared / count;
        }
        println!("share in common with the true cells: {mean:.3?}");
        assert!(mean[1] > 0.9 && mean[1] > mean[0] + 0.04, "{mean:?}");
    }

    #[test]
    fn empty_and_blurred_frames_give_no_cells() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0 - 0.5;
        let empty: Vec<f32> = (0..600 * 500).map(|i| 8000.0 + 160.0 * noise(i)).collect();
        let blurred: Vec<f32> = (0..600 * 500)
            .map(|i| {
                let (x, y) = ((i % 600) as f32, (i / 600) as f32);
                8000.0 + 900.0 * (x / 45.0).sin() * (y / 38.0).cos() + 80.0 * noise(i)
            })
            .collect();
        for model in [shipped.as_path(), Path::new("none")] {
            let detector = Detector::open(model, &InferSettings::default()).unwrap();
            for counts in [&empty, &blurred] {
                let plane = Plane::new(600, 500, counts.clone().into(), 65_535.0).unwrap();
                let (cells, verdict) = verdict(&detector, plane, 0.325, 20.0);
                println!("{}: {cells} cells, {verdict:?}", model.display());
                assert_eq!(cells, 0, "{verdict:?}");
                assert_ne!(verdict, FrameVerdict::Usable);
            }
        }
    }
    #[test]
    fn a_frame_far_out_of_focus_is_not_called_empty() {
        let settings = SceneSettings { width_px: 480, height_px: 480, cells: 8, ..SceneSettings::default() };
        let sharp = Scene::new(settings, 5).frame(0).plane().unwrap();
        // The mean of squares of 17 px, three times.
        let mean = |counts: &[f32], step: usize| -> Vec<f32> {
            let along = |at: usize| (0..17).map(move |k| (at + k * step).checked_sub(8 * step));
            let value = |at: usize| -> f32 {
                along(at).map(|from| from.and_then(|i| counts.get(i)).unwrap_or(&counts[at])).sum()
            };
            (0..counts.len()).map(|at| value(at) / 17.0).collect()
        };
        let mut counts = sharp.counts().to_vec();
        for step in [1, 480, 1, 480, 1, 480] {
            counts = mean(&counts, step);
        }
        let plane = Plane::new(480, 480, counts.into(), 65_535.0).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells");
        for model in [shipped.as_path(), Path::new("none")] {
            let detector = Detector::open(model, &InferSettings::default()).unwrap();
            assert_eq!(
                verdict(&detector, plane.clone(), 0.325, 20.0),
                (0, FrameVerdict::OutOfFocus),
                "{}",
                model.display()
            );
        }
    }
}
