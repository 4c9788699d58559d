//! Everything that drives the product from outside: one binary, so that it links once.

mod api;
mod page;
mod seed;
mod server;
