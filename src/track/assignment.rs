//! The optimal assignment of cells to tracks (the door to `lsap`).

use super::link::Pair;

/// For every cell the track that it continues, at the lowest total cost, where every track left without a cell costs
/// `no_link`. `forbidden` is far above any possible total.
///
/// Pairs fall apart into groups that share neither track nor cell; each is solved on its own, so the cost grows with
/// the largest crowd and not with the frame.
pub(super) fn best(pairs: &[Pair], tracks: usize, cells: usize, no_link: f64, forbidden: f64) -> Vec<Option<usize>> {
    let mut assigned = vec![None; cells];
    for group in groups(pairs, tracks, cells) {
        let rows = places(group.iter().map(|pair| pair.track));
        let columns = places(group.iter().map(|pair| pair.cell));
        // One column per cell, then one per track for "no cell".
        let width = columns.len() + rows.len();
        let mut cost = vec![forbidden; rows.len() * width];
        for pair in &group {
            if let (Ok(row), Ok(column)) = (rows.binary_search(&pair.track), columns.binary_search(&pair.cell))
                && let Some(slot) = cost.get_mut(row * width + column)
            {
                *slot = pair.cost;
            }
        }
        for row in 0..rows.len() {
            if let Some(slot) = cost.get_mut(row * width + columns.len() + row) {
                *slot = no_link;
            }
        }
        // Costs are finite and no_link makes every row feasible, so there is always a solution.
        let Ok((solved_rows, solved_columns)) = lsap::solve(rows.len(), width, &cost, false) else { continue };
        for (row, column) in solved_rows.into_iter().zip(solved_columns) {
            if let (Some(&track), Some(&cell)) = (rows.get(row), columns.get(column))
                && let Some(slot) = assigned.get_mut(cell)
            {
                *slot = Some(track);
            }
        }
    }
    assigned
}

/// The pairs in connected groups, in the order of each group's first pair.
#[expect(clippy::indexing_slicing, reason = "tracks and cells are numbered below tracks + cells")]
fn groups(pairs: &[Pair], tracks: usize, cells: usize) -> Vec<Vec<Pair>> {
    let mut parent: Vec<usize> = (0..tracks + cells).collect();
    let root = |parent: &mut Vec<usize>, mut at: usize| {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    };
    for pair in pairs {
        let (a, b) = (root(&mut parent, pair.track), root(&mut parent, tracks + pair.cell));
        parent[a.max(b)] = a.min(b);
    }
    let mut place = vec![usize::MAX; tracks + cells];
    let mut groups: Vec<Vec<Pair>> = Vec::new();
    for pair in pairs {
        let group = root(&mut parent, pair.track);
        if place[group] == usize::MAX {
            place[group] = groups.len();
            groups.push(Vec::new());
        }
        groups[place[group]].push(*pair);
    }
    groups
}

/// Sorted, each once.
fn places(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(track: usize, cell: usize, cost: f64) -> Pair {
        Pair { track, cell, cost }
    }

    #[test]
    fn the_whole_counts_and_not_the_nearest() {
        // Greedy would give cell 0 to track 0 and leave track 1 without one.
        let pairs = [pair(0, 0, 0.1), pair(0, 1, 0.2), pair(1, 0, 0.2)];
        assert_eq!(best(&pairs, 2, 2, 1.0, 1e9), [Some(1), Some(0)]);
    }

    #[test]
    fn separate_groups_and_lone_cells_are_kept_apart() {
        let pairs = [pair(0, 2, 0.1), pair(3, 1, 0.3)];
        assert_eq!(best(&pairs, 4, 4, 1.0, 1e9), [None, Some(3), Some(0), None]);
        assert_eq!(best(&[], 2, 1, 1.0, 1e9), [None]);
    }
}
