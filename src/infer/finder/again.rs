//! A crowd looked at again: what a network says of seams that are hardly wider than a pixel depends a little on which way round
//! and how large it is shown.

use super::Finder;
use super::mirror::Mirror;
use crate::cells::busy::Place;
use crate::cells::working::{self, WorkingPicture};
use crate::infer::InferError;

/// So much round a crowd is seen with it, px: about as far as the network sees.
const AROUND_PX: usize = 32;
/// How a crowd is shown again: so many times as large, in these mirrors.
const LOOKS: [(f64, &[Mirror]); 2] = [(1.0, &Mirror::OTHERS), (1.3, &Mirror::ALL)];
/// How many looks these are.
pub(super) const COUNT: usize = Mirror::OTHERS.len() + Mirror::ALL.len();

impl Finder {
    /// The mean of what the network says of `place` in all [`LOOKS`]: a plane a channel, `[height, width]` of the place.
    ///
    /// # Errors
    /// As [`Sight::maps`](crate::cells::Sight::maps).
    pub(super) fn look_again(&self, picture: &WorkingPicture, place: &Place) -> Result<Vec<Vec<f32>>, InferError> {
        let around = place.with_margin(AROUND_PX, picture);
        let (columns, _) = around.size();
        let mut mean = vec![vec![0.0; place.area()]; self.contract.meaning.channels()];
        for (times, mirrors) in LOOKS {
            let near = picture.nearer(&around, times);
            let seen = self.look(&near, &[near.whole()], mirrors)?;
            let share = mirrors.len() as f32 / COUNT as f32;
            for (mean, plane) in mean.iter_mut().zip(&seen.planes) {
                let plane = working::farther(plane, (near.width, near.height), &around, times);
                let rows = place.within(&around).rows(columns).flat_map(|row| plane.get(row).unwrap_or_default());
                mean.iter_mut().zip(rows).for_each(|(mean, logit)| *mean += share * logit);
            }
        }
        Ok(mean)
    }
}
