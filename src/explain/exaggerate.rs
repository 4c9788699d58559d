//! A cell from low to high: the pictures at which the model itself reads more and more of a feature.
//!
//! A decoder draws neither grain nor thin pseudopods, so what moves a feature that is read from them cannot be seen on its
//! pictures. Here the cell's own picture is changed, by a network that knows how a cell looks with longer pseudopods and with
//! denser granules ([`Exaggerator`]), and the model describes what was drawn. Which of the two, and how much of each, the model
//! says: the way goes along the gradient of the feature, found by drawing a little more and a little less of either. (A
//! counterfactual with the classifier in the loop, as in DISCOVER, Rotem and others 2024; there a generator learns the way,
//! here it is measured.)

use super::hallmarks::{Hallmarks, Light, measure};
use super::{ExplainError, shown_score};
use crate::cells::Crop;
use crate::infer::exaggerator::{Amount, Exaggerator};
use crate::infer::{Inference, LATENT_LEN, Model};
use serde::Serialize;

/// By how much either hallmark is changed to see what the feature does, share of the most that may be asked for.
const PROBE: f64 = 0.5;

/// What a feature does when a hallmark grows: standard deviations of the training set towards "high" when pseudopods become
/// 2.7 times as long, and when granules become 2.7 times as dense.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answer {
    /// To longer pseudopods.
    pub protrusions_sd: f64,
    /// To denser granules.
    pub granules_sd: f64,
}

/// One picture on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Exaggerated {
    /// How many times as long its pseudopods were to be.
    pub protrusions_times: f64,
    /// How many times as dense its granules were to be.
    pub granules_times: f64,
    /// By how much the model reads the feature higher than on the picture as it was (itself drawn anew), standard deviations of
    /// the training set towards "high".
    pub shift: f64,
    /// Log odds of "high" there.
    pub logit: f64,
    /// The score there, `None` when withheld.
    pub score: Option<f64>,
    /// Measured on the picture.
    pub hallmarks: Option<Hallmarks>,
    /// What was drawn, scaled from its darkest to its brightest pixel.
    pub picture: Crop,
    /// How bright it was before that.
    pub light: Light,
}

impl Exaggerated {
    /// The picture on the scale of grey of a crop of this light; `None` when it is no crop.
    pub fn shown(&self, light: Light) -> Option<Crop> {
        light.grey(&self.light.relative(self.picture.pixels()))
    }
}

/// The whole way, from "low" to "high".
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// What set its direction.
    pub answer: Answer,
    /// Its pictures.
    pub pictures: Vec<Exaggerated>,
}

/// Exaggerates the cell of `crop` along `feature` (1..=56), in `steps` pictures either way; `light` is how bright the crop was,
/// `box_um` how wide.
///
/// # Errors
/// - `feature` when there is no such feature.
/// - As the model's and the network's.
pub fn exaggerate(
    (model, exaggerator): (&mut Model, &Exaggerator),
    (crop, light, box_um): (&Crop, Light, f64),
    feature: usize,
    steps: u16,
) -> Result<Way, ExplainError> {
    let facts = &model.bundle().facts;
    let at = feature.checked_sub(1).filter(|at| *at < LATENT_LEN);
    let at = at.ok_or(ExplainError::Feature { feature, last: LATENT_LEN })?;
    let spread = facts.latent.spreads().get(at).copied().unwrap_or(1.0);
    let per_sd = facts.discriminant.weights.get(at).map_or(1.0, |weight| weight.signum()) / spread;
    let value = |inference: &Inference| per_sd * inference.latent.get(at).copied().map_or(0.0, f64::from);

    let relative = light.relative(crop.pixels());
    let largest = exaggerator.largest_amount();
    let probe = PROBE * largest;
    let probes = [(-probe, 0.0), (probe, 0.0), (0.0, -probe), (0.0, probe)].map(amount);
    let probed = drawn(exaggerator, &relative, &probes)?;
    let read: Vec<f64> = described(model, &probed)?.iter().map(value).collect();
    let answer = |less: usize, more: usize| Some((read.get(more)? - read.get(less)?) / (2.0 * probe));
    let (protrusions_sd, granules_sd) = answer(0, 1).zip(answer(2, 3)).ok_or(ExplainError::Decoder)?;

    let length = protrusions_sd.hypot(granules_sd).max(f64::MIN_POSITIVE);
    let amounts: Vec<Amount> = (-i32::from(steps)..=i32::from(steps))
        .map(|step| largest * f64::from(step) / f64::from(steps.max(1)) / length)
        .map(|along| amount((along * protrusions_sd, along * granules_sd)))
        .collect();
    let pictures = drawn(exaggerator, &relative, &amounts)?;
    let inferences = described(model, &pictures)?;
    let here = inferences.get(usize::from(steps)).map_or(0.0, value);
    let found = amounts.into_iter().zip(pictures).zip(&inferences);
    let pictures = found.map(|((amount, (picture, light)), inference)| Exaggerated {
        protrusions_times: amount.protrusions.exp(),
        granules_times: amount.granules.exp(),
        shift: value(inference) - here,
        logit: inference.logit,
        score: shown_score(inference),
        hallmarks: measure(&picture, light, box_um),
        picture,
        light,
    });
    Ok(Way { answer: Answer { protrusions_sd, granules_sd }, pictures: pictures.collect() })
}

fn amount((protrusions, granules): (f64, f64)) -> Amount {
    Amount { protrusions, granules }
}

fn drawn(exaggerator: &Exaggerator, light: &[f32], amounts: &[Amount]) -> Result<Vec<(Crop, Light)>, ExplainError> {
    let draw = |amount: &Amount| {
        let relative = exaggerator.draw(light, *amount)?;
        Light::crop(&relative).ok_or(ExplainError::Decoder)
    };
    amounts.iter().map(draw).collect()
}

fn described(model: &mut Model, pictures: &[(Crop, Light)]) -> Result<Vec<Inference>, ExplainError> {
    let crops: Vec<Crop> = pictures.iter().map(|it| it.0.clone()).collect();
    Ok(model.describe(&crops)?)
}
