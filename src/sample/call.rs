//! The call on a sample: high, low, undecided or withheld, with an interval, a reason, and how many more cells it needs.
//!
//! Takes the running scores of a sample's tracks ([`TrackScore`]) and the time of the newest frame, gives a [`Call`].
//! The memory between two looks is [`CallTracker`], which serialises, so that a restart goes on from exactly there.
//!
//! # The rule
//!
//! A track counts as a cell from [`CallRule::min_scored_frames`] scored frames on; its score is the sigmoid of its mean
//! logit, and the sample's score is the mean over cells. The data are **looked at** not with every frame but when the
//! evidence has grown: a quarter more cells, or twice the scored frames. Look `j` (1, 2, ..) may err with probability
//! `error_share / (j (j + 1))`; these shares add up to `error_share`, so the chance of *ever* calling a sample wrongly is
//! bounded by it, however long the session runs (a union bound: it holds for any dependence between looks, also when
//! cells come back at the next look with more frames). At a look the sample is called when its mean lies further from
//! the threshold than the Student bound of that share; the variance has a part between cells, one between fields
//! of view and one between sessions (see [`CallRule::fov_correlation`]).
//!
//! ```text
//!              bound passed                 bound of the other side passed
//! undecided ----------------> high  <--------------------------------------> low
//!     ^                        |
//!     +------------------------+  at a look, the score lies past the threshold by more than its standard error
//! ```
//!
//! A standing call is kept between looks and through looks that would not make it anew. Noise cannot make it flicker:
//! leaving costs a crossing of the threshold, coming back costs a smaller error share each time.
//! `docs/calls.md` has the figures: error shares, power, coverage.

mod bootstrap;
mod spread;
pub mod student;

use crate::id::{FovId, SessionId, TrackId};
use serde::{Deserialize, Serialize};
use spread::{Placed, Prior, Spread};
use std::fmt;

/// Frames must grow by this factor for a new look when the cells do not.
const FRAMES_GROWTH: f64 = 2.0;
/// Looks that are thought ahead when cells needed are reckoned.
const LOOKS_AHEAD: u32 = 40;
/// More cells than this are not promised.
const MOST_CELLS: f64 = 20_000.0;

/// What a track has said so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrackScore {
    /// The session it was filmed in.
    pub session: SessionId,
    /// Its field of view.
    pub fov: FovId,
    /// The track.
    pub track: TrackId,
    /// Frames whose score counts.
    pub scored_count: u32,
    /// Frames whose score was withheld.
    pub withheld_count: u32,
    /// Sum of the logits of the frames that count.
    pub logit_sum: f64,
}

impl TrackScore {
    /// The discriminant's posterior on the mean descriptor, 0..=1; `None` before the first scored frame.
    pub fn score(&self) -> Option<f64> {
        let mean = self.logit_sum / f64::from(self.scored_count);
        (self.scored_count > 0 && mean.is_finite()).then(|| 1.0 / (1.0 + (-mean).exp()))
    }
}

/// How samples are called.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallRule {
    /// Mean score that separates low from high, 0..1.
    pub threshold: f64,
    /// Fewer cells are never called.
    pub min_cells: u32,
    /// A track counts as a cell from this many scored frames on.
    pub min_scored_frames: u32,
    /// Probability of ever calling a sample that lies on the threshold, for each of the two verdicts, 0..0.5.
    pub error_share: f64,
    /// Cells must grow by this factor for a new look, > 1.
    pub look_growth: f64,
    /// Share of a cell's variance that its field of view (and its session, with several) is believed to explain before
    /// it is measured, 0..1.
    pub fov_correlation: f64,
    /// How many fields that belief is worth, > 0; with more fields the measurement takes over.
    pub fov_correlation_weight: f64,
    /// A larger share of withheld scores withholds the call: what is left may be a biased choice.
    pub max_withheld_share: f64,
    /// Replicates of the bootstrap.
    pub replicates: u32,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl Default for CallRule {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            min_cells: 20,
            min_scored_frames: 5,
            error_share: 0.05,
            look_growth: 1.25,
            fov_correlation: 0.05,
            fov_correlation_weight: 4.0,
            max_withheld_share: 0.5,
            replicates: 1000,
            seed: 56,
        }
    }
}

/// The two verdicts that claim something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The sample's mean score lies above the threshold.
    High,
    /// The sample's mean score lies below the threshold.
    Low,
}

impl Side {
    /// Stable name in the database, the API and exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

/// What is said about a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Called high.
    High,
    /// Called low.
    Low,
    /// Not enough evidence yet.
    Undecided,
    /// The numbers must not be used; the reason says why.
    Withheld,
}

impl Verdict {
    /// Stable name in the database, the API and exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Undecided => "undecided",
            Self::Withheld => "withheld",
        }
    }
}

/// Why the verdict is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallReason {
    /// The evidence passed the bound of its look.
    Called,
    /// Fewer cells than the rule asks for.
    TooFewCells,
    /// The score is too near the threshold for this many cells.
    NotSettled,
    /// The fields differ so much (or are so few) that more cells in them will not settle it.
    TooFewFields,
    /// The score lies so near the threshold that neither more cells nor more fields like these would settle it.
    AtThreshold,
    /// A call was made and taken back, because later cells moved the score across the threshold.
    TakenBack,
    /// Most scores were withheld.
    MostWithheld,
}

impl CallReason {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Called => "called",
            Self::TooFewCells => "too_few_cells",
            Self::NotSettled => "not_settled",
            Self::TooFewFields => "too_few_fields",
            Self::AtThreshold => "at_threshold",
            Self::TakenBack => "taken_back",
            Self::MostWithheld => "most_withheld",
        }
    }
}

/// The call on a sample at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: CallReason,
    /// Mean score over cells, 0..=1; `None` without a cell.
    pub score: Option<f64>,
    /// 95 % interval of the score for this moment (not corrected for looking often), 0..=1.
    pub interval: Option<(f64, f64)>,
    /// Cells that count.
    pub cells: u32,
    /// Fields of view they lie in.
    pub fovs: u32,
    /// Share of withheld scores, 0..=1.
    pub withheld_share: f64,
    /// While undecided: about this many more cells at this field count settle it, if the score stays where it is.
    pub cells_needed: Option<u32>,
    /// While undecided: about this many more fields like these settle it.
    pub fovs_needed: Option<u32>,
    /// Since when the verdict high or low stands, UTC.
    pub standing_since_unix_ms: Option<i64>,
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.verdict.name())?;
        if let (Some(score), Some((low, high))) = (self.score, self.interval) {
            write!(out, "score {score:.2} ({low:.2} to {high:.2}) from ")?;
        }
        write!(out, "{} cells in {} fields of view", self.cells, self.fovs)?;
        match self.reason {
            CallReason::MostWithheld => {
                write!(out, "; {:.0} % of the scores are withheld", 100.0 * self.withheld_share)
            }
            CallReason::AtThreshold => write!(out, "; the score lies on the threshold"),
            CallReason::TakenBack => write!(out, "; an earlier call was taken back"),
            _ => Ok(()),
        }?;
        if let Some(more) = self.cells_needed {
            return write!(out, "; about {more} more cells at this field count");
        }
        if let Some(more) = self.fovs_needed {
            return write!(out, "; more cells here will not settle it, about {more} more fields would");
        }
        Ok(())
    }
}

/// A call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MadeCall {
    /// What was called.
    pub side: Side,
    /// Time of the newest frame then, UTC.
    pub at_unix_ms: i64,
    /// Cells that counted then.
    pub cells: u32,
    /// Which look it was, from 1.
    pub look: u32,
}

/// The memory of a sample's looks; serialises for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CallTracker {
    looks: u32,
    cells_at_look: u32,
    frames_at_look: u64,
    standing: Option<MadeCall>,
    first: Option<MadeCall>,
    changes: u32,
}

/// The tracks that count, ready for statistics.
struct Evidence {
    cells: Vec<Placed>,
    frames: u64,
    withheld_share: f64,
}

impl CallTracker {
    /// The first call that was ever made on this sample.
    pub fn first_call(&self) -> Option<MadeCall> {
        self.first
    }

    /// The call that stands.
    pub fn standing_call(&self) -> Option<MadeCall> {
        self.standing
    }

    /// Looks taken.
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// How often a call was taken back or turned over.
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// The call on a sample with these tracks (in any order); `at_unix_ms` is the time of its newest frame, UTC.
    ///
    /// For the same history on every run, update at the same frames: all fields of view up to the same time index.
    pub fn update(&mut self, rule: &CallRule, tracks: &[TrackScore], at_unix_ms: i64) -> Call {
        let evidence = gather(rule, tracks);
        let spread = spread_of(rule, &evidence);
        if self.is_due(rule, &evidence)
            && let Some(spread) = &spread
        {
            self.look(rule, &evidence, spread, at_unix_ms);
        }
        self.call(rule, &evidence, spread.as_ref())
    }

    /// [`Self::update`] without the call's interval and needs, for many simulated sessions.
    pub(crate) fn observe(&mut self, rule: &CallRule, tracks: &[TrackScore], at_unix_ms: i64) {
        let evidence = gather(rule, tracks);
        if self.is_due(rule, &evidence)
            && let Some(spread) = spread_of(rule, &evidence)
        {
            self.look(rule, &evidence, &spread, at_unix_ms);
        }
    }

    /// Whether the evidence has grown enough for a look.
    fn is_due(&self, rule: &CallRule, evidence: &Evidence) -> bool {
        let cells = evidence.cells.len() as u32;
        let grown = f64::from(cells) >= rule.look_growth * f64::from(self.cells_at_look)
            || evidence.frames as f64 >= FRAMES_GROWTH * self.frames_at_look as f64;
        cells >= rule.min_cells && evidence.withheld_share <= rule.max_withheld_share && (self.looks == 0 || grown)
    }

    /// Takes a look: makes, keeps, turns over or takes back the call.
    fn look(&mut self, rule: &CallRule, evidence: &Evidence, spread: &Spread, at_unix_ms: i64) {
        let cells = evidence.cells.len() as u32;
        self.looks += 1;
        self.cells_at_look = cells;
        self.frames_at_look = evidence.frames;
        let distance = spread.mean - rule.threshold;
        let side = if distance > 0.0 { Side::High } else { Side::Low };
        let settled = distance.abs() > spread.reach(share_of_look(rule, self.looks), 1.0, 1.0);
        let next = match self.standing {
            Some(made) if made.side == side => Some(made),
            Some(made) if !settled && distance.abs() <= spread.standard_error() => Some(made),
            _ if settled => Some(MadeCall { side, at_unix_ms, cells, look: self.looks }),
            _ => None,
        };
        if self.standing.is_some() && self.standing != next {
            self.changes += 1;
        }
        self.standing = next;
        self.first = self.first.or(next);
    }

    fn call(&self, rule: &CallRule, evidence: &Evidence, spread: Option<&Spread>) -> Call {
        let cells = evidence.cells.len() as u32;
        let needs = match spread {
            Some(spread) if self.standing.is_none() => self.needs(rule, spread),
            _ => Needs { cells: (spread.is_none()).then_some(rule.min_cells), fovs: None },
        };
        let (verdict, reason) = if evidence.withheld_share > rule.max_withheld_share {
            (Verdict::Withheld, CallReason::MostWithheld)
        } else {
            match self.standing.map(|made| made.side) {
                Some(Side::High) => (Verdict::High, CallReason::Called),
                Some(Side::Low) => (Verdict::Low, CallReason::Called),
                None if cells < rule.min_cells => (Verdict::Undecided, CallReason::TooFewCells),
                None if self.first.is_some() => (Verdict::Undecided, CallReason::TakenBack),
                None if needs.cells.is_some() => (Verdict::Undecided, CallReason::NotSettled),
                None if needs.fovs.is_some() => (Verdict::Undecided, CallReason::TooFewFields),
                None => (Verdict::Undecided, CallReason::AtThreshold),
            }
        };
        let undecided = verdict == Verdict::Undecided;
        Call {
            verdict,
            reason,
            score: spread.map(|it| it.mean),
            interval: spread.map(|it| bootstrap::interval(&evidence.cells, it, rule.replicates, rule.seed)),
            cells,
            fovs: spread.map_or(0, |it| it.fovs as u32),
            withheld_share: evidence.withheld_share,
            cells_needed: needs.cells.filter(|_| undecided),
            fovs_needed: needs.fovs.filter(|_| undecided && needs.cells.is_none()),
            standing_since_unix_ms: self.standing.map(|made| made.at_unix_ms),
        }
    }

    /// How much more it takes to settle, if the score and its spread stay as they are.
    fn needs(&self, rule: &CallRule, spread: &Spread) -> Needs {
        let cells = spread.cells as f64;
        let distance = (spread.mean - rule.threshold).abs();
        let first_look = f64::from(rule.min_cells).max(f64::from(self.cells_at_look) * rule.look_growth).max(cells);
        let looks = (0..LOOKS_AHEAD).map(|ahead| {
            let then = (first_look * rule.look_growth.powi(ahead as i32)).ceil();
            (then, share_of_look(rule, self.looks + 1 + ahead))
        });
        let looks: Vec<(f64, f64)> = looks.take_while(|(then, _)| *then <= MOST_CELLS).collect();
        let settles = |&&(then, share): &&(f64, f64)| distance > spread.reach(share, then / cells, 1.0);
        let settles_with_fields = |&&(then, share): &&(f64, f64)| distance > spread.reach(share, 1.0, then / cells);
        let fields = looks.iter().find(settles_with_fields).map(|(then, _)| {
            let fovs = spread.fovs as f64;
            (fovs * then / cells - fovs).ceil().max(1.0) as u32
        });
        Needs { cells: looks.iter().find(settles).map(|(then, _)| (then - cells).max(1.0) as u32), fovs: fields }
    }
}

/// What would settle an undecided sample.
#[derive(Debug, Clone, Copy)]
struct Needs {
    cells: Option<u32>,
    fovs: Option<u32>,
}

fn spread_of(rule: &CallRule, evidence: &Evidence) -> Option<Spread> {
    let prior = Prior { correlation: rule.fov_correlation, weight: rule.fov_correlation_weight };
    Spread::of(&evidence.cells, prior)
}

/// The probability with which look `look` (from 1) may err on each side.
fn share_of_look(rule: &CallRule, look: u32) -> f64 {
    let look = f64::from(look.max(1));
    rule.error_share / (look * (look + 1.0))
}

/// The tracks that count as cells, in the order of session, field and track.
fn gather(rule: &CallRule, tracks: &[TrackScore]) -> Evidence {
    let mut tracks = tracks.to_vec();
    tracks.sort_unstable_by_key(|it| (it.session, it.fov, it.track));
    let scored: u64 = tracks.iter().map(|it| u64::from(it.scored_count)).sum();
    let withheld: u64 = tracks.iter().map(|it| u64::from(it.withheld_count)).sum();
    let mut evidence = Evidence {
        cells: Vec::with_capacity(tracks.len()),
        frames: 0,
        withheld_share: if scored + withheld > 0 { withheld as f64 / (scored + withheld) as f64 } else { 0.0 },
    };
    let mut last: Option<(SessionId, FovId)> = None;
    let (mut session, mut fov) = (0, 0);
    for track in tracks.iter().filter(|it| it.scored_count >= rule.min_scored_frames) {
        let Some(score) = track.score() else { continue };
        if let Some(last) = last {
            session += usize::from(last.0 != track.session);
            fov += usize::from(last != (track.session, track.fov));
        }
        last = Some((track.session, track.fov));
        evidence.frames += u64::from(track.scored_count);
        evidence.cells.push(Placed { session, fov, score });
    }
    evidence
}

#[cfg(test)]
#[path = "call/tests.rs"]
mod tests;
