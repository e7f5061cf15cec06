//! Limits of what an experiment may ask for, said before memory is taken: the matrix, ranges and iterations multiply.

use super::axis::is_axis;
use super::stages::StageCount;
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, Scope, ValueData, stages};

/// More stages than this, in all variants together, are taken for a mistake.
const MAX_STAGES: usize = 50_000;
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
            ValueData::Text(text) => text.len(),
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

/// Whether the stages of all variants, whose names these are, are few enough; reports it where they are not.
pub(super) fn stages(document: &Document, scopes: &[Scope], problems: &mut Diagnostics) -> bool {
    let counts = stages::counts(document);
    let (varying, fixed): (Vec<_>, Vec<_>) = counts.iter().partition(|(_, count)| matches!(count, StageCount::Range(_)));
    let fixed: usize = fixed
        .iter()
        .map(|(_, count)| if let StageCount::Fixed(count) = count { *count } else { 0 })
        .sum();
    let in_variant = |scope: &Scope| fixed + varying.iter().map(|(_, count)| count.in_variant(scope)).sum::<usize>();
    let (mut sum, mut largest, mut widest) = (0usize, 0, None);
    for scope in scopes {
        let count = in_variant(scope);
        sum = sum.saturating_add(count);
        if count > largest {
            (largest, widest) = (count, Some(scope));
        }
    }
    if sum <= MAX_STAGES {
        return true;
    }
    let mut most: Vec<(&str, usize)> = counts
        .iter()
        .map(|(name, count)| (*name, widest.map_or(1, |scope| count.in_variant(scope))))
        .collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let listed: Vec<String> = most.iter().take(3).map(|(name, count)| format!("{count} of `{name}`")).collect();
    let up_to = if sum == largest.saturating_mul(scopes.len()) {
        ""
    } else {
        "up to "
    };
    let message = match scopes.len() {
        1 => format!(
            "this experiment has {sum} stages ({}); at most {MAX_STAGES} are allowed",
            listed.join(", ")
        ),
        variants => format!(
            "this experiment has {sum} stages: {variants} variants{} with {up_to}{largest} stages each ({}); at most {MAX_STAGES} are allowed",
            factors(document),
            listed.join(", ")
        ),
    };
    let first = most.first().map(|(name, _)| document.declared("stages", name));
    let help = "shorten a range or an axis, or make several experiments of it";
    problems.push(Diagnostic::new(message).at(first.and_then(|origin| origin.key())).help(help));
    false
}

/// The axes whose product the variants are, with their sizes: ` (10 of a × 3 of b)`. Empty for a single axis.
fn factors(document: &Document) -> String {
    let axes = document.entries("matrix");
    let lengths = axes.iter().filter(|(name, values)| is_axis(name, values));
    let lengths: Vec<String> = lengths
        .map(|(name, values)| format!("{} of `{name}`", values.items().len()))
        .collect();
    if lengths.is_empty() {
        String::new()
    } else {
        format!(" ({})", lengths.join(" × "))
    }
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
