//! The scanner: what is in the watched folder, compared with what is known of it.
//!
//! Takes the folder, the rules and the time; gives [`Change`]s. The scan is the truth and events only make it look
//! earlier, so that a restart, a lost event, a share without events and a missed rename take the same path. Files are
//! opened (read-only) only when two cheap looks agree, and never again once their planes are handed over, unless
//! they change.
//!
//! # Stacks that never rest
//!
//! A file of several planes that is written faster than it can settle is looked into every 2 s. Those of its planes
//! are handed over that were whole at two such looks in a row, so that a long acquisition into one file is followed
//! while it runs. A file of one plane is never taken while it changes.

mod change;
mod walk;

pub use change::{Change, Problem, Scan, What};

use crate::frame::read::{self, Completeness, PlaneFacts};
use crate::watch::complete::{Evidence, Look, Patience, Stamp, Stillness, is_temporary_name};
use crate::watch::naming::{FrameName, NameError, Naming};
use crate::watch::scan::walk::Walk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Deepest folder below the watched one that is looked into.
pub const DEEPEST_FOLDER: usize = 16;

/// Pause before a file is tried again that the operating system refused or that was not there.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two looks into a stack that is being written without a rest.
const PEEK: Duration = Duration::from_secs(2);

/// What the scanner goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Names to frames.
    pub naming: Naming,
    /// How long files have to hold still.
    pub patience: Patience,
    /// Files above this are not opened, bytes.
    pub max_file_bytes: u64,
    /// Whether inode numbers mean something (not on most shares, where they may change at every mount).
    pub inodes_are_stable: bool,
}

#[derive(Debug, Clone)]
enum State {
    Watching(Watching),
    /// Handed over, or failed: not opened again while the stamp stays.
    Settled(Stamp),
}

#[derive(Debug, Clone)]
struct Watching {
    stillness: Stillness,
    /// The last reason that was reported.
    reason: Option<&'static str>,
    /// Found not whole with this stamp: not opened again before it changes or is given up.
    judged: Option<Stamp>,
    /// When to look again without being asked.
    look_at: Duration,
    /// When to look into a stack that never holds still.
    peek_at: Duration,
    /// The planes that were whole at the last peek.
    peeked: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
struct Known {
    state: State,
    name: Option<FrameName>,
    /// Planes handed over, and the file as it was then.
    handed_over: BTreeSet<usize>,
    handed_over_at: Option<Stamp>,
    gone: bool,
}

/// The watched folder and what is known of it.
#[derive(Debug)]
pub struct Scanner {
    folder: PathBuf,
    rules: Rules,
    known: BTreeMap<String, Known>,
    watching: BTreeSet<String>,
}

impl Scanner {
    /// A scanner that knows nothing yet.
    pub fn new(folder: PathBuf, rules: Rules) -> Self {
        Self { folder, rules, known: BTreeMap::new(), watching: BTreeSet::new() }
    }

    /// The watched folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the scanner goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Number of files known, and of those that are waited for.
    pub fn counts(&self) -> (usize, usize) {
        (self.known.len(), self.watching.len())
    }

    /// Tells of a file that the ledger has: with this size and modification time, its first `planes` planes (0 for a
    /// file that failed) are dealt with. While it stays like that it is neither opened nor reported.
    pub fn preload(&mut self, path: String, size_bytes: u64, modified_unix_ns: i64, planes: usize) {
        let stamp = Stamp { size_bytes, modified_unix_ns, inode: Stamp::ANY_INODE };
        let name = self.rules.naming.parse(&path).ok();
        let known = Known {
            state: State::Settled(stamp),
            name,
            handed_over: (0..planes).collect(),
            handed_over_at: (planes > 0).then_some(stamp),
            gone: false,
        };
        self.watching.remove(&path);
        self.known.insert(path, known);
    }

    /// Forgets what is known of `path`, so that the next look reports it from the beginning.
    pub fn forget(&mut self, path: &str) {
        self.known.remove(path);
        self.watching.remove(path);
    }

    /// When the next file that is waited for wants its second look; `None` when none does.
    pub fn next_look_at(&self) -> Option<Duration> {
        self.watching.iter().filter_map(|path| self.watched(path)).map(|watching| watching.look_at).min()
    }

    fn watched(&self, path: &str) -> Option<&Watching> {
        match &self.known.get(path)?.state {
            State::Watching(watching) => Some(watching),
            State::Settled(_) => None,
        }
    }

    fn watched_mut(&mut self, path: &str) -> Option<&mut Watching> {
        match &mut self.known.get_mut(path)?.state {
            State::Watching(watching) => Some(watching),
            State::Settled(_) => None,
        }
    }

    /// Walks the whole folder at `now` (any steady clock, the same at every call); `alive` is called for every file,
    /// so that a long walk is not taken for a stop.
    pub fn scan(&mut self, now: Duration, alive: &mut dyn FnMut()) -> Scan {
        let walk = Walk::of(&self.folder, alive);
        let (changed, missing) = self.compare(&walk);
        let mut changes = Vec::new();
        for (path, stamp) in changed {
            alive();
            self.look(path, Glance { stamp, evidence: Evidence::None, now }, &mut changes);
        }
        for path in missing {
            self.lose(&path, &mut changes);
        }
        Scan { changes, problems: walk.problems, files: walk.files.len() }
    }

    /// Side by side, both in the order of the paths: the files that want a look, and the known ones that are not there.
    fn compare<'walk>(&self, walk: &'walk Walk) -> (Vec<(&'walk str, Stamp)>, Vec<String>) {
        let (mut changed, mut missing) = (Vec::new(), Vec::new());
        let mut known = self.known.iter().peekable();
        for (path, stamp) in &walk.files {
            while let Some((gone, state)) = known.next_if(|(other, _)| *other < path) {
                if !state.gone && !walk.hides(gone) {
                    missing.push(gone.clone());
                }
            }
            let is_as_before = known.next_if(|(other, _)| *other == path).is_some_and(|(_, known)| {
                matches!(known.state, State::Settled(before) if before.is_same(*stamp)) && !known.gone
            });
            if !is_as_before {
                changed.push((path.as_str(), *stamp));
            }
        }
        let left = known.filter(|(gone, state)| !state.gone && !walk.hides(gone));
        missing.extend(left.map(|(gone, _)| gone.clone()));
        (changed, missing)
    }

    /// Looks again at the files that are waited for and whose time has come; no walk.
    pub fn look_again(&mut self, now: Duration) -> Vec<Change> {
        let is_due = |path: &&String| self.watched(path).is_some_and(|watching| watching.look_at <= now);
        let due: Vec<String> = self.watching.iter().filter(is_due).cloned().collect();
        let mut changes = Vec::new();
        for path in due {
            self.poke_at(&path, Evidence::None, now, &mut changes);
            if let Some(watching) = self.watched_mut(&path) {
                // Not there at the moment; the next scan says whether it is gone.
                if watching.look_at <= now {
                    watching.look_at = now.saturating_add(RETRY);
                }
            }
        }
        changes
    }

    /// Looks at the one file that an event named; `closed` when the event said that its writer closed it or that it
    /// was renamed into place. A path outside the folder, a folder or a temporary name gives nothing.
    pub fn poke(&mut self, path: &Path, closed: bool, now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(relative) = path.strip_prefix(&self.folder).ok().and_then(Path::to_str) else { return changes };
        if relative.is_empty()
            || relative.split('/').any(is_temporary_name)
            || relative.split('/').count() > DEEPEST_FOLDER + 1
        {
            return changes;
        }
        self.poke_at(relative, if closed { Evidence::Closed } else { Evidence::None }, now, &mut changes);
        changes
    }

    fn poke_at(&mut self, path: &str, evidence: Evidence, now: Duration, changes: &mut Vec<Change>) {
        // Only a scan, which sees whether the whole folder is there, may say that a file is gone.
        if let Ok(facts) = std::fs::symlink_metadata(self.folder.join(path))
            && facts.is_file()
        {
            self.look(path, Glance { stamp: Stamp::of(&facts), evidence, now }, changes);
        }
    }

    fn lose(&mut self, path: &str, changes: &mut Vec<Change>) {
        let Some(known) = self.known.get_mut(path) else { return };
        known.gone = true;
        let stamp = match &known.state {
            State::Settled(stamp) => *stamp,
            State::Watching(watching) => watching.stillness.stamp(),
        };
        let unfinished = matches!(known.state, State::Watching(_)) && known.handed_over.is_empty();
        if unfinished {
            self.known.remove(path);
        }
        self.watching.remove(path);
        changes.push(Change { path: path.to_owned(), stamp, what: What::Vanished });
    }

    fn look(&mut self, path: &str, mut glance: Glance, changes: &mut Vec<Change>) {
        if !self.rules.inodes_are_stable {
            glance.stamp.inode = Stamp::ANY_INODE;
        }
        let Glance { stamp, now, .. } = glance;
        let change = |what| Change { path: path.to_owned(), stamp, what };
        let Some(known) = self.known.get_mut(path) else {
            if self.rules.naming.is_ignored(path) {
                return;
            }
            match self.rules.naming.parse(path) {
                Ok(name) => {
                    changes.push(change(What::Seen { name: name.clone() }));
                    self.known.insert(path.to_owned(), Known::watched(stamp, now, Some(name)));
                    self.watching.insert(path.to_owned());
                }
                Err(error) => {
                    changes.push(change(failed_name(&error)));
                    let state = State::Settled(stamp);
                    self.known.insert(path.to_owned(), Known { state, ..Known::watched(stamp, now, None) });
                    return;
                }
            }
            self.judge(path, glance, changes);
            return;
        };
        known.gone = false;
        match &known.state {
            State::Settled(before) if before.is_same(stamp) => return,
            // A name that fits nothing does not fit better after the content changed.
            State::Settled(_) if known.name.is_none() => {
                known.state = State::Settled(stamp);
                return;
            }
            State::Settled(_) => {
                known.state = State::Watching(Watching::begin(stamp, now));
                self.watching.insert(path.to_owned());
            }
            State::Watching(_) => {}
        }
        self.judge(path, glance, changes);
    }

    /// One look at a file that is waited for; opens it when it is time.
    fn judge(&mut self, path: &str, glance: Glance, changes: &mut Vec<Change>) {
        let Glance { stamp, evidence, now } = glance;
        let patience = self.rules.patience;
        let Some(watching) = self.watched_mut(path) else { return };
        let given_up = match watching.stillness.look(stamp, now, evidence, patience) {
            Look::Changing { look_again_at } => {
                watching.judged = None;
                watching.look_at = look_again_at;
                let peek = now >= watching.peek_at;
                self.wait(path, stamp, "changing", changes);
                if peek {
                    self.peek(path, stamp, now, changes);
                }
                return;
            }
            Look::Still { given_up } => given_up,
        };
        watching.look_at = watching.stillness.since().saturating_add(patience.give_up);
        if watching.judged == Some(stamp) && !given_up && evidence == Evidence::None {
            return;
        }
        match self.open(path, stamp) {
            Verdict::Take { planes, rest } => {
                self.hand_over(path, stamp, planes, changes);
                if rest && !given_up {
                    self.judged(path, stamp);
                    self.wait(path, stamp, "truncated", changes);
                } else {
                    self.settle(path, stamp);
                }
            }
            Verdict::Changed => {
                if let Some(watching) = self.watched_mut(path) {
                    watching.stillness = Stillness::begin(stamp, now);
                    watching.look_at = now.saturating_add(patience.settle);
                }
                self.wait(path, stamp, "changing", changes);
            }
            Verdict::Wait { code, message, .. } if given_up || code == "too_large" => {
                self.settle(path, stamp);
                changes.push(Change { path: path.to_owned(), stamp, what: What::Failed { code, message } });
            }
            Verdict::Wait { code, stays, .. } => {
                if stays {
                    self.judged(path, stamp);
                } else if let Some(watching) = self.watched_mut(path) {
                    watching.look_at = now.saturating_add(RETRY);
                }
                self.wait(path, stamp, code, changes);
            }
        }
    }

    /// A look into a file that does not hold still: hands over the planes of a stack that were whole at the last such
    /// look as well.
    fn peek(&mut self, path: &str, stamp: Stamp, now: Duration, changes: &mut Vec<Change>) {
        let Some(Known { handed_over, handed_over_at, .. }) = self.known.get(path) else { return };
        let (before, before_at) = (handed_over.clone(), *handed_over_at);
        let planes = if stamp.size_bytes > self.rules.max_file_bytes {
            Vec::new()
        } else {
            read::open(&self.folder.join(path)).map(|source| source.whole_planes().0).unwrap_or_default()
        };
        let Some(watching) = self.watched_mut(path) else { return };
        watching.peek_at = now.saturating_add(PEEK);
        let whole: BTreeSet<usize> = planes.iter().map(|plane| plane.index).collect();
        let peeked = std::mem::replace(&mut watching.peeked, whole);
        let twice = |index: usize| peeked.contains(&index) || before.contains(&index);
        let taken: Vec<PlaneFacts> = planes.iter().filter(|plane| twice(plane.index)).cloned().collect();
        // Only what grows is taken early; whether it was rewritten is seen when it rests.
        let grows = before_at.is_none_or(|at| at.may_have_grown_to(stamp)) && taken.len() > before.len();
        if planes.len() > 1 && grows && before.iter().all(|index| taken.iter().any(|plane| plane.index == *index)) {
            self.hand_over(path, stamp, taken, changes);
        }
    }

    fn open(&self, path: &str, stamp: Stamp) -> Verdict {
        let full_path = self.folder.join(path);
        if stamp.size_bytes > self.rules.max_file_bytes {
            let message = format!("{path} has {} bytes: raise watch.max_file_bytes if it is a frame", stamp.size_bytes);
            return Verdict::Wait { code: "too_large", message, stays: true };
        }
        let opened = read::open(&full_path);
        if !Stamp::look(&full_path).is_ok_and(|after| after.is_same(stamp)) {
            return Verdict::Changed;
        }
        match opened {
            Ok(source) => match (source.completeness(), source.whole_planes()) {
                (Completeness::Incomplete(gap), _) => Verdict::Wait {
                    code: gap.code(),
                    message: format!("{path} was never finished: copy it again from the instrument"),
                    stays: true,
                },
                (_, (planes, rest)) => Verdict::Take { planes, rest },
            },
            // An operating system's refusal may end without the file changing.
            Err(error) => Verdict::Wait {
                code: error.code(),
                message: error.to_string(),
                stays: !matches!(error.code(), "permission_denied" | "io"),
            },
        }
    }

    fn hand_over(&mut self, path: &str, stamp: Stamp, mut planes: Vec<PlaneFacts>, changes: &mut Vec<Change>) {
        let Some(known) = self.known.get_mut(path) else { return };
        let name = known.name.clone().unwrap_or_default();
        let indices: BTreeSet<usize> = planes.iter().map(|plane| plane.index).collect();
        let what = match known.handed_over_at {
            None => Some(What::Complete { name, planes }),
            Some(before) if before.is_same(stamp) => None,
            // A stack that became longer keeps what it had. Of a file with one plane, or of the same size as before,
            // nothing says that it does: it counts as rewritten.
            Some(before)
                if before.size_bytes < stamp.size_bytes
                    && before.may_have_grown_to(stamp)
                    && indices.len() > 1
                    && indices.is_superset(&known.handed_over) =>
            {
                planes.retain(|plane| !known.handed_over.contains(&plane.index));
                (!planes.is_empty()).then_some(What::Grew { name, planes })
            }
            Some(_) => Some(What::Rewritten { name, planes }),
        };
        known.handed_over = indices;
        known.handed_over_at = Some(stamp);
        changes.extend(what.map(|what| Change { path: path.to_owned(), stamp, what }));
    }

    /// Remembers that it was opened like this and is not whole.
    fn judged(&mut self, path: &str, stamp: Stamp) {
        if let Some(watching) = self.watched_mut(path) {
            watching.judged = Some(stamp);
        }
    }

    fn settle(&mut self, path: &str, stamp: Stamp) {
        if let Some(known) = self.known.get_mut(path) {
            known.state = State::Settled(stamp);
        }
        self.watching.remove(path);
    }

    fn wait(&mut self, path: &str, stamp: Stamp, reason: &'static str, changes: &mut Vec<Change>) {
        if let Some(watching) = self.watched_mut(path)
            && watching.reason != Some(reason)
        {
            watching.reason = Some(reason);
            changes.push(Change { path: path.to_owned(), stamp, what: What::Waiting { reason } });
        }
    }
}

/// One cheap look at a file.
#[derive(Debug, Clone, Copy)]
struct Glance {
    stamp: Stamp,
    evidence: Evidence,
    now: Duration,
}

enum Verdict {
    /// These planes are whole; `rest` when more are to come.
    Take { planes: Vec<PlaneFacts>, rest: bool },
    /// It changed while it was open.
    Changed,
    /// Not now; `stays` while the file stays as it is.
    Wait { code: &'static str, message: String, stays: bool },
}

impl Watching {
    fn begin(stamp: Stamp, now: Duration) -> Self {
        Self {
            stillness: Stillness::begin(stamp, now),
            reason: None,
            judged: None,
            look_at: now,
            peek_at: now.saturating_add(PEEK),
            peeked: BTreeSet::new(),
        }
    }
}

impl Known {
    fn watched(stamp: Stamp, now: Duration, name: Option<FrameName>) -> Self {
        Self {
            state: State::Watching(Watching::begin(stamp, now)),
            name,
            handed_over: BTreeSet::new(),
            handed_over_at: None,
            gone: false,
        }
    }
}

fn failed_name(error: &NameError) -> What {
    What::Failed { code: error.code(), message: error.to_string() }
}

#[cfg(test)]
mod tests;
