//! Where each value was written.
//!
//! figment carries a tag with every value through merging, templates and deserialisation. It means the tag to name a layer; here
//! each value of each source gets a tag of its own, which leads to the file, the key and the bytes of the value.

use std::ops::Range;
use std::sync::Arc;

use figment::value::{Tag, Value};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::{Location, Source};

/// Our tags count from here, far from those that figment gives out itself.
const FIRST: u64 = 1 << 48;

/// The places of all values of an experiment, by their tags.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<Place>);

#[derive(Clone, Debug)]
struct Place {
    source: Arc<Source>,
    /// Nothing for an item of a list.
    key: Option<Range<usize>>,
    value: Range<usize>,
}

impl Origins {
    /// A new tag for a value of `source`; spans in bytes.
    pub(super) fn tag(&mut self, source: &Arc<Source>, key: Option<Range<usize>>, value: Range<usize>) -> Tag {
        let number = FIRST + self.0.len() as u64;
        self.0.push(Place {
            source: Arc::clone(source),
            key,
            value,
        });
        let deserializer: serde::de::value::U64Deserializer<serde::de::value::Error> = number.into_deserializer();
        Tag::deserialize(deserializer).unwrap_or_default()
    }

    fn place(&self, tag: Tag) -> Option<&Place> {
        self.0.get(number(tag)?)
    }

    /// Where the value stands; nothing for a value that no text gave.
    pub fn value(&self, tag: Tag) -> Option<Location> {
        let place = self.place(tag)?;
        Some(Location {
            source: Arc::clone(&place.source),
            span: place.value.clone(),
        })
    }

    /// Where the value's key stands (an item of a list has none: the item itself).
    pub fn key(&self, tag: Tag) -> Option<Location> {
        let place = self.place(tag)?;
        let span = place.key.clone().unwrap_or_else(|| place.value.clone());
        Some(Location {
            source: Arc::clone(&place.source),
            span,
        })
    }

    /// Where the bytes `part` of the text value `text` stand; the whole value where the source writes it otherwise (with escapes,
    /// or with a template that has been filled in).
    pub fn part(&self, tag: Tag, text: &str, part: Range<usize>) -> Option<Location> {
        let mut location = self.value(tag)?;
        let written = location.text();
        let quotes = (written.len().saturating_sub(text.len())) / 2;
        if written.get(quotes..quotes + text.len()) == Some(text) && part.start < part.end {
            let start = location.span.start + quotes;
            location.span = start + part.start..start + part.end;
        }
        Some(location)
    }
}

/// Position in [`Origins`]: sorts values in the order in which they were read.
pub(super) fn number(tag: Tag) -> Option<usize> {
    let number = Value::from(tag).to_u128()?.checked_sub(u128::from(FIRST))?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_leads_to_key_value_and_parts() {
        let (name, text) = ("x.toml".to_owned(), "a = \"b{k}\"\n".to_owned());
        let source = Arc::new(Source { name, text });
        let mut origins = Origins::default();
        let tag = origins.tag(&source, Some(0..1), 4..10);
        assert_eq!(origins.key(tag).unwrap().text(), "a");
        assert_eq!(origins.value(tag).unwrap().text(), "\"b{k}\"");
        assert_eq!(origins.part(tag, "b{k}", 2..3).unwrap().text(), "k");
        assert_eq!(origins.part(tag, "b5", 1..2).unwrap().text(), "\"b{k}\"", "filled in: the whole");
        assert_eq!(origins.value(Tag::Default), None);
    }
}
