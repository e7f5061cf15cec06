//! Reporters turn the events of a run into lines for people, lines of JSON, and files for TensorBoard.
//!
//! A reporter only consumes [`Event`](crate::event::Event)s. It is given its writer and its clock, so that tests see what a
//! user sees; whether there is a terminal and whether colours are wanted is for the caller to find out.

mod clock;
mod event_log;
mod json;
mod plain;
mod running;
mod tally;
mod tensorboard;
mod terminal;
mod wording;

pub use clock::{Clock, SystemClock};
pub use event_log::EventLog;
pub use json::Json;
pub use plain::Plain;
pub use tensorboard::{ArtifactReader, CurvePoint, TensorBoard};
pub use terminal::Terminal;

#[cfg(test)]
mod tests;
