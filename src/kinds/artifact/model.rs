//! Models. The format of their folder is `learn`'s, which also writes it.

pub use learn::model::{is_model, load, open};
