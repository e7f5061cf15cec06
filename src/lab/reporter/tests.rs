//! The events of one run, sent to each reporter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use indicatif::{InMemoryTerm, TermLike};

use super::clock::FakeClock;
use super::{CommandHints, JsonReporter, LiveArea, PlainReporter, TerminalReporter};
use crate::event::{Event, FailureCause, Progress, Queue, Reporter, StageName};
use crate::hash::Digest;
use crate::text::Paint;

/// The commands of a made-up command line.
pub(super) struct FakeHints;

impl CommandHints for FakeHints {
    fn run_alone(&self, stage: &StageName) -> String {
        format!("runner run experiments/addition.toml --only '{}'", stage.name)
    }

    fn finish_uploads(&self) -> String {
        "runner cache push x.toml".to_owned()
    }
}

fn hints() -> Rc<dyn CommandHints> {
    Rc::new(FakeHints)
}

fn stage(name: &str, seed: Option<u32>) -> StageName {
    StageName {
        name: name.into(),
        variant: seed.map(|seed| ("seed".into(), seed.to_string())).into_iter().collect(),
    }
}

fn key() -> Digest {
    Digest::of(b"key")
}

fn cached(name: &str) -> Event {
    Event::Cached {
        stage: stage(name, None),
        key: key(),
    }
}

fn started(stage: StageName) -> Event {
    Event::Started {
        stage,
        key: key(),
        kind: "train".into(),
        reason: "never run".into(),
        log: PathBuf::from("log"),
    }
}

fn progressed(stage: StageName, done: u64) -> Event {
    let readings = BTreeMap::from([("loss".into(), 0.031_24), ("tokens_per_second".into(), 51_234.0)]);
    Event::Progressed {
        stage,
        progress: Progress {
            done,
            total: 4000,
            unit: "steps".into(),
            readings,
        },
    }
}

fn waiting(name: &str) -> Event {
    Event::Waiting {
        stage: stage(name, None),
        key: key(),
        holder: "lab7 (process 4711)".into(),
    }
}

/// The events of the run, each with the seconds since the event before.
fn events() -> Vec<(f64, Event)> {
    vec![
        (
            0.0,
            Event::RunStarted {
                run: "r".into(),
                experiment: "addition".into(),
                stages: 9,
                jobs: 2,
                threads: 2,
            },
        ),
        (0.0, cached("problems")),
        (0.0, cached("mixed[0]")),
        (0.0, started(stage("numbered[0]", Some(1)))),
        (0.0, waiting("numbered[1]")),
        (0.0, waiting("numbered[1]")),
        (1.0, progressed(stage("numbered[0]", Some(1)), 100)),
        (10.0, progressed(stage("numbered[0]", Some(1)), 1100)),
        (20.0, Event::Interrupted),
        (2.0, cached("numbered[1]")),
        (
            1.5,
            Event::Finished {
                stage: stage("numbered[0]", Some(1)),
                key: key(),
                seconds: 34.5,
                outputs: BTreeMap::from([("model".into(), Digest::of(b"model"))]),
            },
        ),
        (
            0.5,
            Event::Failed {
                stage: stage("standard[0]", None),
                key: key(),
                seconds: 0.5,
                cause: FailureCause::Failed,
                error: "the loss is not finite at step 7\nlower `learning_rate`".into(),
                log: PathBuf::from("cache/v1/runs/r/standard[0].log"),
                log_tail: vec!["reading data".into(), "\x1b[31mstep 7: loss NaN\x1b[0m".into()],
            },
        ),
        (0.0, skipped("score[0]")),
        (0.0, skipped("score[1]")),
        (
            0.0,
            Event::Summary {
                stages: 9,
                cached: 3,
                ran: 1,
                failed: 1,
                skipped: 2,
                cancelled: 0,
                seconds: 35.0,
                interrupted: true,
                causes: BTreeMap::new(),
            },
        ),
    ]
}

fn skipped(name: &str) -> Event {
    Event::Skipped {
        stage: stage(name, None),
        because: "standard[0] failed".into(),
    }
}

/// Sends the run to `reporter`, ticking five times a second; calls `seen` after each event.
fn send(reporter: &mut dyn Reporter, clock: &FakeClock, mut seen: impl FnMut(&Event)) {
    for (pause, event) in events() {
        for _ in 0..(pause * 5.0) as u32 {
            clock.advance(0.2);
            reporter.tick();
        }
        clock.advance(pause - f64::from((pause * 5.0) as u32) * 0.2);
        reporter.event(&event);
        seen(&event);
    }
}

#[test]
fn plain() {
    let (clock, mut out) = (FakeClock::default(), Vec::new());
    send(&mut PlainReporter::new(&mut out, clock.clone(), hints()), &clock, |_| {});
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    addition: 9 stages, 2 at once, 2 threads
    cached problems, mixed[0]
    started numbered[0] (seed=1): never run
    waiting for numbered[1], which lab7 (process 4711) is computing
    running numbered[0] (seed=1): 1100/4000 steps, 30.0s, 10.0s left, loss 0.0312, 51.2k tokens/s
    waiting for numbered[1], which lab7 (process 4711) is computing: 30.0s
    interrupted: the running stages are asked to stop; Ctrl-C again kills them
    cached numbered[1], which lab7 (process 4711) computed
    finished numbered[0] (seed=1) in 34.5s
    standard[0] failed after 0.5s: the loss is not finite at step 7
        lower `learning_rate`
      | reading data
      | step 7: loss NaN
      log: cache/v1/runs/r/standard[0].log
      run it alone: runner run experiments/addition.toml --only 'standard[0]'
    not tried score[0], score[1]: standard[0] failed
    9 stages: 3 cached, 1 ran in 35.0s, 1 failed, 2 not tried, interrupted (the same command goes on from here)
    ");
}

#[test]
fn plain_gathers_many_cached_stages_into_one_line() {
    let (clock, mut out) = (FakeClock::default(), Vec::new());
    let mut reporter = PlainReporter::new(&mut out, clock, hints());
    (0..10_000).for_each(|k| reporter.event(&cached(&format!("mixed[{k}]"))));
    reporter.event(&started(stage("last", None)));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "cached 10000 stages, among them mixed[0], mixed[1], mixed[2]\nstarted last: never run\n"
    );
}

#[test]
fn json() {
    let (clock, mut out) = (FakeClock::default(), Vec::new());
    send(&mut JsonReporter::new(&mut out, clock.clone(), hints()), &clock, |_| {});
    let lines = String::from_utf8(out)
        .unwrap()
        .replace(&key().to_string(), "KEY")
        .replace(&Digest::of(b"model").to_string(), "MODEL");
    insta::assert_snapshot!(lines, @r#"
    {"event":"run_started","run":"r","experiment":"addition","stages":9,"jobs":2,"threads":2,"time":0.0}
    {"event":"cached","stage":"problems","variant":{},"key":"KEY","time":0.0}
    {"event":"cached","stage":"mixed[0]","variant":{},"key":"KEY","time":0.0}
    {"event":"started","stage":"numbered[0]","variant":{"seed":"1"},"key":"KEY","kind":"train","reason":"never run","log":"log","time":0.0}
    {"event":"waiting","stage":"numbered[1]","variant":{},"key":"KEY","holder":"lab7 (process 4711)","time":0.0}
    {"event":"waiting","stage":"numbered[1]","variant":{},"key":"KEY","holder":"lab7 (process 4711)","time":0.0}
    {"event":"progressed","stage":"numbered[0]","variant":{"seed":"1"},"progress":{"done":100,"total":4000,"unit":"steps","readings":{"loss":0.03124,"tokens_per_second":51234.0}},"time":1.0}
    {"event":"progressed","stage":"numbered[0]","variant":{"seed":"1"},"progress":{"done":1100,"total":4000,"unit":"steps","readings":{"loss":0.03124,"tokens_per_second":51234.0}},"time":11.0}
    {"event":"interrupted","time":31.0}
    {"event":"cached","stage":"numbered[1]","variant":{},"key":"KEY","time":33.0}
    {"event":"finished","stage":"numbered[0]","variant":{"seed":"1"},"key":"KEY","seconds":34.5,"outputs":{"model":"MODEL"},"time":34.5}
    {"event":"failed","stage":"standard[0]","variant":{},"key":"KEY","seconds":0.5,"cause":"failed","error":"the loss is not finite at step 7\nlower `learning_rate`","log":"cache/v1/runs/r/standard[0].log","log_tail":["reading data","\u001b[31mstep 7: loss NaN\u001b[0m"],"rerun":"runner run experiments/addition.toml --only 'standard[0]'","time":35.0}
    {"event":"skipped","stage":"score[0]","variant":{},"because":"standard[0] failed","time":35.0}
    {"event":"skipped","stage":"score[1]","variant":{},"because":"standard[0] failed","time":35.0}
    {"event":"summary","stages":9,"cached":3,"ran":1,"failed":1,"skipped":2,"cancelled":0,"seconds":35.0,"interrupted":true,"time":35.0}
    "#);
}

#[test]
fn the_other_end_may_close() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let clock = FakeClock::default();
    send(&mut JsonReporter::new(Closed, clock.clone(), hints()), &clock, |_| {});
    send(&mut PlainReporter::new(Closed, clock.clone(), hints()), &clock, |_| {});
}

/// A screen that is written to. Its driver adds the carriage returns.
struct Screen(InMemoryTerm);

impl std::io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_str(&std::str::from_utf8(bytes).unwrap().replace('\n', "\r\n"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A reporter on a screen of 30 rows and 110, 80 or 40 columns.
fn on_screen(columns: u16, paint: Paint) -> (TerminalReporter<Screen, FakeClock>, FakeClock, InMemoryTerm) {
    let (clock, screen) = (FakeClock::default(), InMemoryTerm::new(30, columns));
    let size = match columns {
        40 => || (40, 30),
        80 => || (80, 30),
        _ => || (110, 30),
    };
    let area = LiveArea::new(Screen(screen.clone()), paint, size);
    (TerminalReporter::on(area, paint, clock.clone(), hints()), clock, screen)
}

#[test]
fn terminal() {
    let (mut reporter, clock, screen) = on_screen(110, Paint::default());
    let mut while_running = String::new();
    send(&mut reporter, &clock, |event| {
        if matches!(event, Event::Interrupted) {
            while_running = screen.contents();
        }
    });
    insta::assert_snapshot!(while_running, @r"
    addition: 9 stages, 2 at once, 2 threads
    interrupted: the running stages are asked to stop; Ctrl-C again kills them
    ⠴ ━━━───────── numbered[0] (seed=1)  27 %  9.0s left  1100/4000 steps, 31.0s, loss 0.0312, 51.2k tokens/s
    ⠴ ──────────── numbered[1]  31.0s  waits for lab7 (process 4711)
      2 of 9 stages, 1 running, 1 waiting, 31.0s
    ");
    insta::assert_snapshot!(screen.contents(), @r"
    addition: 9 stages, 2 at once, 2 threads
    interrupted: the running stages are asked to stop; Ctrl-C again kills them
    ✓ numbered[1]  computed by lab7 (process 4711)
    ✓ numbered[0] (seed=1)  34.5s
    ✗ standard[0] failed after 0.5s: the loss is not finite at step 7
        lower `learning_rate`
      | reading data
      | step 7: loss NaN
      log: cache/v1/runs/r/standard[0].log
      run it alone: runner run experiments/addition.toml --only 'standard[0]'
    – not tried score[0], score[1]: standard[0] failed
    9 stages: 3 cached, 1 ran in 35.0s, 1 failed, 2 not tried, interrupted (the same command goes on from here)
    ");
}

#[test]
fn many_waiting_stages_do_not_fill_the_screen() {
    let (mut reporter, clock, screen) = on_screen(80, Paint::default());
    (0..50).for_each(|k| reporter.event(&waiting(&format!("mixed[{k}]"))));
    reporter.event(&started(stage("numbered[0]", None)));
    clock.advance(1.0);
    reporter.tick();
    let lines = screen.contents();
    assert_eq!(lines.matches("waits for lab7").count(), 4, "{lines}");
    assert!(
        lines.contains("numbered[0]  1.0s") && lines.contains("0 of 0 stages, 1 running, 50 waiting, 1.0s"),
        "{lines}"
    );
}

#[test]
fn a_narrow_terminal_keeps_name_share_and_time_left() {
    for columns in [80, 40] {
        let (mut reporter, clock, screen) = on_screen(columns, Paint::default());
        reporter.event(&events()[0].1);
        reporter.event(&started(stage("numbered[0]", Some(1))));
        reporter.event(&progressed(stage("numbered[0]", Some(1)), 100));
        clock.advance(10.0);
        reporter.event(&progressed(stage("numbered[0]", Some(1)), 1100));
        reporter.look(&Queue {
            left: Some(95.0),
            unknown: 2,
            ..Queue::default()
        });
        reporter.tick();
        clock.advance(1.0);
        reporter.tick();
        let contents = screen.contents();
        if columns == 80 {
            insta::assert_snapshot!(contents, @r"
            addition: 9 stages, 2 at once, 2 threads
            ⠹ ━━━───────── numbered[0] (seed=1)  27 %  28.0s left  1100/4000 steps, 11.0s
              0 of 9 stages, 1 running, 1m34s+ left, 11.0s
            ");
        } else {
            insta::assert_snapshot!(contents, @r"
            addition: 9 stages, 2 at once, 2 threads
            ⠹ numbered[0] (seed=1) 27 % 28.0s left
              0 of 9 stages, 1 running, 1m34s+ left
            ");
        }
    }
}

#[test]
fn colours_only_when_asked_for() {
    let draw = |paint| {
        let (mut reporter, clock, screen) = on_screen(110, paint);
        send(&mut reporter, &clock, |_| {});
        String::from_utf8(screen.contents_formatted()).unwrap()
    };
    // vt100 writes colours as `ESC[31m`, and `ESC[m` at the ends of lines.
    assert!(draw(Paint::new(true)).contains("\x1b[31m"));
    assert!(!draw(Paint::new(false)).contains("\x1b[31m"));
}
