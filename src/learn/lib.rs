//! Trains and samples decoder-only transformers. It knows no stage and no store.

pub mod catch_panic;
pub mod chat;
pub mod dataset;
pub mod engine;
pub mod model;
pub mod positions;
pub mod python;
pub mod sampler;
pub mod scorer;
pub mod seed;
pub mod tokenizer;
pub mod trainer;
