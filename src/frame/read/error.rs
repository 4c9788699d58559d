//! Why a file could not be read: stable codes, and what to do.

use crate::frame::read::LARGEST_PLANE_BYTES;
use crate::picture::PictureError;
use openreadout_core::Error as LibraryError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file is not there (any more).
    #[error("{path} is gone: it is read when it appears again")]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// The file may not be opened.
    #[error("{path} may not be read: give this user read access to the folder and its files")]
    Permission {
        /// The file.
        path: PathBuf,
    },
    /// The operating system failed.
    #[error("read {path}: check the disk or the network share")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file has no bytes yet.
    #[error("{path} is empty: its writer has not written to it or has failed")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before its pixels do.
    #[error("{path} is cut short ({detail}): copy it again from the instrument")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// The file contradicts itself.
    #[error("{path} is damaged ({detail}): copy it again from the instrument")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Not an image that is read here.
    #[error("{path} is no TIFF, PNG or JPEG image: add it to watch.ignore if it belongs there")]
    WrongType {
        /// The file.
        path: PathBuf,
    },
    /// An image of a kind that is not decoded.
    #[error("{path} is of a kind that is not decoded ({detail}): export it as plain TIFF")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The unsupported feature.
        detail: String,
    },
    /// More memory than one plane may take.
    #[error("{path} declares {bytes} bytes where at most {limit} are read: it is damaged or no camera frame")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it declares.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A float image with NaN or infinity.
    #[error("{path} has pixels that are not numbers: export it without masks")]
    NotFinite {
        /// The file.
        path: PathBuf,
    },
    /// The file has no such plane.
    #[error("{path} has no plane {index}")]
    NoPlane {
        /// The file.
        path: PathBuf,
        /// The plane asked for.
        index: usize,
    },
    /// The decoder gave up in an unforeseen way.
    #[error("{path} broke its decoder: keep the file and report it")]
    DecoderPanicked {
        /// The file.
        path: PathBuf,
    },
}

impl ReadError {
    /// The stable code: metric label, database value and API field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Vanished { .. } => "vanished",
            Self::Permission { .. } => "permission_denied",
            Self::Io { .. } => "io",
            Self::Empty { .. } => "empty",
            Self::Truncated { .. } => "truncated",
            Self::Corrupt { .. } => "corrupt",
            Self::WrongType { .. } => "wrong_type",
            Self::Unsupported { .. } => "unsupported",
            Self::TooLarge { .. } => "too_large",
            Self::NotFinite { .. } => "not_finite",
            Self::NoPlane { .. } => "no_plane",
            Self::DecoderPanicked { .. } => "decoder_panicked",
        }
    }

    /// Whether the same file may be readable later without having been replaced.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Vanished { .. }
                | Self::Permission { .. }
                | Self::Io { .. }
                | Self::Empty { .. }
                | Self::Truncated { .. }
        )
    }

    /// The error of an operation on `path` that the system refused.
    pub fn from_io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Vanished { path },
            ErrorKind::PermissionDenied => Self::Permission { path },
            ErrorKind::UnexpectedEof => Self::Truncated { path, detail: "the file ended inside a read".to_owned() },
            ErrorKind::IsADirectory => Self::WrongType { path },
            _ => Self::Io { path, source },
        }
    }

    pub(super) fn from_library(path: &Path, error: LibraryError) -> Self {
        let path = path.to_path_buf();
        match error {
            LibraryError::Io { source, .. } => Self::from_io(&path, source),
            LibraryError::UnknownFormat { .. } => Self::WrongType { path },
            LibraryError::Corrupt { detail, .. } if ends_early(&detail) => Self::Truncated { path, detail },
            LibraryError::Corrupt { detail, .. } => Self::Corrupt { path, detail },
            LibraryError::Unsupported { feature, .. } => Self::Unsupported { path, detail: feature },
            other => Self::Corrupt { path, detail: other.to_string() },
        }
    }

    pub(super) fn from_picture(path: &Path, error: &PictureError) -> Self {
        let path = path.to_path_buf();
        match error {
            PictureError::TooLarge => Self::TooLarge { path, bytes: u64::MAX, limit: LARGEST_PLANE_BYTES },
            PictureError::Unsupported(_) => Self::Unsupported { path, detail: error.to_string() },
            PictureError::Decode(_) | PictureError::Encode(_) | PictureError::Shape => {
                Self::Corrupt { path, detail: error.to_string() }
            }
        }
    }
}

/// Whether the library's words say that bytes are missing at the end.
fn ends_early(detail: &str) -> bool {
    ["past the end", "truncated", "shorter than", "only", "extends past"].iter().any(|words| detail.contains(words))
}
