//! `runner` runs machine-learning experiments described in TOML, and never the same stage twice.
//!
//! The flow goes one way: [`config`] turns text into an experiment, [`plan`] turns the experiment into a DAG and asks the
//! [`store`] what is there, [`exec`] runs what is missing, [`report`] shows it. `docs/architecture.md` has the whole picture.

pub mod cli;
pub mod config;
pub mod contained;
pub mod dataset;
pub mod engine;
pub mod event;
pub mod exec;
pub mod fetch;
pub mod fingerprint;
pub mod hash;
pub mod metrics;
pub mod model;
pub mod pattern;
pub mod plan;
pub mod report;
pub mod sampler;
pub mod seed;
pub mod source;
pub mod stage;
pub mod store;
pub mod task;
pub mod tokenizer;
pub mod trainer;
