//! Areas under the receiver operating curve, with intervals that know what cells share: see [`clustered`].

use super::Scored;
use super::clustered::{self, Influence};
use serde::Serialize;
use std::collections::BTreeMap;

/// An estimate and the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Per what an area is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A cell in one frame.
    Frame,
    /// A physical cell.
    Cell,
    /// A sample, by the mean logit of its cells.
    Sample,
}

/// Chance that a high case scores above a low one, ties counting half; 0.5 when a class is missing.
pub fn auc(cases: &[(f64, bool)]) -> f64 {
    let mut sorted = cases.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut low_so_far, mut wins) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let high = ties.iter().filter(|case| case.1).count() as f64;
        let low = ties.len() as f64 - high;
        wins += high * (low_so_far + low / 2.0);
        low_so_far += low;
    }
    let pairs = low_so_far * (cases.len() as f64 - low_so_far);
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

/// The area per cell.
pub fn of_cells(scored: &[Scored]) -> f64 {
    auc(&scored.iter().map(|cell| (cell.logit, cell.high)).collect::<Vec<_>>())
}

/// The area per `unit` with its interval.
pub fn estimate(scored: &[Scored], unit: Unit) -> Estimate {
    let mut groups: BTreeMap<(bool, &str, &str), Vec<&Scored>> = BTreeMap::new();
    for cell in scored {
        // A sample's mean is over all its days.
        let day = if unit == Unit::Sample { "" } else { cell.origin.day.as_str() };
        groups.entry((cell.high, &cell.origin.sample, day)).or_default().push(cell);
    }
    let scores: Vec<_> = groups.into_iter().map(|(name, cells)| (name, of_group(&cells, unit))).collect();
    let of_class = |class: bool| -> Vec<f64> {
        let mut all: Vec<f64> = scores.iter().filter(|group| group.0.0 == class).flat_map(|g| g.1.clone()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (high, low) = (of_class(true), of_class(false));
    if high.is_empty() || low.is_empty() {
        return Estimate { value: 0.5, low: 0.0, high: 1.0 };
    }
    let value = high.iter().map(|score| below(&low, *score)).sum::<f64>() / high.len() as f64;
    // By how much one case moves the area: its share of wins less the area, divided among its class.
    let by = |score: f64, class: bool| {
        let wins = if class { below(&low, score) } else { 1.0 - below(&high, score) };
        (wins - value) / if class { high.len() } else { low.len() } as f64
    };
    let least = |class: bool, all: &[f64]| {
        let count = all.len() as f64;
        all.iter().map(|score| by(*score, class).powi(2)).sum::<f64>() * count / (count - 1.0).max(1.0)
    };
    let influences: Vec<Influence<'_>> = scores
        .iter()
        .map(|((high, sample, day), scores)| Influence {
            sample,
            day,
            high: *high,
            by: scores.iter().map(|score| by(*score, *high)).sum(),
        })
        .collect();
    clustered::estimate(value, &influences, least(true, &high) + least(false, &low))
}

/// Share of `sorted` that lies below `score`, ties counting half.
fn below(sorted: &[f64], score: f64) -> f64 {
    let (less, up_to) = (sorted.partition_point(|it| *it < score), sorted.partition_point(|it| *it <= score));
    f64::midpoint(less as f64, up_to as f64) / sorted.len() as f64
}

fn of_group(cells: &[&Scored], unit: Unit) -> Vec<f64> {
    match unit {
        Unit::Frame => cells.iter().flat_map(|c| c.frame_logits.iter().copied()).collect(),
        Unit::Cell => cells.iter().map(|c| c.logit).collect(),
        Unit::Sample => vec![cells.iter().map(|c| c.logit).sum::<f64>() / cells.len().max(1) as f64],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::panel;
    use super::super::{leave_each_out, unchanged};
    use super::*;
    use crate::learn::dataset::Origin;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    #[test]
    fn ties_count_half_and_order_does_not_matter() {
        assert!((auc(&[(1.0, true), (0.0, false), (1.0, false), (2.0, true)]) - 0.875).abs() < 1e-12);
        assert!((auc(&[(1.0, true), (1.0, false)]) - 0.5).abs() < 1e-12);
        assert!((auc(&[(1.0, true)]) - 0.5).abs() < 1e-12, "one class only");
    }

    /// What moves the logits of a day's cells, of a tumour's, of a tumour's on a day, beside the class: standard deviations,
    /// and how far the tumours of a class are set apart on purpose.
    #[derive(Debug, Clone, Copy)]
    struct Moves {
        day: f64,
        tumour: f64,
        both: f64,
        apart: f64,
    }

    /// Cells as on the simulated panel: four tumours of each class over six days, two of each a day, 34 cells of each.
    fn panel_of(moves: Moves, rng: &mut ChaCha8Rng) -> Vec<Scored> {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let apart = |tumour: usize| moves.apart * (2.0 * (tumour % 4) as f64 / 3.0 - 1.0);
        let tumours: Vec<f64> = (0..8).map(|tumour| apart(tumour) + moves.tumour * normal()).collect();
        let mut all = Vec::new();
        for day in 0..6_usize {
            let of_day = moves.day * normal();
            for (place, high) in [(0, true), (1, true), (0, false), (1, false)] {
                let at = (2 * day + place + day / 2) % 4;
                let tumour = if high { at } else { 4 + (at + day) % 4 };
                let mean = tumours[tumour] + of_day + moves.both * normal() + if high { 0.477 } else { -0.477 };
                for cell in 0..34 {
                    let logit = mean + normal();
                    let origin = Origin {
                        day: day.to_string(),
                        sample: format!("m{tumour}"),
                        fov: String::new(),
                        cell: cell.to_string(),
                        time_index: 0,
                        high: Some(high),
                    };
                    all.push(Scored { origin, high, logit, frame_logits: vec![logit] });
                }
            }
        }
        all
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        const PANELS: usize = 1500;
        let none = Moves { day: 0.0, tumour: 0.0, both: 0.0, apart: 0.0 };
        for moves in [
            Moves { day: 0.05, ..none },
            Moves { day: 0.1, both: 0.1, ..none },
            Moves { day: 0.2, tumour: 0.05, both: 0.1, ..none },
            Moves { day: 0.1, tumour: 0.1, both: 0.1, ..none },
            Moves { day: 0.3, both: 0.15, ..none },
            // The panel's own tumours and days, with a describer that adds a little on each of them.
            Moves { day: 0.1, both: 0.05, apart: 0.07, ..none },
        ] {
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let found: Vec<Estimate> = (0..PANELS).map(|_| estimate(&panel_of(moves, &mut rng), Unit::Cell)).collect();
            let mean = |of: &dyn Fn(&Estimate) -> f64| found.iter().map(of).sum::<f64>() / PANELS as f64;
            let truth = mean(&|it| it.value);
            let share = mean(&|it| f64::from(u8::from((it.low..=it.high).contains(&truth))));
            let wide = mean(&|it| it.high - it.low);
            println!(
                "{moves:?}: truth {truth:.3}, {:.1} % of {PANELS} intervals hold it, {wide:.3} wide",
                100.0 * share
            );
            // 95 +- 2, and one standard deviation of the count itself, 0.5.
            assert!((0.93..=0.975).contains(&share), "{moves:?}: {share}");
        }
    }

    #[test]
    fn intervals_hold_the_truth_and_samples_are_easier_than_cells() {
        let mut inside = 0;
        for seed in 0..20 {
            let scored = leave_each_out(&panel(6, 1.0, 0.0, seed), unchanged).unwrap();
            let cells = estimate(&scored, Unit::Cell);
            inside += usize::from((cells.low..=cells.high).contains(&0.760));
            assert!((cells.value - of_cells(&scored)).abs() < 1e-12, "the same area");
            assert!(estimate(&scored, Unit::Sample).value > 0.95);
            assert!(cells.high - cells.low < 0.2);
        }
        assert!(inside >= 17, "{inside} of 20");
    }
}
