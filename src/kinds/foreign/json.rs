//! JSON: an object a line, or one list of objects.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::{ForeignRecord, RecordRefused, TakeRecord, line_error};
use learn::dataset::{self, DatasetError};

/// JSON Lines.
pub(super) fn lines(path: &Path, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let mut records = dataset::open::<ForeignRecord>(path)?;
    while let Some(record) = records.next() {
        let record = record?;
        let line = records.line();
        take(record, line).map_err(|problem| line_error(path, line, problem))?;
    }
    Ok(())
}

/// A list; one record is in memory at a time.
pub(super) fn list(path: &Path, take: &mut TakeRecord<'_>) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|cause| dataset::file_error("open", path, cause))?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    let refused = RefCell::new(None);
    let records = Records { take, refused: &refused };
    let read = records.deserialize(&mut reader).and_then(|()| reader.end());
    match (refused.into_inner(), read) {
        (Some((number, problem)), read) => {
            let line = read.map_or_else(|error| error.line() as u64, |()| 1);
            Err(line_error(path, line, format!("record {number} of the list: {problem}")))
        }
        (None, Err(error)) => {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            Err(line_error(
                path,
                error.line() as u64,
                format!("{what} at column {}", error.column()),
            ))
        }
        (None, Ok(())) => Ok(()),
    }
}

struct Records<'a, 't> {
    take: &'a mut TakeRecord<'t>,
    /// The number of a refused record, and the reason.
    refused: &'a RefCell<Option<(u64, RecordRefused)>>,
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
        let mut number = 0;
        while let Some(record) = items.next_element::<ForeignRecord>()? {
            number += 1;
            if let Err(problem) = (self.take)(record, number) {
                *self.refused.borrow_mut() = Some((number, problem));
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
