//! Whether the watched folder answers, asked in bounded time.
//!
//! On a share that hangs, the question may never come back: only one is asked at a time, off the async threads, and an
//! old one that is still open counts as a fault.

use crate::status::monotonic_now;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the folder may take to answer before it counts as stuck.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Asks the file system for a folder; see the module.
#[derive(Debug)]
pub struct FolderProbe {
    folder: PathBuf,
    state: Mutex<Probe>,
}

#[derive(Debug, Default)]
struct Probe {
    asked: Option<Instant>,
    fault: Option<String>,
    answered: Option<Instant>,
}

impl FolderProbe {
    /// A probe of `folder`.
    pub fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, state: Mutex::default() })
    }

    /// What is wrong with the folder; `None` when it answers. Waits a bounded time.
    pub async fn fault(self: &Arc<Self>) -> Option<String> {
        if self.begin() {
            let probe = Arc::clone(self);
            let asked = tokio::task::spawn_blocking(move || probe.answer(look(&probe.folder)));
            if tokio::time::timeout(ANSWER_LIMIT, asked).await.is_err() {
                return Some(self.hanging());
            }
        }
        let probe = self.lock();
        let hangs = probe.asked.is_some_and(|asked| asked.elapsed() > ANSWER_LIMIT) || probe.answered.is_none();
        if hangs { Some(self.hanging()) } else { probe.fault.clone() }
    }

    /// Whether a question may be asked now; then it counts as open.
    fn begin(&self) -> bool {
        let mut probe = self.lock();
        let free = probe.asked.is_none();
        if free {
            probe.asked = Some(monotonic_now());
        }
        free
    }

    fn answer(&self, fault: Option<String>) {
        *self.lock() = Probe { asked: None, fault, answered: Some(monotonic_now()) };
    }

    fn hanging(&self) -> String {
        format!("{} does not answer: see whether the share is mounted and its server up", self.folder.display())
    }

    fn lock(&self) -> MutexGuard<'_, Probe> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(folder: &Path) -> Option<String> {
    match std::fs::read_dir(folder) {
        Ok(_) => None,
        Err(error) => Some(format!("{} cannot be read ({error}): mount or create it", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_goes_is_seen_and_its_return_too() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("watched");
        let probe = FolderProbe::new(folder.clone());
        assert!(probe.fault().await.unwrap().contains("cannot be read"));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(probe.fault().await, None);
        std::fs::remove_dir(&folder).unwrap();
        assert!(probe.fault().await.is_some());
    }

    #[tokio::test]
    async fn a_question_that_never_comes_back_is_a_fault_and_is_not_asked_again() {
        let probe = FolderProbe::new(PathBuf::from("/"));
        assert!(probe.begin());
        assert!(probe.fault().await.unwrap().contains("does not answer"));
        assert!(!probe.begin());
        probe.answer(None);
        assert_eq!(probe.fault().await, None);
    }
}
