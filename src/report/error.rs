//! The error of a search in the store.

use lab::plan::NothingSelected;
use lab::store::StoreError;

/// Why the stages of a run or of a metric cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NothingSelected(#[from] NothingSelected),
}
