//! JSON as programs write it that know NaN and infinities: the bare words become texts, since JSON has no numbers for them.

use std::io::{self, BufRead, Read};

/// The longest word that is looked at.
const MAX_WORD: usize = 16;

/// Rewrites the words `NaN`, `Infinity` and `-Infinity` (also `nan` and `inf`) outside of texts to `"NaN"`, `"Infinity"` and
/// `"-Infinity"`. All else stays as it is, whether it is JSON or not.
pub(super) struct BareNumbers<R> {
    reader: R,
    /// What is rewritten and not read yet, from `at`.
    ready: Vec<u8>,
    at: usize,
    place: Place,
    /// The bytes of the word that the last ones read belong to.
    word: Vec<u8>,
}

/// Where the next byte is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Outside,
    /// In a text.
    Text,
    /// In a text, after a backslash.
    Escaped,
    /// In a word that is too long to be one of those that are rewritten.
    LongWord,
}

impl<R: BufRead> BareNumbers<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            ready: Vec::new(),
            at: 0,
            place: Place::Outside,
            word: Vec::new(),
        }
    }

    /// Makes more bytes ready; none at the end.
    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() {
            let read = self.reader.fill_buf()?.to_vec();
            if read.is_empty() {
                self.end_word();
                return Ok(());
            }
            self.reader.consume(read.len());
            read.into_iter().for_each(|byte| self.add(byte));
        }
        Ok(())
    }

    fn add(&mut self, byte: u8) {
        let belongs_to_word = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_');
        match self.place {
            Place::Outside if belongs_to_word => {
                self.word.push(byte);
                if self.word.len() > MAX_WORD {
                    self.ready.append(&mut self.word);
                    self.place = Place::LongWord;
                }
                return;
            }
            Place::LongWord if belongs_to_word => {}
            Place::Outside | Place::LongWord => {
                self.end_word();
                self.place = if byte == b'"' { Place::Text } else { Place::Outside };
            }
            Place::Escaped => self.place = Place::Text,
            Place::Text => {
                self.place = match byte {
                    b'"' => Place::Outside,
                    b'\\' => Place::Escaped,
                    _ => Place::Text,
                };
            }
        }
        self.ready.push(byte);
    }

    fn end_word(&mut self) {
        let text: &[u8] = match self.word.as_slice() {
            b"NaN" | b"nan" | b"-NaN" | b"-nan" => b"\"NaN\"",
            b"Infinity" | b"inf" => b"\"Infinity\"",
            b"-Infinity" | b"-inf" => b"\"-Infinity\"",
            other => other,
        };
        self.ready.extend_from_slice(text);
        self.word.clear();
    }
}

impl<R: BufRead> Read for BareNumbers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for BareNumbers<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.ready.len() {
            self.refill()?;
        }
        Ok(self.ready.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.ready.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn rewritten(text: &[u8], capacity: usize) -> Vec<u8> {
        let mut found = Vec::new();
        let mut reader = BareNumbers::new(BufReader::with_capacity(capacity, text));
        reader.read_to_end(&mut found).unwrap();
        found
    }

    #[test]
    fn bare_words_for_numbers_become_texts() {
        let text =
            r#"{"NaN": NaN, "a \" NaN": [-Infinity,Infinity, nan ,-inf], "b": "\\", "c": inf, "d": nano, "e": 1.5e-7, "f": "NaN"} NaN"#;
        let expected = r#"{"NaN": "NaN", "a \" NaN": ["-Infinity","Infinity", "NaN" ,"-Infinity"], "b": "\\", "c": "Infinity", "d": nano, "e": 1.5e-7, "f": "NaN"} "NaN""#;
        for capacity in [1, 2, 7, 1000] {
            assert_eq!(String::from_utf8(rewritten(text.as_bytes(), capacity)).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn all_else_stays(text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[\"\\\\a-m0-9 \n{}:,.+-]{0,200}".prop_map(String::into_bytes),
        ]) {
            let words = ["nan", "inf", "nfinity"];
            let lower = String::from_utf8_lossy(&text).to_lowercase();
            prop_assume!(!words.iter().any(|word| lower.contains(word)));
            prop_assert_eq!(rewritten(&text, 3), text);
        }
    }
}
