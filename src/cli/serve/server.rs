//! HTTP: connections, routes, and what each is answered. No path of a request leads to a file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::board::Board;
use super::events::{StreamFrame, events};
use super::patience::PatientStream;
use super::tail::tail;
use lab::event::StageName;

/// The most connections at once; further ones are closed at once.
const MAX_CONNECTIONS: usize = 64;

/// The time for the head of a request, and the time for which a client may take nothing of what it gets.
const PATIENCE: Duration = Duration::from_secs(10);

/// The greatest head of a request, in bytes and in fields.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

/// The longest that the page may take to be made.
const MAX_WAIT: Duration = Duration::from_secs(60);

const NO_TOKEN: &str = "This page opens at the address that `runner serve` has printed, with its token.\n";
const WRONG_HOST: &str = "This server answers at 127.0.0.1, localhost and [::1] alone.\n";

/// What all connections share.
pub(super) struct Site {
    access: Access,
    boards: watch::Sender<Option<Board>>,
    /// Whether somebody has opened the page since.
    is_opened: AtomicBool,
    /// The thread that looks.
    watcher: Thread,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Site {
    /// Looked after by this thread.
    pub(super) fn new(access: Access) -> Self {
        Self {
            access,
            boards: watch::Sender::new(None),
            is_opened: AtomicBool::new(false),
            watcher: std::thread::current(),
        }
    }

    /// Whether anybody waits for news.
    pub(super) fn is_looked_at(&self) -> bool {
        self.boards.receiver_count() > 0
    }

    /// Whether somebody has opened the page since the last call.
    pub(super) fn takes_page_request(&self) -> bool {
        self.is_opened.swap(false, Ordering::Relaxed)
    }

    /// Shows this to all who look.
    pub(super) fn show(&self, board: Board) {
        self.boards.send_replace(Some(board));
    }

    fn subscribe(&self) -> watch::Receiver<Option<Board>> {
        let boards = self.boards.subscribe();
        self.watcher.unpark();
        boards
    }

    /// How everything is from now on.
    async fn board(&self) -> Option<Board> {
        let asked = Instant::now();
        self.is_opened.store(true, Ordering::Relaxed);
        let mut boards = self.subscribe();
        let is_new = |board: &Option<Board>| board.as_ref().is_some_and(|board| board.time >= asked);
        timeout(MAX_WAIT, boards.wait_for(is_new)).await.ok()?.ok()?.clone()
    }
}

/// Answers on a thread of its own, until the process ends.
///
/// # Errors
/// When the port cannot be listened on.
pub(super) fn start(listener: TcpListener, site: Arc<Site>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let serve = move || runtime.block_on(accept(listener, site));
    std::thread::Builder::new().name("server".to_owned()).spawn(serve)?;
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Perhaps too many files are open.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let site = Arc::clone(&site);
        let answer = service_fn(move |request| {
            let site = Arc::clone(&site);
            async move { Ok::<_, Infallible>(answer(&site, &request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_FIELDS)
            .serve_connection(TokioIo::new(PatientStream::new(stream, PATIENCE)), answer);
        tokio::spawn(async move {
            // However it ends, it is over.
            let _ = connection.await;
            drop(place);
        });
    }
}

async fn answer(site: &Site, request: &Request<Incoming>) -> Response<Body> {
    let mut response = match refused(&site.access, request) {
        Some(refused) => refused,
        None => routed(site, request).await,
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if request.method() == Method::HEAD {
        *response.body_mut() = Empty::new().boxed_unsync();
    }
    response
}

/// The answer to a request that may not look, or that lets its client in.
fn refused(access: &Access, request: &Request<Incoming>) -> Option<Response<Body>> {
    if !is_for_this_machine(access, request) {
        return Some(plain(StatusCode::FORBIDDEN, WRONG_HOST));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "This server only shows: GET and HEAD.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    match access.is_token_of(request.uri().query().unwrap_or_default()) {
        Some(true) => return Some(let_in(access)),
        Some(false) => return Some(plain(StatusCode::FORBIDDEN, NO_TOKEN)),
        None => {}
    }
    let is_known = texts(request.headers(), &header::COOKIE).any(|cookie| access.is_cookie_of(cookie));
    (!is_known).then(|| plain(StatusCode::FORBIDDEN, NO_TOKEN))
}

fn is_for_this_machine(access: &Access, request: &Request<Incoming>) -> bool {
    let hosts: Vec<&HeaderValue> = request.headers().get_all(header::HOST).iter().collect();
    let is_host = |host: &HeaderValue| host.to_str().is_ok_and(|host| access.is_host(host));
    let in_address = request.uri().authority().is_none_or(|authority| access.is_host(authority.as_str()));
    in_address && matches!(hosts.as_slice(), [host] if is_host(host))
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// Sets the cookie, and leads to the address without the token.
fn let_in(access: &Access) -> Response<Body> {
    let mut response = plain(StatusCode::SEE_OTHER, "");
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    headers.extend(
        HeaderValue::try_from(access.cookie())
            .ok()
            .map(|cookie| (header::SET_COOKIE, cookie)),
    );
    response
}

async fn routed(site: &Site, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/" => match site.board().await {
            Some(board) => page(&board),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "The page takes too long to be made.\n"),
        },
        "/events" => stream(events(site.subscribe())),
        "/log" => log(site, request.uri().query().unwrap_or_default()).await,
        _ => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

fn page(board: &Board) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(board.page.html.clone())).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = HeaderValue::try_from(format!("{}; frame-ancestors 'none'", board.page.policy));
    headers.extend(policy.ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
    response
}

async fn log(site: &Site, query: &str) -> Response<Body> {
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.get(name).map(String::as_str);
    let variant = field("variant").map_or_else(|| Ok(BTreeMap::new()), serde_json::from_str);
    let (Some(name), Ok(variant)) = (field("stage"), variant) else {
        return plain(StatusCode::BAD_REQUEST, "A log is asked for by `stage` and `variant`.\n");
    };
    let stage = StageName {
        name: name.to_owned(),
        variant,
    };
    let logs = site.board().await.map(|board| board.logs);
    match logs.and_then(|logs| tail(&logs, stage)) {
        Some(tail) => stream(tail),
        None => plain(StatusCode::NOT_FOUND, "The experiment has no such stage.\n"),
    }
}

fn stream(frames: impl Stream<Item = StreamFrame> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
