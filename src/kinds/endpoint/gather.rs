//! What arrives from the threads: answers are kept, failures are told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Completion, Refusal, Written, not_reached};
use lab::http::WaitNotice;
use lab::stage::failed;
use lab::stage::{StageContext, StageError};

/// The longest time between two looks at whether the stage is to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long answers that are nearly there are waited for when the stage is to stop.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// A server that forbids more requests than these, and has answered none, does not let the user in.
const MAX_FORBIDDEN: usize = 4;
/// How long the requests in flight are waited for when another one has failed.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// The file in the scratch folder in which answers are kept.
pub(crate) const KEPT: &str = "answers.jsonl";

/// A thread's word about one of its requests.
pub(super) enum News {
    Answered(Completion),
    /// The server does not answer this request.
    Refused {
        at: usize,
        why: String,
    },
    /// The server refuses this request, or the user (403): it is the first if it answers others.
    Forbidden {
        at: usize,
        why: String,
        /// The other.
        error: StageError,
    },
    /// The request failed, and will be sent again after the pause.
    Failing {
        what: String,
        failing: Duration,
        pause: Duration,
    },
    /// The request failed for too long.
    GivenUp {
        failing: Duration,
        why: String,
    },
    /// No request can succeed.
    Failed(StageError),
}

/// The answers so far.
pub(super) struct Gathered<'a> {
    context: &'a StageContext<'a>,
    written: BTreeMap<usize, Written>,
    requests: usize,
    /// Where answers are kept.
    file: File,
    notice: WaitNotice,
    last_answer: Option<Instant>,
    /// Whether the server has answered a request, now or in an earlier attempt.
    is_let_in: bool,
    /// Requests that were forbidden before one was answered.
    forbidden: Vec<(usize, String, StageError)>,
    /// Why requests were given up.
    given_up: Vec<String>,
    /// Whether nothing was answered since the last of them: the server may answer none.
    is_suspected: bool,
}

impl<'a> Gathered<'a> {
    /// The answers that an earlier attempt of the stage has kept. Incomplete lines are ignored.
    pub(super) fn resume(context: &'a StageContext<'a>, requests: usize) -> Result<Self, StageError> {
        let (written, file) = resume(&context.scratch.join(KEPT), requests)?;
        Ok(Self {
            context,
            is_let_in: !written.is_empty(),
            forbidden: Vec::new(),
            written,
            requests,
            file,
            notice: WaitNotice::default(),
            last_answer: None,
            given_up: Vec::new(),
            is_suspected: false,
        })
    }

    /// The numbers of the requests that have no answer.
    pub(super) fn open(&self) -> Vec<usize> {
        (0..self.requests).filter(|at| !self.written.contains_key(at)).collect()
    }

    /// What was written for each request.
    pub(super) fn finish(self) -> Vec<Written> {
        self.written.into_values().collect()
    }

    /// Receives news until all threads have ended, one fails for all, or the stage is to stop.
    pub(super) fn receive(&mut self, arriving: &Receiver<News>) -> Result<(), StageError> {
        loop {
            if (self.context.stop)() {
                return Err(StageError::Stopped);
            }
            match arriving.recv_timeout(POLL_INTERVAL) {
                Ok(news) => self.take(news)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.check_end(),
            }
        }
    }

    /// Keeps the answers that arrive after the stage has `ended`, so that they are not asked for again: all that are there, and those in
    /// flight unless the stage is to stop.
    pub(super) fn receive_last(&mut self, arriving: &Receiver<News>, ended: &Result<(), StageError>) -> Result<(), StageError> {
        let begun = Instant::now();
        loop {
            let is_stopped = matches!(ended, Err(StageError::Stopped)) || (self.context.stop)();
            let patience = if is_stopped { LAST_MOMENT } else { LAST_ANSWERS };
            let left = patience.saturating_sub(begun.elapsed());
            match arriving.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(News::Answered(completion)) => self.keep(completion)?,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if left > Duration::ZERO => {}
                Err(_) => return Ok(()),
            }
        }
    }

    fn take(&mut self, news: News) -> Result<(), StageError> {
        match news {
            News::Answered(completion) => {
                self.last_answer = Some(Instant::now());
                self.is_suspected = false;
                self.is_let_in = true;
                self.keep(completion)?;
                self.tell();
                for (at, why, _) in std::mem::take(&mut self.forbidden) {
                    self.refuse(at, why);
                }
            }
            News::Refused { at, why } => self.refuse(at, why),
            News::Forbidden { at, why, .. } if self.is_let_in => self.refuse(at, why),
            News::Forbidden { error, .. } if self.forbidden.len() >= MAX_FORBIDDEN => return Err(error),
            News::Forbidden { at, why, error } => self.forbidden.push((at, why, error)),
            News::Failing { what, failing, pause } => {
                let words = self.notice.words(&what, failing, pause);
                words.into_iter().for_each(|words| (self.context.warn)(&words));
            }
            News::GivenUp { failing, why } => {
                // Where others are answered, it is this request that the server cannot answer, and the rest are tried; else it answers none.
                let is_well = self.last_answer.is_some_and(|last| last.elapsed() < failing);
                self.given_up.push(why);
                if self.is_suspected && !is_well {
                    return self.check_given_up();
                }
                self.is_suspected = !is_well;
            }
            News::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Fails if a request has no answer, and is not refused.
    fn check_end(&mut self) -> Result<(), StageError> {
        match self.forbidden.pop() {
            Some((.., error)) => Err(error),
            None => self.check_given_up(),
        }
    }

    /// Fails if a request was given up: that is no refusal, and may be otherwise the next time.
    fn check_given_up(&self) -> Result<(), StageError> {
        match self.given_up.as_slice() {
            [] => Ok(()),
            [why] => Err(not_reached(why)),
            [why, others @ ..] => Err(not_reached(format!("{why}; so did {} more", others.len()))),
        }
    }

    fn refuse(&mut self, at: usize, why: String) {
        self.written.insert(at, Err(Refusal(why)));
        self.tell();
    }

    fn keep(&mut self, completion: Completion) -> Result<(), StageError> {
        let mut line = serde_json::to_vec(&completion).map_err(failed)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.written.insert(completion.at, Ok(completion));
        Ok(())
    }

    fn tell(&self) {
        self.context.tell(self.written.len() as u64, self.requests as u64, "requests", []);
    }
}

/// The completions in the file, and the file to append to.
fn resume(path: &Path, requests: usize) -> Result<(BTreeMap<usize, Written>, File), StageError> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Completion>(line).ok());
    let written = lines
        .filter(|completion| completion.at < requests)
        .map(|completion| (completion.at, Ok(completion)))
        .collect();
    let open = File::options().create(true).append(true).open(path);
    let mut file = open.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        file.write_all(b"\n").map_err(failed)?;
    }
    Ok((written, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_and_a_line_that_was_cut_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let kept = b"{\"at\":1,\"text\":\"a\",\"tokens\":2}\n{\"at\":9,\"text\":\"b\",\"tokens\":2}\n\xff\n{\"at\":0,\"te";
        std::fs::write(&path, kept).unwrap();
        let (written, mut file) = resume(&path, 3).unwrap();
        assert_eq!(written.keys().copied().collect::<Vec<_>>(), [1]);
        file.write_all(b"{\"at\":0,\"text\":\"c\",\"tokens\":2}\n").unwrap();
        assert_eq!(resume(&path, 3).unwrap().0.keys().copied().collect::<Vec<_>>(), [0, 1]);
    }
}
