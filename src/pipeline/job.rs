//! What travels through the queues.

use super::backlog::Next;
use crate::cells::FoundCells;
use crate::frame::FrameQuality;
use crate::infer::Inference;
use crate::units::PixelSize;
use crate::watch::complete::Stamp;
use std::path::PathBuf;

/// The place of a frame in its field's order.
///
/// Results are recorded in rising `number` within an `epoch`; an epoch ends when one of its frames has to be read
/// again, and what was behind it is done again too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// Which series of admissions of this field.
    pub epoch: u64,
    /// Position in that series, from 0.
    pub number: u64,
}

/// A frame on its way to the workers.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which frame.
    pub next: Next,
    /// Its place in its field's order.
    pub ticket: Ticket,
    /// Where its source lies.
    pub path: PathBuf,
    /// Number of the plane inside its source.
    pub plane_index: usize,
    /// The source's version that was found complete.
    pub stamp: Stamp,
    /// The source holds several planes and may grow at its end while this one is read.
    pub may_grow: bool,
    /// When it was found complete, ms since 1970 UTC.
    pub closed_unix_ms: i64,
}

/// A frame whose cells have been found.
#[derive(Debug)]
pub struct Found {
    /// Pixels per row and number of rows.
    pub size_px: (usize, usize),
    /// Pixel size that was used.
    pub pixel_size: PixelSize,
    /// The file tells another one.
    pub pixel_size_contradicted: bool,
    /// The frame as a whole.
    pub quality: FrameQuality,
    /// Its cells.
    pub cells: FoundCells,
}

/// What became of a frame.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It has a result.
    Result(T),
    /// It cannot have one.
    Failed {
        /// Stable code.
        code: &'static str,
        /// The cause chain, for people.
        reason: String,
    },
    /// Its file changed or vanished while it was read: look at it again.
    Again {
        /// Why.
        reason: String,
    },
}

/// A frame after the workers.
#[derive(Debug)]
pub struct Analysed {
    /// The frame.
    pub job: Job,
    /// Its cells, or why there are none.
    pub outcome: Outcome<Box<Found>>,
}

/// A frame after the model.
#[derive(Debug)]
pub struct Scored {
    /// The frame.
    pub job: Job,
    /// Its cells, and for each what the model said (`None` for a cell without a crop).
    pub outcome: Outcome<(Box<Found>, Vec<Option<Inference>>)>,
}

/// A frame's end, told to the stage that admits.
#[derive(Debug)]
pub struct Done {
    /// The frame.
    pub next: Next,
    /// How it ended.
    pub end: End,
}

/// How a frame's way through the pipeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Committed.
    Recorded,
    /// Failed; the ledger knows the code.
    Failed,
    /// To be looked at again.
    Again,
    /// Not recorded because an earlier frame of its field has to be read again; back in the ledger as ready.
    PutBack,
}
