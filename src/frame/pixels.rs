//! The memory of a frame's pixels, kept for the frames to come.
//!
//! A frame of five megapixels takes 22 MB twice, as counts and as relative light. Handed back to the system after every frame, such
//! memory is fetched anew, page by page, for the next one, which takes about as long as decoding. So what is dropped is kept here,
//! within a bound, and filled again.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smaller pictures are not kept: the allocator does that well.
const LEAST_KEPT: usize = 1 << 18;
/// No more than this is kept, bytes.
const MOST_KEPT_BYTES: usize = 256 << 20;

static KEPT: Mutex<Kept> = Mutex::new(Kept { rooms: Vec::new(), most_bytes: MOST_KEPT_BYTES });

/// Values of pixels, row after row.
#[derive(Debug, PartialEq)]
pub struct Pixels(Vec<f32>);

impl Pixels {
    /// `length` values to be written over: some are 0 and some are a former frame's.
    pub fn to_be_filled(length: usize) -> Self {
        let mut values = kept().room(length);
        values.resize(length, 0.0);
        Self(values)
    }

    /// All values, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl FromIterator<f32> for Pixels {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        let values = values.into_iter();
        let mut room = kept().room(values.size_hint().0);
        room.clear();
        room.extend(values);
        Self(room)
    }
}

impl From<Vec<f32>> for Pixels {
    fn from(values: Vec<f32>) -> Self {
        Self(values)
    }
}

impl Deref for Pixels {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl Clone for Pixels {
    fn clone(&self) -> Self {
        self.iter().copied().collect()
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.0);
        if room.capacity() >= LEAST_KEPT {
            kept().keep(room);
        }
    }
}

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that nobody uses now.
struct Kept {
    /// What was kept last lies last.
    rooms: Vec<Vec<f32>>,
    most_bytes: usize,
}

impl Kept {
    /// With room for `length` values; what is in it has no meaning.
    fn room(&mut self, length: usize) -> Vec<f32> {
        // Not room for far more: a small picture shall not hold a large one's.
        let fits = |room: &Vec<f32>| (length..=length.saturating_mul(2)).contains(&room.capacity());
        let found = self.rooms.iter().rposition(fits).map(|at| self.rooms.remove(at));
        found.unwrap_or_else(|| Vec::with_capacity(length))
    }

    /// What has waited longest goes when it is more than may be kept.
    fn keep(&mut self, room: Vec<f32>) {
        self.rooms.push(room);
        while self.bytes() > self.most_bytes {
            self.rooms.remove(0);
        }
    }

    fn bytes(&self) -> usize {
        self.rooms.iter().map(|room| room.capacity() * size_of::<f32>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_dropped_is_filled_again() {
        let mut kept = Kept { rooms: Vec::new(), most_bytes: 1 << 20 };
        let room = kept.room(1000);
        let place = room.as_ptr();
        kept.keep(room);
        let others = [kept.room(400), kept.room(1001)];
        assert!(others.iter().all(|room| room.as_ptr() != place), "far too much room, or too little");
        let again = kept.room(900);
        assert_eq!((again.as_ptr(), kept.bytes()), (place, 0));
    }

    #[test]
    fn a_former_frame_is_not_seen() {
        for round in 0..4_u16 {
            let large: Pixels = (0..LEAST_KEPT + 9).map(|at| at as f32 + f32::from(round)).collect();
            assert_eq!(large.len(), LEAST_KEPT + 9);
            assert!(large.iter().zip(0..).all(|(value, at)| (value - f32::from(round) - at as f32).abs() < 0.5));
            assert_eq!(large.clone(), large);
            assert_eq!(Pixels::to_be_filled(LEAST_KEPT - 9).len(), LEAST_KEPT - 9);
        }
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_may_be(lengths in proptest::collection::vec(1_usize..5000, 1..60)) {
            let mut kept = Kept { rooms: Vec::new(), most_bytes: 40_000 };
            for lengths in lengths.chunks(3) {
                let rooms: Vec<Vec<f32>> = lengths.iter().map(|length| kept.room(*length)).collect();
                for (room, length) in rooms.into_iter().zip(lengths) {
                    prop_assert!((*length..=2 * length).contains(&room.capacity()));
                    kept.keep(room);
                    prop_assert!(kept.bytes() <= 40_000);
                }
            }
        }
    }
}
