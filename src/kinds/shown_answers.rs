//! A few answers of a model that has just been trained, for the log of its training.

use std::io::Write;

use lab::stage::StageContext;
use lab::text::shortened;
use learn::dataset::Row;
use learn::model::{Model, Prompter};
use learn::sampler::{self, Request, Sampling, SamplingRun};

/// The number of rows that the model is asked.
const ROWS: usize = 3;

/// The longest answer, in tokens.
const MAX_TOKENS: usize = 128;

/// The longest question or answer in the log, in characters.
const MAX_CHARS: usize = 300;

/// Asks the model a few of the rows, always the likeliest token, and writes its answers into the stage's log. That is for people alone:
/// where it fails, nothing is written. It takes a moment of what a training takes.
pub(super) fn show(model: &Model, prompter: &Prompter, rows: &[Row], sampling: &Sampling, context: &StageContext<'_>) {
    let shown: Vec<&Row> = rows.iter().step_by((rows.len() / ROWS).max(1)).take(ROWS).collect();
    let request = |row: &&Row| {
        Some(Request {
            prompt: prompter.ask(row, &row.prompt, row.step_num).ok()?,
            stream: row.id.clone(),
            max_tokens: MAX_TOKENS,
        })
    };
    let Some(requests) = shown.iter().map(request).collect::<Option<Vec<_>>>() else {
        return;
    };
    let run = SamplingRun {
        threads: context.threads,
        device: context.device,
        memory: context.memory,
        answered: &|_, _| (),
        progress: &|_| (),
        stop: context.stop,
    };
    let Ok(responses) = sampler::sample(model, &requests, sampling, &run) else {
        return;
    };
    let text = |text: &str| shortened(&text.trim().replace('\n', " ⏎ "), MAX_CHARS);
    let mut lines = String::new();
    for (row, response) in shown.iter().zip(responses) {
        let end = if response.finished { "" } else { " …" };
        lines += &format!("asked    {}\nanswered {}{end}\n", text(&row.prompt), text(&response.text));
    }
    // If the log cannot be written, the lines are lost.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
