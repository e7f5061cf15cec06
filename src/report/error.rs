//! The error of a search in the store.

use lab::plan::NothingSelected;
use lab::store::StoreError;

/// The error of a search for the stages of a run or of a metric.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NothingSelected(#[from] NothingSelected),
}
