//! Whether a source on this machine has the fields that an import reads.

use super::mapping::{self, FieldSource, Mapping};
use super::{Fields, Import};
use crate::foreign::{self, ForeignRecord};
use crate::question::template::{TaskTemplate, TemplateLanguage};
use lab::config::ParamError;
use learn::dataset::Row;

impl Import {
    /// Checks that the first record of a source on this machine has the fields that `fields` and the task name. Where it cannot be read, the
    /// stage says so when it runs.
    pub(super) fn check_fields(&self) -> Result<(), ParamError> {
        let task = self
            .table()
            .filter(|table| self.makes_rows() && table.template == TemplateLanguage::Fields);
        if task.is_none() && self.fields == Fields::default() {
            return Ok(());
        }
        let Some(record) = self.first_record() else { return Ok(()) };
        self.check_mapping(&record)?;
        let Some(table) = task else { return Ok(()) };
        let known = record.names();
        for (field, text) in table.row_templates() {
            let Ok(template) = TaskTemplate::parse(text, table.template) else {
                continue;
            };
            let is_known = |name: &String| known.contains(name) || Row::FIELDS.contains(&name.as_str());
            if let Some(name) = template.names().into_iter().find(|name| !is_known(name)) {
                return Err(ParamError::new(field, lacks(field, &name, &known)).within("task"));
            }
        }
        Ok(())
    }

    fn check_mapping(&self, record: &ForeignRecord) -> Result<(), ParamError> {
        let mapping = Mapping::read(&self.fields).map_err(|error| error.within("fields"))?;
        // The rest comes from the task.
        let is_read = |field: &str| match field {
            "id" => true,
            "prompt" | "completion" => !self.makes_rows(),
            "step_num" => self.published().is_none(),
            _ => !self.makes_rows() && self.published().is_none(),
        };
        let Some((field, source, column)) = mapping::missing(&mapping, record, is_read) else {
            return Ok(());
        };
        let (known, full) = (record.names(), format!("fields.{field}"));
        let message = match source {
            FieldSource::Template(_) => lacks(&full, &column, &known),
            FieldSource::Name(_) => format!(
                "`{full}` is `{column}`, a field that the first record lacks (known: {})",
                known.join(", ")
            ),
        };
        Err(ParamError::new(field, message).within("fields"))
    }

    /// The first record, where the source is on this machine.
    fn first_record(&self) -> Option<ForeignRecord> {
        let files = self.source.listed(self.source.path.as_deref()?).ok()?;
        let path = self.chosen(&files).into_iter().next()?.to_owned();
        let mut found = None;
        let _ = foreign::records(&path, self.layout(), &mut |record, _| {
            found = Some(record);
            // One is enough.
            Err("".into())
        });
        found
    }
}

fn lacks(field: &str, name: &str, known: &[String]) -> String {
    format!(
        "`{field}` names the field `{name}`, which the first record lacks (known: {})",
        known.join(", ")
    )
}
