//! Frames with outlines drawn over them.

use crate::cells::Cell;
use crate::frame::CorrectedFrame;
use crate::units::PointPx;

/// Colours that stay apart on grey, one after the other for neighbouring track numbers.
const COLOURS: [[u8; 3]; 8] = [
    [255, 80, 80],
    [80, 255, 80],
    [90, 160, 255],
    [255, 220, 60],
    [255, 90, 255],
    [70, 240, 240],
    [255, 150, 50],
    [190, 140, 255],
];
/// This share of the pixels is drawn wholly black, and as many wholly white.
const CLIPPED_SHARE: f64 = 0.003;

/// A frame in grey with coloured outlines: `[height, width, 3]`, 0..=255, red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    width_px: usize,
    height_px: usize,
    rgb: Vec<u8>,
}

impl Overlay {
    /// The frame alone, its illumination corrected and its contrast stretched.
    pub fn of(frame: &CorrectedFrame) -> Self {
        let mut sorted: Vec<f32> = frame.relative.iter().copied().step_by(31).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| sorted.get(((sorted.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(1.0);
        let low = at(CLIPPED_SHARE);
        let range = (at(1.0 - CLIPPED_SHARE) - low).max(1e-6);
        let grey = frame.relative.iter().map(|v| (((v - low) / range).clamp(0.0, 1.0) * 255.0) as u8);
        Self {
            width_px: frame.raw.width_px(),
            height_px: frame.raw.height_px(),
            rgb: grey.flat_map(|v| [v, v, v]).collect(),
        }
    }

    /// Draws a cell's outline in the colour of `number`.
    pub fn draw(&mut self, cell: &Cell, number: u32) {
        let colour = COLOURS.get(number as usize % COLOURS.len()).copied().unwrap_or_default();
        for (a, b) in cell.outline.iter().zip(cell.outline.iter().cycle().skip(1)) {
            let steps = (2.0 * a.distance_px(*b)).ceil().clamp(1.0, 1e5);
            for step in 0..steps as usize {
                let part = step as f64 / steps;
                self.dot(PointPx { x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y) }, colour);
            }
        }
    }

    /// Pixels per row, number of rows, and the pixels.
    pub fn parts(&self) -> (usize, usize, &[u8]) {
        (self.width_px, self.height_px, &self.rgb)
    }

    fn dot(&mut self, at: PointPx, colour: [u8; 3]) {
        let (x, y) = (at.x.round(), at.y.round());
        if x >= 0.0 && y >= 0.0 && x < self.width_px as f64 && y < self.height_px as f64 {
            let from = 3 * (y as usize * self.width_px + x as usize);
            if let Some(pixel) = self.rgb.get_mut(from..from + 3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }
}
