//! Removing what nobody needs any more: records with their objects, and objects that no record names.
//!
//! Nothing is locked, so a run may begin, find an artifact and lose it. What protects it: all that live runs have said they need
//! (`uses`), a time of grace for what is young, and a second look at both right before anything goes. What slips through all of it is
//! a miss for the run, which makes it again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;
use serde::Deserialize;

use super::leftovers::Leftover;
use super::listing::shard;
use super::{Artifact, Store, StoreError, atomic};
use crate::hash::Digest;

/// So many ancestors of a stage are counted into its cost; more make no difference for anybody's decision.
const ANCESTORS: usize = 1000;

/// While things are removed, what runs need is asked for this often.
const FRESH: Duration = Duration::from_millis(500);

/// What may go.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Records and objects that stay, beside the pinned ones and those that runs need.
    pub keys: HashSet<Digest>,
    pub objects: HashSet<Digest>,
    /// Records of at least this age go, and what runs, stages that were stopped and downloads have left behind.
    pub older_than: Option<Duration>,
    /// The cheapest go until the objects take no more.
    pub max_bytes: Option<u64>,
    /// All that need not stay goes.
    pub all: bool,
    /// What is younger stays in any case.
    pub grace: Duration,
}

/// A record that may go, with the objects that only it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Victim {
    pub key: Digest,
    pub stage: String,
    pub experiment: String,
    pub age: Duration,
    /// How long the stage took.
    pub seconds: f64,
    /// How long it takes to have it again when all that it is made from, and that need not stay, is gone as well.
    pub cost: f64,
    /// Of its objects.
    pub bytes: u64,
    path: PathBuf,
}

/// What would go.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// The cheapest first.
    pub victims: Vec<Victim>,
    /// Objects that no record that stays names, with their sizes.
    pub objects: BTreeMap<Digest, u64>,
    /// Those among them that no record names at all.
    pub orphans: usize,
    /// Folders beside the artifacts.
    pub leftovers: Vec<Leftover>,
    /// What stays.
    pub kept_records: usize,
    pub kept_bytes: u64,
    /// Records that cannot be read: as long as there are any, no orphan goes, since one of them may name it.
    pub unreadable: usize,
    grace: Duration,
    /// The age of leftovers.
    silence: Duration,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub records: usize,
    pub object_bytes: u64,
    /// Of leftovers.
    pub other_bytes: u64,
}

/// The part of a record that is needed here.
#[derive(Deserialize)]
struct Brief {
    outputs: BTreeMap<String, Artifact>,
    fingerprint: Inputs,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    experiment: String,
    #[serde(default)]
    seconds: f64,
}

#[derive(Deserialize)]
struct Inputs {
    #[serde(default)]
    inputs: BTreeMap<String, Vec<Digest>>,
}

/// A record as it is weighed.
struct Weighed {
    victim: Victim,
    outputs: Vec<Artifact>,
    inputs: Vec<Digest>,
    stays: bool,
    goes: bool,
}

impl Store {
    /// What would go by these rules. Nothing is removed.
    ///
    /// # Errors
    /// When a folder or a pin cannot be read.
    pub fn sweep(&self, rules: &Rules) -> Result<Sweep, StoreError> {
        let now = self.now()?;
        let (mut records, unreadable) = self.weigh(now)?;
        let (mut keys, mut objects) = (rules.keys.clone(), rules.objects.clone());
        for pin in self.pins()? {
            keys.extend(pin.keys);
            objects.extend(pin.objects);
        }
        objects.extend(self.used());
        for record in &mut records {
            let needed = record.outputs.iter().any(|artifact| objects.contains(&artifact.digest));
            record.stays = needed || keys.contains(&record.victim.key) || record.victim.age < rules.grace;
        }
        let there = self.there(&records, now, rules.grace, unreadable > 0)?;
        costs(&mut records);
        records.sort_by(|a, b| a.victim.cost.total_cmp(&b.victim.cost).then(a.victim.key.cmp(&b.victim.key)));
        let total = there.named.values().sum::<u64>() + there.orphans.values().sum::<u64>();
        choose(&mut records, rules, &there.named, total);
        let mut sweep = gather(records, there, &objects, unreadable, rules.grace);
        if let Some(age) = rules.older_than {
            sweep.silence = age.max(rules.grace);
            sweep.leftovers = self.leftovers(sweep.silence);
        }
        Ok(sweep)
    }

    /// Removes what a sweep found, unless it is needed by now. Returns what went.
    ///
    /// # Errors
    /// When something cannot be removed; what went before that is gone.
    pub fn remove(&self, sweep: &Sweep) -> Result<Removed, StoreError> {
        let (mut used, mut asked) = (self.used(), Instant::now());
        let mut removed = Removed::default();
        let mut spared: HashSet<Digest> = HashSet::new();
        for victim in &sweep.victims {
            if asked.elapsed() > FRESH {
                (used, asked) = (self.used(), Instant::now());
            }
            let outputs = self.outputs(&victim.key).ok().flatten().unwrap_or_default();
            // Written again since: somebody has just made it.
            let is_young = self.age(&victim.path)? < sweep.grace;
            if is_young || outputs.values().any(|artifact| used.contains(&artifact.digest)) {
                spared.extend(outputs.values().map(|artifact| artifact.digest));
                continue;
            }
            match std::fs::remove_file(&victim.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                gone => gone.map_err(StoreError::io("remove", &victim.path))?,
            }
            removed.records += 1;
        }
        for (digest, size) in &sweep.objects {
            if asked.elapsed() > FRESH {
                (used, asked) = (self.used(), Instant::now());
            }
            if !used.contains(digest) && !spared.contains(digest) && self.remove_object(digest, sweep.grace)? {
                removed.object_bytes += size;
            }
        }
        for leftover in &sweep.leftovers {
            if self.remove_leftover(leftover, sweep.silence)? {
                removed.other_bytes += leftover.bytes;
            }
        }
        Ok(removed)
    }

    /// Removes an object, unless somebody has just taken it for the output of another stage.
    fn remove_object(&self, digest: &Digest, grace: Duration) -> Result<bool, StoreError> {
        let path = self.object(digest);
        let workspace = self.workspace()?;
        let aside = workspace.path().join("removed");
        match atomic::rename(&path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            moved => moved.map_err(StoreError::io("remove", &path))?,
        }
        let is_new = self.since(std::fs::metadata(&aside).and_then(|about| about.modified()), &aside)? < grace;
        if is_new {
            atomic::rename(&aside, &path).map_err(StoreError::io("put back", &path))?;
            return Ok(false);
        }
        Ok(true)
    }

    /// All records, and how many cannot be read.
    fn weigh(&self, now: SystemTime) -> Result<(Vec<Weighed>, usize), StoreError> {
        let (mut records, mut unreadable) = (Vec::new(), 0);
        for folder in self.shards("records")? {
            let read: Vec<Option<Weighed>> = shard(&folder)?.into_par_iter().map(|(key, path)| brief(key, path, now)).collect();
            for record in read {
                unreadable += usize::from(record.is_none());
                records.extend(record);
            }
        }
        Ok((records, unreadable))
    }

    /// The objects that are there: those that records name, and orphans past their grace.
    fn there(&self, records: &[Weighed], now: SystemTime, grace: Duration, spare: bool) -> Result<There, StoreError> {
        let named: HashMap<Digest, u64> = records
            .iter()
            .flat_map(|record| &record.outputs)
            .map(|artifact| (artifact.digest, artifact.bytes))
            .collect();
        let mut there = There::default();
        for folder in self.shards("objects")? {
            for (digest, path) in shard(&folder)? {
                if let Some(bytes) = named.get(&digest) {
                    there.named.insert(digest, *bytes);
                } else if !spare && std::fs::metadata(&path).is_ok_and(|about| age(&about, now) >= grace) {
                    let files = super::files_of(&path)?;
                    let bytes = files.iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum();
                    there.orphans.insert(digest, bytes);
                }
            }
        }
        Ok(there)
    }

    /// The time, by the clock of the file server.
    fn now(&self) -> Result<SystemTime, StoreError> {
        let tmp = self.root.join("tmp");
        let time = || tempfile::tempfile_in(&tmp)?.metadata()?.modified();
        time().map_err(StoreError::io("write", &tmp))
    }

    fn age(&self, path: &Path) -> Result<Duration, StoreError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Duration::MAX),
            about => self.since(about.and_then(|about| about.modified()), path),
        }
    }

    fn since(&self, time: io::Result<SystemTime>, path: &Path) -> Result<Duration, StoreError> {
        let time = time.map_err(StoreError::io("read", path))?;
        Ok(self.now()?.duration_since(time).unwrap_or_default())
    }
}

/// Objects by what names them.
#[derive(Default)]
struct There {
    named: HashMap<Digest, u64>,
    orphans: BTreeMap<Digest, u64>,
}

/// How long ago a file or folder was last changed, renamed included.
fn age(about: &Metadata, now: SystemTime) -> Duration {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(about.ctime().max(about.mtime()).max(0).cast_unsigned());
    now.duration_since(changed).unwrap_or_default()
}

fn brief(key: Digest, path: PathBuf, now: SystemTime) -> Option<Weighed> {
    let about = std::fs::metadata(&path).ok()?;
    let record: Brief = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let age = now.duration_since(about.modified().ok()?).unwrap_or_default();
    let victim = Victim {
        key,
        stage: record.stage,
        experiment: record.experiment,
        age,
        seconds: record.seconds.max(0.0),
        cost: 0.0,
        bytes: 0,
        path,
    };
    Some(Weighed {
        victim,
        outputs: record.outputs.into_values().collect(),
        inputs: record.fingerprint.inputs.into_values().flatten().collect(),
        stays: false,
        goes: false,
    })
}

/// What it costs to have each record again: its seconds and those of all that it comes from and that need not stay.
fn costs(records: &mut [Weighed]) {
    let mut makers: HashMap<Digest, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        for artifact in &record.outputs {
            let maker = makers.entry(artifact.digest).or_insert(index);
            // Where several stages gave the same, one that stays keeps it.
            if record.stays {
                *maker = index;
            }
        }
    }
    let parents = |record: &Weighed| -> Vec<usize> {
        let made = record.inputs.iter().filter_map(|digest| makers.get(digest).copied());
        made.filter(|&index| !records[index].stays).collect()
    };
    let parents: Vec<Vec<usize>> = records.iter().map(parents).collect();
    for index in 0..records.len() {
        let (mut seen, mut open) = (HashSet::from([index]), vec![index]);
        let mut cost = 0.0;
        while let Some(next) = open.pop() {
            cost += records[next].victim.seconds;
            if seen.len() < ANCESTORS {
                open.extend(parents[next].iter().copied().filter(|&parent| seen.insert(parent)));
            }
        }
        records[index].victim.cost = cost;
    }
}

/// Marks the records that go; `records` has the cheapest first.
fn choose(records: &mut [Weighed], rules: &Rules, there: &HashMap<Digest, u64>, total: u64) {
    let mut names: HashMap<Digest, usize> = HashMap::new();
    for artifact in records.iter().flat_map(|record| &record.outputs) {
        *names.entry(artifact.digest).or_default() += 1;
    }
    let mut left = total;
    let mut go = |record: &mut Weighed| {
        record.goes = true;
        for artifact in &record.outputs {
            let count = names.entry(artifact.digest).or_default();
            *count -= 1;
            if *count == 0 {
                let bytes = there.get(&artifact.digest).copied().unwrap_or(0);
                record.victim.bytes += bytes;
            }
        }
        record.victim.bytes
    };
    for record in records.iter_mut().filter(|record| !record.stays) {
        if rules.all || rules.older_than.is_some_and(|limit| record.victim.age >= limit) {
            left = left.saturating_sub(go(record));
        }
    }
    let Some(limit) = rules.max_bytes else { return };
    for record in records.iter_mut().filter(|record| !record.stays && !record.goes) {
        if left <= limit {
            break;
        }
        left = left.saturating_sub(go(record));
    }
}

fn gather(records: Vec<Weighed>, there: There, needed: &HashSet<Digest>, unreadable: usize, grace: Duration) -> Sweep {
    let kept: HashSet<Digest> = records
        .iter()
        .filter(|record| !record.goes)
        .flat_map(|record| record.outputs.iter().map(|artifact| artifact.digest))
        .collect();
    let mut sweep = Sweep {
        unreadable,
        grace,
        ..Sweep::default()
    };
    let orphans: BTreeMap<Digest, u64> = there.orphans.into_iter().filter(|(digest, _)| !needed.contains(digest)).collect();
    sweep.orphans = orphans.len();
    sweep.objects = orphans;
    for (digest, bytes) in there.named {
        if kept.contains(&digest) {
            sweep.kept_bytes += bytes;
        } else {
            sweep.objects.insert(digest, bytes);
        }
    }
    for record in records {
        if record.goes {
            sweep.victims.push(record.victim);
        } else {
            sweep.kept_records += 1;
        }
    }
    sweep
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::store::{Outputs, Record};

    const DAY: Duration = Duration::from_secs(86400);

    /// Puts a stage into the store that took so long, made from these artifacts, so many days old.
    fn stage(store: &Store, name: &str, seconds: f64, inputs: &[Digest], days: u32) -> Artifact {
        let workspace = store.workspace().unwrap();
        let path = workspace.path().join("data");
        std::fs::write(&path, name).unwrap();
        let artifact = store.take(&path).unwrap();
        let mut fingerprint = Fingerprint::new("mix", 1, json!({"name": name}));
        fingerprint.inputs.insert("data".to_owned(), inputs.to_vec());
        let mut record = Record::new(fingerprint, Outputs::from([("data".to_owned(), artifact)]));
        name.clone_into(&mut record.stage);
        record.seconds = seconds;
        store.write_record(&record).unwrap();
        let old = SystemTime::now() - DAY * days;
        for path in [
            store.sharded("records", &record.fingerprint.key(), ".json"),
            store.object(&artifact.digest),
        ] {
            std::fs::File::open(path).unwrap().set_modified(old).unwrap();
        }
        artifact
    }

    fn rules() -> Rules {
        Rules {
            keys: HashSet::new(),
            objects: HashSet::new(),
            older_than: None,
            max_bytes: None,
            all: false,
            grace: Duration::from_secs(3600),
        }
    }

    /// A chain of three stages and one that is cheap, all old, and one that is young.
    fn example() -> (tempfile::TempDir, Store, [Artifact; 5]) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let problems = stage(&store, "problems", 1.0, &[], 40);
        let model = stage(&store, "model", 100.0, &[problems.digest], 40);
        let score = stage(&store, "score", 5.0, &[model.digest, problems.digest], 10);
        let cheap = stage(&store, "cheap", 0.5, &[], 10);
        let young = stage(&store, "young", 0.1, &[], 0);
        (folder, store, [problems, model, score, cheap, young])
    }

    fn names(sweep: &Sweep) -> Vec<(&str, f64)> {
        sweep.victims.iter().map(|victim| (victim.stage.as_str(), victim.cost)).collect()
    }

    #[test]
    fn what_goes_costs_what_it_takes_to_have_it_again() {
        let (_folder, store, _) = example();
        let sweep = store.sweep(&Rules { all: true, ..rules() }).unwrap();
        assert_eq!(
            names(&sweep),
            [("cheap", 0.5), ("problems", 1.0), ("model", 101.0), ("score", 106.0)]
        );
        assert_eq!((sweep.kept_records, sweep.kept_bytes), (1, 5), "what is young stays");
    }

    #[test]
    fn age_size_and_roots_decide() {
        let (_folder, store, [_, model, ..]) = example();
        let old = store
            .sweep(&Rules {
                older_than: Some(DAY * 30),
                ..rules()
            })
            .unwrap();
        assert_eq!(names(&old), [("problems", 1.0), ("model", 101.0)]);
        // 5 + 8 + 5 + 5 + 5 bytes.
        let small = store
            .sweep(&Rules {
                max_bytes: Some(18),
                ..rules()
            })
            .unwrap();
        assert_eq!(
            names(&small),
            [("cheap", 0.5), ("problems", 1.0)],
            "the cheapest, until it is small enough"
        );
        let kept = store
            .sweep(&Rules {
                objects: [model.digest].into(),
                all: true,
                ..rules()
            })
            .unwrap();
        assert_eq!(
            names(&kept),
            [("cheap", 0.5), ("problems", 1.0), ("score", 6.0)],
            "the score can be had from the model"
        );
        assert_eq!(names(&store.sweep(&rules()).unwrap()), []);
    }

    #[test]
    fn an_object_goes_with_the_last_record_that_names_it() {
        let (_folder, store, [problems, ..]) = example();
        let mut same = Record::new(
            Fingerprint::new("mix", 2, json!({})),
            Outputs::from([("data".to_owned(), problems)]),
        );
        same.stage = "same".into();
        store.write_record(&same).unwrap();
        let sweep = store.sweep(&Rules { all: true, ..rules() }).unwrap();
        assert!(!sweep.objects.contains_key(&problems.digest), "a young record names it");
        let removed = Removed {
            records: 4,
            object_bytes: 15,
            other_bytes: 0,
        };
        assert_eq!(store.remove(&sweep).unwrap(), removed);
        assert!(store.has(&problems).unwrap());
    }

    #[test]
    fn what_a_run_needs_and_what_is_pinned_stays_even_when_it_is_needed_only_since_the_sweep() {
        let (_folder, store, [problems, model, score, cheap, _]) = example();
        let key = |name: &str| store.records().find(|record| record.stage == name).unwrap().fingerprint.key();
        store
            .pin(&crate::store::Pin {
                experiment: "x.toml".into(),
                keys: vec![key("score")],
                objects: vec![score.digest],
            })
            .unwrap();
        let _run = store.begin_use("first", &[problems.digest]).unwrap();
        let sweep = store.sweep(&Rules { all: true, ..rules() }).unwrap();
        assert_eq!(names(&sweep), [("cheap", 0.5), ("model", 100.0)]);
        let _other = store.begin_use("second", &[model.digest]).unwrap();
        let removed = Removed {
            records: 1,
            object_bytes: 5,
            other_bytes: 0,
        };
        assert_eq!(store.remove(&sweep).unwrap(), removed);
        assert_eq!(
            [problems, model, score, cheap].map(|artifact| store.has(&artifact).unwrap()),
            [true, true, true, false]
        );
        store.unpin("x.toml").unwrap();
        assert_eq!(store.sweep(&Rules { all: true, ..rules() }).unwrap().victims.len(), 1);
    }

    #[test]
    fn an_object_that_was_just_taken_again_is_put_back() {
        let (_folder, store, [_, model, ..]) = example();
        let sweep = store.sweep(&Rules { all: true, ..rules() }).unwrap();
        let workspace = store.workspace().unwrap();
        std::fs::write(workspace.path().join("data"), "model").unwrap();
        assert_eq!(store.take(&workspace.path().join("data")).unwrap(), model);
        store.remove(&sweep).unwrap();
        assert!(store.has(&model).unwrap());
    }

    #[test]
    fn orphans_go_after_their_grace_unless_a_record_cannot_be_read() {
        let (_folder, store, _) = example();
        let workspace = store.workspace().unwrap();
        std::fs::write(workspace.path().join("data"), "of a killed worker").unwrap();
        let orphan = store.take(&workspace.path().join("data")).unwrap();
        assert_eq!(store.sweep(&rules()).unwrap().orphans, 0, "its record may be on its way");
        let rules = Rules {
            grace: Duration::ZERO,
            ..rules()
        };
        let sweep = store.sweep(&rules).unwrap();
        assert_eq!((sweep.orphans, sweep.objects.get(&orphan.digest)), (1, Some(&18)));
        let path = store.sharded("records", &Digest::of(b"damaged"), ".json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "{").unwrap();
        let careful = store.sweep(&rules).unwrap();
        assert_eq!((careful.orphans, careful.unreadable), (0, 1));
        store.remove(&sweep).unwrap();
        assert!(!store.has(&orphan).unwrap());
    }
}
