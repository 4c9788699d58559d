//! Drives the real binary: real files written the way instruments write them, real signals, the real database, a real
//! browser. One binary, so that it links once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::let_underscore_must_use,
    reason = "a test that is surprised must stop, and may say so"
)]
#![expect(
    clippy::needless_for_each,
    clippy::format_collect,
    clippy::unnecessary_debug_formatting,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::doc_markdown,
    reason = "tests are read line by line"
)]

mod account;
mod alerts;
mod api;
mod broken;
mod browser;
mod disk;
mod embed;
mod explain;
mod health;
mod infer;
mod large;
mod overlay;
mod page;
mod restart;
mod rooms;
mod seed;
mod server;
mod session;
mod stop;
mod support;
#[cfg(feature = "learn")]
mod train;
mod watching;
