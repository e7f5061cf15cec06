//! The templates of tasks.

pub mod template;
