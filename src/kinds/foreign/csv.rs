//! CSV: a line of names, then a line for each record; with quotes, a field may go over several lines. Fields are separated by commas, tabs,
//! semicolons or bars.

use std::io::{self, BufRead};
use std::path::Path;

use super::content::Content;
use super::{Field, ForeignRecord, TakeRecord, line_error};
use learn::dataset::{self, DatasetError};

/// The separators that are told from the first line; of equally frequent ones, the first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Why a record cannot be read, and on which line.
struct Malformed {
    line: u64,
    problem: CsvProblem,
}

#[derive(Debug, thiserror::Error)]
enum CsvProblem {
    #[error("{0}")]
    Io(io::Error),
    #[error("the quote that opens field {0} here is never closed")]
    Unclosed(usize),
    #[error("the quote that opens field {field} here is closed on line {closed}, and text follows; a quote within quotes is written twice")]
    AfterQuote { field: usize, closed: u64 },
    #[error("field {0} is not UTF-8 text; save the file as UTF-8")]
    NotText(usize),
    #[error("has {found} fields, and the first line names {named}; they are separated by {}", separator_name(*separator))]
    Length { found: usize, named: usize, separator: u8 },
}

fn separator_name(separator: u8) -> String {
    match separator {
        b'\t' => "tabs".to_owned(),
        other => format!("`{}`", char::from(other)),
    }
}

pub(super) fn records(path: &Path, content: Content, separator: Option<u8>, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let told = told_separator(&content.start);
    let mut reader = CsvReader {
        separator: separator.or(told).unwrap_or_else(|| likely_separator(&content.start)),
        reader: content.reader,
        buffer: Vec::new(),
        at: 0,
        line: 1,
    };
    let failed = |malformed: Malformed| match malformed.problem {
        CsvProblem::Io(cause) => dataset::file_error("read", path, cause),
        problem => line_error(path, malformed.line, problem),
    };
    let mut record = Vec::new();
    if told.is_some() {
        reader.next(&mut record).map_err(failed)?;
    }
    reader.next(&mut record).map_err(failed)?;
    let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    while let Some(line) = reader.next(&mut record).map_err(failed)? {
        content.since_record.set(0);
        if record.len() != names.len() {
            let problem = CsvProblem::Length {
                found: record.len(),
                named: names.len(),
                separator: reader.separator,
            };
            return Err(line_error(path, line, problem));
        }
        let fields = names.iter().cloned().zip(record.drain(..).map(Field::Text));
        take(ForeignRecord(fields.collect()), line).map_err(|problem| line_error(path, line, problem))?;
    }
    Ok(())
}

/// The separator that a line before the names tells, as Excel writes it: `sep=;`.
fn told_separator(start: &[u8]) -> Option<u8> {
    match start.strip_prefix(b"sep=")? {
        [separator, b'\r' | b'\n', ..] if separator.is_ascii() => Some(*separator),
        _ => None,
    }
}

/// The most frequent separator of the first line, outside of quotes.
fn likely_separator(start: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let (mut quoted, mut before) = (false, b',');
    for byte in start.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n')) {
        match byte {
            b'"' if quoted => quoted = false,
            // A doubled quote within quotes closes and opens.
            b'"' => quoted = before == b'"' || SEPARATORS.contains(&before),
            _ if quoted => {}
            b'\r' | b'\n' => break,
            other => {
                let counted = SEPARATORS.iter().zip(&mut counts).find(|(separator, _)| *separator == other);
                counted.into_iter().for_each(|(_, count)| *count += 1);
            }
        }
        before = *byte;
    }
    let most = counts.iter().max().copied().unwrap_or_default();
    let found = SEPARATORS.iter().zip(counts).find(|(_, count)| *count == most);
    found.map_or(b',', |(separator, _)| *separator)
}

/// What ends a field.
#[derive(PartialEq)]
enum End {
    Separator,
    Line,
}

struct CsvReader {
    reader: Box<dyn BufRead>,
    separator: u8,
    /// What is left of the last read, from `at`: it ends with a line feed or with the file.
    buffer: Vec<u8>,
    at: usize,
    /// The line of the next byte, from 1.
    line: u64,
}

impl CsvReader {
    /// Reads the next record that is no blank line into `fields`, and returns its line; `None` at the end.
    fn next(&mut self, fields: &mut Vec<String>) -> Result<Option<u64>, Malformed> {
        fields.clear();
        let mut next = self.byte()?;
        while matches!(next, Some(b'\r' | b'\n')) {
            next = self.byte()?;
        }
        if next.is_none() {
            return Ok(None);
        }
        let line = self.line;
        loop {
            let (field, end) = self.field(next, fields.len() + 1)?;
            fields.push(field);
            if end == End::Line {
                return Ok(Some(line));
            }
            next = self.byte()?;
        }
    }

    /// Reads the field with this number, from 1, which begins with `first`.
    fn field(&mut self, first: Option<u8>, number: usize) -> Result<(String, End), Malformed> {
        let opened = self.line;
        let malformed = |problem| Malformed { line: opened, problem };
        let (mut bytes, mut next) = (Vec::new(), first);
        if first == Some(b'"') {
            loop {
                match self.byte()? {
                    None => return Err(malformed(CsvProblem::Unclosed(number))),
                    Some(b'"') => {
                        let closed = self.line;
                        next = self.byte()?;
                        if next == Some(b'"') {
                            bytes.push(b'"');
                        } else if self.ends_field(next) {
                            break;
                        } else {
                            return Err(malformed(CsvProblem::AfterQuote { field: number, closed }));
                        }
                    }
                    Some(byte) => bytes.push(byte),
                }
            }
        } else {
            while let Some(byte) = next.filter(|_| !self.ends_field(next)) {
                bytes.push(byte);
                next = self.byte()?;
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| malformed(CsvProblem::NotText(number)))?;
        let end = if next == Some(self.separator) { End::Separator } else { End::Line };
        Ok((text, end))
    }

    fn ends_field(&self, byte: Option<u8>) -> bool {
        byte.is_none_or(|byte| byte == self.separator || matches!(byte, b'\r' | b'\n'))
    }

    fn byte(&mut self) -> Result<Option<u8>, Malformed> {
        if self.at == self.buffer.len() {
            self.at = 0;
            self.buffer.clear();
            let read = self.reader.read_until(b'\n', &mut self.buffer);
            read.map_err(|cause| Malformed {
                line: self.line,
                problem: CsvProblem::Io(cause),
            })?;
        }
        let byte = self.buffer.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        let ends_line = byte == Some(b'\n') || (byte == Some(b'\r') && self.buffer.get(self.at) != Some(&b'\n'));
        self.line += u64::from(ends_line);
        Ok(byte)
    }
}
