//! (being written)

pub mod config;
pub mod diagnostics;
pub mod experiment;
pub mod schema;
