//! What people see of an experiment that has run: tables, figures, a page, and comparisons.

pub mod diff;
mod escape;
#[cfg(any(test, feature = "example"))]
pub mod example;
pub mod exhibits;
pub mod figure;
pub mod findings;
pub mod gather;
pub mod page;
pub mod scores;
pub mod sheet;
mod shown;
pub mod sizes;

pub use findings::Findings;
pub use shown::Shown;

use escape::{escaped, json_in_script};
