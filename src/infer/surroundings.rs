//! What a crop alone does not tell: how much of its box other cells cover, and whether the frame's cells are as large as cells are.
//!
//! Takes all cells of one frame, gives the reason why a cell's score is withheld although its crop may look as it should: its box
//! is crowded, or the cells of its frame are of another size than those of the training set, as they are when a 10x objective is
//! taken for 20x. One cell of half the size may be a small cell; a frame full of them is not.

use super::InferError;
use super::validity::Withheld;
use crate::cells::{Cell, outline};
use crate::units::{PixelSize, PointPx};
use serde::{Deserialize, Serialize};

/// Where more than this share of a frame's boxes is crowded, all are withheld: the others stand at the rim of a crowd.
const CROWDED_SHARE: f64 = 0.5;

/// How crowded a box may be, and how large cells are; fitted on whole frames that no network was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurroundingsLimits {
    /// Largest share of a crop's box that other cells' outlines may cover, 0..=1.
    pub covered_limit: f64,
    /// Mean of the natural logarithm of a cell's area in um2.
    pub log_area_mean: f64,
    /// Its standard deviation between the cells of a frame.
    pub log_area_cell_sd: f64,
    /// Its standard deviation between frames, beyond what their few cells explain.
    pub log_area_frame_sd: f64,
    /// Farthest that a frame's mean may lie from that of the training set, in its own standard errors.
    pub size_limit: f64,
}

impl SurroundingsLimits {
    /// Whether every number can be.
    ///
    /// # Errors
    /// `bundle_facts` when one cannot.
    pub fn check(&self) -> Result<(), InferError> {
        let positive = [self.covered_limit, self.log_area_cell_sd, self.size_limit];
        let sound = positive.iter().all(|number| number.is_finite() && *number > 0.0)
            && self.log_area_mean.is_finite()
            && self.log_area_frame_sd.is_finite()
            && self.log_area_frame_sd >= 0.0;
        let problem = || "surroundings: limits and standard deviations must be positive, finite numbers".to_owned();
        if sound { Ok(()) } else { Err(InferError::BundleFacts { problem: problem() }) }
    }

    /// How far the mean size of a frame's cells lies from that of the training set, in its own standard errors; a frame without cells
    /// lies nowhere else.
    pub fn size_distance(&self, log_areas: &[f64]) -> f64 {
        let count = log_areas.len() as f64;
        if log_areas.is_empty() {
            return 0.0;
        }
        let mean = log_areas.iter().sum::<f64>() / count;
        let variance = self.log_area_frame_sd.powi(2) + self.log_area_cell_sd.powi(2) / count;
        (mean - self.log_area_mean).abs() / variance.sqrt()
    }

    /// Why the scores of the frame's `cells` are withheld, cell by cell; `box_um` is the side of their crops' boxes.
    pub fn judge(&self, cells: &[Cell], pixel_size: PixelSize, box_um: f64) -> Vec<Option<Withheld>> {
        if self.size_distance(&log_areas(cells)) > self.size_limit {
            return vec![Some(Withheld::CellSize); cells.len()];
        }
        let covered = covered(cells, pixel_size.px_from_um(box_um));
        let crowded = covered.iter().filter(|share| **share > self.covered_limit).count();
        let limit = if crowded as f64 > CROWDED_SHARE * cells.len() as f64 { 0.0 } else { self.covered_limit };
        covered.into_iter().map(|share| (share > limit).then_some(Withheld::SeveralCells)).collect()
    }
}

/// The natural logarithm of the area in um2 of every cell that is wholly seen.
pub fn log_areas(cells: &[Cell]) -> Vec<f64> {
    let whole = cells.iter().filter(|cell| !cell.touches_border && cell.shape.area_um2 > 0.0);
    whole.map(|cell| cell.shape.area_um2.ln()).collect()
}

/// For every cell the share of the box of `side_px` around it that lies inside other cells' outlines, 0..=1.
pub fn covered(cells: &[Cell], side_px: f64) -> Vec<f64> {
    let side = side_px.round().max(1.0);
    let of_cell = |(index, cell): (usize, &Cell)| {
        let corner = PointPx { x: cell.centroid.x - side / 2.0, y: cell.centroid.y - side / 2.0 };
        let mut count = 0_usize;
        for (_, other) in cells.iter().enumerate().filter(|(number, _)| *number != index) {
            let moved: Vec<PointPx> =
                other.outline.iter().map(|p| PointPx { x: p.x - corner.x, y: p.y - corner.y }).collect();
            outline::fill(&moved, side as usize, side as usize, |_, left, right| count += right - left);
        }
        (count as f64 / (side * side)).min(1.0)
    };
    cells.iter().enumerate().map(of_cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Shape;

    fn cell(x: f64, y: f64, half: f64) -> Cell {
        let corner = |dx: f64, dy: f64| PointPx { x: x + dx, y: y + dy };
        let shape = Shape { area_um2: 4.0 * half * half, ..Shape::default() };
        Cell {
            centroid: PointPx { x, y },
            outline: vec![corner(-half, -half), corner(half, -half), corner(half, half), corner(-half, half)],
            shape,
            touches_border: false,
            crop: None,
        }
    }

    fn limits() -> SurroundingsLimits {
        SurroundingsLimits {
            covered_limit: 0.1,
            log_area_mean: 400.0_f64.ln(),
            log_area_cell_sd: 0.45,
            log_area_frame_sd: 0.1,
            size_limit: 2.3,
        }
    }

    #[test]
    fn boxes_are_covered_by_what_others_fill_of_them() {
        let cells = [cell(100.0, 100.0, 10.0), cell(130.0, 100.0, 10.0), cell(400.0, 400.0, 10.0)];
        let shares = covered(&cells, 100.0);
        assert!((shares[0] - 0.04).abs() < 0.003 && (shares[1] - 0.04).abs() < 0.003, "{shares:?}");
        assert!(shares[2].abs() < 1e-12);
        let half_in = covered(&[cell(100.0, 100.0, 10.0), cell(150.0, 100.0, 10.0)], 100.0);
        assert!((half_in[0] - 0.02).abs() < 0.003, "{half_in:?}");
    }

    #[test]
    fn one_small_cell_passes_and_a_frame_of_them_does_not() {
        let size = PixelSize::new(1.0).unwrap();
        let frame =
            |half: f64, count: usize| -> Vec<Cell> { (0..count).map(|i| cell(100.0 * i as f64, 50.0, half)).collect() };
        let judged = |cells: &[Cell]| limits().judge(cells, size, 70.5);
        assert_eq!(judged(&frame(10.0, 8)), vec![None; 8]);
        assert_eq!(judged(&frame(7.0, 1)), vec![None], "1.5 standard errors");
        assert_eq!(judged(&frame(7.0, 8)), vec![Some(Withheld::CellSize); 8], "3.8 standard errors");
        let crowd: Vec<Cell> = (0..3).map(|i| cell(15.0 * f64::from(i), 50.0, 10.0)).collect();
        assert_eq!(judged(&crowd), vec![Some(Withheld::SeveralCells); 3]);
        assert_eq!(judged(&[]), vec![]);
        // The fourth stands at the rim of the crowd, the fifth by itself.
        let with_rim: Vec<Cell> = [0.0, 15.0, 30.0, 70.0, 400.0].map(|x| cell(x, 50.0, 10.0)).to_vec();
        let crowded = Some(Withheld::SeveralCells);
        assert_eq!(judged(&with_rim), vec![crowded, crowded, crowded, crowded, None]);
        assert_eq!(judged(&with_rim[3..]), vec![None, None], "without the crowd");
    }

    #[test]
    fn limits_that_cannot_be_are_refused() {
        limits().check().unwrap();
        for wrong in [
            SurroundingsLimits { covered_limit: f64::NAN, ..limits() },
            SurroundingsLimits { log_area_cell_sd: 0.0, ..limits() },
            SurroundingsLimits { log_area_frame_sd: -1.0, ..limits() },
        ] {
            assert_eq!(wrong.check().unwrap_err().code(), "bundle_facts");
        }
    }
}
