//! Ids that are unique in a data set.

use std::collections::{HashMap, HashSet};

/// Gives rows that have one id ids of their own, in their order: `a`, `a#2`, `a#3`.
#[derive(Debug, Default)]
pub struct UniqueIds {
    known: HashSet<String>,
    /// How often an id was asked for.
    counts: HashMap<String, usize>,
}

impl UniqueIds {
    /// The id itself where it is free, or with a number.
    pub fn of(&mut self, id: &str) -> String {
        if self.known.insert(id.to_owned()) {
            return id.to_owned();
        }
        let count = self.counts.entry(id.to_owned()).or_insert(1);
        loop {
            *count += 1;
            let numbered = format!("{id}#{count}");
            if self.known.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart() {
        let mut ids = UniqueIds::default();
        let given = ["a", "b", "a", "a#2", "a", "a#2"].map(|id| ids.of(id));
        assert_eq!(given, ["a", "b", "a#2", "a#2#2", "a#3", "a#2#3"]);
    }
}
