//! What is in doubt where a stage is not deterministic.

use super::stages::ChangedOutput;
use crate::event::StageName;
use crate::store::Store;
use crate::text::counted;

/// The most stages that a warning names.
const MOST_NAMED: usize = 5;

/// The warning of a stage that came out otherwise when it was computed again, with the records that were made of its old outputs.
pub(super) fn doubt(store: &Store, stage: &StageName, changed: &[ChangedOutput]) -> String {
    let outputs: Vec<String> = changed
        .iter()
        .map(|output| format!("`{}` was {} and is {} now", output.port, output.before.short(), output.now.short()))
        .collect();
    let before = changed.iter().map(|output| output.before).collect();
    let derived = store.derived_from(&before).unwrap_or_default();
    let mut names: Vec<&str> = derived.iter().map(|derived| derived.stage.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > MOST_NAMED { ", …" } else { "" };
    let named: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    let doubt = if derived.is_empty() {
        "nothing was made of the old one".to_owned()
    } else {
        format!(
            "in doubt is what was made of the old one, {} ({}{more})",
            counted(derived.len(), "record"),
            named.join(", ")
        )
    };
    format!(
        "`{stage}` is not deterministic: it was computed again and came out otherwise ({}); {doubt}; all stages after it are looked up with the new one",
        outputs.join(", ")
    )
}
