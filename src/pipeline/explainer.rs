//! The door to the model for the page's explanations.
//!
//! A second copy of the bundle in the built-in engine on one thread, loaded when the first explanation is asked for: looking at a
//! cell never takes the engine away from the frames. The cell's own picture comes from the instrument's file, through the door of
//! the page's pictures.

use crate::cells::crop::{self, radius_px};
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::explain::exaggerate::{Exaggerated, exaggerate};
use crate::explain::hallmarks::Light;
use crate::explain::rank::rank;
use crate::explain::references::{self, Reference};
use crate::explain::strip;
use crate::explain::traverse::{Shift, traverse};
use crate::infer::bundle::Facts;
use crate::infer::exaggerator::Exaggerator;
use crate::infer::{Latent, Model, settings_for};
use crate::serve::explanation::{
    Asked, ExaggeratedOfCell, Explain, Explanation, ExplanationFault, FeatureOfCell, KinOfCell, ShiftOfCell,
};
use crate::serve::picture::ReadFrame;
use crate::store::query::FrameSource;
use crate::units::{PixelSize, PointPx};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How far the driving feature is moved, standard deviations of the training set.
const SHIFTS_SD: [f64; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
/// Features that are named.
const FEATURES: usize = 5;

/// Exaggerated pictures either way from the cell as it is: as many as shifts.
const STEPS: u16 = 3;

/// A door that explains with the bundle in `folder` and sees cells again through `read`.
pub fn door(folder: PathBuf, read: ReadFrame) -> Explain {
    let loaded: Mutex<Option<Loaded>> = Mutex::new(None);
    Arc::new(move |asked| {
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let explained = load(&mut loaded, &folder).and_then(|loaded| explain(loaded, asked, &read));
        drop(loaded);
        explained
    })
}

/// What explanations are made from.
struct Loaded {
    model: Model,
    /// `None` where there is none: then its row is left out.
    exaggerator: Option<Exaggerator>,
    /// Empty where the bundle has none, or has some that belong to another bundle: then their row is left out.
    references: Vec<Reference>,
}

fn load<'a>(loaded: &'a mut Option<Loaded>, folder: &Path) -> Result<&'a mut Loaded, ExplanationFault> {
    let ready = match loaded.take() {
        Some(ready) => ready,
        None => open(folder)?,
    };
    Ok(loaded.insert(ready))
}

fn open(folder: &Path) -> Result<Loaded, ExplanationFault> {
    let model = Model::load(&settings_for(folder))
        .map_err(|error| ExplanationFault::Failed { code: error.code(), why: super::chain(&error) })?;
    let exaggerator = Exaggerator::shipped(&settings_for(folder)).unwrap_or_else(|error| {
        tracing::warn!(code = error.code(), error = super::chain(&error), "explanations without exaggerated cells");
        None
    });
    let references = references::read(folder, &model.bundle().identity).unwrap_or_else(|error| {
        tracing::warn!(code = error.code(), error = super::chain(&error), "explanations without reference cells");
        Vec::new()
    });
    Ok(Loaded { model, exaggerator, references })
}

fn explain(loaded: &mut Loaded, asked: &Asked, read: &ReadFrame) -> Result<Explanation, ExplanationFault> {
    let Loaded { model, exaggerator, references } = loaded;
    if model.bundle().identity != asked.bundle_sha256 {
        return Err(ExplanationFault::OtherBundle);
    }
    let failed = |code: &'static str, why: String| ExplanationFault::Failed { code, why };
    let latent: Latent = asked.latent.as_slice().try_into().map_err(|_length| ExplanationFault::NotScored)?;
    let spreads = model.bundle().facts.latent.spreads();
    let features = strongest(&model.bundle().facts, &latent, &spreads);
    let Some(driving) = features.first().map(|first| first.feature) else {
        return Err(failed("no_feature", "the bundle ranks no feature".to_owned()));
    };
    let sd = spreads.get(driving.saturating_sub(1)).copied().unwrap_or(1.0);
    // The decoder's axis is the feature as it is; the page speaks in standard deviations.
    let moves = SHIFTS_SD.map(|shift| shift * sd);
    let found =
        traverse(model, &latent, driving, &moves).map_err(|error| failed(error.code(), super::chain(&error)))?;
    let (brighter, gain) = strip::stretched(found.iter().map(|shift| &shift.brighter));
    let along = references::along(references, &latent, (driving, &SHIFTS_SD), &spreads);
    let blank = Crop::new(vec![1.0; CROP_SIDE_PX * CROP_SIDE_PX]);
    let kin: Vec<Crop> = along.iter().filter_map(|it| it.map_or(blank.clone(), |it| it.0.picture())).collect();
    let way = match exaggerator.as_ref().zip(asked.seen.as_ref()) {
        Some((exaggerator, seen)) => exaggerated((model, exaggerator), seen, driving, read),
        None => Vec::new(),
    };
    let mut rows: Vec<Vec<&Crop>> = Vec::new();
    if !way.is_empty() {
        rows.push(way.iter().map(|it| &it.0).collect());
    }
    rows.extend([found.iter().map(|shift| &shift.picture).collect(), brighter.iter().collect()]);
    if !references.is_empty() {
        rows.push(kin.iter().collect());
    }
    let strip_png = strip::png(&rows).map_err(|error| failed(error.code(), super::chain(&error)))?;
    let shifts = SHIFTS_SD.iter().zip(&found).map(|(shift_sd, shift)| of_shift(*shift_sd, shift)).collect();
    let kin = along.iter().enumerate().filter_map(|(place, it)| it.map(|it| of_kin(place, it))).collect();
    let exaggerated = way.into_iter().map(|it| it.1).collect();
    Ok(Explanation { features, shifts, gain: f64::from(gain), exaggerated, kin, strip_png })
}

/// The cell exaggerated, on its crop's scale of grey; nothing where it cannot be seen any more.
fn exaggerated(
    (model, exaggerator): (&mut Model, &Exaggerator),
    (source, centre): &(FrameSource, PointPx),
    feature: usize,
    read: &ReadFrame,
) -> Vec<(Crop, ExaggeratedOfCell)> {
    let box_um = model.bundle().facts.crop.box_um;
    let seen = || {
        let plane = read(source).map_err(|fault| tracing::debug!(code = fault.code(), "not seen again")).ok()?;
        let pixel_size = PixelSize::new(source.pixel_size_um?).ok()?;
        let crop = crop::cut(&plane, *centre, pixel_size)?;
        Some((crop, Light::of(&plane, *centre, 2 * radius_px(pixel_size) + 1)?))
    };
    let Some((crop, light)) = seen() else { return Vec::new() };
    match exaggerate((model, exaggerator), (&crop, light, box_um), feature, STEPS) {
        Ok(way) => way.pictures.iter().filter_map(|it| Some((it.shown(light)?, of_exaggerated(it)))).collect(),
        Err(error) => {
            tracing::warn!(code = error.code(), error = super::chain(&error), "cell not exaggerated");
            Vec::new()
        }
    }
}

fn of_exaggerated(it: &Exaggerated) -> ExaggeratedOfCell {
    ExaggeratedOfCell {
        protrusions_times: it.protrusions_times,
        granules_times: it.granules_times,
        shift_sd: it.shift,
        score: it.score,
        protrusion_total_um: it.hallmarks.map(|it| it.protrusion_total_um),
        scattering_um2: it.hallmarks.map(|it| it.scattering),
    }
}

fn of_kin(place: usize, (cell, shift_sd): (&Reference, f64)) -> KinOfCell {
    KinOfCell {
        place,
        name: cell.name.clone(),
        high: cell.high,
        shift_sd,
        protrusion_total_um: cell.hallmarks.map(|it| it.protrusion_total_um),
        scattering_um2: cell.hallmarks.map(|it| it.scattering),
    }
}

fn of_shift(shift_sd: f64, shift: &Shift) -> ShiftOfCell {
    ShiftOfCell { shift_sd, score: shift.score }
}

/// The features that go most strongly with the score, and what each adds to this cell's logit: the discriminant is linear, so
/// the logit is that of the training set's mean plus the sum of `weight * (value - mean)` over all features.
fn strongest(facts: &Facts, latent: &Latent, spreads: &[f64]) -> Vec<FeatureOfCell> {
    let named = rank(facts).into_iter().take(FEATURES);
    named
        .filter_map(|drive| {
            let index = drive.feature.checked_sub(1)?;
            let away = f64::from(*latent.get(index)?) - facts.latent.mean.get(index)?;
            Some(FeatureOfCell {
                feature: drive.feature,
                correlation: drive.correlation,
                value_sd: away / spreads.get(index)?,
                adds_logit: facts.discriminant.weights.get(index)? * away,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::picture::PictureFault;
    use crate::simulate::{Scene, SceneSettings};

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/compact")
    }

    /// A frame of simulated cells, through a door that reads it, and the middle of the cell of the longest protrusions in its middle.
    fn simulated() -> (ReadFrame, FrameSource, PointPx) {
        let settings = SceneSettings { width_px: 640, height_px: 640, cells: 8, ..SceneSettings::default() };
        let frame = Scene::new(settings, 7).frame(0);
        let within = |at: f64| (130.0..510.0).contains(&at);
        let inside = frame.truth.cells.iter().filter(|it| within(it.centroid.x) && within(it.centroid.y));
        let cell = inside.max_by(|a, b| a.protrusion_total_um.total_cmp(&b.protrusion_total_um)).unwrap();
        let plane = frame.plane().unwrap();
        let source = FrameSource {
            frame_id: crate::id::FrameId(1),
            path: "frame.tif".to_owned(),
            plane_index: 0,
            pixel_size_um: Some(PixelSize::PAPER.um()),
            size_bytes: 1,
            modified_unix_ns: 1,
        };
        (Arc::new(move |_| Ok(plane.clone())), source, cell.centroid)
    }

    fn blind() -> ReadFrame {
        Arc::new(|source| Err(PictureFault::Gone { path: source.path.clone() }))
    }

    #[test]
    fn a_cell_that_can_be_seen_is_exaggerated_and_one_that_cannot_is_explained_all_the_same() {
        let (read, source, centre) = simulated();
        let mut model = Model::load(&settings_for(&shipped())).unwrap();
        let crop = crop::cut(&read(&source).unwrap(), centre, PixelSize::PAPER).unwrap();
        let latent = crate::explain::latent(&mut model, &crop).unwrap().to_vec();
        let bundle_sha256 = model.bundle().identity.clone();
        let asked = Asked { bundle_sha256, latent, seen: Some((source, centre)) };
        let found = door(shipped(), read)(&asked).unwrap();
        let [low, here, high] = [0, 3, 6].map(|at: usize| found.exaggerated[at]);
        assert!(here.shift_sd.abs() < 1e-9 && (here.granules_times - 1.0).abs() < 1e-9, "{here:?}");
        assert!(low.shift_sd < -0.4 && high.shift_sd > 0.4, "the model reads it: {:?}", found.exaggerated);
        for hallmark in [|it: ExaggeratedOfCell| it.protrusion_total_um, |it: ExaggeratedOfCell| it.scattering_um2] {
            assert!(hallmark(low) < hallmark(high), "{:?}", found.exaggerated);
        }
        assert_eq!(crate::picture::size_px(&found.strip_png).unwrap(), (7 * 258 - 2, 4 * 258 - 2));
        let found = door(shipped(), blind())(&asked).unwrap();
        assert!(found.exaggerated.is_empty());
        assert_eq!(crate::picture::size_px(&found.strip_png).unwrap(), (7 * 258 - 2, 3 * 258 - 2));
    }

    #[test]
    fn moving_the_driving_feature_moves_the_score_and_the_picture() {
        let explain = door(shipped(), blind());
        let model = Model::load(&settings_for(&shipped())).unwrap();
        let mean: Vec<f32> = model.bundle().facts.latent.mean.iter().map(|value| *value as f32).collect();
        let identity = model.bundle().identity.clone();
        let found = explain(&Asked { bundle_sha256: identity, latent: mean, seen: None }).unwrap();
        assert_eq!(found.shifts.len(), 7);
        let driving = &found.features[0];
        assert!(driving.correlation.abs() >= found.features[1].correlation.abs());
        assert!(driving.value_sd.abs() < 1e-5 && driving.adds_logit.abs() < 1e-5, "the mean adds nothing: {driving:?}");
        let scores: Vec<f64> = found.shifts.iter().filter_map(|shift| shift.score).collect();
        let rising = model.bundle().facts.discriminant.weights[driving.feature - 1] > 0.0;
        assert!(scores.len() > 2, "near the mean scores are shown: {:?}", found.shifts);
        assert!(scores.windows(2).all(|pair| (pair[1] > pair[0]) == rising), "{scores:?}");
        assert_eq!(crate::picture::size_px(&found.strip_png).unwrap(), (7 * 258 - 2, 3 * 258 - 2));
        assert!(found.kin.len() >= 4, "reference cells stand for most steps near the mean: {:?}", found.kin);
        let measured = |of: usize| found.kin.iter().find(|it| it.place == of).and_then(|it| it.scattering_um2);
        assert!(measured(3).is_some(), "{:?}", found.kin);
    }

    #[test]
    fn another_bundles_descriptor_is_refused() {
        let asked = Asked { bundle_sha256: "0".repeat(64), latent: vec![0.0; 56], seen: None };
        assert_eq!(door(shipped(), blind())(&asked).unwrap_err().code(), "other_bundle");
        let nowhere = door(PathBuf::from("/nowhere"), blind());
        assert!(matches!(nowhere(&asked), Err(ExplanationFault::Failed { .. })));
    }
}
