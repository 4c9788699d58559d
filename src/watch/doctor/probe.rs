//! What only writing tells: events, clocks, renames, rate. Everything happens in one hidden folder of our own.

use crate::watch::complete::Stamp;
use crate::watch::filesystem::Kind;
use crate::watch::hint::{Hint, Hints};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How the name of the probe folder begins. The dot hides it from this program's own scans and from most others.
pub const PROBE_PREFIX: &str = ".cytowatch-doctor-";
/// Longest wait for an event.
const EVENT_WAIT: Duration = Duration::from_secs(2);
/// Longest search for the clock's step.
const STEP_WAIT: Duration = Duration::from_secs(5);
/// Steps of the clock that are measured.
const STEPS: usize = 4;
/// Size of one write, bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// Why writing told nothing.
#[derive(Debug)]
pub(super) enum ProbeError {
    Io(io::Error),
    LeftBehind { left: PathBuf, source: io::Error },
}

/// Whether kernel events come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Events {
    /// They came, for a closed file and for a renamed one, after so many ms.
    Arrive {
        /// From closing a file to its event, ms.
        closed_ms: f64,
        /// From renaming a file to its event, ms.
        renamed_ms: f64,
    },
    /// Only for what this machine writes: on a share that says nothing about the instrument.
    OnlyOwn,
    /// None came, or they cannot be had.
    Missing,
}

/// What was measured by writing.
#[derive(Debug, Clone, Serialize)]
pub struct Probed {
    /// Kernel events.
    pub events: Events,
    /// Smallest step between two modification times, ms.
    pub clock_step_ms: f64,
    /// The clock that sets modification times minus ours, ms; known to `clock_step_ms`.
    pub clock_offset_ms: f64,
    /// Whether a renamed file keeps its inode (then a file renamed into place is recognised).
    pub rename_keeps_inode: bool,
    /// Whether renaming over a file gives the name the new file's inode (then a replaced file is recognised).
    pub rename_replaces: bool,
    /// Whether a file's size is seen while it is still open for writing.
    pub growth_is_seen: bool,
    /// Writing with a final sync, MB/s (10^6 bytes).
    pub write_mb_per_s: f64,
}

/// Measures in a new hidden folder below `folder`, and removes it whatever happens.
pub(super) fn probe(folder: &Path, kind: Kind, write_bytes: u64) -> Result<Probed, ProbeError> {
    let own = folder.join(format!("{PROBE_PREFIX}{}", std::process::id()));
    fs::create_dir(&own).map_err(ProbeError::Io)?;
    let probed = measure(&own, kind, write_bytes);
    fs::remove_dir_all(&own).map_err(|source| ProbeError::LeftBehind { left: own.clone(), source })?;
    probed.map_err(ProbeError::Io)
}

fn measure(own: &Path, kind: Kind, write_bytes: u64) -> io::Result<Probed> {
    let events = events(own, kind)?;
    let (clock_step_ms, clock_offset_ms) = clock(&own.join("clock"))?;
    let (rename_keeps_inode, rename_replaces) = renames(own)?;
    Ok(Probed {
        events,
        clock_step_ms,
        clock_offset_ms,
        rename_keeps_inode,
        rename_replaces,
        growth_is_seen: growth(&own.join("growth"))?,
        write_mb_per_s: rate(&own.join("rate"), write_bytes)?,
    })
}

/// Listens, writes a file, renames it.
fn events(own: &Path, kind: Kind) -> io::Result<Events> {
    let (first, second) = (own.join("event"), own.join("renamed"));
    let Ok(hints) = Hints::listen(own) else { return Ok(Events::Missing) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let wait = |wanted: &Path| {
        let wanted = Hint::Path { path: wanted.to_path_buf(), closed: true };
        let began = Instant::now();
        let seen = runtime.block_on(async {
            tokio::time::timeout(EVENT_WAIT, async {
                loop {
                    match hints.next().await {
                        Some(hint) if hint == wanted => return true,
                        Some(_) => {}
                        None => return false,
                    }
                }
            })
            .await
            .unwrap_or(false)
        });
        seen.then(|| began.elapsed().as_secs_f64() * 1e3)
    };
    fs::write(&first, "cytowatch")?;
    let closed_ms = wait(&first);
    fs::rename(&first, &second)?;
    let renamed_ms = wait(&second);
    Ok(match (closed_ms, renamed_ms) {
        (Some(_), Some(_)) if kind.is_network() => Events::OnlyOwn,
        (Some(closed_ms), Some(renamed_ms)) => Events::Arrive { closed_ms, renamed_ms },
        _ => Events::Missing,
    })
}

/// Writes until the modification time has moved some times: smallest step, and offset to our clock, ms.
fn clock(path: &Path) -> io::Result<(f64, f64)> {
    let began = Instant::now();
    let mut file = File::create(path)?;
    let mut times_ns: Vec<i64> = Vec::new();
    let mut offset_ns = 0;
    while times_ns.len() <= STEPS && began.elapsed() < STEP_WAIT {
        file.write_all(b"x")?;
        file.flush()?;
        let now_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let modified_ns = Stamp::look(path)?.modified_unix_ns;
        if times_ns.last() != Some(&modified_ns) {
            times_ns.push(modified_ns);
            offset_ns = modified_ns.saturating_sub(now_ns);
        }
    }
    let steps = times_ns.iter().zip(times_ns.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one));
    // A clock that did not move at all has a step of at least the whole search.
    let step_ns = steps.filter(|step| *step > 0).min().unwrap_or(STEP_WAIT.as_nanos() as i64);
    Ok((step_ns as f64 / 1e6, offset_ns as f64 / 1e6))
}

fn renames(own: &Path) -> io::Result<(bool, bool)> {
    let (one, other) = (own.join("rename-1"), own.join("rename-2"));
    fs::write(&one, "one")?;
    fs::write(&other, "other")?;
    let (before, over) = (Stamp::look(&one)?, Stamp::look(&other)?);
    fs::rename(&one, &other)?;
    let after = Stamp::look(&other)?;
    Ok((after.inode == before.inode, after.inode != over.inode))
}

fn growth(path: &Path) -> io::Result<bool> {
    let mut file = File::create(path)?;
    let mut seen = true;
    for size in 1..=3 {
        file.write_all(b"x")?;
        seen &= Stamp::look(path)?.size_bytes == size;
    }
    Ok(seen)
}

fn rate(path: &Path, write_bytes: u64) -> io::Result<f64> {
    // Not zeros: some file systems do not store them.
    let block: Vec<u8> = (0..BLOCK_BYTES).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let blocks = (write_bytes / BLOCK_BYTES as u64).max(1);
    let began = Instant::now();
    let mut file = File::create(path)?;
    for _ in 0..blocks {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let seconds = began.elapsed().as_secs_f64().max(1e-6);
    Ok(blocks as f64 * BLOCK_BYTES as f64 / 1e6 / seconds)
}

impl Probed {
    /// For people, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        let yes = |good: bool, then: &str, otherwise: &str| if good { then.to_owned() } else { otherwise.to_owned() };
        vec![
            match self.events {
                Events::Arrive { closed_ms, renamed_ms } => {
                    format!("events        arrive: {closed_ms:.2} ms after closing, {renamed_ms:.2} ms after renaming")
                }
                Events::OnlyOwn => {
                    "events        only for what this machine writes; the instrument's files are polled".to_owned()
                }
                Events::Missing => "events        do not arrive: files are found by the rescans alone".to_owned(),
            },
            format!(
                "file times    step {:.3} ms, {:+.1} ms against our clock",
                self.clock_step_ms, self.clock_offset_ms
            ),
            format!(
                "renames       {}; {}",
                yes(self.rename_keeps_inode, "keep the inode", "change the inode: recognised by size and time"),
                yes(self.rename_replaces, "a replaced file is told apart", "a replaced file looks like the old one"),
            ),
            format!(
                "growth        {}",
                yes(self.growth_is_seen, "seen at once", "seen late: give files more time (settle)")
            ),
            format!("write rate    {:.0} MB/s, synced", self.write_mb_per_s),
        ]
    }
}
