//! Files to planes: the one door to the container library.
//!
//! Takes a path, gives the file's planes (facts first, pixels on demand) and whether its structure is complete. One
//! file is one [`Source`]: sibling files are never looked at, so that a frame means the same whatever else has landed.
//! The file is opened read-only and without locks. A file that is malformed, cut short or hostile gives a
//! [`ReadError`] with a stable code; it never panics, never loops and never allocates more than
//! [`LARGEST_PLANE_BYTES`] for pixels.

mod error;

pub use error::ReadError;

use crate::frame::{Pixels, Plane};
use crate::picture;
use crate::units::PixelSize;
use openreadout_core::model::Severity;
use openreadout_core::source::{Input, LocalFile};
use openreadout_core::{Dataset, FormatReader as _, ImageInfo, PixelType, PlaneIndex};
use openreadout_tiff::TiffReader;
use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest decoded plane that is read, bytes as stored (a 16 k x 16 k camera at 16 bit).
pub const LARGEST_PLANE_BYTES: u64 = 512 << 20;
/// Most planes that one file may declare.
pub const MOST_PLANES: u64 = 1_000_000;
/// Largest PNG or JPEG file, bytes; these are decoded from memory.
const LARGEST_PICTURE_BYTES: u64 = 256 << 20;

/// What is known of a plane without reading its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneFacts {
    /// Number within the file, 0-based, stable while the file grows.
    pub index: usize,
    /// Time point within the file, when the file has several.
    pub time_index: Option<i64>,
    /// The channel's name, when the file has several channels or names its only one.
    pub channel: Option<String>,
    /// Focal plane within the file, when the file has several.
    pub z_index: Option<i64>,
    /// The position's name, when the file has several.
    pub fov: Option<String>,
    /// As the file says, um per pixel; within the range of [`PixelSize`].
    pub pixel_size_um: Option<f64>,
    /// When the plane was taken, UTC ms since 1970; only when the file says so with its time zone.
    pub acquired_unix_ms: Option<i64>,
    /// Pixels per row.
    pub width_px: usize,
    /// Number of rows.
    pub height_px: usize,
}

/// Whether a file's structure is whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Completeness {
    /// Everything that the file declares lies inside it.
    Complete,
    /// Some planes are whole, the rest is still to come.
    Growing {
        /// Their indices, ascending; never empty.
        complete_planes: Vec<usize>,
    },
    /// No plane can be taken yet.
    Incomplete(Gap),
}

/// What keeps a file from being complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// It has no bytes.
    Empty,
    /// It ends too early.
    Truncated,
    /// It contradicts itself, as files do while they are written and as damaged files do.
    Corrupt,
}

impl Gap {
    /// The stable code, the same words as [`ReadError::code`].
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
        }
    }
}

enum Container {
    /// With, for each plane of ours, the library's image and plane.
    Tiff {
        dataset: Box<dyn Dataset>,
        places: Vec<(u32, PlaneIndex)>,
        images: Vec<ImageInfo>,
    },
    Picture {
        bytes: Vec<u8>,
    },
}

/// An open file.
pub struct Source {
    path: PathBuf,
    container: Container,
    planes: Vec<PlaneFacts>,
    completeness: Completeness,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Source")
            .field("path", &self.path)
            .field("planes", &self.planes.len())
            .field("completeness", &self.completeness)
            .finish_non_exhaustive()
    }
}

/// Opens `path`: headers and structure, no pixels.
///
/// # Errors
/// - [`ReadError::Vanished`], [`ReadError::Permission`], [`ReadError::Io`], [`ReadError::Empty`] and
///   [`ReadError::Truncated`] may pass; the others stay until the file is replaced.
pub fn open(path: &Path) -> Result<Source, ReadError> {
    let io = |error| ReadError::from_io(path, error);
    // A FIFO or a device would block for ever.
    let facts = std::fs::metadata(path).map_err(io)?;
    if !facts.is_file() {
        return Err(ReadError::WrongType { path: path.to_path_buf() });
    }
    if facts.len() == 0 {
        return Err(ReadError::Empty { path: path.to_path_buf() });
    }
    let mut file = File::open(path).map_err(io)?;
    let mut head = [0_u8; 8];
    let mut length = 0;
    while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(io)? {
            0 => break,
            count => length += count,
        }
    }
    let head = head.get(..length).unwrap_or_default();
    if picture::is_png_or_jpeg(head) {
        open_picture(path, facts.len())
    } else if head.starts_with(b"II") || head.starts_with(b"MM") {
        if head.len() < 8 {
            return Err(ReadError::Truncated { path: path.to_path_buf(), detail: "no whole header".to_owned() });
        }
        open_tiff(path, LocalFile::from_file(file, path))
    } else if head.len() < 8 || head.iter().all(|byte| *byte == 0) {
        // Space that a writer reserved and has not filled yet.
        Err(ReadError::Truncated { path: path.to_path_buf(), detail: "no header yet".to_owned() })
    } else {
        Err(ReadError::WrongType { path: path.to_path_buf() })
    }
}

/// Runs library code; a panic in there is this file's error and nobody else's.
fn guarded<T>(path: &Path, work: impl FnOnce() -> openreadout_core::Result<T>) -> Result<T, ReadError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| ReadError::from_library(path, error)),
        Err(_panic) => Err(ReadError::DecoderPanicked { path: path.to_path_buf() }),
    }
}

fn open_picture(path: &Path, size_bytes: u64) -> Result<Source, ReadError> {
    if size_bytes > LARGEST_PICTURE_BYTES {
        return Err(ReadError::TooLarge { path: path.to_path_buf(), bytes: size_bytes, limit: LARGEST_PICTURE_BYTES });
    }
    let bytes = std::fs::read(path).map_err(|error| ReadError::from_io(path, error))?;
    let whole = picture::is_whole(&bytes);
    let size = match catch_unwind(|| picture::size_px(&bytes)) {
        Ok(size) => size,
        Err(_panic) => return Err(ReadError::DecoderPanicked { path: path.to_path_buf() }),
    };
    let (width_px, height_px) = match size {
        Ok(size) => size,
        Err(_) if !whole => {
            return Err(ReadError::Truncated {
                path: path.to_path_buf(),
                detail: "the header is not whole".to_owned(),
            });
        }
        Err(error) => return Err(ReadError::from_picture(path, &error)),
    };
    let plane = PlaneFacts {
        index: 0,
        time_index: None,
        channel: None,
        z_index: None,
        fov: None,
        pixel_size_um: None,
        acquired_unix_ms: None,
        width_px,
        height_px,
    };
    Ok(Source {
        path: path.to_path_buf(),
        container: Container::Picture { bytes },
        planes: vec![plane],
        completeness: if whole { Completeness::Complete } else { Completeness::Incomplete(Gap::Truncated) },
    })
}

fn open_tiff(path: &Path, file: LocalFile) -> Result<Source, ReadError> {
    let (dataset, images, findings, growing) = guarded(path, || {
        // A namespace of this one file: the library groups siblings where it can see them.
        let mut dataset = TiffReader.open_input(&Input::from_source(path, Arc::new(file)))?;
        let images = dataset.info()?.images;
        let findings = dataset.check_headers()?.findings;
        let growing = dataset.write_state();
        Ok((dataset, images, findings, growing))
    })?;
    let declared = images.iter().fold(0_u64, |sum, image| sum.saturating_add(image.plane_count));
    if declared > MOST_PLANES {
        return Err(ReadError::TooLarge { path: path.to_path_buf(), bytes: declared, limit: MOST_PLANES });
    }
    let (places, planes) = list_planes(&images);
    let index_of = |place: &(u32, PlaneIndex)| places.iter().position(|other| other == place);
    let completeness = if let Some(state) = growing {
        let mut complete_planes: Vec<usize> = state.complete.iter().filter_map(index_of).collect();
        complete_planes.sort_unstable();
        // Without its OME-XML, an OME-TIFF's pages have no places yet: they would be numbered anew when it comes.
        let unnumbered = state.missing.iter().any(|part| part == "OME-XML");
        if complete_planes.is_empty() || unnumbered {
            Completeness::Incomplete(Gap::Truncated)
        } else {
            Completeness::Growing { complete_planes }
        }
    } else {
        findings
            .iter()
            .find_map(|finding| gap_of(&finding.code, finding.severity))
            .map_or(Completeness::Complete, Completeness::Incomplete)
    };
    let completeness = if planes.is_empty() { Completeness::Incomplete(Gap::Truncated) } else { completeness };
    Ok(Source {
        path: path.to_path_buf(),
        container: Container::Tiff { dataset, places, images },
        planes,
        completeness,
    })
}

/// The library's finding as a gap; `None` for what does not keep pixels from being read.
fn gap_of(code: &str, severity: Severity) -> Option<Gap> {
    match code {
        // Strips without a place: a writer that reserves the directory first has not come to them yet.
        "truncated" | "missing_chunks" | "sparse_chunks" | "bad_ifd_offset" => Some(Gap::Truncated),
        "ifd_cycle" | "bad_field" | "missing_planes" | "missing_file" => None,
        _ if severity == Severity::Error => Some(Gap::Corrupt),
        _ => None,
    }
}

/// All planes, image by image in the order time, z, channel; the places are what the library calls them.
fn list_planes(images: &[ImageInfo]) -> (Vec<(u32, PlaneIndex)>, Vec<PlaneFacts>) {
    let (mut places, mut planes) = (Vec::new(), Vec::new());
    for image in images {
        let fov = (images.len() > 1).then(|| image.name.clone().unwrap_or_else(|| image.index.to_string()));
        let pixel_size_um = image.physical_size.x.and_then(|um| PixelSize::new(um).ok()).map(PixelSize::um);
        let started_unix_ms = image
            .acquired_at
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond);
        for t in 0..image.size_t {
            let acquired_unix_ms = if t == 0 {
                started_unix_ms
            } else {
                started_unix_ms
                    .zip(image.time_increment_s)
                    .map(|(start, step_s)| start.saturating_add((f64::from(t) * step_s * 1e3) as i64))
            };
            for z in 0..image.size_z {
                for c in 0..image.size_c {
                    let name = image.channels.iter().find(|channel| channel.index == c).and_then(|it| it.name.clone());
                    planes.push(PlaneFacts {
                        index: places.len(),
                        time_index: (image.size_t > 1).then_some(i64::from(t)),
                        channel: name.or_else(|| (image.size_c > 1).then(|| c.to_string())),
                        z_index: (image.size_z > 1).then_some(i64::from(z)),
                        fov: fov.clone(),
                        pixel_size_um,
                        acquired_unix_ms,
                        width_px: image.size_x as usize,
                        height_px: image.size_y as usize,
                    });
                    places.push((image.index, PlaneIndex { c, z, t }));
                }
            }
        }
    }
    (places, planes)
}

impl Source {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every plane that the file declares, by index.
    pub fn planes(&self) -> &[PlaneFacts] {
        &self.planes
    }

    /// Whether the structure was whole when the file was opened.
    pub fn completeness(&self) -> &Completeness {
        &self.completeness
    }

    /// The planes that can be read now, and whether more are to come.
    pub fn whole_planes(&self) -> (Vec<PlaneFacts>, bool) {
        match &self.completeness {
            Completeness::Complete => (self.planes.clone(), false),
            Completeness::Growing { complete_planes } => {
                let is_whole = |plane: &&PlaneFacts| complete_planes.binary_search(&plane.index).is_ok();
                (self.planes.iter().filter(is_whole).cloned().collect(), true)
            }
            Completeness::Incomplete(_) => (Vec::new(), true),
        }
    }

    /// The pixels of plane `index`: `[height, width]` counts, colour as luminance (0.299 R + 0.587 G + 0.114 B).
    /// Full scale is what the file's significant bits or its sample type hold; a float image has none, so
    /// `f32::MAX` stands there and no pixel of it counts as saturated.
    ///
    /// # Errors
    /// As [`open`], and [`ReadError::TooLarge`], [`ReadError::NotFinite`], [`ReadError::NoPlane`].
    pub fn read(&mut self, index: usize) -> Result<Plane, ReadError> {
        let path = self.path.as_path();
        match &mut self.container {
            Container::Picture { bytes } => {
                if index != 0 {
                    return Err(ReadError::NoPlane { path: path.to_path_buf(), index });
                }
                match catch_unwind(AssertUnwindSafe(|| picture::decode_gray(bytes, LARGEST_PLANE_BYTES))) {
                    Ok(result) => result.map_err(|error| ReadError::from_picture(path, &error)),
                    Err(_panic) => Err(ReadError::DecoderPanicked { path: path.to_path_buf() }),
                }
            }
            Container::Tiff { dataset, places, images } => {
                let no_plane = || ReadError::NoPlane { path: path.to_path_buf(), index };
                let (image_index, place) = *places.get(index).ok_or_else(no_plane)?;
                let image = images.iter().find(|image| image.index == image_index).ok_or_else(no_plane)?;
                let bytes = u64::from(image.size_x)
                    .saturating_mul(u64::from(image.size_y))
                    .saturating_mul(u64::from(image.samples_per_pixel.max(1)))
                    .saturating_mul(image.pixel_type.bytes_per_sample() as u64);
                if bytes > LARGEST_PLANE_BYTES {
                    return Err(ReadError::TooLarge { path: path.to_path_buf(), bytes, limit: LARGEST_PLANE_BYTES });
                }
                let raw = guarded(path, || dataset.read_plane(image_index, place))?;
                let bits = image.extra.get("significant_bits").and_then(serde_json::Value::as_u64);
                to_plane(path, &raw, bits)
            }
        }
    }
}

/// Samples to counts.
fn to_plane(path: &Path, raw: &openreadout_core::Plane, significant_bits: Option<u64>) -> Result<Plane, ReadError> {
    let samples: Pixels = match raw.pixel_type {
        PixelType::Uint8 => raw.data.iter().map(|value| f32::from(*value)).collect(),
        PixelType::Uint16 => {
            raw.data.as_chunks::<2>().0.iter().map(|pair| f32::from(u16::from_le_bytes(*pair))).collect()
        }
        PixelType::Float => raw.data.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        PixelType::Int8 | PixelType::Int16 | PixelType::Int32 | PixelType::Uint32 | PixelType::Double => {
            raw.pixel_type.samples_f64(&raw.data).map(|value| value as f32).collect()
        }
        other => {
            let detail = format!("pixels of type {}", other.ome_name());
            return Err(ReadError::Unsupported { path: path.to_path_buf(), detail });
        }
    };
    let counts = match raw.samples_per_pixel {
        0 | 1 => samples,
        2 => samples.as_chunks::<2>().0.iter().map(|[gray, _alpha]| *gray).collect(),
        3 => samples.as_chunks::<3>().0.iter().map(|[r, g, b]| picture::luminance(*r, *g, *b)).collect(),
        4 => samples.as_chunks::<4>().0.iter().map(|[r, g, b, _alpha]| picture::luminance(*r, *g, *b)).collect(),
        more => {
            return Err(ReadError::Unsupported {
                path: path.to_path_buf(),
                detail: format!("{more} samples per pixel"),
            });
        }
    };
    if raw.pixel_type.is_float() && counts.iter().any(|value| !value.is_finite()) {
        return Err(ReadError::NotFinite { path: path.to_path_buf() });
    }
    let type_bits = match raw.pixel_type {
        PixelType::Int8 => 7,
        PixelType::Uint8 => 8,
        PixelType::Int16 => 15,
        PixelType::Int32 => 31,
        PixelType::Uint32 => 32,
        _ => 16,
    };
    let bits = significant_bits.filter(|bits| (1..=type_bits).contains(bits)).unwrap_or(type_bits);
    let full_scale = if raw.pixel_type.is_float() { f32::MAX } else { ((1_u64 << bits) - 1) as f32 };
    Plane::new(raw.width as usize, raw.height as usize, counts, full_scale).ok_or_else(|| ReadError::Corrupt {
        path: path.to_path_buf(),
        detail: "the pixels do not fill the declared size".to_owned(),
    })
}

#[cfg(test)]
mod tests;
