//! The place at which a value was written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Location, SourceText};

/// The place at which a value was written: which text (a file, `--set`, a variable), which key and which bytes. Cheap to clone. A
/// value that no text gives, such as a default, has an origin without a place.
#[derive(Clone, Default)]
pub struct ValueOrigin(Option<Arc<WrittenAt>>);

struct WrittenAt {
    /// Counts the values in the order in which they were read.
    number: usize,
    source: Arc<SourceText>,
    /// `None` for an item of a list.
    key: Option<Range<usize>>,
    value: Range<usize>,
}

impl ValueOrigin {
    /// Where the value stands; `None` for a value that no text gives.
    pub fn value(&self) -> Option<Location> {
        self.location(|written| written.value.clone())
    }

    /// Where the value's key stands; for an item of a list, which has no key, where the item stands.
    pub fn key(&self) -> Option<Location> {
        self.location(|written| written.key.clone().unwrap_or_else(|| written.value.clone()))
    }

    /// Where the bytes `part` of the text value `text` stand; the whole value where the source writes it otherwise (with escapes,
    /// or with a template that has been filled in).
    pub fn part(&self, text: &str, part: Range<usize>) -> Option<Location> {
        let mut location = self.value()?;
        let written = location.text();
        let quotes = (written.len().saturating_sub(text.len())) / 2;
        if written.get(quotes..quotes + text.len()) == Some(text) && part.start < part.end {
            let start = location.span.start + quotes;
            location.span = start + part.start..start + part.end;
        }
        Some(location)
    }

    /// The position of the value in the order in which all values were read.
    pub(super) fn number(&self) -> Option<usize> {
        self.0.as_ref().map(|written| written.number)
    }

    fn location(&self, span: impl FnOnce(&WrittenAt) -> Range<usize>) -> Option<Location> {
        let written = self.0.as_ref()?;
        Some(Location {
            source: Arc::clone(&written.source),
            span: span(written),
        })
    }
}

impl PartialEq for ValueOrigin {
    /// Whether both are the same place of the same source.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl fmt::Debug for ValueOrigin {
    /// `x.toml:12`; the text itself would fill the screen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(location) => write!(f, "{location}"),
            None => f.write_str("default"),
        }
    }
}

/// Makes the origins of one experiment, numbered in the order in which the values are read.
#[derive(Debug, Default)]
pub(super) struct OriginCounter {
    count: usize,
}

impl OriginCounter {
    /// The origin of a value of `source`; spans in bytes.
    pub fn origin(&mut self, source: &Arc<SourceText>, key: Option<Range<usize>>, value: Range<usize>) -> ValueOrigin {
        self.count += 1;
        ValueOrigin(Some(Arc::new(WrittenAt {
            number: self.count,
            source: Arc::clone(source),
            key,
            value,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_leads_to_key_value_and_parts() {
        let (name, text) = ("x.toml".to_owned(), "a = \"b{k}\"\n".to_owned());
        let source = Arc::new(SourceText { name, text });
        let mut origins = OriginCounter::default();
        let origin = origins.origin(&source, Some(0..1), 4..10);
        assert_eq!(origin.key().unwrap().text(), "a");
        assert_eq!(origin.value().unwrap().text(), "\"b{k}\"");
        assert_eq!(origin.part("b{k}", 2..3).unwrap().text(), "k");
        assert_eq!(origin.part("b5", 1..2).unwrap().text(), "\"b{k}\"", "filled in: the whole");
        assert_eq!(ValueOrigin::default().value(), None);
    }
}
