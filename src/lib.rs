//! cytowatch: watches a microscope's output folder, takes every frame as it lands, finds, follows and scores the
//! cells, and says when enough have been seen.
//!
//! # The way of a frame
//!
//! ```text
//!  instrument's folder
//!       |  events are hints, a scan is the truth
//!       v
//!  watch --> frame --> cells --> infer --> track --> store --> serve, alert, export
//!  complete  light     outlines, 56        the same  one       live page, JSON, SSE,
//!  planes    evened,   shape,    numbers,  cell over transac-  metrics, webhooks,
//!            judged    crop      score     time      tion      CSV
//!            (stateless, parallel, batched)  (ordered per field)
//! ```
//!
//! # The rooms, in that order
//!
//! | module | what a change there is about |
//! |---|---|
//! | [`settings`] | what the operator writes: keys, defaults, limits, and which key is wrong |
//! | [`daemon`] | one process: start, signals, supervision, drain, readiness, watchdog |
//! | [`pipeline`] | the only module that knows every stage: queues, workers, order, who waits for whom |
//! | [`watch`] | which frames exist, which are complete, what their names say; opens nothing for writing |
//! | [`frame`] | a file's pixels, illumination, focus |
//! | [`cells`] | which pixels are cell; outline, shape, protrusions, scattering, crop |
//! | [`infer`] | bundle, engines, descriptor, score, and when a score must not be believed |
//! | [`track`] | the same cell from frame to frame, division, gaps, stage jumps |
//! | [`sample`] | what the tracks of a sample say together: call, change of state, drift, certificate |
//! | [`store`] | the database; the only module with SQL |
//! | [`serve`], [`alert`], [`status`], [`metrics`], [`telemetry`] | what people and other programs see |
//! | [`learn`], [`explain`], [`evaluate`] | make a bundle, say what it sees, judge it against truth |
//! | [`simulate`] | a phase-contrast microscope with known truth |
//! | [`cli`] | one file per command |
//! | [`folder`], [`picture`], [`markup`], [`parquet`], [`openlch`], [`id`], [`units`] | file systems, PNG and JPEG, HTML, Parquet, the names of openLCH, keys, physical units |
//!
//! # Words
//!
//! A *session* is one acquisition run. A *field of view* (`fov`) is a place imaged again and again; it belongs to a
//! *sample*, what is in the well. A *frame* is one plane of one field at one time; a *cell* is one detection in one
//! frame, a *track* the same cell over time. A *crop* is the 70.5 um box around a cell, its *descriptor* the encoder's
//! 56 numbers, its *score* the posterior of "high", 0..1. A *call* is the verdict on a sample. The *ledger* has a row for
//! every frame ever seen; a *bundle* is a folder with a model and everything that must be known about it.
//!
//! # What always holds
//!
//! 1. The folder is the queue and the ledger the memory: a restart, a lost event and a late file take the same path.
//! 2. One transaction commits a frame's cells, tracks and scores and flips its ledger row; nothing is done twice.
//! 3. Every queue has a capacity; overload shows as lag, never as a lost frame or growing memory.
//! 4. A frame's error fails that frame with a stable code; a fatal error ends the process with a documented exit code.
//! 5. A number that may mislead is withheld, with the reason. NaN never enters the store.
//! 6. The same input gives the same bits: no result depends on timing, threads, the clock or an earlier run.
//! 7. A stage imports only the output type of the stage before it, no stage knows the store, and each outside library
//!    has one door. `tests/integration/main.rs` and the tests beside the code hold this.

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
pub mod markup;
pub mod metrics;
pub mod openlch;
pub mod parquet;
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
