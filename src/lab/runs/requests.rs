//! What is asked of a run, and its answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::find::find_one;
use crate::store::{ReceivedRequest, Store, StoreError};

/// A run looks for requests no more often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often is looked whether a run has answered.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// Something that is asked of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum RunRequest {
    /// To end as Ctrl-C ends it; when it is ending already, as the second Ctrl-C does.
    Stop,
    /// To end as the second Ctrl-C ends it.
    Kill,
    /// To end one stage.
    Cancel(Cancel),
}

/// The request to end one stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cancel {
    /// The stage, as on the command line: `standard[2]`.
    pub stage: String,
    /// The variant: axis and value.
    pub variants: Vec<(String, String)>,
    /// Whether it is killed, and not asked to end.
    pub now: bool,
}

/// What a run answers, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, or begun.
    Done(String),
    /// There is nothing that it could be done to.
    Nothing(String),
}

/// The requests that a run gets. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct RunRequests(Option<Rc<RefCell<Inbox>>>);

#[derive(Debug)]
struct Inbox {
    store: Store,
    run: String,
    looked: Instant,
    cancels: Vec<(Cancel, ReceivedRequest)>,
}

impl RunRequests {
    /// Those of the run `run`. The default gets none.
    pub fn new(store: Store, run: String) -> Self {
        Self(Some(Rc::new(RefCell::new(Inbox {
            store,
            run,
            looked: Instant::now(),
            cancels: Vec::new(),
        }))))
    }

    /// Looks for requests, if it is time. Those to stop are added to `interrupts`, as Ctrl-C is.
    pub fn look(&self, interrupts: &AtomicUsize) {
        let Some(inbox) = &self.0 else { return };
        let mut inbox = inbox.borrow_mut();
        if inbox.looked.elapsed() < LOOK_INTERVAL {
            return;
        }
        inbox.looked = Instant::now();
        for received in inbox.store.requests(&inbox.run) {
            match serde_json::from_slice(&received.bytes) {
                Ok(RunRequest::Cancel(cancel)) => inbox.cancels.push((cancel, received)),
                Ok(RunRequest::Stop) => stop(received, interrupts, interrupts.load(Ordering::Relaxed) + 1),
                Ok(RunRequest::Kill) => stop(received, interrupts, 2),
                Err(_) => answer(received, &Answer::Nothing("this runner does not know the request".to_owned())),
            }
        }
    }

    /// Answers the requests to end a stage with what `cancel` does.
    pub fn cancels(&self, mut cancel: impl FnMut(&Cancel) -> Answer) {
        let Some(inbox) = &self.0 else { return };
        let received = std::mem::take(&mut inbox.borrow_mut().cancels);
        for (asked, received) in received {
            answer(received, &cancel(&asked));
        }
    }
}

/// Counts a request to stop; never as the third Ctrl-C, which ends the runner itself.
fn stop(received: ReceivedRequest, interrupts: &AtomicUsize, count: usize) {
    let before = interrupts.fetch_max(count.min(2), Ordering::Relaxed);
    let said = match (before, count) {
        (0, 1) => "it has asked its running stages to stop",
        (..=1, _) => "it has killed its running stages",
        _ => "it was ending already",
    };
    answer(received, &Answer::Done(said.to_owned()));
}

fn answer(received: ReceivedRequest, answer: &Answer) {
    received.answer(&serde_json::to_vec(answer).unwrap_or_default());
}

/// Asks something of a run, and waits for its answer; `None` if the run does not answer `within` this time, or no longer lives.
///
/// # Errors
/// When the request cannot be written.
pub fn ask(store: &Store, run: &str, request: &RunRequest, within: Duration) -> Result<Option<Answer>, StoreError> {
    let begun = Instant::now();
    let sent = store.send_request(run, &serde_json::to_vec(request).unwrap_or_default())?;
    let mut looked = begun;
    while begun.elapsed() < within {
        std::thread::sleep(ANSWER_INTERVAL);
        if let Some(answer) = sent.answer() {
            return Ok(serde_json::from_slice(&answer).ok());
        }
        if looked.elapsed() >= LOOK_INTERVAL {
            looked = Instant::now();
            if !find_one(store, run).is_some_and(|found| found.is_alive()) {
                // It may have answered with its last breath.
                return Ok(sent.answer().and_then(|answer| serde_json::from_slice(&answer).ok()));
            }
        }
    }
    Ok(None)
}

impl Cancel {
    /// `standard[2] (seed=1)`.
    pub fn name(&self) -> String {
        let variant: BTreeMap<String, String> = self.variants.iter().cloned().collect();
        crate::event::StageName {
            name: self.stage.clone(),
            variant,
        }
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::RunStatus;
    use crate::store::RunHolder;

    const SHORT: Duration = Duration::from_millis(200);

    fn store_with_run(holder: RunHolder) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let status = RunStatus {
            run: "r".to_owned(),
            holder,
            ..RunStatus::default()
        };
        store.run_file("r").unwrap().write(&serde_json::to_vec(&status).unwrap()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_run_that_does_not_answer_is_not_waited_for_and_nothing_is_left() {
        let (_folder, store) = store_with_run(RunHolder::this_process());
        assert_eq!(ask(&store, "r", &RunRequest::Stop, SHORT).unwrap(), None);
        assert!(store.requests("r").is_empty());
    }

    #[test]
    fn requests_to_stop_count_like_ctrl_c_but_never_as_the_third() {
        let (_folder, store) = store_with_run(RunHolder::this_process());
        let requests = RunRequests::new(store.clone(), "r".to_owned());
        let interrupts = AtomicUsize::new(0);
        let mut answers = Vec::new();
        for _ in 0..3 {
            let sent = store.send_request("r", &serde_json::to_vec(&RunRequest::Stop).unwrap()).unwrap();
            requests.look(&interrupts);
            assert_eq!(sent.answer(), None, "it looks once a second");
            requests.0.as_ref().unwrap().borrow_mut().looked -= LOOK_INTERVAL;
            requests.look(&interrupts);
            answers.push((sent.answer().unwrap(), interrupts.load(Ordering::Relaxed)));
        }
        let said = |text: &str| serde_json::to_vec(&Answer::Done(text.to_owned())).unwrap();
        let expected = [
            ("it has asked its running stages to stop", 1),
            ("it has killed its running stages", 2),
            ("it was ending already", 2),
        ];
        assert_eq!(answers, expected.map(|(text, count)| (said(text), count)));
    }

    #[test]
    fn stages_are_cancelled_by_who_can_and_nonsense_is_answered() {
        let (_folder, store) = store_with_run(RunHolder::this_process());
        let requests = RunRequests::new(store.clone(), "r".to_owned());
        requests.0.as_ref().unwrap().borrow_mut().looked -= LOOK_INTERVAL;
        let cancel = Cancel {
            stage: "fit".to_owned(),
            variants: vec![("seed".to_owned(), "1".to_owned())],
            now: false,
        };
        let asked = store
            .send_request("r", &serde_json::to_vec(&RunRequest::Cancel(cancel.clone())).unwrap())
            .unwrap();
        let nonsense = store.send_request("r", b"{").unwrap();
        requests.look(&AtomicUsize::new(0));
        assert!(nonsense.answer().is_some() && asked.answer().is_none());
        requests.cancels(|found| {
            assert_eq!((found, found.name().as_str()), (&cancel, "fit (seed=1)"));
            Answer::Nothing("no".to_owned())
        });
        let answer: Answer = serde_json::from_slice(&asked.answer().unwrap()).unwrap();
        assert_eq!(answer, Answer::Nothing("no".to_owned()));
    }
}
