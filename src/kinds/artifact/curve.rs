//! The training curve in a model's folder, and what a training found on its validation set. The formats are `learn`'s, which also writes
//! them.

pub use learn::trainer::training_curve::read;
pub use learn::trainer::validation::read as read_summary;
pub use learn::trainer::{TrainingPoint, ValidationSummary};
