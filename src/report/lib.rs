//! Reports on experiments that have run: tables, figures, a page, and comparisons.

mod accepted;
pub mod contamination;
pub mod diff;
mod error;
pub mod escape;
#[cfg(any(test, feature = "example"))]
pub mod example;
pub mod figure;
pub mod files;
pub mod gather;
pub mod layout;
pub mod metrics;
pub mod page;
pub mod part_name;
pub mod parts;
pub mod record_text;
mod report;
pub mod request;
pub mod scores;
pub mod sizes;
pub mod stage_details;
pub mod table;
pub mod why;

pub use error::LookupError;
pub use files::ReportFileError;
pub use report::{ExperimentReport, ReportError};
