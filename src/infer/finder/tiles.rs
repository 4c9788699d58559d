//! A picture of any size in tiles of bounded size that overlap.

use std::ops::Range;

/// Longest side of a tile, px; a multiple of every side that a network may ask for.
pub(super) const TILE_PX: usize = 1536;
/// Tiles overlap by twice this, px: more than the shipped network sees.
const MARGIN_PX: usize = 96;

/// A stretch of an axis: what the network sees, and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: usize,
    to: usize,
    pub(super) keep: Range<usize>,
}

impl Piece {
    /// The length that the network takes.
    pub(super) fn padded(&self, multiple_px: usize) -> usize {
        (self.to - self.from).next_multiple_of(multiple_px)
    }

    /// The pixel at `offset`; beyond the picture's end it is mirrored.
    pub(super) fn mirrored(&self, offset: usize, length: usize) -> usize {
        let at = self.from + offset;
        if at < length { at } else { (2 * length).saturating_sub(at + 2).min(length.saturating_sub(1)) }
    }
}

/// The pieces of the stretch `wanted` of an axis of `length` px.
pub(super) fn pieces(wanted: Range<usize>, length: usize) -> Vec<Piece> {
    if wanted.len() <= TILE_PX {
        return vec![Piece { from: wanted.start, to: wanted.end, keep: wanted }];
    }
    let step = TILE_PX - 2 * MARGIN_PX;
    let starts = wanted.clone().step_by(step);
    starts
        .map(|start| {
            let keep = start..(start + step).min(wanted.end);
            let (from, to) = (start.saturating_sub(MARGIN_PX), (keep.end + MARGIN_PX).min(length));
            Piece { from, to, keep }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_stretch_once() {
        for length in [1, 15, 1536, 1537, 4000, 9999] {
            let wanted = [0..length, length / 3..length, length / 4..length - length / 4];
            for wanted in wanted {
                let pieces = pieces(wanted.clone(), length);
                assert_eq!(pieces[0].keep.start, wanted.start);
                assert_eq!(pieces.last().unwrap().keep.end, wanted.end);
                assert!(pieces.windows(2).all(|pair| pair[0].keep.end == pair[1].keep.start));
                assert!(pieces.iter().all(|piece| piece.padded(16) <= TILE_PX && piece.from <= piece.keep.start));
                for piece in &pieces {
                    assert!((0..piece.padded(16)).all(|offset| piece.mirrored(offset, length) < length));
                }
            }
        }
    }
}
