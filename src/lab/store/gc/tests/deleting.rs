//! Artifacts go and records stay.

use super::*;
use crate::store::{Presence, StageWish, Wisher};

fn rules() -> GcRules {
    GcRules {
        forget: false,
        ..super::rules()
    }
}

fn all() -> GcRules {
    GcRules { all: true, ..rules() }
}

/// Puts a stage with one output into the store, a folder of `bytes` and a curve: computed from these inputs in so many seconds, ten days ago.
fn stage(store: &Store, name: &str, port: &str, (bytes, seconds): (usize, f64), inputs: &[Digest]) -> Record {
    let workspace = store.workspace().unwrap();
    let path = workspace.path().join("out");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("weights"), name.repeat(bytes / name.len())).unwrap();
    std::fs::write(path.join("curve"), format!("curve of {name}")).unwrap();
    let artifact = store.take(&path).unwrap();
    let mut fingerprint = Fingerprint::new("train", 1, json!({"name": name}));
    fingerprint.inputs.insert("data".to_owned(), inputs.to_vec());
    let mut record = Record::new(fingerprint, Outputs::from([(port.to_owned(), artifact)]));
    name.clone_into(&mut record.stage);
    record.seconds = seconds;
    write(store, &record);
    record
}

/// Writes a record, and makes it and its outputs ten days old.
fn write(store: &Store, record: &Record) {
    store.write_record(record).unwrap();
    let outputs = record.outputs.values().map(|artifact| store.object(&artifact.digest));
    for path in outputs.chain([store.record_path(&record.fingerprint.key())]) {
        std::fs::File::open(path)
            .unwrap()
            .set_modified(SystemTime::now() - DAY * 10)
            .unwrap();
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn only(record: &Record) -> Artifact {
    *record.outputs.values().next().unwrap()
}

/// What the store knows of a stage: `here`, `deleted`, `missing`, `no record`.
fn state(store: &Store, record: &Record) -> &'static str {
    match store.outputs(&record.fingerprint.key()).unwrap() {
        None => "no record",
        Some(outputs) => match store.presence(&outputs).unwrap() {
            Presence::Accounted { deleted } if deleted.is_empty() => "here",
            Presence::Accounted { .. } => "deleted",
            Presence::Missing { .. } => "missing",
        },
    }
}

fn names(plan: &GcPlan) -> Vec<&str> {
    plan.victims.iter().map(|victim| victim.stage.as_str()).collect()
}

fn collect(store: &Store, rules: &GcRules) -> GcSummary {
    store.run_gc(&store.plan_gc(rules).unwrap()).unwrap()
}

#[test]
fn an_artifact_goes_and_its_record_and_its_curve_stay() {
    let (_folder, store) = store();
    let model = stage(&store, "model", "model", (10_000, 9.0), &[]);
    let scores = stage(&store, "scores", "scores", (10_000, 1.0), &[only(&model).digest]);
    let plan = store.plan_gc(&all()).unwrap();
    assert_eq!(names(&plan), ["model"], "results stay");
    assert_eq!(
        (plan.kept_records, plan.victims[0].outputs[0].why.as_str()),
        (1, "not needed by what was to be kept")
    );
    let removed = store.run_gc(&plan).unwrap();
    assert_eq!((removed.records, removed.object_bytes), (1, only(&model).bytes));
    assert_eq!((state(&store, &model), state(&store, &scores)), ("deleted", "here"));
    let kept = store.kept(&only(&model).digest).unwrap();
    assert_eq!(std::fs::read_to_string(kept.join("curve")).unwrap(), "curve of model");
    assert_eq!(store.verify(None, &|_| ()).unwrap().damaged, [], "that is no damage");
    let again = collect(&store, &all());
    assert_eq!(
        (again.records, state(&store, &model)),
        (0, "deleted"),
        "there is nothing more to delete"
    );
    // Computed again, it is an artifact like any other.
    stage(&store, "model", "model", (10_000, 9.0), &[]);
    assert_eq!(state(&store, &model), "here");
    assert!(store.kept(&only(&model).digest).is_none());
    let forgotten = collect(&store, &GcRules { forget: true, ..all() });
    assert_eq!(forgotten.records, 2, "to forget is to forget the results too");
    assert_eq!((state(&store, &model), state(&store, &scores)), ("no record", "no record"));
}

#[test]
fn what_is_forgotten_leaves_no_tombstone() {
    let (_folder, store) = store();
    let model = stage(&store, "model", "model", (10_000, 9.0), &[]);
    collect(&store, &all());
    let path = store.tombstone_path(&only(&model).digest);
    assert!(path.exists());
    collect(&store, &GcRules { forget: true, ..all() });
    assert!(!path.exists() && store.kept(&only(&model).digest).is_none());
    assert_eq!(store.size().unwrap().records, 0);
}

#[test]
fn a_gc_that_is_killed_at_any_instant_loses_nothing() {
    let (_folder, store) = store();
    let model = stage(&store, "model", "model", (10_000, 9.0), &[]);
    // After the curve was kept, and no further.
    store.bury(&[], &[], 0).unwrap();
    assert_eq!(state(&store, &model), "here");
    // After the tombstone, before the artifact.
    let burial = Burial {
        artifact: only(&model),
        why: "old".to_owned(),
    };
    store.bury(std::slice::from_ref(&burial), &["curve"], 1).unwrap();
    assert_eq!(state(&store, &model), "here");
    assert_eq!(collect(&store, &all()).records, 1, "the next one ends it");
    assert_eq!(state(&store, &model), "deleted");
    // An artifact that nobody buried is missing, and its stage runs again.
    let other = stage(&store, "other", "model", (10_000, 9.0), &[]);
    std::fs::remove_dir_all(store.object(&only(&other).digest)).unwrap();
    assert_eq!(state(&store, &other), "missing");
    store
        .bury(
            &[Burial {
                artifact: only(&other),
                ..burial
            }],
            &[],
            1,
        )
        .unwrap();
    assert_eq!(state(&store, &other), "missing", "what is not there is not buried");
}

#[test]
fn two_gcs_at_once_leave_what_one_leaves() {
    let (_folder, store) = store();
    let models: Vec<Record> = ["one", "two", "three"]
        .map(|name| stage(&store, name, "model", (10_000, 9.0), &[]))
        .into();
    let plans = [store.plan_gc(&all()).unwrap(), store.plan_gc(&all()).unwrap()];
    let removed: Vec<usize> = std::thread::scope(|scope| {
        let runs: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(|| store.run_gc(plan).unwrap().records))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(removed.iter().sum::<usize>(), 3, "each is counted once");
    for model in &models {
        assert_eq!(state(&store, model), "deleted");
        assert!(store.kept(&only(model).digest).unwrap().join("curve").exists());
    }
}

#[test]
fn an_artifact_stays_as_long_as_one_of_its_records_needs_it() {
    let (_folder, store) = store();
    let model = stage(&store, "model", "model", (10_000, 9.0), &[]);
    let mut same = Record::new(Fingerprint::new("train", 2, json!({})), model.outputs.clone());
    same.stage = "same".to_owned();
    same.keep = "always".to_owned();
    write(&store, &same);
    assert_eq!(collect(&store, &all()).records, 0);
    same.keep = String::new();
    write(&store, &same);
    let plan = store.plan_gc(&all()).unwrap();
    assert_eq!((plan.victims.len(), plan.objects.len()), (1, 1), "it stands in the list once");
    // It becomes an output of a young record before it goes.
    store.write_record(&same).unwrap();
    let first = &plan.victims[0].stage;
    let old = std::fs::File::open(store.object(&only(&model).digest)).unwrap();
    old.set_modified(SystemTime::now()).unwrap();
    store.run_gc(&plan).unwrap();
    assert_eq!((state(&store, &model), state(&store, &same)), ("here", "here"), "{first}");
    assert!(!store.tombstone_path(&only(&model).digest).exists());
}

#[test]
fn what_runs_and_protections_hold_stays_even_if_they_hold_it_only_since_the_plan() {
    let (_folder, store) = store();
    let [one, two, three] = ["one", "two", "three"].map(|name| stage(&store, name, "model", (10_000, 9.0), &[]));
    let _run = store.protect_for_run("first", &[only(&one).digest]).unwrap();
    let plan = store.plan_gc(&all()).unwrap();
    assert_eq!(plan.victims.len(), 2);
    let _other = store.protect_for_run("second", &[only(&two).digest]).unwrap();
    store
        .protect(&Protection {
            experiment: "x.toml".into(),
            keys: vec![three.fingerprint.key()],
            objects: vec![only(&three).digest],
        })
        .unwrap();
    assert_eq!(store.run_gc(&plan).unwrap(), GcSummary::default());
    for record in [&one, &two, &three] {
        assert_eq!(state(&store, record), "here");
        assert!(!store.tombstone_path(&only(record).digest).exists());
    }
}

#[test]
fn large_and_cheap_goes_first() {
    let (_folder, store) = store();
    let large = stage(&store, "large", "model", (100_000, 20.0), &[]);
    let cheap = stage(&store, "cheap", "model", (10_000, 5.0), &[]);
    let small = stage(&store, "small", "model", (4_000, 0.0), &[]);
    let plan = store.plan_gc(&all()).unwrap();
    assert_eq!(names(&plan), ["large", "cheap"], "a tombstone takes as much room as what is small");
    let room = GcRules {
        max_bytes: Some(20_000),
        ..rules()
    };
    assert_eq!(names(&store.plan_gc(&room).unwrap()), ["large"]);
    for (bytes, expected) in [(1, 1), (100_000, 1), (109_000, 2), (u64::MAX, 2), (0, 0)] {
        let room = GcRules {
            room: Some(bytes),
            ..rules()
        };
        assert_eq!(store.plan_gc(&room).unwrap().victims.len(), expected, "{bytes}");
    }
    collect(&store, &room);
    assert_eq!(
        [&large, &cheap, &small].map(|record| state(&store, record)),
        ["deleted", "here", "here"]
    );
    // What follows from it costs what it cost.
    let next = stage(&store, "next", "model", (10_000, 1.0), &[only(&large).digest]);
    let plan = store.plan_gc(&all()).unwrap();
    let cost = plan.victims.iter().find(|victim| victim.stage == "next").unwrap().cost;
    assert!((cost - 21.0).abs() < 1e-9, "{cost}");
    assert_eq!(state(&store, &next), "here");
}

#[test]
fn wishes_hold_or_let_go_without_a_rule() {
    let (_folder, store) = store();
    let wisher = |experiment: &str| Wisher {
        experiment: experiment.to_owned(),
        file: format!("/lab/{experiment}.toml"),
        user: "ada".to_owned(),
    };
    let wish = |record: &Record, keep: &str, open| StageWish {
        key: record.fingerprint.key(),
        keep: keep.to_owned(),
        open: Some(open),
    };
    let model = stage(&store, "model", "model", (10_000, 9.0), &[]);
    let scores = stage(&store, "scores", "scores", (10_000, 9.0), &[]);
    assert_eq!(names(&store.plan_gc(&rules()).unwrap()), [""; 0], "nothing goes without a rule");
    let stages = |open| [wish(&model, "never", open), wish(&scores, "never", false)];
    store.write_wishes(&wisher("x"), &stages(true)).unwrap();
    assert_eq!(names(&store.plan_gc(&all()).unwrap()), [""; 0], "a stage that uses it has not run");
    store.write_wishes(&wisher("x"), &stages(false)).unwrap();
    assert_eq!(
        names(&store.plan_gc(&rules()).unwrap()),
        ["model"],
        "results go only where they are named"
    );
    let named = [wish(&model, "never", false), wish(&scores, "results,scores=never", false)];
    store.write_wishes(&wisher("x"), &named).unwrap();
    assert_eq!(names(&store.plan_gc(&rules()).unwrap()).len(), 2);
    store
        .write_wishes(&wisher("y"), &[wish(&model, "always", false), wish(&scores, "", false)])
        .unwrap();
    assert_eq!(names(&store.plan_gc(&rules()).unwrap()), [""; 0], "another experiment wants both");
    let plan = store.plan_gc(&GcRules { forget: true, ..all() }).unwrap();
    assert_eq!(names(&plan), ["scores"], "to forget asks for more, and takes no wish back");
    assert!(plan.wished_bytes >= only(&model).bytes);
}

#[test]
fn a_store_without_write_access_lists_what_could_go() {
    let (_folder, store) = store();
    stage(&store, "model", "model", (10_000, 9.0), &[]);
    let before = store.size().unwrap();
    assert_eq!(store.plan_gc(&all()).unwrap().victims.len(), 1);
    assert_eq!(store.size().unwrap(), before, "a plan writes nothing");
}
