//! How far a sample's mean score may be off: variance between cells, between fields of view and between sessions.
//!
//! Takes the scores of a sample's cells in a fixed order, gives [`Spread`]: the mean and its variance as a sum of three
//! parts, each with its degrees of freedom. With few fields the variance between them cannot be measured; it is then
//! held up by what other samples showed ([`Prior`]), so that one field alone never looks surer than it is.

use super::student;

/// One cell's score and where it was seen, as indices counted from 0 without holes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Which session.
    pub session: usize,
    /// Which field of view, unique over all sessions.
    pub fov: usize,
    /// Score, 0..=1.
    pub score: f64,
}

/// What is believed about fields and sessions before they are measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior {
    /// Share of a cell's variance that its field of view explains, 0..1.
    pub correlation: f64,
    /// How many fields that belief is worth, > 0.
    pub weight: f64,
}

/// A part of the variance of the mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Variance that this part adds to the mean.
    pub variance: f64,
    /// Degrees of freedom with which it is known.
    pub degrees: f64,
}

/// The mean score of a sample and how far it may be off.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    /// Mean over cells.
    pub mean: f64,
    /// Number of cells.
    pub cells: usize,
    /// Number of fields of view.
    pub fovs: usize,
    /// From cell to cell within a field.
    pub within: Part,
    /// From field to field within a session.
    pub between_fovs: Part,
    /// From session to session; zero with one session, where it cannot be seen.
    pub between_sessions: Part,
}

/// Scores are not known better than this (standard deviation of one cell), so that equal scores never make a zero interval.
const SMALLEST_SD: f64 = 0.01;

/// Count and sum of a group, and the session it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    pub session: usize,
    pub count: f64,
    pub sum: f64,
}

impl Group {
    pub(super) fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }
}

impl Spread {
    /// The spread of `cells`; `None` when there are none.
    pub(super) fn of(cells: &[Placed], prior: Prior) -> Option<Self> {
        let n = cells.len() as f64;
        if cells.is_empty() {
            return None;
        }
        let fovs = groups(cells, |cell| cell.fov);
        let sessions = groups(cells, |cell| cell.session);
        let (g, s) = (fovs.len() as f64, sessions.len() as f64);
        let mean = cells.iter().map(|cell| cell.score).sum::<f64>() / n;

        // Cell to cell: pooled over fields; with one cell per field, over everything.
        let fov_mean = |fov: usize| fovs.get(fov).map_or(mean, Group::mean);
        let (squares, within_degrees) = if n > g {
            (cells.iter().map(|cell| (cell.score - fov_mean(cell.fov)).powi(2)).sum::<f64>(), n - g)
        } else {
            (cells.iter().map(|cell| (cell.score - mean).powi(2)).sum::<f64>(), (n - 1.0).max(1.0))
        };
        let within = (squares / within_degrees).max(SMALLEST_SD * SMALLEST_SD);
        let believed = within * prior.correlation / (1.0 - prior.correlation);

        // Field to field, by the method of moments, held up by the prior.
        let session_of = |session: usize| sessions.get(session).copied().unwrap_or_default();
        let fov_squares: f64 =
            fovs.iter().map(|fov| fov.count * (fov.mean() - session_of(fov.session).mean()).powi(2)).sum();
        let fov_size = n - fovs.iter().map(|fov| fov.count.powi(2) / session_of(fov.session).count).sum::<f64>();
        let fov_seen = moment(fov_squares - (g - s) * within, fov_size);
        let fov_variance = held_up(believed, prior.weight, fov_seen, g - s);

        // Session to session, the same way, once there are two.
        let session_squares: f64 = sessions.iter().map(|it| it.count * (it.mean() - mean).powi(2)).sum();
        let fov_share: f64 =
            fovs.iter().map(|fov| fov.count.powi(2) * (1.0 / session_of(fov.session).count - 1.0 / n)).sum();
        let session_size = n - sessions.iter().map(|it| it.count.powi(2)).sum::<f64>() / n;
        let session_seen = moment(session_squares - (s - 1.0) * within - fov_share * fov_variance, session_size);
        let session_variance = if s > 1.0 { held_up(believed, prior.weight, session_seen, s - 1.0) } else { 0.0 };

        let concentration = |groups: &[Group]| groups.iter().map(|it| (it.count / n).powi(2)).sum::<f64>();
        Some(Self {
            mean,
            cells: cells.len(),
            fovs: fovs.len(),
            within: Part { variance: within / n, degrees: within_degrees },
            between_fovs: Part {
                variance: fov_variance * concentration(&fovs),
                degrees: (prior.weight + g - s).max(1.0),
            },
            between_sessions: Part {
                variance: session_variance * concentration(&sessions),
                degrees: (prior.weight + s - 1.0).max(1.0),
            },
        })
    }

    /// Half the width of the one-sided interval that errs with probability `share`, were there `cell_factor` times as
    /// many cells in every field and `fov_factor` times as many fields.
    pub(super) fn reach(&self, share: f64, cell_factor: f64, fov_factor: f64) -> f64 {
        let within = self.within.variance / (cell_factor * fov_factor);
        let fovs = self.between_fovs.variance / fov_factor;
        let sessions = self.between_sessions.variance;
        let variance = within + fovs + sessions;
        let fov_degrees = self.between_fovs.degrees + (fov_factor - 1.0) * self.fovs as f64;
        let doubt = within.powi(2) / (self.within.degrees * cell_factor * fov_factor)
            + fovs.powi(2) / fov_degrees
            + sessions.powi(2) / self.between_sessions.degrees;
        // Welch and Satterthwaite: the degrees of freedom of a sum of variances.
        let degrees = if doubt > 0.0 { variance.powi(2) / doubt } else { f64::from(u32::MAX) };
        student::quantile(share, degrees) * variance.sqrt()
    }

    /// Standard error of the mean.
    pub(super) fn standard_error(&self) -> f64 {
        (self.within.variance + self.between_fovs.variance + self.between_sessions.variance).sqrt()
    }
}

/// Counts and sums by `key`, which runs from 0 without holes.
pub(super) fn groups(cells: &[Placed], key: impl Fn(&Placed) -> usize) -> Vec<Group> {
    let mut groups = vec![Group::default(); cells.iter().map(|cell| key(cell) + 1).max().unwrap_or(0)];
    for cell in cells {
        if let Some(group) = groups.get_mut(key(cell)) {
            group.session = cell.session;
            group.count += 1.0;
            group.sum += cell.score;
        }
    }
    groups
}

fn moment(excess: f64, size: f64) -> f64 {
    if size > 1e-9 { excess / size } else { 0.0 }
}

/// The mean of a belief worth `weight` and a measurement worth `degrees`; never negative.
fn held_up(believed: f64, weight: f64, seen: f64, degrees: f64) -> f64 {
    ((weight * believed + degrees * seen) / (weight + degrees)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { correlation: 0.05, weight: 4.0 };

    fn cells(fields: &[&[f64]]) -> Vec<Placed> {
        let placed = |(fov, scores): (usize, &&[f64])| {
            scores.iter().map(move |&score| Placed { session: 0, fov, score }).collect::<Vec<_>>()
        };
        fields.iter().enumerate().flat_map(placed).collect()
    }

    #[test]
    fn fields_that_differ_widen_the_interval() {
        let alike = Spread::of(&cells(&[&[0.4, 0.6], &[0.4, 0.6], &[0.4, 0.6]]), PRIOR).unwrap();
        let differ = Spread::of(&cells(&[&[0.2, 0.4], &[0.4, 0.6], &[0.6, 0.8]]), PRIOR).unwrap();
        assert!((alike.mean - differ.mean).abs() < 1e-12);
        assert!(differ.standard_error() > 1.3 * alike.standard_error());
    }

    #[test]
    fn one_field_is_never_surer_than_other_samples_taught() {
        let many: Vec<f64> = (0..10_000).map(|i| if i % 2 == 0 { 0.4 } else { 0.6 }).collect();
        let one = Spread::of(&cells(&[&many]), PRIOR).unwrap();
        // Standard deviation 0.1 between cells, 5 % of the variance from the field: 0.1 * sqrt(0.05 / 0.95).
        assert!(one.standard_error() > 0.0229, "{}", one.standard_error());
    }

    #[test]
    fn more_cells_help_only_down_to_what_the_fields_leave() {
        let spread = Spread::of(&cells(&[&[0.2, 0.4], &[0.4, 0.6], &[0.6, 0.8]]), PRIOR).unwrap();
        let floor = spread.reach(0.05, 1e9, 1.0);
        assert!(spread.reach(0.05, 2.0, 1.0) > floor && floor > 0.0);
        assert!(spread.reach(0.05, 1.0, 1e6) < floor / 10.0);
    }

    #[test]
    fn equal_scores_leave_a_finite_interval() {
        let spread = Spread::of(&cells(&[&[0.9; 30]]), PRIOR).unwrap();
        assert!(spread.standard_error() > 0.0);
        assert!(Spread::of(&[], PRIOR).is_none());
    }
}
