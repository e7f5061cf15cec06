//! `runner serve`: who may look, what is pushed while a run goes on, and the page in a browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::browser::Browser;
use crate::lab::Lab;
use crate::require::require;

/// The longest that a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A training that takes some seconds, an evaluation after it, and a program that fails.
const EXPERIMENT: &str = r#"
name = "served"
[models.dot]
width = 16
layers = 1
heads = 2
[stages.problems]
kind = "generate"
task = "addition"
start = "warm"
train = 40
development = 0
in_domain = 6
ood_easy = 0
ood_hard = 0
[stages.standard]
kind = "train"
data = "problems.train"
model = "dot"
steps = 2500
batch = 8
[stages.score]
kind = "eval"
model = "standard"
data = "problems.in_domain"
max_tokens = 12
[stages.broken]
kind = "command"
run = ["sh", "-c", "echo \"it <b>breaks</b> with $SERVED_KEY\"; exit 3"]
secrets = ["SERVED_KEY"]
outputs = { x = "file" }
"#;

/// The same without the program.
fn sound() -> String {
    EXPERIMENT.split("[stages.broken]").next().unwrap().to_owned()
}

/// A server, and what is known of it.
struct Server {
    process: Child,
    address: String,
    port: u16,
}

impl Server {
    fn start(lab: &Lab) -> Self {
        let mut command = lab.command("serve x.toml --port 0");
        command
            .env("SERVED_KEY", "open-sesame")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(' ').next().unwrap().to_owned();
        let port = address.split(['/', ':']).find_map(|part| part.parse().ok());
        Self {
            process,
            port: port.unwrap_or_else(|| panic!("no address in {line:?}")),
            address,
        }
    }

    fn token(&self) -> &str {
        self.address.split_once("token=").unwrap().1
    }

    fn cookie(&self) -> String {
        format!("Cookie: runner-{}={}\r\n", self.port, self.token())
    }

    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\n", self.port)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends `GET path` with these further headers.
    fn send(&self, begin: &str, headers: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(format!("{begin} HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap();
        stream
    }

    /// The whole answer to a request.
    fn ask(&self, begin: &str, headers: &str) -> String {
        let mut text = Vec::new();
        self.send(begin, headers).read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The answer to a request of somebody who may look.
    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), &(self.host() + &self.cookie()))
    }

    /// Events, by name and data, as they arrive.
    fn events(&self, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
        let stream = self.send(&format!("GET {path}"), &(self.host() + &self.cookie()));
        let (mut name, begun) = (String::new(), Instant::now());
        BufReader::new(stream).lines().map_while(Result::ok).filter_map(move |line| {
            assert!(begun.elapsed() < PATIENCE, "nothing that was waited for");
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            }
            let data = line.strip_prefix("data: ")?;
            Some((name.clone(), serde_json::from_str(data).unwrap()))
        })
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        let process = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(process, Signal::INT).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn only_who_has_the_token_may_look_and_nothing_but_the_page_is_there() {
    let lab = Lab::new(&sound());
    let server = Server::start(&lab);
    let (host, cookie) = (server.host(), server.cookie());
    let port = server.port;
    // Nobody.
    for begin in [
        "GET /",
        "GET /events",
        "GET /log?stage=standard",
        "GET /?token=wrong",
        "GET /?token=",
        "POST /",
    ] {
        let answer = server.ask(begin, &host);
        let expected = if begin.starts_with("POST") { "405" } else { "403" };
        assert_eq!(status(&answer), expected, "{begin}: {answer}");
    }
    let wrong = format!("Cookie: runner-{port}={}0\r\n", &server.token()[1..]);
    assert_eq!(status(&server.ask("GET /", &(host.clone() + &wrong))), "403");
    // The token becomes a cookie.
    let let_in = server.ask(&format!("GET /?token={}", server.token()), &host);
    let head = let_in.to_lowercase();
    assert!(status(&let_in) == "303" && head.contains("location: /\r\n"), "{let_in}");
    assert!(
        head.contains(&format!(
            "set-cookie: runner-{port}={}; path=/; httponly; samesite=strict\r\n",
            server.token()
        )),
        "{let_in}"
    );
    let page = server.get("/");
    assert!(
        status(&page) == "200"
            && page.contains("<h1>served</h1>")
            && page.to_lowercase().contains("content-security-policy: default-src 'none'")
    );
    assert!(server.ask("HEAD /", &(host.clone() + &cookie)).ends_with("\r\n\r\n"));
    // Another name leads here, as a page of elsewhere would have it.
    for evil in ["Host: evil.example\r\n", "Host: evil.example:80\r\n", "", "Host: localhost:1\r\n"] {
        let answer = server.ask("GET /", &format!("{evil}{cookie}"));
        assert!(["403", "400"].contains(&status(&answer)), "{evil}: {answer}");
    }
    assert_eq!(status(&server.ask("GET /", &format!("Host: localhost:{port}\r\n{cookie}"))), "200");
    assert_eq!(status(&server.ask("GET http://evil.example/", &(host.clone() + &cookie))), "403");
    assert_eq!(
        status(&server.ask("GET /", &format!("{host}Host: evil.example\r\n{cookie}"))),
        "403"
    );
    // No path leads to a file.
    for path in [
        "/x.toml",
        "/../x.toml",
        "/%2e%2e/x.toml",
        "//etc/passwd",
        "/page.js",
        "/log/../x.toml",
    ] {
        assert_eq!(status(&server.get(path)), "404", "{path}");
    }
    for query in [
        "?stage=../x.toml",
        "?stage=nothing",
        "?stage=/etc/passwd",
        "?stage=standard&variant={\"seed\":\"1\"}",
    ] {
        assert_eq!(status(&server.get(&format!("/log{}", query.replace('"', "%22")))), "404", "{query}");
    }
    for query in ["", "?variant=x", "?stage=standard&variant=x"] {
        assert_eq!(status(&server.get(&format!("/log{query}"))), "400", "{query}");
    }
    server.end();
    assert!(!lab.path().join("cache").exists(), "nothing is written");
}

#[test]
fn a_run_is_pushed_while_it_goes_on_and_its_failures_and_logs_are_told() {
    let lab = Lab::new(EXPERIMENT);
    let server = Server::start(&lab);
    let mut events = server.events("/events");
    let (name, first) = events.next().unwrap();
    assert_eq!(
        (name.as_str(), &first["title"], &first["running"]),
        ("status", &"No run yet".into(), &Value::Array(Vec::new()))
    );
    let mut run = lab.command("run x.toml --keep-going");
    run.env("SERVED_KEY", "open-sesame").stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = run.spawn().unwrap();
    let (mut points, mut grew, mut pages, mut log) = (0, 0, vec![first["page"].clone()], None);
    let last = events.find_map(|(name, data)| {
        if name == "curves" {
            let curve = data.get(0)?;
            let from = usize::try_from(curve["from"].as_u64().unwrap()).unwrap();
            assert!(curve["name"] == "standard" && from <= points, "{data}");
            let count = from + curve["points"].as_array().unwrap().len();
            grew += usize::from(count > points);
            points = count;
            return None;
        }
        if pages.last() != Some(&data["page"]) {
            pages.push(data["page"].clone());
        }
        if points > 3 && log.is_none() {
            let told = server
                .events("/log?stage=standard")
                .find_map(|(name, data)| (name == "text").then_some(data));
            log = Some(told.unwrap());
        }
        (data["color"] == "red").then_some(data)
    });
    let last = last.unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert!(grew >= 3 && points >= 10, "{grew} times, {points} points");
    assert!(pages.len() >= 2, "the page is another one when stages have ended");
    assert!(log.unwrap().as_str().unwrap().contains("/2500 steps"), "a log that grows");
    let failure = &last["failures"][0];
    assert_eq!(
        (&failure["name"], &failure["what"]),
        (&"broken".into(), &"failed (exit code 3)".into())
    );
    assert!(last["title"].as_str().unwrap().starts_with("served: failed after"), "{last}");
    let id = failure["id"].to_string();
    assert_eq!(last["states"][id], "failed");
    let told = server
        .events("/log?stage=broken")
        .find_map(|(name, data)| (name == "text").then_some(data))
        .unwrap();
    let told = told.as_str().unwrap();
    assert!(told.contains("it <b>breaks</b> with") && !told.contains("open-sesame"), "{told}");
    server.end();
}

#[test]
fn whoever_is_slow_or_silent_holds_nobody_up() {
    let lab = Lab::new(&sound());
    let server = Server::start(&lab);
    // Half a request, many times; a client that never reads; a head without an end.
    let mut halves: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for half in &mut halves {
        half.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    }
    let silent: Vec<TcpStream> = (0..8).map(|_| server.send("GET /", &(server.host() + &server.cookie()))).collect();
    let long = format!("{}X: {}\r\n", server.host(), "x".repeat(100_000));
    let mut endless = server.connect();
    // The server may have closed it before all is written.
    let _ = endless.write_all(format!("GET / HTTP/1.1\r\n{long}").as_bytes());
    let begun = Instant::now();
    assert_eq!(status(&server.get("/")), "200");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // More than there is room for are closed at once, and there is room again when others have waited too long.
    let more: Vec<TcpStream> = (0..80).map(|_| server.connect()).collect();
    let begun = Instant::now();
    let mut rest = [0; 64];
    let ended = halves[0].read(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(30), "{ended:?}");
    drop((more, silent));
    while !matches!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.get("/"))), Ok(answer) if status(&answer) == "200") {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(200));
    }
    server.end();
}

#[test]
fn an_experiment_that_is_broken_for_a_while_is_told_and_recovers() {
    let lab = Lab::new(&sound());
    let server = Server::start(&lab);
    let mut events = server.events("/events");
    assert_eq!(events.next().unwrap().1["message"], Value::Null);
    lab.write("x.toml", &sound().replace("kind = \"eval\"", "kind = \"evil\""));
    let mut statuses = events.filter(|(name, _)| name == "status");
    let broken = statuses.find(|(_, status)| status["message"] != Value::Null).unwrap().1;
    assert!(broken["message"].as_str().unwrap().contains("no kind `evil`"), "{broken}");
    assert!(server.get("/").contains("<h1>served</h1>"), "the page is the last that was right");
    lab.write("x.toml", &sound().replace("\"served\"", "\"mended\""));
    statuses.find(|(_, status)| status["message"] == Value::Null).unwrap();
    assert!(server.get("/").contains("<h1>mended</h1>"));
    server.end();
    lab.write("x.toml", "name = ");
    lab.stdout("serve x.toml", 2);
}

#[test]
fn the_page_is_live_in_a_browser() {
    let mut browser = require!(Browser::start(), "Chromium");
    let lab = Lab::new(&sound());
    let server = Server::start(&lab);
    browser.open_address(&server.address, 1200, 400);
    assert_eq!(browser.evaluate("location.search + location.pathname"), "/");
    wait(&mut browser, "document.getElementById('live-title').textContent === 'No run yet'");
    assert_eq!(browser.evaluate("document.querySelectorAll('.node.open').length"), 4);
    let mut run = lab
        .command("run x.toml")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait(
        &mut browser,
        "document.querySelector('.node.live-running')?.textContent.includes('standard')",
    );
    wait(
        &mut browser,
        "document.querySelector('.node.live-done')?.textContent.includes('problems')",
    );
    // What is open stays open, and where the page is scrolled to stays too.
    browser.evaluate("document.querySelector('#sizes').open = true; document.querySelector('#stages').scrollIntoView({ behavior: 'instant' }); window.revision = document.body.dataset.revision; 0");
    let place = browser.evaluate("Math.round(document.querySelector('#stages').getBoundingClientRect().top)");
    let points = "(document.querySelector('.curve polyline')?.getAttribute('points') || '').split(' ').length";
    wait(&mut browser, &format!("{points} > 2"));
    let before = browser.evaluate(points).as_u64().unwrap();
    wait(&mut browser, &format!("{points} > {}", before + 2));
    assert_eq!(browser.evaluate("[...document.querySelectorAll('#live-running li')].length"), 1);
    // The log of the training, which grows.
    browser.evaluate("[...document.querySelectorAll('.node')].find((node) => node.textContent.includes('standard')).dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    let log = "document.querySelector('#panel .log pre').textContent";
    wait(&mut browser, &format!("{log}.includes('/2500 steps')"));
    let length = browser.evaluate(&format!("{log}.length")).as_u64().unwrap();
    wait(&mut browser, &format!("{log}.length > {length}"));
    browser.evaluate("document.getElementById('close').click()");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    wait(
        &mut browser,
        "document.getElementById('live-title').textContent.includes('done after')",
    );
    wait(
        &mut browser,
        "document.body.dataset.revision !== window.revision && document.querySelectorAll('.node.ran').length === 4",
    );
    assert!(
        browser
            .evaluate("document.querySelectorAll('#results td button').length")
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(browser.evaluate("document.querySelector('#sizes').open"), true);
    let after = browser.evaluate("Math.round(document.querySelector('#stages').getBoundingClientRect().top)");
    assert!((place.as_f64().unwrap() - after.as_f64().unwrap()).abs() <= 2.0, "{place} {after}");
    // A reload goes on by the cookie.
    browser.open_address(&format!("http://127.0.0.1:{}/", server.port), 380, 800);
    wait(
        &mut browser,
        "document.getElementById('live-title').textContent.includes('done after')",
    );
    let wide = browser.evaluate("document.documentElement.scrollWidth").as_f64().unwrap();
    assert!(wide <= 380.0, "{wide}");
    assert_eq!(browser.complaints, [Value::Null; 0]);
    // The server goes away.
    server.end();
    wait(&mut browser, "!document.getElementById('live-lost').hidden");
}

/// Waits until an expression holds.
fn wait(browser: &mut Browser, expression: &str) {
    let begun = Instant::now();
    while browser.evaluate(expression) != Value::Bool(true) {
        let shown = "document.getElementById('live')?.textContent";
        assert!(begun.elapsed() < PATIENCE, "{expression}: {}", browser.evaluate(shown));
        std::thread::sleep(Duration::from_millis(50));
    }
}
