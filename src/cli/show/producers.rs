//! Which stages produced and used each artifact, according to the records of a store.

use std::collections::{BTreeMap, BTreeSet};

use lab::event::StageName;
use lab::hash::Digest;
use lab::store::{Artifact, Store};

/// A port of a stage that produced or used an artifact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortUse {
    pub stage: StageName,
    pub experiment: String,
    pub port: String,
    pub key: Digest,
}

/// The producers and users of all artifacts that the records of a store name.
#[derive(Default)]
pub struct Producers {
    produced: BTreeMap<Digest, (Artifact, BTreeSet<PortUse>)>,
    used: BTreeMap<Digest, BTreeSet<PortUse>>,
}

impl Producers {
    /// Reads all records of a store.
    pub fn in_store(store: &Store) -> Self {
        let mut producers = Self::default();
        for record in store.records() {
            let key = record.fingerprint.key();
            let stage = StageName {
                name: record.stage.clone(),
                variant: record.variant.clone(),
            };
            let port_use = |port: &String| PortUse {
                stage: stage.clone(),
                experiment: record.experiment.clone(),
                port: port.clone(),
                key,
            };
            for (port, artifact) in &record.outputs {
                let produced = producers
                    .produced
                    .entry(artifact.digest)
                    .or_insert_with(|| (*artifact, BTreeSet::new()));
                produced.1.insert(port_use(port));
            }
            for (port, digests) in &record.fingerprint.inputs {
                for digest in digests {
                    producers.used.entry(*digest).or_default().insert(port_use(port));
                }
            }
        }
        producers
    }

    /// The digests of all produced artifacts.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.produced.keys().copied()
    }

    /// The artifact, as a record describes it.
    pub fn artifact(&self, digest: &Digest) -> Option<Artifact> {
        self.produced.get(digest).map(|(artifact, _)| *artifact)
    }

    /// The outputs that are this artifact.
    pub fn producers_of(&self, digest: &Digest) -> impl Iterator<Item = &PortUse> {
        self.produced.get(digest).into_iter().flat_map(|(_, uses)| uses)
    }

    /// The inputs that are this artifact.
    pub fn users_of(&self, digest: &Digest) -> impl Iterator<Item = &PortUse> {
        self.used.get(digest).into_iter().flatten()
    }
}

impl std::fmt::Display for PortUse {
    /// `standard[2].model (seed=1)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.stage.to_string();
        let variant = whole.strip_prefix(self.stage.name.as_str()).unwrap_or_default();
        write!(f, "{}.{}{variant}", self.stage.name, self.port)
    }
}
