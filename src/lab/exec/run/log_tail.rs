//! The end of a stage's log, as a person wants it: the last lines, each as a terminal would show it in the end, none very long.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::text::{cut_ends, cut_line, hide, printable};

/// The most lines that are reported.
const MAX_LINES: usize = 20;

/// The most characters of a line.
const MAX_LINE: usize = 300;

/// The part of a log that is read, from its end: a log may be larger than the memory.
const USUAL_BYTES: u64 = 1 << 18;

/// The part that is read where the usual one has too few lines: a bar that is drawn again and again may be that long.
const MAX_BYTES: u64 = 1 << 24;

/// The most bytes that are kept of each end of a line.
const KEPT: usize = 1 << 12;

/// The last lines of a log, in which none of `hidden` can be read; none when it cannot be read.
pub(super) fn log_tail(log: &Path, hidden: &[String]) -> Vec<String> {
    let (lines, is_cut) = read_end(log, USUAL_BYTES, hidden).unwrap_or_default();
    if lines.len() >= MAX_LINES || !is_cut {
        return lines;
    }
    read_end(log, MAX_BYTES, hidden).map_or(lines, |(more, _)| more)
}

/// The lines in the last bytes of a file, and whether its beginning is missing.
fn read_end(log: &Path, most: u64, hidden: &[String]) -> io::Result<(Vec<String>, bool)> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut lines = LastLines::new(start > 0, hidden);
    // It may grow while it is read.
    let mut reader = BufReader::with_capacity(1 << 16, file.take(most));
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok((lines.finish(), start > 0));
        }
        bytes.iter().for_each(|byte| lines.push(*byte));
        let read = bytes.len();
        reader.consume(read);
    }
}

/// The last lines of what was read so far.
struct LastLines<'a> {
    hidden: &'a [String],
    /// No two empty ones after one another, and one more than are reported: the last may be empty.
    lines: VecDeque<String>,
    line: Line,
    /// What stands before the line: the log began before what was read.
    mark: &'static str,
}

impl<'a> LastLines<'a> {
    fn new(is_cut: bool, hidden: &'a [String]) -> Self {
        Self {
            hidden,
            lines: VecDeque::new(),
            line: Line::default(),
            mark: if is_cut { "…" } else { "" },
        }
    }

    fn push(&mut self, byte: u8) {
        if byte == b'\n' {
            self.end_line();
        } else {
            self.line.push(byte);
        }
    }

    fn end_line(&mut self) {
        let text = self.line.end(self.mark, self.hidden);
        self.mark = "";
        if text.trim().is_empty() && self.lines.back().is_none_or(String::is_empty) {
            return;
        }
        self.lines.push_back(if text.trim().is_empty() { String::new() } else { text });
        if self.lines.len() > MAX_LINES + 1 {
            self.lines.pop_front();
        }
    }

    fn finish(mut self) -> Vec<String> {
        // What follows the last line feed.
        self.end_line();
        if self.lines.back().is_some_and(String::is_empty) {
            self.lines.pop_back();
        }
        let first = self.lines.len().saturating_sub(MAX_LINES);
        self.lines.into_iter().skip(first).collect()
    }
}

/// A line as it stands: a carriage return begins it anew.
#[derive(Default)]
struct Line {
    state: State,
    /// The last one before it that shows anything.
    earlier: State,
}

impl Line {
    fn push(&mut self, byte: u8) {
        match byte {
            b'\r' => self.begin_anew(),
            8 => self.state.take_back(),
            byte => self.state.push(byte),
        }
    }

    fn begin_anew(&mut self) {
        if !self.state.is_blank() {
            std::mem::swap(&mut self.state, &mut self.earlier);
        }
        self.state.clear();
    }

    /// The text after `mark`, without what is hidden. The next line begins.
    fn end(&mut self, mark: &str, hidden: &[String]) -> String {
        self.begin_anew();
        let text = self.earlier.text(mark, hidden);
        self.earlier.clear();
        text
    }
}

/// The two ends of a text, with [`KEPT`] bytes each.
#[derive(Default)]
struct State {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Whether there is something between them that is not kept, and how many characters.
    is_cut: bool,
    left_out: usize,
    /// Whether a character was pushed that certainly shows.
    shows: bool,
    /// Whether something was pushed or taken back so that nothing certainly shows.
    is_odd: bool,
}

impl State {
    fn push(&mut self, byte: u8) {
        self.shows |= byte.is_ascii_graphic();
        self.is_odd |= byte == 0x1b;
        if !self.is_cut && self.tail.is_empty() && self.head.len() < KEPT {
            return self.head.push(byte);
        }
        self.tail.push_back(byte);
        if self.tail.len() > KEPT
            && let Some(lost) = self.tail.pop_front()
        {
            self.is_cut = true;
            self.left_out += usize::from(is_first_byte(lost));
        }
    }

    /// Takes the last character back, as a backspace does.
    fn take_back(&mut self) {
        self.is_odd = true;
        loop {
            let last = self.tail.pop_back();
            let last = if self.is_cut { last } else { last.or_else(|| self.head.pop()) };
            if last.is_none_or(is_first_byte) {
                return;
            }
        }
    }

    fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
        (self.is_cut, self.left_out, self.shows, self.is_odd) = (false, 0, false, false);
    }

    /// Whether a terminal shows nothing of it.
    fn is_blank(&self) -> bool {
        (!self.shows || self.is_odd) && self.text("", &[]).trim().is_empty()
    }

    fn text(&self, mark: &str, hidden: &[String]) -> String {
        let (head, tail) = (self.head.clone(), self.tail.iter().copied().collect::<Vec<u8>>());
        if !self.is_cut {
            let whole = [head, tail].concat();
            return match hide(hidden, &String::from_utf8_lossy(&whole)) {
                text if text.is_empty() => String::new(),
                text => cut_line(&format!("{mark}{text}"), MAX_LINE),
            };
        }
        let [head, tail] = [head, tail].map(|part| hide(hidden, &String::from_utf8_lossy(&part)));
        let head = printable(&format!("{mark}{head}")).into_owned();
        let tail = printable(&tail);
        let count = head.chars().count() + self.left_out + tail.chars().count();
        cut_ends(&head, &tail, count, MAX_LINE)
    }
}

/// Whether a byte of UTF-8 begins a character.
fn is_first_byte(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(content: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, content).unwrap();
        log_tail(&log, &[])
    }

    #[test]
    fn the_tail_of_a_log_has_its_last_lines() {
        assert_eq!(log_tail(Path::new("/no such file"), &[]), Vec::<String>::new());
        assert_eq!(tail_of(b""), Vec::<String>::new());
        assert_eq!(tail_of(b"\n"), Vec::<String>::new());
        let text: String = (1..=25).map(|line| format!("{line}\n")).collect();
        let tail = tail_of(text.as_bytes());
        assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "6", "25"));
        assert_eq!(tail_of(b"one\r\ntwo, without an end"), ["one", "two, without an end"]);
    }

    #[test]
    fn what_is_hidden_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let hidden = ["hunter22".to_owned(), "on".to_owned()];
        let long = format!("{}hunter22{}", "a".repeat(MAX_LINE / 2 - 4), "b".repeat(9000));
        std::fs::write(&log, format!("token hunter22 on\n{long}\n")).unwrap();
        let tail = log_tail(&log, &hidden);
        assert_eq!(tail[0], "token ••• on");
        assert!(tail[1].starts_with(&format!("{}•••", "a".repeat(MAX_LINE / 2 - 4))), "{}", tail[1]);
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
        assert_eq!(tail[0], format!("{0}… (200000 characters) …{0}", "a".repeat(MAX_LINE / 2)));
        assert_eq!(tail[1], "the error");
    }

    #[test]
    fn empty_lines_and_what_is_drawn_again_hide_no_error() {
        let empty = "\n".repeat(30) + &"  \r\n".repeat(3);
        assert_eq!(tail_of(format!("the error\n{empty}").as_bytes()), ["the error"]);
        assert_eq!(tail_of(format!("{empty}one\n{empty}two\n{empty}").as_bytes()), ["one", "", "two"]);
        let bar = "progress\r".repeat(40_000);
        assert_eq!(tail_of(format!("the error\n{bar}").as_bytes()), ["the error", "progress"]);
        let bar = "12/99\x08\x08\x08\x08\x08".repeat(40_000);
        assert_eq!(tail_of(format!("the error\n{bar}12/99\n").as_bytes()), ["the error", "12/99"]);
    }

    #[test]
    fn both_ends_of_a_very_long_line_are_shown() {
        let begin = "begin: ";
        let tail = tail_of(format!("one\n{begin}{} the error\n", "é".repeat(1_500_000)).as_bytes());
        let first = format!("{begin}{}", "é".repeat(MAX_LINE / 2 - begin.len()));
        let last = format!("{} the error", "é".repeat(MAX_LINE / 2 - " the error".len()));
        assert_eq!(tail, ["one".to_owned(), format!("{first}… (1500017 characters) …{last}")]);
        let endless = tail_of(&[vec![b'a'; usize::try_from(MAX_BYTES).unwrap() + 10], b" the error".to_vec()].concat());
        assert!(
            endless[0].starts_with("…aaa") && endless[0].ends_with("aaa the error"),
            "{endless:?}"
        );
        assert_eq!(endless.len(), 1);
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
        let tail = log_tail(&log, &[]);
        assert_eq!(tail.last().unwrap(), "the error");
        assert!(tail.iter().all(|line| line.chars().count() < 400), "{tail:?}");
    }
}
