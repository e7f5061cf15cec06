//! A small HTTP server on loopback that answers as a test tells it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By name, in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What is answered.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub cut: Option<usize>,
    /// Between the pieces of the body.
    pub pause: Duration,
}

impl Reply {
    pub fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    /// A file, or the part of it that is asked for.
    pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Self {
        let wanted = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let is_same = request.headers.get("if-range").is_none_or(|known| known == etag);
        let mut reply = match wanted.filter(|_| is_same) {
            Some(start) => {
                let mut reply = Self::of(206, bytes.get(start..).unwrap_or_default());
                reply
                    .headers
                    .push(("content-range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())));
                reply
            }
            None => Self::of(200, bytes),
        };
        reply.headers.push(("etag", etag.to_owned()));
        reply
    }

    pub fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }
}

/// The server; it ends with the process.
pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with `answer`, which is given the request and how many requests came before it.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// As [`Self::start`], at a place of one's own.
    pub fn listen(listener: TcpListener, answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // Whoever asked may be gone.
                    let _ = write(stream, &answer(&request, before), request.method == "HEAD");
                });
            }
        });
        Self { address, asked }
    }

    /// Where nobody listens.
    pub fn absent() -> Self {
        Self {
            address: "http://127.0.0.1:1".to_owned(),
            asked: Arc::default(),
        }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// `GET /a`, `HEAD /b`, …
    pub fn log(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn write(mut stream: TcpStream, reply: &Reply, head: bool) -> std::io::Result<()> {
    let mut text = format!(
        "HTTP/1.1 {} .\r\ncontent-length: {}\r\nconnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if head {
        return Ok(());
    }
    let sent = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    for piece in reply.body[..sent].chunks(reply.body.len().div_ceil(8).max(1)) {
        stream.write_all(piece)?;
        stream.flush()?;
        std::thread::sleep(reply.pause);
    }
    Ok(())
}
