//! `sample` through an OpenAI-compatible server.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, count, warnings};
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
        let out = lab.stdout("run x.toml --json --set settings.patience=0", 1);
        failure(&out).replace(&server.address, "http://server")
    };
    let all = [
        said(&Server::absent()).replace("http://127.0.0.1:1", "http://server"),
        said(&Server::start(|_, _| Reply::of(404, "nothing here"))),
        said(&Server::start(|_, _| {
            Reply::of(200, json!({"data": [{"id": "other"}]}).to_string())
        })),
        said(&Server::start(|_, _| Reply {
            headers: vec![("content-type", "text/html".to_owned())],
            ..Reply::of(200, "<html><title>Log in</title></html>")
        })),
        said(&Server::start(|request, _| match request.path.as_str() {
            "/v1/models" => models(),
            _ => Reply::of(500, json!({"error": {"message": "out of memory"}}).to_string()),
        })),
        said(&Server::start(|request, _| match request.path.as_str() {
            "/v1/models" => models(),
            _ => Reply::of(200, "<!doctype html><title>Log in</title>"),
        })),
        said(&Server::start(|request, _| {
            if request.path == "/v1/models" {
                models()
            } else {
                let answer = json!({"model": "other", "choices": [{"text": "1"}], "usage": {"completion_tokens": 1}});
                Reply::of(200, answer.to_string())
            }
        })),
        said(&Server::start(|request, _| match request.path.as_str() {
            "/v1/models" => models(),
            _ => {
                let answer = json!({"model": "tinyllama-7b", "choices": [{"text": "1"}], "usage": {"completion_tokens": 1}});
                Reply::of(200, answer.to_string())
            }
        })),
        said(&Server::start(|request, _| match request.path.as_str() {
            "/v1/models" => models(),
            "/login" => Reply::of(400, "what is it?"),
            _ => Reply {
                headers: vec![("location", "/login".to_owned())],
                ..Reply::of(302, "")
            },
        })),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    http://server/v1/models failed once: Connection refused (os error 111)
    http://server/v1/models answers without a list of models: 404 Not Found: nothing here
    http://server/v1/models has no model `tiny` (it serves: other)
    http://server/v1/models answers without a list of models: 200 OK: Log in
    http://server/v1/completions failed once: 500 Internal Server Error: out of memory; so did 1 more
    http://server/v1/completions answers 200 OK with a web page in place of a completion: Log in
    http://server/v1/completions answers as the model `other` instead of `tiny`: it serves another one now
    http://server/v1/completions answers as the model `tinyllama-7b` instead of `tiny`: it serves another one now
    http://server/v1/completions answers 302 Found: it sends the request on to http://server/login
    ");
}

/// The error of the stage that failed.
fn failure(events: &str) -> String {
    let failed = events.lines().find(|line| line.contains("\"event\":\"failed\"")).unwrap();
    let event: Value = serde_json::from_str(failed).unwrap();
    event["error"].as_str().unwrap().to_owned()
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
        let error = failure(&out).replace(&server.address, "http://server");
        // Of the rows that are named, one.
        error.lines().take(2).collect::<Vec<_>>().join(" ")
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
    12 of 12 rows have no answer, and `max_failed` allows 0: `2_2/1`: 400 Bad Request: … asks too much
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
        "/v1/models" if before == 1 => Reply::of(200, json!({"data": []}).to_string()),
        "/v1/models" if before < 3 => Reply::of(503, json!({"error": {"message": "Loading model"}}).to_string()),
        "/v1/models" => models(),
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    assert_eq!(server.log().iter().filter(|asked| *asked == "GET /v1/models").count(), 4);
}

#[test]
fn a_server_that_does_not_listen_yet_or_is_busy_is_waited_for_and_that_is_said() {
    // Its port, on which nobody listens at first.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        let asked = std::sync::atomic::AtomicUsize::new(0);
        Server::listen(std::net::TcpListener::bind(port).unwrap(), move |request, _| {
            let before = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            match request.path.as_str() {
                "/v1/models" if before == 0 => Reply::of(502, "bad gateway"),
                "/v1/models" if before == 1 => Reply {
                    headers: vec![("retry-after", "0.5".to_owned())],
                    ..Reply::of(429, "")
                },
                "/v1/models" => models(),
                _ if (4..8).contains(&before) => Reply::of([408, 409, 425, 429][before - 4], ""),
                _ => completion(request),
            }
        })
    });
    let mut server = Server::absent();
    server.address = format!("http://{port}");
    let lab = Lab::new(&experiment(&server));
    let out = lab.stdout("run x.toml --json", 0);
    let warned = warnings(&out);
    assert_eq!(warned.len(), 1, "{warned:?}");
    let beginning = format!(
        "answers: waiting for {}/v1/models (Connection refused (os error 111)), ",
        server.address
    );
    assert!(warned[0].starts_with(&beginning), "{warned:?}");
    let server = later.join().unwrap();
    assert!(server.asked().len() >= 3 + 12 + 4, "{:?}", server.log());
}

#[test]
fn a_server_may_name_the_time_at_which_it_has_time_again() {
    // By its own clock, which is wrong.
    let date = |second: u64| format!("Wed, 21 Oct 2015 07:28:{second:02} GMT");
    let server = Server::start(move |request, before| match request.path.as_str() {
        "/v1/models" => models(),
        _ if before == 1 => Reply {
            headers: vec![("retry-after", date(13)), ("date", date(10))],
            ..Reply::of(429, json!({"error": "slow down"}).to_string())
        },
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server).replace("concurrency = 3", "concurrency = 1"));
    let begun = std::time::Instant::now();
    let out = lab.stdout("run x.toml --json", 0);
    assert!((3..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let warned = warnings(&out).join("\n").replace(&server.address, "http://server");
    insta::assert_snapshot!(
        warned,
        @"answers: waiting for http://server/v1/completions (429 Too Many Requests: slow down), 0 s so far"
    );
}

#[test]
fn a_stage_that_is_to_stop_waits_for_no_server() {
    let server = Server::start(|request, before| match request.path.as_str() {
        "/v1/models" => models(),
        _ if before < 5 => completion(request),
        _ => Reply {
            pause: Duration::from_secs(10),
            ..completion(request)
        },
    });
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut hangs = Server::absent();
    hangs.address = format!("http://{}", silent.local_addr().unwrap());
    for (server, asked, kept) in [(&server, 8, 4), (&hangs, 0, 0)] {
        let lab = Lab::new(&experiment(server));
        let run = lab.start("run x.toml");
        while server.asked().len() < asked {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(1));
        let begun = std::time::Instant::now();
        let process = rustix::process::Pid::from_raw(run.id().cast_signed()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let files = walkdir::WalkDir::new(lab.path().join("cache/v1/scratch")).into_iter();
        let file = files.map_while(Result::ok).find(|entry| entry.file_name() == "answers.jsonl");
        let lines = file.map_or(0, |file| std::fs::read_to_string(file.path()).unwrap().lines().count());
        assert_eq!(lines, kept, "what came is kept");
    }
}

#[test]
fn a_request_that_is_forbidden_is_refused_where_others_are_answered() {
    let server = Server::start(|request, before| match request.path.as_str() {
        "/v1/models" => models(),
        _ if before == 1 => Reply::of(403, json!({"error": "moderation: flagged"}).to_string()),
        _ => completion(request),
    });
    let lab = Lab::new(&experiment(&server).replace("concurrency = 3", "concurrency = 1\nmax_failed = 1"));
    let warned = warnings(&lab.stdout("run x.toml --json", 0)).join("\n");
    assert!(
        warned.contains("1 of 12 rows has no answer") && warned.contains("403 Forbidden: moderation: flagged"),
        "{warned}"
    );
    // Where it answers nobody, the user is meant.
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v1/models" => models(),
        _ => Reply::of(403, "not from here"),
    });
    let lab = Lab::new(&experiment(&server));
    let said = failure(&lab.stdout("run x.toml --json", 1)).replace(&server.address, "http://server");
    insta::assert_snapshot!(said, @r#"http://server/v1/completions answers 403 Forbidden: not from here (if it requires a key: name the environment variable that holds it, `api_key_env = "…"`)"#);
}

#[test]
fn a_text_beside_an_error_is_no_answer_and_is_asked_for_again() {
    let server = Server::start(|request, before| {
        let half = |fields: Value| {
            let mut answer = json!({"choices": [{"text": "half an"}], "usage": {"completion_tokens": 7}});
            for (name, value) in fields.as_object().unwrap() {
                answer[name] = value.clone();
            }
            Reply::of(200, answer.to_string())
        };
        let error = json!({"code": 502, "message": "no provider"});
        match request.path.as_str() {
            "/v1/models" => models(),
            _ if before == 1 => half(json!({"error": error})),
            _ if before == 2 => half(json!({"choices": [{"text": "half an", "finish_reason": "error", "error": error}]})),
            _ => completion(request),
        }
    });
    let lab = Lab::new(&experiment(&server));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    assert_eq!(prompts(&server).len(), 14);
}

#[test]
fn what_came_whole_and_cannot_be_read_is_asked_for_once_more() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v1/models" => models(),
        _ => Reply {
            headers: vec![("content-type", "text/event-stream".to_owned())],
            ..Reply::of(200, "data: {}\n\n")
        },
    });
    let lab = Lab::new(&experiment(&server).replace("concurrency = 3", "concurrency = 1"));
    let said = failure(&lab.stdout("run x.toml --json", 1)).replace(&server.address, "http://server");
    insta::assert_snapshot!(said, @"http://server/v1/completions failed 2 times: the answer is a stream of events (`text/event-stream`), which was not asked for; so did 1 more");
}

#[test]
fn an_address_with_a_password_or_a_query_is_refused_and_not_shown() {
    for (address, message) in [
        ("http://user:hush@127.0.0.1:1/v1", "must not hold a name or a password"),
        ("http://127.0.0.1:1/v1?key=hush", "must not hold a query"),
    ] {
        let lab = Lab::new(&experiment(&Server::absent()).replace("http://127.0.0.1:1/v1", address));
        let out = lab.output("plan x.toml --color never");
        let err = String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap();
        // Its lines may be broken.
        let err = err.split_whitespace().filter(|&word| word != "│").collect::<Vec<_>>().join(" ");
        assert!(
            out.status.code() == Some(2) && err.contains(message) && !err.contains("hush"),
            "{err}"
        );
    }
}

#[test]
fn a_wrong_address_is_one_error() {
    let lab = Lab::new(&experiment(&Server::absent()).replace("http://127.0.0.1:1/v1", "127.0.0.1:1/v1"));
    let err = String::from_utf8(lab.output("plan x.toml --color never").stderr).unwrap();
    assert!(
        err.contains("an address begins with `http://`") && err.contains("1 error in"),
        "{err}"
    );
}

/// Refuses the requests whose prompts it is told.
fn refusing(refused: &'static [&'static str]) -> Server {
    Server::start(move |request, _| match request.path.as_str() {
        "/v1/models" => models(),
        _ => {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let prompt = body["prompt"].as_str().unwrap().to_owned();
            if refused.iter().any(|question| prompt.contains(question)) {
                let message = json!({"error": {"message": "maximum context length is 2048 tokens"}});
                return Reply::of(400, message.to_string());
            }
            completion(request)
        }
    })
}

#[test]
fn all_rows_are_tried_and_refused_ones_fail_the_stage_or_count_as_wrong() {
    let with = |server: &Server, more: &str| {
        let text = experiment(server).replace("concurrency = 3", &format!("concurrency = 3\n{more}"));
        let source = "[sources.q]\npath = \"q.jsonl\"\n[stages.problems]\nkind = \"import\"\nsource = \"q\"\ntask = \"addition\"\n";
        let (_, rest) = text.split_once("[stages.answers]").unwrap();
        format!("{source}[stages.answers]{}", rest.replace("problems.train", "problems"))
    };
    let server = refusing(&["12 + 1", "15 + 1"]);
    let lab = Lab::new(&with(&server, ""));
    let rows: Vec<String> = (11..17)
        .map(|a| {
            let completion = format!("1. {a} + 1 = {}\nThus, the answer is {}.", a + 1, a + 1);
            json!({"id": format!("r{a}"), "prompt": format!("Question: {a} + 1"), "completion": completion}).to_string()
        })
        .collect();
    lab.write("q.jsonl", &rows.join("\n"));
    let out = lab.stdout("run x.toml --json", 1);
    insta::assert_snapshot!(failure(&out), @r"
    2 of 6 rows have no answer, and `max_failed` allows 0:
    `r12`: 400 Bad Request: maximum context length is 2048 tokens
    `r15`: 400 Bad Request: maximum context length is 2048 tokens
    the answers to the others are kept: the next run asks for these alone; `max_failed = 2` counts such rows as wrong
    ");
    assert_eq!(prompts(&server).len(), 6);
    lab.stdout("run x.toml --json", 1);
    assert_eq!(prompts(&server).len(), 8, "the answers are kept, and the others asked for again");

    lab.write("x.toml", &with(&server, "max_failed = 1"));
    lab.stdout("run x.toml --json", 1);
    lab.write("x.toml", &with(&server, "max_failed = 2"));
    let out = lab.stdout("run x.toml --json", 0);
    insta::assert_snapshot!(warnings(&out).join("\n"), @r"
    answers: 2 of 6 rows have no answer; wrong, as `max_failed = 2` has it:
    `r12`: 400 Bad Request: maximum context length is 2048 tokens
    `r15`: 400 Bad Request: maximum context length is 2048 tokens
    ");
    let object = |port: &str| {
        let digests = lab.digests("cache");
        let artifact = digests.values().find_map(|outputs| outputs.get(port)).unwrap();
        lab.object("cache", artifact["digest"].as_str().unwrap())
    };
    let answers = std::fs::read_to_string(object("answers")).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 6);
    for answer in &answers {
        let is_refused = ["r12", "r15"].contains(&answer["id"].as_str().unwrap());
        assert_eq!(answer["response"] == "", is_refused, "{answer}");
        assert_eq!(answer.get("failed").is_some(), is_refused, "{answer}");
    }
    let metrics: Value = serde_json::from_slice(&std::fs::read(object("metrics").join("metrics.json")).unwrap()).unwrap();
    let set = &metrics["sets"][0];
    assert_eq!(
        (&set["answers"], &set["failed"], &set["accuracy"]),
        (&json!(6), &json!(2), &json!(0.0))
    );

    // Where none is refused, the key and the answers are those of a stage without the param.
    let well = refusing(&[]);
    lab.write("x.toml", &with(&well, "max_failed = 0"));
    lab.stdout("run x.toml --store plain", 0);
    lab.write("x.toml", &with(&well, ""));
    assert_eq!(count(&lab.summary("run x.toml --store plain", 0), "cached"), 3);
    let digests = lab.digests("plain");
    let digest = digests.values().find_map(|outputs| outputs.get("answers")).unwrap()["digest"]
        .as_str()
        .unwrap();
    assert!(!std::fs::read_to_string(lab.object("plain", digest)).unwrap().contains("failed"));
}
