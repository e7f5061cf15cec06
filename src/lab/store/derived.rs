//! What was made of damaged artifacts: their content may have been another one when it was read, and nothing tells.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::SystemTime;

use super::gc::GcCandidate;
use super::{Store, StoreError};
use crate::hash::Digest;

/// A record of a stage that may have read a damaged artifact, or what another such stage made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    pub key: Digest,
    /// The stage's name.
    pub stage: String,
    pub path: PathBuf,
    /// The input that is damaged, or was made of something damaged.
    pub input: Digest,
    outputs: Vec<Digest>,
}

/// The records of a store, by what they read and what they made.
struct Graph {
    records: Vec<GcCandidate>,
    readers: HashMap<Digest, Vec<usize>>,
    /// The number of records that name an artifact as their output, without those that are derived.
    makers: HashMap<Digest, usize>,
}

impl Store {
    /// The records of all stages that read these artifacts, or what was made of them, and so on; by key. An artifact that another stage
    /// made too, which read nothing damaged, is what it should be.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn derived_from(&self, damaged: &BTreeSet<Digest>) -> Result<Vec<Derived>, StoreError> {
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        let mut graph = Graph::new(self.candidates(SystemTime::now(), |_, _, _| true)?.0);
        let mut found: BTreeMap<Digest, Derived> = BTreeMap::new();
        let mut open: Vec<Digest> = damaged.iter().copied().collect();
        while let Some(input) = open.pop() {
            for place in graph.readers.get(&input).cloned().unwrap_or_default() {
                let Some(record) = graph.records.get(place) else { continue };
                if found.contains_key(&record.victim.key) {
                    continue;
                }
                let outputs: Vec<Digest> = record.outputs.iter().map(|output| output.artifact.digest).collect();
                for output in &outputs {
                    let makers = graph.makers.entry(*output).or_default();
                    *makers = makers.saturating_sub(1);
                    if *makers == 0 {
                        open.push(*output);
                    }
                }
                let derived = Derived {
                    key: record.victim.key,
                    stage: record.victim.stage.clone(),
                    path: record.victim.path.clone(),
                    input,
                    outputs,
                };
                found.insert(derived.key, derived);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes such records, here and of those that remotes have, and the artifacts that only they name. A run in progress keeps its
    /// artifacts.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn discard_derived(&self, derived: &[Derived]) -> Result<(), StoreError> {
        self.discard_records(derived)?;
        if derived.is_empty() {
            return Ok(());
        }
        let rest = self.candidates(SystemTime::now(), |_, _, _| true)?.0;
        let mut named: BTreeSet<Digest> = rest
            .iter()
            .flat_map(|record| &record.outputs)
            .map(|output| output.artifact.digest)
            .collect();
        named.extend(self.run_roots());
        for output in derived.iter().flat_map(|record| &record.outputs) {
            if !named.contains(output) {
                self.set_aside(&self.object(output))?;
                self.unbury(output);
            }
        }
        Ok(())
    }

    /// Removes the records alone.
    pub(super) fn discard_records(&self, derived: &[Derived]) -> Result<(), StoreError> {
        for record in derived {
            for path in [&record.path, &self.sharded("remote", &record.key, ".json")] {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    removed => removed.map_err(StoreError::io("remove", path))?,
                }
            }
        }
        Ok(())
    }
}

impl Graph {
    fn new(records: Vec<GcCandidate>) -> Self {
        let (mut readers, mut makers): (HashMap<Digest, Vec<usize>>, HashMap<Digest, usize>) = Default::default();
        for (place, record) in records.iter().enumerate() {
            for input in &record.inputs {
                readers.entry(*input).or_default().push(place);
            }
            for output in &record.outputs {
                *makers.entry(output.artifact.digest).or_default() += 1;
            }
        }
        Self { records, readers, makers }
    }
}
