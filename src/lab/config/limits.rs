//! Limits of what an experiment may ask for, said before memory is taken: the matrix, ranges and iterations multiply.

use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, ValueData};

/// The most memory that the values of all variants may take, about.
const MAX_BYTES: usize = 512 << 20;
/// The most memory of one value after its templates have been filled in: params that use others twice would grow without end.
pub(super) const MAX_VALUE_BYTES: usize = 1 << 20;
/// How often a value of the matrix is held: by its point, its variant, and the names of that.
const COPIES: usize = 3;
/// What a value takes beside its text.
const VALUE_BYTES: usize = 64;
/// The longest name of a stage, a param or an axis.
pub(super) const MAX_NAME: usize = 200;

/// About how many bytes a value takes.
pub(super) fn bytes(value: &ConfigValue) -> usize {
    VALUE_BYTES
        + match &value.data {
            ValueData::Text(text) | ValueData::Template(text) => text.len(),
            ValueData::List(items) => items.iter().map(bytes).sum(),
            ValueData::Table(fields) => table_bytes(fields),
            _ => 0,
        }
}

/// About how many bytes the fields of a table take.
pub(super) fn table_bytes(fields: &ConfigTable) -> usize {
    fields.iter().map(|(name, value)| name.len() + bytes(value)).sum()
}

/// The memory that the values of an experiment may still take.
#[derive(Debug)]
pub(super) struct Memory {
    left: Option<usize>,
}

impl Memory {
    pub fn new() -> Self {
        Self { left: Some(MAX_BYTES) }
    }

    /// Whether there was no room for something.
    pub fn is_full(&self) -> bool {
        self.left.is_none()
    }

    /// Takes `bytes` from the budget. Returns whether they fit; the first failure is reported.
    pub fn take(&mut self, bytes: usize, problems: &mut Diagnostics) -> bool {
        let Some(left) = self.left else { return false };
        self.left = left.checked_sub(bytes);
        if self.left.is_none() {
            let message = format!("the values of all variants together take more than {} MiB", MAX_BYTES >> 20);
            let help = "put what is large into a file, which a source names";
            problems.push(Diagnostic::new(message).help(help));
        }
        self.left.is_some()
    }
}

/// Whether the values of the matrix, which take so many bytes in all variants together, can be held; reports it where they cannot.
pub(super) fn has_room_for_variants(bytes: usize, problems: &mut Diagnostics) -> bool {
    Memory::new().take(bytes.saturating_mul(COPIES), problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ends_once() {
        let (mut memory, mut problems) = (Memory::new(), Diagnostics::default());
        assert!(memory.take(MAX_BYTES - 10, &mut problems) && memory.take(10, &mut problems));
        assert!(problems.is_empty());
        assert!(!memory.take(1, &mut problems) && !memory.take(0, &mut problems));
        assert_eq!(problems.into_vec().len(), 1);
    }
}
