//! Cells from star-convex polygons: for every place the probability that it is a cell's middle, and how far the cell reaches
//! from there in a number of directions (`StarDist`, Schmidt and others 2018).

use super::mask::Labels;
use super::outline;
use super::segment::{Segmented, area_px, unparted};
use super::working::WorkingPicture;
use crate::units::PointPx;
use std::f64::consts::TAU;

/// Cells smaller than this share of the hinted cell's area are debris.
const SMALLEST_SHARE: f64 = 0.25;

/// A star network's maps of a working picture.
#[derive(Debug, Clone, PartialEq)]
pub struct RayMaps {
    /// Places per row.
    pub width: usize,
    /// Rows of places.
    pub height: usize,
    /// Places are this many working pixels apart.
    pub step_px: usize,
    /// `[height, width]`: probability of a cell, highest in its middle.
    pub probability: Vec<f32>,
    /// `[n, height, width]`: how far the cell reaches, working px; ray `k` points `k / n` of a turn from right towards down.
    pub rays: Vec<f32>,
    /// From which on a place is believed.
    pub thresholds: RayThresholds,
}

/// When a polygon is a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RayThresholds {
    /// Least probability of its middle.
    pub probability: f32,
    /// Largest share of it that better polygons may cover.
    pub overlap: f32,
}

/// The cells in the maps of `picture`: the best polygons first, each with what the better ones left of it. `None` when the
/// maps are of another size or not finite.
pub(super) fn segment(picture: &WorkingPicture, maps: &RayMaps) -> Option<Segmented> {
    let (width, height, places) = (picture.width, picture.height, maps.width * maps.height);
    let count = maps.rays.len() / places.max(1);
    let fits = maps.width == width.div_ceil(maps.step_px.max(1))
        && maps.height == height.div_ceil(maps.step_px.max(1))
        && maps.probability.len() == places
        && count >= 3
        && maps.rays.len() == count * places
        && maps.probability.iter().chain(&maps.rays).all(|value| value.is_finite());
    if !fits {
        return None;
    }
    let mut middles: Vec<(f32, usize)> = (0..)
        .zip(&maps.probability)
        .filter(|(_, probability)| **probability >= maps.thresholds.probability)
        .map(|(at, &probability)| (probability, at))
        .collect();
    middles.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let smallest = SMALLEST_SHARE * std::f64::consts::FRAC_PI_4 * picture.diameter_px * picture.diameter_px;
    let mut labels = Labels { width, height, label: vec![0; width * height], count: 0 };
    for (_, at) in middles {
        let middle = maps.place(at);
        // The middle of another cell lies in none that is there already.
        if labels.label.get(middle.1.min(height - 1) * width + middle.0.min(width - 1)) != Some(&0) {
            continue;
        }
        let polygon = maps.polygon(at, middle, count);
        let (mut free, mut area) = (0_usize, 0_usize);
        outline::fill(&polygon, width, height, |y, left, right| {
            let run = labels.label.get(y * width + left..y * width + right).unwrap_or_default();
            area += run.len();
            free += run.iter().filter(|label| **label == 0).count();
        });
        if (area as f64) < smallest || ((area - free) as f32) > maps.thresholds.overlap * area as f32 {
            continue;
        }
        labels.count += 1;
        let own = labels.count;
        outline::fill(&polygon, width, height, |y, left, right| {
            let run = labels.label.get_mut(y * width + left..y * width + right).unwrap_or_default();
            run.iter_mut().filter(|label| **label == 0).for_each(|label| *label = own);
        });
    }
    let labels = labels.largest_parts();
    let in_cells = labels.label.iter().filter(|label| **label > 0).count();
    let unparted = unparted(in_cells, &labels, area_px(picture.diameter_px as f32));
    let covered = in_cells as f64 / labels.label.len().max(1) as f64;
    Some(Segmented {
        scale: picture.scale,
        labels,
        unparted,
        covered,
        crowds: Vec::new(),
        sureness: None,
        inside: None,
    })
}

impl RayMaps {
    /// Column and row of a place, working px.
    fn place(&self, at: usize) -> (usize, usize) {
        (at % self.width * self.step_px, at / self.width * self.step_px)
    }

    fn polygon(&self, at: usize, (x, y): (usize, usize), count: usize) -> Vec<PointPx> {
        let places = self.width * self.height;
        (0..count)
            .map(|ray| {
                let far = f64::from(self.rays.get(ray * places + at).copied().unwrap_or(0.0).max(0.0));
                let (sin, cos) = (TAU * ray as f64 / count as f64).sin_cos();
                PointPx { x: x as f64 + far * cos, y: y as f64 + far * sin }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 32;

    /// The maps of discs: probability falls from the middle, rays end on the rim.
    fn maps(discs: &[(f64, f64, f64)], (width, height): (usize, usize), step_px: usize) -> (WorkingPicture, RayMaps) {
        let picture = WorkingPicture {
            width,
            height,
            values: vec![0.0; width * height],
            scale: 2.0,
            diameter_px: 24.0,
            contrast: 1.0,
        };
        let (columns, rows) = (width.div_ceil(step_px), height.div_ceil(step_px));
        let places = columns * rows;
        let mut maps = RayMaps {
            width: columns,
            height: rows,
            step_px,
            probability: vec![0.0; places],
            rays: vec![0.0; COUNT * places],
            thresholds: RayThresholds { probability: 0.5, overlap: 0.4 },
        };
        for at in 0..places {
            let (x, y) = maps.place(at);
            let (x, y) = (x as f64, y as f64);
            let Some(disc) = discs.iter().find(|disc| (x - disc.0).hypot(y - disc.1) < disc.2) else { continue };
            let (dx, dy) = (x - disc.0, y - disc.1);
            maps.probability[at] = (1.0 - 0.9 * dx.hypot(dy) / disc.2) as f32;
            for ray in 0..COUNT {
                let (sin, cos) = (TAU * ray as f64 / COUNT as f64).sin_cos();
                let along = dx * cos + dy * sin;
                let far = -along + (along * along + disc.2 * disc.2 - dx * dx - dy * dy).sqrt();
                maps.rays[ray * places + at] = far as f32;
            }
        }
        (picture, maps)
    }

    #[test]
    fn discs_are_read_back_from_their_rays() {
        let discs = [(20.0, 22.0, 12.0), (43.0, 22.0, 11.0), (80.0, 30.0, 13.0)];
        for step_px in [1, 2] {
            let (picture, maps) = maps(&discs, (110, 61), step_px);
            let found = segment(&picture, &maps).unwrap();
            let windows = found.labels.windows();
            assert_eq!(windows.len(), 3, "{step_px}");
            for (x, y, radius) in discs {
                let label = found.labels.label[y as usize * 110 + x as usize];
                let window = windows.iter().find(|window| window.label == label).unwrap();
                let area = std::f64::consts::PI * radius * radius;
                assert!((window.area as f64 / area - 1.0).abs() < 0.08, "{} {area}", window.area);
            }
        }
    }

    #[test]
    fn maps_of_another_size_or_not_finite_are_refused() {
        let (picture, mut maps) = maps(&[(20.0, 22.0, 12.0)], (64, 48), 2);
        maps.rays[5] = f32::NAN;
        assert!(segment(&picture, &maps).is_none());
        maps.rays.truncate(7);
        assert!(segment(&picture, &maps).is_none());
    }
}
