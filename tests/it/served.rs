//! `sample` through llama.cpp's server, which `tests/servers/llama` installs: ignored unless it does.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::endpoint::prompts;
use super::lab::{Lab, count};
use super::server::{Reply, Server};

const ROWS: usize = 24;
const MODEL: &str = "SmolLM2-135M-Instruct-Q4_1";

/// llama.cpp's server; it ends with its standard input.
struct Llama(Child);

impl Llama {
    /// Returns at once, while the model is still loaded.
    #[expect(clippy::disallowed_methods, reason = "a test has no other arguments than the environment")]
    fn start(port: u16, name: &str) -> Self {
        let python = std::env::var("RUNNER_TEST_LLAMA").expect("tests/servers/llama installs the server and says where it is");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/llama.py");
        let mut command = Command::new(python);
        command.args([script, &port.to_string(), name]).stdin(Stdio::piped());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Passes requests on to the server at `port`, and so knows them all.
fn proxy(port: u16) -> Server {
    let client = reqwest::blocking::Client::builder().timeout(None).build().unwrap();
    Server::start(move |request, _| {
        let address = format!("http://127.0.0.1:{port}{}", request.path);
        let answer = match request.method.as_str() {
            "POST" => client.post(address).body(request.body.clone()),
            _ => client.get(address),
        };
        let answer = answer.send().and_then(|answer| Ok((answer.status().as_u16(), answer.bytes()?)));
        answer.map_or_else(|_| Reply::of(503, "nobody listens"), |(status, body)| Reply::of(status, body))
    })
}

fn experiment(server: &Server, served: &str) -> String {
    format!(
        r#"
[prompts]
chat = """
<|im_start|>user
{{question}} = ? Write at most {{n}} lines.<|im_end|>
<|im_start|>assistant
"""

[stages.problems]
kind = "generate"
task = "addition"
train = {ROWS}
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.answers]
kind = "sample"
data = "problems.train"
endpoint = "{}/v1"
served = "{served}"
prompt = "chat"
ask = [0]
stop = ["<|im_end|>"]
max_tokens = 48
concurrency = 3
"#,
        server.address
    )
}

/// What a stage that has not ended keeps: how many answers.
fn kept(lab: &Lab, store: &str) -> usize {
    let files = walkdir::WalkDir::new(lab.path().join(store).join("v1/scratch"));
    let file = files
        .into_iter()
        .map_while(Result::ok)
        .find(|entry| entry.file_name() == "answers.jsonl");
    file.map_or(0, |file| std::fs::read_to_string(file.path()).unwrap().lines().count())
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many requests a run makes; none for what has been answered in the run before it, which made the first `before`.
fn goes_on(lab: &Lab, server: &Server, store: &str) -> usize {
    // Nothing is asked any more: what was asked is answered, or lost with whoever was killed.
    let (before, there) = (prompts(server).len(), kept(lab, store));
    assert!((8..ROWS).contains(&there), "{there}");
    assert_eq!(count(&lab.summary(&format!("run x.toml --store {store}"), 0), "failed"), 0);
    let all = prompts(server);
    assert_eq!(all.len() - before, ROWS - there, "what is kept is not asked for again");
    assert_eq!(all[before..].iter().collect::<BTreeSet<_>>().len(), ROWS - there);
    all.len() - before
}

/// The answers that the stage put out.
fn answers(lab: &Lab, store: &str) -> Vec<Value> {
    let digests = lab.digests(store);
    let output = digests.values().find_map(|outputs| outputs.get("answers")).unwrap();
    let text = std::fs::read_to_string(lab.object(store, output["digest"].as_str().unwrap())).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[ignore = "needs llama.cpp's server and a model, which tests/servers/llama installs"]
fn a_stage_that_a_server_answers_is_resumed_and_known_by_the_model_s_name() {
    let begun = Instant::now();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = proxy(port);
    let lab = Lab::new(&experiment(&server, MODEL));

    // The runner is killed; the server was still loading when it began.
    let llama = Llama::start(port, MODEL);
    let mut run = lab.start("run x.toml --store one");
    wait_until("the first answers", || kept(&lab, "one") >= 8);
    run.kill().unwrap();
    run.wait().unwrap();
    let waited = server.log().iter().filter(|asked| *asked == "GET /v1/models").count();
    assert!(waited > 1, "it did not wait for the model");
    // The worker sees that its runner is gone, and asks for nothing more.
    std::thread::sleep(Duration::from_secs(2));
    let (first, one) = (prompts(&server).len(), kept(&lab, "one"));
    assert!((one..=one + 3).contains(&first), "{first} {one}: only what was under way is lost");
    let second = goes_on(&lab, &server, "one");
    println!("runner killed: asked {first}, kept {one}, then asked {second}; asked {waited} times whether the model is there");

    let written = answers(&lab, "one");
    assert_eq!(written.len(), ROWS);
    assert!(
        written
            .iter()
            .all(|answer| !answer["response"].as_str().unwrap().contains("<|im_end|>"))
    );
    assert!(written.iter().all(|answer| (1..=48).contains(&answer["tokens"].as_u64().unwrap())));
    let asked = server.asked().len();
    assert_eq!(count(&lab.summary("run x.toml --store one", 0), "cached"), 2);
    assert_eq!(server.asked().len(), asked, "a hit asks nobody");

    // The server is killed.
    let before = prompts(&server).len();
    let run = lab.start("run x.toml --store two --set settings.patience=5");
    wait_until("the first answers", || kept(&lab, "two") >= 8);
    drop(llama);
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(1));
    let (first, two) = (prompts(&server).len() - before, kept(&lab, "two"));
    let llama = Llama::start(port, MODEL);
    let second = goes_on(&lab, &server, "two");
    println!("server killed: asked {first} (with tries), kept {two}, then asked {second}");
    let same = answers(&lab, "two")
        .iter()
        .zip(&written)
        .filter(|(a, b)| a["response"] == b["response"])
        .count();
    println!("{same} of {ROWS} answers are the same in both runs");

    // Another model at the same address.
    drop(llama);
    let _other = Llama::start(port, "another");
    assert_eq!(
        count(&lab.summary("run x.toml --store one", 0), "cached"),
        2,
        "what is known of the first"
    );
    let said = lab.stdout("run x.toml --store three --json", 1);
    assert!(said.contains(&format!("has no model `{MODEL}` (it serves: another)")), "{said}");
    lab.write("x.toml", &experiment(&server, "another"));
    let before = prompts(&server).len();
    let summary = lab.summary("run x.toml --store one", 0);
    assert_eq!(
        (count(&summary, "cached"), count(&summary, "ran")),
        (1, 1),
        "another model is another stage"
    );
    assert_eq!(prompts(&server).len() - before, ROWS);
    println!("{} requests in {:.0} s", server.asked().len(), begun.elapsed().as_secs_f64());
}
