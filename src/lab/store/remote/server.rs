//! A small web server for tests: GET with ranges, HEAD and PUT on a map in memory, and faults on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The fault that the server simulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Objects have one byte changed.
    OtherBytes,
    /// Every request is answered with a web page.
    Page,
    Forbidden,
    /// The disk is full.
    Full,
    /// The connection ends in the middle of each part after the second.
    Cut,
}

#[derive(Default)]
struct ServerState {
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    /// `GET /path`, in order.
    asked: Vec<String>,
    parts: usize,
}

/// The server, which runs until the process ends.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    state: Arc<Mutex<ServerState>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cache", listener.local_addr().unwrap());
        let state: Arc<Mutex<ServerState>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { url, state }
    }

    pub fn fault(&self, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.fault = fault;
        state.parts = 0;
    }

    /// The requests since the last call, with paths from the store's `v1` on.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }
}

fn serve(stream: &TcpStream, state: &Mutex<ServerState>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let header = |name: &str| {
            let found = lines
                .iter()
                .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)));
            found.map(|(_, value)| value.to_owned())
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = lines.first()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.trim_start_matches("/cache/").to_owned());
        let range = header("range").and_then(|range| {
            let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()? + 1))
        });
        let mut state = state.lock().unwrap();
        state.asked.push(format!("{method} {path}"));
        let (status, content) = answer(&mut state, &method, &path, body);
        let (status, content, part) = match range.filter(|_| status == "200 OK") {
            Some((from, to)) => {
                let part = format!("content-range: bytes {from}-{}/{}\r\n", to - 1, content.len());
                ("206 Partial Content", content[from..to].to_vec(), part)
            }
            None => (status, content, String::new()),
        };
        state.parts += usize::from(range.is_some());
        let cut = state.fault == Fault::Cut && state.parts > 2;
        drop(state);
        let mut out = stream;
        let length = content.len();
        let modified = "last-modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n";
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{modified}{part}\r\n");
        out.write_all(head.as_bytes()).ok()?;
        if method != "HEAD" {
            let sent = if cut { length / 2 } else { length };
            out.write_all(&content[..sent]).ok()?;
        }
        if cut {
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
    }
}

fn answer(state: &mut ServerState, method: &str, path: &str, body: Vec<u8>) -> (&'static str, Vec<u8>) {
    match (state.fault, method) {
        (Fault::Forbidden, _) => ("403 Forbidden", b"no".to_vec()),
        (Fault::Page, _) => ("200 OK", b"<html>Welcome</html>".to_vec()),
        (Fault::Full, "PUT") => ("507 Insufficient Storage", b"the disk is full".to_vec()),
        (_, "PUT") => {
            state.files.insert(path.to_owned(), body);
            ("201 Created", Vec::new())
        }
        (fault, _) => match state.files.get(path) {
            None => ("404 Not Found", Vec::new()),
            Some(content) => {
                let mut content = content.clone();
                if fault == Fault::OtherBytes && path.contains("/objects/") {
                    content[0] ^= 1;
                }
                ("200 OK", content)
            }
        },
    }
}
