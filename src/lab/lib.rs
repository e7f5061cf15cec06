//! The lab: runs any graph of stages and keeps what they make. It knows no model and no task.
//!
//! The flow goes one way: [`config`] turns text into an experiment, [`plan`] turns the experiment into a graph and asks the
//! [`store`] for each stage, [`exec`] runs the stages that the store lacks, [`reporter`] shows the run.

pub mod config;
pub mod download;
pub mod event;
pub mod exec;
pub mod fingerprint;
pub mod hash;
pub mod http;
pub mod json_path;
pub mod plan;
pub mod processes;
pub mod reporter;
pub mod runs;
pub mod source;
pub mod stage;
pub mod store;
pub mod text;
