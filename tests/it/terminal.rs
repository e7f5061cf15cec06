//! The program on terminals of every kind, and with nobody at the other end.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::Lab;

/// A stage that ends well and one that fails.
const EXPERIMENT: &str = r#"
[stages.good]
kind = "command"
run = ["sh", "-c", "echo hi > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
[stages.bad]
kind = "command"
run = ["sh", "-c", "echo broken; exit 3"]
inputs = { d = "good" }
outputs = { x = "file" }
"#;

/// A pseudo-terminal of this size: the end of the program, and the end of the person.
fn terminal(columns: u16) -> (OwnedFd, File) {
    let (mut person, mut program) = (-1, -1);
    let size = libc::winsize {
        ws_row: if columns == 0 { 0 } else { 24 },
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the pointers are to live numbers and a live size, or null, which asks for the default.
    let opened = unsafe {
        libc::openpty(
            &raw mut person,
            &raw mut program,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        )
    };
    assert_eq!(opened, 0);
    // SAFETY: both were opened just now, and nothing else owns them.
    unsafe { (OwnedFd::from_raw_fd(program), File::from_raw_fd(person)) }
}

/// All that a program shows on a terminal, and its exit code. It gets standard output and error, as far as they are not redirected.
fn shown(mut command: Command, program: OwnedFd, mut person: File) -> (String, i32) {
    let mut child = command.spawn().unwrap();
    // The command holds the terminal open, too.
    drop((command, program));
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    // Reading ends with an error when nobody has the other end open any more.
    while let Ok(count @ 1..) = person.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(text).unwrap(), code)
}

/// What a command line shows on a terminal.
fn on_terminal(lab: &Lab, words: &str, columns: u16, variables: &[(&str, &str)]) -> (String, i32) {
    let (program, person) = terminal(columns);
    let mut command = lab.command(words);
    for name in ["TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE"] {
        command.env_remove(name);
    }
    command.env("LANG", "C.UTF-8").envs(variables.iter().copied());
    command.stdin(Stdio::null());
    command.stdout(program.try_clone().unwrap());
    command.stderr(program.try_clone().unwrap());
    shown(command, program, person)
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    for (columns, variables) in [
        (80, [("TERM", "dumb")].as_slice()),
        (80, &[]),
        (80, &[("TERM", "")]),
        (1, &[("TERM", "xterm")]),
        (12, &[("TERM", "xterm")]),
    ] {
        let lab = Lab::new(EXPERIMENT);
        let (text, code) = on_terminal(&lab, "run x.toml", columns, variables);
        let text = text.replace("\r\n", "\n");
        assert_eq!(code, 1, "{text}");
        for line in [
            "x: 2 stages, ",
            "started good: never run\n",
            "finished good in ",
            "bad failed after ",
            "  | broken\n",
            "  log: ",
            "  run it alone: ",
            "2 stages: 0 cached, 1 ran in ",
        ] {
            assert!(text.contains(line), "{columns} {variables:?}: no `{line}` in\n{text}");
        }
        if variables != [("TERM", "xterm")] {
            assert!(!text.contains('\x1b'), "{text:?}");
        }
    }
}

#[test]
fn a_terminal_that_can_gets_live_lines_and_colours_as_it_wants_them() {
    let xterm = ("TERM", "xterm");
    for (columns, variables, is_coloured) in [
        (80, [xterm].as_slice(), true),
        (0, &[xterm], true),
        (80, &[xterm, ("NO_COLOR", "1")], false),
        (80, &[xterm, ("CLICOLOR", "0")], false),
    ] {
        let lab = Lab::new(EXPERIMENT);
        let (text, code) = on_terminal(&lab, "run x.toml", columns, variables);
        assert_eq!(code, 1, "{text}");
        for part in ["✓", "✗ bad failed after ", "| broken", "2 stages: 0 cached, 1 ran in "] {
            assert!(text.contains(part), "{columns} {variables:?}: no `{part}` in\n{text}");
        }
        assert_eq!(text.contains("\x1b[31m"), is_coloured, "{columns} {variables:?}: {text:?}");
    }
}

#[test]
fn a_terminal_without_unicode_gets_plain_signs() {
    for variables in [[("TERM", "xterm"), ("LANG", "C")], [("TERM", "xterm"), ("LC_ALL", "POSIX")]] {
        let lab = Lab::new(EXPERIMENT);
        for (words, code) in [("run x.toml", 1), ("plan x.toml", 0), ("run x.toml --set nosuch=1", 2)] {
            let (text, found) = on_terminal(&lab, words, 80, &variables);
            assert_eq!(found, code, "{text}");
            assert!(text.is_ascii() && text.len() > 50, "{words}: {text}");
        }
    }
}

#[test]
fn colours_can_be_forced_into_a_pipe() {
    let lab = Lab::new(EXPERIMENT);
    let plan = |variables: &[(&str, &str)], words: &str| {
        let mut command = lab.command(words);
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let force = ("CLICOLOR_FORCE", "1");
    assert!(plan(&[force], "plan x.toml").contains("\x1b[33m"));
    for (variables, words) in [
        ([].as_slice(), "plan x.toml"),
        (&[force, ("NO_COLOR", "1")], "plan x.toml"),
        (&[force], "plan x.toml --color never"),
        (&[force], "plan x.toml --json"),
    ] {
        assert!(!plan(variables, words).contains('\x1b'), "{variables:?} {words}");
    }
}

#[test]
fn names_and_values_draw_nothing_on_any_terminal() {
    let evil = "red\\u001b[35m\\u001b]0;title\\u0007\\u009b2J\\u202e\\r\\nforged";
    let experiment = format!(
        "name = \"{evil}\"\ndescription = \"{evil}\"\n[matrix]\nask = [\"{evil}\", \"plain\"]\n{}",
        EXPERIMENT.replace("echo broken", "printf '{ask}\\\\033]0;title\\\\007\\\\033[35m broken\\\\n'")
    );
    let lab = Lab::new(&experiment);
    let check = |words: &str, text: &str| {
        for hidden in ["\x1b]", "\x1b[35m", "\x1b[2J", "\x07", "\u{9b}", "\u{202e}"] {
            assert!(!text.contains(hidden), "{words}: {hidden:?} in {text:?}");
        }
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{words}: {text:?}");
    };
    for words in [
        "run x.toml",
        "plan x.toml",
        "plan x.toml --json",
        "graph x.toml",
        "graph x.toml --format mermaid",
        "config x.toml",
        "config x.toml --json",
        "show x.toml good",
        "why x.toml good",
        "run x.toml --variant ask=nosuch",
        "run x.toml nosuch",
        "cache gc --older-than 0s --grace 0s",
    ] {
        for columns in [80, 10] {
            let (text, _) = on_terminal(&lab, words, columns, &[("TERM", "xterm")]);
            assert!(!text.is_empty(), "{words}");
            check(words, &text);
        }
        let output = lab.output(words);
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        // What a program reads is as it is written; TOML and JSON write it as an escape.
        check(words, &text);
    }
}

#[test]
fn the_other_end_may_be_gone() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml good", 0);
    for words in [
        "plan x.toml",
        "plan x.toml --json",
        "config x.toml",
        "config x.toml --json",
        "schema",
        "completions bash",
        "--help",
        "run x.toml good --json",
    ] {
        for end in ["closed pipe", "closed", "both closed", "/dev/full"] {
            let program = env!("CARGO_BIN_EXE_runner");
            let redirection = match end {
                "closed pipe" => "| true; exit ${PIPESTATUS[0]}",
                "closed" => ">&-",
                "both closed" => ">&- 2>&-",
                _ => "> /dev/full",
            };
            let mut command = Command::new("bash");
            // A reader that has ended before the first byte.
            let script = format!("(sleep 0.05; exec '{program}' {words}) {redirection}");
            let output = command
                .arg("-c")
                .arg(script)
                .current_dir(lab.path())
                .env("XDG_CONFIG_HOME", lab.path());
            let output = output.output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            let expected = i32::from(end == "/dev/full");
            assert_eq!(output.status.code(), Some(expected), "{words} to {end}: {error}");
            assert!(!error.contains("panicked"), "{words} to {end}: {error}");
            assert_eq!(
                error.contains("No space left on device"),
                expected == 1,
                "{words} to {end}: {error}"
            );
        }
    }
}

/// A stage that waits for a file, and says how it was signalled.
const WAITING: &str = r#"
[stages.slow]
kind = "command"
run = ["sh", "-c", "SEND; while [ ! -e HERE/go ]; do sleep 0.05; done; echo hi > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
"#;

#[test]
fn ignored_signals_stay_ignored_but_for_an_interruption() {
    use rustix::process::Signal;

    // `nohup` ignores the first.
    for (name, signal) in [("HUP", Signal::HUP), ("TERM", Signal::TERM)] {
        let (code, text) = run_ignoring(name, signal, 3);
        assert_eq!(code, Some(0), "{name}: {text}");
        assert!(text.contains("1 ran in") && !text.contains("interrupted"), "{name}: {text}");
    }
    // A script ignores it for what it starts with `&`, and may send it to stop that.
    let (code, text) = run_ignoring("INT", Signal::INT, 1);
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("interrupted"), "{text}");
}

/// The exit code and the messages of a run that begins with a signal ignored, and gets it so many times.
fn run_ignoring(name: &str, signal: rustix::process::Signal, times: usize) -> (Option<i32>, String) {
    let lab = Lab::new("");
    let waiting = WAITING.replace("HERE", lab.path().to_str().unwrap());
    // Of these signals, a program ignores a hang-up alone.
    let send = if name == "HUP" { "kill -HUP $$" } else { ":" };
    lab.write("x.toml", &waiting.replace("SEND", send));
    let program = env!("CARGO_BIN_EXE_runner");
    let script = format!("trap '' {name}; exec '{program}' run x.toml");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .current_dir(lab.path())
        .env("XDG_CONFIG_HOME", lab.path());
    let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
    let process = rustix::process::Pid::from_raw(run.id().cast_signed()).unwrap();
    // The stage has begun, and with it the run listens to signals.
    let begun = || std::fs::read_dir(lab.path().join("cache/v1/scratch")).is_ok_and(|mut found| found.next().is_some());
    while !begun() && run.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(200));
        rustix::process::kill_process(process, signal).unwrap();
    }
    if times > 1 {
        lab.write("go", "");
    }
    let mut text = String::new();
    run.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (run.wait().unwrap().code(), text)
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_ignores_no_signal_of_the_terminal() {
    let lab = Lab::new(
        r#"
[stages.tells]
kind = "command"
run = ["sh", "-c", "grep SigIgn /proc/self/status | cut -f 2 > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
"#,
    );
    lab.stdout("run x.toml", 0);
    let path = lab.stdout("get x.toml tells", 0);
    let mask = std::fs::read_to_string(lab.path().join(path.trim())).unwrap();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
    let ignored: Vec<libc::c_int> = [libc::SIGINT, libc::SIGTERM, libc::SIGTTIN, libc::SIGTTOU]
        .into_iter()
        .filter(|signal| (mask >> (signal - 1)) & 1 == 1)
        .collect();
    assert_eq!(ignored, Vec::<libc::c_int>::new(), "{mask:x}");
}

#[test]
fn a_run_in_the_background_writes_on_and_its_programs_do_not_wait_for_the_terminal() {
    // `stty tostop` stops what writes to the terminal in the background; reading from it always does.
    let lab = Lab::new(
        r#"
[stages.asks]
kind = "command"
run = ["sh", "-c", "read answer < /dev/tty || echo none > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
"#,
    );
    let (program, person) = terminal(80);
    let mut command = Command::new("bash");
    let runner = env!("CARGO_BIN_EXE_runner");
    let script = format!("set -m; stty tostop; '{runner}' run x.toml & run=$!; sleep 0.1; wait $run");
    command
        .arg("-c")
        .arg(script)
        .current_dir(lab.path())
        .env("XDG_CONFIG_HOME", lab.path())
        .env("TERM", "xterm");
    command.stdin(program.try_clone().unwrap());
    command.stdout(program.try_clone().unwrap());
    command.stderr(program.try_clone().unwrap());
    // SAFETY: both are system calls alone, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // The terminal becomes that of a session of its own.
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let (text, code) = shown(command, program, person);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 ran in"), "{text}");
}

/// A terminal that breaks and joins its lines when its width changes, as most do: what a person sees and can scroll back to.
struct Screen {
    columns: usize,
    /// The rows, each with whether the next one belongs to the same line.
    rows: Vec<(String, bool)>,
    /// The row of the cursor.
    at: usize,
    /// Whether a line that does not fit is broken, and not cut.
    breaks: bool,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![(String::new(), false)],
            at: 0,
            breaks: true,
        }
    }

    fn write(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "{text:?}");
                    let sequence: String = rest.by_ref().take_while_inclusive_letter();
                    self.obey(&sequence);
                }
                '\r' => {}
                '\n' => self.down(false),
                shown => {
                    let is_full = self.rows[self.at].0.chars().count() == self.columns;
                    if is_full && self.breaks {
                        self.down(true);
                    } else if is_full {
                        self.rows[self.at].0.pop();
                    }
                    self.rows[self.at].0.push(shown);
                }
            }
        }
    }

    fn down(&mut self, is_broken: bool) {
        self.rows[self.at].1 = is_broken;
        self.at += 1;
        if self.at == self.rows.len() {
            self.rows.push((String::new(), false));
        }
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "A" => self.at = self.at.checked_sub(1).expect("the cursor leaves the screen"),
            "2K" => self.rows[self.at] = (String::new(), false),
            "?7l" => self.breaks = false,
            "?7h" => self.breaks = true,
            colour => assert!(colour.ends_with('m'), "an unknown sequence: {colour:?}"),
        }
    }

    fn resize(&mut self, columns: usize) {
        let below = self.rows.len() - self.at;
        let mut lines = vec![String::new()];
        for (row, is_broken) in &self.rows {
            *lines.last_mut().unwrap() += row;
            if !is_broken {
                lines.push(String::new());
            }
        }
        lines.pop();
        self.columns = columns;
        self.rows.clear();
        for line in lines {
            let characters: Vec<char> = line.chars().collect();
            let mut parts: Vec<String> = characters.chunks(columns).map(|part| part.iter().collect()).collect();
            parts.resize(parts.len().max(1), String::new());
            let last = parts.len() - 1;
            self.rows.extend(parts.into_iter().enumerate().map(|(k, part)| (part, k < last)));
        }
        // The cursor stands in an empty row.
        self.at = self.rows.len() - below;
    }

    fn lines(&self) -> Vec<&str> {
        self.rows
            .iter()
            .map(|(row, _)| row.trim_end())
            .filter(|row| !row.is_empty())
            .collect()
    }
}

trait TakeSequence {
    fn take_while_inclusive_letter(self) -> String;
}

impl<I: Iterator<Item = char>> TakeSequence for I {
    /// The characters up to the first letter.
    fn take_while_inclusive_letter(self) -> String {
        let mut sequence = String::new();
        for character in self {
            sequence.push(character);
            if character.is_ascii_alphabetic() {
                break;
            }
        }
        sequence
    }
}

/// A stage that is half done and then waits for a file, and one that needs it.
const HALF_DONE: &str = r#"
[stages.fit-a-large-model]
kind = "command"
run = ["sh", "-c", "p() {{ echo \"{{\\\"done\\\": $1, \\\"total\\\": 100}}\" >> $RUNNER_PROGRESS; sleep 0.3; }}; p 10; p 30; p 50; while [ ! -e HERE/go ]; do sleep 0.05; done; echo hi > $RUNNER_OUTPUT_X"]
outputs = { x = "file" }
[stages.next]
kind = "command"
run = ["sh", "-c", "cat $RUNNER_INPUT_D > $RUNNER_OUTPUT_X"]
inputs = { d = "fit-a-large-model" }
outputs = { x = "file" }
"#;

/// Reads what the program shows for a while.
fn read_on(person: &mut File, screen: &mut Screen, time: Duration) {
    use std::os::fd::AsRawFd;

    let begun = std::time::Instant::now();
    let mut buffer = [0; 1 << 16];
    let mut open = Vec::new();
    while begun.elapsed() < time {
        let mut asked = libc::pollfd {
            fd: person.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the pointer is to one live entry.
        if unsafe { libc::poll(&raw mut asked, 1, 50) } < 1 {
            continue;
        }
        let Ok(count @ 1..) = person.read(&mut buffer) else { return };
        open.extend_from_slice(&buffer[..count]);
        // The program writes its lines at once; a character may be cut all the same.
        if let Ok(text) = std::str::from_utf8(&open) {
            screen.write(text);
            open.clear();
        }
    }
}

#[test]
fn live_lines_keep_what_matters_and_leave_nothing_behind_when_the_terminal_is_resized() {
    use std::os::fd::AsRawFd;

    let lab = Lab::new("");
    lab.write("x.toml", &HALF_DONE.replace("HERE", lab.path().to_str().unwrap()));
    let (program, mut person) = terminal(80);
    let mut command = lab.command("run x.toml");
    command.env("LANG", "C.UTF-8").env("TERM", "xterm").env("NO_COLOR", "1");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(program.try_clone().unwrap());
    let mut run = command.spawn().unwrap();
    drop(command);
    let mut screen = Screen::new(80);
    let begun = std::time::Instant::now();
    while !screen.lines().iter().any(|line| line.contains(" 50 %")) {
        read_on(&mut person, &mut screen, Duration::from_millis(100));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", screen.rows);
    }
    for (columns, stage, total) in [
        (
            80,
            "━━━━━━────── fit-a-large-model  50 %  0.0s left",
            "  0 of 2 stages, 1 running, ",
        ),
        (40, "fit-a-large-model 50 % 0.0s left", "  0 of 2 stages, 1 running"),
        (30, "fit-a-large-model 50 % 0.0s", "  0/2, 1 running"),
        (
            100,
            "━━━━━━────── fit-a-large-model  50 %  0.0s left",
            "  0 of 2 stages, 1 running, ",
        ),
        (40, "fit-a-large-model 50 % 0.0s left", "  0 of 2 stages, 1 running"),
    ] {
        let size = libc::winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the pointer is to a live size.
        assert_eq!(unsafe { libc::ioctl(program.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
        screen.resize(columns.into());
        read_on(&mut person, &mut screen, Duration::from_millis(1000));
        let lines = screen.lines();
        let shown: Vec<&&str> = lines
            .iter()
            .filter(|line| line.contains("model") || line.contains(" running"))
            .collect();
        assert_eq!(shown.len(), 2, "{columns}: {lines:#?}");
        assert!(shown[0].contains(stage) && shown[1].starts_with(total), "{columns}: {lines:#?}");
        assert!(
            shown.iter().all(|line| line.chars().count() < columns.into()),
            "{columns}: {lines:#?}"
        );
    }
    lab.write("go", "");
    drop(program);
    read_on(&mut person, &mut screen, Duration::from_secs(10));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let lines = screen.lines();
    let counted = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    assert_eq!((counted("✓ "), counted("2 stages: 0 cached, 2 ran in ")), (2, 1), "{lines:#?}");
}
