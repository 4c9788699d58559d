//! Why a cell has its score: the decoder's pictures of it with the driving feature moved, made when somebody asks.
//!
//! Takes a cell's stored descriptor through a door that the daemon plugs in, gives numbers and one strip of pictures. One
//! explanation is made at a time, off the async threads; the latest are kept; when too many wait, the next is told so.

use crate::store::query::FrameSource;
use crate::units::PointPx;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Explanations kept; one is about 300 kB.
const KEPT: usize = 32;
/// Requests that may wait for the one explanation that is made.
const MOST_WAITING: usize = 4;

/// Why there is no explanation.
#[derive(Debug, Error)]
pub enum ExplanationFault {
    /// No model is at hand.
    #[error("no model is at hand to explain with: name its folder with --bundle")]
    Off,
    /// The cell has no descriptor.
    #[error("this cell has no descriptor: it was not shown to the model")]
    NotScored,
    /// The score is withheld.
    #[error("the score of this cell is withheld ({reason}): a picture of its descriptor would be a picture of nothing")]
    Withheld {
        /// Stable code of the reason.
        reason: String,
    },
    /// The descriptor is another model's.
    #[error("the cell was scored with another bundle than the one at hand: serve with --bundle <that bundle>")]
    OtherBundle,
    /// The model failed.
    #[error("explain: {why}")]
    Failed {
        /// Stable code of the cause.
        code: &'static str,
        /// What the model said.
        why: String,
    },
    /// Others are first.
    #[error("other explanations are being made: try again in a few seconds")]
    Busy,
}

impl ExplanationFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Off => "explanations_off",
            Self::NotScored => "not_scored",
            Self::Withheld { .. } => "score_withheld",
            Self::OtherBundle => "other_bundle",
            Self::Failed { code, .. } => code,
            Self::Busy => "busy",
        }
    }
}

/// A latent feature and where this cell lies on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureOfCell {
    /// The feature, 1..=56.
    pub feature: usize,
    /// Pearson correlation with the logit over the training set, -1..=1.
    pub correlation: f64,
    /// Where the cell lies, in standard deviations of the training set from its mean.
    pub value_sd: f64,
    /// What that adds to the cell's logit.
    pub adds_logit: f64,
}

/// One picture of the strip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShiftOfCell {
    /// How far the driving feature is moved, in standard deviations of the training set.
    pub shift_sd: f64,
    /// The score there; `None` where it would be withheld.
    pub score: Option<f64>,
}

/// A cell that the model was trained on, as far along the driving feature as a picture of the strip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KinOfCell {
    /// Which picture of the strip it stands below, from 0.
    pub place: usize,
    /// Its name.
    pub name: String,
    /// Class of its sample, when it is known: high or not.
    pub high: Option<bool>,
    /// How far its driving feature really is from this cell's, standard deviations of the training set.
    pub shift_sd: f64,
    /// Summed length of its protrusions, um; `None` when nothing could be measured.
    pub protrusion_total_um: Option<f64>,
    /// Its scattering, um2; `None` when nothing could be measured.
    pub scattering_um2: Option<f64>,
}

/// The cell's own picture with its hallmarks exaggerated, as a network draws it and the model reads it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExaggeratedOfCell {
    /// How many times as long its protrusions were to be.
    pub protrusions_times: f64,
    /// How many times as dense its granules were to be.
    pub granules_times: f64,
    /// By how much the model reads the driving feature higher, standard deviations of the training set towards "high".
    pub shift_sd: f64,
    /// The score there; `None` where it would be withheld.
    pub score: Option<f64>,
    /// Summed length of the protrusions on the picture, um; `None` when nothing could be measured.
    pub protrusion_total_um: Option<f64>,
    /// Its scattering, um2; `None` when nothing could be measured.
    pub scattering_um2: Option<f64>,
}

/// Why a cell has its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The features that go most strongly with the score, the driving one first.
    pub features: Vec<FeatureOfCell>,
    /// The pictures of the strip from left to right.
    pub shifts: Vec<ShiftOfCell>,
    /// How many times the second row is stretched.
    pub gain: f64,
    /// The pictures of the first row, from low to high; empty when no network that exaggerates is at hand, or the frame is gone.
    pub exaggerated: Vec<ExaggeratedOfCell>,
    /// The pictures of the last row; empty when the bundle shows no reference cells.
    pub kin: Vec<KinOfCell>,
    /// The strip: at the top, where there is one, the cell exaggerated; then the decoded pictures; below, where each is brighter than the unmoved one; at the bottom, where the bundle has
    /// them, training cells that lie as far along the feature. Gray PNG.
    #[serde(skip)]
    pub strip_png: Vec<u8>,
}

/// What is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Hash of the bundle that scored the cell.
    pub bundle_sha256: String,
    /// The stored descriptor, 56 values.
    pub latent: Vec<f32>,
    /// Where the cell can be seen again: its frame's source, and its centre there.
    pub seen: Option<(FrameSource, PointPx)>,
}

/// The door to the model. Called off the async threads, never twice at a time.
pub type Explain = Arc<dyn Fn(&Asked) -> Result<Explanation, ExplanationFault> + Send + Sync>;

/// The latest explanations and the right to make one.
pub struct Explanations {
    explain: Option<Explain>,
    waiting: Semaphore,
    working: Arc<Semaphore>,
    kept: Mutex<VecDeque<(i64, Asked, Arc<Explanation>)>>,
}

impl fmt::Debug for Explanations {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Explanations").field("on", &self.explain.is_some()).finish_non_exhaustive()
    }
}

impl Explanations {
    /// Explanations made through `explain`; none without it.
    pub fn new(explain: Option<Explain>) -> Arc<Self> {
        Arc::new(Self {
            explain,
            waiting: Semaphore::new(MOST_WAITING),
            working: Arc::new(Semaphore::new(1)),
            kept: Mutex::default(),
        })
    }

    /// Why the cell has its score.
    ///
    /// # Errors
    /// As the door's, and [`ExplanationFault::Busy`] when too many wait.
    pub async fn of(self: &Arc<Self>, cell_id: i64, asked: Asked) -> Result<Arc<Explanation>, ExplanationFault> {
        let Some(explain) = self.explain.clone() else { return Err(ExplanationFault::Off) };
        if let Some(found) = self.find(cell_id, &asked) {
            return Ok(found);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_full| ExplanationFault::Busy)?;
        let working = Arc::clone(&self.working).acquire_owned().await.map_err(|_closed| ExplanationFault::Busy)?;
        // Made by the one that was first in line.
        if let Some(found) = self.find(cell_id, &asked) {
            return Ok(found);
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let made = Arc::new(explain(&asked)?);
            let mut kept = this.lock();
            kept.push_back((cell_id, asked, Arc::clone(&made)));
            if kept.len() > KEPT {
                kept.pop_front();
            }
            drop(kept);
            drop(working);
            Ok(made)
        })
        .await
        .map_err(|_stopped| ExplanationFault::Busy)?
    }

    fn find(&self, cell_id: i64, asked: &Asked) -> Option<Arc<Explanation>> {
        let kept = self.lock();
        kept.iter().find(|(id, of, _)| *id == cell_id && of == asked).map(|(_, _, found)| Arc::clone(found))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(i64, Asked, Arc<Explanation>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn asked(value: f32) -> Asked {
        Asked { bundle_sha256: "5".repeat(64), latent: vec![value; 56], seen: None }
    }

    fn explanation() -> Explanation {
        Explanation {
            features: Vec::new(),
            shifts: Vec::new(),
            gain: 1.0,
            exaggerated: Vec::new(),
            kin: Vec::new(),
            strip_png: vec![1],
        }
    }

    #[tokio::test]
    async fn an_explanation_is_made_once_and_the_latest_are_kept() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let explanations = Explanations::new(Some(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(explanation())
        })));
        for cell in [1, 1, 2, 1] {
            explanations.of(cell, asked(0.5)).await.unwrap();
        }
        assert_eq!(made.load(Ordering::Relaxed), 2);
        for cell in 10..10 + KEPT as i64 {
            explanations.of(cell, asked(0.5)).await.unwrap();
        }
        assert_eq!(explanations.lock().len(), KEPT);
        explanations.of(1, asked(0.5)).await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 2 + KEPT + 1);
    }

    #[tokio::test]
    async fn too_many_are_told_to_come_back_and_without_a_model_there_is_none() {
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(MOST_WAITING);
        let wait = Mutex::new(wait);
        let explanations = Explanations::new(Some(Arc::new(move |_| {
            let _told = wait.lock().unwrap().recv();
            Ok(explanation())
        })));
        let mut asking = tokio::task::JoinSet::new();
        for cell in 0..MOST_WAITING as i64 + 3 {
            let explanations = Arc::clone(&explanations);
            asking.spawn(async move { explanations.of(cell, asked(0.0)).await.map(drop) });
        }
        for _ in 0..3 {
            let refused = asking.join_next().await.unwrap().unwrap();
            assert_eq!(refused.unwrap_err().code(), "busy");
        }
        for _ in 0..MOST_WAITING {
            go.send(()).unwrap();
        }
        while let Some(ended) = asking.join_next().await {
            ended.unwrap().unwrap();
        }
        let off = Explanations::new(None);
        assert_eq!(off.of(1, asked(0.0)).await.unwrap_err().code(), "explanations_off");
    }
}
