//! Where in a working picture there may be cells: a network need not look at the rest.
//!
//! Most of a frame is empty substrate. A block counts as busy when its contrast stands clearly above the quietest blocks';
//! busy blocks, widened by a margin, are put into rectangles that do not overlap. A block's contrast is what varies in it: its
//! mean is not asked, for the ground beside a cell is lifted or lowered as a whole where the slow part of the light is taken away.

use super::mask::Mask;
use super::working::WorkingPicture;

/// Side of a block, working px: a third of a cell.
const BLOCK_PX: usize = 8;
/// A busy block has at least this many times the contrast of the quietest blocks ...
const ABOVE_QUIET: f64 = 1.8;
/// ... which are those below this share of all.
const QUIET_SHARE: f64 = 0.1;
/// Contrast (of which the cells have about 1) from which a block is busy whatever the others are.
const BUSY: f64 = 0.3;
/// Contrast below which no block is: the camera's noise and the unevenness of bare substrate reach half of this in frames with few
/// cells, and one such block in ten would have the whole frame looked at.
const IDLE: f64 = 0.1;
/// Blocks within this many of a busy one are looked at as well: the network's outlines hang on the ground that it sees round a cell.
/// With one block less they came out 2 and 4 % larger than in the whole picture, on two simulated frames.
const MARGIN_BLOCKS: f32 = 3.9;
/// When places cover more than this share of the picture, it is looked at as a whole.
const WHOLE_SHARE: f64 = 0.6;

/// A rectangle of a picture, px: columns `left..right`, rows `top..bottom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Column after the last.
    pub right: usize,
    /// Row after the last.
    pub bottom: usize,
}

impl Place {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// With up to `margin` px more on every side, as far as `picture` reaches.
    #[must_use]
    pub fn with_margin(&self, margin: usize, picture: &WorkingPicture) -> Self {
        Self {
            left: self.left.saturating_sub(margin),
            top: self.top.saturating_sub(margin),
            right: (self.right + margin).min(picture.width),
            bottom: (self.bottom + margin).min(picture.height),
        }
    }

    /// As it lies in `around`, which holds it.
    #[must_use]
    pub fn within(&self, around: &Self) -> Self {
        Self {
            left: self.left - around.left,
            top: self.top - around.top,
            right: self.right - around.left,
            bottom: self.bottom - around.top,
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.right - self.left, self.bottom - self.top)
    }

    /// Where each of its rows lies in a picture of `width` columns.
    pub fn rows(self, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        (self.top..self.bottom).map(move |y| y * width + self.left..y * width + self.right)
    }

    /// Pixels.
    pub fn area(&self) -> usize {
        let (columns, rows) = self.size();
        columns * rows
    }
}

/// Rectangles that hold the `places` and do not overlap.
pub(super) fn apart(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    for mut place in places {
        // A rectangle that grows may meet further ones.
        while let Some(other) = all.iter().position(|other| other.meets(&place)) {
            place = place.with(&all.swap_remove(other));
        }
        all.push(place);
    }
    all
}

impl WorkingPicture {
    /// The whole picture as one place.
    pub fn whole(&self) -> Place {
        Place { left: 0, top: 0, right: self.width, bottom: self.height }
    }

    /// The places of a picture of [`Light::Contrast`](super::working::Light::Contrast) where there may be cells: rectangles
    /// that do not overlap, in the order of their rows.
    pub fn busy(&self) -> Vec<Place> {
        let blocks = self.blocks();
        let block = |at: usize, most: usize| (at * BLOCK_PX).min(most);
        let widened = blocks.widened(MARGIN_BLOCKS);
        let mut places = apart(widened.parts().windows().into_iter().map(|window| Place {
            left: block(window.left, self.width),
            top: block(window.top, self.height),
            right: block(window.right + 1, self.width),
            bottom: block(window.bottom + 1, self.height),
        }));
        let looked_at: usize = places.iter().map(Place::area).sum();
        if looked_at as f64 > WHOLE_SHARE * self.whole().area() as f64 {
            return vec![self.whole()];
        }
        places.sort_by_key(|place| (place.top, place.left));
        places
    }

    /// Which blocks are busy.
    fn blocks(&self) -> Mask {
        let (width, height) = (self.width.div_ceil(BLOCK_PX), self.height.div_ceil(BLOCK_PX));
        // Squares, values, how many.
        let mut sums = vec![(0.0_f64, 0.0_f64, 0_u32); width * height];
        for (rows, sums) in self.values.chunks(BLOCK_PX * self.width.max(1)).zip(sums.chunks_mut(width.max(1))) {
            for row in rows.chunks(self.width.max(1)) {
                for (run, sum) in row.chunks(BLOCK_PX).zip(sums.iter_mut()) {
                    sum.0 += f64::from(run.iter().map(|v| v * v).sum::<f32>());
                    sum.1 += f64::from(run.iter().sum::<f32>());
                    sum.2 += run.len() as u32;
                }
            }
        }
        let spread = |&(squares, sum, count): &(f64, f64, u32)| {
            let count = f64::from(count.max(1));
            (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
        };
        let contrast: Vec<f64> = sums.iter().map(spread).collect();
        let mut sorted = contrast.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let quiet = sorted.get((sorted.len() as f64 * QUIET_SHARE) as usize).copied().unwrap_or(0.0);
        let busy = (ABOVE_QUIET * quiet).clamp(IDLE, BUSY);
        Mask { width, height, inside: contrast.iter().map(|&contrast| contrast > busy).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with squares of contrast 1 at these places.
    fn picture(squares: &[(usize, usize)], side: usize) -> WorkingPicture {
        let (width, height) = (505, 403);
        let mut values: Vec<f32> = (0..width * height).map(|i| 0.05 * (i as f32 * 0.7).sin()).collect();
        for &(left, top) in squares {
            for y in top..(top + side).min(height) {
                for x in left..(left + side).min(width) {
                    values[y * width + x] = if (x + y) % 2 == 0 { 1.0 } else { -1.0 };
                }
            }
        }
        WorkingPicture { width, height, values, scale: 1.0, diameter_px: 24.0, contrast: 1.0 }
    }

    #[test]
    fn cells_lie_well_inside_places_and_places_do_not_overlap() {
        let squares = [(40, 50), (300, 60), (330, 80), (480, 380), (0, 200)];
        let picture = picture(&squares, 24);
        let places = picture.busy();
        assert_eq!(places.len(), 4, "{places:?}");
        for (left, top) in squares {
            let home = places
                .iter()
                .find(|place| (place.left..place.right).contains(&left) && (place.top..place.bottom).contains(&top));
            let home = home.unwrap();
            let far = |gap: usize, edge: bool| edge || gap >= 2 * BLOCK_PX;
            assert!(far(left - home.left, home.left == 0) && far(top - home.top, home.top == 0), "{home:?}");
        }
        for (i, one) in places.iter().enumerate() {
            assert!(places.iter().skip(i + 1).all(|other| !one.meets(other)));
        }
        let share = places.iter().map(Place::area).sum::<usize>() as f64 / picture.whole().area() as f64;
        assert!(share < 0.25, "{share}");
    }

    #[test]
    fn a_full_picture_is_one_place_and_an_empty_one_none() {
        let squares: Vec<(usize, usize)> = (0..60).map(|i| (i % 10 * 50, i / 10 * 66)).collect();
        let full = picture(&squares, 40);
        assert_eq!(full.busy(), [full.whole()]);
        assert!(picture(&[], 24).busy().is_empty());
    }
}
