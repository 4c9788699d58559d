//! The door to the model for the page's explanations.
//!
//! A second copy of the bundle in the built-in engine on one thread, loaded when the first explanation is asked for: looking at a
//! cell never takes the engine away from the frames.

use crate::cells::{CROP_SIDE_PX, Crop};
use crate::explain::rank::rank;
use crate::explain::references::{self, Reference};
use crate::explain::strip;
use crate::explain::traverse::{Shift, traverse};
use crate::infer::bundle::Facts;
use crate::infer::{Latent, Model, settings_for};
use crate::serve::explanation::{Asked, Explain, Explanation, ExplanationFault, FeatureOfCell, KinOfCell, ShiftOfCell};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How far the driving feature is moved, standard deviations of the training set.
const SHIFTS_SD: [f64; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
/// Features that are named.
const FEATURES: usize = 5;

/// A door that explains with the bundle in `folder`.
pub fn door(folder: PathBuf) -> Explain {
    let loaded: Mutex<Option<Loaded>> = Mutex::new(None);
    Arc::new(move |asked| {
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let explained = load(&mut loaded, &folder).and_then(|loaded| explain(loaded, asked));
        drop(loaded);
        explained
    })
}

/// What explanations are made from.
struct Loaded {
    model: Model,
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
    let references = references::read(folder, &model.bundle().identity).unwrap_or_else(|error| {
        tracing::warn!(code = error.code(), error = super::chain(&error), "explanations without reference cells");
        Vec::new()
    });
    Ok(Loaded { model, references })
}

fn explain(loaded: &mut Loaded, asked: &Asked) -> Result<Explanation, ExplanationFault> {
    let Loaded { model, references } = loaded;
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
    let mut rows: Vec<Vec<&Crop>> = vec![found.iter().map(|shift| &shift.picture).collect(), brighter.iter().collect()];
    if !references.is_empty() {
        rows.push(kin.iter().collect());
    }
    let strip_png = strip::png(&rows).map_err(|error| failed(error.code(), super::chain(&error)))?;
    let shifts = SHIFTS_SD.iter().zip(&found).map(|(shift_sd, shift)| of_shift(*shift_sd, shift)).collect();
    let kin = along.iter().enumerate().filter_map(|(place, it)| it.map(|it| of_kin(place, it))).collect();
    Ok(Explanation { features, shifts, gain: f64::from(gain), kin, strip_png })
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

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/compact")
    }

    #[test]
    fn moving_the_driving_feature_moves_the_score_and_the_picture() {
        let explain = door(shipped());
        let model = Model::load(&settings_for(&shipped())).unwrap();
        let mean: Vec<f32> = model.bundle().facts.latent.mean.iter().map(|value| *value as f32).collect();
        let identity = model.bundle().identity.clone();
        let found = explain(&Asked { bundle_sha256: identity, latent: mean }).unwrap();
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
        let asked = Asked { bundle_sha256: "0".repeat(64), latent: vec![0.0; 56] };
        assert_eq!(door(shipped())(&asked).unwrap_err().code(), "other_bundle");
        let nowhere = door(PathBuf::from("/nowhere"));
        assert!(matches!(nowhere(&asked), Err(ExplanationFault::Failed { .. })));
    }
}
