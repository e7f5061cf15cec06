//! What is wrong with an architecture, and the checks of its numbers.

/// The largest allowed size. Larger ones are assumed to be mistakes.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// An architecture is not valid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArchitectureError {
    #[error("`{field}` must be at least 1")]
    Zero { field: &'static str },
    #[error("`{field}` = {number} is too large, it must be at most {MAX_SIZE}")]
    TooLarge { field: &'static str, number: usize },
    #[error("`{divisor}` = {by} must divide `{field}` = {number}")]
    Indivisible {
        divisor: &'static str,
        by: usize,
        field: &'static str,
        number: usize,
    },
    #[error("`{field}` = {head} must be even, since rotary positions turn pairs")]
    OddHead { field: &'static str, head: usize },
    #[error("`rope_scaling.low_freq_factor` = {low} must be less than `rope_scaling.high_freq_factor` = {high}")]
    Frequencies { low: f64, high: f64 },
    #[error("`rope_scaling.beta_slow` = {slow} must be at most `rope_scaling.beta_fast` = {fast}")]
    Turns { slow: f64, fast: f64 },
    #[error("`rope_theta` = {theta} must be more than 1, since the scaling of the positions divides by its logarithm")]
    Theta { theta: f64 },
    #[error(
        "`positions.rows` = {rows} must be at least {least}: `positions.top` = {top} needs a row for each index from two before 0 to the top"
    )]
    FewRows { rows: usize, top: usize, least: usize },
    #[error("`{field}` is not used with `positions` of the kind `{kind}`; leave it out")]
    Unused { field: &'static str, kind: &'static str },
    #[error("`{field}` = {number} must be a positive number")]
    NotPositive { field: &'static str, number: f64 },
}

pub(super) fn in_range(field: &'static str, number: usize, least: usize) -> Result<(), ArchitectureError> {
    if number < least {
        return Err(ArchitectureError::Zero { field });
    }
    if number > MAX_SIZE {
        return Err(ArchitectureError::TooLarge { field, number });
    }
    Ok(())
}

pub(super) fn positive(field: &'static str, number: f64) -> Result<(), ArchitectureError> {
    if number > 0.0 && number.is_finite() {
        return Ok(());
    }
    Err(ArchitectureError::NotPositive { field, number })
}
