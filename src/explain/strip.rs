//! Pictures in a grid: what the explanations are looked at as.
//!
//! Takes rows of crops, gives one gray picture with a thin white line between them.

use super::ExplainError;
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::picture;
use crate::units::PointPx;

const GAP_PX: usize = 2;
const GAP_GRAY: u8 = 255;

/// A PNG of `rows` of pictures, `[256, 256]` in 0..=1 each. Rows may differ in length.
///
/// # Errors
/// `picture` when there is none.
pub fn png(rows: &[Vec<&Crop>]) -> Result<Vec<u8>, ExplainError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let (width, height) = (side_px(columns), side_px(rows.len()));
    let mut gray = vec![GAP_GRAY; width * height];
    for (row, crops) in rows.iter().enumerate() {
        for (column, crop) in crops.iter().enumerate() {
            let corner = row * (CROP_SIDE_PX + GAP_PX) * width + column * (CROP_SIDE_PX + GAP_PX);
            for (y, line) in crop.pixels().chunks(CROP_SIDE_PX).enumerate() {
                let begin = corner + y * width;
                if let Some(target) = gray.get_mut(begin..begin + CROP_SIDE_PX) {
                    target.iter_mut().zip(line).for_each(|(gray, value)| *gray = to_gray(*value));
                }
            }
        }
    }
    Ok(picture::gray_png(width, height, &gray)?)
}

/// A crop in colours, `[256, 256, 3]`, with `outline` (px of the crop) drawn over it.
pub fn outlined(crop: &Crop, outline: &[PointPx]) -> Vec<u8> {
    const COLOUR: [u8; 3] = [255, 200, 40];
    let mut rgb: Vec<u8> = crop.pixels().iter().flat_map(|value| [to_gray(*value); 3]).collect();
    for (a, b) in outline.iter().zip(outline.iter().cycle().skip(1)) {
        let steps = (2.0 * a.distance_px(*b)).ceil().clamp(1.0, 1e4) as usize;
        for step in 0..steps {
            let part = step as f64 / steps as f64;
            let (x, y) = ((a.x + part * (b.x - a.x)).round(), (a.y + part * (b.y - a.y)).round());
            let within = 0.0..CROP_SIDE_PX as f64;
            if within.contains(&x) && within.contains(&y) {
                let from = 3 * (y as usize * CROP_SIDE_PX + x as usize);
                if let Some(pixel) = rgb.get_mut(from..from + 3) {
                    pixel.copy_from_slice(&COLOUR);
                }
            }
        }
    }
    rgb
}

/// `crops` stretched alike so that their brightest pixel is 1, and the factor. Black pictures stay black.
pub fn stretched<'a>(crops: impl Iterator<Item = &'a Crop> + Clone) -> (Vec<Crop>, f32) {
    let brightest = crops.clone().flat_map(Crop::pixels).copied().fold(0.0, f32::max);
    let gain = if brightest > 0.0 { brightest.recip() } else { 1.0 };
    let stretch = |crop: &Crop| Crop::new(crop.pixels().iter().map(|value| value * gain).collect());
    (crops.filter_map(stretch).collect(), gain)
}

/// Side of a grid of `count` pictures, px.
fn side_px(count: usize) -> usize {
    (count * (CROP_SIDE_PX + GAP_PX)).saturating_sub(GAP_PX)
}

fn to_gray(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_where_they_belong() {
        let flat = |value: f32| Crop::new(vec![value; CROP_SIDE_PX * CROP_SIDE_PX]).unwrap();
        let (black, gray, bright) = (flat(0.0), flat(0.4), flat(7.0));
        let png = png(&[vec![&black, &gray], vec![&bright]]).unwrap();
        let plane = picture::decode_gray(&png, 1 << 24).unwrap();
        assert_eq!((plane.width_px(), plane.height_px()), (514, 514));
        let at = |x: usize, y: usize| plane.counts()[y * 514 + x];
        let seen = [at(0, 0), at(255, 255), at(256, 100), at(258, 0), at(513, 255), at(0, 258), at(300, 300)];
        assert_eq!(seen.map(|gray| gray as u8), [0, 0, 255, 102, 102, 255, 255]);
        assert!(super::png(&[]).is_err(), "no picture, no file");
    }
}
