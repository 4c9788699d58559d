//! pipeline

pub mod backlog;
