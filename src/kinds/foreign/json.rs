//! JSON: an object a line, or one list of objects.

use std::cell::Cell;
use std::fmt;
use std::io::BufRead;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::error::Category;

use super::content::Content;
use super::{ForeignRecord, RecordRefused, TakeRecord, line_error};
use learn::dataset::{self, BYTE_ORDER_MARK, DatasetError};

/// JSON Lines.
pub(super) fn lines(path: &Path, mut content: Content, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let (mut text, mut line) = (Vec::new(), 0);
    loop {
        text.clear();
        let length = content.reader.read_until(b'\n', &mut text);
        if length.map_err(|cause| dataset::file_error("read", path, cause))? == 0 {
            return Ok(());
        }
        line += 1;
        content.since_record.set(0);
        // Files with a mark each that were put together have marks within.
        let value = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).trim_ascii();
        if value.is_empty() {
            continue;
        }
        if value == b"{" {
            let problem = "an object goes on over several lines; write each object on one line, or all in a list (`[{…}, {…}]`)";
            return Err(line_error(path, line, problem));
        }
        let record: Result<ForeignRecord, _> = serde_json::from_slice(value);
        let record = record.map_err(|error| line_error(path, line, dataset::problem_of_line(&error, value)))?;
        take(record, line).map_err(|problem| line_error(path, line, problem))?;
    }
}

/// A list; one record is in memory at a time.
pub(super) fn list(path: &Path, content: Content, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let mut reader = serde_json::Deserializer::from_reader(content.reader);
    let (number, refused) = (Cell::new(0), Cell::new(None));
    let records = Records {
        take,
        since_record: &content.since_record,
        number: &number,
        refused: &refused,
    };
    let read = records.deserialize(&mut reader).and_then(|()| reader.end());
    let number = number.get();
    match (refused.into_inner(), read) {
        (Some(problem), read) => {
            let line = read.map_or_else(|error| error.line() as u64, |()| 1);
            Err(line_error(path, line, format!("record {number} of the list: {problem}")))
        }
        (None, Err(error)) if error.classify() == Category::Io => Err(dataset::file_error("read", path, error.into())),
        (None, Err(error)) => {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            let problem = match error.classify() {
                Category::Data => format!("record {} of the list: {what}", number + 1),
                _ => format!("not valid JSON: {what} at column {}", error.column()),
            };
            Err(line_error(path, error.line() as u64, problem))
        }
        (None, Ok(())) => Ok(()),
    }
}

struct Records<'a, 't> {
    take: &'a mut TakeRecord<'t>,
    since_record: &'a Cell<u64>,
    /// The number of the last record, from 1.
    number: &'a Cell<u64>,
    /// Why it was refused.
    refused: &'a Cell<Option<RecordRefused>>,
}

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(record) = items.next_element::<ForeignRecord>()? {
            self.number.set(self.number.get() + 1);
            self.since_record.set(0);
            if let Err(problem) = (self.take)(record, self.number.get()) {
                self.refused.set(Some(problem));
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
