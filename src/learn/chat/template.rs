//! A chat template: parsed, limited, rendered.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::marks::{self, MarkedText, Marking};
use super::{ChatError, Date, Message, generation, json, python};
use crate::catch_panic;

/// Special tokens by the names under which templates know them: `bos_token` is `<s>`.
pub type SpecialTokens = BTreeMap<String, String>;

/// The longest template, in bytes. The longest known ones have 20 kB.
const LONGEST_TEMPLATE: usize = 1 << 20;
/// The longest text of a conversation, in bytes.
const LONGEST_TEXT: usize = 16 << 20;
/// What a template may compute for one conversation: so many steps, and so many times 64 bytes of memory.
const FUEL: u64 = 1 << 21;
/// How far parts of a template may be within each other.
const DEEPEST: usize = 200;
/// The name of the template within its environment.
const NAME: &str = "chat_template";
/// The variable that turns the marks around the text of the assistant on.
const IS_MARKED: &str = "the_assistants_turns_are_marked";

/// A chat template that is ready to be rendered.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    special_tokens: SpecialTokens,
    /// Whether it marks the text of the assistant with `{% generation %}`.
    is_tagged: bool,
}

/// A conversation as a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedChat {
    pub text: String,
    /// Where the text is that of a turn of another role than the assistant's, as far as it is known: control tokens in it are text.
    pub filled: Vec<Range<usize>>,
    /// Where the text is that of a turn of the assistant's: control tokens in it are text, and marks such as `<think>` are tokens.
    pub written: Vec<Range<usize>>,
    /// What the assistant says, with what ends its turn: what a model learns from. Empty where it was not asked for.
    pub said: Vec<Range<usize>>,
}

/// The source of an error of a template.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("the template raises {0:?}")]
    Raised(String),
    #[error("no date")]
    NoDate,
}

impl ChatTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// When it is too long, or no template.
    pub fn parse(text: &str, special_tokens: &SpecialTokens) -> Result<Self, ChatError> {
        let (found, most) = (text.len(), LONGEST_TEMPLATE);
        if found > most {
            return Err(ChatError::TooLong { found, most });
        }
        if generation::multiplies(text) {
            return Err(ChatError::Multiplies);
        }
        let (text, is_tagged) = generation::replaced(text);
        let read = || {
            let mut environment = environment()?;
            environment.add_template_owned(NAME, text)?;
            Ok(environment)
        };
        let panicked = |panicked: catch_panic::Panicked| ChatError::Syntax {
            line: 0,
            problem: panicked.to_string(),
        };
        let environment = catch_panic::call(read).map_err(panicked)?;
        let environment = environment.map_err(|error: Error| ChatError::Syntax {
            line: error.line().unwrap_or_default(),
            problem: words(&error),
        })?;
        Ok(Self {
            environment: Arc::new(environment),
            special_tokens: special_tokens.clone(),
            is_tagged,
        })
    }

    /// The text of a conversation, as `apply_chat_template` of Transformers gives it. With `add_generation_prompt` it ends where the assistant
    /// is to go on. `date` is what the template writes as today's date.
    ///
    /// # Errors
    /// When the template fails, refuses the conversation, wants a date and gets none, or takes too much.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool, date: Option<Date>) -> Result<String, ChatError> {
        let contents = messages.iter().map(|message| message.content.clone());
        self.write(messages, contents, add_generation_prompt, date, false)
    }

    /// The prompt with which the assistant is asked to go on, and where the contents of the messages stand in it.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn prompt(&self, messages: &[Message], date: Option<Date>) -> Result<RenderedChat, ChatError> {
        let found = self.placed(messages, true, date)?.0;
        Ok(places(messages, found))
    }

    /// The text of a conversation, and what the assistant says in it: by the tags `{% generation %}` if the template has any, and else by
    /// comparing the text with those of shorter conversations.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`], and when it cannot be told what the assistant says.
    pub fn render_with_spans(&self, messages: &[Message], date: Option<Date>) -> Result<RenderedChat, ChatError> {
        if !messages.iter().any(Message::is_assistants) {
            return Err(ChatError::NoAnswer);
        }
        let (whole, markings) = self.placed(messages, false, date)?;
        let said = if self.is_tagged {
            tagged(messages, &whole)?
        } else {
            let render = |messages: &[Message], add_generation_prompt: bool| {
                let markings = markings.iter().copied().chain(std::iter::repeat(Marking::Both));
                self.marked(messages, markings, add_generation_prompt, date)
            };
            super::spans::compared(messages, &whole, &render)?
        };
        Ok(RenderedChat {
            said,
            ..places(messages, whole)
        })
    }

    /// The text of a conversation with the places of its contents, and which of their ends could be marked.
    fn placed(&self, messages: &[Message], prompt: bool, date: Option<Date>) -> Result<(MarkedText, Vec<Marking>), ChatError> {
        marks::check(messages)?;
        let plain = self.render(messages, prompt, date)?;
        let mut markings = vec![Marking::Both; messages.len()];
        let is_plain = |found: &Result<MarkedText, ChatError>| found.as_ref().is_ok_and(|found| found.text == plain);
        let mut found = self.marked(messages, markings.iter().copied(), prompt, date);
        if !is_plain(&found) {
            // The template looks into a content; the marks of the others are kept.
            markings.fill(Marking::None);
            for turn in 0..messages.len() {
                for marking in [Marking::Both, Marking::End, Marking::None] {
                    markings.get_mut(turn).into_iter().for_each(|place| *place = marking);
                    found = self.marked(messages, markings.iter().copied(), prompt, date);
                    if is_plain(&found) {
                        break;
                    }
                }
            }
        }
        Ok((found?, markings))
    }

    /// The text of a conversation with marks around its contents and what the assistant says.
    fn marked(
        &self,
        messages: &[Message],
        markings: impl Iterator<Item = Marking>,
        prompt: bool,
        date: Option<Date>,
    ) -> Result<MarkedText, ChatError> {
        let contents = messages.iter().zip(markings).enumerate();
        let contents = contents.map(|(turn, (message, marking))| marks::marked(&message.content, turn, marking));
        Ok(marks::read(&self.write(messages, contents, prompt, date, true)?))
    }

    /// Renders the template for `messages` with the `contents` in place of theirs.
    fn write(
        &self,
        messages: &[Message],
        contents: impl Iterator<Item = String>,
        prompt: bool,
        date: Option<Date>,
        is_marked: bool,
    ) -> Result<String, ChatError> {
        let message = |(message, content): (&Message, String)| {
            Value::from_pairs([("role", Value::from(&message.role)), ("content", Value::from(content))])
        };
        let messages: Vec<Value> = messages.iter().zip(contents).map(message).collect();
        let tokens = self.special_tokens.iter().map(|(name, text)| (name.as_str(), Value::from(text)));
        let variables = [
            ("messages", Value::from(messages)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(prompt)),
            ("strftime_now", Value::from_function(move |format: &str| written(date, format))),
            (IS_MARKED, Value::from(is_marked)),
        ];
        let variables = Value::from_pairs(tokens.chain(variables));
        let mut out = LimitedText::default();
        let write = || {
            let template = self.environment.get_template(NAME)?;
            template.render_captured_to(variables, &mut out).map(drop)
        };
        let ended = catch_panic::call(write).map_err(|panicked| ChatError::Failed {
            line: 0,
            problem: panicked.to_string(),
        })?;
        if out.is_full {
            return Err(ChatError::TooMuch { most: LONGEST_TEXT });
        }
        ended.map_err(|error| failure(&error))?;
        String::from_utf8(out.bytes).map_err(|error| ChatError::Failed {
            line: 0,
            problem: error.to_string(),
        })
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("special_tokens", &self.special_tokens)
            .finish_non_exhaustive()
    }
}

/// What templates find, as in Transformers.
fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEEPEST);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter(generation::FILTER, said);
    environment.add_function("raise_exception", raise);
    python::add(&mut environment);
    Ok(environment)
}

/// Marks what the assistant says, if it is to be marked.
fn said(state: &State<'_, '_>, text: &str) -> String {
    if state.lookup(IS_MARKED).is_some_and(|is_marked| is_marked.is_true()) {
        format!("{}{text}{}", marks::SAID_START, marks::SAID_END)
    } else {
        text.to_owned()
    }
}

fn raise(message: &str) -> Result<Value, Error> {
    let error = Error::new(ErrorKind::InvalidOperation, "the template raises an error");
    Err(error.with_source(Cause::Raised(message.to_owned())))
}

/// Today's date as a template writes it.
fn written(date: Option<Date>, format: &str) -> Result<String, Error> {
    let Some(date) = date else {
        return Err(Error::new(ErrorKind::InvalidOperation, "there is no date").with_source(Cause::NoDate));
    };
    date.written(format).map_err(|problem| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("a date cannot be written as {format:?}: {problem}"),
        )
    })
}

fn failure(error: &Error) -> ChatError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        match error.downcast_ref() {
            Some(Cause::Raised(message)) => return ChatError::Raised(message.clone()),
            Some(Cause::NoDate) => return ChatError::NoDate,
            None => source = error.source(),
        }
    }
    match error.kind() {
        ErrorKind::OutOfFuel => ChatError::OutOfFuel,
        _ => ChatError::Failed {
            line: error.line().unwrap_or_default(),
            problem: words(error),
        },
    }
}

fn words(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

/// Where the contents of the messages stand.
fn places(messages: &[Message], found: MarkedText) -> RenderedChat {
    let mut chat = RenderedChat::default();
    for place in &found.contents {
        let Some(message) = messages.get(place.turn) else { continue };
        let own = python::parts(&message.content).1;
        let before = found.text.get(..place.end).unwrap_or_default();
        let start = place.start.or_else(|| before.ends_with(own).then(|| place.end - own.len()));
        let list = if message.is_assistants() {
            &mut chat.written
        } else {
            &mut chat.filled
        };
        list.extend(start.map(|start| start..place.end).filter(|place| !place.is_empty()));
    }
    RenderedChat { text: found.text, ..chat }
}

/// What the assistant says by the tags of the template.
fn tagged(messages: &[Message], whole: &MarkedText) -> Result<Vec<Range<usize>>, ChatError> {
    let said: Vec<Range<usize>> = whole.said.iter().filter(|said| !said.is_empty()).cloned().collect();
    if said.is_empty() {
        let turn = messages.iter().position(Message::is_assistants).unwrap_or_default() + 1;
        let why = "the template has tags for it (`{% generation %}`), and none is around it".to_owned();
        return Err(ChatError::Unclear { turn, why });
    }
    Ok(said)
}

/// A text that does not grow beyond its limit.
#[derive(Default)]
struct LimitedText {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for LimitedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > LONGEST_TEXT - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
