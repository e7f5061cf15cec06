//! Rows as tokens, and batches of them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{TrainError, TrainingData};
use crate::chat::RenderedChat;
use crate::dataset::{FilledPrompt, Prompt, Row};
use crate::engine::{Batch, IGNORED, Sequence};
use crate::model::{ModelShape, Places, Prompter};
use crate::positions::{self, PlaceMap, PlacedToken, TokenRows};
use crate::seed::Stream;
use crate::tokenizer::{ConversationText, ConversationTokens, Tokenizer, TokenizerStyle};

/// The largest number of rows that a message names.
const MAX_NAMED_ROWS: usize = 5;

/// The rendered prompts of `rows`.
fn prompts(rows: &[Row], prompt: &Prompt) -> Vec<String> {
    let rows = rows.iter();
    rows.map(|row| prompt.render(&row.prompt, row.step_num)).collect()
}

/// The tokenizer for training on `data`. The rows of its vocabulary are also rendered with both prompts of the method, since a training
/// that starts from this model may use another prompt.
pub(super) fn tokenizer(style: TokenizerStyle, data: &TrainingData<'_>, prompt: &Prompt) -> Result<Tokenizer, TrainError> {
    let mut texts = prompts(data.rows, prompt);
    for template in [Prompt::PLAIN, Prompt::NUMBERED, &prompt.template] {
        texts.extend(prompts(data.vocabulary, &Prompt::text(template)));
    }
    let rows = data.rows.iter().chain(data.vocabulary);
    let completions = rows.map(|row| row.completion.as_str());
    let texts = texts.iter().map(String::as_str).chain(completions);
    Ok(Tokenizer::build(style, texts)?)
}

/// A row as tokens, with their positions.
struct Example {
    tokens: Vec<u32>,
    /// The tokens that are trained on: completion and end, or the turns of the model in a chat.
    trained: Vec<Range<usize>>,
    /// As in [`Batch`].
    lines: Vec<u32>,
    columns: Vec<u32>,
    /// The indices of the tokens; empty for a model that knows no places.
    indices: Vec<u32>,
}

/// Which rows of the tables stand for the places of a batch's tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum BatchPlaces {
    /// Those of use, for all sequences.
    OfUse,
    /// Random ones for each sequence, from the streams of a training's seed and the number of the batch.
    Drawn { seed: u64, batch: u64 },
}

impl Example {
    /// Prompt, completion and end; prompt and completion are tokenised separately.
    fn completed(row: &Row, prompt: &FilledPrompt, tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<Range<usize>>), TrainError> {
        let mut tokens = tokenizer.prompt(&prompt.text, &prompt.filled)?;
        let start = tokens.len();
        tokens.extend(tokenizer.encode(&row.completion)?);
        tokens.push(tokenizer.end());
        let trained = start..tokens.len();
        Ok((tokens, vec![trained]))
    }

    /// A conversation up to the model's last word.
    fn said(chat: &RenderedChat, tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<Range<usize>>), TrainError> {
        let ConversationTokens { mut tokens, said } = tokenizer.conversation(text_of(chat))?;
        let mut trained = said;
        if let Some(last) = trained.last_mut() {
            tokens.truncate(last.end);
            // A template without a mark for the end of a turn would leave a model that never ends one.
            let has_end = last.start < last.end && tokens.last().is_some_and(|token| tokenizer.is_control(*token));
            if !has_end {
                tokens.push(tokenizer.end());
                last.end = tokens.len();
            }
        }
        trained.retain(|part| part.start < part.end);
        Ok((tokens, trained))
    }

    /// The highest index of a token.
    fn top(&self) -> usize {
        self.indices.iter().max().map_or(0, |index| *index as usize)
    }

    /// Number of tokens that are targets; the first of all is none.
    fn targets(&self) -> usize {
        self.trained.iter().map(|part| part.end - part.start.max(1)).sum()
    }
}

/// A conversation as the tokenizer reads it.
fn text_of(chat: &RenderedChat) -> ConversationText<'_> {
    ConversationText {
        text: &chat.text,
        filled: &chat.filled,
        written: &chat.written,
        said: &chat.said,
    }
}

/// All rows as tokens, in the order of the rows.
pub(super) struct Examples<'a> {
    rows: &'a [Row],
    examples: Vec<Example>,
    /// The places that the model knows, if it knows any.
    places: Option<Places>,
}

impl<'a> Examples<'a> {
    /// Tokenises `rows`.
    pub(super) fn new(rows: &'a [Row], prompter: &Prompter, tokenizer: &Tokenizer, shape: &ModelShape) -> Result<Self, TrainError> {
        let examples = rows.iter().map(|row| {
            let failed = |error| TrainError::chat(row, error);
            let (tokens, trained) = match prompter.conversation(row).map_err(failed)? {
                Some(chat) => Example::said(&chat, tokenizer)?,
                None => Example::completed(row, &prompter.ask(row, &row.prompt, row.step_num).map_err(failed)?, tokenizer)?,
            };
            let prompt = trained.first().map_or(tokens.len(), |part| part.start);
            let placed = positions::placed(shape, tokenizer, &tokens, prompt);
            let TokenRows {
                tokens, lines, columns, ..
            } = TokenRows::new(shape, None, &placed);
            let indices = placed.iter().filter(|_| shape.places.is_some());
            Ok(Example {
                tokens,
                trained,
                lines,
                columns,
                indices: indices.map(PlacedToken::index).collect(),
            })
        });
        let examples = Self {
            rows,
            examples: examples.collect::<Result<_, TrainError>>()?,
            places: shape.places,
        };
        examples.check(shape.context)?;
        examples.check_places()?;
        Ok(examples)
    }

    /// The control tokens that end what is trained on, in the order of their numbers: a model that has learned them ends its answers so.
    pub(super) fn ends(&self, tokenizer: &Tokenizer) -> BTreeSet<u32> {
        let parts = self
            .examples
            .iter()
            .flat_map(|example| example.trained.iter().map(move |part| (example, part.end)));
        let last = parts.filter_map(|(example, end)| example.tokens.get(end.checked_sub(1)?));
        last.copied().filter(|token| tokenizer.is_control(*token)).collect()
    }

    fn check(&self, context: usize) -> Result<(), TrainError> {
        let lengths = self.lengths();
        let long: Vec<usize> = (0..lengths.len())
            .filter(|&i| lengths.get(i).is_some_and(|length| *length > context))
            .collect();
        match lengths.into_iter().max() {
            Some(longest) if longest > context => Err(TrainError::TooLong {
                count: long.len(),
                context,
                longest,
                rows: self.ids(&long),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the model has rows for all places.
    fn check_places(&self) -> Result<(), TrainError> {
        let Some(places) = self.places else { return Ok(()) };
        let beyond = self.examples.iter().enumerate().filter(|(_, example)| example.top() > places.top);
        let beyond: Vec<usize> = beyond.map(|(number, _)| number).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        Err(TrainError::BeyondTop {
            count: beyond.len(),
            top: places.top,
            highest: self.examples.iter().map(Example::top).max().unwrap_or(0),
            rows: self.ids(&beyond),
        })
    }

    /// Checks that the tokenizer has a token for everything in the rows.
    pub(super) fn check_known(&self, prompter: &Prompter, tokenizer: &Tokenizer) -> Result<(), TrainError> {
        let rows = self.rows.iter().zip(&self.examples);
        for (row, _) in rows.filter(|(_, example)| tokenizer.may_lack(&example.tokens)) {
            if let Some((unknown, text)) = unknown(row, prompter, tokenizer)? {
                return Err(TrainError::Unknown {
                    row: row.id.clone(),
                    line: text.lines().find(|line| line.contains(&unknown)).unwrap_or(&text).to_owned(),
                    text: unknown,
                });
            }
        }
        Ok(())
    }

    /// Tokens of each row, prompt and end included. [rows]
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.examples.iter().map(|example| example.tokens.len()).collect()
    }

    /// Number of tokens of all rows that are targets.
    pub(super) fn targets(&self) -> usize {
        self.examples.iter().map(Example::targets).sum()
    }

    /// The sizes of the rows with these numbers, for estimates of memory.
    pub(super) fn sequences(&self, numbers: &[usize]) -> Vec<Sequence> {
        let examples = numbers.iter().filter_map(|&number| self.examples.get(number));
        let sequence = |example: &Example| {
            let tokens = example.tokens.len() - 1;
            Sequence {
                tokens,
                trained: example.targets(),
            }
        };
        examples.map(sequence).collect()
    }

    /// The rows with these numbers, as a message names them: `"2_2/1", "2_2/7" and 3 more`.
    pub(super) fn ids(&self, numbers: &[usize]) -> String {
        let named = numbers.iter().take(MAX_NAMED_ROWS).filter_map(|&number| self.rows.get(number));
        let named: Vec<String> = named.map(|row| format!("\"{}\"", row.id)).collect();
        match numbers.len().saturating_sub(MAX_NAMED_ROWS) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// The batch of the rows with these numbers. Every token except the last is an input, and the next token is its target if it is trained on.
    pub(super) fn batch(&self, numbers: &[usize], places: BatchPlaces) -> Batch {
        let mut batch = Batch::default();
        let examples = numbers.iter().filter_map(|&number| self.examples.get(number));
        for (place, example) in examples.enumerate() {
            let read = example.tokens.len() - 1;
            let first = batch.targets.len();
            batch.targets.resize(first + read, IGNORED);
            for part in &example.trained {
                for at in part.start.max(1)..part.end {
                    if let (Some(target), Some(token)) = (batch.targets.get_mut(first + at - 1), example.tokens.get(at)) {
                        *target = *token;
                    }
                }
            }
            batch.tokens.extend(example.tokens.iter().take(read));
            batch.lines.extend(example.lines.iter().take(read));
            batch.columns.extend(example.columns.iter().take(read));
            if let Some(map) = self.map(example, places, place) {
                batch
                    .places
                    .extend(example.indices.iter().take(read).flat_map(|index| map.rows(*index)));
            }
            batch.lengths.push(read);
        }
        batch
    }

    /// The rows of places for an example that has this place in its batch; `None` for a model that knows no places.
    fn map(&self, example: &Example, batch: BatchPlaces, place: usize) -> Option<PlaceMap> {
        let places = self.places?;
        Some(match batch {
            BatchPlaces::OfUse => PlaceMap::middle(places),
            BatchPlaces::Drawn { seed, batch } => {
                let mut stream = Stream::new(seed, &format!("places/{batch}/{place}"));
                PlaceMap::drawn(places, example.top(), &mut stream)
            }
        })
    }
}

/// The first part of a row for which there is no token, and the text that it is in; `None` if all is known.
fn unknown(row: &Row, prompter: &Prompter, tokenizer: &Tokenizer) -> Result<Option<(String, String)>, TrainError> {
    let failed = |error| TrainError::chat(row, error);
    if let Some(chat) = prompter.conversation(row).map_err(failed)? {
        let unknown = tokenizer.unknown_in_conversation(text_of(&chat))?;
        return Ok(unknown.map(|unknown| (unknown, chat.text)));
    }
    let prompt = prompter.ask(row, &row.prompt, row.step_num).map_err(failed)?;
    if let Some(unknown) = tokenizer.unknown_in_prompt(&prompt.text, &prompt.filled)? {
        return Ok(Some((unknown, prompt.text)));
    }
    let unknown = tokenizer.unknown_in_text(&row.completion)?;
    Ok(unknown.map(|unknown| (unknown, row.completion.clone())))
}

#[cfg(test)]
mod tests;
