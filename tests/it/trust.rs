//! Whose records count: signed ones, where that is required, and nothing that was planted.

use std::os::unix::fs::PermissionsExt;

use crate::lab::{LOOP, Lab, count};

/// A small experiment: what is trusted does not depend on what is computed.
fn lab() -> Lab {
    let lab = Lab::new(&format!("{}\n[profile.short]\n", LOOP.replace("steps = 30", "steps = 2")));
    std::fs::create_dir(lab.path().join("runner")).unwrap();
    lab
}

fn stderr(lab: &Lab, words: &str, code: i32) -> String {
    let output = lab.output(words);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words}: {text}");
    text
}

#[test]
fn a_key_is_made_once_and_only_its_owner_can_read_it() {
    let lab = lab();
    assert!(stderr(&lab, "signing-key show", 2).contains("runner signing-key new"));
    let public = lab.stdout("signing-key new", 0);
    assert!(public.starts_with("ed25519:") && public.trim().len() == 72, "{public}");
    assert_eq!(lab.stdout("signing-key show", 0), public);
    let path = lab.path().join("runner/key");
    let about = std::fs::metadata(&path).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert!(stderr(&lab, "signing-key new", 2).contains("already"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(stderr(&lab, "signing-key show", 2).contains("others can read"));
}

#[test]
fn where_a_signature_is_required_nothing_else_counts() {
    let lab = lab();
    lab.stdout("run x.toml problems mixed", 0);
    lab.write("runner/config.toml", "[settings]\nrequire_signature = true\n");
    assert!(stderr(&lab, "run x.toml problems mixed", 2).contains("sign = true"));
    lab.write("runner/config.toml", "[settings]\nrequire_signature = true\nsign = true\n");
    assert!(stderr(&lab, "run x.toml problems mixed", 2).contains("runner signing-key new"));
    let public = lab.stdout("signing-key new", 0);
    let plan = lab.stdout("plan x.toml problems", 0);
    assert!(plan.contains("its record is ignored: it is not signed"), "{plan}");
    let warned = stderr(&lab, "run x.toml problems mixed", 0);
    assert!(
        warned.contains("warning: ignored record") && warned.contains("not signed"),
        "{warned}"
    );
    let summary = lab.summary("run x.toml problems mixed", 0);
    assert_eq!(count(&summary, "ran"), 0, "its own records count");
    let shown = lab.stdout("show x.toml problems", 0);
    assert!(shown.contains(&format!("by {}", public.trim())), "{shown}");

    // A colleague trusts this key, another one does not.
    let colleague = lab.path().join("colleague");
    std::fs::create_dir_all(colleague.join("runner")).unwrap();
    let run = |trusted: &str| {
        let settings = format!("[settings]\nrequire_signature = true\nsign = true\ntrusted = [{trusted}]\n");
        std::fs::write(colleague.join("runner/config.toml"), settings).unwrap();
        let output = lab
            .command("plan x.toml problems --json")
            .env("XDG_CONFIG_HOME", &colleague)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(
        lab.command("signing-key new")
            .env("XDG_CONFIG_HOME", &colleague)
            .status()
            .unwrap()
            .success()
    );
    let trusting = run(&format!("\"{}\"", public.trim()));
    assert!(trusting.contains("\"state\":\"hit\""), "{trusting}");
    let strange = run("");
    assert!(
        strange.contains("which is not trusted") && !strange.contains("\"state\":\"hit\""),
        "{strange}"
    );
    assert!(run("\"me\"").contains("`me` in `trusted` is not a public key"));
}

#[test]
fn a_forged_record_is_a_miss() {
    let lab = lab();
    lab.stdout("signing-key new", 0);
    lab.write("runner/config.toml", "[settings]\nrequire_signature = true\nsign = true\n");
    lab.stdout("run x.toml problems", 0);
    let digests = lab.digests("cache");
    let (key, outputs) = digests.first_key_value().unwrap();
    let path = lab.record("cache", key);
    let text = std::fs::read_to_string(&path).unwrap();
    let [train, other] = ["train", "in_domain"].map(|port| outputs[port]["digest"].as_str().unwrap().to_owned());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, text.replace(&train, &other)).unwrap();
    let warned = stderr(&lab, "run x.toml problems", 0);
    assert!(warned.contains("changed after it was signed"), "{warned}");
    assert_eq!(lab.digests("cache"), digests, "made again, and right");
}

#[test]
fn an_experiment_cannot_say_whom_to_believe() {
    let lab = lab();
    for (place, key) in [
        ("settings", "require_signature = false"),
        ("profile.short.settings", "trusted = []"),
        ("settings", "sign = true"),
    ] {
        lab.write("bad.toml", &format!("extends = \"x.toml\"\n[{place}]\n{key}\n"));
        let said = stderr(&lab, "plan bad.toml", 2);
        assert!(said.contains("cannot be set by an experiment"), "{said}");
    }
}
