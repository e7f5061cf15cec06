//! Runs whose inputs gc has deleted.

use std::collections::HashSet;

use super::*;
use crate::plan::{Again, StageState};
use crate::store::GcRules;

const FORK: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("e", &["b"])];

const FORK_AND_MORE: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("e", &["b"]), ("c", &["a", "e"])];

impl Bench {
    /// Deletes the outputs of these stages, as gc does.
    fn delete(&self, plan: &Plan, stages: &[&str]) {
        let others = plan.stages().filter(|(_, node, _)| !stages.contains(&node.base.as_str()));
        let rules = GcRules {
            keys: others.filter_map(|(_, _, entry)| entry.key).collect(),
            objects: HashSet::new(),
            older_than: None,
            max_bytes: None,
            room: None,
            all: true,
            forget: false,
            grace: Duration::ZERO,
            is_result: |_, _, _| false,
            kept_files: &[],
        };
        let removed = self.store.run_gc(&self.store.plan_gc(&rules).unwrap()).unwrap();
        assert_eq!(removed.records, stages.len());
    }

    /// The stages that a plan computes again, and the one that needs each.
    fn again(plan: &Plan) -> Vec<(String, String)> {
        let by = |again: Option<Again>| match again {
            Some(Again::NeededBy(index)) => plan.dag.graph[index].base.clone(),
            Some(Again::Asked) => "asked".to_owned(),
            None => String::new(),
        };
        plan.made_again()
            .map(|(_, node, entry)| (node.base.clone(), by(entry.again)))
            .collect()
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(one, other)| ((*one).to_owned(), (*other).to_owned()))
        .collect()
}

#[test]
fn what_used_a_deleted_output_is_a_hit_still() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    let before = bench.plan(FORK);
    bench.delete(&before, &["a", "b", "e"]);
    let after = bench.plan(FORK);
    let keys = |plan: &Plan| plan.stages().map(|(_, _, entry)| entry.key).collect::<Vec<_>>();
    assert_eq!((keys(&after), after.count(StageState::Hit)), (keys(&before), 3));
    assert!(after.to_run().next().is_none() && after.entries.iter().all(|entry| !entry.is_here));
    let (ended, notes) = bench.run(&after, &[]);
    assert_eq!(
        (ended, notes),
        (
            summary(3, 0, 0, 0),
            vec!["cached a".to_owned(), "cached b".to_owned(), "cached e".to_owned()]
        )
    );
}

#[test]
fn only_what_is_needed_is_computed_again() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    bench.delete(&bench.plan(FORK), &["a", "b"]);
    let plan = bench.plan(FORK_AND_MORE);
    assert_eq!(Bench::again(&plan), pairs(&[("a", "c")]), "`e` is there, so `b` is not needed");
    assert_eq!((plan.count(StageState::Hit), plan.to_run().count()), (3, 2));
    let (ended, notes) = bench.run(&plan, &[]);
    assert_eq!(ended, summary(2, 2, 0, 0));
    assert_eq!(
        notes[3..],
        ["lost a, needed by c", "started a", "finished a", "started c", "finished c"]
    );
    assert_eq!(bench.run(&bench.plan(FORK_AND_MORE), &[]).0, summary(4, 0, 0, 0));
}

#[test]
fn what_is_computed_again_may_need_what_was_deleted_too() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    bench.delete(&bench.plan(FORK), &["a", "b", "e"]);
    let more: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("e", &["b"]), ("f", &["e"])];
    let plan = bench.plan(more);
    assert_eq!(Bench::again(&plan), pairs(&[("a", "b"), ("b", "e"), ("e", "f")]));
    let (ended, notes) = bench.run(&plan, &[]);
    assert_eq!(ended, summary(0, 4, 0, 0));
    assert_eq!(notes.iter().filter(|note| note.starts_with("started")).count(), 4, "{notes:?}");
}

#[test]
fn nothing_is_mixed_where_it_comes_out_otherwise() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    let before = bench.plan(FORK);
    bench.delete(&before, &["a"]);
    let plan = bench.plan(FORK_AND_MORE);
    let old_key = plan.entries[3].key;
    let (ended, notes) = bench.run(&plan, &[("a", Act::SucceedOtherwise)]);
    assert_eq!(ended, summary(1, 3, 0, 0), "{notes:?}");
    assert_eq!(
        notes[3..],
        [
            "lost a, needed by c",
            "started a",
            "finished a",
            "warned: `a` is not deterministic: it was computed again and came out otherwise (`data` was OLD and is NEW now); in doubt is what \
             was made of the old one, 2 records (`b`, `e`); all stages after it are looked up with the new one",
            "looked up b again, after a",
            "looked up e again, after a",
            "started b",
            "finished b",
            // Early cutoff: `b` came out as before.
            "cached e",
            "started c",
            "finished c"
        ]
    );
    let after = bench.plan(FORK_AND_MORE);
    assert_eq!(after.count(StageState::Hit), 4);
    assert_ne!(after.entries[0].outputs, before.entries[0].outputs);
    assert_ne!(after.entries[1].key, before.entries[1].key);
    assert_ne!(after.entries[3].key, old_key, "the key has the new digest");
    assert_eq!(bench.run(&after, &[]).0, summary(4, 0, 0, 0));
}

#[test]
fn another_process_may_have_computed_it_otherwise() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    bench.delete(&bench.plan(FORK), &["a"]);
    let stale = bench.plan(FORK_AND_MORE);
    // Meanwhile another run needs it, and its record takes the place of the old one.
    let other: &[(&str, &[&str])] = &[("a", &[]), ("x", &["a"])];
    bench.run(&bench.plan(other), &[("a", Act::SucceedOtherwise)]);
    let (ended, notes) = bench.run(&stale, &[]);
    assert_eq!(ended.failed, 0);
    assert!(notes.contains(&"looked up b again, after a".to_owned()), "{notes:?}");
    let after = bench.plan(FORK_AND_MORE);
    assert_eq!(after.count(StageState::Hit), 4, "what ran has the keys of the new output");
}

#[test]
fn a_stage_that_fails_when_it_is_computed_again_leaves_the_hits_alone() {
    let mut bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    bench.delete(&bench.plan(FORK), &["a"]);
    bench.keep_going = true;
    let (ended, notes) = bench.run(&bench.plan(FORK_AND_MORE), &[("a", Act::Fail)]);
    assert_eq!(ended, summary(2, 0, 1, 1));
    assert_eq!(notes.last().map(String::as_str), Some("skipped c: `a` failed"));
    assert_eq!(bench.plan(FORK).count(StageState::Hit), 3, "its record stands");
}

#[test]
fn what_is_asked_for_is_computed_again() {
    let bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    bench.delete(&bench.plan(FORK), &["a", "b"]);
    let resolver = Resolver::new(&bench.store, None).wanting([NodeIndex::new(1)].into());
    let plan = resolver.plan(dag(FORK), &BTreeSet::new()).unwrap();
    assert_eq!(Bench::again(&plan), pairs(&[("a", "b"), ("b", "asked")]));
    let (ended, _) = bench.run(&plan, &[]);
    assert_eq!(ended, summary(1, 2, 0, 0));
    assert!(bench.plan(FORK).entries.iter().all(|entry| entry.is_here));
}

#[test]
fn a_run_makes_room_only_where_it_is_allowed_and_of_what_nobody_holds() {
    let mut bench = Bench::new();
    bench.run(&bench.plan(FORK), &[]);
    let old = bench.plan(FORK);
    for (_, _, entry) in old.stages() {
        let hour = std::time::SystemTime::now() - Duration::from_secs(7200);
        let key = entry.key.unwrap().to_string();
        let record = bench
            .store
            .folder()
            .join("v1/records")
            .join(&key[..2])
            .join(format!("{}.json", &key[2..]));
        for path in [record, bench.store.object(&entry.outputs["data"].digest)] {
            File::open(path).unwrap().set_modified(hour).unwrap();
        }
    }
    let other: &[(&str, &[&str])] = &[("a", &[]), ("x", &["a"])];
    bench.run(&bench.plan(other), &[]);
    assert!(bench.plan(FORK).entries.iter().all(|entry| entry.is_here), "it is off");
    bench.make_room = Some(MakeRoom {
        free: u64::MAX,
        is_result: |_, _, _| false,
        kept_files: &[],
    });
    let more: &[(&str, &[&str])] = &[("a", &[]), ("y", &["a"])];
    let (ended, notes) = bench.run(&bench.plan(more), &[]);
    assert_eq!(ended, summary(1, 1, 0, 0));
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("warned: the disk was nearly full: deleted")),
        "{notes:?}"
    );
    let here: Vec<bool> = bench.plan(FORK).entries.iter().map(|entry| entry.is_here).collect();
    assert_eq!(here, [true, false, false], "the run needs `a`");
    assert_eq!(bench.plan(FORK).count(StageState::Hit), 3);
}
