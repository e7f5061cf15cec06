//! The training curve in a model's folder. Its format is `learn`'s, which also writes it.

pub use learn::trainer::TrainingPoint;
pub use learn::trainer::training_curve::read;
