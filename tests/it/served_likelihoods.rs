//! Log-likelihoods of a server's model: choices and texts that are scored, and not generated.

use serde_json::{Value, json};

use super::lab::{Lab, count};
use super::server::{Reply, Request, Server};

const MARK: &str = "<s>";

/// How likely the served model finds a token: the longer, the less, and nothing is likelier but after `z`.
fn logprob(token: &str) -> f64 {
    -0.25 * token.len() as f64
}

/// Words with the blank before them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for character in text.chars() {
        if character == ' ' && tokens.last().is_some_and(|last| !last.is_empty()) {
            tokens.push(String::new());
        }
        tokens.last_mut().unwrap().push(character);
    }
    tokens
}

/// What a server says that repeats the prompt, as OpenAI documents it. Its model begins texts with `mark`.
fn echo(request: &Request, mark: Option<&str>) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["echo"], &body["max_tokens"], &body["logprobs"]),
        (&json!(true), &json!(1), &json!(1))
    );
    let prompt = body["prompt"].as_str().unwrap();
    let mut all: Vec<String> = mark.into_iter().map(str::to_owned).chain(tokens(prompt)).collect();
    let count = all.len();
    all.push(" more".to_owned());
    let mut logprobs: Vec<Value> = all.iter().map(|token| json!(logprob(token))).collect();
    let mut top: Vec<Value> = all.iter().map(|token| json!({ token: logprob(token) })).collect();
    if prompt.ends_with('z') {
        top[count - 1]["likelier"] = json!(-0.001);
    }
    (logprobs[0], top[0]) = (Value::Null, Value::Null);
    let choice = json!({
        "text": format!("{prompt} more"),
        "logprobs": { "tokens": all, "token_logprobs": logprobs, "top_logprobs": top },
    });
    let usage = json!({ "prompt_tokens": count, "completion_tokens": 1 });
    Reply::of(200, json!({ "choices": [choice], "usage": usage }).to_string())
}

fn server(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request, _| match request.path.as_str() {
        "/v1/models" => Reply::of(200, json!({ "data": [{ "id": "tiny" }] }).to_string()),
        _ => answer(request),
    })
}

fn experiment(server: &Server, output: &str, more: &str) -> String {
    format!(
        r#"
[tasks.colours]
output_type = "{output}"
doc_to_text = "Q: {{{{question}}}}\nA: "
doc_to_choice = ["red", "a long z", "blue"]
doc_to_target = "{{{{answer}}}}"
target_delimiter = ""

[sources.rows]
path = "rows.jsonl"

[stages.rows]
kind = "import"
source = "rows"
task = "colours"

[stages.answers]
kind = "sample"
data = "rows"
ask = []
endpoint = "{}/v1"
served = "tiny"
prompt = "{{{{question}}}}"
{more}

[stages.measured]
kind = "measure"
answers = "answers"
"#,
        server.address
    )
}

fn lab(experiment: &str) -> Lab {
    let lab = Lab::new(experiment);
    lab.write(
        "rows.jsonl",
        "{\"question\": \"The sky?\", \"answer\": 2}\n{\"question\": \"A tomato?\", \"answer\": 0}\n",
    );
    lab
}

/// The scores of all answers.
fn scores(lab: &Lab) -> Vec<Value> {
    let path = lab.stdout("get x.toml answers", 0);
    let text = std::fs::read_to_string(lab.path().join(path.trim()).join("answers.jsonl"));
    let text = text.or_else(|_| std::fs::read_to_string(path.trim())).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

#[test]
fn choices_are_scored_after_their_questions() {
    let server = server(|request| echo(request, Some(MARK)));
    let lab = lab(&experiment(&server, "multiple_choice", ""));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    let answers = scores(&lab);
    // The blank before a choice is a part of its first token.
    let choices = json!([
        { "sum": logprob(" red"), "tokens": 1, "greedy": true },
        { "sum": logprob(" a") + logprob(" long") + logprob(" z"), "tokens": 3, "greedy": false },
        { "sum": logprob(" blue"), "tokens": 1, "greedy": true },
    ]);
    assert_eq!(
        answers.iter().map(|answer| &answer["choices"]).collect::<Vec<_>>(),
        [&choices, &choices]
    );
    assert_eq!(answers[0]["response"], "red");
    // A question and its three choices, for each of two rows.
    assert_eq!(server.asked().iter().filter(|request| request.path == "/v1/completions").count(), 8);
    assert!(lab.stdout("report x.toml --json", 0).contains("0.5"));
}

#[test]
fn whole_texts_are_scored_after_the_mark_alone() {
    let with_mark = server(|request| echo(request, Some(MARK)));
    let rolling = |server: &Server| {
        experiment(server, "loglikelihood_rolling", "")
            .replace("doc_to_choice = [\"red\", \"a long z\", \"blue\"]\n", "")
            .replace("{{answer}}", "{{question}}")
    };
    let lab = lab(&rolling(&with_mark));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 3);
    let sums: Vec<Value> = scores(&lab).iter().map(|answer| answer["choices"][0].clone()).collect();
    let sum = |tokens: [&str; 2]| json!({ "sum": tokens.map(logprob).iter().sum::<f64>(), "tokens": 2, "greedy": true });
    assert_eq!(sums, [sum(["The", " sky?"]), sum(["A", " tomato?"])]);
    // Without a mark, the first token has no log-probability.
    let without = server(|request| echo(request, None));
    lab.write("x.toml", &rolling(&without));
    let said = lab.stdout("run x.toml --store other --json", 1);
    assert!(said.contains("no log-probability of the first token of a text"), "{said}");
}

#[test]
fn what_a_server_cannot_score_is_said() {
    // One that generates alone.
    let generating = server(|_| {
        let usage = json!({ "prompt_tokens": 9, "completion_tokens": 1 });
        let logprobs = json!({ "tokens": ["x"], "token_logprobs": [-0.5], "top_logprobs": [{ "x": -0.5 }] });
        Reply::of(
            200,
            json!({ "choices": [{ "text": "x", "logprobs": logprobs }], "usage": usage }).to_string(),
        )
    });
    let lab = lab(&experiment(&generating, "multiple_choice", ""));
    let said = lab.stdout("run x.toml --json", 1);
    assert!(
        said.contains("/v1/completions gives no log-probabilities of prompts (`echo` with `logprobs`)"),
        "{said}"
    );
    // A row that it refuses.
    let picky = server(|request| match request.body.contains("tomato") {
        true => Reply::of(400, "too long"),
        false => echo(request, Some(MARK)),
    });
    lab.write("x.toml", &experiment(&picky, "multiple_choice", ""));
    let said = lab.stdout("run x.toml --json", 1);
    assert!(
        said.contains("1 of 2 rows has no answer") && said.contains("400 Bad Request: too long"),
        "{said}"
    );
    let asked = picky.asked().len();
    lab.write("x.toml", &experiment(&picky, "multiple_choice", "max_failed = 1"));
    lab.summary("run x.toml", 0);
    let metrics = lab.stdout("report x.toml --json", 0);
    assert!(metrics.contains("\"failed\""), "{metrics}");
    assert!(picky.asked().len() > asked);
    // Chats are refused before anything runs.
    lab.write(
        "x.toml",
        &experiment(&picky, "multiple_choice", "").replace("\"{{question}}\"", "\"chat\""),
    );
    let out = lab.output("run x.toml");
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("a server gives no log-likelihoods in a chat"), "{said}");
}
