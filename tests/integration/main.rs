//! Drives the real binary: real files written the way instruments write them, real signals, the real database, a real
//! browser. One binary, so that it links once.

mod account;
mod api;
mod broken;
mod browser;
mod explain;
mod infer;
mod page;
mod restart;
mod seed;
mod server;
mod session;
mod stop;
mod support;
mod watching;
