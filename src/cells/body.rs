//! The pixels of the frame inside one outline, and how deep they lie.

use super::mask::Mask;
use super::outline;
use crate::units::PointPx;

/// One outline's pixels in a window of the frame, with a rim of outside pixels round them where the frame has them.
pub(super) struct Body {
    /// The window's first column and row in the frame.
    pub(super) left: usize,
    pub(super) top: usize,
    /// Which of its pixels lie inside.
    pub(super) inside: Mask,
    /// For each the squared distance to the outside, px^2.
    pub(super) squared_depth: Vec<f32>,
    /// The largest of them.
    pub(super) deepest: f32,
}

impl Body {
    /// What lies inside `outline` (frame px) in a frame of this width and height; `None` when nothing does.
    pub(super) fn of(outline: &[PointPx], (frame_width, frame_height): (usize, usize)) -> Option<Self> {
        let bounds = |f: fn(&PointPx) -> f64, size: usize| {
            let low = outline.iter().map(f).fold(f64::INFINITY, f64::min) - 1.0;
            let high = outline.iter().map(f).fold(f64::NEG_INFINITY, f64::max) + 2.0;
            (low.clamp(0.0, size as f64) as usize, high.clamp(0.0, size as f64) as usize)
        };
        let ((left, right), (top, bottom)) = (bounds(|p| p.x, frame_width), bounds(|p| p.y, frame_height));
        let (width, height) = (right.checked_sub(left)?, bottom.checked_sub(top)?);
        if width == 0 || height == 0 {
            return None;
        }
        let inside = outline::inside(outline, (left, top), (width, height));
        let squared_depth = inside.squared_distance();
        let deepest = squared_depth.iter().copied().fold(0.0_f32, f32::max);
        (deepest > 0.0).then_some(Self { left, top, inside, squared_depth, deepest })
    }

    /// The pixels deeper than `depth` px.
    pub(super) fn deeper(&self, depth: f32) -> Mask {
        let inside = self.squared_depth.iter().map(|&squared| squared > depth * depth).collect();
        Mask { inside, ..self.inside }
    }

    /// The body of a mask that fills its own frame.
    #[cfg(test)]
    pub(super) fn of_mask(inside: Mask) -> Self {
        let squared_depth = inside.squared_distance();
        let deepest = squared_depth.iter().copied().fold(0.0_f32, f32::max);
        Self { left: 0, top: 0, inside, squared_depth, deepest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_that_holds_nothing_has_no_body() {
        let body = |corners: &[(f64, f64)]| {
            let points: Vec<PointPx> = corners.iter().map(|&(x, y)| PointPx { x, y }).collect();
            Body::of(&points, (256, 256))
        };
        assert!(body(&[]).is_none() && body(&[(f64::NAN, 1.0)]).is_none());
        assert!(body(&[(900.0, 900.0), (990.0, 900.0)]).is_none());
        let square = body(&[(9.5, 19.5), (14.5, 19.5), (14.5, 24.5), (9.5, 24.5)]).unwrap();
        assert_eq!((square.left, square.top, square.inside.area()), (8, 18, 25));
        assert!((square.deepest - 9.0).abs() < 1e-6 && square.deeper(2.0).area() == 1);
    }
}
