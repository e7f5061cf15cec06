//! Where an engine has a decoder's weights from.

use std::borrow::Cow;

use super::weights_file::WeightsFile;
use super::{Array, ModelError, Weights};

/// Weights by name: read where they are, taken out one by one, or read from their file one by one, so that they are never there twice.
pub trait WeightSource: Send {
    /// The weight `name`, for the last time.
    ///
    /// # Errors
    /// When it cannot be read.
    fn take(&mut self, name: &str) -> Result<Option<Cow<'_, Array>>, ModelError>;
}

impl WeightSource for &Weights {
    fn take(&mut self, name: &str) -> Result<Option<Cow<'_, Array>>, ModelError> {
        Ok(self.get(name).map(Cow::Borrowed))
    }
}

impl WeightSource for Weights {
    fn take(&mut self, name: &str) -> Result<Option<Cow<'_, Array>>, ModelError> {
        Ok(self.remove(name).map(Cow::Owned))
    }
}

impl WeightSource for &WeightsFile {
    fn take(&mut self, name: &str) -> Result<Option<Cow<'_, Array>>, ModelError> {
        Ok(self.get(name)?.map(Cow::Owned))
    }
}
