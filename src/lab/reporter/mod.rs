//! Reporters turn the events of a run into lines for people, lines of JSON, and files for TensorBoard.
//!
//! A reporter only consumes [`Event`](crate::event::Event)s. The caller hands in the writer, the clock and the [`CommandHints`], so that
//! tests see the same text as a user. The caller also decides whether there is a terminal and whether to use colours.
//!
//! The two reporters for people share [`run_view`], which turns events into [`line`]s. Each decides only how a line looks.

mod clock;
mod event_log;
mod hints;
mod json;
mod line;
mod live_area;
mod named_stages;
mod plain;
mod run_view;
mod stage_line;
mod status_file;
mod tensorboard;
mod terminal;

pub use clock::{Clock, SystemClock};
pub use event_log::EventLog;
pub use hints::CommandHints;
pub use json::JsonReporter;
pub use live_area::{AskSize, LiveArea, LiveLine};
pub use plain::PlainReporter;
pub use stage_line::{RunTotal, StageLine};
pub use status_file::StatusFile;
pub use tensorboard::{ArtifactReader, CurvePoint, TensorBoard};
pub use terminal::TerminalReporter;

#[cfg(test)]
mod tests;
