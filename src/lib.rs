//! cytowatch: watches a microscope's output folder, takes every frame as it lands, finds, follows and scores the
//! cells, and says when enough have been seen.

pub mod alert;
pub mod cells;
pub mod cli;
pub mod daemon;
pub mod evaluate;
pub mod explain;
pub mod folder;
pub mod frame;
pub mod id;
pub mod infer;
pub mod learn;
pub mod metrics;
pub mod openlch;
pub mod picture;
pub mod pipeline;
pub mod sample;
pub mod serve;
pub mod settings;
pub mod simulate;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod track;
pub mod units;
pub mod watch;
