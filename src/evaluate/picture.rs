//! Pictures in and out for looking and for evaluating.

use super::paint::LabelPicture;
use crate::cells::Cell;
use crate::frame::{CorrectedFrame, Plane};
use crate::units::PointPx;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// dev reader
pub fn read_plane(path: &Path) -> anyhow::Result<Plane> {
    let image = image::open(path).with_context(|| format!("read {}", path.display()))?;
    let full = if matches!(image.color(), image::ColorType::L16) { 65535.0 } else { 255.0 };
    let grey = image.to_luma32f();
    let counts = grey.pixels().map(|p| (p.0[0] * full).round()).collect();
    Plane::new(grey.width() as usize, grey.height() as usize, counts, full).context("empty picture")
}

/// dev labels
pub fn read_labels(path: &Path) -> anyhow::Result<LabelPicture> {
    let image = image::open(path).with_context(|| format!("read {}", path.display()))?.into_luma16();
    Ok(LabelPicture { width: image.width() as usize, height: image.height() as usize, labels: image.into_raw() })
}

/// listed
pub fn listed(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".png") && !name.contains("_gt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A colour picture under construction.
#[derive(Debug)]
pub struct Rgb {
    image: image::RgbImage,
}

impl Rgb {
    /// The frame in grey.
    pub fn of(frame: &CorrectedFrame) -> Self {
        let (w, h) = (frame.raw.width_px() as u32, frame.raw.height_px() as u32);
        let mut sorted: Vec<f32> = frame.relative.iter().copied().step_by(37).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |q: f64| sorted.get((sorted.len() as f64 * q) as usize).copied().unwrap_or(1.0);
        let (lo, hi) = (at(0.003), at(0.997).max(at(0.003) + 1e-3));
        let image = image::RgbImage::from_fn(w, h, |x, y| {
            let v = frame.relative.get((y * w + x) as usize).copied().unwrap_or(0.0);
            let g = (((v - lo) / (hi - lo)).clamp(0.0, 1.0) * 255.0) as u8;
            image::Rgb([g, g, g])
        });
        Self { image }
    }

    /// Draws a closed polygon.
    pub fn draw_outline(&mut self, polygon: &[PointPx], colour: [u8; 3]) {
        for (a, b) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
            let steps = (a.distance_px(*b) * 2.0).ceil().max(1.0);
            for i in 0..=steps as usize {
                let t = i as f64 / steps;
                let (x, y) = ((a.x + (b.x - a.x) * t).round(), (a.y + (b.y - a.y) * t).round());
                if x >= 0.0 && y >= 0.0 && (x as u32) < self.image.width() && (y as u32) < self.image.height() {
                    self.image.put_pixel(x as u32, y as u32, image::Rgb(colour));
                }
            }
        }
    }

    /// Saves.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        Ok(self.image.save(path)?)
    }
}

/// A colour for a number; neighbours differ.
pub fn colour(number: u32) -> [u8; 3] {
    const COLOURS: [[u8; 3]; 8] = [
        [255, 80, 80],
        [80, 255, 80],
        [90, 160, 255],
        [255, 220, 60],
        [255, 90, 255],
        [70, 240, 240],
        [255, 150, 50],
        [170, 110, 255],
    ];
    COLOURS[number as usize % 8]
}

/// keeps Cell used
pub fn count(cells: &[Cell]) -> usize {
    cells.len()
}
