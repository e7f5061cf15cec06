//! What has changed, as server-sent events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::board::{Board, BoardCurve, CurvePoints};

/// A stream on which nothing happens is written to after this time, so that a client that is gone is found out.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// A frame of a stream.
pub(super) type StreamFrame = Result<Frame<Bytes>, Infallible>;

/// An event with this JSON, which has no line feeds, as its data.
pub(super) fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The events for one client. Each is made when the client has taken the one before, of what is the case then: however slow it is, nothing
/// is kept for it.
pub(super) fn events(boards: Receiver<Option<Board>>) -> impl Stream<Item = StreamFrame> + Send {
    let client = Client {
        boards,
        told: Told::default(),
    };
    unfold(client, |mut client| async move {
        let text = client.next().await?;
        Some((Ok(Frame::data(Bytes::from(text))), client))
    })
}

struct Client {
    boards: Receiver<Option<Board>>,
    told: Told,
}

impl Client {
    /// `None` when the server ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            let board = self.boards.borrow_and_update().clone();
            let text = board.map_or_else(String::new, |board| self.told.news(&board));
            if !text.is_empty() {
                return Some(text);
            }
            match timeout(HEARTBEAT, self.boards.changed()).await {
                Ok(changed) => changed.ok()?,
                Err(_) => return Some(":\n\n".to_owned()),
            }
        }
    }
}

/// What a client knows.
#[derive(Default)]
struct Told {
    status: Option<Arc<str>>,
    curves: BTreeMap<String, (bool, CurvePoints)>,
}

impl Told {
    /// The events about what the client does not know.
    fn news(&mut self, board: &Board) -> String {
        let mut text = String::new();
        if self.status.as_ref() != Some(&board.status) {
            if self.status.is_none() {
                text += "retry: 1000\n\n";
            }
            text += &event("status", &board.status);
            self.status = Some(Arc::clone(&board.status));
        }
        let known = |curve: &BoardCurve| {
            self.curves
                .get(&curve.name)
                .is_some_and(|(runs, points)| *runs == curve.runs && *points == curve.points)
        };
        if board.curves.len() != self.curves.len() || !board.curves.iter().all(known) {
            let curves: Vec<Value> = board.curves.iter().map(|curve| self.curve(curve)).collect();
            text += &event("curves", &Value::from(curves).to_string());
            let told = board
                .curves
                .iter()
                .map(|curve| (curve.name.clone(), (curve.runs, Arc::clone(&curve.points))));
            self.curves = told.collect();
        }
        text
    }

    /// A curve from the first point on that the client does not have.
    fn curve(&self, curve: &BoardCurve) -> Value {
        let before = self.curves.get(&curve.name).map_or(&[][..], |(_, points)| points);
        let from = before.iter().zip(curve.points.iter()).take_while(|(a, b)| a == b).count();
        let points = curve.points.get(from..).unwrap_or_default();
        json!({"name": curve.name, "runs": curve.runs, "total": curve.total, "from": from, "points": points})
    }
}
