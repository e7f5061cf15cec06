//! Reading and writing JSON Lines, one value at a time.
//!
//! The output is that of Python's `json.dumps` (`{"id": "2_2/435", …}`, everything except printable ASCII as `\uXXXX`), so that a
//! generated row has the same bytes as the published one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// A JSON Lines file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be opened, read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    /// The file is another thing than a file of rows.
    #[error("{}: this is {what}", path.display())]
    Content { path: PathBuf, what: &'static str },
    /// The file cannot be read as the format that it has.
    #[error("{}: {problem}", path.display())]
    Format { path: PathBuf, problem: String },
    /// A line is not valid.
    #[error("{}:{line}: {problem}", path.display())]
    Line { path: PathBuf, line: u64, problem: String },
}

/// The mark that some programs put before UTF-8 text; it is no part of the text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the values of a file one by one, and stops after an error.
pub struct JsonLinesReader<T> {
    path: PathBuf,
    file: BufReader<File>,
    /// The line read last, from 1.
    line: u64,
    failed: bool,
    value: PhantomData<fn() -> T>,
}

/// Opens a JSON Lines file.
///
/// # Errors
/// When the file cannot be opened.
pub fn open<T: DeserializeOwned>(path: &Path) -> Result<JsonLinesReader<T>, DatasetError> {
    let file = File::open(path).map_err(|cause| file_error("open", path, cause))?;
    Ok(JsonLinesReader {
        path: path.to_owned(),
        file: BufReader::new(file),
        line: 0,
        failed: false,
        value: PhantomData,
    })
}

/// Reads all values of a JSON Lines file.
///
/// # Errors
/// When the file cannot be read, or a line is not a `T`. The message names the line.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DatasetError> {
    open(path)?.collect()
}

impl<T: DeserializeOwned> JsonLinesReader<T> {
    /// The line read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line that is not blank; `None` at the end.
    fn advance(&mut self) -> Result<Option<T>, DatasetError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = self
                .file
                .read_until(b'\n', &mut text)
                .map_err(|cause| file_error("read", &self.path, cause))?;
            if length == 0 {
                return Ok(None);
            }
            self.line += 1;
            let value = match self.line {
                1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text),
                _ => &text,
            };
            // Without the line break, so that a truncated line is not reported as a control character in a text.
            let value = value.trim_ascii();
            if !value.is_empty() {
                return serde_json::from_slice(value)
                    .map(Some)
                    .map_err(|error| self.line_error(&error, value));
            }
        }
    }

    fn line_error(&self, error: &serde_json::Error, value: &[u8]) -> DatasetError {
        DatasetError::Line {
            path: self.path.clone(),
            line: self.line,
            problem: problem_of_line(error, value),
        }
    }
}

/// What is wrong with `value`, a line of JSON Lines: `error` without its line number, which is always 1, and with the column only for
/// syntax errors.
pub fn problem_of_line(error: &serde_json::Error, value: &[u8]) -> String {
    let what = without_line(error);
    match error.classify() {
        Category::Data | Category::Io => what,
        Category::Syntax => {
            let what = no_number(value, error.column().saturating_sub(1)).unwrap_or(what);
            format!("not valid JSON: {what} at column {}", error.column())
        }
        Category::Eof => "not valid JSON: the line ends in the middle of a value".to_owned(),
    }
}

/// The message of `error` without its place.
pub(super) fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// What is wrong with the word of `line` that the byte at `place` belongs to, if programs write it for a number that JSON does not have.
fn no_number(line: &[u8], place: usize) -> Option<String> {
    let is_other = |byte: &u8| !(byte.is_ascii_alphabetic() || *byte == b'-');
    let (before, after) = line.split_at_checked(place)?;
    let start = before.iter().rposition(is_other).map_or(0, |at| at + 1);
    let end = place + after.iter().position(is_other).unwrap_or(after.len());
    let word = std::str::from_utf8(line.get(start..end)?).ok()?;
    let is_known = ["nan", "inf", "infinity"].contains(&word.trim_start_matches('-').to_lowercase().as_str());
    is_known.then(|| format!("JSON has no number `{word}` (write null for a value that is missing),"))
}

impl<T: DeserializeOwned> Iterator for JsonLinesReader<T> {
    type Item = Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// Writes a JSON Lines file, value by value.
pub struct JsonLinesWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLinesWriter {
    /// Creates a file, or replaces an existing one.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, DatasetError> {
        let file = File::create(path).map_err(|cause| file_error("create", path, cause))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write<T: Serialize>(&mut self, value: &T) -> Result<(), DatasetError> {
        value
            .serialize(&mut serde_json::Serializer::with_formatter(&mut self.file, PythonFormatter))
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|cause| file_error("write", &self.path, cause))
    }

    /// Flushes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(|cause| file_error("write", &self.path, cause))
    }
}

/// Writes all `values` to a JSON Lines file.
///
/// # Errors
/// When the file cannot be written.
pub fn write<T: Serialize>(path: &Path, values: &[T]) -> Result<(), DatasetError> {
    let mut writer = JsonLinesWriter::create(path)?;
    values.iter().try_for_each(|value| writer.write(value))?;
    writer.finish()
}

pub fn file_error(action: &'static str, path: &Path, cause: io::Error) -> DatasetError {
    DatasetError::File {
        action,
        path: path.to_owned(),
        cause,
    }
}

/// Whether Python writes the character as `\uXXXX`. (Control characters are escaped by serde before.)
fn is_escaped(character: char) -> bool {
    !matches!(character, ' '..='~')
}

/// The format of Python's `json.dumps`.
struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(is_escaped) {
            let plain = part.trim_end_matches(is_escaped);
            out.write_all(plain.as_bytes())?;
            for escaped in part[plain.len()..].chars() {
                for unit in escaped.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Answer, Doc, Row};

    fn row() -> Row {
        Row {
            id: "2_2/435".into(),
            prompt: "Question: 86 + 75".into(),
            completion: "1. \"❤\" ↔ 𝛼\u{7f}\t\u{1}\nThus, the answer is 161.".into(),
            step_num: 1,
            answer: 161.into(),
            doc: Doc::default(),
        }
    }

    #[test]
    fn rows_are_written_as_python_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        write(&path, &[row()]).unwrap();
        // json.dumps of the same row (Python 3.12)
        let expected = r#"{"id": "2_2/435", "prompt": "Question: 86 + 75", "completion": "1. \"\u2764\" \u2194 \ud835\udefc\u007f\t\u0001\nThus, the answer is 161.", "step_num": 1, "answer": 161}"#;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{expected}\n"));
        assert_eq!(read::<Row>(&path).unwrap(), [row()]);
    }

    #[test]
    fn answers_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let answers: Vec<Answer> = [None, Some(2)]
            .map(|requested| Answer {
                problem: row(),
                requested,
                sample: 3,
                response: "…".into(),
                tokens: 7,
                failed: None,
                cut: requested.is_some(),
                choices: None,
            })
            .into();
        write(&path, &answers).unwrap();
        assert_eq!(read::<Answer>(&path).unwrap(), answers);
    }

    #[test]
    fn numbers_come_out_with_the_digits_with_which_they_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        for number in ["0.10", "1.0", "1e400", "12345678901234567890123", "-0"] {
            let row = format!(r#"{{"id": "a", "prompt": "", "completion": "", "step_num": 1, "answer": {number}}}"#) + "\n";
            std::fs::write(&path, &row).unwrap();
            write(&path, &read::<Row>(&path).unwrap()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), row);
            let more = r#", "requested": null, "sample": 0, "response": "", "tokens": 1}"#;
            let answer = row.replace("}\n", more) + "\n";
            std::fs::write(&path, &answer).unwrap();
            write(&path, &read::<Answer>(&path).unwrap()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), answer);
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        write(&path, &[row(), row()]).unwrap();
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, [BYTE_ORDER_MARK, &text].concat()).unwrap();
        assert_eq!(read::<Row>(&path).unwrap(), [row(), row()]);
        // Only where it stands at the start.
        std::fs::write(&path, [&text, BYTE_ORDER_MARK, &text].concat()).unwrap();
        assert!(read::<Row>(&path).is_err());
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        let good = r#"{"id": "a", "prompt": "", "completion": "", "step_num": 1, "answer": 1}"#;
        let message = |bad: &[u8]| {
            std::fs::write(&path, [good.as_bytes(), b"\n\n", bad, b"\n"].concat()).unwrap();
            let mut lines = open::<Row>(&path).unwrap();
            assert!(lines.next().unwrap().is_ok());
            let error = lines.next().unwrap().unwrap_err().to_string();
            assert!(lines.next().is_none());
            error.replace(&folder.path().display().to_string(), "")
        };
        insta::assert_snapshot!([
            message(br#"{"id": "a", "prompt": "", "completion": "", "step_num": 1}"#),
            message(br#"{"id": "a", "prompt": "", "completion": "", "step_num": -1, "answer": 1}"#),
            message(br#"{"id": "a", "prompt" "", "completion": ""}"#),
            message(br#"{"id": "a", "prompt": ""#),
            message(b"{\"id\": \"\xff\"}"),
            message(br#"{"id": "a", "answer": NaN}"#),
            message(br#"{"id": "a", "answer": -Infinity}"#),
        ].join("\n"), @r"
        /train.jsonl:3: missing field `answer`
        /train.jsonl:3: invalid value: integer `-1`, expected u32
        /train.jsonl:3: not valid JSON: expected `:` at column 22
        /train.jsonl:3: not valid JSON: the line ends in the middle of a value
        /train.jsonl:3: not valid JSON: invalid unicode code point at column 9
        /train.jsonl:3: not valid JSON: JSON has no number `NaN` (write null for a value that is missing), at column 23
        /train.jsonl:3: not valid JSON: JSON has no number `-Infinity` (write null for a value that is missing), at column 24
        ");
        insta::assert_snapshot!(open::<Row>(Path::new("nowhere.jsonl")).err().unwrap(), @"cannot open nowhere.jsonl: No such file or directory (os error 2)");
    }
}
