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
    assert!(said(&pulled).contains("10 of 10 stages are here"), "{}", said(&pulled));
    assert_eq!(lab.digests("one"), lab.digests("two"));
    let again = run(lab, "cache push x.toml --store two", "secret");
    assert!(
        said(&again).contains("10 of 10 stages are there, 0 of them new"),
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
fn moto_shares_and_a_missing_bucket_is_said() {
    let endpoint = server("MOTO");
    shares(&lab(&format!("s3://lab/{}", unused()), &endpoint));
    goes_on_without(&lab("s3://missing/x", &endpoint), "secret", "no such bucket");
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
