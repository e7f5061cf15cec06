use super::*;

const DAY: Duration = Duration::from_secs(86400);

fn wisher(user: &str) -> Wisher {
    Wisher {
        experiment: "x".to_owned(),
        file: "/lab/x.toml".to_owned(),
        user: user.to_owned(),
    }
}

fn wish(key: &Digest, open: bool, keep: &str) -> StageWish {
    StageWish {
        key: *key,
        open: Some(open),
        keep: keep.to_owned(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// What becomes of the output `model` of a stage after these days.
fn held(store: &Store, key: &Digest, days: u32) -> Hold {
    let wishes = store.wishes(SystemTime::now() + DAY * days).unwrap();
    wishes.hold(&facts(key, ""), false)
}

fn facts<'a>(key: &'a Digest, own: &'a str) -> OutputFacts<'a> {
    OutputFacts {
        key,
        port: "model",
        is_result: false,
        is_read: false,
        age: Duration::ZERO,
        own,
        experiment: "x",
        user: "ada",
    }
}

#[test]
fn the_strongest_wish_counts_whoever_comes_last() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    assert_eq!(held(&store, &key, 0), Hold::IfAsked, "nobody wishes anything");
    store.write_wishes(&wisher("ada"), &[wish(&key, false, "never")]).unwrap();
    assert_eq!(held(&store, &key, 0), Hold::Free);
    store.write_wishes(&wisher("bob"), &[wish(&key, false, "")]).unwrap();
    assert_eq!(held(&store, &key, 0), Hold::IfAsked, "bob has not said that it may go");
    store.write_wishes(&wisher("eve"), &[wish(&key, false, "1w")]).unwrap();
    assert_eq!(
        [0, 6, 8].map(|days| held(&store, &key, days)),
        [Hold::Held, Hold::Held, Hold::IfAsked]
    );
    store.write_wishes(&wisher("bob"), &[wish(&key, false, "always")]).unwrap();
    assert_eq!(held(&store, &key, 400), Hold::Held);
    store.write_wishes(&wisher("bob"), &[wish(&key, false, "never")]).unwrap();
    assert_eq!(held(&store, &key, 8), Hold::Free, "bob has changed his mind, and the week is over");
}

#[test]
fn what_is_waited_for_stays_for_a_while() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    store.write_wishes(&wisher("ada"), &[wish(&key, true, "never")]).unwrap();
    assert_eq!(
        [0, 29, 31].map(|days| held(&store, &key, days)),
        [Hold::Held, Hold::Held, Hold::Free]
    );
    store.write_wishes(&wisher("ada"), &[wish(&key, false, "never")]).unwrap();
    assert_eq!(held(&store, &key, 0), Hold::Free, "its users ran");
    let unknown = |key| StageWish {
        open: None,
        ..wish(key, true, "never")
    };
    let other = Digest::of(b"other");
    store.write_wishes(&wisher("ada"), &[unknown(&key), unknown(&other)]).unwrap();
    assert_eq!((held(&store, &key, 0), held(&store, &other, 0)), (Hold::Free, Hold::Held));
    let read = OutputFacts {
        is_read: true,
        ..facts(&other, "")
    };
    let wishes = store.wishes(SystemTime::now()).unwrap();
    assert_eq!(wishes.hold(&read, false), Hold::Free, "another experiment has run what uses it");
}

#[test]
fn an_experiment_keeps_what_it_wished_for_stages_that_it_has_no_more() {
    let (_folder, store) = store();
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    store.write_wishes(&wisher("ada"), &[wish(&old, false, "always")]).unwrap();
    store.write_wishes(&wisher("ada"), &[wish(&new, false, "never")]).unwrap();
    assert_eq!((held(&store, &old, 0), held(&store, &new, 0)), (Hold::Held, Hold::Free));
    assert!(store.forget_wishes("/lab/x.toml").unwrap());
    assert!(!store.forget_wishes("/lab/x.toml").unwrap());
    assert_eq!(held(&store, &old, 0), Hold::IfAsked);
}

#[test]
fn a_record_speaks_for_a_run_that_was_killed() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    let hold = |own| store.wishes(SystemTime::now()).unwrap().hold(&facts(&key, own), false);
    assert_eq!((hold("always"), hold("never"), hold("")), (Hold::Held, Hold::Free, Hold::IfAsked));
    assert_eq!(hold("a word of a later version"), Hold::Held);
    store.write_wishes(&wisher("bob"), &[wish(&key, false, "never")]).unwrap();
    assert_eq!((hold("always"), hold("")), (Hold::Held, Hold::Free));
    store.write_wishes(&wisher("ada"), &[wish(&key, false, "never")]).unwrap();
    assert_eq!(hold("always"), Hold::Free, "a later run of the same experiment says otherwise");
}

#[test]
fn a_file_that_cannot_be_understood_stops_gc() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    store.write_wishes(&wisher("ada"), &[wish(&key, false, "always")]).unwrap();
    let path = store.wishes_path(&wisher("ada"));
    let text = std::fs::read_to_string(&path).unwrap();
    for (other, expected) in [
        (text.replace("\"format\":1", "\"format\":2"), "use a newer runner"),
        (text.replace("always", "forever"), "is no wish"),
        (text.replace("done", "perhaps"), "is no wish"),
        ("{".to_owned(), "run the experiment again"),
    ] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, other).unwrap();
        let error = store.wishes(SystemTime::now()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_is_written_only_when_it_changes() {
    let (_folder, store) = store();
    let stages: Vec<StageWish> = (0..100_u8).map(|n| wish(&Digest::of(&[n]), n % 2 == 0, "")).collect();
    store.write_wishes(&wisher("ada"), &stages).unwrap();
    let path = store.wishes_path(&wisher("ada"));
    let then = SystemTime::now() - DAY;
    std::fs::File::open(&path).unwrap().set_modified(then).unwrap();
    store.write_wishes(&wisher("ada"), &stages).unwrap();
    // At a full hour it may be written.
    let is_old = std::fs::metadata(&path).unwrap().modified().unwrap() == then;
    let minute = seconds(SystemTime::now()) % HOUR;
    assert!(is_old || minute < 5);
}
