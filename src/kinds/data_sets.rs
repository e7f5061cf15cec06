//! Data sets and answers at the ports of a stage.

use crate::artifact::{answers, data_set};
use lab::stage::{PromptInputs, StageContext, StageError, failed};
use learn::dataset::{Answer, Row};

/// Reads and writes the data sets and answers of a running stage.
pub(crate) trait DataSets {
    /// The rows of all data sets at an input port, one set after the other.
    fn rows(&self, port: &str) -> Result<Vec<Row>, StageError>;

    /// Writes the data set of an output port.
    fn write_rows(&self, port: &str, rows: &[Row]) -> Result<(), StageError>;

    /// Writes the answers of an output port.
    fn write_answers(&self, port: &str, answers: &[Answer]) -> Result<(), StageError>;
}

/// The first row of the data sets at an input port.
///
/// # Errors
/// When a data set cannot be read, or none has a row.
pub(crate) fn first_row(inputs: &PromptInputs, port: &str) -> Result<Row, StageError> {
    for path in inputs.list(port) {
        if let Some(row) = data_set::lines(path).map_err(failed)?.next() {
            return row.map_err(failed);
        }
    }
    Err(failed("there are no rows"))
}

impl DataSets for StageContext<'_> {
    fn rows(&self, port: &str) -> Result<Vec<Row>, StageError> {
        let mut rows = Vec::new();
        for path in self.list(port) {
            for row in data_set::lines(path).map_err(failed)? {
                rows.push(row.map_err(failed)?);
                self.pause(rows.len())?;
            }
        }
        Ok(rows)
    }

    fn write_rows(&self, port: &str, rows: &[Row]) -> Result<(), StageError> {
        data_set::write(&self.outputs.join(port), rows).map_err(failed)
    }

    fn write_answers(&self, port: &str, answers: &[Answer]) -> Result<(), StageError> {
        answers::write(&self.outputs.join(port), answers).map_err(failed)
    }
}
