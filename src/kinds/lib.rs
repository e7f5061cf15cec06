//! The kinds of stages, the tasks, the metrics and the formats of artifacts.
//!
//! A new kind is one file and one line in [`kinds`].

mod answering;
pub mod artifact;
mod asked;
mod command;
mod data_sets;
mod dropped;
mod endpoint;
mod eval;
mod failed_rows;
mod filter;
pub mod foreign;
mod generate;
mod import;
pub mod judging;
mod kept;
mod kept_answers;
mod likelihoods;
mod measure;
pub mod metrics;
mod mix;
mod model_cost;
mod model_prompt;
pub mod question;
pub mod questioner;
mod sample;
pub mod scoring;
mod select;
mod selection;
mod shown_answers;
mod split;
pub mod task;
pub mod task_file;
mod task_table;
mod train;

pub use command::python_version;
#[cfg(fuzzing)]
pub use endpoint::fuzzing as server;
pub use kept::KEPT_FILES;
pub use model_prompt::model_prompt;
pub use selection::known_questions::{KnownQuestion, KnownQuestions, Overlap, TestSet, overlaps};
pub use task_table::TaskTable;

use lab::config::ParamError;
use lab::stage::Kind;
use learn::engine::{self, Dtype, Engine};

/// Refuses a number format that the engine does not support, before anything runs.
fn check_numbers(engine: Engine, dtype: Dtype) -> Result<(), ParamError> {
    engine::check_dtype(engine, dtype).map_err(|error| ParamError::new("dtype", error.to_string()))
}

/// Whether an output of a stage is a result: by the name of the kind, the params in the key, and the port. gc leaves results alone where
/// nobody wishes anything else.
pub fn is_result(kind: &str, params: &serde_json::Value, port: &str) -> bool {
    kept::is_result(kinds(), kind, params, port)
}

/// The table of kinds, by name.
pub fn kinds() -> &'static [&'static Kind] {
    static KINDS: [&Kind; 11] = [
        &command::KIND,
        &eval::KIND,
        &filter::KIND,
        &generate::KIND,
        &import::KIND,
        &measure::KIND,
        &mix::KIND,
        &sample::KIND,
        &select::KIND,
        &split::KIND,
        &train::KIND,
    ];
    &KINDS
}
