//! Which stages made an artifact, and which were made from it: from the records alone.

use std::collections::{BTreeMap, BTreeSet};

use lab::event::StageName;
use lab::hash::Digest;
use lab::store::{Artifact, Store};

/// A stage at one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub stage: StageName,
    pub experiment: String,
    pub port: String,
    pub key: Digest,
}

/// All artifacts that records speak of.
#[derive(Default)]
pub struct Makers {
    made: BTreeMap<Digest, (Artifact, BTreeSet<Place>)>,
    used: BTreeMap<Digest, BTreeSet<Place>>,
}

impl Makers {
    /// From all records of a store.
    pub fn read(store: &Store) -> Self {
        let mut makers = Self::default();
        for record in store.records() {
            let key = record.fingerprint.key();
            let stage = StageName {
                name: record.stage.clone(),
                variant: record.variant.clone(),
            };
            let place = |port: &String| Place {
                stage: stage.clone(),
                experiment: record.experiment.clone(),
                port: port.clone(),
                key,
            };
            for (port, artifact) in &record.outputs {
                let made = makers.made.entry(artifact.digest).or_insert_with(|| (*artifact, BTreeSet::new()));
                made.1.insert(place(port));
            }
            for (port, digests) in &record.fingerprint.inputs {
                for digest in digests {
                    makers.used.entry(*digest).or_default().insert(place(port));
                }
            }
        }
        makers
    }

    /// The digests of all that was made.
    pub fn all(&self) -> impl Iterator<Item = Digest> {
        self.made.keys().copied()
    }

    /// The artifact, as the records have it.
    pub fn artifact(&self, digest: &Digest) -> Option<Artifact> {
        self.made.get(digest).map(|(artifact, _)| *artifact)
    }

    /// The stages that put it out.
    pub fn made(&self, digest: &Digest) -> impl Iterator<Item = &Place> {
        self.made.get(digest).into_iter().flat_map(|(_, places)| places)
    }

    /// The stages that were given it.
    pub fn used(&self, digest: &Digest) -> impl Iterator<Item = &Place> {
        self.used.get(digest).into_iter().flatten()
    }
}

impl std::fmt::Display for Place {
    /// `standard[2].model (seed=1)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.stage.to_string();
        let variant = whole.strip_prefix(self.stage.name.as_str()).unwrap_or_default();
        write!(f, "{}.{}{variant}", self.stage.name, self.port)
    }
}
