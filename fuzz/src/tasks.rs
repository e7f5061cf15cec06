//! Answers and steps: a question of the task, and a text made of the fuzzer's bytes.

use learn::dataset::{Doc, Row};
use kinds::task::{self, Task};

/// A task with one of its questions, and pieces that its answers and steps are made of.
struct Target {
    task: &'static dyn Task,
    row: Row,
    pieces: &'static [&'static str],
}

const ADDITION: &[&str] = &[
    "0",
    "1",
    "2",
    "5",
    "6",
    "7",
    "8",
    "11",
    "16",
    "61",
    "75",
    "86",
    "161",
    " + ",
    " = ",
    " (plus carry ",
    ") = ",
    " (write down ",
    ", no carry over).",
    ", carry over ",
    ").",
    ". ",
    "Carry the final carry over ",
    " to the next place.",
    "\n",
    " ",
];
const ALGEBRA: &[&str] = &[
    "❤", "♋", "♙", "♏", "⚛", "☺", "⛭", "♨", "☘", "✊", "☕", "✈", "▣", "⊤", "✄", "✰", "❀", "✾", "♪", "↔", "❲", "❳", "◯", "❤ ↔ ", "\n",
    " ",
];
const DIRECTION: &[&str] = &[
    "North", "East", "South", "West", "Left", "Right", "Around", ". ", ".", ", ", ",", "\n", " ",
];

const GSM8K: &[&str] = &[
    "1", "8", "18", "000", ",", ".", "½", "/", " and a half", " thousand", "k", "M", " dozen", "$", "₹", "-", "+", "**", "(", ")", " = ",
    " * ", " x ", "x", "%", " apples", "eighteen", " hundred", " and ", "five", "²", "\\boxed{", " 000", "half", "\n", " ",
];

fn target(name: &str) -> Target {
    let (prompt, answer, pieces) = match name {
        "addition" => ("Question: 86 + 75", 161.into(), ADDITION),
        "algebra" => ("Question: ❀ ♏ ♪ ❤ ✰ ♙ ↔ ♋", "❤ ↔ ♏ ♪ ❲ ♙ ❀ ♋ ❳".into(), ALGEBRA),
        "gsm8k" => ("How many?", "18000".into(), GSM8K),
        _ => (
            "Assuming an initial orientation facing South, determine the final direction after executing the following actions: Around, Left, Right",
            "North".into(),
            DIRECTION,
        ),
    };
    let row = Row {
        id: String::new(),
        prompt: prompt.to_owned(),
        completion: String::new(),
        step_num: 3,
        answer,
        doc: Doc::default(),
    };
    let task = *task::tasks().iter().find(|task| task.name() == name).expect("a task");
    assert!(task.is_problem(&row));
    Target { task, row, pieces }
}

/// The bytes as they are where the first is even, else a piece for each of them.
fn text(data: &[u8], pieces: &[&str]) -> String {
    match data {
        [first, rest @ ..] if first % 2 == 1 => rest.iter().map(|byte| pieces[usize::from(*byte) % pieces.len()]).collect(),
        data => String::from_utf8_lossy(data).into_owned(),
    }
}

/// Judges an answer. One that is right is an answer against which the gold answer is right.
pub fn answer(task: &str, data: &[u8]) {
    let Target { task, row, pieces } = target(task);
    let answer = text(data, pieces);
    if task.is_right(&row, &answer) {
        let gold = row.answer.as_str().map_or_else(|| row.answer.to_string(), str::to_owned);
        let other = Row {
            answer: answer.into(),
            ..row
        };
        assert!(task.is_right(&other, &gold), "{:?}", other.answer);
    }
}

/// Judges steps. Whether a step follows does not depend on what comes after it.
pub fn steps(task: &str, data: &[u8]) {
    let Target { task, row, pieces } = target(task);
    let text = text(data, pieces);
    let steps: Vec<&str> = text.lines().collect();
    let follows = task.follows(&row, &steps);
    assert_eq!(follows.len(), steps.len());
    if let [before @ .., _] = steps.as_slice() {
        assert_eq!(task.follows(&row, before), follows[..before.len()]);
    }
}
