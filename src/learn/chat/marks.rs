//! Marks around the contents of messages, by which they are found in the text that a template makes of them.
//!
//! A mark is made of noncharacters of Unicode, which no text has. It stands within the white space at the ends of a content, because
//! templates strip that.

use std::ops::Range;

use super::python;
use super::{ChatError, Message};

/// The noncharacters that marks are made of.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';
const CONTENT_START: char = '\u{fdd0}';
const CONTENT_END: char = '\u{fdd1}';
/// Around what the assistant says, in templates with tags for it.
pub(super) const SAID_START: char = '\u{fdd2}';
pub(super) const SAID_END: char = '\u{fdd3}';
/// The digit 0 of the number of a message.
const ZERO: u32 = 0xfdd4;
/// How many digits there are.
const DIGITS: usize = 28;
/// The number of digits of a number.
const PLACES: usize = 3;
/// The most turns of a conversation.
pub(super) const MOST_TURNS: usize = 10_000;

/// Which ends of a content are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marking {
    Both,
    /// For templates that ask how a content begins.
    End,
    None,
}

/// Where a content stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentPlace {
    /// The message.
    pub(super) turn: usize,
    /// Unknown where the template has cut the beginning away.
    pub(super) start: Option<usize>,
    pub(super) end: usize,
}

/// A text without its marks, and where they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MarkedText {
    pub(super) text: String,
    /// In their order in the text.
    pub(super) contents: Vec<ContentPlace>,
    /// What the assistant says by the tags of the template.
    pub(super) said: Vec<Range<usize>>,
}

/// Refuses texts in which marks could not be told from the text.
pub(super) fn check(messages: &[Message]) -> Result<(), ChatError> {
    if messages.len() > MOST_TURNS {
        let (found, most) = (messages.len(), MOST_TURNS);
        return Err(ChatError::TooManyTurns { found, most });
    }
    let texts = messages.iter().flat_map(|message| [&message.role, &message.content]);
    let found = texts.flat_map(|text| text.chars()).find(|c| NONCHARACTERS.contains(c));
    found.map_or(Ok(()), |found| Err(ChatError::Noncharacter(found)))
}

/// The content of message number `turn` with its marks.
pub(super) fn marked(content: &str, turn: usize, marking: Marking) -> String {
    let (before, own, after) = python::parts(content);
    let number = number(turn);
    let start = match marking {
        Marking::None => return content.to_owned(),
        Marking::Both => format!("{CONTENT_START}{number}"),
        Marking::End => String::new(),
    };
    format!("{before}{start}{own}{CONTENT_END}{number}{after}")
}

fn number(turn: usize) -> String {
    let digit = |place: u32| char::from_u32(ZERO + (turn / DIGITS.pow(place) % DIGITS) as u32);
    (0..PLACES as u32).filter_map(digit).collect()
}

/// Takes the marks out of `text`.
pub(super) fn read(text: &str) -> MarkedText {
    let (mut found, mut open, mut said) = (MarkedText::default(), Vec::<(usize, usize)>::new(), None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let at = found.text.len();
        match character {
            CONTENT_START => open.extend(read_number(&mut characters).map(|turn| (turn, at))),
            CONTENT_END => {
                let Some(turn) = read_number(&mut characters) else { continue };
                let place = open.iter().rposition(|(opened, _)| *opened == turn);
                let start = place.map(|place| open.swap_remove(place).1);
                found.contents.push(ContentPlace { turn, start, end: at });
            }
            SAID_START => said = Some(at),
            SAID_END => found.said.extend(said.take().map(|start| start..at)),
            // A rest of a mark that the template has cut.
            rest if NONCHARACTERS.contains(&rest) => {}
            character => found.text.push(character),
        }
    }
    found
}

/// The number at the start of `characters`, if it is whole. What is not is left there.
fn read_number(characters: &mut std::str::Chars<'_>) -> Option<usize> {
    let (mut rest, mut turn) = (characters.clone(), 0);
    for place in 0..PLACES as u32 {
        let digit = u32::from(rest.next()?)
            .checked_sub(ZERO)
            .filter(|digit| (*digit as usize) < DIGITS)?;
        turn += digit as usize * DIGITS.pow(place);
    }
    *characters = rest;
    Some(turn)
}

impl MarkedText {
    /// Where the content of message number `turn` stands first.
    pub(super) fn content(&self, turn: usize) -> Option<ContentPlace> {
        self.contents.iter().find(|place| place.turn == turn).copied()
    }

    /// The text from the end of the content at `place` to the next one of another message.
    pub(super) fn after(&self, place: ContentPlace) -> &str {
        let others = self.contents.iter().filter(|other| other.turn != place.turn);
        let starts = others.map(|other| other.start.unwrap_or(other.end));
        let next = starts.filter(|start| *start >= place.end).min().unwrap_or(self.text.len());
        self.text.get(place.end..next).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_where_they_were_put() {
        for turn in [0, 27, 28, 783, MOST_TURNS - 1] {
            let text = marked(" \nä b\t", turn, Marking::Both);
            let found = read(&format!("<{text}>{}", text.trim()));
            assert_eq!(found.text, "< \nä b\t>ä b");
            let place = |start, end| ContentPlace {
                turn,
                start: Some(start),
                end,
            };
            assert_eq!(found.contents, [place(3, 7), place(9, 13)]);
            assert_eq!(found.after(place(3, 7)), "\t>ä b");
        }
    }

    #[test]
    fn an_empty_content_is_marked_and_a_mark_that_was_cut_is_no_text() {
        let found = read(&marked("  ", 5, Marking::Both));
        assert_eq!((found.text.as_str(), found.contents[0].end), ("  ", 2));
        let text = marked("abc", 5, Marking::Both);
        let cut: String = text.chars().skip(2).collect();
        let found = read(&cut);
        assert_eq!(found.text, "abc");
        assert_eq!((found.contents[0].start, found.contents[0].end), (None, 3));
        assert_eq!(read(&marked("abc", 5, Marking::End)), found);
    }

    #[test]
    fn noncharacters_are_refused() {
        assert!(check(&[Message::user("ä\u{fffd}")]).is_ok());
        assert_eq!(check(&[Message::user("\u{fdd5}")]), Err(ChatError::Noncharacter('\u{fdd5}')));
    }
}
