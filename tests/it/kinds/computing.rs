//! `train`, `sample` and `eval`.

use std::fs;

use insta::assert_snapshot;
use kinds::artifact::{curve, metrics};
use kinds::metrics::{MetricMap, names};
use learn::dataset::{self, Answer, Prompt, Row};
use serde_json::Value;

use super::bench::{Bench, gibberish, row, two_rows};

fn sample(params: &str, prompt: &str) -> Bench {
    let params = format!("max_tokens = 6\n{params}");
    Bench::new("sample", &params)
        .model("model", &gibberish(prompt))
        .rows("data", &two_rows())
}

fn answers(bench: &Bench) -> Vec<Answer> {
    dataset::read(&bench.run().unwrap().join("answers")).unwrap()
}

#[test]
fn answers_come_by_row_then_by_request_then_by_sample() {
    let answers = answers(&sample("ask = [0, -1, -2]\nsamples = 2\ntemperature = 1", Prompt::NUMBERED));
    let places: Vec<_> = answers
        .iter()
        .map(|answer| (answer.problem.id.as_str(), answer.requested, answer.sample))
        .collect();
    // Two steps less than two is none, so the full number is asked for.
    let requests = [(2, 0), (2, 1), (1, 0), (1, 1), (2, 0), (2, 1)];
    let expected: Vec<_> = ["2_1/0", "2_2/0"]
        .into_iter()
        .flat_map(|id| requests.map(|(steps, sample)| (id, Some(steps), sample)))
        .collect();
    assert_eq!(places, expected);
    assert!(answers.iter().all(|answer| (1..=6).contains(&answer.tokens)));
    assert_eq!(answers[0].problem, two_rows()[0]);
}

#[test]
fn the_seed_draws_answers_only_above_temperature_zero() {
    let texts = |params: &str, seed| {
        let bench = sample(params, Prompt::NUMBERED).seed(seed);
        answers(&bench).into_iter().map(|answer| answer.response).collect::<Vec<_>>()
    };
    assert_eq!(texts("", 1), texts("", 2));
    assert_eq!(texts("temperature = 1", 1), texts("temperature = 1", 1));
    assert_ne!(texts("temperature = 1", 1), texts("temperature = 1", 2));
}

#[test]
fn answers_end_before_a_stop_string() {
    let whole = answers(&sample("", Prompt::NUMBERED));
    let stop = whole[0].response.chars().nth(1).unwrap();
    let stopped = answers(&sample(&format!("stop = [{:?}]", stop.to_string()), Prompt::NUMBERED));
    for (whole, stopped) in whole.iter().zip(&stopped) {
        let kept = whole.response.split(stop).next().unwrap();
        assert_eq!(stopped.response, kept);
    }
    assert!(stopped[0].tokens <= whole[0].tokens && stopped[0].response != whole[0].response);
}

#[test]
fn a_plain_model_is_asked_for_no_number() {
    let answers = answers(&sample("ask = []", Prompt::PLAIN));
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.requested.is_none()));
    assert_snapshot!(sample("", Prompt::PLAIN).run().unwrap_err(), @r#"the model's prompt names no number of steps; train it with `prompt = "numbered"`, or set `ask = []`"#);
    assert_snapshot!(sample("ask = []", Prompt::NUMBERED).run().unwrap_err(), @"the model's prompt names the number of steps, and `ask = []` gives none; `ask = [0]` is the full number");
}

#[test]
fn rows_of_another_task_are_named_when_they_are_judged() {
    let bench = Bench::new("eval", "max_tokens = 2")
        .task("direction")
        .model("model", &gibberish(Prompt::PLAIN))
        .rows("data", &two_rows());
    assert_snapshot!(bench.run().unwrap_err(), @r#"row `2_1/0` is no problem of the task `direction`: "Question: 12 + 3""#);
}

#[test]
fn characters_that_the_model_lacks_are_named_before_anything_is_computed() {
    let strange = |id: &str| Row {
        id: format!("gsm8k/{id}"),
        prompt: "is 12 ÷ 3".to_owned(),
        ..two_rows().remove(0)
    };
    let known = Row {
        id: "gsm8k/1".to_owned(),
        ..two_rows().remove(0)
    };
    let model = || gibberish("{question}? What is ÷");
    // The template's characters are known, and the question's.
    let bench = |kind: &str, params: &str| Bench::new(kind, params).model("model", &gibberish(Prompt::PLAIN));
    assert_snapshot!(bench("sample", "ask = []").rows("data", &[known.clone(), strange("2")]).run().unwrap_err(), @r#"the model has no token for "÷" (the prompt of `gsm8k/2 2 0`: "is 12 ÷ 3"); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"#);
    let known = std::slice::from_ref(&known);
    let eval = bench("eval", "").rows("data", &[strange("3")]);
    assert_snapshot!(eval.run().unwrap_err(), @r#"the model has no token for "÷" (the prompt of `gsm8k/3 2 0`: "is 12 ÷ 3"); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"#);
    assert!(eval.told.borrow().is_empty());
    assert!(
        Bench::new("eval", "max_tokens = 2")
            .task("gsm8k")
            .model("model", &model())
            .rows("data", &[strange("4")])
            .run()
            .is_ok()
    );
    // A template that another model's tokenizer does not know.
    let mut other = gibberish(Prompt::PLAIN);
    other.prompt.template = "{question} ❤".to_owned();
    assert_snapshot!(Bench::new("eval", "").model("model", &other).rows("data", known).run().unwrap_err(), @r#"the model has no token for "❤" (the prompt of `gsm8k/1 2 0`: "Question: 12 + 3 ❤"); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"#);
}

#[test]
fn an_evaluation_has_metrics_and_answers_by_data_set() {
    let bench = Bench::new("eval", "max_tokens = 6")
        .model("model", &gibberish(Prompt::PLAIN))
        .rows("data", &two_rows())
        .rows("data", &[])
        .rows("data", &[row("1_1/0", (1, 1), "1. 1 + 1 = 2", 1)]);
    let folder = bench.run().unwrap().join("metrics");
    let sets = metrics::read(&folder).unwrap();
    let size = |set: &MetricMap| (set.integer(names::ANSWERS), set.number(names::AVERAGE_FULL_STEPS));
    let sizes: Vec<_> = sets.iter().map(size).collect();
    assert_eq!(sizes, [(Some(2), Some(2.0)), (Some(0), None), (Some(1), Some(1.0))]);
    assert!(sets.iter().all(|set| set.map(names::FOLLOWING).is_none()));
    for (place, set) in sets.iter().enumerate() {
        let answers: Vec<Answer> = dataset::read(&folder.join(format!("answers-{place}.jsonl"))).unwrap();
        assert_eq!(i64::try_from(answers.len()).ok(), set.integer(names::ANSWERS));
    }
    let told = bench.told.borrow();
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total, last.unit.as_str()), (3, 3, "sets"));
}

#[test]
fn a_numbered_model_is_measured_on_how_it_follows() {
    let bench = Bench::new("eval", "ask = [-1, -2]\nmax_tokens = 6")
        .model("model", &gibberish(Prompt::NUMBERED))
        .rows("data", &two_rows());
    let sets = metrics::read(&bench.run().unwrap().join("metrics")).unwrap();
    let following = sets[0].map(names::FOLLOWING).unwrap();
    let counts = (following.integer(names::REQUESTS), following.integer(names::REAL_SKIPS));
    assert_eq!(counts, (Some(4), Some(2)));
}

/// The whole way on two rows learned by heart: a numbered model repeats what it was trained on, and is measured as right.
#[test]
fn what_is_trained_is_answered_kept_and_measured() {
    let rows = two_rows();
    let skip = row("2_1/0_skip", (12, 3), "1. 12 + 3 = 15", 1);
    let params = "steps = 150\nbatch = 4\nprompt = 'numbered'\nmodel = { width = 32, layers = 1, heads = 2 }";
    let trained = Bench::new("train", params).rows("data", &[rows.clone(), vec![skip.clone()]].concat());
    let model = trained.run().unwrap().join("model");
    assert_eq!(trained.told.borrow().last().map(|last| (last.done, last.total)), Some((150, 150)));

    let sampled = Bench::new("sample", "ask = [-1]")
        .artifact("model", &model)
        .rows("data", &rows[..1]);
    let answers = sampled.run().unwrap().join("answers");
    assert_eq!(Bench::new("filter", "").artifact("answers", &answers).output("data"), [skip]);

    let eval = Bench::new("eval", "").artifact("model", &model).rows("data", &rows);
    let sets = metrics::read(&eval.run().unwrap().join("metrics")).unwrap();
    assert_eq!(
        (sets[0].number(names::ACCURACY), sets[0].number(names::AVERAGE_STEPS)),
        (Some(1.0), Some(2.0)),
        "{sets:?}"
    );
}

#[test]
fn a_training_tells_its_held_out_loss_and_ends_early() {
    let rows = two_rows();
    // As likely as the right one until the rows are learned by heart.
    let wrong = Row {
        completion: rows[1].completion.clone(),
        ..rows[0].clone()
    };
    let params = "steps = 150\nbatch = 4\nvalidate_every = 10\npatience = 2\nkeep = 'best'\nmodel = { width = 32, layers = 1, heads = 2 }";
    let train = Bench::new("train", params).rows("data", &rows).rows("validation", &[wrong]);
    let model = train.run().unwrap().join("model");
    let summary = curve::read_summary(&model).unwrap();
    assert!(summary.stopped_early && summary.kept_step == summary.best_step, "{summary:?}");
    let told = train.told.borrow();
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (summary.best_step + 20, 150));
    let losses: Vec<f64> = told
        .iter()
        .filter_map(|told| told.readings.get("validation_loss").copied())
        .collect();
    // From the tenth step on, each has the one that was computed last.
    assert_eq!(losses.len() as u64, last.done - 9);
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(least, summary.best_loss);
    let curve = curve::read(&model).unwrap().unwrap();
    assert_eq!(curve.last().unwrap().validation_loss, losses.last().copied());
    assert_snapshot!(Bench::new("train", "").rows("data", &rows).rows("validation", &[]).run().unwrap_err(), @"there is nothing to measure in `validation`: it has no rows, or none of their tokens is trained on; check the output of the stage that makes it");
}

#[test]
fn a_stage_that_is_asked_to_stop_stops() {
    let params = "steps = 1000\nbatch = 2\nmodel = { width = 16, layers = 1, heads = 2 }";
    let train = Bench::new("train", params).rows("data", &two_rows());
    let eval = Bench::new("eval", "")
        .model("model", &gibberish(Prompt::PLAIN))
        .rows("data", &two_rows());
    let generate = Bench::new("generate", "task = 'addition'");
    for bench in [train, sample("", Prompt::NUMBERED), eval, generate] {
        assert_eq!(bench.patience(2).run().unwrap_err(), "stopped");
    }
}

#[test]
fn damaged_models_and_data_are_named() {
    let folder = tempfile::tempdir().unwrap();
    gibberish(Prompt::PLAIN).save(folder.path()).unwrap();
    fs::remove_file(folder.path().join("prompt.json")).unwrap();
    let error = Bench::new("eval", "")
        .artifact("model", folder.path())
        .rows("data", &two_rows())
        .run()
        .unwrap_err();
    assert_snapshot!(error.replace(&folder.path().display().to_string(), ""), @"cannot read /prompt.json: No such file or directory (os error 2)");
    assert_snapshot!(Bench::new("train", "").text("data", "{}").run().unwrap_err(), @"/data-0.jsonl:1: missing field `id`");
    assert_snapshot!(Bench::new("train", "").rows("data", &[]).run().unwrap_err(), @"there are no rows to train on; check the output of the stage that makes `data`");
}

#[test]
fn prompts_longer_than_the_context_fail_the_stage_or_count_as_wrong() {
    let (mut model, rows) = (gibberish(Prompt::PLAIN), two_rows());
    let lengths = [&rows[0], &rows[1]].map(|row| {
        let prompt = model.prompt.fill(&row.prompt, row.step_num);
        model.tokenizer.prompt(&prompt.text, &prompt.filled).unwrap().len()
    });
    assert!(lengths[0] < lengths[1], "{lengths:?}");
    model.shape.context = lengths[0];
    for kind in ["eval", "sample"] {
        let bench = |params: &str| {
            let params = if kind == "sample" {
                format!("ask = []\n{params}")
            } else {
                params.to_owned()
            };
            Bench::new(kind, &params).model("model", &model).rows("data", &rows)
        };
        let message = format!(
            "1 of 2 rows has no answer, and `max_failed` allows 0:\n`2_2/0`: its prompt has {} tokens, and the model's context {}\n\
             leave them out, or use a model with a longer `context`; `max_failed = 1` counts such rows as wrong",
            lengths[1], lengths[0]
        );
        let plain = bench("");
        assert_eq!(plain.run().unwrap_err(), message);
        assert!(plain.told.borrow().is_empty(), "nothing was computed");
        let some = bench("max_failed = 1");
        let outputs = some.run().unwrap();
        let path = if kind == "eval" { "metrics/answers-0.jsonl" } else { "answers" };
        let answers: Vec<Answer> = dataset::read(&outputs.join(path)).unwrap();
        assert_eq!(answers[0].failed, None);
        let why = format!("its prompt has {} tokens, and the model's context {}", lengths[1], lengths[0]);
        assert_eq!(
            (answers[1].failed.as_deref(), answers[1].response.as_str(), answers[1].tokens),
            (Some(why.as_str()), "", 0)
        );
        assert_eq!(some.warned.borrow().len(), 1);
        if kind == "eval" {
            let metrics: Value = serde_json::from_str(&fs::read_to_string(outputs.join("metrics/metrics.json")).unwrap()).unwrap();
            assert_eq!(
                (&metrics["sets"][0]["answers"], &metrics["sets"][0]["failed"]),
                (&Value::from(2), &Value::from(1))
            );
        }
    }
}
