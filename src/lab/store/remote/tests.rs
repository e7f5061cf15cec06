//! Remotes, whatever they answer.

use serde_json::json;
use tempfile::TempDir;

use super::server::{Fault, Server};
use super::*;
use crate::fingerprint::Fingerprint;
use crate::store::{Artifact, Outputs};

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    (folder, store)
}

fn settings(url: &str, writes: bool) -> RemoteSettings {
    RemoteSettings {
        url: url.to_owned(),
        writes,
        required: false,
        endpoint: None,
        region: None,
    }
}

fn remotes(urls: &[&str]) -> Remotes {
    Remotes::new(urls.iter().map(|url| settings(url, true)).collect(), Environment::new())
}

/// Writes the record of a stage whose outputs are a file and a folder.
fn ran(store: &Store, number: u64, rows: &[u8]) -> Record {
    let workspace = store.workspace().unwrap();
    std::fs::write(workspace.path().join("data"), rows).unwrap();
    std::fs::create_dir_all(workspace.path().join("model/deep")).unwrap();
    std::fs::write(workspace.path().join("model/config.json"), format!("{{{number}}}")).unwrap();
    std::fs::write(workspace.path().join("model/deep/weights"), rows).unwrap();
    let take = |port: &str| (port.to_owned(), store.take(&workspace.path().join(port)).unwrap());
    let mut fingerprint = Fingerprint::new("mix", 1, json!({"mode": "new"}));
    fingerprint.seed = Some(number);
    let record = Record::new(fingerprint, Outputs::from([take("data"), take("model")]));
    store.write_record(&record).unwrap();
    record
}

fn key(record: &Record) -> Digest {
    record.fingerprint.key()
}

fn artifacts(record: &Record) -> Vec<Artifact> {
    record.outputs.values().copied().collect()
}

fn path(digest: &Digest) -> String {
    let name = digest.to_string();
    format!("v1/objects/{}/{}", &name[..2], &name[2..])
}

fn nothing() -> impl FnMut(u64) {
    |_| ()
}

/// Two stores on one remote of each kind that needs no server of its own.
#[test]
fn what_one_store_pushes_another_finds_and_fetches() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    for url in [server.url.clone(), format!("file://{}", folder.path().display())] {
        let ((_one, one), (_two, two)) = (store(), store());
        let records = [ran(&one, 1, b"rows"), ran(&one, 2, b"other rows")];
        let keys = records.each_ref().map(key);
        let pushed = remotes(&[&url]).push(&one, &keys, &mut nothing());
        assert_eq!(
            (pushed.stages, pushed.new, pushed.failed.as_slice()),
            (2, 2, [].as_slice()),
            "{url}"
        );
        let again = remotes(&[&url]).push(&one, &keys, &mut nothing());
        assert_eq!((again.stages, again.new), (2, 0), "{url}");

        let remote = remotes(&[&url]);
        let found = remote.find(&two, &[keys[0], Digest::of(b"no stage"), keys[1]]);
        assert_eq!(found.values().cloned().collect::<Vec<_>>().len(), 2, "{url}");
        assert_eq!(found[&keys[0]], records[0]);
        assert!(!two.has(&artifacts(&records[0])[0]).unwrap(), "a record alone brings no object");
        let wanted = artifacts(&records[0]);
        let fetched = remote.fetch(&two, &wanted, &mut nothing()).unwrap();
        assert_eq!((fetched.artifacts, fetched.missing.len()), (2, 0), "{url}");
        for artifact in &wanted {
            assert_eq!(two.measure(&two.object(&artifact.digest)).unwrap(), *artifact);
        }
        assert!(std::fs::metadata(two.object(&wanted[0].digest)).unwrap().permissions().readonly());
        assert_eq!(remote.warnings(), [""; 0], "{url}");
    }
}

#[test]
fn a_known_record_is_not_asked_for_again_and_what_is_here_is_not_fetched() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let record = ran(&one, 1, b"rows");
    remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    remotes(&[&server.url]).find(&two, &[key(&record)]);
    server.asked();
    let remote = remotes(&[&server.url]);
    assert_eq!(remote.find(&two, &[key(&record)]).len(), 1);
    assert_eq!(server.asked(), [""; 0]);
    remote.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
    server.asked();
    let again = remote.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
    assert_eq!((again.artifacts, server.asked()), (0, vec![]));
}

#[test]
fn objects_come_before_their_record() {
    let server = Server::start();
    let (_folder, store) = store();
    let record = ran(&store, 1, b"rows");
    remotes(&[&server.url]).push(&store, &[key(&record)], &mut nothing());
    let puts: Vec<String> = server.asked().into_iter().filter(|asked| asked.starts_with("PUT")).collect();
    assert!(puts.last().unwrap().contains("/records/"), "{puts:?}");
    // The file `data` has the same content as one in the folder: that object may be sent again at any time.
    let first = |digest: &Digest| puts.iter().position(|put| put.ends_with(&path(digest)));
    let manifest = first(&record.outputs["model"].digest);
    assert!(manifest.is_some() && first(&Digest::of(b"{1}")) < manifest, "{puts:?}");
    assert!(first(&Digest::of(b"rows")) < manifest, "{puts:?}");
}

#[test]
fn other_bytes_are_refused_said_and_asked_for_elsewhere() {
    let (bad, good) = (Server::start(), Server::start());
    let ((_one, one), (_two, two)) = (store(), store());
    let record = ran(&one, 1, b"rows");
    remotes(&[&bad.url, &good.url]).push(&one, &[key(&record)], &mut nothing());
    bad.fault(Fault::OtherBytes);
    let both = remotes(&[&bad.url, &good.url]);
    let fetched = both.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
    assert_eq!(fetched.artifacts, 2);
    let warnings = both.warnings();
    assert!(
        warnings.len() == 2 && warnings[0].contains("other bytes") && warnings[0].contains(&bad.url),
        "{warnings:?}"
    );

    let (_three, three) = store();
    let alone = remotes(&[&bad.url]);
    assert_eq!(alone.find(&three, &[key(&record)]).len(), 1);
    let fetched = alone.fetch(&three, &artifacts(&record), &mut nothing()).unwrap();
    assert_eq!((fetched.artifacts, fetched.missing.len()), (0, 2));
    assert!(!three.has(&artifacts(&record)[0]).unwrap());
    assert_eq!(
        alone.find(&three, &[key(&record)]).len(),
        0,
        "a record without its objects is no hit"
    );
}

/// The store that noticed the damage computes the objects again and pushes them.
#[test]
fn damage_at_a_remote_is_repaired_by_who_noticed_it() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let record = ran(&one, 1, b"rows");
    remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    let damaged = path(&record.outputs["data"].digest);
    server.put(&damaged, b"ROWS");
    let remote = remotes(&[&server.url]);
    remote.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
    ran(&two, 1, b"rows");
    remote.push(&two, &[key(&record)], &mut nothing());
    assert_eq!(server.files()[&damaged], b"rows");
}

#[test]
fn a_planted_record_is_refused() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let (record, other) = (ran(&one, 1, b"rows"), ran(&one, 2, b"other"));
    let name = key(&record).to_string();
    let planted = serde_json::to_vec(&other).unwrap();
    server.put(&format!("v1/records/{}/{}.json", &name[..2], &name[2..]), &planted);
    let remote = remotes(&[&server.url]);
    assert_eq!(remote.find(&two, &[key(&record)]).len(), 0);
    let warnings = remote.warnings();
    assert!(warnings[0].contains("the record of another stage"), "{warnings:?}");
}

#[test]
fn a_folder_s_list_that_leads_outside_is_refused() {
    let server = Server::start();
    let (_two, two) = store();
    let manifest = format!("{} 4 ../../escaped\n", Digest::of(b"rows"));
    let artifact = Artifact {
        folder: true,
        ..Artifact::file(Digest::of(manifest.as_bytes()), 4)
    };
    server.put(&path(&artifact.digest), manifest.as_bytes());
    server.put(&path(&Digest::of(b"rows")), b"rows");
    let remote = remotes(&[&server.url]);
    let fetched = remote.fetch(&two, &[artifact], &mut nothing()).unwrap();
    assert_eq!(fetched.missing.len(), 1);
    assert!(remote.warnings()[0].contains("the path `../../escaped`"));
}

#[test]
fn a_remote_that_cannot_be_used_is_said_once_and_is_no_hit() {
    let server = Server::start();
    let missing = "file:///nowhere/at/all".to_owned();
    // A port that nobody listens on any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/cache");
    for (url, fault, says) in [
        (&server.url, Fault::Forbidden, "refuses access"),
        (&missing, Fault::None, "no such bucket or folder"),
        (&closed, Fault::None, "cannot be reached"),
    ] {
        server.fault(fault);
        let (_two, two) = store();
        let remote = remotes(&[url]);
        for number in 0..3u8 {
            assert_eq!(remote.find(&two, &[Digest::of(&[number])]).len(), 0);
        }
        remote.fetch(&two, &[], &mut nothing()).unwrap();
        let warnings = remote.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
        let required = RemoteSettings {
            required: true,
            ..settings(url, false)
        };
        let required = Remotes::new(vec![required], Environment::new());
        required.find(&two, &[Digest::of(b"")]);
        assert!(required.check_required().unwrap_err().to_string().contains(says));
    }
}

#[test]
fn a_page_about_everything_is_no_record() {
    let server = Server::start();
    server.fault(Fault::Page);
    let (_two, two) = store();
    let remote = remotes(&[&server.url]);
    assert_eq!(remote.find(&two, &[Digest::of(b"stage")]).len(), 0);
    assert!(remote.warnings()[0].contains("it is not a record"));
}

#[test]
fn a_full_disk_there_and_damage_here_are_told_apart() {
    let server = Server::start();
    let (_one, one) = store();
    let record = ran(&one, 1, b"rows");
    server.fault(Fault::Full);
    let pushed = remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    assert_eq!(pushed.stages, 0);
    assert!(pushed.failed[0].contains("507 Insufficient Storage"), "{pushed:?}");
    server.fault(Fault::None);
    let object = one.object(&record.outputs["data"].digest);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "ROWS").unwrap();
    let pushed = remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    assert!(pushed.failed[0].contains("damaged here"), "{pushed:?}");
    assert!(
        server.files().keys().all(|path| !path.contains("/records/")),
        "no record without its objects"
    );
}

/// A file in several parts, interrupted after the second: the next attempt downloads only the others.
#[test]
fn a_large_file_goes_on_after_a_cut() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let rows: Vec<u8> = (0..limits::PART_SIZE * 3 + 5).map(|byte| (byte % 251) as u8).collect();
    let workspace = one.workspace().unwrap();
    std::fs::write(workspace.path().join("data"), &rows).unwrap();
    let artifact = one.take(&workspace.path().join("data")).unwrap();
    server.put(&path(&artifact.digest), &rows);
    server.fault(Fault::Cut);
    let fetched = remotes(&[&server.url]).fetch(&two, &[artifact], &mut nothing()).unwrap();
    assert_eq!(fetched.missing.len(), 1);
    let list = two.root.join("partial").join(format!("{}.parts", artifact.digest));
    let there = std::fs::read_to_string(&list).unwrap().lines().count();
    assert!(there > 0, "what came is kept");
    server.fault(Fault::None);
    server.asked();
    let fetched = remotes(&[&server.url]).fetch(&two, &[artifact], &mut nothing()).unwrap();
    assert_eq!((fetched.artifacts, fetched.bytes), (1, artifact.bytes));
    let parts = server.asked().iter().filter(|asked| asked.starts_with("GET v1/objects")).count();
    assert_eq!(parts, 4 - there);
    assert!(!list.exists());
}

#[test]
fn a_large_file_that_is_damaged_never_arrives_whole() {
    let server = Server::start();
    let (_one, one) = store();
    let rows: Vec<u8> = (0..limits::PART_SIZE * 2 + 5).map(|byte| (byte % 251) as u8).collect();
    let workspace = one.workspace().unwrap();
    std::fs::write(workspace.path().join("data"), &rows).unwrap();
    let artifact = one.take(&workspace.path().join("data")).unwrap();
    let record = Record::new(
        Fingerprint::new("mix", 1, json!({})),
        Outputs::from([("data".to_owned(), artifact)]),
    );
    one.write_record(&record).unwrap();
    let place = one.object(&artifact.digest);
    let damage = |byte| {
        let mut permissions = std::fs::metadata(&place).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        std::fs::set_permissions(&place, permissions).unwrap();
        let mut rows = rows.clone();
        rows[7] = byte;
        std::fs::write(&place, rows).unwrap();
    };
    damage(rows[7] ^ 1);
    let pushed = remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    assert_eq!((pushed.stages, pushed.failed.len()), (0, 1));
    assert!(pushed.failed[0].contains("is damaged here"), "{:?}", pushed.failed);
    assert!(server.files().is_empty(), "nothing of it is there");
    damage(rows[7]);
    let pushed = remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    assert_eq!((pushed.stages, pushed.bytes, pushed.failed), (1, rows.len() as u64, Vec::new()));
    assert!(server.files()[&path(&artifact.digest)] == rows);
}

#[test]
fn uploads_run_beside_and_say_what_is_left() {
    let server = Server::start();
    let (_one, one) = store();
    let records = [ran(&one, 1, b"rows"), ran(&one, 2, b"other rows")];
    let mut uploads = Uploads::start(remotes(&[&server.url]), one.clone());
    records.iter().for_each(|record| uploads.add(key(record)));
    uploads.add(Digest::of(b"a stage without a record"));
    let uploaded = uploads.finish(|| false, || ());
    assert_eq!((uploaded.stages, uploaded.of, uploaded.failed.len()), (2, 3, 1), "{uploaded:?}");
}

/// Writes the record of a stage whose outputs need manifests of version 2.
fn made_programs(store: &Store) -> Record {
    use std::os::unix::fs::PermissionsExt;
    let workspace = store.workspace().unwrap();
    let path = |name: &str| workspace.path().join(name);
    let write = |name: &str, text: &str, mode: u32| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for folder in ["tools/bin", "tools/logs/old", "nothing"] {
        std::fs::create_dir_all(path(folder)).unwrap();
    }
    write("tools/bin/tool", "#!/bin/sh\n", 0o755);
    write("tools/data", "#!/bin/sh\n", 0o644);
    write("program", "#!/bin/sh\n", 0o755);
    write("list", &format!("{} 10 tool\n", Digest::of(b"#!/bin/sh\n")), 0o644);
    let ports = ["tools", "nothing", "program", "list"];
    let outputs = ports.map(|port| (port.to_owned(), store.take(&path(port)).unwrap()));
    let record = Record::new(Fingerprint::new("mix", 1, json!({"mode": "programs"})), Outputs::from(outputs));
    store.write_record(&record).unwrap();
    record
}

#[test]
fn executables_and_empty_folders_arrive_as_they_were() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    for url in [server.url.clone(), format!("file://{}", folder.path().display())] {
        let ((_one, one), (_two, two)) = (store(), store());
        let record = made_programs(&one);
        let pushed = remotes(&[&url]).push(&one, &[key(&record)], &mut nothing());
        assert_eq!((pushed.new, pushed.failed.as_slice()), (1, [].as_slice()), "{url}");
        let remote = remotes(&[&url]);
        let found = remote.find(&two, &[key(&record)]);
        assert_eq!(found[&key(&record)], record);
        let fetched = remote.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
        assert_eq!((fetched.artifacts, remote.warnings()), (4, vec![]), "{url}");
        two.adopt(&[&record]).unwrap();
        assert_eq!(two.verify(None, &|_| ()).unwrap().damaged, [], "{url}");
        for artifact in artifacts(&record) {
            assert_eq!(two.measure(&two.object(&artifact.digest)).unwrap(), artifact, "{url}");
        }
        let tools = two.object(&record.outputs["tools"].digest);
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&tools.join("bin/tool")), mode(&tools.join("data"))), (0o555, 0o444));
        assert!(tools.join("logs/old").is_dir());
        assert_eq!(mode(&two.object(&record.outputs["program"].digest)), 0o555);
        assert_eq!(std::fs::read_dir(two.object(&record.outputs["nothing"].digest)).unwrap().count(), 0);
    }
}

#[test]
fn an_incomplete_folder_is_fetched_again() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let record = ran(&one, 1, b"rows");
    remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    let remote = remotes(&[&server.url]);
    let model = record.outputs["model"];
    for wanted in [artifacts(&record), vec![model]] {
        remote.fetch(&two, &wanted, &mut nothing()).unwrap();
        std::fs::remove_file(two.object(&model.digest).join("deep/weights")).unwrap();
        assert!(!two.has(&model).unwrap());
        assert_eq!(remote.fetch(&two, &wanted, &mut nothing()).unwrap().artifacts, 1);
        assert_eq!(two.measure(&two.object(&model.digest)).unwrap(), model);
    }
}

#[test]
fn a_record_keeps_the_bytes_that_its_remote_has() {
    let server = Server::start();
    let ((_one, one), (_two, two)) = (store(), store());
    let record = ran(&one, 1, b"rows");
    remotes(&[&server.url]).push(&one, &[key(&record)], &mut nothing());
    let mut later = serde_json::to_value(&record).unwrap();
    later["by_a_later_version"] = json!(true);
    let name = key(&record).to_string();
    server.put(
        &format!("v1/records/{}/{}.json", &name[..2], &name[2..]),
        later.to_string().as_bytes(),
    );
    let remote = remotes(&[&server.url]);
    let found = remote.find(&two, &[key(&record)]);
    remote.fetch(&two, &artifacts(&record), &mut nothing()).unwrap();
    two.adopt(&found.values().collect::<Vec<_>>()).unwrap();
    assert_eq!(std::fs::read(two.record_path(&key(&record))).unwrap(), later.to_string().as_bytes());
}
