//! Thin sheets that the finder took for cells of their own: the fan that a crawling cell pushes out, behind the bright line at the
//! foot of its body.
//!
//! A cell has a body: its nucleus and what lies round it are thick, and full of structure. What has none, and hangs on one other cell
//! only, is that one's sheet. In closed layers, where everything touches several others, nothing is told so.

use super::grid::Grid;
use super::mask::{Labels, Window};
use super::working::WorkingPicture;

/// What lies no further apart than this hangs together, px: the bright line at the foot of a body may be taken for outside.
const APART_PX: f32 = 3.0;
/// So much of what lies so near to a sheet is its cell, at least.
const SEAM_SHARE: f32 = 0.1;
/// Structure is what a Gaussian of this width takes away, px; its strength is the mean of its size over the second.
const STRUCTURE_PX: f32 = 6.0;
const NEAR_PX: f32 = 1.0;
/// As far as these two see, px.
const MARGIN_PX: usize = 18;
/// Rims are strong too: what counts lies deeper in its cell than this share of the deepest place ...
const DEEP_SHARE: f32 = 0.35;
/// ... and is exceeded by a tenth of that.
const STRONGEST_SHARE: f32 = 0.9;
/// A sheet is weaker than this share of the cell that it hangs on. With 0.6 or 0.8 U373 has 0.006 and 0.008 of SEG less.
const SHEET_SHARE: f32 = 0.7;
/// Both together are no larger than so many hinted cells (with 2 MDA-MB-231 has 0.004 more, `LIVECell` 0.002 less) ...
const LARGEST_SHARE: f32 = 1.6;
/// ... and so many of the frame's usual cells: a hint may be too large.
const USUAL_SHARE: f32 = 2.0;

/// Gives the sheets among the cells of `picture` to the cells that they hang on. `area` is the hinted cell's, px.
pub(super) fn join_sheets(cells: &mut Labels, picture: &WorkingPicture, area: f32) {
    let windows = cells.windows();
    let largest = (LARGEST_SHARE * area).min(USUAL_SHARE * cells.usual_area() as f32);
    let with_its_cell = |sheet: &Window| {
        let label = hangs_on(sheet, cells)?;
        let cell = windows.iter().find(|window| window.label == label)?;
        let is_small = (sheet.area + cell.area) as f32 <= largest;
        let is_thin = || strength(sheet, cells, picture) < SHEET_SHARE * strength(cell, cells, picture);
        (is_small && is_thin()).then_some((*sheet, *cell))
    };
    let sheets: Vec<(Window, Window)> = windows.iter().filter_map(with_its_cell).collect();
    for (sheet, cell) in sheets {
        join(&sheet, &cell, cells);
    }
}

/// The only other label near a cell, when enough of what lies round it is that one's.
fn hangs_on(cell: &Window, cells: &Labels) -> Option<u32> {
    let view = cell.with_margin(APART_PX as usize, cells.width, cells.height);
    let labels = view.copied(&cells.label, cells.width);
    let is_other = |label: u32| label > 0 && label != cell.label;
    // Most cells are alone.
    if !labels.iter().any(|label| is_other(*label)) {
        return None;
    }
    let near = cells.one(cell.label, &view).widened(APART_PX).inside;
    let round = labels.iter().zip(&near).filter(|(label, near)| **near && **label != cell.label);
    let round: Vec<u32> = round.map(|(label, _)| *label).collect();
    let others: Vec<u32> = round.iter().copied().filter(|label| is_other(*label)).collect();
    let first = *others.first()?;
    let hangs = others.iter().all(|other| *other == first) && others.len() as f32 >= SEAM_SHARE * round.len() as f32;
    hangs.then_some(first)
}

/// How strong the structure in a cell's body is, in the picture's contrast.
fn strength(cell: &Window, cells: &Labels, picture: &WorkingPicture) -> f32 {
    let view = cell.with_margin(MARGIN_PX, cells.width, cells.height);
    let values = view.copied(&picture.values, picture.width);
    let light = Grid { width: view.width(), height: view.height(), values };
    let structure = light.zip(&light.smoothed(STRUCTURE_PX), |light, broad| (light - broad).abs()).smoothed(NEAR_PX);
    let depth = cells.one(cell.label, &view).squared_distance();
    let least = DEEP_SHARE * DEEP_SHARE * depth.iter().fold(0.0_f32, |a, &b| a.max(b));
    let deep = structure.values.iter().zip(&depth).filter(|(_, depth)| **depth > least);
    let mut deep: Vec<f32> = deep.map(|(value, _)| *value).collect();
    let at = (STRONGEST_SHARE * deep.len() as f32) as usize;
    if at < deep.len() { *deep.select_nth_unstable_by(at, f32::total_cmp).1 } else { 0.0 }
}

/// Makes `sheet` and what lies between it and `cell` a part of that one.
#[expect(clippy::indexing_slicing, reason = "a view lies inside its grid")]
fn join(sheet: &Window, cell: &Window, cells: &mut Labels) {
    let view = sheet.with_margin(APART_PX as usize, cells.width, cells.height);
    let near = |label: u32| cells.one(label, &view).widened(APART_PX).inside;
    let (of_sheet, of_cell) = (near(sheet.label), near(cell.label));
    let between: Vec<bool> = of_sheet.iter().zip(&of_cell).map(|(sheet, cell)| *sheet && *cell).collect();
    for (row, between) in view.rows(cells.width).zip(between.chunks_exact(view.width())) {
        for (label, between) in cells.label[row].iter_mut().zip(between) {
            if *label == sheet.label || (*label == 0 && *between) {
                *label = cell.label;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 120;
    /// A disc of the hinted width.
    const AREA_PX: f32 = 452.0;

    /// Squares of these middles, half widths and strengths of grain, labelled from 1.
    fn squares(squares: &[(f32, f32, f32)]) -> (WorkingPicture, Labels) {
        let (mut values, mut label) = (vec![0.0_f32; SIDE * SIDE], vec![0_u32; SIDE * SIDE]);
        for (at, (value, label)) in values.iter_mut().zip(&mut label).enumerate() {
            let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
            let holds = |square: &(f32, f32, f32)| (x - square.0).abs().max((y - 60.0).abs()) < square.1;
            if let Some((square, number)) = squares.iter().zip(1..).find(|(square, _)| holds(square)) {
                *label = number;
                *value = if (at / 3 + at / SIDE / 3).is_multiple_of(2) { square.2 } else { -square.2 };
            }
        }
        let picture =
            WorkingPicture { width: SIDE, height: SIDE, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 };
        (picture, Labels { width: SIDE, height: SIDE, label, count: squares.len() as u32 })
    }

    fn areas_left(of: &[(f32, f32, f32)]) -> Vec<usize> {
        let (picture, mut labels) = squares(of);
        join_sheets(&mut labels, &picture, AREA_PX);
        assert_eq!(labels.clone().largest_parts().windows(), labels.windows(), "each is in one piece");
        labels.windows().iter().map(|window| window.area).collect()
    }

    #[test]
    fn what_has_no_body_and_hangs_on_one_cell_only_is_its_sheet() {
        let (body, sheet) = ((40.0, 9.0, 1.0), (57.0, 9.0, 0.2));
        let [joined] = areas_left(&[body, sheet])[..] else { panic!("apart") };
        assert!((2 * 17 * 17..2 * 17 * 17 + 20).contains(&joined), "{joined}: no more than the notches of the seam");
        assert_eq!(areas_left(&[sheet, body]), [joined]);
        // The bright line between them was taken for outside.
        let [bridged] = areas_left(&[body, (58.0, 9.0, 0.2)])[..] else { panic!("apart") };
        assert!((2 * 17 * 17 + 17..2 * 17 * 17 + 17 + 20).contains(&bridged), "{bridged}");
    }

    #[test]
    fn what_has_a_body_or_several_neighbours_or_is_too_large_or_too_far_away_stays() {
        let body = (40.0, 9.0, 1.0);
        assert_eq!(areas_left(&[body, (57.0, 9.0, 0.9)]).len(), 2);
        // Beside smaller cells, the two are large ones.
        let small = [(8.0, 5.0, 1.0), (24.0, 5.0, 1.0), (90.0, 5.0, 1.0), (100.0, 5.0, 1.0)];
        assert_eq!(areas_left(&[&[body, (57.0, 9.0, 0.2)], &small[..]].concat()).len(), 6);
        assert_eq!(areas_left(&[body, (57.0, 9.0, 0.2), (74.0, 9.0, 1.0)]).len(), 3);
        assert_eq!(areas_left(&[body, (60.0, 12.0, 0.2)]).len(), 2);
        assert_eq!(areas_left(&[body, (61.0, 9.0, 0.2)]).len(), 2);
    }
}
