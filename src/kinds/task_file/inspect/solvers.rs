//! What Inspect's solvers make of a question.

use super::super::task::Task;
use super::super::toml::Toml;
use super::super::yaml::{Data, Map, Yaml, get};
use super::{Fields, LETTERS};

const CHAIN_OF_THOUGHT: &str = "\n{prompt}\n\nBefore answering, reason in a step-by-step manner as to get the right answer. Provide your answer at the end on \
                                its own line in the form \"ANSWER: $ANSWER\" (without quotes) where $ANSWER is the answer to the question.\n";
const MULTIPLE_CHOICE: &str = "Answer the following multiple choice question. The entire content of your response should be of the following format: \
                               'ANSWER: $LETTER' (without quotes) where LETTER is one of {letters}.\n\n{question}\n\n{choices}";
const MULTIPLE_CHOICE_COT: &str = "Answer the following multiple choice question. The last line of your response should be of the following format: \
                                   'ANSWER: $LETTER' (without quotes) where LETTER is one of {letters}. Think step by step before \
                                   answering.\n\n{question}\n\n{choices}";

/// The question after all solvers.
pub(super) fn question(map: &Map, fields: &Fields, task: &mut Task) -> String {
    let mut question = format!("{{{{{}}}}}", fields.input);
    let Some(Data::List(solvers)) = get(map, "solvers").map(|value| &value.data) else {
        return question;
    };
    let empty = Map::new();
    for solver in solvers {
        let map = solver.as_map().unwrap_or(&empty);
        let args = get(map, "args").and_then(Yaml::as_map).unwrap_or(&empty);
        let template = get(args, "template").and_then(Yaml::as_text);
        match get(map, "name").and_then(Yaml::as_text).unwrap_or_default() {
            "generate" => {}
            "system_message" => match template {
                Some(text) => task.set("description", Toml::text(format!("{text}\n\n"))),
                None => task.refuse(&solver.place, "`system_message` has no `template`"),
            },
            "prompt_template" => match template {
                Some(text) => question = filled(text, &[("prompt", &question)]),
                None => task.refuse(&solver.place, "`prompt_template` has no `template`"),
            },
            "chain_of_thought" => question = filled(template.unwrap_or(CHAIN_OF_THOUGHT), &[("prompt", &question)]),
            "multiple_choice" => question = multiple_choice(question, solver, args, fields, task),
            other => task.refuse(&solver.place, format!("the solver `{other}` does not come over")),
        }
    }
    question
}

fn multiple_choice(question: String, solver: &Yaml, args: &Map, fields: &Fields, task: &mut Task) -> String {
    let is_true = |name: &str| get(args, name).is_some_and(|value| value.data == Data::Bool(true));
    if is_true("multiple_correct") {
        task.refuse(
            &solver.place,
            "`multiple_correct`: questions with several right choices are not known here",
        );
    }
    let Some(choices) = &fields.choices else {
        task.refuse(&solver.place, "`multiple_choice` needs `choices` in `field_spec`");
        return question;
    };
    let usual = if is_true("cot") { MULTIPLE_CHOICE_COT } else { MULTIPLE_CHOICE };
    let template = get(args, "template").and_then(Yaml::as_text).unwrap_or(usual);
    let each = |item: &str, between: &str| {
        format!(
            "{{% for choice in {choices} %}}{{{{ {LETTERS}[loop.index0] }}}}{item}{{% if not loop.last %}}{between}{{% endif %}}{{% endfor %}}"
        )
    };
    let (letters, listed) = (each("", ","), each(") {{ choice }}", "\n"));
    filled(template, &[("question", &question), ("letters", &letters), ("choices", &listed)])
}

/// A template of Python's `str.format` with its names filled in.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        let value = values.iter().find_map(|(name, value)| {
            let after = after.strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        rest = match value {
            Some((value, after)) => {
                out += value;
                after
            }
            None => {
                out.push('{');
                after
            }
        };
    }
    out + rest
}
