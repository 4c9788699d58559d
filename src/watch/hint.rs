//! Kernel events as hints: the one door to the notification library.
//!
//! Takes a folder, gives [`Hint`]s through a bounded queue. A hint only says where to look; losing one costs latency,
//! never a frame. What cannot be queued, and what the kernel itself lost, becomes one [`Hint::Rescan`] that is
//! delivered before anything else, so that it is never lost.

use async_channel::{Receiver, Sender};
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Hints that may wait; more than a burst of 1000 frames in one go. Beyond it a rescan stands for them all.
pub const QUEUE_CAPACITY: usize = 4096;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// At one file.
    Path {
        /// The file, as the kernel names it (below the watched folder's path as given).
        path: PathBuf,
        /// Its writer closed it or it was renamed into place.
        closed: bool,
    },
    /// Everywhere: events were lost, a folder appeared, or something happened that has no single path.
    Rescan,
}

/// The kernel's events cannot be had.
#[derive(Debug, Error)]
pub enum HintError {
    /// Too few watches.
    #[error(
        "no kernel events for {folder}: the inotify limit is reached; raise fs.inotify.max_user_watches \
         (and max_user_instances). Until then the folder is only rescanned"
    )]
    Limit {
        /// The watched folder.
        folder: PathBuf,
    },
    /// Anything else.
    #[error("no kernel events for {folder}: the folder is only rescanned")]
    Unavailable {
        /// The watched folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: notify::Error,
    },
}

impl HintError {
    /// The stable code: metric label and API field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "inotify_limit",
            Self::Unavailable { .. } => "no_events",
        }
    }
}

/// The hints of one folder; ends when dropped.
#[derive(Debug)]
pub struct Hints {
    queue: Receiver<Hint>,
    rescan: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

impl Hints {
    /// Starts listening to `folder` and everything below it. On a share there is nothing to listen to: do not call it.
    ///
    /// # Errors
    /// [`HintError`]; the caller goes on with rescans alone.
    pub fn listen(folder: &Path) -> Result<Self, HintError> {
        let (sender, queue) = async_channel::bounded(QUEUE_CAPACITY);
        let rescan = Arc::new(AtomicBool::new(false));
        let sink = Sink { sender, rescan: Arc::clone(&rescan) };
        let failed = |source: notify::Error| match source.kind {
            notify::ErrorKind::MaxFilesWatch => HintError::Limit { folder: folder.to_path_buf() },
            _ => HintError::Unavailable { folder: folder.to_path_buf(), source },
        };
        let mut watcher = notify::recommended_watcher(move |event| sink.take(event)).map_err(failed)?;
        watcher.watch(folder, RecursiveMode::Recursive).map_err(failed)?;
        Ok(Self { queue, rescan, _watcher: watcher })
    }

    /// The next hint; waits for one. `None` when the kernel's watcher ended: from then on only rescans help.
    pub async fn next(&self) -> Option<Hint> {
        loop {
            if let Some(hint) = self.overdue() {
                return Some(hint);
            }
            match self.queue.recv().await {
                // Only there to wake; the flag says whether it has been delivered already.
                Ok(Hint::Rescan) => {}
                Ok(hint) => return Some(hint),
                Err(_ended) => return None,
            }
        }
    }

    /// The next hint if there is one; does not wait.
    pub fn try_next(&self) -> Option<Hint> {
        loop {
            if let Some(hint) = self.overdue() {
                return Some(hint);
            }
            match self.queue.try_recv() {
                Ok(Hint::Rescan) => {}
                other => return other.ok(),
            }
        }
    }

    /// Hints waiting, for the queue-depth metric (capacity [`QUEUE_CAPACITY`]).
    pub fn depth(&self) -> usize {
        self.queue.len()
    }

    /// A rescan that is owed: it covers all that waits in the queue except for the news that files were closed.
    fn overdue(&self) -> Option<Hint> {
        self.rescan.swap(false, Ordering::AcqRel).then_some(Hint::Rescan)
    }
}

/// Runs on the watcher's thread: sorts and queues, nothing else.
struct Sink {
    sender: Sender<Hint>,
    rescan: Arc<AtomicBool>,
}

impl Sink {
    fn take(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) => {
                for hint in hints_of(event) {
                    self.put(hint);
                }
            }
            Err(_lost) => self.put(Hint::Rescan),
        }
    }

    fn put(&self, hint: Hint) {
        if hint == Hint::Rescan {
            // The flag first: a reader that is woken by the queue's entry finds it set.
            self.rescan.store(true, Ordering::Release);
        }
        if self.sender.try_send(hint).is_err() {
            self.rescan.store(true, Ordering::Release);
        }
    }
}

/// What one event says; nothing for our own reading and for what cannot make a file complete.
fn hints_of(event: Event) -> Vec<Hint> {
    if event.need_rescan() {
        return vec![Hint::Rescan];
    }
    let mut paths = event.paths;
    let closed = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            return Vec::new();
        }
        // A folder may hold files before the kernel watches it, and one renamed into place holds many.
        EventKind::Create(CreateKind::Folder) => return vec![Hint::Rescan],
        // A hard link makes no other event than this; a plain new file is looked at again when it is closed.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => false,
        EventKind::Modify(ModifyKind::Name(mode)) => {
            if mode == RenameMode::Both {
                paths = paths.split_off(1.min(paths.len()));
            }
            if paths.iter().any(|path| path.is_dir()) {
                return vec![Hint::Rescan];
            }
            true
        }
        EventKind::Any | EventKind::Other | EventKind::Modify(_) => return vec![Hint::Rescan],
    };
    paths.into_iter().map(|path| Hint::Path { path, closed }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    /// Takes hints until `enough`, at most ten seconds.
    fn hints_until(hints: &Hints, enough: impl Fn(&[Hint]) -> bool) -> Vec<Hint> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut got = Vec::new();
        runtime.block_on(async {
            while !enough(&got) {
                match tokio::time::timeout(Duration::from_secs(10), hints.next()).await {
                    Ok(Some(hint)) => got.push(hint),
                    _ => panic!("only {got:?}"),
                }
            }
        });
        got
    }

    fn listening() -> Option<(tempfile::TempDir, Hints)> {
        let folder = tempfile::tempdir().unwrap();
        match Hints::listen(folder.path()) {
            Ok(hints) => Some((folder, hints)),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn closing_and_renaming_are_told_and_reading_is_not() {
        let Some((folder, hints)) = listening() else { return };
        let (first, second) = (folder.path().join("a.tmp"), folder.path().join("a.tif"));
        fs::write(&first, "x").unwrap();
        assert_eq!(fs::read_to_string(&first).unwrap(), "x");
        fs::rename(&first, &second).unwrap();
        let closed = |path: &PathBuf| Hint::Path { path: path.clone(), closed: true };
        let got = hints_until(&hints, |got| got.contains(&closed(&second)));
        assert!(got.contains(&closed(&first)), "{got:?}");
        assert!(got.iter().filter(|hint| matches!(hint, Hint::Path { closed: true, .. })).count() >= 2);
        assert!(!got.contains(&Hint::Rescan), "{got:?}");
    }

    #[test]
    fn a_new_folder_asks_for_a_rescan() {
        let Some((folder, hints)) = listening() else { return };
        fs::create_dir_all(folder.path().join("p/q")).unwrap();
        fs::write(folder.path().join("p/q/x.tif"), "x").unwrap();
        hints_until(&hints, |got| got.contains(&Hint::Rescan));
    }

    #[test]
    fn a_full_queue_becomes_one_rescan_that_comes_first() {
        let Some((folder, hints)) = listening() else { return };
        let (sender, queue) = async_channel::bounded(2);
        let sink = Sink { sender, rescan: Arc::clone(&hints.rescan) };
        let hint = |n: u8| Hint::Path { path: PathBuf::from(n.to_string()), closed: true };
        for n in 0..5 {
            sink.put(hint(n));
        }
        let hints = Hints { queue, ..hints };
        let got: Vec<_> = std::iter::from_fn(|| hints.try_next()).collect();
        assert_eq!(got, [Hint::Rescan, hint(0), hint(1)]);
        drop(folder);
    }

    #[test]
    fn the_kernels_own_overflow_is_a_rescan() {
        let event = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(hints_of(event), [Hint::Rescan]);
    }
}
