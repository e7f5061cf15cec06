//! Sources of a decoder's weights, from which engines read.

use std::borrow::Cow;

use super::weights_file::WeightsFile;
use super::{Array, ModelError, Weights};

/// Weights by name. They are borrowed, moved out one by one, or read from their file one by one, so that they are never in memory twice.
pub trait WeightSource: Send {
    /// Returns the weight `name`. It may be requested only once.
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
