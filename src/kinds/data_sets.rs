//! Data sets at the ports of a stage.

use lab::stage::{StageContext, StageError, failed};
use learn::dataset::{self, Row};
use serde::Serialize;

/// Reads and writes the data sets of a running stage.
pub(crate) trait DataSets {
    /// The rows of all data sets at an input port, one set after the other.
    fn rows(&self, port: &str) -> Result<Vec<Row>, StageError>;

    /// Writes the data set of an output port.
    fn write<T: Serialize>(&self, port: &str, values: &[T]) -> Result<(), StageError>;
}

impl DataSets for StageContext<'_> {
    fn rows(&self, port: &str) -> Result<Vec<Row>, StageError> {
        let mut rows = Vec::new();
        for path in self.list(port) {
            for row in dataset::open(path).map_err(failed)? {
                rows.push(row.map_err(failed)?);
                self.pause(rows.len())?;
            }
        }
        Ok(rows)
    }

    fn write<T: Serialize>(&self, port: &str, values: &[T]) -> Result<(), StageError> {
        dataset::write(&self.outputs.join(port), values).map_err(failed)
    }
}
