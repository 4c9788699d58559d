//! The certificate of a session: every frame that was expected, and what became of it, adding up.
//!
//! Takes counted facts ([`SessionFacts`], gathered by the store) and what was expected ([`Expectation`]), gives a
//! [`Certificate`]: per field of view `expected = analysed + failed + skipped + open + missing`, where failed frames have a
//! code and skipped ones a reason. **Unexplained** is what is missing or still open; a certificate is complete when
//! that is nothing. It renders as [text](Certificate::to_text), JSON (it serialises) and a [page](Certificate::to_html) fit to print.

mod html;
mod text;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Gaps listed per field of view; more are counted, not listed.
const LISTED_GAPS: usize = 50;

/// What is known about the frames of one time index of a field of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeFacts {
    /// The time index, as the instrument counts.
    pub time_index: i64,
    /// Frames in the ledger (one per channel and focal plane).
    pub received: u32,
    /// Of those: result committed.
    pub analysed: u32,
    /// Of those: given up with a code.
    pub failed: u32,
    /// Of those: not for analysis (another channel, another plane).
    pub skipped: u32,
}

/// A field of view of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FovFacts {
    /// Its name.
    pub fov: String,
    /// Its sample's name.
    pub sample: String,
    /// What was received, by time index, ascending.
    pub times: Vec<TimeFacts>,
    /// Frames whose time index is not known.
    pub untimed: u32,
    /// Cells whose score counts.
    pub scored: u64,
    /// Cells whose score is withheld.
    pub withheld: u64,
}

/// Frames that share a state and a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The ledger's state.
    pub state: String,
    /// Stable code or reason.
    pub reason: String,
    /// How many frames.
    pub frames: u64,
    /// The first such source by name, relative to the watched folder.
    pub first_path: String,
}

/// Cells of the session and what was withheld.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CellFacts {
    /// Detections.
    pub cells: u64,
    /// Detections with a score that counts.
    pub scored: u64,
    /// Detections that no model has seen (no crop, or no model).
    pub without_score: u64,
    /// Withheld scores by reason.
    pub withheld: BTreeMap<String, u64>,
    /// Analysed frames by verdict.
    pub frame_verdicts: BTreeMap<String, u64>,
}

/// An alert that was raised while the session ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertFacts {
    /// Stable name of the rule.
    pub rule: String,
    /// What it speaks of.
    pub subject: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What happened.
    pub text: String,
    /// Since when, UTC.
    pub raised_unix_ms: i64,
    /// Until when; `None` while open.
    pub cleared_unix_ms: Option<i64>,
}

/// A run of the software that analysed frames of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Identity in the database.
    pub run: i64,
    /// Version of the software.
    pub software_version: String,
    /// Host name.
    pub host: String,
    /// Engine that ran the model.
    pub engine: String,
    /// Hash of the settings.
    pub settings_sha256: String,
    /// Model bundle: name, version and hash; `None` when it ran without one.
    pub bundle: Option<BundleFacts>,
    /// Start, UTC.
    pub started_unix_ms: i64,
    /// Orderly end, UTC; `None` when it still runs or was killed.
    pub ended_unix_ms: Option<i64>,
    /// Frames of the session that it analysed.
    pub frames: u64,
}

/// A model bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFacts {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Hash over its files.
    pub sha256: String,
}

/// Scores that a bundle added to a session that another bundle had scored first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterScores {
    /// Which bundle.
    pub bundle: BundleFacts,
    /// Cells that it scored or withheld.
    pub cells: u64,
}

/// Everything the database knows about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Instrument's name.
    pub instrument: String,
    /// Session's name.
    pub session: String,
    /// When its first frame was seen, UTC.
    pub first_seen_unix_ms: i64,
    /// When its last result was committed, UTC.
    pub last_committed_unix_ms: Option<i64>,
    /// Fields of view in the order of their names; a certificate holds their accounts instead.
    #[serde(skip)]
    pub fovs: Vec<FovFacts>,
    /// Frames that are not analysed, by state and reason.
    pub reasons: Vec<Reason>,
    /// Frames in the watched folder that belong to no session (their names fit no template), by state and reason.
    pub unplaced: Vec<Reason>,
    /// Cells.
    pub cells: CellFacts,
    /// Alerts raised between the first frame seen and the last result.
    pub alerts: Vec<AlertFacts>,
    /// Runs that analysed its frames.
    pub runs: Vec<RunFacts>,
    /// Bundles that looked again at cells that another one had scored first; not part of the hash.
    pub later_scores: Vec<LaterScores>,
    /// Hash over every result of the session in a fixed order; `None` where results were only counted.
    pub results_sha256: Option<String>,
}

/// How many frames there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// From the names and containers seen: every field is expected at every time index between the session's first and last. What
    /// the instrument never wrote before the first or after the last cannot be known this way.
    Seen,
    /// As configured.
    Configured {
        /// Time points per field of view.
        times: u32,
        /// Fields of view; `None` when as many as were seen.
        fovs: Option<u32>,
    },
}

/// `[expected]`: how many frames a session should have; 0 where only the names can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// Time points of every field of view.
    pub times: u32,
    /// Fields of view; without time points it says nothing.
    pub fovs: u32,
}

impl From<Expected> for Expectation {
    fn from(it: Expected) -> Self {
        let known = |count: u32| (count > 0).then_some(count);
        known(it.times).map_or(Self::Seen, |times| Self::Configured { times, fovs: known(it.fovs) })
    }
}

/// Frames of one field of view, or of all: `expected = analysed + failed + skipped + open + missing - surplus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Frames that should be there.
    pub expected: u64,
    /// Frames in the ledger.
    pub received: u64,
    /// Result committed.
    pub analysed: u64,
    /// Given up with a code.
    pub failed: u64,
    /// Not for analysis, with a reason.
    pub skipped: u64,
    /// Neither: still on their way.
    pub open: u64,
    /// Expected and never received.
    pub missing: u64,
    /// Received and not expected (the same frame twice, or outside the expected times).
    pub surplus: u64,
}

impl Account {
    fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.analysed += other.analysed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.open += other.open;
        self.missing += other.missing;
        self.surplus += other.surplus;
    }
}

/// One field of view on the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FovAccount {
    /// Its name.
    pub fov: String,
    /// Its sample's name.
    pub sample: String,
    /// Its frames.
    pub account: Account,
    /// Time indices (first and last of each gap) at which frames are missing; at most 50 gaps are listed.
    pub gaps: Vec<(i64, i64)>,
    /// Cells whose score counts.
    pub scored: u64,
    /// Cells whose score is withheld.
    pub withheld: u64,
}

impl FovAccount {
    /// Share of its scores that are withheld, 0..=1; `None` without any.
    pub fn withheld_share(&self) -> Option<f64> {
        let all = self.scored + self.withheld;
        (all > 0).then(|| self.withheld as f64 / all as f64)
    }
}

/// What became of a session, adding up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// When it was issued, UTC.
    pub issued_unix_ms: i64,
    /// Version of the software that issued it.
    pub issued_by: String,
    /// How the expected number was found.
    pub expectation: Expectation,
    /// Whether nothing is missing and nothing open.
    pub complete: bool,
    /// Frames missing or open.
    pub unexplained: u64,
    /// All fields of view together.
    pub total: Account,
    /// Expected fields of view of which nothing was received.
    pub missing_fovs: u32,
    /// Field by field.
    pub fovs: Vec<FovAccount>,
    /// What it rests on.
    #[serde(flatten)]
    pub facts: SessionFacts,
}

/// The certificate of a session; `issued_unix_ms` is the present, UTC.
pub fn certify(mut facts: SessionFacts, expectation: Expectation, issued_unix_ms: i64) -> Certificate {
    let seen = facts.fovs.iter().flat_map(|fov| &fov.times).map(|time| time.time_index);
    let first = seen.clone().min();
    let last = seen.max();
    let range = match (expectation, first, last) {
        (Expectation::Seen, Some(first), Some(last)) => Some((first, last)),
        (Expectation::Configured { times, .. }, first, _) if times > 0 => {
            // Instruments count from 0 or 1; what was seen says which.
            let first = first.unwrap_or(0).min(1);
            Some((first, first + i64::from(times) - 1))
        }
        _ => None,
    };
    let usual_planes = usual(facts.fovs.iter().flat_map(|fov| &fov.times).map(|time| time.received));
    let mut total = Account::default();
    let mut fovs = Vec::with_capacity(facts.fovs.len());
    for fov in std::mem::take(&mut facts.fovs) {
        let account = account_of(&fov, range);
        total.add(&account.account);
        fovs.push(account);
    }
    let missing_fovs = match expectation {
        Expectation::Configured { fovs: Some(expected), .. } => expected.saturating_sub(fovs.len() as u32),
        _ => 0,
    };
    if let Some((first, last)) = range {
        let frames = u64::from(missing_fovs) * u64::from(usual_planes) * (last - first + 1).unsigned_abs();
        total.expected += frames;
        total.missing += frames;
    }
    let unplaced: u64 = facts
        .unplaced
        .iter()
        .filter(|it| !["skipped", "failed"].contains(&it.state.as_str()))
        .map(|it| it.frames)
        .sum();
    let unexplained = total.missing + total.open + unplaced;
    Certificate {
        issued_unix_ms,
        issued_by: format!("cytowatch {}", env!("CARGO_PKG_VERSION")),
        expectation,
        complete: unexplained == 0,
        unexplained,
        total,
        missing_fovs,
        fovs,
        facts,
    }
}

/// Accounts for the frames of one field; `range` is the first and last expected time index.
fn account_of(fov: &FovFacts, range: Option<(i64, i64)>) -> FovAccount {
    let mut account =
        Account { received: u64::from(fov.untimed), surplus: u64::from(fov.untimed), ..Account::default() };
    account.open = u64::from(fov.untimed);
    let planes = usual(fov.times.iter().map(|time| time.received));
    let mut gaps: Vec<(i64, i64)> = Vec::new();
    let mut missing_at = |first: i64, last: i64| match gaps.last_mut() {
        Some(gap) if gap.1 + 1 >= first => gap.1 = last,
        _ => gaps.push((first, last)),
    };
    let mut next = range.map(|(first, _)| first);
    for time in &fov.times {
        let settled = time.analysed + time.failed + time.skipped;
        account.received += u64::from(time.received);
        account.analysed += u64::from(time.analysed);
        account.failed += u64::from(time.failed);
        account.skipped += u64::from(time.skipped);
        account.open += u64::from(time.received.saturating_sub(settled));
        let within = range.is_some_and(|(first, last)| (first..=last).contains(&time.time_index));
        if !within {
            account.surplus += u64::from(time.received);
            continue;
        }
        if let Some(next) = next.filter(|next| *next < time.time_index) {
            account.missing += u64::from(planes) * (time.time_index - next).unsigned_abs();
            missing_at(next, time.time_index - 1);
        }
        if time.received < planes {
            account.missing += u64::from(planes - time.received);
            missing_at(time.time_index, time.time_index);
        }
        account.surplus += u64::from(time.received.saturating_sub(planes));
        next = Some(time.time_index + 1);
    }
    if let (Some((first, last)), Some(next)) = (range, next) {
        if next <= last {
            account.missing += u64::from(planes) * (last - next + 1).unsigned_abs();
            missing_at(next, last);
        }
        account.expected = u64::from(planes) * (last - first + 1).unsigned_abs();
    }
    gaps.truncate(LISTED_GAPS);
    let (scored, withheld) = (fov.scored, fov.withheld);
    FovAccount { fov: fov.fov.clone(), sample: fov.sample.clone(), account, gaps, scored, withheld }
}

/// The most frequent value, the larger of equals; at least 1.
fn usual(counts: impl Iterator<Item = u32>) -> u32 {
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    for count in counts {
        *times.entry(count).or_default() += 1;
    }
    times.iter().max_by_key(|(count, times)| (**times, **count)).map_or(1, |(count, _)| (*count).max(1))
}

/// A time as people read it: UTC, to the second.
fn utc(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| unix_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Gaps as people read them: `3, 17-19`.
fn ranges(gaps: &[(i64, i64)]) -> String {
    let one = |(first, last): &(i64, i64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    gaps.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "certificate/tests.rs"]
mod tests;
