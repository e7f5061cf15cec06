//! The contract between the lab and the kinds of stages.
//!
//! A stage knows nothing of keys, stores, executors or terminals: it is given typed inputs and a place for its outputs.

mod argument;
mod caller;
mod carried;
mod context;
mod effort;
mod first_prompt;
mod implied;
mod kind;
mod port;
mod preparation;
mod sandbox;
mod template;

pub use argument::Argument;
pub use caller::Caller;
pub use carried::{Carried, CarriedFrom};
pub use context::{StageContext, StageError, failed, lacks_memory};
pub use effort::{Effort, EffortOf, InputSizes};
pub use first_prompt::{FirstPrompt, PromptInputs};
pub use kind::{AddsTo, ImpliedInput, ImpliedParam, Kind, Parse, Secret, Stage, StagePart, StageParts};
/// The param that names the environment of a program, and what a table of it has.
pub const ENVIRONMENT: &str = "environment";

pub use port::{INPUT_PATHS, Input, Output, PortType, is_port};
pub use preparation::Preparation;
pub use sandbox::Sandbox;
pub use template::{ProgramText, Template};
