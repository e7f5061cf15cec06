//! Downloads from servers that are ill, lie, or end too soon.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::store::Store;

const LINES: &str = "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n{\"prompt\": \"three\"}\n";

/// A server that answers as it is told, given the number of the request and its head; and what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn listen(listener: TcpListener, answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let address = format!("http://{}/a.jsonl", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (mut stream, mut head) = (stream, Vec::new());
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let number = seen.lock().unwrap().len();
                seen.lock().unwrap().push(head.clone());
                // Whoever asked may be gone.
                let _ = stream.write_all(&answer(number, &head));
            }
        });
        Self { address, asked }
    }

    /// How often it was asked.
    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The values of a header, by request.
    fn header(&self, name: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let value = |head: &String| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
            Some(line.to_owned())
        };
        asked.iter().map(|head| value(head).unwrap_or_default()).collect()
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
}

fn whole(headers: &str) -> Vec<u8> {
    reply("200 OK", &format!("content-length: {}\r\n{headers}", LINES.len()), LINES)
}

struct Place {
    _folder: tempfile::TempDir,
    store: Store,
    hub: Hub,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (hub, _folder) = (Hub::default(), folder);
        Self { _folder, store, hub }
    }

    fn supplier(&self, patience: u64) -> Supplier<'_> {
        Supplier {
            store: &self.store,
            hub: &self.hub,
            offline: false,
            patience: Duration::from_secs(patience),
        }
    }

    fn supply(&self, source: &Source, patience: u64) -> Result<SourceContent, SourceError> {
        self.supplier(patience).supply(source, &mut |_| true)
    }

    /// What is downloaded, or the error without the address.
    fn text(&self, source: &Source, patience: u64) -> String {
        let url = source.url.clone().unwrap();
        match self.supply(source, patience) {
            Ok(content) => std::fs::read_to_string(content.place.unwrap()).unwrap(),
            Err(error) => error.to_string().replace(&url, "URL"),
        }
    }
}

fn source(server: &Server) -> Source {
    Source {
        name: "s".to_owned(),
        url: Some(server.address.clone()),
        ..Source::default()
    }
}

fn sha256(text: &str) -> Option<String> {
    use sha2::Digest as _;
    Some(crate::hash::hex(&sha2::Sha256::digest(text)))
}

#[test]
fn what_is_something_else_in_place_of_the_file_is_refused_and_fetched_again() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n";
    for (headers, body, message) in [
        ("", "<html>Please log in</html>", "a web page (Please log in)"),
        ("content-type: text/html\r\n", "Please log in", "a web page (Please log in)"),
        ("", "\n<!DOCTYPE HTML><title>Sign in</title>", "a web page (Sign in)"),
        ("", pointer, "a Git LFS pointer"),
    ] {
        let length = format!("content-length: {}\r\n{headers}", body.len());
        let server = Server::start(move |number, _| if number == 0 { reply("200 OK", &length, body) } else { whole("") });
        let (place, source) = (Place::new(), source(&server));
        assert_eq!(
            place.text(&source, 0),
            format!("source `s`: URL sends {message} in place of the file")
        );
        assert_eq!(place.text(&source, 0), LINES);
        assert_eq!(place.text(&source, 0), LINES);
        assert_eq!(server.count(), 2);
    }
}

#[test]
fn a_page_that_an_older_program_kept_is_fetched_again() {
    let server = Server::start(|_, _| whole(""));
    let (place, source) = (Place::new(), source(&server));
    let folder = place.supplier(0).folder(&source);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(SINGLE_FILE), "<html>Please log in</html>").unwrap();
    assert_eq!(place.text(&source, 0), LINES);
}

#[test]
fn a_page_may_be_what_is_pinned_and_else_it_is_not_the_file() {
    let page = "<html>Please log in</html>";
    let server = Server::start(move |_, _| reply("200 OK", &format!("content-length: {}\r\n", page.len()), page));
    let wanted = Source {
        sha256: sha256(page),
        ..source(&server)
    };
    assert_eq!(Place::new().text(&wanted, 0), page);
    let other = Source {
        sha256: sha256(LINES),
        ..source(&server)
    };
    let place = Place::new();
    for _ in 0..2 {
        let message = "source `s`: URL sends a web page (Please log in) in place of the file";
        assert_eq!(place.text(&other, 0), message, "not: the source has changed");
    }
    assert_eq!(server.count(), 3, "it is fetched again");
}

#[test]
fn a_body_that_ends_early_is_found_out() {
    // Until the connection ends, of a length that was told, or in pieces: cut after the first line, and then whole.
    let first = &LINES[..LINES.find('\n').unwrap() + 1];
    let chunked = |text: &str, end: &str| {
        let body = format!("{:x}\r\n{text}\r\n{end}", text.len());
        reply("200 OK", "transfer-encoding: chunked\r\n", &body)
    };
    let length = format!("content-length: {}\r\n", LINES.len());
    let answers = [
        (reply("200 OK", "", first), reply("200 OK", "", LINES), 3),
        (reply("200 OK", &length, first), whole(""), 2),
        (chunked(first, ""), chunked(LINES, "0\r\n\r\n"), 2),
        (chunked(first, "5\r\n{\"p"), chunked(LINES, "0\r\n\r\n"), 2),
    ];
    for (cut, well, requests) in answers {
        let server = Server::start(move |number, _| if number == 0 { cut.clone() } else { well.clone() });
        assert_eq!(Place::new().text(&source(&server), 20), LINES);
        assert_eq!(server.count(), requests);
    }
}

#[test]
fn the_size_of_a_body_without_a_length_is_told() {
    let server = Server::start(|_, _| reply("200 OK", "", LINES));
    let (place, mut last) = (Place::new(), 0);
    let supplied = place.supplier(20).supply(&source(&server), &mut |progress| {
        last = progress.done;
        true
    });
    assert!(supplied.is_ok());
    assert_eq!(last, LINES.len() as u64);
}

#[test]
fn a_file_of_another_length_each_time_is_given_up() {
    let server = Server::start(|number, _| reply("200 OK", "", &"x\n".repeat(number + 1)));
    assert_eq!(
        Place::new().text(&source(&server), 20),
        "source `s`: URL did not send the file: it says nowhere how long the file is, and sends another one each time"
    );
}

/// A server that sends the first 20 bytes, and answers the request for the rest with `rest`.
fn cut_after_20(rest: impl Fn() -> Vec<u8> + Send + 'static) -> Server {
    Server::start(move |number, head| match number {
        0 => reply(
            "200 OK",
            &format!("content-length: {}\r\netag: \"v1\"\r\n", LINES.len()),
            &LINES[..20],
        ),
        _ if head.contains("range: bytes=20-") => rest(),
        _ => whole("etag: \"v2\"\r\n"),
    })
}

#[test]
fn a_slice_is_never_kept_as_the_whole() {
    let rest = &LINES[20..];
    let range = |start: usize, end: usize| format!("content-range: bytes {start}-{}/{}\r\n", end - 1, LINES.len());
    let right = format!("content-length: {}\r\n{}", rest.len(), range(20, LINES.len()));
    // The status, the headers and the body of the second answer, and how many requests there are in all.
    let answers = [
        ("206 Partial Content", format!("{right}etag: \"v1\"\r\n"), rest, 2),
        // As servers do that know no 206.
        ("200 OK", format!("{right}etag: \"v1\"\r\n"), rest, 2),
        ("206 Partial Content", format!("{right}etag: \"v2\"\r\n"), rest, 3),
        ("206 Partial Content", right.clone(), rest, 3),
        ("206 Partial Content", "etag: \"v1\"\r\n".to_owned(), rest, 3),
        (
            "206 Partial Content",
            format!("{}etag: \"v1\"\r\n", range(30, LINES.len())),
            &LINES[30..],
            3,
        ),
        ("200 OK", format!("{}etag: \"v1\"\r\n", range(30, LINES.len())), &LINES[30..], 3),
        (
            "206 Partial Content",
            format!("{}etag: \"v1\"\r\n", range(20, 30)),
            &LINES[20..30],
            3,
        ),
        ("416 Range Not Satisfiable", String::new(), "", 3),
    ];
    for (status, headers, body, requests) in answers {
        let told = headers.clone();
        let server = cut_after_20(move || reply(status, &headers, body));
        assert_eq!(Place::new().text(&source(&server), 20), LINES, "{status} {told}");
        assert_eq!(server.count(), requests, "{status} {told}");
    }
}

#[test]
fn a_part_that_nobody_asked_for_is_no_file() {
    let range = format!("content-range: bytes 20-{}/{}\r\n", LINES.len() - 1, LINES.len());
    for status in ["200 OK", "206 Partial Content"] {
        let headers = range.clone();
        let server = Server::start(move |_, _| reply(status, &headers, &LINES[20..]));
        let said = Place::new().text(&source(&server), 20);
        assert_eq!(
            said,
            "source `s`: URL did not send the file: it sends a part of the file (bytes 20-55/56), which it was not asked for"
        );
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn what_fails_for_a_moment_is_asked_for_again_and_told() {
    for status in [
        "408 Request Timeout",
        "409 Conflict",
        "425 Too Early",
        "429 Too Many",
        "500 Ouch",
        "503 Loading",
    ] {
        let server = Server::start(move |number, _| if number < 2 { reply(status, "", "") } else { whole("") });
        assert_eq!(Place::new().text(&source(&server), 20), LINES, "{status}");
        assert_eq!(server.count(), 3);
    }
    // Nobody listens yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2500));
        Server::listen(TcpListener::bind(address).unwrap(), |_, _| whole(""))
    });
    let source = Source {
        name: "s".to_owned(),
        url: Some(format!("http://{address}/a.jsonl")),
        ..Source::default()
    };
    let (place, mut told) = (Place::new(), Vec::new());
    let supplied = place.supplier(60).supply(&source, &mut |progress| {
        told.extend(progress.notice.map(str::to_owned));
        true
    });
    assert!(supplied.is_ok());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("waiting for http://127.0.0.1:") && told[0].contains("Connection refused"),
        "{told:?}"
    );
    later.join().unwrap();
}

#[test]
fn the_limit_is_one_of_time() {
    let server = Server::start(|_, _| reply("500 Ouch", "", "{\"error\": {\"message\": \"out of\\u001b[31m memory\"}}"));
    let begun = Instant::now();
    let said = Place::new().text(&source(&server), 2);
    assert!((2..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let (times, rest) = said.split_once(" times in ").unwrap();
    let (_, rest) = rest.split_once(" s, ").unwrap();
    assert_eq!(times, format!("source `s`: URL failed {}", server.count()));
    assert_eq!(
        rest,
        "the last time with: it answers 500 Internal Server Error: out of\\u{1b}[31m memory"
    );
    // What comes again and again to the same place is no progress.
    let server = Server::start(|_, _| reply("200 OK", &format!("content-length: {}\r\n", LINES.len()), &LINES[..20]));
    let begun = Instant::now();
    assert!(Place::new().text(&source(&server), 2).contains(" times in "));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_download_that_is_to_stop_waits_for_no_server() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ill = Server::start(|_, _| reply("503 Loading", "retry-after: 60\r\n", ""));
    // It sends a beginning and is silent then.
    let half = TcpListener::bind("127.0.0.1:0").unwrap();
    let half_address = half.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in half.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.write_all(&reply("200 OK", "content-length: 99\r\n", "{"));
            kept.push(stream);
        }
    });
    for url in [
        format!("http://{}/a", silent.local_addr().unwrap()),
        ill.address.clone(),
        format!("http://{half_address}/a"),
    ] {
        let source = Source {
            url: Some(url),
            ..Source::default()
        };
        let (place, begun) = (Place::new(), Instant::now());
        let ended = place
            .supplier(60)
            .supply(&source, &mut |_| begun.elapsed() < Duration::from_millis(700));
        assert!(matches!(
            ended,
            Err(SourceError::Download {
                error: DownloadError::Stopped,
                ..
            })
        ));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_a_stage_could_not_read_is_asked_for_again_and_not_pinned() {
    let server = Server::start(|number, head| match number {
        0 => whole("etag: \"v1\"\r\n"),
        1 if head.contains("if-none-match: \"v1\"") => reply("304 Not Modified", "etag: \"v1\"\r\n", ""),
        _ => reply("200 OK", "content-length: 5\r\netag: \"v2\"\r\n", "later"),
    });
    let (place, source) = (Place::new(), source(&server));
    let supplier = place.supplier(0);
    let content = place.supply(&source, 0).unwrap();
    assert!(supplier.pin(&source, &content).is_ok());
    assert!(supplier.doubt(&source, &content));
    assert!(matches!(supplier.pin(&source, &content), Err(SourceError::Unread { .. })));
    // The server still has the same, which does not come again; and then something else.
    assert_eq!(place.text(&source, 0), LINES);
    assert!(matches!(supplier.pin(&source, &content), Err(SourceError::Unread { .. })));
    assert_eq!(place.text(&source, 0), "later");
    assert_eq!(server.header("if-none-match"), ["", "\"v1\"", "\"v1\""]);
    let later = place.supply(&source, 0).unwrap();
    assert!(supplier.pin(&source, &later).is_ok());
    assert_eq!(server.count(), 3, "it is no longer doubted");
    supplier.doubt(&source, &later);
    supplier.trust(&source, &later);
    assert_eq!(place.text(&source, 0), "later");
    assert_eq!(server.count(), 3, "a stage has read it");
    // What is pinned, or was not downloaded, is what it should be.
    let pinned = Source {
        sha256: sha256("later"),
        ..source.clone()
    };
    assert!(!supplier.doubt(&pinned, &later));
    let elsewhere = SourceContent {
        place: Some("/elsewhere".into()),
        ..later
    };
    assert!(!supplier.doubt(&source, &elsewhere));
}

#[test]
fn an_address_that_cannot_be_is_not_waited_for() {
    let begun = Instant::now();
    for url in ["http://no-such-name.invalid/a", "https://127.0.0.1:1x/a"] {
        let source = Source {
            url: Some(url.to_owned()),
            ..Source::default()
        };
        assert!(Place::new().text(&source, 600).contains("cannot reach"));
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
}
