//! What the cells of a sample say together: the call, changes of state, drift, and the session's certificate.
//!
//! Takes numbers that earlier stages stored (scores, descriptors, illumination, ledger rows), gives verdicts with
//! intervals and reasons. Everything here is pure: no clock, no database, no threads; the same numbers give the same bits.

pub mod call;
pub mod certificate;
pub mod drift;
pub mod dynamics;
pub mod film;
pub mod trial;
