//! Shape of one outlined cell: area, perimeter, axes, solidity.
//!
//! Lengths are measured on the outline in um. The axes are those of the ellipse with the same second moments as the
//! outlined area. Protrusions and scattering have their own files; the formulas stand in `docs/shape.md`.

use super::outline;
use crate::units::{PixelSize, PointPx};

/// What the outline alone tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) centroid: PointPx,
    pub(super) area_px2: f64,
    pub(super) perimeter_px: f64,
    pub(super) eccentricity: f64,
    pub(super) solidity: f64,
    pub(super) major_axis_px: f64,
    pub(super) minor_axis_px: f64,
}

/// Measures a closed polygon; `None` when it encloses nothing.
pub(super) fn measure(polygon: &[PointPx]) -> Option<Measured> {
    let anchor = *polygon.first()?;
    let mut moments = [0.0_f64; 6];
    for (a, b) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
        add_triangle(&mut moments, (a.x - anchor.x, a.y - anchor.y), (b.x - anchor.x, b.y - anchor.y));
    }
    let [area, mx, my, mxx, mxy, myy] = moments.map(|m| m * moments[0].signum());
    if !(area > 1e-9 && area.is_finite()) {
        return None;
    }
    let (cx, cy) = (mx / area, my / area);
    let (vxx, vxy, vyy) = (mxx / area - cx * cx, mxy / area - cx * cy, myy / area - cy * cy);
    let middle = f64::midpoint(vxx, vyy);
    let half = ((vxx - vyy) / 2.0).hypot(vxy);
    let (long, short) = ((middle + half).max(0.0), (middle - half).max(0.0));
    Some(Measured {
        centroid: PointPx { x: anchor.x + cx, y: anchor.y + cy },
        area_px2: area,
        perimeter_px: outline::length_px(&outline::rounded(polygon)),
        eccentricity: if long > 0.0 { (1.0 - short / long).clamp(0.0, 1.0).sqrt() } else { 0.0 },
        solidity: (area / hull_area(polygon).max(area)).clamp(0.0, 1.0),
        major_axis_px: 4.0 * long.sqrt(),
        minor_axis_px: 4.0 * short.sqrt(),
    })
}

impl Measured {
    /// In um, with protrusions and scattering still at nothing.
    pub(super) fn in_um(&self, pixel_size: PixelSize) -> super::Shape {
        super::Shape {
            area_um2: pixel_size.um2_from_px2(self.area_px2),
            perimeter_um: pixel_size.um_from_px(self.perimeter_px),
            eccentricity: self.eccentricity,
            solidity: self.solidity,
            major_axis_um: pixel_size.um_from_px(self.major_axis_px),
            minor_axis_um: pixel_size.um_from_px(self.minor_axis_px),
            ..super::Shape::default()
        }
    }
}

/// Adds the moments of the triangle (0, a, b): area, x, y, xx, xy, yy.
fn add_triangle(moments: &mut [f64; 6], (ax, ay): (f64, f64), (bx, by): (f64, f64)) {
    let double = ax * by - bx * ay;
    let parts = [
        double / 2.0,
        double * (ax + bx) / 6.0,
        double * (ay + by) / 6.0,
        double * (ax * ax + ax * bx + bx * bx) / 12.0,
        double * (2.0 * ax * ay + ax * by + bx * ay + 2.0 * bx * by) / 24.0,
        double * (ay * ay + ay * by + by * by) / 12.0,
    ];
    for (sum, part) in moments.iter_mut().zip(parts) {
        *sum += part;
    }
}

/// Area of the convex hull (monotone chain), px^2.
fn hull_area(polygon: &[PointPx]) -> f64 {
    let mut points = polygon.to_vec();
    points.sort_unstable_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let lower = chain(points.iter());
    let upper = chain(points.iter().rev());
    let hull: Vec<PointPx> = lower.into_iter().chain(upper).collect();
    let twice: f64 = hull.iter().zip(hull.iter().cycle().skip(1)).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
    twice.abs() / 2.0
}

/// One half of the hull, without its last point.
fn chain<'a>(points: impl Iterator<Item = &'a PointPx>) -> Vec<PointPx> {
    let mut chain: Vec<PointPx> = Vec::new();
    for point in points {
        while let [.., a, b] = chain.as_slice() {
            if (b.x - a.x) * (point.y - a.y) - (b.y - a.y) * (point.x - a.x) > 0.0 {
                break;
            }
            chain.pop();
        }
        chain.push(*point);
    }
    chain.pop();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(corners: &[(f64, f64)]) -> Vec<PointPx> {
        corners.iter().map(|&(x, y)| PointPx { x, y }).collect()
    }

    #[test]
    fn an_ellipse_has_its_own_axes() {
        let ellipse: Vec<PointPx> = (0..720)
            .map(|i| {
                let t = f64::from(i).to_radians() / 2.0;
                let (u, v) = (30.0 * t.cos(), 12.0 * t.sin());
                PointPx { x: 100.0 + 0.8 * u - 0.6 * v, y: 50.0 + 0.6 * u + 0.8 * v }
            })
            .collect();
        let m = measure(&ellipse).unwrap();
        assert!((m.major_axis_px - 60.0).abs() < 0.1 && (m.minor_axis_px - 24.0).abs() < 0.1, "{m:?}");
        assert!((m.eccentricity - (1.0_f64 - 0.16).sqrt()).abs() < 1e-3);
        assert!(m.solidity > 0.999 && m.centroid.distance_px(PointPx { x: 100.0, y: 50.0 }) < 1e-6);
        assert!((m.area_px2 / (std::f64::consts::PI * 360.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_bay_lowers_the_solidity() {
        let square = measure(&points(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])).unwrap();
        let bay = measure(&points(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0)])).unwrap();
        assert!((square.solidity - 1.0).abs() < 1e-12 && (bay.solidity - 0.6).abs() < 1e-12);
        let size = PixelSize::new(0.5).unwrap();
        assert!((square.in_um(size).area_um2 - 25.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_enclosed_is_no_shape() {
        assert_eq!(measure(&[]), None);
        assert_eq!(measure(&points(&[(1.0, 1.0), (2.0, 2.0)])), None);
        assert_eq!(measure(&points(&[(f64::NAN, 1.0), (2.0, 2.0), (1.0, 0.0)])), None);
    }
}
