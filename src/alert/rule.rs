//! The rules: facts in, what to raise and what to clear out. Pure; time is among the facts.
//!
//! Every rule has two limits: past the one an alert is raised, back past the other it is cleared, and in between it
//! stays as it is. So a value that trembles around a limit gives one alert, not a hundred.

use super::settings::AlertSettings;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time indices among which the pace of a field is known.
const LEAST_STEPS: i64 = 3;
/// Frames that must have ended before shares mean anything.
const LEAST_FRAMES: i64 = 5;
/// Frames of a field before its light can drift.
const LEAST_FRAMES_FOR_DRIFT: i64 = 30;
/// A cleared value must be this much better than the limit that raised it.
const EASE: f64 = 0.7;

/// The rules, by stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A field of view, or all of them, gives no frame any more.
    Stalled,
    /// The watched folder does not answer.
    FolderGone,
    /// The disk fills.
    DiskLow,
    /// A field of view's newest frames are out of focus.
    FocusLost,
    /// The network that finds cells is in doubt about a field of view's newest frames.
    FinderDoubts,
    /// A field of view's light differs from its first frames'.
    Drift,
    /// Most scores are withheld.
    WithheldHigh,
    /// Many of the newest frames failed.
    FailuresRising,
    /// A stage gives no sign of life.
    StageSilent,
    /// A sample is called.
    CallReached,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 10] = [
        Self::Stalled,
        Self::FolderGone,
        Self::DiskLow,
        Self::FocusLost,
        Self::FinderDoubts,
        Self::Drift,
        Self::WithheldHigh,
        Self::FailuresRising,
        Self::StageSilent,
        Self::CallReached,
    ];

    /// Stable name in the database, the webhook and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::FolderGone => "folder_gone",
            Self::DiskLow => "disk_low",
            Self::FocusLost => "focus_lost",
            Self::FinderDoubts => "finder_doubts",
            Self::Drift => "drift",
            Self::WithheldHigh => "withheld_high",
            Self::FailuresRising => "failures_rising",
            Self::StageSilent => "stage_silent",
            Self::CallReached => "call_reached",
        }
    }

    /// `info`, `warning` or `critical`.
    pub fn severity(self) -> &'static str {
        match self {
            Self::FolderGone | Self::StageSilent => "critical",
            Self::CallReached => "info",
            _ => "warning",
        }
    }
}

/// How a field of view stands.
#[derive(Debug, Clone, PartialEq)]
pub struct FovFacts {
    /// Its name.
    pub name: String,
    /// Time since its newest frame was seen.
    pub silent: Duration,
    /// Time between its frames so far, and over how many steps that was measured.
    pub pace: Option<(Duration, i64)>,
    /// Frames out of focus among the newest, and how many those are.
    pub blurred: (i64, i64),
    /// Frames that the network that finds cells doubts among the newest, and how many those are.
    pub doubted: (i64, i64),
    /// Background of the newest frames divided by that of the first; `None` when unknown.
    pub light: Option<f64>,
    /// Frames done.
    pub done: i64,
}

/// Everything the rules look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Fields of view of the session that moved last.
    pub fovs: Vec<FovFacts>,
    /// What is wrong with the watched folder.
    pub folder_fault: Option<String>,
    /// Free space where the database lies, bytes.
    pub free_bytes: Option<u64>,
    /// How fast it shrinks, bytes per second; `None` when it does not.
    pub filling_bytes_per_s: Option<f64>,
    /// Share of withheld scores among the newest frames.
    pub withheld_share: Option<f64>,
    /// Failed frames among the newest that ended, and how many those are.
    pub failed: (i64, i64),
    /// Stages that give no sign of life, with its age.
    pub silent_stages: Vec<(String, Duration)>,
    /// Samples that are called high or low: name, verdict, the call in words.
    pub called: Vec<(String, String, String)>,
}

/// Which alert: rule and what it speaks of (empty: the whole instrument).
pub type Key = (Rule, String);

/// What a rule says about a subject now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// Past the limit: what happened and what to do.
    Raise(String),
    /// In between: as it was.
    Keep,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Raise this alert with these words.
    Raise(Key, String),
    /// Clear this alert.
    Clear(Key),
}

/// What changes, given the alerts that are `open`. What no rule speaks of any more is cleared.
pub fn changes(facts: &Facts, settings: &AlertSettings, open: &BTreeSet<Key>) -> Vec<Change> {
    let findings = judge(facts, settings);
    let mut changes: Vec<Change> = open
        .iter()
        .filter(|key| !findings.iter().any(|(found, _)| found == *key))
        .map(|key| Change::Clear(key.clone()))
        .collect();
    for (key, finding) in findings {
        if let Finding::Raise(text) = finding
            && !open.contains(&key)
        {
            changes.push(Change::Raise(key, text));
        }
    }
    changes
}

/// The subjects that are past, or between, their limits.
fn judge(facts: &Facts, settings: &AlertSettings) -> Vec<(Key, Finding)> {
    let mut findings = stalls(&facts.fovs, settings);
    findings.extend(facts.fovs.iter().filter_map(|fov| focus(fov, settings)));
    findings.extend(facts.fovs.iter().filter_map(|fov| doubt(fov, settings)));
    findings.extend(facts.fovs.iter().filter_map(|fov| drift(fov, settings)));
    findings.extend(disk(facts, settings));
    findings.extend(shares(facts, settings));
    if let Some(fault) = &facts.folder_fault {
        findings
            .push(((Rule::FolderGone, String::new()), Finding::Raise(format!("The watched folder is gone: {fault}."))));
    }
    findings.extend(facts.silent_stages.iter().map(|(stage, age)| {
        let text =
            format!("Stage {stage} gave no sign of life for {}: restart the daemon if it stays so.", words(*age));
        ((Rule::StageSilent, stage.clone()), Finding::Raise(text))
    }));
    findings.extend(facts.called.iter().map(|(sample, verdict, call)| {
        (
            (Rule::CallReached, format!("{sample}: {verdict}")),
            Finding::Raise(format!("Sample {sample} is called {call}.")),
        )
    }));
    findings
}

/// Past the first limit raise, past the second keep, else nothing.
fn between(past: bool, near: bool, text: impl FnOnce() -> String) -> Option<Finding> {
    if past {
        Some(Finding::Raise(text()))
    } else if near {
        Some(Finding::Keep)
    } else {
        None
    }
}

fn stalls(fovs: &[FovFacts], settings: &AlertSettings) -> Vec<(Key, Finding)> {
    let judged: Vec<(&FovFacts, Duration, Option<Finding>)> = fovs
        .iter()
        .filter_map(|fov| {
            let (pace, _) = fov.pace.filter(|(pace, steps)| *steps >= LEAST_STEPS && !pace.is_zero())?;
            let limit = settings.stall_least.max(pace.mul_f64(settings.stall_factor));
            let finding = between(fov.silent > limit, fov.silent > limit.mul_f64(EASE), || {
                format!(
                    "Field {} gave no frame for {} (usual: every {}). See whether the acquisition still runs.",
                    fov.name,
                    words(fov.silent),
                    words(pace)
                )
            });
            Some((fov, pace, finding))
        })
        .collect();
    let all = judged.len() > 1 && judged.iter().all(|(_, _, finding)| matches!(finding, Some(Finding::Raise(_))));
    let mut findings: Vec<(Key, Finding)> = judged
        .iter()
        .filter_map(|(fov, _, finding)| {
            let finding = finding.clone()?;
            Some(((Rule::Stalled, fov.name.clone()), if all { Finding::Keep } else { finding }))
        })
        .collect();
    if all {
        let silent = judged.iter().map(|(fov, ..)| fov.silent).min().unwrap_or_default();
        let text = format!(
            "No field gave a frame for {}. The acquisition has ended or stopped; see the microscope.",
            words(silent)
        );
        findings.push(((Rule::Stalled, String::new()), Finding::Raise(text)));
    }
    findings
}

fn focus(fov: &FovFacts, settings: &AlertSettings) -> Option<(Key, Finding)> {
    let finding = too_many(fov.blurred, settings.blurred_share, |blurred, recent| {
        format!("Field {}: {blurred} of its newest {recent} frames are out of focus. Refocus it.", fov.name)
    })?;
    Some(((Rule::FocusLost, fov.name.clone()), finding))
}

fn doubt(fov: &FovFacts, settings: &AlertSettings) -> Option<(Key, Finding)> {
    let finding = too_many(fov.doubted, settings.doubted_share, |doubted, recent| {
        format!(
            "Field {}: the finder is in doubt about {doubted} of its newest {recent} frames. Look at the outlines; cells may be smaller than \
             instrument.cell_diameter_um says, or the instrument new to the network.",
            fov.name
        )
    })?;
    Some(((Rule::FinderDoubts, fov.name.clone()), finding))
}

/// Whether so many of the newest frames are a share past, or between, its limits; `text` says how many of how many.
fn too_many((found, recent): (i64, i64), limit: f64, text: impl FnOnce(i64, i64) -> String) -> Option<Finding> {
    if recent < LEAST_FRAMES {
        return None;
    }
    let share = found as f64 / recent as f64;
    between(share >= limit, share >= limit * EASE, || text(found, recent))
}

fn drift(fov: &FovFacts, settings: &AlertSettings) -> Option<(Key, Finding)> {
    let light = fov.light.filter(|_| fov.done >= LEAST_FRAMES_FOR_DRIFT)?;
    let change = (light - 1.0).abs();
    let limit = settings.light_change;
    let finding = between(change >= limit, change >= limit * EASE, || {
        format!(
            "Field {}: its background light is {:.0} % of what it was at first. See lamp, medium and condensation.",
            fov.name,
            100.0 * light
        )
    })?;
    Some(((Rule::Drift, fov.name.clone()), finding))
}

fn disk(facts: &Facts, settings: &AlertSettings) -> Option<(Key, Finding)> {
    let free = facts.free_bytes? as f64;
    let left_s = facts.filling_bytes_per_s.map(|rate| free / rate);
    let limit = settings.disk_low_bytes as f64;
    let limit_s = settings.disk_low_time.as_secs_f64();
    let past = free < limit || left_s.is_some_and(|left| left < limit_s);
    let near = free < limit / EASE || left_s.is_some_and(|left| left < limit_s / EASE);
    let finding = between(past, near, || {
        let left = left_s.map_or_else(String::new, |left| {
            format!(", about {} at the present pace", words(Duration::from_secs_f64(left.min(3.0e8))))
        });
        format!("{:.1} GB are left where the database lies{left}. Free some space.", free / 1e9)
    })?;
    Some(((Rule::DiskLow, String::new()), finding))
}

fn shares(facts: &Facts, settings: &AlertSettings) -> Vec<(Key, Finding)> {
    let mut findings = Vec::new();
    if let Some(share) = facts.withheld_share {
        let limit = settings.withheld_share;
        let finding = between(share >= limit, share >= limit * EASE, || {
            format!(
                "{:.0} % of the newest scores are withheld. See on the page why: focus, pixel size, or cells unlike the \
                 model's training set.",
                100.0 * share
            )
        });
        findings.extend(finding.map(|finding| ((Rule::WithheldHigh, String::new()), finding)));
    }
    let (failed, ended) = facts.failed;
    if ended >= LEAST_FRAMES {
        let share = failed as f64 / ended as f64;
        let limit = settings.failed_share;
        let finding = between(share >= limit && failed > 2, share >= limit * EASE && failed > 1, || {
            format!("{failed} of the newest {ended} frames failed. The page's health view names codes and files.")
        });
        findings.extend(finding.map(|finding| ((Rule::FailuresRising, String::new()), finding)));
    }
    findings
}

/// A duration in the one unit that matters.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.0} d", seconds / 86_400.0)
    }
}

#[cfg(test)]
mod tests;
