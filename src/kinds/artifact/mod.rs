//! The formats of artifacts: one module with a reader and a writer for each port type.
//!
//! | port type | module | file or folder |
//! |---|---|---|
//! | data set | [`data_set`] | JSON Lines of [`learn::dataset::Row`] |
//! | answers | [`answers`] | JSON Lines of [`learn::dataset::Answer`] |
//! | model | [`model`] | a folder, as `learn` writes it; with a training curve, see [`curve`] |
//! | metrics | [`metrics`] | a folder with `metrics.json`, and the answers, examples and series behind them |
//! | figure | [`figure`] | a PNG, SVG or PDF file |
//! | text | [`text`] | a file in UTF-8 |
//!
//! A file has any content.

pub mod answers;
pub mod columns;
pub mod curve;
pub mod data_set;
mod error;
pub mod figure;
pub mod metrics;
pub mod model;
mod tensorboard;
pub mod text;

use std::path::Path;

use lab::stage::PortType;

pub use error::{ArtifactError, MetricsProblem};
pub use tensorboard::TENSORBOARD;

/// Checks that an artifact which a user's program wrote has the format of its port type.
///
/// # Errors
/// When it is missing, or has another format; the message names the path.
pub fn check_format(path: &Path, port: PortType) -> Result<(), ArtifactError> {
    if !path.exists() {
        return Err(ArtifactError::Missing { path: path.to_owned() });
    }
    match port {
        PortType::Dataset => data_set::lines(path)?.try_for_each(|row| Ok(row.map(drop)?)),
        PortType::Answers => answers::lines(path)?.try_for_each(|answer| Ok(answer.map(drop)?)),
        PortType::Model if !model::is_model(path) => Err(ArtifactError::NoModel { path: path.to_owned() }),
        PortType::Metrics => metrics::check(path),
        PortType::Figure | PortType::Text if path.is_dir() => Err(ArtifactError::Folder { path: path.to_owned() }),
        PortType::Figure => figure::format(path).map(drop),
        PortType::Text => text::check(path),
        PortType::Model | PortType::File => Ok(()),
    }
}
