//! Judges answers of a task of `[tasks]`, by its filters and metrics.

use std::collections::BTreeMap;

use lab::config::ParamError;
use learn::dataset::{Answer, ChoiceScore, Row};

use super::steps::steps;
use super::{JudgeError, Judgement, check, is_valid};
use crate::metrics::{Outcome, Verdict};
use crate::question::template;
use crate::questioner::Questioner;
use crate::scoring::likelihood::{self, Normalisation, RollingText, ScoredChoice};
use crate::scoring::{self, Gold, Metric, MetricName, MetricSpec, NamedFilter, NamedFilterSpec, Score};
use crate::task::Task;
use crate::task_table::{OutputType, StepRule, TaskExample, TaskTable, VerdictChoice};

/// The name of the filter of a task that has none, as in the harness.
const NO_FILTER: &str = "none";

/// A metric of a task.
struct TaskMetric {
    name: String,
    /// The filters whose answers it judges; all if there are none.
    filters: Vec<String>,
    metric: Metric,
}

impl TaskMetric {
    fn judges(&self, filter: &NamedFilter) -> bool {
        self.filters.is_empty() || self.filters.contains(&filter.name)
    }
}

/// The judge of a task of `[tasks]`.
pub(super) struct OwnJudge {
    /// The task that the program has, where the table changes how its answers are judged: it knows which steps are valid.
    known: Option<&'static dyn Task>,
    questioner: Questioner,
    output: OutputType,
    filters: Vec<NamedFilter>,
    metrics: Vec<TaskMetric>,
    /// The filter and the metric that decide whether an answer is right.
    verdict: (usize, usize),
    think_end: Option<String>,
    steps: StepRule,
    steps_end: Option<String>,
}

impl OwnJudge {
    pub(super) fn new(task: &TaskTable, known: Option<&'static dyn Task>) -> Result<Self, ParamError> {
        let filters = NamedFilterSpec::compile_all(&task.filter_list).map_err(|error| error.within("filter_list"))?;
        let filters = if filters.is_empty() {
            let none = NamedFilterSpec {
                name: NO_FILTER.to_owned(),
                filter: Vec::new(),
            };
            vec![none.compile()?]
        } else {
            filters
        };
        let metrics = metrics(task, &filters)?;
        let verdict = verdict(task, &filters, &metrics)?;
        Ok(Self {
            known,
            questioner: Questioner::new(task)?,
            output: task.output_type,
            filters,
            metrics,
            verdict,
            think_end: task.think_end.clone().filter(|end| !end.is_empty()),
            steps: task.steps,
            steps_end: task.steps_end.clone().filter(|end| !end.is_empty()),
        })
    }

    /// Judges the answers to one question.
    pub(super) fn judge(&self, answers: &[Answer]) -> Result<Vec<Judgement>, JudgeError> {
        let Some(first) = answers.first() else { return Ok(Vec::new()) };
        if let Some(known) = self.known {
            check(known, &first.problem)?;
        }
        match self.output {
            OutputType::GenerateUntil => self.judge_texts(answers),
            OutputType::MultipleChoice => answers.iter().map(|answer| self.judge_choices(answer)).collect(),
            OutputType::Loglikelihood | OutputType::LoglikelihoodRolling => {
                answers.iter().map(|answer| self.judge_likelihood(answer)).collect()
            }
        }
    }

    fn judge_texts(&self, answers: &[Answer]) -> Result<Vec<Judgement>, JudgeError> {
        let Some(first) = answers.first() else { return Ok(Vec::new()) };
        let gold = self.gold(&first.problem)?;
        let responses: Vec<&str> = answers.iter().map(|answer| self.without_thinking(&answer.response)).collect();
        let mut judged: Vec<Judgement> = answers
            .iter()
            .zip(&responses)
            .map(|(answer, response)| self.unjudged(answer, response))
            .collect();
        for (at, filter) in self.filters.iter().enumerate() {
            let read = filter.apply(&responses, &gold.choices);
            let is_chosen = filter.chooses();
            for (place, TaskMetric { name, metric, .. }) in self.metrics.iter().enumerate().filter(|(_, metric)| metric.judges(filter)) {
                let Metric::Answer(metric) = metric else { continue };
                let is_verdict = (at, place) == self.verdict;
                let scores: Vec<Score> = read.iter().map(|answer| metric.score(answer.as_deref(), &gold)).collect();
                let full = format!("{}.{name}", filter.name);
                for (number, judgement) in judged.iter_mut().enumerate() {
                    // Of a filter that chooses, the score is that of the question, and counts for each of its answers.
                    let score = if is_chosen {
                        mean(&scores)
                    } else {
                        scores.get(number).and_then(|score| score.value)
                    };
                    judgement.scores.extend(score.map(|score| (full.clone(), score)));
                    let Some(own) = scores.get(if is_chosen { 0 } else { number }).filter(|_| is_verdict) else {
                        continue;
                    };
                    judgement.answer = read.get(if is_chosen { 0 } else { number }).cloned().flatten();
                    judgement.outcome.verdict = verdict_of(own, answers.get(number));
                }
            }
        }
        Ok(judged)
    }

    /// The right answers to a row.
    fn gold(&self, row: &Row) -> Result<Gold, JudgeError> {
        let choices = self.questioner.choices(row)?.unwrap_or_default();
        let texts = self.questioner.targets(row)?;
        let indices = if choices.is_empty() {
            Vec::new()
        } else {
            match self.questioner.gold(row, &choices)? {
                template::Gold::Nothing => Vec::new(),
                template::Gold::One(place) => vec![place],
                template::Gold::Any(places) => places,
            }
        };
        let gold = Gold { texts, indices, choices };
        let metric = self.metrics.get(self.verdict.1);
        if let Some(TaskMetric {
            metric: Metric::Answer(metric),
            ..
        }) = metric
        {
            metric.check_gold(&gold).map_err(|problem| JudgeError::Target {
                id: row.id.clone(),
                problem,
            })?;
        }
        Ok(gold)
    }

    /// Checks that an example of the task is read and judged as it says.
    pub(super) fn check_example(&self, example: &TaskExample) -> Result<(), ParamError> {
        let at = match &example.filter {
            Some(name) => {
                let found = self.filters.iter().position(|filter| filter.name == *name);
                found.ok_or_else(|| ParamError::new("filter", no_filter(name, &self.filters)))?
            }
            None => self.verdict.0,
        };
        let filter = self.filters.get(at);
        let of_verdict = self
            .metrics
            .get(self.verdict.1)
            .filter(|metric| filter.is_some_and(|filter| metric.judges(filter)));
        let metric = of_verdict.or_else(|| {
            self.metrics
                .iter()
                .find(|metric| filter.is_some_and(|filter| metric.judges(filter)))
        });
        let (
            Some(filter),
            Some(TaskMetric {
                name,
                metric: Metric::Answer(metric),
                ..
            }),
        ) = (filter, metric)
        else {
            return Err(ParamError::whole("only tasks that generate texts can have `examples`"));
        };
        let gold = Gold::text(&example.target);
        let read = filter.apply(&[self.without_thinking(&example.response)], &[]);
        let answer = read.into_iter().next().flatten();
        let shown = answer
            .as_ref()
            .map_or_else(|| "no answer".to_owned(), |answer| format!("{answer:?}"));
        if let Some(expected) = &example.answer
            && answer.as_deref().unwrap_or_default() != expected
        {
            let message = format!(
                "the filter `{}` reads {shown} out of this response, and the example says {expected:?}",
                filter.name
            );
            return Err(ParamError::new("answer", message));
        }
        let is_right = metric.score(answer.as_deref(), &gold).outcome == scoring::Outcome::Right;
        if is_right != example.correct {
            let verdict = if is_right { "right" } else { "not right" };
            let message = format!(
                "`{name}` finds {shown}, which `{}` reads out of this response, {verdict} against {:?}, and the example says `correct = {}`",
                filter.name, example.target, example.correct
            );
            return Err(ParamError::new("correct", message));
        }
        Ok(())
    }

    fn outcome(&self, answer: &Answer, response: &str) -> Outcome {
        let steps = steps(self.steps, self.steps_end.as_deref(), response);
        Outcome {
            steps: steps.len() as u32,
            full_steps: answer.problem.step_num,
            requested: answer.requested,
            verdict: Verdict::NoAnswer,
            valid: self.known.map(|known| is_valid(known, &answer.problem, &steps)),
            complete: !answer.cut && answer.failed.is_none() && self.has_thought(answer),
            tokens: answer.tokens,
        }
    }

    /// The response after the model's thinking.
    fn without_thinking<'a>(&self, response: &'a str) -> &'a str {
        match &self.think_end {
            Some(end) => response.rsplit_once(end.as_str()).map_or("", |(_, answer)| answer),
            None => response,
        }
    }

    fn has_thought(&self, answer: &Answer) -> bool {
        self.think_end.as_ref().is_none_or(|end| answer.response.contains(end.as_str()))
    }

    fn judge_choices(&self, answer: &Answer) -> Result<Judgement, JudgeError> {
        let row = &answer.problem;
        let choices = self.questioner.choices(row)?.unwrap_or_default();
        let Some(scores) = answer.choices.as_deref() else {
            return self.without_scores(answer);
        };
        let gold = match self.questioner.gold(row, &choices)? {
            template::Gold::Nothing => Vec::new(),
            template::Gold::One(place) => vec![place],
            template::Gold::Any(places) => places,
        };
        let mut judgement = self.unjudged(answer, &answer.response);
        for (place, TaskMetric { name, metric, .. }) in self.metrics.iter().enumerate() {
            let Metric::Choices(normalisation) = metric else { continue };
            let chosen = likelihood::preferred(&scored(scores, &choices), *normalisation);
            let is_right = chosen.is_some_and(|chosen| gold.contains(&chosen));
            judgement
                .scores
                .insert(format!("{NO_FILTER}.{name}"), if is_right { 1.0 } else { 0.0 });
            if place == self.verdict.1 {
                judgement.answer = chosen.and_then(|chosen| choices.get(chosen).cloned());
                judgement.outcome.verdict = match (is_right, chosen) {
                    (true, _) => Verdict::Right,
                    (false, Some(_)) => Verdict::Wrong,
                    (false, None) => Verdict::NoAnswer,
                };
            }
        }
        Ok(judgement)
    }

    /// An answer without log-likelihoods: the server refused the row, which counts as wrong.
    fn without_scores(&self, answer: &Answer) -> Result<Judgement, JudgeError> {
        if answer.failed.is_none() {
            return Err(JudgeError::NoChoices(answer.problem.id.clone()));
        }
        let mut judgement = self.unjudged(answer, &answer.response);
        judgement.outcome.verdict = Verdict::NoAnswer;
        let of_row = self.metrics.iter().filter(|metric| matches!(metric.metric, Metric::Choices(_)));
        judgement
            .scores
            .extend(of_row.map(|metric| (format!("{NO_FILTER}.{}", metric.name), 0.0)));
        Ok(judgement)
    }

    /// A text whose log-likelihood was asked for: right if it is what the model would have written itself.
    fn judge_likelihood(&self, answer: &Answer) -> Result<Judgement, JudgeError> {
        let row = &answer.problem;
        let Some(score) = answer.choices.as_deref().and_then(<[ChoiceScore]>::first) else {
            return self.without_scores(answer);
        };
        let text = self.questioner.right_answer(row)?;
        let mut judgement = Judgement {
            text: Some(RollingText::new(&text, score.sum)),
            ..self.unjudged(answer, &answer.response)
        };
        judgement.outcome.verdict = if score.greedy { Verdict::Right } else { Verdict::Wrong };
        let is_asked = self
            .metrics
            .iter()
            .any(|metric| matches!(metric.metric, Metric::Choices(Normalisation::Sum)));
        if is_asked {
            judgement
                .scores
                .insert(format!("{NO_FILTER}.acc"), if score.greedy { 1.0 } else { 0.0 });
        }
        Ok(judgement)
    }

    /// The metrics that are those of all texts together.
    pub(super) fn of_texts(&self, judged: &[Judgement]) -> Vec<(String, Option<f64>)> {
        let texts: Vec<RollingText> = judged.iter().filter_map(|judgement| judgement.text).collect();
        let sums = || texts.iter().map(|text| text.log_likelihood).collect::<Vec<_>>();
        let measure = |name: &str| match name {
            "perplexity" => likelihood::perplexity(&sums()),
            "word_perplexity" => likelihood::word_perplexity(&texts),
            "byte_perplexity" => likelihood::byte_perplexity(&texts),
            _ => likelihood::bits_per_byte(&texts),
        };
        let of_texts = self.metrics.iter().filter_map(|metric| match metric.metric {
            Metric::Texts(name) => Some(name),
            _ => None,
        });
        of_texts.map(|name| (format!("{NO_FILTER}.{name}"), measure(name))).collect()
    }

    fn unjudged(&self, answer: &Answer, response: &str) -> Judgement {
        Judgement {
            outcome: self.outcome(answer, response),
            answer: None,
            scores: BTreeMap::new(),
            text: None,
        }
    }
}

/// The metrics of a task, by their names; those of the harness where it has none.
fn metrics(task: &TaskTable, filters: &[NamedFilter]) -> Result<Vec<TaskMetric>, ParamError> {
    let default = |names: &[MetricName]| names.iter().map(|name| MetricSpec::new(*name)).collect::<Vec<_>>();
    let specs = match (task.metric_list.as_slice(), task.output_type) {
        ([], OutputType::GenerateUntil) => default(&[MetricName::ExactMatch]),
        ([], OutputType::MultipleChoice) => default(&[MetricName::Acc, MetricName::AccNorm]),
        ([], OutputType::Loglikelihood) => default(&[MetricName::Perplexity, MetricName::Acc]),
        ([], OutputType::LoglikelihoodRolling) => {
            default(&[MetricName::WordPerplexity, MetricName::BytePerplexity, MetricName::BitsPerByte])
        }
        (given, _) => given.to_vec(),
    };
    let mut metrics = Vec::with_capacity(specs.len());
    for (place, spec) in specs.iter().enumerate() {
        let within = |error: ParamError| error.within(&place.to_string()).within("metric_list");
        let metric = spec.compile().map_err(within)?;
        let fits = match (&metric, task.output_type) {
            (Metric::Answer(_), OutputType::GenerateUntil) | (Metric::Choices(_), OutputType::MultipleChoice) => true,
            (Metric::Texts(name), OutputType::Loglikelihood) => *name == "perplexity",
            (Metric::Texts(name), OutputType::LoglikelihoodRolling) => *name != "perplexity",
            (Metric::Choices(normalisation), OutputType::Loglikelihood) => *normalisation == Normalisation::Sum,
            _ => false,
        };
        if !fits {
            let output = serde_json::json!(task.output_type);
            let message = format!("`{}` is no metric for `output_type = {output}`", spec.name());
            return Err(within(ParamError::new("metric", message)));
        }
        if let Some(name) = spec.filters.iter().find(|name| !filters.iter().any(|filter| filter.name == **name)) {
            return Err(within(ParamError::new("filters", no_filter(name, filters))));
        }
        metrics.push(TaskMetric {
            name: spec.name().to_owned(),
            filters: spec.filters.clone(),
            metric,
        });
    }
    Ok(metrics)
}

fn no_filter(name: &str, filters: &[NamedFilter]) -> String {
    let known: Vec<&str> = filters.iter().map(|filter| filter.name.as_str()).collect();
    format!("the task has no filter `{name}` (known: {})", known.join(", "))
}

/// The places of the filter and the metric that decide.
fn verdict(task: &TaskTable, filters: &[NamedFilter], metrics: &[TaskMetric]) -> Result<(usize, usize), ParamError> {
    let VerdictChoice { filter, metric } = &task.verdict;
    let within = |field: &str, message: String| ParamError::new(field, message).within("verdict");
    let filter = match filter {
        None => 0,
        Some(name) => {
            let found = filters.iter().position(|filter| filter.name == *name);
            found.ok_or_else(|| within("filter", no_filter(name, filters)))?
        }
    };
    let judges = |metric: &&(usize, &TaskMetric)| filters.get(filter).is_some_and(|filter| metric.1.judges(filter));
    let candidates: Vec<(usize, &TaskMetric)> = metrics.iter().enumerate().collect();
    let mut candidates = candidates.iter().filter(judges);
    let found = match metric {
        None => candidates.next(),
        Some(name) => candidates.find(|(_, metric)| metric.name == *name),
    };
    let known: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    let missing = || {
        let name = metric.as_deref().unwrap_or("…");
        within(
            "metric",
            format!("no metric `{name}` judges the answers of this filter (known: {})", known.join(", ")),
        )
    };
    Ok((filter, found.ok_or_else(missing)?.0))
}

/// A wrong answer that was cut is none: the model had not ended.
fn verdict_of(score: &Score, answer: Option<&Answer>) -> Verdict {
    match score.outcome {
        scoring::Outcome::Right => Verdict::Right,
        scoring::Outcome::Wrong if answer.is_some_and(|answer| answer.cut) => Verdict::NoAnswer,
        scoring::Outcome::Wrong => Verdict::Wrong,
        scoring::Outcome::NoAnswer => Verdict::NoAnswer,
        scoring::Outcome::Unscored => Verdict::Unscored,
    }
}

/// The mean of the scores that there are; `None` where there are none.
fn mean(scores: &[Score]) -> Option<f64> {
    let values: Vec<f64> = scores.iter().filter_map(|score| score.value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn scored<'t>(scores: &[ChoiceScore], choices: &'t [String]) -> Vec<ScoredChoice<'t>> {
    let score = |(score, text): (&ChoiceScore, &'t String)| ScoredChoice {
        text,
        log_likelihood: score.sum,
        unconditional: score.unconditional,
        tokens: score.tokens as usize,
    };
    scores.iter().zip(choices).map(score).collect()
}
