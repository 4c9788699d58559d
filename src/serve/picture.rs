//! Frames and crops as PNG: cut again from their source when wanted, the latest kept in memory.
//!
//! Takes a frame's source through a door that the daemon plugs in, gives PNG bytes. Display only: grey values are
//! stretched between the 0.5th and the 99.5th percentile of the frame and bent so that the background is grey, not black, as in the
//! eyepiece: what is darker than the medium (protrusions) stays visible beside bright halos. The model's own crops are prepared
//! elsewhere.

use crate::frame::Plane;
use crate::picture::{PictureError, gray_png};
use crate::store::query::FrameSource;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Frames decoded at a time.
const DECODERS: usize = 2;
/// Frames kept decoded, bytes of 8-bit grey.
const CACHE_BYTES: usize = 96 << 20;
/// Where the background lies on the screen, 0..1, when bending brings it there ..
const BACKGROUND: f32 = 0.3;
/// .. with an exponent that is no smaller than this: noise must not become the picture.
const LEAST_EXPONENT: f32 = 0.4;
/// Side of a crop, um (method.md 5.6).
const CROP_UM: f64 = 70.5;
/// Side of a crop when the frame's pixel size is unknown, px.
const CROP_PX: usize = 217;

/// Why a picture cannot be shown.
#[derive(Debug, Error)]
pub enum PictureFault {
    /// Its file is not where it was.
    #[error("file {path} is not where it was: its picture cannot be shown any more")]
    Gone {
        /// Relative to the watched folder.
        path: String,
    },
    /// Its file is another one by now.
    #[error(
        "file {path} was changed since its result was stored (size or time differ): its picture would not be the one that was \
         analysed. When it was only copied, copy it again with its times kept (cp -p, rsync -t)"
    )]
    Changed {
        /// Relative to the watched folder.
        path: String,
    },
    /// Its file cannot be read.
    #[error("read {path}: {why}")]
    Read {
        /// Relative to the watched folder.
        path: String,
        /// What the reader said.
        why: String,
    },
    /// It cannot be written as PNG.
    #[error("write a picture")]
    Encode(#[from] PictureError),
    /// The server stops.
    #[error("the server is stopping")]
    Busy,
}

impl PictureFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Gone { .. } => "source_gone",
            Self::Changed { .. } => "source_changed",
            Self::Read { .. } => "source_unreadable",
            Self::Encode { .. } => "picture_encode",
            Self::Busy => "stopping",
        }
    }
}

/// The door to the pixels: reads a frame's plane again from its source. Called off the async threads.
pub type ReadFrame = Arc<dyn Fn(&FrameSource) -> Result<Plane, PictureFault> + Send + Sync>;

/// A frame stretched to 8-bit grey.
struct Gray {
    width_px: usize,
    height_px: usize,
    values: Vec<u8>,
}

/// The latest frames, decoded.
pub struct Pictures {
    read: ReadFrame,
    decoders: Arc<Semaphore>,
    cache: Mutex<VecDeque<(FrameSource, Arc<Gray>)>>,
}

impl fmt::Debug for Pictures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pictures").finish_non_exhaustive()
    }
}

impl Pictures {
    /// Pictures read through `read`.
    pub fn new(read: ReadFrame) -> Arc<Self> {
        Arc::new(Self { read, decoders: Arc::new(Semaphore::new(DECODERS)), cache: Mutex::default() })
    }

    /// A frame as grey PNG, no wider than `width_px`.
    ///
    /// # Errors
    /// When the source is gone or cannot be read.
    pub async fn frame_png(self: &Arc<Self>, source: FrameSource, width_px: usize) -> Result<Vec<u8>, PictureFault> {
        self.work(move |pictures| {
            let gray = pictures.gray(&source)?;
            let factor = gray.width_px.div_ceil(width_px.max(1)).max(1);
            let small = shrink(&gray, factor);
            Ok(gray_png(small.width_px, small.height_px, &small.values)?)
        })
        .await
    }

    /// The fixed physical box around a point (px) as grey PNG; what lies outside the frame is black.
    ///
    /// # Errors
    /// When the source is gone or cannot be read.
    pub async fn crop_png(self: &Arc<Self>, source: FrameSource, x: f64, y: f64) -> Result<Vec<u8>, PictureFault> {
        self.work(move |pictures| {
            let gray = pictures.gray(&source)?;
            let side = source.pixel_size_um.map_or(CROP_PX, |um| ((CROP_UM / um).round() as usize).clamp(16, 1024));
            Ok(gray_png(side, side, &cut(&gray, x, y, side))?)
        })
        .await
    }

    /// Runs `work` off the async threads, never more than [`DECODERS`] at a time.
    async fn work(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<Vec<u8>, PictureFault> + Send + 'static,
    ) -> Result<Vec<u8>, PictureFault> {
        let permit = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_closed| PictureFault::Busy)?;
        let pictures = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let answer = work(&pictures);
            drop(permit);
            answer
        })
        .await
        .map_err(|_stopped| PictureFault::Busy)?
    }

    fn gray(&self, source: &FrameSource) -> Result<Arc<Gray>, PictureFault> {
        if let Some(found) = self.cached(source) {
            return Ok(found);
        }
        let gray = Arc::new(stretch(&(self.read)(source)?));
        let mut cache = self.lock();
        cache.push_back((source.clone(), Arc::clone(&gray)));
        while cache.len() > 1 && cache.iter().map(|(_, kept)| kept.values.len()).sum::<usize>() > CACHE_BYTES {
            cache.pop_front();
        }
        drop(cache);
        Ok(gray)
    }

    fn cached(&self, source: &FrameSource) -> Option<Arc<Gray>> {
        let mut cache = self.lock();
        let at = cache.iter().position(|(kept, _)| kept == source)?;
        let entry = cache.remove(at)?;
        let gray = Arc::clone(&entry.1);
        cache.push_back(entry);
        drop(cache);
        Some(gray)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(FrameSource, Arc<Gray>)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Levels between the darkest and the brightest: fine enough that a dark background keeps its grain.
const FINEST_LEVEL: u16 = 16_383;

/// Counts to 0..=255 between the 0.5th and 99.5th percentile (of at most 100,000 pixels), the median brought to [`BACKGROUND`] when it
/// is darker.
fn stretch(plane: &Plane) -> Gray {
    let step = (plane.counts().len() / 100_000).max(1);
    let mut sampled: Vec<f32> = plane.counts().iter().copied().step_by(step).collect();
    sampled.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| sampled.get((share * (sampled.len() - 1) as f64) as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(0.005), at(0.995));
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    let median = ((at(0.5) - low) * scale).clamp(1e-3, 1.0);
    let exponent = (BACKGROUND.ln() / median.ln()).clamp(LEAST_EXPONENT, 1.0);
    // One power per level instead of one per pixel.
    let bent: Vec<u8> = (0..=FINEST_LEVEL)
        .map(|level| (f32::from(level) / f32::from(FINEST_LEVEL)).powf(exponent).mul_add(255.0, 0.5) as u8)
        .collect();
    let gray = |count: &f32| {
        let level = ((count - low) * scale).clamp(0.0, 1.0) * f32::from(FINEST_LEVEL);
        bent.get(level.round() as usize).copied().unwrap_or(u8::MAX)
    };
    let values = plane.counts().iter().map(gray).collect();
    Gray { width_px: plane.width_px(), height_px: plane.height_px(), values }
}

/// Mean over `factor` x `factor` blocks; a rest at the right and lower edge is dropped.
fn shrink(gray: &Gray, factor: usize) -> Gray {
    if factor == 1 {
        return Gray { width_px: gray.width_px, height_px: gray.height_px, values: gray.values.clone() };
    }
    let (width_px, height_px) = ((gray.width_px / factor).max(1), (gray.height_px / factor).max(1));
    let mut sums = vec![0_u32; width_px * height_px];
    let rows = gray.values.chunks_exact(gray.width_px).take(height_px * factor);
    for (y, row) in rows.enumerate() {
        let into = sums.iter_mut().skip(y / factor * width_px).take(width_px);
        for (sum, block) in into.zip(row.chunks_exact(factor)) {
            *sum += block.iter().map(|value| u32::from(*value)).sum::<u32>();
        }
    }
    let area = (factor * factor) as u32;
    Gray { width_px, height_px, values: sums.iter().map(|sum| (sum / area) as u8).collect() }
}

/// `[side, side]` grey values centred on (x, y), stretched to the box's own range.
fn cut(gray: &Gray, x: f64, y: f64, side: usize) -> Vec<u8> {
    let (left, top) = (x.round() as i64 - side as i64 / 2, y.round() as i64 - side as i64 / 2);
    let at = |column: i64, row: i64| -> Option<u8> {
        let inside = (0..gray.width_px as i64).contains(&column) && (0..gray.height_px as i64).contains(&row);
        if inside { gray.values.get(row as usize * gray.width_px + column as usize).copied() } else { None }
    };
    let side = side as i64;
    let values: Vec<Option<u8>> = (0..side)
        .flat_map(|row| (0..side).map(move |column| (left + column, top + row)))
        .map(|(c, r)| at(c, r))
        .collect();
    let low = values.iter().flatten().min().copied().unwrap_or(0);
    let high = values.iter().flatten().max().copied().unwrap_or(255).max(low.saturating_add(1));
    let range = f32::from(high - low);
    values.iter().map(|value| value.map_or(0, |it| (f32::from(it - low) / range * 255.0) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FrameId;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn source(frame: i64) -> FrameSource {
        FrameSource {
            frame_id: FrameId(frame),
            path: "a.tif".to_owned(),
            plane_index: 0,
            pixel_size_um: Some(0.325),
            size_bytes: 1,
            modified_unix_ns: 1,
        }
    }

    #[tokio::test]
    async fn a_frame_is_read_once_while_it_is_wanted() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let pictures = Pictures::new(Arc::new(move |_: &FrameSource| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Plane::new(64, 48, (0..64 * 48).map(|it| it as f32).collect(), 65535.0).unwrap())
        }));
        let whole = pictures.frame_png(source(1), 64).await.unwrap();
        let small = pictures.frame_png(source(1), 16).await.unwrap();
        let crop = pictures.crop_png(source(1), 0.0, 0.0).await.unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(crate::picture::size_px(&whole).unwrap(), (64, 48));
        assert_eq!(crate::picture::size_px(&small).unwrap(), (16, 12));
        assert_eq!(crate::picture::size_px(&crop).unwrap(), (217, 217));
    }

    #[test]
    fn a_dark_background_becomes_grey_and_order_is_kept() {
        let counts: Vec<f32> =
            (0..10_000).map(|it| if it % 50 == 0 { 4_000.0 } else { 100.0 + (it % 7) as f32 }).collect();
        let gray = stretch(&Plane::new(100, 100, counts.clone().into(), 65535.0).unwrap());
        let mut pairs: Vec<(f32, u8)> = counts.into_iter().zip(gray.values).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(pairs.windows(2).all(|two| two[0].1 <= two[1].1), "brighter stays brighter");
        assert!(pairs[5_000].1 > 10 && pairs[9_999].1 == 255, "{} {}", pairs[5_000].1, pairs[9_999].1);
        let even: Vec<f32> = (0..10_000).map(|it| it as f32).collect();
        let gray = stretch(&Plane::new(100, 100, even.into(), 65535.0).unwrap());
        assert!((120..=135).contains(&gray.values[5_000]), "an even frame is not bent: {}", gray.values[5_000]);
    }

    #[test]
    fn a_flat_plane_and_a_point_outside_give_pictures() {
        let flat = stretch(&Plane::new(3, 3, vec![7.0; 9].into(), 255.0).unwrap());
        assert_eq!(flat.values, vec![0; 9]);
        assert_eq!(cut(&flat, -100.0, 1e9, 16).len(), 256);
        assert_eq!(shrink(&flat, 5).values.len(), 1);
    }
}
