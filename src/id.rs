//! Identities: one newtype per table, so that no raw integer crosses a function boundary.
//!
//! Numbers read from file names ([`TimeIndex`]) are not identities: they say which, not who.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

row_id!(
    /// A run of the daemon: one process with one configuration.
    RunId
);
row_id!(
    /// A model bundle that has been used.
    BundleId
);
row_id!(
    /// An acquisition run of an instrument.
    SessionId
);
row_id!(
    /// What is in the well.
    SampleId
);
row_id!(
    /// A field of view of a session.
    FovId
);
row_id!(
    /// A file or container that holds frames.
    SourceId
);
row_id!(
    /// A frame: the ledger's row.
    FrameId
);
row_id!(
    /// A cell: one detection in one frame.
    CellId
);
row_id!(
    /// A track: the same cell over time.
    TrackId
);

/// Which time point of a field of view, as the instrument counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeIndex(pub i64);

impl fmt::Display for TimeIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
