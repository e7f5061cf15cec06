use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::fingerprint::Fingerprint;
use crate::store::{Artifact, Outputs, Protection, Record};

const DAY: Duration = Duration::from_secs(86400);

mod deleting;

/// Puts a stage with these inputs into the store, which took `seconds`, `days` ago.
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

fn rules() -> GcRules {
    GcRules {
        keys: HashSet::new(),
        objects: HashSet::new(),
        older_than: None,
        max_bytes: None,
        room: None,
        all: false,
        forget: true,
        grace: Duration::from_secs(3600),
        is_result: |_, _, port| port == "scores",
        kept_files: &["curve"],
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

fn names(plan: &GcPlan) -> Vec<(&str, f64)> {
    plan.victims.iter().map(|victim| (victim.stage.as_str(), victim.cost)).collect()
}

#[test]
fn the_cost_of_a_record_includes_its_ancestors() {
    let (_folder, store, _) = example();
    let plan = store.plan_gc(&GcRules { all: true, ..rules() }).unwrap();
    assert_eq!(
        names(&plan),
        [("cheap", 0.5), ("problems", 1.0), ("model", 101.0), ("score", 106.0)]
    );
    assert_eq!((plan.kept_records, plan.kept_bytes), (1, 5), "a young record stays");
}

#[test]
fn age_size_and_roots_decide() {
    let (_folder, store, [_, model, ..]) = example();
    let old = store
        .plan_gc(&GcRules {
            older_than: Some(DAY * 30),
            ..rules()
        })
        .unwrap();
    assert_eq!(names(&old), [("problems", 1.0), ("model", 101.0)]);
    // 5 + 8 + 5 + 5 + 5 bytes.
    let small = store
        .plan_gc(&GcRules {
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
        .plan_gc(&GcRules {
            objects: [model.digest].into(),
            all: true,
            ..rules()
        })
        .unwrap();
    assert_eq!(
        names(&kept),
        [("cheap", 0.5), ("problems", 1.0), ("score", 6.0)],
        "the score can be computed from the model"
    );
    assert_eq!(names(&store.plan_gc(&rules()).unwrap()), []);
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
    let plan = store.plan_gc(&GcRules { all: true, ..rules() }).unwrap();
    assert!(!plan.objects.contains_key(&problems.digest), "a young record names it");
    let removed = GcSummary {
        records: 4,
        object_bytes: 15,
        other_bytes: 0,
    };
    assert_eq!(store.run_gc(&plan).unwrap(), removed);
    assert!(store.has(&problems).unwrap());
}

#[test]
fn what_runs_need_and_what_is_protected_stays_even_if_it_is_needed_only_since_the_plan() {
    let (_folder, store, [problems, model, score, cheap, _]) = example();
    let key = |name: &str| store.records().find(|record| record.stage == name).unwrap().fingerprint.key();
    store
        .protect(&Protection {
            experiment: "x.toml".into(),
            keys: vec![key("score")],
            objects: vec![score.digest],
        })
        .unwrap();
    let _run = store.protect_for_run("first", &[problems.digest]).unwrap();
    let plan = store.plan_gc(&GcRules { all: true, ..rules() }).unwrap();
    assert_eq!(names(&plan), [("cheap", 0.5), ("model", 100.0)]);
    let _other = store.protect_for_run("second", &[model.digest]).unwrap();
    let removed = GcSummary {
        records: 1,
        object_bytes: 5,
        other_bytes: 0,
    };
    assert_eq!(store.run_gc(&plan).unwrap(), removed);
    assert_eq!(
        [problems, model, score, cheap].map(|artifact| store.has(&artifact).unwrap()),
        [true, true, true, false]
    );
    store.unprotect("x.toml").unwrap();
    assert_eq!(store.plan_gc(&GcRules { all: true, ..rules() }).unwrap().victims.len(), 1);
}

#[test]
fn an_object_that_was_just_taken_again_is_put_back() {
    let (_folder, store, [_, model, ..]) = example();
    let plan = store.plan_gc(&GcRules { all: true, ..rules() }).unwrap();
    let workspace = store.workspace().unwrap();
    std::fs::write(workspace.path().join("data"), "model").unwrap();
    assert_eq!(store.take(&workspace.path().join("data")).unwrap(), model);
    store.run_gc(&plan).unwrap();
    assert!(store.has(&model).unwrap());
}

#[test]
fn orphans_go_after_their_grace_unless_a_record_cannot_be_read() {
    let (_folder, store, _) = example();
    let workspace = store.workspace().unwrap();
    std::fs::write(workspace.path().join("data"), "of a killed worker").unwrap();
    let orphan = store.take(&workspace.path().join("data")).unwrap();
    assert_eq!(store.plan_gc(&rules()).unwrap().orphans, 0, "its record may be on its way");
    let rules = GcRules {
        grace: Duration::ZERO,
        ..rules()
    };
    let plan = store.plan_gc(&rules).unwrap();
    assert_eq!((plan.orphans, plan.objects.get(&orphan.digest)), (1, Some(&18)));
    let path = store.sharded("records", &Digest::of(b"damaged"), ".json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "{").unwrap();
    let careful = store.plan_gc(&rules).unwrap();
    assert_eq!((careful.orphans, careful.unreadable), (0, 1));
    store.run_gc(&plan).unwrap();
    assert!(!store.has(&orphan).unwrap());
}
