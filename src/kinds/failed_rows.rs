//! Rows that a model cannot answer: their prompt is too long, or the server refuses it. `sample` counts them.

use lab::stage::{StageContext, StageError, failed};
use learn::dataset::Row;

/// The hint where a server has refused rows.
pub(super) const OTHERS_ARE_KEPT: &str = "the answers to the others are kept: the next run asks for these alone";

/// The most rows that a message names.
const MAX_NAMED: usize = 5;

/// The rows without an answer to one of their requests or more.
#[derive(Default)]
pub(super) struct FailedRows {
    /// Ids and reasons.
    rows: Vec<(String, String)>,
    /// The last one.
    last: Option<*const Row>,
}

impl FailedRows {
    /// Adds a row, unless it was the last one that was added.
    pub(super) fn add(&mut self, row: &Row, reason: &str) {
        let place = std::ptr::from_ref(row);
        if self.last != Some(place) {
            self.last = Some(place);
            self.rows.push((row.id.clone(), reason.to_owned()));
        }
    }

    /// Fails if more than `max_failed` of `all` rows failed; otherwise warns about those that did. `hint` is printed with the failure: what
    /// happens to the answers to the other rows.
    ///
    /// # Errors
    /// The message names the first rows and their reasons.
    pub(super) fn check(&self, max_failed: u64, all: usize, hint: &str, context: &StageContext<'_>) -> Result<(), StageError> {
        let count = self.rows.len();
        if count == 0 {
            return Ok(());
        }
        let lines: Vec<String> = self.rows.iter().map(|(id, reason)| format!("`{id}`: {reason}")).collect();
        let rows = if all == 1 { "row" } else { "rows" };
        let have = if count == 1 { "has" } else { "have" };
        let what = format!("{count} of {all} {rows} {have} no answer");
        let mut named = lines.get(..count.min(MAX_NAMED)).unwrap_or_default().join("\n");
        if count > MAX_NAMED {
            named += &format!("\nand {} more", count - MAX_NAMED);
        }
        if count as u64 <= max_failed {
            // Each answer says it of itself, too.
            (context.warn)(&format!("{what}; wrong, as `max_failed = {max_failed}` has it:\n{named}"));
            return Ok(());
        }
        Err(failed(format!(
            "{what}, and `max_failed` allows {max_failed}:\n{named}\n{hint}; `max_failed = {count}` counts such rows as wrong"
        )))
    }
}
