//! Hits whose program ran with another interpreter than it would now. No key holds it: machines have different builds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::with_caller;
use lab::plan::{Plan, StageState};
use lab::store::{Store, StoreError};
use petgraph::graph::NodeIndex;

/// A hit that another interpreter made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OtherInterpreter {
    /// The version of Python that made it.
    pub(super) made: String,
    /// The one that would run now.
    pub(super) here: String,
}

/// The hits that another interpreter made. Each interpreter of this machine is asked once.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn others(plan: &Plan, store: &Store) -> Result<BTreeMap<NodeIndex, OtherInterpreter>, StoreError> {
    let mut asked: BTreeMap<PathBuf, Option<String>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    with_caller(|caller| {
        for (index, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
            let (Some(key), Some(path)) = (entry.key, node.stage.interpreter(&caller)) else {
                continue;
            };
            let here = asked.entry(path).or_insert_with_key(|path| kinds::python_version(path));
            let Some(here) = here.as_ref() else { continue };
            let record = store.record(&key)?;
            let made = record.and_then(|record| record.provenance.program?.python);
            if let Some(made) = made.filter(|made| made != here) {
                found.insert(index, OtherInterpreter { made, here: here.clone() });
            }
        }
        Ok(found)
    })
}

/// A line for each pair of versions: `2 hits were made with Python 3.11.7; here is 3.12.1`.
pub(super) fn summary(others: &BTreeMap<NodeIndex, OtherInterpreter>) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for OtherInterpreter { made, here } in others.values() {
        *counts.entry((made, here)).or_default() += 1;
    }
    let line = |((made, here), count): ((&str, &str), usize)| {
        let hits = if count == 1 {
            "1 hit was".to_owned()
        } else {
            format!("{count} hits were")
        };
        format!("{hits} made with Python {made}; here is {here}")
    };
    counts.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_counted_by_versions() {
        let other = |made: &str| OtherInterpreter {
            made: made.to_owned(),
            here: "3.12.1".to_owned(),
        };
        let others = ["3.11.7", "3.10.2", "3.11.7"].map(other);
        let others = others.into_iter().enumerate().map(|(index, other)| (NodeIndex::new(index), other));
        assert_eq!(
            summary(&others.collect()),
            [
                "1 hit was made with Python 3.10.2; here is 3.12.1",
                "2 hits were made with Python 3.11.7; here is 3.12.1"
            ]
        );
    }
}
