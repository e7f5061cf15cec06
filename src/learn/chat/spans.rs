//! What the assistant says in the text of a conversation, where the template has no tags for it.
//!
//! A turn begins where the prompt for it ends: the text of the conversation before it, with the generation prompt. It ends with what the
//! template writes after its content whether the conversation goes on or not: the mark that ends a turn.

use std::ops::Range;

use super::marks::{ContentPlace, MarkedText};
use super::{ChatError, Message};
use crate::python::is_space;

/// Renders messages, with the generation prompt or without.
pub(super) type Render<'r> = dyn Fn(&[Message], bool) -> Result<MarkedText, ChatError> + 'r;

/// How much of a text a message shows.
const SHOWN: usize = 60;

/// What the assistant says in the conversation `whole` of `messages`, turn by turn.
pub(super) fn compared(messages: &[Message], whole: &MarkedText, render: &Render<'_>) -> Result<Vec<Range<usize>>, ChatError> {
    let assistants = messages.iter().enumerate().filter(|(_, message)| message.is_assistants());
    let last = messages.iter().rposition(Message::is_assistants);
    let mut said: Vec<Range<usize>> = Vec::new();
    for (turn, message) in assistants {
        let is_last = Some(turn) == last;
        let place = whole.content(turn);
        let place = place.ok_or_else(|| unclear(turn, "the template leaves it out, or writes it as another text".to_owned()))?;
        let start = start(messages.get(..turn).unwrap_or_default(), is_last, whole, place, render)?;
        let range = start..end(messages, turn, whole, place, render);
        let text = whole.text.get(range.clone()).unwrap_or_default();
        // What it said before may be cut, as a model will see it so; what is learned last may not.
        if is_last && !without_space(text).contains(&without_space(&message.content)) {
            let why = "the template leaves out a part of it, such as its thinking; write the prompt as a text with `{question}` instead";
            return Err(unclear(turn, why.to_owned()));
        }
        if said.last().is_some_and(|before| before.end > range.start) {
            return Err(unclear(turn, "it begins before the turn before it ends".to_owned()));
        }
        said.push(range);
    }
    Ok(said)
}

/// Why it cannot be told what the assistant says in a turn.
fn unclear(turn: usize, why: String) -> ChatError {
    ChatError::Unclear { turn: turn + 1, why }
}

/// Where the turn after the messages `before` begins: after the prompt for it. `is_last`: the assistant has no other turn after it.
fn start(before: &[Message], is_last: bool, whole: &MarkedText, place: ContentPlace, render: &Render<'_>) -> Result<usize, ChatError> {
    let turn = before.len();
    let prompt = render(before, true);
    let prompt = prompt.map_err(|error| unclear(turn, format!("there is no prompt for it: {error}")))?;
    // Templates may put earlier turns elsewhere, such as what the system says into the last question.
    let mut earlier = (0..turn).rev();
    let shared = earlier.find_map(|turn| Some((whole.content(turn)?.end, prompt.content(turn)?.end)));
    let (in_whole, in_prompt) = shared.unwrap_or_default();
    let between = whole.text.get(in_whole..place.start.unwrap_or(place.end)).unwrap_or_default();
    let asked = prompt.text.get(in_prompt..).unwrap_or_default();
    let header = whole_marks(common_start(between, asked));
    if !is_last && !between.starts_with(asked) && !header.is_empty() {
        // Templates for thinking ask for it, and leave it out of the turns that came before.
        return Ok(in_whole + header.len());
    }
    if !between.starts_with(asked) {
        let why = format!(
            "the prompt for it ends in {:?}, and in the conversation {:?} stands there; write the prompt as a text with `{{question}}` instead",
            shown(asked),
            shown(between)
        );
        return Err(unclear(turn, why));
    }
    Ok(in_whole + asked.len())
}

/// Where the turn ends: after the mark that ends it.
fn end(messages: &[Message], turn: usize, whole: &MarkedText, place: ContentPlace, render: &Render<'_>) -> usize {
    let after = whole.after(place);
    let is_last = turn + 1 == messages.len();
    let mut others = messages.get(..=turn).unwrap_or_default().to_vec();
    if is_last {
        others.push(Message::user("."));
    }
    // Where the template refuses the other conversation, all that follows is the end.
    let other = render(&others, false).ok();
    let other = other.as_ref().and_then(|other| Some(other.after(other.content(turn)?)));
    let both = other.map_or(after, |other| common_start(after, other));
    let mark = whole_marks(both).trim_end();
    place.end + mark.len()
}

/// The text that both begin with.
fn common_start<'t>(one: &'t str, other: &str) -> &'t str {
    let pairs = one.char_indices().zip(other.chars());
    let differs = pairs.take_while(|((_, a), b)| a == b).last();
    let end = differs.map_or(0, |((at, character), _)| at + character.len_utf8());
    one.get(..end).unwrap_or_default()
}

/// The text without a mark at its end that is not whole: `<|im_` of `<|im_start|>`.
fn whole_marks(text: &str) -> &str {
    let open = text.rfind(['<', '[']).filter(|open| {
        let rest = text.get(*open..).unwrap_or_default();
        !rest.contains(['>', ']'])
    });
    text.get(..open.unwrap_or(text.len())).unwrap_or_default()
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !is_space(*c)).collect()
}

/// The end of a text, as a message shows it.
fn shown(text: &str) -> &str {
    let start = text.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default()
}
