//! The rows that a task makes of records.

use super::Import;
use crate::judging::count_steps;
use crate::question::template::TaskTemplate;
use crate::questioner::{self, QuestionError, Questioner};
use crate::task_table::TaskTable;
use lab::config::ParamError;
use learn::dataset::{Doc, ExactValue, Row};

/// Makes rows with the templates of a task.
pub(super) struct TaskRows {
    questioner: Questioner,
    /// `None` where the solution is the right answer alone.
    solution: Option<TaskTemplate>,
    task: TaskTable,
}

impl TaskRows {
    /// `None` for a task that says nothing of questions and answers.
    pub(super) fn new(import: &Import) -> Result<Option<Self>, ParamError> {
        let Some(table) = import.table().filter(|_| import.makes_rows()) else {
            return Ok(None);
        };
        let parse = |text: &String| {
            TaskTemplate::parse(text, table.template).map_err(|error| ParamError::new("doc_to_solution", error.to_string()))
        };
        Ok(Some(Self {
            questioner: Questioner::new(table)?,
            solution: table.doc_to_solution.as_ref().map(parse).transpose()?,
            task: table.clone(),
        }))
    }

    pub(super) fn row(&self, id: String, record: Vec<(String, ExactValue)>, step_num: Option<u32>) -> Result<Row, QuestionError> {
        let bare = Row {
            id,
            prompt: String::new(),
            completion: String::new(),
            step_num: 0,
            answer: ExactValue::Null,
            doc: record.iter().cloned().collect(),
        };
        let answer = self.questioner.right_answer(&bare)?;
        let completion = match &self.solution {
            Some(solution) => questioner::render(solution, &bare, "doc_to_solution")?,
            None => answer.clone(),
        };
        let row = Row {
            prompt: self.questioner.question_text(&bare)?,
            step_num: step_num.unwrap_or_else(|| count_steps(&self.task, &completion)),
            completion,
            answer: answer.into(),
            doc: Doc::default(),
            ..bare
        };
        Ok(row.with_doc(record))
    }
}
