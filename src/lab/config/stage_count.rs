//! How many stages an experiment has, and whether these are too many.

use super::axis::is_axis;
use super::scope::{Scope, fill, used};
use super::stages::{HeaderIndex, StageHeader};
use super::{ConfigValue, Diagnostic, Diagnostics, Document, range};

/// More stages than this, in all variants together, are taken for a mistake.
const MAX_STAGES: usize = 50_000;

/// How many stages an entry of `[stages]` is in one variant.
enum StageCount<'a> {
    Fixed(usize),
    /// As many as the values of this range, which has a template in it.
    Range(&'a ConfigValue),
}

impl StageCount<'_> {
    /// The count in one variant. A range that is wrong counts as one, and is reported elsewhere.
    fn in_variant(&self, scope: &Scope) -> usize {
        match self {
            Self::Fixed(count) => *count,
            Self::Range(range) => fill(range, &scope.indexed(None, None)).map_or(1, |filled| range::count(&filled)),
        }
    }
}

/// The entries of `[stages]`, by name.
fn counts(document: &Document) -> Vec<(&str, StageCount<'_>)> {
    document
        .entries("stages")
        .into_iter()
        .map(|(name, stage)| {
            let variable = StageHeader::parse(name).and_then(|header| match header.index {
                HeaderIndex::Variable(variable) => stage.get("for")?.get(variable),
                _ => None,
            });
            let count = match variable {
                Some(range) if !used(range).is_empty() => StageCount::Range(range),
                Some(range) => StageCount::Fixed(range::count(range)),
                None => StageCount::Fixed(1),
            };
            (name, count)
        })
        .collect()
}

/// Whether the stages of all variants, whose names these are, are few enough; reports it where they are not.
pub(super) fn are_few_enough(document: &Document, scopes: &[Scope], problems: &mut Diagnostics) -> bool {
    let counts = counts(document);
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
