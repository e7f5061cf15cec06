//! Two machines that share a remote, as two stores and a folder.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{LOOP, Lab, count};
use crate::server::{Reply, Server};

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
    assert_eq!((&uploaded["stages"], &uploaded["of"]), (&14.into(), &14.into()), "{uploaded}");
    let plan = lab.stdout("plan x.toml --store two", 0);
    assert_eq!(plan.matches("in a remote").count(), 14, "{plan}");
    let second = lab.summary("run x.toml --store two", 0);
    assert_eq!((count(&second, "cached"), count(&second, "ran")), (14, 0));
    assert_eq!(objects(&lab, "two"), 0, "a run of hits needs no object");
    let one = lab.stdout("report x.toml --store one --csv", 0);
    let two = lab.stdout("report x.toml --store two --csv", 0);
    assert_eq!(one, two);
    assert_eq!(objects(&lab, "two"), 2, "the metrics of two evaluations");

    let changed = lab.summary("run x.toml standard --store two --set rate=2e-3", 0);
    assert_eq!(count(&changed, "ran"), 2);
    let said = lab.stdout("get x.toml numbered[0] --store two --to out", 0);
    let models = walkdir::WalkDir::new(lab.path().join("out")).into_iter().flatten();
    let weights = models.filter(|entry| entry.path().ends_with("model/model.safetensors")).count();
    assert_eq!(weights, 1, "{said}");
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
    // are the empty data set that `problems` has as well, and what makes them need not run: 10 to 14 stages do.
    let summary = lab.summary("run x.toml --store two --set rate=2e-3", 0);
    assert_eq!(count(&summary, "failed"), 0, "{summary}");
    assert!((7..=14).contains(&count(&summary, "ran")), "{summary}");
    let (one, two) = (lab.digests("one"), lab.digests("two"));
    let same = one.iter().filter(|(key, outputs)| two.get(*key) == Some(outputs)).count();
    assert!(
        (3..=7).contains(&same),
        "{same}: all that ran again but the models, answers and scores that were changed"
    );
    // Who made them again has brought them back.
    let summary = lab.summary("run x.toml --store three --set rate=1e-3", 0);
    assert!((4..=8).contains(&count(&summary, "ran")), "{summary}");
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
            .starts_with("the remotes have 1 of 1 stages, 1 of them new")
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

/// A web server with what `problems` and `mixed[0]` put out, as a remote of a lab; `object` answers who asks it for an object.
fn web(object: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> (Lab, Server) {
    let kept: Mutex<BTreeMap<String, String>> = Mutex::default();
    let server = Server::start(move |request, _| {
        let mut kept = kept.lock().unwrap();
        if request.method == "PUT" {
            kept.insert(request.path.clone(), request.body.clone());
            return Reply::of(201, "");
        }
        let found = kept.get(&request.path).map(|body| Reply::of(200, body.as_bytes()));
        let mut reply = found.unwrap_or_else(|| Reply::of(404, ""));
        let modified = "Tue, 24 Nov 2026 12:00:00 GMT".to_owned();
        reply.headers.push(("last-modified", modified));
        let is_object = request.method == "GET" && request.path.contains("/objects/");
        if is_object { object(reply) } else { reply }
    });
    let lab = Lab::new(&(LOOP.to_owned() + "[stages.extra]\nkind = \"generate\"\ntask = \"addition\"\nstart = \"cold\"\ntrain = 3\n"));
    let settings = format!(
        "[settings]\nremotes = [{{ url = \"{}/lab\", access = \"read-write\" }}]\n",
        server.address
    );
    lab.write("runner.toml", &settings);
    lab.stdout("run x.toml problems mixed[0] --store one", 0);
    (lab, server)
}

fn events(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn inputs_on_their_way_hold_up_nobody_else() {
    let (lab, _server) = web(|reply| Reply {
        pause: Duration::from_millis(250),
        ..reply
    });
    let out = lab.stdout("run x.toml numbered[0] extra --store two --jobs 1 --json", 0);
    let events = events(&out);
    let place = |event: &str, stage: &str| {
        let found = events.iter().position(|found| found["event"] == event && found["stage"] == stage);
        found.unwrap_or_else(|| panic!("no {event} of {stage} in {out}"))
    };
    // The training is more urgent, and waits for what comes slowly.
    assert!(place("finished", "extra") < place("brought", "numbered[0]"), "{out}");
    assert!(place("brought", "numbered[0]") < place("started", "numbered[0]"), "{out}");
}

#[test]
fn a_server_that_dies_amid_an_answer_is_left_aside_and_its_objects_are_made_again() {
    let (lab, _server) = web(|reply| {
        let half = reply.body.len() / 2;
        reply.cut(half)
    });
    let out = lab.stdout("run x.toml numbered[0] --store two --json", 0);
    let events = events(&out);
    let said = events.iter().filter(|event| event["event"] == "warned").map(ToString::to_string);
    let said: Vec<String> = said.collect();
    assert!(
        said.iter()
            .any(|said| said.contains("cannot use the remote") && said.contains("going on without it")),
        "{out}"
    );
    let summary = events.last().unwrap();
    assert_eq!((count(summary, "ran"), count(summary, "failed")), (3, 0), "{out}");
    assert_eq!(lab.digests("one").len(), 2);
    let two = lab.digests("two");
    assert!(lab.digests("one").iter().all(|(key, outputs)| two[key] == *outputs));
}
