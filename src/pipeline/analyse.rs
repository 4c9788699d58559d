//! From a complete file to the cells in it: what the workers do, one frame at a time.
//!
//! Stateless: any worker, any order, the same result. A library that panics on a frame fails that frame.

use super::job::{Analysed, Found, Job, Outcome};
use crate::cells::{self, DetectSettings};
use crate::frame::{self, Plane, read::ReadError};
use crate::infer::InferError;
use crate::infer::finder::Finder;
use crate::status::{Stage, Status, monotonic_now};
use crate::units::{PixelSize, PixelSizeError};
use crate::watch::complete::Stamp;
use async_channel::{Receiver, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// A file whose pixel size differs from the configured one by more than this share contradicts it.
const TOLERANCE: f64 = 0.1;

/// Why a frame has no cells to show.
#[derive(Debug, Error)]
pub enum AnalyseError {
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody knows how large a pixel is.
    #[error("the file does not tell its pixel size: set instrument.pixel_size_um")]
    NoPixelSize,
    /// The file tells an impossible pixel size.
    #[error("the file tells an impossible pixel size: set instrument.pixel_size_um")]
    PixelSize(#[source] PixelSizeError),
    /// The file is not the version that was found complete.
    #[error("the file changed while it was read")]
    Changed,
    /// The network that finds cells failed.
    #[error("look for cells")]
    Find(#[from] InferError),
    /// A defect of this software or of a library.
    #[error("a defect stopped the analysis of this frame: {0}; please report it with the file")]
    Defect(String),
}

impl AnalyseError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::NoPixelSize => "no_pixel_size",
            Self::PixelSize(_) => "impossible_pixel_size",
            Self::Changed => "changed_while_read",
            Self::Find(error) => error.code(),
            Self::Defect(_) => "defect",
        }
    }

    /// Whether the frame is to be looked at again rather than failed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Changed => true,
            _ => false,
        }
    }
}

/// What the workers need to know about the instrument.
#[derive(Debug, Clone)]
pub struct Optics {
    /// Pixel size from the configuration; otherwise each file's own.
    pub pixel_size: Option<PixelSize>,
    /// Believe the configuration even where a file tells otherwise.
    pub trust_pixel_size: bool,
    /// Coarse diameter of a cell, um.
    pub cell_diameter_um: f64,
    /// The network that finds cells; `None` for the classical chain.
    pub finder: Option<Arc<Finder>>,
}

/// Takes frames from `jobs` until the queue is closed; runs on a thread of its own.
pub fn work(jobs: &Receiver<Job>, found: &Sender<Analysed>, optics: &Optics, status: &Status) {
    while let Ok(job) = jobs.recv_blocking() {
        status.begin(Stage::Cells);
        let began = monotonic_now();
        let span =
            tracing::debug_span!("frame", frame = job.next.frame.0, fov = job.next.fov.0, time = job.next.time.0);
        let outcome = span.in_scope(|| analyse(&job, optics, &|| status.beat(Stage::Cells)));
        status.add_work(Stage::Cells, began.elapsed(), 1);
        if !status.hand_on(Stage::Cells, || found.send_blocking(Analysed { job, outcome }).is_ok()) {
            return;
        }
    }
}

/// `beat` hears of every step: with a very large frame each of them takes seconds.
fn analyse(job: &Job, optics: &Optics, beat: &dyn Fn()) -> Outcome<Box<Found>> {
    let result = catch_unwind(AssertUnwindSafe(|| read_and_find(job, optics, beat)))
        .unwrap_or_else(|panic| Err(AnalyseError::Defect(panic_text(panic.as_ref()))));
    match result {
        Ok(found) => Outcome::Result(Box::new(found)),
        Err(error) if error.is_retryable() => Outcome::Again { reason: super::chain(&error) },
        Err(error) => Outcome::Failed { code: error.code(), reason: super::chain(&error) },
    }
}

fn read_and_find(job: &Job, optics: &Optics, beat: &dyn Fn()) -> Result<Found, AnalyseError> {
    let (plane, scale) = read_plane(&job.path, job.plane_index, optics)?;
    beat();
    // The second look: what was read is the version that was found complete. A container that grows at its end keeps
    // its earlier planes.
    let now = Stamp::look(&job.path).map_err(|source| ReadError::from_io(&job.path, source))?;
    let grew = job.may_grow && job.stamp.may_have_grown_to(now);
    if !job.stamp.is_same(now) && !grew {
        return Err(AnalyseError::Changed);
    }
    find_in(plane, scale, optics, beat)
}

/// The cells of a frame whose file is at rest.
///
/// # Errors
/// When the file cannot be read or nobody knows how large a pixel is.
pub(super) fn find_cells(path: &Path, plane_index: usize, optics: &Optics) -> Result<Found, AnalyseError> {
    let (plane, scale) = read_plane(path, plane_index, optics)?;
    find_in(plane, scale, optics, &|| ())
}

/// A frame's pixel size, and whether its file contradicts it.
#[derive(Debug, Clone, Copy)]
struct Scale {
    pixel_size: PixelSize,
    contradicted: bool,
}

impl Scale {
    /// What is configured goes before what the file tells.
    fn of(optics: &Optics, told_um: Option<f64>) -> Result<Self, AnalyseError> {
        match (optics.pixel_size, told_um) {
            (Some(pixel_size), told) => {
                let differs = |um: f64| (um / pixel_size.um()).ln().abs() > TOLERANCE.ln_1p();
                let contradicted = !optics.trust_pixel_size && told.is_some_and(differs);
                Ok(Self { pixel_size, contradicted })
            }
            (None, Some(um)) => {
                let pixel_size = PixelSize::new(um).map_err(AnalyseError::PixelSize)?;
                Ok(Self { pixel_size, contradicted: false })
            }
            (None, None) => Err(AnalyseError::NoPixelSize),
        }
    }
}

fn read_plane(path: &Path, plane_index: usize, optics: &Optics) -> Result<(Plane, Scale), AnalyseError> {
    let mut source = frame::read::open(path)?;
    let told = source.planes().get(plane_index).and_then(|plane| plane.pixel_size_um);
    let scale = Scale::of(optics, told)?;
    Ok((source.read(plane_index)?, scale))
}

fn find_in(plane: Plane, scale: Scale, optics: &Optics, beat: &dyn Fn()) -> Result<Found, AnalyseError> {
    let pixel_size = scale.pixel_size;
    let size_px = (plane.width_px(), plane.height_px());
    let corrected = frame::correct(plane, pixel_size);
    beat();
    let settings = DetectSettings { cell_diameter_um: optics.cell_diameter_um, ..DetectSettings::new(pixel_size) };
    let cells = match &optics.finder {
        Some(finder) => cells::find_by_network(&corrected, &settings, finder.as_ref(), beat)?,
        None => cells::find(&corrected, &settings),
    };
    let pixel_size_contradicted = scale.contradicted;
    Ok(Found { size_px, pixel_size, pixel_size_contradicted, quality: corrected.quality, cells })
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_tells_another_pixel_size_contradicts_the_configuration_unless_that_is_trusted() {
        let optics = |um: Option<f64>, trust_pixel_size| Optics {
            pixel_size: um.map(|um| PixelSize::new(um).unwrap()),
            trust_pixel_size,
            cell_diameter_um: 20.0,
            finder: None,
        };
        let contradicted = |optics: &Optics, told| Scale::of(optics, told).unwrap().contradicted;
        assert!(contradicted(&optics(Some(0.325), false), Some(0.65)));
        assert!(contradicted(&optics(Some(0.65), false), Some(0.325)));
        assert!(!contradicted(&optics(Some(0.325), true), Some(0.65)));
        assert!(!contradicted(&optics(Some(0.325), false), Some(0.33)), "calibrated a little differently");
        assert!(!contradicted(&optics(Some(0.325), false), None) && !contradicted(&optics(None, false), Some(0.65)));
        assert_eq!(Scale::of(&optics(None, false), None).unwrap_err().code(), "no_pixel_size");
    }
}
