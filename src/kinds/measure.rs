//! `measure`: judges answers, and measures them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact::{self, answers::Judged, metrics::MetricsWriter};
use crate::judging::{Grade, Grades, Judge, Judgement, ValidSteps, check_task};
use crate::metrics::{self, LabelledVerdict, MetricMap, MetricValue, Outcome, Repeats, Verdict};
use crate::selection::record;
use crate::task_table::{CarriedTasks, TaskParam, TaskParams, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Effort, ImpliedParam, Input, InputSizes, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{Answer, ExactValue};

/// The input with the answers.
const ANSWERS: &str = "answers";

/// The input with what a program says of the answers.
const VERDICTS: &str = "verdicts";

/// The input with what a model says of them.
const GRADES: &str = "grades";

/// The input with what a program says of the steps of answers.
const STEPS: &str = "steps";

/// What a label must be.
const LABEL: &str = "`true`, `false`, a number from 0 to 1, or a word such as `correct` and `incorrect`";

/// The name of the scores that come from elsewhere.
const JUDGE: &str = "judge";

pub(super) static KIND: Kind = Kind {
    name: "measure",
    version: 3,
    inputs: &[
        Input::list(ANSWERS, PortType::Answers, false),
        Input::list(VERDICTS, PortType::File, true),
        Input::list(GRADES, PortType::Answers, true),
        Input::list(STEPS, PortType::File, true),
    ],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: &[("task", "tasks")],
    command_line: None,
    gpus: None,
    implied: &[ImpliedParam {
        path: &["labels"],
        value: || Value::Null,
    }],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Measure),
    follows_seed: true,
    effort,
    shares_worker: true,
};

fn effort(_: &Value, inputs: &InputSizes) -> Option<Effort> {
    Some(Effort {
        unit: "bytes",
        work: inputs.all()?,
        size: 1.0,
    })
}

/// Measures the answers of `sample`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Measure {
    /// The task that judges them, or one for each input; left out, that of the data.
    task: Option<TaskParams>,
    /// The task of the model that gives grades, which says how they are read; left out, that of its answers.
    grader: Option<TaskParam>,
    /// A field of the records with what people say of the answers: whether each is right. The judge is compared with it.
    labels: Option<String>,
}

fn read(params: &ConfigValue) -> Result<Measure, ParamError> {
    let measure: Measure = params.read()?;
    for task in measure.task.iter().flat_map(|TaskParams(tasks)| tasks) {
        check_task(task).map_err(|error| error.within("task"))?;
    }
    Ok(measure)
}

/// The params of a stage that measures answers of these tasks, one for each input.
pub(super) fn params(tasks: &[TaskTable]) -> Value {
    let scoring = tasks.iter().map(TaskTable::scoring);
    json!(Measure {
        task: Some(TaskParams(scoring.collect())),
        grader: None,
        labels: None,
    })
}

impl Stage for Measure {
    fn params(&self) -> Value {
        json!(Self {
            task: self
                .task
                .as_ref()
                .map(|TaskParams(tasks)| TaskParams(tasks.iter().map(TaskTable::scoring).collect())),
            grader: self.grader.as_ref().map(|TaskParam(task)| TaskParam(task.scoring())),
            labels: self.labels.clone(),
        })
    }

    fn draws(&self) -> bool {
        false
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        let answers = inputs.at(ANSWERS);
        if self.grader.is_none() && !inputs.at(GRADES).is_empty() {
            self.grader = CarriedTasks::from(inputs.at(GRADES)).one().cloned().map(TaskParam);
        }
        let tasks = match &self.task {
            Some(TaskParams(tasks)) if tasks.len() == 1 || tasks.len() == answers.len() => return Ok(None),
            Some(TaskParams(tasks)) => {
                let message = format!(
                    "{} tasks for {} inputs: name one for all, or one for each",
                    tasks.len(),
                    answers.len()
                );
                return Err(ParamError::new("task", message));
            }
            None => answers
                .iter()
                .map(|answers| CarriedTasks::from([answers]).judged(answers.stage).cloned()),
        };
        self.task = Some(TaskParams(tasks.collect::<Result<_, _>>()?));
        Ok(None)
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let sets = context.list(ANSWERS);
        let tasks = self.task.as_ref().map(|tasks| tasks.for_inputs(sets.len())).unwrap_or_default();
        let others = Others {
            grades: self.grades(context)?,
            steps: steps(context)?,
            labels: self.labels.as_deref(),
        };
        let mut measurement = Measurement::start(context)?;
        for (done, path) in sets.iter().enumerate() {
            let task = tasks.get(done).ok_or_else(|| failed("no task says how the answers are judged"))?;
            let judge = Judge::new(task).map_err(failed)?;
            let answers = artifact::answers::read(path).map_err(failed)?;
            measurement.add(answers, &judge, task, &others)?;
            context.tell(done as u64 + 1, sets.len() as u64, "sets", []);
        }
        measurement.finish()
    }
}

/// What others say of the answers.
struct Others<'a> {
    /// In place of the task's verdicts.
    grades: Option<Grades>,
    steps: ValidSteps,
    /// The field of the records with what people say.
    labels: Option<&'a str>,
}

/// What programs say of the steps of answers.
fn steps(context: &StageContext<'_>) -> Result<ValidSteps, StageError> {
    let mut all = ValidSteps::default();
    for path in context.list(STEPS) {
        all.extend(ValidSteps::read(path).map_err(failed)?);
    }
    Ok(all)
}

impl Measure {
    /// The verdicts and grades at the inputs; `None` where there are none, and the task judges.
    fn grades(&self, context: &StageContext<'_>) -> Result<Option<Grades>, StageError> {
        let mut grades: Option<Grades> = None;
        for path in context.list(VERDICTS) {
            let found = Grades::of_program(path).map_err(failed)?;
            grades.get_or_insert_default().extend(found);
        }
        let grader = self.grader.as_ref().map(|TaskParam(task)| task.clone()).unwrap_or_default();
        for path in context.list(GRADES) {
            let answers = artifact::answers::read(path).map_err(failed)?;
            let found = Grades::of_model(&answers, &grader).map_err(failed)?;
            grades.get_or_insert_default().extend(found);
        }
        Ok(grades)
    }
}

/// All that is measured on the answers to one data set.
fn measured(answers: &[Answer], judgements: &[Judgement], judge: &Judge, groups: &[String]) -> MetricMap {
    let outcomes: Vec<Outcome> = judgements.iter().map(|judgement| judgement.outcome).collect();
    let mut measured = metrics::measure(&outcomes);
    // Only where there are some: other metrics stay as they are.
    let failed = answers.iter().filter(|answer| answer.failed.is_some()).count() as u64;
    if failed > 0 {
        measured.insert(metrics::names::FAILED, failed);
    }
    let questions = by_question(answers, judgements);
    let repeats = questions.iter().map(|question| Repeats {
        right: question.iter().map(|judgement| judgement.outcome.right()).collect(),
        answers: question.iter().map(|judgement| judgement.answer.clone()).collect(),
    });
    metrics::add_repeats(&mut measured, &repeats.collect::<Vec<_>>());
    for (name, values) in scores(&questions) {
        let all: Vec<f64> = values.iter().flatten().copied().collect();
        measured.insert(&name, (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64));
        measured.insert(&format!("{name}_stderr"), metrics::standard_error(&values));
    }
    for (name, value) in judge.of_texts(judgements) {
        measured.insert(&name, value);
    }
    if !groups.is_empty() {
        measured.insert(metrics::names::GROUPED, grouped(answers, judgements, groups));
    }
    measured
}

/// The verdicts on the answers that have a label. One that is null is none.
fn labelled(answers: &[Answer], judgements: &[Judgement], field: &str) -> Result<Vec<LabelledVerdict>, StageError> {
    let mut verdicts = Vec::new();
    for (answer, judgement) in answers.iter().zip(judgements) {
        let label = record::needed_field(&answer.problem, field).map_err(failed)?;
        if label == ExactValue::Null || label.as_str() == Some("") {
            continue;
        }
        let wrong = || failed(record::wrong_type(&answer.problem, field, &label, LABEL));
        let label = Grade::of_label(&label).ok_or_else(wrong)?;
        let verdict = judgement.outcome.verdict;
        verdicts.push(LabelledVerdict {
            judge: (verdict != Verdict::Unscored).then_some(verdict == Verdict::Right),
            label: label.verdict == Verdict::Right,
        });
    }
    if verdicts.is_empty() && !answers.is_empty() {
        return Err(failed(format!(
            "no answer has a label: the field `{field}` is empty in all of them"
        )));
    }
    Ok(verdicts)
}

/// The answers to each question, one after the other.
fn by_question<'j>(answers: &[Answer], judgements: &'j [Judgement]) -> Vec<&'j [Judgement]> {
    let same = |one: &Answer, other: &Answer| one.problem.id == other.problem.id && one.requested == other.requested;
    let mut rest = judgements;
    let groups = answers.chunk_by(same).map(|group| {
        let (own, others) = rest.split_at_checked(group.len()).unwrap_or((rest, &[]));
        rest = others;
        own
    });
    groups.collect()
}

/// The scores by name, question by question.
fn scores(questions: &[&[Judgement]]) -> BTreeMap<String, Vec<Vec<f64>>> {
    let mut all: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for question in questions {
        let mut own: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, score) in question.iter().flat_map(|judgement| &judgement.scores) {
            own.entry(name).or_default().push(*score);
        }
        for (name, values) in own {
            all.entry(name.to_owned()).or_default().push(values);
        }
    }
    all
}

/// The accuracy in each group of rows, by the fields that make the groups; and the mean over groups, in which each counts the same.
fn grouped(answers: &[Answer], judgements: &[Judgement], fields: &[String]) -> MetricMap {
    let mut all = MetricMap::default();
    for field in fields {
        let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (answer, judgement) in answers.iter().zip(judgements) {
            let value = answer.problem.field(field);
            let value = value.map_or_else(|| "null".to_owned(), |value| value.plain_text());
            groups
                .entry(value)
                .or_default()
                .push(if judgement.outcome.right() { 1.0 } else { 0.0 });
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = groups.values().map(|values| mean(values)).collect();
        let of_group = |(group, values): (String, Vec<f64>)| {
            let own = MetricMap::from([
                (metrics::names::ANSWERS, (values.len() as u64).into()),
                (metrics::names::ACCURACY, mean(&values).into()),
            ]);
            (group, own.into())
        };
        let macro_mean = (!means.is_empty()).then(|| mean(&means));
        let mut measured: Vec<(String, MetricValue)> = vec![(metrics::names::MACRO.to_owned(), macro_mean.into())];
        measured.extend(groups.into_iter().map(of_group));
        all.insert(field, measured.into_iter().collect::<MetricMap>());
    }
    all
}

/// Measures answers, and writes the artifact of the output port `metrics`.
struct Measurement<'a> {
    context: &'a StageContext<'a>,
    writer: MetricsWriter,
}

impl<'a> Measurement<'a> {
    fn start(context: &'a StageContext<'a>) -> Result<Self, StageError> {
        let writer = MetricsWriter::create(context.outputs.join("metrics")).map_err(failed)?;
        Ok(Self { context, writer })
    }

    /// Judges, writes and measures the answers to one data set.
    fn add(&mut self, answers: Vec<Answer>, judge: &Judge, task: &TaskTable, others: &Others<'_>) -> Result<(), StageError> {
        self.context.pause(0)?;
        let mut judgements = judge.judge(&answers).map_err(failed)?;
        if let Some(grades) = &others.grades {
            for (answer, judgement) in answers.iter().zip(&mut judgements) {
                let grade = grades.get(answer);
                judgement.outcome.verdict = grade.verdict;
                judgement.scores.extend(grade.score.map(|score| (JUDGE.to_owned(), score)));
            }
        }
        for (answer, judgement) in answers.iter().zip(&mut judgements) {
            if let Some(valid) = others.steps.get(answer) {
                judgement.outcome.valid = Some(valid);
            }
        }
        let mut measured = measured(&answers, &judgements, judge, &task.groups);
        if let Some(field) = others.labels {
            let verdicts = labelled(&answers, &judgements, field)?;
            measured.insert(metrics::names::AGREEMENT, metrics::agreement(&verdicts));
        }
        let judged = answers.into_iter().zip(judgements).map(|(answer, judgement)| Judged {
            answer,
            outcome: judgement.outcome,
            read: judgement.answer,
            scores: judgement.scores,
        });
        self.writer.write_answers(&judged.collect::<Vec<_>>()).map_err(failed)?;
        self.writer.add(measured);
        Ok(())
    }

    fn finish(self) -> Result<(), StageError> {
        self.writer.finish().map_err(failed)
    }
}
