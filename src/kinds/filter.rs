//! `filter`: keeps some of a model's answers as rows; by default the correct ones that skip as many steps as requested.

use std::collections::{HashMap, HashSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dropped;
use crate::artifact::answers;
use crate::data_sets::DataSets;
use crate::judging::{Judge, check_task};
use crate::metrics::Outcome;
use crate::selection::conditions::Condition;
use crate::selection::length::{Bounds, Measured};
use crate::selection::order::RowOrder;
use crate::selection::shares;
use crate::selection::tally::Tally;
use crate::selection::votes::{self, Vote, VoteCount};
use crate::task_table::{CarriedTasks, TaskParam};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Effort, ImpliedParam, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{Answer, Row};
use learn::seed::Stream;

/// A param that was added, and was nothing before.
const fn added(path: &'static [&'static str]) -> ImpliedParam {
    ImpliedParam {
        path,
        value: || Value::Null,
    }
}

pub(super) static KIND: Kind = Kind {
    name: "filter",
    version: 3,
    inputs: &[Input::one("answers", PortType::Answers)],
    free: false,
    outputs: &[Output::of("data", PortType::Dataset)],
    named: &[("task", "tasks")],
    command_line: None,
    gpus: None,
    implied: &[
        ImpliedParam {
            path: &["keep"],
            value: || json!("skips"),
        },
        added(&["min_steps"]),
        added(&["max_steps"]),
        added(&["min_tokens"]),
        added(&["max_tokens"]),
        added(&["min_characters"]),
        added(&["max_characters"]),
        added(&["min_agreement"]),
        added(&["max_agreement"]),
        added(&["min_accuracy"]),
        added(&["max_accuracy"]),
        ImpliedParam {
            path: &["where"],
            value: || json!([]),
        },
        added(&["topk"]),
        ImpliedParam {
            path: &["order"],
            value: || json!("as_is"),
        },
    ],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Filter),
    follows_seed: true,
    effort: Effort::of_inputs,
    shares_worker: true,
};

/// Keeps some of a model's answers as rows. Equal solutions of a question are kept once.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    /// The task that judges the answers; left out, that of the data.
    task: Option<TaskParam>,
    /// Which answers are kept.
    keep: Keep,
    /// Requirement on the steps.
    steps: KeptSteps,
    /// The fewest steps of a kept answer.
    min_steps: Option<u64>,
    /// The most steps of a kept answer.
    max_steps: Option<u64>,
    /// The fewest tokens of a kept answer.
    min_tokens: Option<u64>,
    /// The most tokens of a kept answer.
    max_tokens: Option<u64>,
    /// The fewest characters of a kept answer.
    min_characters: Option<u64>,
    /// The most characters of a kept answer.
    max_characters: Option<u64>,
    /// The smallest share of the answers to a question that must agree with a kept one.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_agreement: Option<f64>,
    /// The largest share of the answers to a question that may agree with a kept one.
    #[schemars(range(min = 0.0, max = 1.0))]
    max_agreement: Option<f64>,
    /// The smallest share of right answers to a question: leaves out questions that are too hard.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_accuracy: Option<f64>,
    /// The largest share of right answers to a question: leaves out questions that are too easy.
    #[schemars(range(min = 0.0, max = 1.0))]
    max_accuracy: Option<f64>,
    /// What fields of the problem must be.
    #[serde(rename = "where")]
    conditions: Vec<Condition>,
    /// The most answers that are kept of a question: the first in `order`.
    #[schemars(range(min = 1))]
    topk: Option<usize>,
    /// The order of the kept answers.
    order: RowOrder,
}

/// Which answers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Keep {
    /// Right ones that have the number of steps asked for, and fewer than the full solution.
    #[default]
    Skips,
    /// Right ones.
    Right,
    /// Those that give an answer which is not right.
    Wrong,
    /// Those that give the answer which most answers to their question give.
    Majority,
    /// All that the model gave.
    All,
}

/// The requirement on the steps of a kept answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Steps")]
enum KeptSteps {
    /// None: the steps are not checked.
    #[default]
    Any,
    /// Each follows from what stands before it.
    Valid,
}

fn read(params: &ConfigValue) -> Result<Filter, ParamError> {
    let filter: Filter = params.read()?;
    if let Some(TaskParam(task)) = &filter.task {
        check_task(task).map_err(|error| error.within("task"))?;
    }
    filter.check()?;
    Ok(filter)
}

/// An answer, judged by itself and with the others to its question.
struct JudgedAnswer<'a> {
    answer: &'a Answer,
    outcome: Outcome,
    /// Whether a final answer was read.
    answers: bool,
    votes: VoteCount,
}

impl<'a> JudgedAnswer<'a> {
    /// What a kept row has as its solution.
    fn solution(&self) -> &'a str {
        self.answer.response.trim()
    }

    fn measured(&self) -> Measured<'a> {
        Measured {
            row: &self.answer.problem,
            steps: self.outcome.steps,
            tokens: Some(self.outcome.tokens),
            characters: self.solution().chars().count(),
        }
    }
}

impl Filter {
    fn check(&self) -> Result<(), ParamError> {
        let wrong = |(field, message): (&str, String)| ParamError::new(field, message);
        for bounds in self.lengths() {
            bounds.problem().map_or(Ok(()), |problem| Err(wrong(problem)))?;
        }
        for (names, min, max) in self.shares() {
            let given = names.into_iter().zip([min, max]);
            for (name, share) in given.filter_map(|(name, share)| Some((name, share?))) {
                if !(0.0..=1.0).contains(&share) {
                    return Err(wrong((name, format!("{share} is out of range, it must be from 0 to 1"))));
                }
            }
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                let [name, other] = names;
                return Err(wrong((
                    name,
                    format!("{min} is more than `{other} = {max}`: nothing would be kept"),
                )));
            }
        }
        check_conditions(&self.conditions)?;
        if self.topk == Some(0) {
            return Err(wrong(("topk", "0 is too small, it must be at least 1".to_owned())));
        }
        Ok(())
    }

    /// The bounds on steps, tokens and characters.
    fn lengths(&self) -> [Bounds; 3] {
        let bounds = |names, min, max| Bounds { names, min, max };
        [
            bounds(["min_steps", "max_steps"], self.min_steps, self.max_steps),
            bounds(["min_tokens", "max_tokens"], self.min_tokens, self.max_tokens),
            bounds(["min_characters", "max_characters"], self.min_characters, self.max_characters),
        ]
    }

    /// The bounds on what is known of an answer's question.
    fn shares(&self) -> [([&'static str; 2], Option<f64>, Option<f64>); 2] {
        [
            (["min_agreement", "max_agreement"], self.min_agreement, self.max_agreement),
            (["min_accuracy", "max_accuracy"], self.min_accuracy, self.max_accuracy),
        ]
    }

    /// Why an answer is not kept; `None` if it is.
    fn refusal(&self, judged: &JudgedAnswer<'_>) -> Result<Option<String>, StageError> {
        let JudgedAnswer {
            answer, outcome, votes, ..
        } = judged;
        if let Some(reason) = self.refused_by_answer(judged) {
            return Ok(Some(reason.to_owned()));
        }
        if self.steps == KeptSteps::Valid && outcome.valid != Some(true) {
            return Ok(Some("invalid_steps".to_owned()));
        }
        let measured = judged.measured();
        let values = [outcome.steps.into(), outcome.tokens.into(), measured.characters as u64];
        let broken = self
            .lengths()
            .into_iter()
            .zip(values)
            .find_map(|(bounds, value)| bounds.broken(value));
        if let Some(name) = broken {
            return Ok(Some(name.to_owned()));
        }
        for (([low, high], min, max), share) in self.shares().into_iter().zip([votes.agreement, votes.accuracy]) {
            match (min, max) {
                (Some(min), _) if share < min => return Ok(Some(low.to_owned())),
                (_, Some(max)) if share > max => return Ok(Some(high.to_owned())),
                _ => {}
            }
        }
        refused_by_condition(&self.conditions, &answer.problem)
    }

    /// Why `keep` does not keep an answer.
    fn refused_by_answer(&self, judged: &JudgedAnswer<'_>) -> Option<&'static str> {
        let JudgedAnswer {
            answer,
            outcome,
            votes,
            answers,
        } = judged;
        let (right, has_answer) = (outcome.right(), outcome.right() || *answers);
        match self.keep {
            _ if answer.failed.is_some() => Some("failed"),
            Keep::All => None,
            _ if !has_answer => Some("no_answer"),
            Keep::Wrong => right.then_some("right"),
            Keep::Majority => (!votes.is_majority).then_some("no_majority"),
            Keep::Skips | Keep::Right if !right => Some("wrong"),
            Keep::Skips if !outcome.is_consistent() => Some("other_steps"),
            Keep::Skips if !outcome.is_kept() => Some("no_fewer_steps"),
            Keep::Skips | Keep::Right => None,
        }
    }

    /// Judges all answers.
    fn judge<'a>(&self, answers: &'a [Answer], context: &StageContext<'_>) -> Result<Vec<JudgedAnswer<'a>>, StageError> {
        for (done, answer) in answers.iter().enumerate() {
            context.pause(done)?;
            if self.keep == Keep::Skips && answer.requested.is_none() {
                return Err(failed(format!(
                    "the prompt of answer `{}` names no number of steps; sample a model trained with a numbered prompt, \
                     or set `keep = \"right\"`",
                    answer.problem.id
                )));
            }
        }
        let TaskParam(task) = self
            .task
            .as_ref()
            .ok_or_else(|| failed("no task says how the answers are judged"))?;
        let judge = Judge::new(task).map_err(failed)?;
        let judgements = judge.judge(answers).map_err(failed)?;
        let votes = answers.iter().zip(&judgements).map(|(answer, judgement)| Vote {
            row: &answer.problem,
            given: judgement.answer.as_deref(),
            right: judgement.outcome.right(),
        });
        let votes = votes::count(&votes.collect::<Vec<_>>());
        let judged = answers.iter().zip(&judgements).zip(votes);
        let judged = judged.map(|((answer, judgement), votes)| JudgedAnswer {
            answer,
            outcome: judgement.outcome,
            answers: judgement.answer.is_some(),
            votes,
        });
        Ok(judged.collect())
    }

    /// The answers that are kept, in their order.
    fn select<'j, 'a>(
        &self,
        judged: &'j [JudgedAnswer<'a>],
        tally: &mut Tally,
        context: &StageContext<'_>,
    ) -> Result<Vec<&'j JudgedAnswer<'a>>, StageError> {
        let mut seen: HashSet<(&str, &str)> = HashSet::new();
        let mut kept = Vec::new();
        for (done, judged) in judged.iter().enumerate() {
            context.pause(done)?;
            let mut is_new = || seen.insert((&judged.answer.problem.prompt, judged.solution()));
            let reason = match self.refusal(judged)? {
                None if is_new() => {
                    kept.push(judged);
                    continue;
                }
                None => "repeated".to_owned(),
                Some(reason) => reason,
            };
            tally.add(&reason, &row_of(judged, String::new()), String::new);
        }
        let measured: Vec<Measured<'_>> = kept.iter().map(|judged| judged.measured()).collect();
        let mut stream = Stream::new(context.seed, "filter order");
        let places = self.order.places(&measured, &mut stream).map_err(failed)?;
        let questions: Vec<usize> = kept.iter().map(|judged| judged.votes.question).collect();
        let chosen = shares::choose_of_each(&places, &shares::groups(questions), self.topk.unwrap_or(usize::MAX));
        for (judged, _) in kept.iter().zip(&chosen).filter(|(_, is_chosen)| !**is_chosen) {
            tally.add("topk", &row_of(judged, String::new()), String::new);
        }
        Ok(places.into_iter().filter(|place| chosen[*place]).map(|place| kept[place]).collect())
    }
}

impl Stage for Filter {
    fn params(&self) -> Value {
        let mut params = json!(self);
        let scoring = self.task.as_ref().map(|TaskParam(task)| json!(task.scoring()));
        if let (Some(params), Some(scoring)) = (params.as_object_mut(), scoring) {
            params.insert("task".to_owned(), scoring);
        }
        params
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        let tasks = match &self.task {
            Some(TaskParam(task)) => CarriedTasks::of(task.clone()),
            None => CarriedTasks::from(inputs.all()),
        };
        let from = inputs.all().next().map_or("", |input| input.stage);
        self.task = Some(TaskParam(tasks.judged(from)?.clone()));
        Ok(tasks.into_value())
    }

    fn draws(&self) -> bool {
        self.order.draws()
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let answers = answers::read(context.input("answers")?).map_err(failed)?;
        let judged = self.judge(&answers, context)?;
        let mut tally = Tally::default();
        let kept = self.select(&judged, &mut tally, context)?;
        let mut ids = KeptIds::new(self.keep);
        let rows: Vec<Row> = kept
            .iter()
            .map(|judged| row_of(judged, ids.next(&judged.answer.problem.id)))
            .collect();
        dropped::tell(context, "answers", answers.len(), &tally);
        context.write_rows("data", &rows)
    }
}

/// Refuses conditions that cannot be meant.
pub(super) fn check_conditions(conditions: &[Condition]) -> Result<(), ParamError> {
    let problem = |(place, condition): (usize, &Condition)| Some((place, condition.problem()?));
    match conditions.iter().enumerate().find_map(problem) {
        None => Ok(()),
        Some((place, (field, message))) => Err(ParamError::new(field, message).within(&place.to_string()).within("where")),
    }
}

/// The name of the first condition that does not hold.
pub(super) fn refused_by_condition(conditions: &[Condition], row: &Row) -> Result<Option<String>, StageError> {
    for condition in conditions {
        if !condition.holds(row).map_err(failed)? {
            return Ok(Some(format!("where {}", condition.field)));
        }
    }
    Ok(None)
}

/// The row that an answer becomes: its question with the model's solution.
fn row_of(judged: &JudgedAnswer<'_>, id: String) -> Row {
    let problem = &judged.answer.problem;
    Row {
        id: if id.is_empty() { problem.id.clone() } else { id },
        completion: judged.solution().to_owned(),
        step_num: judged.outcome.steps,
        ..problem.clone()
    }
}

/// The ids of kept rows: the problem's, with what the row is, and with a number from the second on.
struct KeptIds {
    ending: &'static str,
    /// Kept rows by the problem's id.
    counts: HashMap<String, u32>,
}

impl KeptIds {
    fn new(keep: Keep) -> Self {
        Self {
            ending: if keep == Keep::Skips { "skip" } else { "answer" },
            counts: HashMap::new(),
        }
    }

    fn next(&mut self, problem: &str) -> String {
        let count = self.counts.entry(problem.to_owned()).or_default();
        *count += 1;
        match count {
            1 => format!("{problem}_{}", self.ending),
            count => format!("{problem}_{}_{count}", self.ending),
        }
    }
}
