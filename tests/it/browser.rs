//! A headless Chromium that a test drives, through the DevTools protocol on a pipe: no port, no driver program.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync \
                     --no-first-run --remote-debugging-pipe";

/// A browser with one page.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    count: u64,
    session: Option<String>,
    /// What the console, the log and uncaught errors said.
    pub complaints: Vec<Value>,
    /// The profile; removed when dropped.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser with an empty profile; nothing where no Chromium is installed.
    pub fn start() -> Option<Self> {
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        })?;
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from descriptor 3 and writes answers to 4.
        let script = format!("exec {found} {FLAGS} --user-data-dir=\"$0\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null");
        let mut process = Command::new("sh")
            .args(["-c", &script])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, answers) = channel();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                let sent = serde_json::from_slice(&message).map(|message| send.send(message));
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            commands: process.stdin.take().unwrap(),
            process,
            answers,
            count: 0,
            session: None,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, &json!({}));
        }
        Some(browser)
    }

    /// Opens a file on a screen of this size, and waits until it is loaded.
    pub fn open(&mut self, file: &Path, width: u32, height: u32) {
        self.open_address(&format!("file://{}", file.display()), width, height);
    }

    /// Opens an address on a screen of this size, and waits until it is loaded.
    pub fn open_address(&mut self, address: &str, width: u32, height: u32) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        self.call("Page.navigate", &json!({"url": address}));
        self.evaluate("new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))");
    }

    /// The value of a JavaScript expression, waited for if it is a promise.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Pretends that the reader likes dark or light pages.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.count += 1;
        let mut message = json!({"id": self.count, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self
                .answers
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == self.count {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            if ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"].contains(&answer["method"].as_str().unwrap_or(""))
            {
                self.complaints.push(answer["params"].clone());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own children end when it does.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
