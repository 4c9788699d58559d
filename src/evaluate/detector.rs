//! The way cells are found: by the network or by the classical chain.

use crate::cells::{self, DetectSettings, FoundCells};
use crate::frame::CorrectedFrame;
use crate::infer::finder::{FindSettings, Finder};
use std::path::Path;

/// Finds the cells of frames.
#[derive(Debug)]
pub struct Detector {
    finder: Option<Finder>,
}

impl Detector {
    /// By the setting `detect.model`: a folder, `auto` or `none`.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no such network.
    pub fn open(model: &Path) -> anyhow::Result<Self> {
        Ok(Self { finder: Finder::choose(&FindSettings { model: model.to_owned() })? })
    }

    /// The cells of `frame`.
    ///
    /// # Errors
    /// When the network cannot run.
    pub fn find(&self, frame: &CorrectedFrame, settings: &DetectSettings) -> anyhow::Result<FoundCells> {
        let Some(finder) = &self.finder else { return Ok(cells::find(frame, settings)) };
        let picture = cells::working_picture(frame, settings, finder.view());
        Ok(cells::find_in_maps(frame, settings, &picture, &finder.maps(&picture)?))
    }
}
