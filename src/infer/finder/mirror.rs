//! A picture seen in a mirror: what stands there does not depend on it, what a network says does a little.

/// Which axes are turned round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mirror {
    columns: bool,
    rows: bool,
}

impl Mirror {
    /// The picture as it is ...
    pub(super) const NONE: Self = Self { columns: false, rows: false };
    /// ... and the other ways to see it without turning it on its side.
    pub(super) const OTHERS: [Self; 3] =
        [Self { columns: true, rows: false }, Self { columns: false, rows: true }, Self { columns: true, rows: true }];

    /// All of them.
    pub(super) const ALL: [Self; 4] = {
        let [one, two, three] = Self::OTHERS;
        [Self::NONE, one, two, three]
    };

    /// The columns of a picture of `width` px, in the order in which they are seen.
    pub(super) fn columns(self, width: usize) -> impl Iterator<Item = usize> {
        turned(self.columns, width)
    }

    /// The rows of a picture of `height` px, in the order in which they are seen.
    pub(super) fn rows(self, height: usize) -> impl Iterator<Item = usize> {
        turned(self.rows, height)
    }

    /// Brings a plane with rows of `width` that was seen so back to how the picture is.
    pub(super) fn undo<T>(self, plane: &mut [T], width: usize) {
        // A plane read backwards is turned round on both axes.
        if self.rows {
            plane.reverse();
        }
        if self.rows != self.columns {
            plane.chunks_exact_mut(width.max(1)).for_each(<[T]>::reverse);
        }
    }
}

fn turned(is_turned: bool, length: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |at| if is_turned { length - 1 - at } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_in_a_mirror_comes_back_as_it_was() {
        let (width, height) = (5, 3);
        for mirror in Mirror::ALL {
            let seen = mirror.rows(height).flat_map(|y| mirror.columns(width).map(move |x| y * width + x));
            let mut seen: Vec<usize> = seen.collect();
            assert_eq!(seen.is_sorted(), mirror == Mirror::NONE);
            mirror.undo(&mut seen, width);
            assert!(seen.is_sorted(), "{mirror:?}");
        }
    }
}
