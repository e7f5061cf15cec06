//! What people and programs see: reporters that turn events into lines, and tables.
//!
//! A reporter only consumes [`Event`](crate::event::Event)s. It is given its writer and its clock, so that tests see what a
//! user sees; whether there is a terminal and whether colours are wanted is the caller's to find out.

mod clock;
pub mod diff;
mod duration;
mod escape;
mod event_log;
pub mod figure;
pub mod findings;
mod json;
pub mod page;
mod paint;
mod plain;
mod running;
pub mod scores;
pub mod sheet;
mod shown;
mod size;
pub mod sizes;
mod table;
mod tally;
mod tensorboard;
mod terminal;
mod wording;

pub use clock::{Clock, SystemClock};
pub use duration::duration;
pub use event_log::EventLog;
pub use findings::Findings;
pub use json::Json;
pub use paint::{Color, Paint};
pub use plain::Plain;
pub use shown::Shown;
pub use size::bytes;
pub use table::{Align, Table};
pub use tensorboard::TensorBoard;
pub use terminal::Terminal;

use escape::{escaped, json_in_script};

#[cfg(test)]
mod tests;
