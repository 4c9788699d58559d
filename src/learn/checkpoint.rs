//! Checkpoints: a training as it stands, in one file.
//!
//! A line of JSON (format, size, settings, history, steps), then every array of the network as it is and of the best one
//! so far, 32-bit little-endian. Written beside and renamed, so that a checkpoint is always whole.

use super::autoencoder::Autoencoder;
use super::trainer::{Epoch, State, TrainSettings};
use crate::infer::architecture::AutoencoderSpec;
use crate::infer::texture::Readout;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

const FORMAT: &str = "cytowatch checkpoint 1";

/// What can go wrong with a checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It cannot be read.
    #[error("read checkpoint {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("write checkpoint {path}: check that the folder is there and has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no checkpoint of this version.
    #[error("{path} is no checkpoint of this version of cytowatch ({problem}): start the training anew")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

impl CheckpointError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "checkpoint_read",
            Self::Write { .. } => "checkpoint_write",
            Self::Format { .. } => "checkpoint_format",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    spec: AutoencoderSpec,
    settings: TrainSettings,
    history: Vec<Epoch>,
    steps: [u32; 2],
    tied: Option<Readout>,
}

/// Writes `state` to `path`.
///
/// # Errors
/// `checkpoint_write`.
pub fn write(path: &Path, state: &State, settings: &TrainSettings) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Write { path: path.to_owned(), source };
    let header = Header {
        format: FORMAT.to_owned(),
        spec: state.net.spec(),
        settings: settings.clone(),
        history: state.history.clone(),
        steps: [state.net.steps(), state.best.steps()],
        tied: state.net.readout().cloned(),
    };
    let mut bytes = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    for net in [&mut state.net.clone(), &mut state.best.clone()] {
        for array in net.arrays_mut() {
            bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    let beside = path.with_extension("part");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `checkpoint_read` and `checkpoint_format`.
pub fn read(path: &Path) -> Result<(State, TrainSettings), CheckpointError> {
    let bytes = fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
    let wrong = |problem| CheckpointError::Format { path: path.to_owned(), problem };
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(arrays)) = (parts.next(), parts.next()) else { return Err(wrong("it has no header")) };
    let header: Header = serde_json::from_slice(header).map_err(|_unreadable| wrong("its header cannot be read"))?;
    if header.format != FORMAT {
        return Err(wrong("its header names another format"));
    }
    let mut numbers = arrays.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok()).map(f32::from_le_bytes);
    let mut expected = 0;
    let mut nets = header.steps.map(|steps| {
        let mut net = Autoencoder::new(header.spec, header.settings.seed).tied_to(header.tied.clone());
        net.set_steps(steps);
        for array in net.arrays_mut() {
            expected += array.len();
            for (value, number) in array.iter_mut().zip(&mut numbers) {
                *value = number;
            }
        }
        Some(net)
    });
    if arrays.len() != 4 * expected {
        return Err(wrong("it is cut off"));
    }
    match (nets[0].take(), nets[1].take()) {
        (Some(net), Some(best)) => Ok((State { net, best, history: header.history }, header.settings)),
        _ => Err(wrong("it holds no network")),
    }
}
