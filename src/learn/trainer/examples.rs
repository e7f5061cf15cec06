//! Rows as tokens, and batches of them.

use super::{TrainError, TrainingData};
use crate::dataset::{Prompt, Row};
use crate::engine::{Batch, IGNORED, Sequence};
use crate::model::ModelShape;
use crate::tokenizer::{Cursor, Tokenizer, TokenizerStyle};

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
        let template = template.to_owned();
        texts.extend(prompts(data.vocabulary, &Prompt { template }));
    }
    let rows = data.rows.iter().chain(data.vocabulary);
    let completions = rows.map(|row| row.completion.as_str());
    let texts = texts.iter().map(String::as_str).chain(completions);
    Ok(Tokenizer::build(style, texts)?)
}

/// A row as tokens: prompt, completion and end, with their positions.
struct Example {
    tokens: Vec<u32>,
    /// Number of tokens of the prompt.
    prompt: usize,
    lines: Vec<u32>,
    columns: Vec<u32>,
}

/// All rows as tokens, in the order of the rows.
pub(super) struct Examples<'a> {
    rows: &'a [Row],
    examples: Vec<Example>,
}

impl<'a> Examples<'a> {
    /// Tokenises `rows`, prompt and completion separately.
    pub(super) fn new(rows: &'a [Row], prompt: &Prompt, tokenizer: &Tokenizer, shape: &ModelShape) -> Result<Self, TrainError> {
        let examples = rows.iter().map(|row| {
            let prompt = prompt.fill(&row.prompt, row.step_num);
            let mut tokens = tokenizer.prompt(&prompt.text, &prompt.filled)?;
            let prompt = tokens.len();
            tokens.extend(tokenizer.encode(&row.completion)?);
            tokens.push(tokenizer.end());
            let (lines, columns) = Cursor::default().positions(tokenizer, &tokens, shape.lines, shape.columns);
            Ok(Example {
                tokens,
                prompt,
                lines,
                columns,
            })
        });
        let examples = Self {
            rows,
            examples: examples.collect::<Result<_, TrainError>>()?,
        };
        examples.check(shape.context)?;
        Ok(examples)
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

    /// Checks that the tokenizer has a token for everything in the rows.
    pub(super) fn check_known(&self, prompt: &Prompt, tokenizer: &Tokenizer) -> Result<(), TrainError> {
        let rows = self.rows.iter().zip(&self.examples);
        for (row, _) in rows.filter(|(_, example)| tokenizer.may_lack(&example.tokens)) {
            let prompt = prompt.fill(&row.prompt, row.step_num);
            let (unknown, text) = match tokenizer.unknown_in_prompt(&prompt.text, &prompt.filled)? {
                Some(unknown) => (Some(unknown), prompt.text.as_str()),
                None => (tokenizer.unknown_in_text(&row.completion)?, row.completion.as_str()),
            };
            if let Some(unknown) = unknown {
                return Err(TrainError::Unknown {
                    row: row.id.clone(),
                    line: text.lines().find(|line| line.contains(&unknown)).unwrap_or(text).to_owned(),
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

    /// The sizes of the rows with these numbers, for estimates of memory.
    pub(super) fn sequences(&self, numbers: &[usize]) -> Vec<Sequence> {
        let examples = numbers.iter().filter_map(|&number| self.examples.get(number));
        let sequence = |example: &Example| {
            let tokens = example.tokens.len() - 1;
            let trained = tokens + 1 - example.prompt.max(1);
            Sequence { tokens, trained }
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

    /// The batch of the rows with these numbers. Every token except the last is an input, and the next token is its target if it belongs to the
    /// completion or ends it.
    pub(super) fn batch(&self, numbers: &[usize]) -> Batch {
        let mut batch = Batch::default();
        for example in numbers.iter().filter_map(|&number| self.examples.get(number)) {
            let read = example.tokens.len() - 1;
            let targets = example.tokens.iter().enumerate().skip(1);
            batch
                .targets
                .extend(targets.map(|(i, &token)| if i < example.prompt { IGNORED } else { token }));
            batch.tokens.extend(example.tokens.iter().take(read));
            batch.lines.extend(example.lines.iter().take(read));
            batch.columns.extend(example.columns.iter().take(read));
            batch.lengths.push(read);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Doc;
    use crate::model::Architecture;

    fn row(id: &str, prompt: &str, completion: &str) -> Row {
        Row {
            id: id.to_owned(),
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            step_num: 1,
            answer: 3.into(),
            doc: Doc::default(),
        }
    }

    fn data(rows: &[Row]) -> TrainingData<'_> {
        TrainingData {
            rows,
            vocabulary: &[],
            base: None,
        }
    }

    #[test]
    fn only_the_completion_and_its_end_are_trained_on() {
        let rows = [row("a", "1+2", "=3"), row("b", "4+4", "=8")];
        let prompt = Prompt {
            template: "{question}:".to_owned(),
        };
        let tokenizer = tokenizer(TokenizerStyle::Phrase, &data(&rows), &prompt).unwrap();
        let shape = Architecture::default().shape(tokenizer.vocabulary()).unwrap();
        let batch = Examples::new(&rows, &prompt, &tokenizer, &shape).unwrap().batch(&[1, 0]);
        let text = |tokens: &[u32]| -> Vec<String> {
            let token = |token: &u32| match *token {
                IGNORED => "-".to_owned(),
                token => tokenizer.decode(&[token]).unwrap(),
            };
            tokens.iter().map(token).collect()
        };
        assert_eq!(text(&batch.tokens), ["4", "+", "4", ":", "=", "8", "1", "+", "2", ":", "=", "3"]);
        assert_eq!(
            text(&batch.targets),
            ["-", "-", "-", "=", "8", "<eos>", "-", "-", "-", "=", "3", "<eos>"]
        );
        assert_eq!(batch.lines, [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!(batch.columns, [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1]);
        assert_eq!(batch.lengths, [6, 6]);
        let sequence = Sequence { tokens: 6, trained: 3 };
        assert_eq!(
            Examples::new(&rows, &prompt, &tokenizer, &shape).unwrap().sequences(&[1, 0]),
            [sequence; 2]
        );
    }

    #[test]
    fn rows_beyond_the_context_are_named() {
        let rows: Vec<Row> = (0..8).map(|i| row(&format!("r{i}"), "1+2", "=33333")).collect();
        let prompt = Prompt {
            template: "{question}:".to_owned(),
        };
        let tokenizer = tokenizer(TokenizerStyle::Char, &data(&rows), &prompt).unwrap();
        let architecture = Architecture {
            context: 8,
            ..Architecture::default()
        };
        let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
        let error = Examples::new(&rows, &prompt, &tokenizer, &shape).err().unwrap();
        insta::assert_snapshot!(error, @r#"8 rows are longer than the model's context of 8 tokens, the longest has 11 (rows "r0", "r1", "r2", "r3", "r4" and 3 more); raise `context` of the model or leave them out"#);
    }
}
