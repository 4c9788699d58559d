//! The network that draws outlines: a close-up of a cell in, the logits that its pixels are inside out.
//!
//! It comes with a cell finder and was taught on what that finder gives: it lies in the finder's folder, in a folder of its own in the
//! bioimage.io model format, and says there which finder it belongs to.

use super::onnx_graph::unet::{DRAWN_OUT, SHOWN_IN};
use super::pictures::PictureNetwork;
use super::{InferError, InferSettings, bundle};
use crate::cells::close_up::{CloseUp, DRAWN, SHOWN};
use serde::Deserialize;
use std::path::Path;

/// Where it lies in its finder's folder.
pub const FOLDER: &str = "outliner";

#[derive(Debug, Deserialize)]
struct Own {
    finder_sha256: String,
}

/// A network that is ready to draw outlines.
#[derive(Debug)]
pub struct Outliner {
    network: PictureNetwork,
    /// sha256 of its ONNX file, hexadecimal.
    identity: String,
}

impl Outliner {
    /// The outliner of the finder in `folder`, whose ONNX file has this sha256; `None` when the folder has none.
    ///
    /// # Errors
    /// - `bundle_read`, `bundle_description`, `bundle_hash` when its folder is not whole.
    /// - `bundle_facts` when it belongs to another finder.
    /// - `engine_load`, `library_*` as [`PictureNetwork::open`].
    pub(super) fn of_finder(
        folder: &Path,
        finder_sha256: &str,
        infer: &InferSettings,
    ) -> Result<Option<Self>, InferError> {
        let folder = folder.join(FOLDER);
        if !folder.join(bundle::RDF).is_file() {
            return Ok(None);
        }
        let (onnx, own): (Vec<u8>, Own) = bundle::own_network(&folder)?;
        if own.finder_sha256 != finder_sha256 {
            let problem = format!(
                "{} draws the outlines of another cell finder: train it again (cytowatch train-outliner) or take it away",
                folder.display()
            );
            return Err(InferError::BundleFacts { problem });
        }
        Self::new(onnx, infer).map(Some)
    }

    /// The outliner in the bytes of an ONNX file.
    ///
    /// # Errors
    /// As [`PictureNetwork::open`].
    pub fn new(onnx: Vec<u8>, infer: &InferSettings) -> Result<Self, InferError> {
        let identity = bundle::sha256_hex(&onnx);
        Ok(Self { network: PictureNetwork::open(onnx, (SHOWN_IN, &[DRAWN_OUT]), infer)?, identity })
    }

    /// sha256 of its ONNX file, hexadecimal.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The logits that the pixels of `close_up` are inside its cell (`[DRAWN, height, width]`).
    ///
    /// # Errors
    /// - `engine_run` when the engine fails.
    /// - `bundle_network` when the network gives another number of numbers than it must.
    /// - `not_finite` when one of them is none.
    pub fn draw(&self, close_up: &CloseUp) -> Result<Vec<f32>, InferError> {
        let (width, height) = (close_up.width, close_up.height);
        let drawn = self.network.run([1, SHOWN, height, width], &close_up.shown)?.concat();
        if drawn.len() != DRAWN * width * height {
            let problem = format!("gives {} numbers for {} places", drawn.len(), width * height);
            return Err(InferError::BundleNetwork { file: "the outliner".to_owned(), problem });
        }
        if drawn.iter().all(|logit| logit.is_finite()) {
            Ok(drawn)
        } else {
            Err(InferError::NotFinite { what: "the outliner's drawing", index: 0 })
        }
    }
}
