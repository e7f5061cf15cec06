//! The judges of answers and steps, held against `tests/reference/judge.py`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use kinds::metrics;
use kinds::task::{self, Task};
use lab::config::ConfigValue;
use learn::dataset;
use learn::dataset::{Doc, ExactValue, Row};
use learn::seed::Stream;
use serde::{Deserialize, Serialize};

/// Mutated answers for each task.
const CASES: usize = 10_000;

/// An answer to be judged, with the steps before it.
#[derive(Clone, Debug, Serialize)]
struct Case {
    task: &'static str,
    prompt: String,
    gold: ExactValue,
    answer: String,
    steps: Vec<String>,
}

/// What was found of it.
#[derive(Debug, PartialEq, Deserialize)]
struct Judged {
    right: bool,
    follows: Vec<bool>,
}

/// Problems of all lengths, and hand-made skips.
fn rows(task: &dyn Task) -> Vec<Row> {
    let params: toml::Table = toml::from_str("start = 'warm'\ndevelopment = 0\nin_domain = 0").unwrap();
    let splits = task.read(&ConfigValue::from(serde_json::json!(params))).unwrap().generate(5);
    [splits.train, splits.skipped, splits.ood_easy, splits.ood_hard].concat()
}

fn any<'a, T>(items: &'a [T], stream: &mut Stream) -> &'a T {
    &items[stream.below(items.len() as u64) as usize]
}

/// The characters of `text` and others of `alphabet`, one changed.
fn slip(text: &str, alphabet: &[char], stream: &mut Stream) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let place = stream.below(characters.len().max(1) as u64) as usize;
    match stream.below(4) {
        0 => characters.insert(place.min(characters.len()), *any(alphabet, stream)),
        1 if !characters.is_empty() => drop(characters.remove(place)),
        2 if place + 1 < characters.len() => characters.swap(place, place + 1),
        _ if !characters.is_empty() => characters[place] = *any(alphabet, stream),
        _ => {}
    }
    characters.into_iter().collect()
}

/// The words of `text` with one taken from `others`.
fn exchange(text: &str, others: &[&str], stream: &mut Stream) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    let place = stream.below(words.len() as u64) as usize;
    words[place] = any::<&str>(others, stream);
    words.join(" ")
}

/// The same sum in another way: terms and factors in another order, brackets, something that cancels.
fn rewritten(answer: &str, stream: &mut Stream) -> String {
    let (left, right) = answer.split_once(" ↔ ").unwrap();
    let right = match right.split_once(" ♪ ❲ ") {
        Some((numerator, sum)) => format!("{numerator} ♪ ❲ {} ❳", reordered(sum.trim_end_matches(" ❳"), stream)),
        None => reordered(right, stream),
    };
    let letter = any(&["♋", "♙", "♏"], stream);
    match stream.below(4) {
        0 => format!("{left} ↔ ❲ {right} ❳ ✾ {letter} ♪ {letter}"),
        1 => format!("{left} ↔ {letter} ✰ ❲ {right} ❳ ❀ {letter}"),
        2 => format!("{left} ↔ ❀ ❲ ❀ ❲ {right} ❳ ❳"),
        _ => format!("{left} ↔ {right}"),
    }
}

fn reordered(sum: &str, stream: &mut Stream) -> String {
    let mut terms: Vec<(&str, Vec<String>)> = Vec::new();
    let mut words = sum.split(' ').peekable();
    let mut sign = words.next_if_eq(&"❀").unwrap_or("✰");
    while let Some(first) = words.next() {
        let mut factors = vec![first.to_owned()];
        while let Some(operator) = words.next_if(|word| ["✾", "♪"].contains(word)) {
            factors.push(format!("{operator} {}", words.next().unwrap()));
        }
        stream.shuffle(&mut factors[1..]);
        terms.push((sign, factors));
        sign = words.next().unwrap_or("✰");
    }
    stream.shuffle(&mut terms);
    let text: Vec<String> = terms
        .iter()
        .map(|(sign, factors)| format!("{sign} {}", factors.join(" ")))
        .collect();
    text.join(" ")
}

/// An answer to `row`: often right, often nearly right, with some of the steps left out and some changed.
fn case(task: &'static str, row: &Row, all: &[Row], stream: &mut Stream) -> Case {
    let (alphabet, words): (Vec<char>, Vec<&str>) = match task {
        "addition" => (
            "0123456789. ".chars().collect(),
            vec!["0", "1", "7", "12", "no", "carry", "0)", "1)", "over)."],
        ),
        "algebra" => (
            "❤♋♙♏⚛☺✰❀✾♪↔❲❳◯ ".chars().collect(),
            vec!["❤", "♋", "♙", "♏", "✰", "❀", "✾", "♪", "❲", "❳", "◯"],
        ),
        _ => (
            "NorthWestLefAud., ".chars().collect(),
            vec!["North.", "East.", "South.", "West.", "Left,", "Right,", "Around"],
        ),
    };
    let mut answer = metrics::read_solution(&row.completion).answer.unwrap().to_owned();
    if task == "algebra" && stream.below(3) > 0 {
        answer = rewritten(&answer, stream);
    }
    answer = match stream.below(5) {
        0 => slip(&answer, &alphabet, stream),
        1 => exchange(&answer, &words, stream),
        2 => metrics::read_solution(&any(all, stream).completion).answer.unwrap().to_owned(),
        _ => answer,
    };
    let mut steps: Vec<String> = metrics::steps(&row.completion).map(str::to_owned).collect();
    while steps.len() > 1 && stream.below(2) == 0 {
        steps.remove(stream.below(steps.len() as u64) as usize);
    }
    let place = stream.below(steps.len() as u64) as usize;
    steps[place] = match stream.below(6) {
        0 => slip(&steps[place], &alphabet, stream),
        1 | 2 => exchange(&steps[place], &words, stream),
        3 => any(&steps, stream).clone(),
        _ => steps[place].clone(),
    };
    Case {
        task,
        prompt: row.prompt.clone(),
        gold: row.answer.clone(),
        answer,
        steps,
    }
}

fn judged(task: &dyn Task, case: &Case) -> Judged {
    let row = Row {
        id: String::new(),
        prompt: case.prompt.clone(),
        completion: String::new(),
        step_num: 1,
        answer: case.gold.clone(),
        doc: Doc::default(),
    };
    let steps: Vec<&str> = case.steps.iter().map(String::as_str).collect();
    Judged {
        right: task.is_right(&row, &case.answer),
        follows: task.follows(&row, &steps),
    }
}

fn reference(cases: &[Case]) -> Vec<Judged> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.jsonl");
    let mut file = File::create(&path).unwrap();
    for case in cases {
        writeln!(file, "{}", serde_json::to_string(case).unwrap()).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/judge.py");
    let output = Command::new("python3")
        .arg(script)
        .stdin(File::open(&path).unwrap())
        .stderr(Stdio::inherit())
        .output();
    let output = output.expect("python3 starts");
    assert!(
        output.status.success(),
        "tests/reference/judge.py failed; it needs sympy (pip install sympy)"
    );
    let judged = folder.path().join("judged.jsonl");
    std::fs::write(&judged, output.stdout).unwrap();
    dataset::read(&judged).unwrap()
}

#[test]
#[ignore = "needs python3 with sympy: cargo test --test it reference:: -- --ignored"]
fn mutated_answers_and_steps_are_judged_as_the_reference_does() {
    // The reference knows the tasks of the paper whose problems are drawn.
    for task in task::tasks()
        .iter()
        .filter(|task| task.name() != "basics" && task.published().is_none())
    {
        let (rows, mut stream) = (rows(*task), Stream::new(1, task.name()));
        let cases: Vec<Case> = (0..CASES)
            .map(|_| case(task.name(), any(&rows, &mut stream), &rows, &mut stream))
            .collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (case, known) in cases.iter().zip(reference(&cases)) {
            let found = judged(*task, case);
            assert_eq!(found, known, "{case:?}");
            *counts.entry(if known.right { "right" } else { "wrong" }).or_default() += 1;
            for follows in known.follows {
                *counts
                    .entry(if follows { "steps that follow" } else { "steps that do not" })
                    .or_default() += 1;
            }
        }
        println!("{}: {counts:?}", task.name());
        // All kinds of verdicts are tried.
        assert!(
            counts.len() == 4 && counts.values().all(|count| *count > CASES / 10),
            "{}: {counts:?}",
            task.name()
        );
    }
}
