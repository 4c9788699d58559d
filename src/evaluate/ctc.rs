//! The Cell Tracking Challenge's measures: DET, SEG and TRA.
//!
//! A true cell is found when one found cell covers more than half of it. Found graphs (cells as nodes, tracks and divisions
//! as edges) are compared by what it would cost to turn them into the true one, with the challenge's weights (Matula
//! and others 2015): 10 for a missed cell, 5 for a cell that has to be split, 1 for a spurious cell, 1.5 for a missing
//! edge, 1 for a spurious edge, 1 for an edge of the wrong kind.

use super::paint::LabelPicture;
use std::collections::{BTreeMap, BTreeSet};

/// One line of a track table: a label, its first and last frame, the label it came from (0 for none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackRow {
    /// The number in the label pictures.
    pub label: u16,
    /// Its first frame.
    pub begin: usize,
    /// Its last frame.
    pub end: usize,
    /// The label it continues or was divided from; 0 for none.
    pub parent: u16,
}

/// What has to be done to the found graph to make it the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Found cells to split, counted once for every true cell too many.
    pub splits: usize,
    /// Cells to add.
    pub missed: usize,
    /// Cells to remove.
    pub spurious: usize,
    /// Edges to remove.
    pub edges_spurious: usize,
    /// Edges to add.
    pub edges_missed: usize,
    /// Edges to change from track to division or back.
    pub edges_wrong_kind: usize,
    /// Nodes of the true graph.
    pub true_cells: usize,
    /// Edges of the true graph.
    pub true_edges: usize,
}

impl Repairs {
    /// Detection accuracy, 0..=1; `None` without truth.
    pub fn det(&self) -> Option<f64> {
        share(self.cells_cost(), 10.0 * self.true_cells as f64)
    }

    /// Tracking accuracy, 0..=1; `None` without truth.
    pub fn tra(&self) -> Option<f64> {
        let edges = 1.5 * self.edges_missed as f64 + self.edges_spurious as f64 + self.edges_wrong_kind as f64;
        share(self.cells_cost() + edges, 10.0 * self.true_cells as f64 + 1.5 * self.true_edges as f64)
    }

    fn cells_cost(&self) -> f64 {
        5.0 * self.splits as f64 + 10.0 * self.missed as f64 + self.spurious as f64
    }
}

/// One minus the cost as a share of building everything from nothing.
fn share(cost: f64, from_nothing: f64) -> Option<f64> {
    (from_nothing > 0.0).then(|| 1.0 - cost.min(from_nothing) / from_nothing)
}

/// A cell in a film: frame and label.
type Node = (usize, u16);

/// Collects a film frame by frame.
#[derive(Debug, Clone, Default)]
pub struct Film {
    /// For every true cell the found one that covers it.
    covered: BTreeMap<Node, Option<u16>>,
    found: BTreeSet<Node>,
}

impl Film {
    /// Adds frame `time`: true markers or outlines, and found cells.
    pub fn add(&mut self, time: usize, truth: &LabelPicture, found: &LabelPicture) {
        let overlaps = Overlaps::of(truth, found);
        for (&label, &area) in &overlaps.true_area {
            let covering = overlaps.shared.range((label, 0)..=(label, u16::MAX));
            let best = covering.filter(|&(_, both)| 2 * both > area).map(|(&(_, found), _)| found).next();
            self.covered.insert((time, label), best);
        }
        self.found.extend(overlaps.found_area.keys().map(|&label| (time, label)));
    }

    /// Compares the two graphs.
    pub fn repairs(&self, truth: &[TrackRow], found: &[TrackRow]) -> Repairs {
        let mut covers: BTreeMap<Node, Vec<Node>> = BTreeMap::new();
        for (&(time, label), covering) in &self.covered {
            if let Some(found) = covering {
                covers.entry((time, *found)).or_default().push((time, label));
            }
        }
        let missed = self.covered.values().filter(|covering| covering.is_none()).count();
        let splits = covers.values().map(|covered| covered.len() - 1).sum();
        // Only found cells that stand for exactly one true cell take part in the comparison of edges.
        let single = |node: Node| match covers.get(&node).map(Vec::as_slice) {
            Some([one]) => Some(*one),
            _ => None,
        };
        let true_nodes: BTreeSet<Node> = self.covered.keys().copied().collect();
        let true_edges = edges(&true_nodes, truth);
        let mut matched: BTreeSet<(Node, Node)> = BTreeSet::new();
        let (mut edges_spurious, mut edges_wrong_kind) = (0, 0);
        for ((from, to), division) in edges(&self.found, found) {
            let (Some(from), Some(to)) = (single(from), single(to)) else { continue };
            match true_edges.get(&(from, to)) {
                Some(kind) => {
                    matched.insert((from, to));
                    edges_wrong_kind += usize::from(*kind != division);
                }
                None => edges_spurious += 1,
            }
        }
        Repairs {
            splits,
            missed,
            spurious: self.found.len() - covers.len(),
            edges_spurious,
            edges_missed: true_edges.len() - matched.len(),
            edges_wrong_kind,
            true_cells: self.covered.len(),
            true_edges: true_edges.len(),
        }
    }
}

/// All edges of a graph, true for those from a parent.
fn edges(nodes: &BTreeSet<Node>, tracks: &[TrackRow]) -> BTreeMap<(Node, Node), bool> {
    let mut edges: BTreeMap<(Node, Node), bool> = nodes
        .iter()
        .map(|&(time, label)| ((time, label), (time + 1, label)))
        .filter(|(_, next)| nodes.contains(next))
        .map(|edge| (edge, false))
        .collect();
    let end_of: BTreeMap<u16, usize> = tracks.iter().map(|row| (row.label, row.end)).collect();
    for row in tracks.iter().filter(|row| row.parent != 0) {
        if let Some(&end) = end_of.get(&row.parent) {
            let (from, to) = ((end, row.parent), (row.begin, row.label));
            if nodes.contains(&from) && nodes.contains(&to) {
                edges.insert((from, to), true);
            }
        }
    }
    edges
}

/// Adds up SEG: the mean overlap (intersection over union) of true outlines with what covers them, 0 when nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seg {
    sum: f64,
    count: usize,
}

impl Seg {
    /// Adds a frame.
    pub fn add(&mut self, truth: &LabelPicture, found: &LabelPicture) {
        let overlaps = Overlaps::of(truth, found);
        for (&(true_label, found_label), &both) in &overlaps.shared {
            let (Some(&truth), Some(&found)) =
                (overlaps.true_area.get(&true_label), overlaps.found_area.get(&found_label))
            else {
                continue;
            };
            if 2 * both > truth {
                self.sum += both as f64 / (truth + found - both) as f64;
            }
        }
        self.count += overlaps.true_area.len();
    }

    /// The mean, 0..=1; `None` without truth.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Areas and shared areas of the labels of two pictures, px.
pub(super) struct Overlaps {
    pub(super) shared: BTreeMap<(u16, u16), usize>,
    pub(super) true_area: BTreeMap<u16, usize>,
    pub(super) found_area: BTreeMap<u16, usize>,
}

impl Overlaps {
    /// Counts two pictures of equal size.
    pub(super) fn of(truth: &LabelPicture, found: &LabelPicture) -> Self {
        let mut counted = Self { shared: BTreeMap::new(), true_area: BTreeMap::new(), found_area: BTreeMap::new() };
        // Runs of equal pairs are counted at once: pictures are mostly background.
        let mut run = ((0, 0), 0);
        for pair in truth.labels.iter().copied().zip(found.labels.iter().copied()) {
            if pair == run.0 {
                run.1 += 1;
            } else {
                counted.count(run);
                run = (pair, 1);
            }
        }
        counted.count(run);
        counted
    }

    fn count(&mut self, ((truth, found), pixels): ((u16, u16), usize)) {
        if truth > 0 {
            *self.true_area.entry(truth).or_default() += pixels;
        }
        if found > 0 {
            *self.found_area.entry(found).or_default() += pixels;
        }
        if truth > 0 && found > 0 {
            *self.shared.entry((truth, found)).or_default() += pixels;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(labels: &[u16]) -> LabelPicture {
        LabelPicture { width: labels.len(), height: 1, labels: labels.to_vec() }
    }

    fn row(label: u16, begin: usize, end: usize, parent: u16) -> TrackRow {
        TrackRow { label, begin, end, parent }
    }

    #[test]
    fn a_perfect_result_scores_one() {
        let mut film = Film::default();
        let mut seg = Seg::default();
        for time in 0..3 {
            let truth = picture(&[0, 1, 1, 0, 2, 2]);
            film.add(time, &truth, &picture(&[0, 7, 7, 0, 9, 9]));
            seg.add(&truth, &truth);
        }
        let repairs = film.repairs(&[row(1, 0, 2, 0), row(2, 0, 2, 0)], &[row(7, 0, 2, 0), row(9, 0, 2, 0)]);
        assert_eq!(repairs, Repairs { true_cells: 6, true_edges: 4, ..Repairs::default() });
        assert_eq!((repairs.det(), repairs.tra(), seg.mean()), (Some(1.0), Some(1.0), Some(1.0)));
    }

    #[test]
    fn each_repair_has_its_price() {
        let mut film = Film::default();
        // Two cells taken for one, then one missed and one invented.
        film.add(0, &picture(&[1, 1, 2, 2, 0, 0]), &picture(&[5, 5, 5, 5, 0, 0]));
        film.add(1, &picture(&[1, 1, 2, 2, 0, 0]), &picture(&[5, 5, 0, 0, 0, 6]));
        let repairs = film.repairs(&[row(1, 0, 1, 0), row(2, 0, 1, 0)], &[row(5, 0, 1, 0), row(6, 1, 1, 0)]);
        let expected = Repairs {
            splits: 1,
            missed: 1,
            spurious: 1,
            edges_missed: 2,
            true_cells: 4,
            true_edges: 2,
            ..Repairs::default()
        };
        assert_eq!(repairs, expected);
        assert!((repairs.det().unwrap() - (1.0 - 16.0 / 40.0)).abs() < 1e-12);
        assert!((repairs.tra().unwrap() - (1.0 - 19.0 / 43.0)).abs() < 1e-12);
    }

    #[test]
    fn divisions_are_edges_of_their_own_kind() {
        let mut film = Film::default();
        film.add(0, &picture(&[1, 1, 1]), &picture(&[4, 4, 4]));
        film.add(1, &picture(&[2, 0, 3]), &picture(&[4, 0, 5]));
        let truth = [row(1, 0, 0, 0), row(2, 1, 1, 1), row(3, 1, 1, 1)];
        let repairs = film.repairs(&truth, &[row(4, 0, 1, 0), row(5, 1, 1, 0)]);
        assert_eq!((repairs.edges_wrong_kind, repairs.edges_missed, repairs.edges_spurious), (1, 1, 0));
        assert_eq!(film.repairs(&truth, &[row(4, 0, 0, 0), row(5, 1, 1, 4)]).true_edges, 2);
    }

    #[test]
    fn overlap_of_half_or_less_is_not_found() {
        let mut seg = Seg::default();
        seg.add(&picture(&[1, 1, 0, 2, 2, 2]), &picture(&[3, 0, 0, 4, 4, 0]));
        assert!((seg.mean().unwrap() - (2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(Seg::default().mean(), None);
    }
}
