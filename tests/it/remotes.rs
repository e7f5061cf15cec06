//! Two machines that share a remote, as two stores and a folder.

use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

fn lab() -> (Lab, String) {
    let lab = Lab::new(LOOP);
    std::fs::create_dir(lab.path().join("shared")).unwrap();
    let url = format!("file://{}", lab.path().join("shared").display());
    lab.write(
        "runner.toml",
        &format!("[settings]\nremotes = [{{ url = \"{url}\", access = \"read-write\" }}]\n"),
    );
    (lab, url)
}

/// Objects in a store, by their size.
fn objects(lab: &Lab, store: &str) -> usize {
    let shards = std::fs::read_dir(lab.path().join(store).join("v1/objects")).unwrap();
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_second_store_has_all_hits_and_fetches_only_what_is_used() {
    let (lab, _) = lab();
    let first = lab.stdout("run x.toml --store one --json", 0);
    let uploaded = first.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let uploaded = uploaded.into_iter().find(|event| event["event"] == "uploaded").unwrap();
    assert_eq!((&uploaded["stages"], &uploaded["of"]), (&10.into(), &10.into()), "{uploaded}");
    let second = lab.summary("run x.toml --store two", 0);
    assert_eq!((count(&second, "cached"), count(&second, "ran")), (10, 0));
    assert_eq!(objects(&lab, "two"), 0, "a run of hits needs no object");
    let one = lab.stdout("report x.toml --store one --csv", 0);
    let two = lab.stdout("report x.toml --store two --csv", 0);
    assert_eq!(one, two);
    assert_eq!(objects(&lab, "two"), 2, "the metrics of two evaluations");

    let changed = lab.summary("run x.toml standard --store two --set rate=2e-3", 0);
    assert_eq!(count(&changed, "ran"), 2);
    let model = lab.stdout("fetch x.toml numbered[0] --store two --to out", 0);
    assert!(lab.path().join(model.trim()).join("model.safetensors").exists(), "{model}");
    lab.stdout("cache pull x.toml --store two", 0);
    let (one, two) = (lab.digests("one"), lab.digests("two"));
    assert!(one.iter().all(|(key, outputs)| two[key] == *outputs));
}

#[test]
fn objects_lost_at_the_remote_are_made_again() {
    let (lab, _) = lab();
    lab.stdout("run x.toml --store one", 0);
    std::fs::remove_dir_all(lab.path().join("shared/v1/objects")).unwrap();
    // All records are hits until an input is wanted: then what makes it runs, and what makes its inputs. Where no skip is kept, they
    // are the empty data set that `problems` has as well, and what makes them need not run: 7 to 10 stages do.
    let summary = lab.summary("run x.toml --store two --set rate=2e-3", 0);
    assert_eq!((count(&summary, "failed"), count(&summary, "ran")), (0, 7), "{summary}");
    let (one, two) = (lab.digests("one"), lab.digests("two"));
    let same = one.iter().filter(|(key, outputs)| two.get(*key) == Some(outputs)).count();
    assert_eq!(same, 3, "all that ran again but the models and scores that were changed");
    // Who made them again has brought them back.
    let summary = lab.summary("run x.toml --store three --set rate=1e-3", 0);
    assert_eq!(count(&summary, "ran"), 4, "{summary}");
}

#[test]
fn a_remote_that_is_not_there_stops_only_what_requires_it() {
    let (lab, url) = lab();
    std::fs::remove_dir(lab.path().join("shared")).unwrap();
    let output = lab.output("run x.toml problems");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        said.matches("no such bucket or folder").count(),
        2,
        "once as it begins, once as it ends: {said}"
    );
    assert!(said.contains("runner cache push x.toml` finishes it"), "{said}");
    std::fs::create_dir(lab.path().join("shared")).unwrap();
    assert!(
        lab.stdout("cache push x.toml", 0)
            .starts_with("1 of 1 stages are there, 1 of them new")
    );
    std::fs::remove_dir_all(lab.path().join("shared")).unwrap();
    lab.write(
        "runner.toml",
        &format!("[settings]\nremotes = [{{ url = \"{url}\", required = true }}]\n"),
    );
    let output = lab.output("run x.toml --store other");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_password_in_an_address_is_refused_and_printed_nowhere() {
    let lab = Lab::new(LOOP);
    lab.write("runner.toml", "[settings]\nremotes = [{ url = \"https://me:hush@host/x\" }]\n");
    for words in ["run x.toml", "config x.toml", "plan x.toml"] {
        let output = lab.output(words);
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("***@host") && !said.contains("hush"), "{said}");
    }
}
