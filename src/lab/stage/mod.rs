//! The contract between the lab and the kinds of stages.
//!
//! A stage knows nothing of keys, stores, executors or terminals: it is given typed inputs and a place for its outputs.

mod argument;
mod context;
mod implied;
mod kind;
mod port;
mod sandbox;
mod template;

pub use argument::Argument;
pub use context::{StageContext, StageError, failed};
pub use implied::ImpliedParam;
pub use kind::{Kind, Parse, Stage};
pub use port::{INPUT_PATHS, Input, Output, PortType, is_port};
pub use sandbox::Sandbox;
pub use template::{ProgramText, Template};
