//! The end of a stage's log, as a person wants it: the last lines, each as a terminal would show it in the end, none very long.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::text::{cut_line, printable};

/// The most lines that are reported.
const MAX_LINES: usize = 20;

/// The most characters of a line.
const MAX_LINE: usize = 300;

/// The part of a log that is read, from its end: a log may be larger than the memory.
const MAX_BYTES: u64 = 1 << 18;

/// The most bytes of a line that are looked at beyond that part, for its beginning.
const LINE_BEGINNING: u64 = 1 << 12;

/// The last lines of a log; none when it cannot be read.
pub(super) fn log_tail(log: &Path) -> Vec<String> {
    let Ok((bytes, is_cut)) = read_end(log) else { return Vec::new() };
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // What follows the last line feed is a line only if it is not empty.
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let first = lines.len().saturating_sub(MAX_LINES);
    let shown = lines.iter().enumerate().skip(first);
    shown
        .map(|(place, line)| {
            let text = last_state(&String::from_utf8_lossy(line));
            // The log began before what was read.
            let mark = if place == 0 && is_cut { "…" } else { "" };
            cut_line(&format!("{mark}{text}"), MAX_LINE)
        })
        .collect()
}

/// The last bytes of a file, and whether its beginning is missing.
fn read_end(log: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(MAX_BYTES + LINE_BEGINNING).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

/// A line as it stands in the end: a carriage return begins it anew, a backspace takes a character back.
fn last_state(line: &str) -> String {
    let states = line.split('\r').map(without_taken_back);
    let mut shown = states.filter(|state| !printable(state).trim().is_empty());
    shown.next_back().unwrap_or_default()
}

fn without_taken_back(state: &str) -> String {
    let mut text = String::with_capacity(state.len());
    for character in state.chars() {
        if character == '\u{8}' {
            text.pop();
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(content: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, content).unwrap();
        log_tail(&log)
    }

    #[test]
    fn the_tail_of_a_log_has_its_last_lines() {
        assert_eq!(log_tail(Path::new("/no such file")), Vec::<String>::new());
        assert_eq!(tail_of(b""), Vec::<String>::new());
        assert_eq!(tail_of(b"\n"), [""]);
        let text: String = (1..=25).map(|line| format!("{line}\n")).collect();
        let tail = tail_of(text.as_bytes());
        assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "6", "25"));
        assert_eq!(tail_of(b"one\r\ntwo, without an end"), ["one", "two, without an end"]);
    }

    #[test]
    fn a_progress_bar_is_shown_in_its_last_state() {
        let bar: String = (0..=100)
            .map(|percent| format!("\r{percent:3}%|####| {percent}/100 [00:01]"))
            .collect();
        assert_eq!(
            tail_of(format!("{bar}\nthe error\n").as_bytes()),
            ["100%|####| 100/100 [00:01]", "the error"]
        );
        assert_eq!(tail_of(b" 50%\r 99%\r"), [" 99%"], "an end of the line still to come");
        assert_eq!(tail_of(b" 99%\r       \rdone\r\n"), ["done"], "a bar that was wiped out");
        assert_eq!(tail_of(b"\r\x1b[K 50%\r\x1b[K\r\n"), [" 50%"], "a sequence is no text");
        assert_eq!(tail_of(b"1/3\x08\x08\x082/3\x08\x08\x083/3\n"), ["3/3"], "backspaces, as in Keras");
    }

    #[test]
    fn a_line_is_printable_and_not_very_long() {
        let tail = tail_of(b"\x1b[31mred\x1b[0m \xff\xfe \x1b]0;title\x07end\n");
        assert_eq!(tail, ["red \u{fffd}\u{fffd} end"]);
        let long = [vec![b'a'; 200_000], b"\nthe error\n".to_vec()].concat();
        let tail = tail_of(&long);
        assert_eq!(tail[0], format!("{}… (200000 characters)", "a".repeat(MAX_LINE)));
        assert_eq!(tail[1], "the error");
    }

    #[test]
    fn only_the_end_of_a_large_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut file = File::create(&log).unwrap();
        // Larger than the memory of most machines; a file with a hole takes no space.
        file.set_len(1 << 36).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        io::Write::write_all(&mut file, b"the beginning of a line\nthe error\n").unwrap();
        let tail = log_tail(&log);
        assert_eq!(tail.last().unwrap(), "the error");
        assert!(tail.iter().all(|line| line.chars().count() < 400), "{tail:?}");
    }
}
