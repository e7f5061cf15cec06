//! `sample` through an OpenAI-compatible server.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, count};
use super::server::{Reply, Request, Server};

fn experiment(server: &Server) -> String {
    format!(
        r#"
[stages.problems]
kind = "generate"
task = "addition"
train = 12
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.answers]
kind = "sample"
data = "problems.train"
endpoint = "{}/v1"
served = "tiny"
prompt = "numbered"
ask = [-1]
max_tokens = 20
concurrency = 3

[stages.measured]
kind = "measure"
answers = "answers"
"#,
        server.address
    )
}

fn models() -> Reply {
    Reply::of(200, json!({"data": [{"id": "a", "aliases": ["a", "tiny"]}]}).to_string())
}

/// What the served model writes: how long its prompt is.
fn completion(request: &Request) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["model"], &body["max_tokens"], &body["temperature"]),
        (&json!("tiny"), &json!(20), &json!(0.0))
    );
    let text = format!("Thus, the answer is {}.", body["prompt"].as_str().unwrap().len());
    Reply::of(
        200,
        json!({"choices": [{"text": text}], "usage": {"completion_tokens": 7}}).to_string(),
    )
}

/// The prompts of all requests for completions.
pub fn prompts(server: &Server) -> Vec<String> {
    let asked = server.asked();
    let bodies = asked.iter().filter(|request| request.path == "/v1/completions");
    let prompts = bodies.map(|request| {
        serde_json::from_str::<Value>(&request.body).unwrap()["prompt"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    prompts.collect()
}

#[test]
fn a_served_model_answers_and_what_fails_is_asked_again() {
    let server = Server::start(|request, before| match request.path.as_str() {
        "/v1/models" => models(),
        _ if before % 4 == 1 => Reply {
            headers: vec![("retry-after", "0".to_owned())],
            ..Reply::of(503, "busy")
        },
        _ if before % 4 == 2 => completion(request).cut(9),
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    let digests = lab.digests("cache");
    let elsewhere = Server::start(|request, _| {
        if request.path == "/v1/models" {
            models()
        } else {
            completion(request)
        }
    });
    lab.write("x.toml", &experiment(&elsewhere));
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 3, "the address is not in the key");
    // The same answers, whatever failed on the way.
    assert_eq!(count(&lab.summary("run x.toml --store other", 0), "ran"), 3);
    assert_eq!(lab.digests("other"), digests);
}

#[test]
fn a_killed_stage_asks_for_nothing_twice() {
    let server = Server::start(|request, before| match request.path.as_str() {
        "/v1/models" => models(),
        _ if before < 7 => completion(request),
        // Long enough to be killed in.
        _ if before < 14 => Reply {
            pause: Duration::from_secs(5),
            ..completion(request)
        },
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server));
    let mut run = lab.start("run x.toml");
    while server.asked().len() < 10 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    run.kill().unwrap();
    run.wait().unwrap();
    let before = prompts(&server);
    // The workers see that their runner is gone, and the server sees them go.
    std::thread::sleep(Duration::from_millis(500));
    while server.asked().len() < 14 {
        let _ = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).map(|mut stream| {
            use std::io::{Read, Write};
            let _ = stream.write_all(b"GET /v1/models HTTP/1.1\r\n\r\n");
            let _ = stream.read(&mut [0; 16]);
        });
    }
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 2);
    let all = prompts(&server);
    let after = &all[before.len()..];
    assert!(before[..6].iter().all(|prompt| !after.contains(prompt)), "{before:?} {after:?}");
    assert_eq!(after.len(), 12 - 6);
}

#[test]
fn what_is_wrong_with_a_server_is_said() {
    let said = |server: &Server| {
        let lab = Lab::new(&experiment(server));
        let out = lab.stdout("run x.toml --json", 1);
        let failed = out.lines().find(|line| line.contains("\"failed\"")).unwrap();
        let event: Value = serde_json::from_str(failed).unwrap();
        event["error"].as_str().unwrap().replace(&server.address, "http://server")
    };
    let all = [
        said(&Server::absent()).replace("http://127.0.0.1:1", "http://server"),
        said(&Server::start(|_, _| Reply::of(404, "nothing here"))),
        said(&Server::start(|_, _| {
            Reply::of(200, json!({"data": [{"id": "other"}]}).to_string())
        })),
        said(&Server::start(|request, _| {
            if request.path == "/v1/models" {
                models()
            } else {
                Reply::of(400, "the prompt is too long")
            }
        })),
        said(&Server::start(|request, _| {
            if request.path == "/v1/models" {
                models()
            } else {
                let answer = json!({"model": "other", "choices": [{"text": "1"}], "usage": {"completion_tokens": 1}});
                Reply::of(200, answer.to_string())
            }
        })),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    cannot reach http://server/v1/models: Connection refused (os error 111)
    http://server/v1/models answers 404 Not Found without a list of models
    http://server/v1/models has no model `tiny` (it serves: other)
    http://server/v1/completions answers 400 Bad Request: the prompt is too long
    http://server/v1/completions answers as the model `other` instead of `tiny`: it serves another one now
    ");
}

const KEY: &str = "hush-hush-0815";

fn with_key(server: &Server) -> String {
    experiment(server).replace("concurrency = 3", "concurrency = 3\napi_key_env = \"LAB_KEY\"")
}

/// Whether any file of the lab has the key in it.
fn leaks(lab: &Lab) -> bool {
    let files = walkdir::WalkDir::new(lab.path()).into_iter().map_while(Result::ok);
    let mut files = files.filter(|entry| entry.file_type().is_file());
    files.any(|entry| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).contains(KEY))
}

#[test]
fn the_key_of_a_server_comes_from_the_environment_and_stays_there() {
    let server = Server::start(|request, _| {
        let is_known = request
            .headers
            .get("authorization")
            .is_some_and(|held| *held == format!("Bearer {KEY}"));
        match request.path.as_str() {
            _ if !is_known => Reply::of(401, "who are you?"),
            "/v1/models" => models(),
            _ => completion(request),
        }
    });
    let lab = Lab::new(&with_key(&server));
    let out = lab.output("run x.toml");
    assert_eq!(out.status.code(), Some(2));
    insta::assert_snapshot!(
        String::from_utf8(out.stderr).unwrap(),
        @"error: stage `answers` needs the environment variable `LAB_KEY` (`api_key_env`), which is not set"
    );
    assert!(server.asked().is_empty() && lab.digests("cache").is_empty(), "nothing ran");
    let out = lab
        .command("run x.toml --json")
        .env("LAB_KEY", format!("{KEY}\n"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    assert!(!String::from_utf8_lossy(&out.stdout).contains(KEY) && !String::from_utf8_lossy(&out.stderr).contains(KEY));
    assert!(!leaks(&lab));
    // Who asks, and whether with a key, is no part of the key; what is there needs none.
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 3);
    lab.write("x.toml", &experiment(&server));
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 3);
}

#[test]
fn a_server_that_refuses_says_so_and_the_key_is_not_repeated() {
    let said = |text: &str, answer: fn(&Request) -> Reply| {
        let server = Server::start(move |request, _| answer(request));
        let lab = Lab::new(&text.replace("SERVER", &server.address));
        let out = lab.command("run x.toml --json").env("LAB_KEY", KEY).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        let out = String::from_utf8(out.stdout).unwrap();
        assert!(!out.contains(KEY) && !leaks(&lab), "{out}");
        let failed = out.lines().find(|line| line.contains("\"failed\"")).unwrap();
        let event: Value = serde_json::from_str(failed).unwrap();
        event["error"].as_str().unwrap().replace(&server.address, "http://server")
    };
    let absent = Server::absent();
    let address = |text: String| text.replace(&absent.address, "SERVER");
    let (with, without) = (address(with_key(&absent)), address(experiment(&absent)));
    let all = [
        said(&with, |_| Reply::of(401, format!("no such key: {KEY}"))),
        said(&with, |request| match request.path.as_str() {
            "/v1/models" => models(),
            _ => Reply::of(403, format!("not for {KEY}")),
        }),
        said(&with, |request| match request.path.as_str() {
            "/v1/models" => models(),
            _ => Reply::of(400, format!("{KEY} asks too much")),
        }),
        said(&without, |_| Reply::of(401, "{}")),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    http://server/v1/models answers 401 Unauthorized: it refuses the key in `LAB_KEY`
    http://server/v1/completions answers 403 Forbidden: it refuses the key in `LAB_KEY`
    http://server/v1/completions answers 400 Bad Request: … asks too much
    http://server/v1/models answers 401 Unauthorized: it requires a key: name the environment variable that holds it, `api_key_env = "…"`
    "#);
}

#[test]
fn a_key_in_place_of_its_variable_is_refused() {
    let lab = Lab::new(&with_key(&Server::absent()).replace("LAB_KEY", "sk-0815"));
    let out = lab.output("plan x.toml --color never");
    assert_eq!(out.status.code(), Some(2));
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(
        err.contains("the name of an environment variable (letters, digits and `_`), not the key itself"),
        "{err}"
    );
}

#[test]
fn a_server_that_loads_its_model_is_waited_for() {
    let server = Server::start(|request, before| match request.path.as_str() {
        "/v1/models" if before < 3 => Reply::of(503, json!({"error": {"message": "Loading model"}}).to_string()),
        "/v1/models" => models(),
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    assert_eq!(server.log().iter().filter(|asked| *asked == "GET /v1/models").count(), 4);
}
