//! Remotes on real servers, which `tests/servers/run` installs and starts: ignored unless it does.

use std::process::Output;

use crate::lab::{LOOP, Lab, count};

/// The address of a server that the script has started.
#[expect(clippy::disallowed_methods, reason = "a test has no other arguments than the environment")]
fn server(name: &str) -> String {
    std::env::var(format!("RUNNER_TEST_{name}")).expect("tests/servers/run starts the servers and says where they are")
}

/// A prefix that no earlier run of the tests has used.
fn unused() -> String {
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!("{}-{}", std::process::id(), time.as_nanos())
}

fn lab(url: &str, endpoint: &str) -> Lab {
    let lab = Lab::new(LOOP);
    let endpoint = if endpoint.is_empty() {
        String::new()
    } else {
        format!(", endpoint = \"{endpoint}\"")
    };
    let remote = format!("[settings]\nremotes = [{{ url = \"{url}\", access = \"read-write\"{endpoint} }}]\n");
    lab.write("runner.toml", &remote);
    lab
}

fn run(lab: &Lab, words: &str, secret: &str) -> Output {
    let mut command = lab.command(words);
    command.env("AWS_ACCESS_KEY_ID", "lab").env("AWS_SECRET_ACCESS_KEY", secret);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Two stores on one remote: what the first pushes, the second finds.
fn shares(lab: &Lab) {
    let first = run(lab, "run x.toml --store one", "secret");
    assert!(said(&first).contains("uploaded 10 of 10 stages"), "{}", said(&first));
    let second = run(lab, "run x.toml --store two --json", "secret");
    let summary = said(&second);
    let summary = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    assert_eq!((count(&summary, "cached"), count(&summary, "ran")), (10, 0));
    let pulled = run(lab, "cache pull x.toml --store two", "secret");
    assert!(said(&pulled).contains("the store has 10 of 10 stages"), "{}", said(&pulled));
    assert_eq!(lab.digests("one"), lab.digests("two"));
    let again = run(lab, "cache push x.toml --store two", "secret");
    assert!(
        said(&again).contains("the remotes have 10 of 10 stages, 0 of them new"),
        "{}",
        said(&again)
    );
}

/// A remote that cannot be used is said, and the run goes on.
fn goes_on_without(lab: &Lab, secret: &str, says: &str) {
    let output = run(lab, "run x.toml problems --store alone", secret);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains(says) && !said(&output).contains("hush"), "{}", said(&output));
}

#[test]
#[ignore = "needs moto, which tests/servers/run starts"]
fn moto_shares_a_missing_bucket_is_said_and_a_cut_push_goes_on() {
    let endpoint = server("MOTO");
    shares(&lab(&format!("s3://lab/{}", unused()), &endpoint));
    goes_on_without(&lab("s3://missing/x", &endpoint), "secret", "no such bucket");
    goes_on_after_a_cut(&lab(&format!("s3://lab/{}", unused()), &endpoint));
}

/// A push that is killed amid a large file sends the parts that are missing when it is tried again.
fn goes_on_after_a_cut(lab: &Lab) {
    lab.write(
        "x.toml",
        "name = \"x\"\n[stages.large]\nkind = \"command\"\nrun = [\"sh\", \"-c\", \"head -c 320M /dev/urandom > $RUNNER_OUTPUT_LARGE\"]\n\
         outputs = { large = \"file\" }\n",
    );
    let (here, aside) = (lab.path().join("runner.toml"), lab.path().join("aside"));
    std::fs::rename(&here, &aside).unwrap();
    let made = lab.output("run x.toml --store one");
    std::fs::rename(&aside, &here).unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let mut push = lab.command("cache push x.toml --store one");
    push.env("AWS_ACCESS_KEY_ID", "lab").env("AWS_SECRET_ACCESS_KEY", "secret");
    let mut child = push.spawn().unwrap();
    let partial = lab.path().join("one/v1/partial");
    let arrived = || {
        let lists = std::fs::read_dir(&partial).unwrap().map(|entry| entry.unwrap().path());
        let parts = lists.map(|list| std::fs::read_to_string(list).unwrap_or_default().lines().count());
        parts.sum::<usize>()
    };
    while arrived() < 4 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = arrived();
    assert!(there >= 4, "it ended before it was killed");
    let again = push.output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    // The first line of the list is no part.
    let missing = (320 << 20) - (there as u64 - 1) * (16 << 20);
    assert!(
        said(&again).contains(&format!("sent {:.1} MB", missing as f64 / 1e6)),
        "{there}: {}",
        said(&again)
    );
    assert_eq!(arrived(), 0);
    let pulled = run(lab, "cache pull x.toml --store two", "secret");
    assert!(said(&pulled).contains("the store has 1 of 1 stages"), "{}", said(&pulled));
    assert_eq!(lab.digests("one"), lab.digests("two"));
}

#[test]
#[ignore = "needs s3s-fs, which tests/servers/run starts"]
fn s3s_shares_and_a_missing_bucket_or_a_wrong_secret_is_said() {
    let endpoint = server("S3S");
    shares(&lab(&format!("s3://lab/{}", unused()), &endpoint));
    goes_on_without(&lab("s3://missing/x", &endpoint), "secret", "no such bucket");
    goes_on_without(&lab("s3://lab/x", &endpoint), "hush", "refuses access");
}

#[test]
#[ignore = "needs nginx, which tests/servers/run starts"]
fn nginx_shares() {
    shares(&lab(&format!("{}/{}", server("NGINX"), unused()), ""));
}
