//! The tables of tasks that the program has and that are judged by filters and metrics.

use serde::Deserialize;

use crate::task_table::TaskTable;

/// As in lm-evaluation-harness, and first `number`, which reads an answer as people do and is the verdict.
const GSM8K: &str = r"
name = 'gsm8k'
filter_list = [
  { name = 'number' },
  { name = 'strict-match', filter = [{ function = 'regex', regex_pattern = '#### (\-?[0-9\.\,]+)' }] },
  { name = 'flexible-extract', filter = [{ function = 'regex', regex_pattern = '(-?[$0-9.,]{2,})|(-?[0-9]+)', group_select = -1 }] },
]

[[metric_list]]
metric  = 'number'
filters = ['number']

[[metric_list]]
metric            = 'exact_match'
filters           = ['strict-match', 'flexible-extract']
ignore_case       = true
regexes_to_ignore = [',', '\$', '(?s).*#### ', '\.$']
";

/// The table of a task that the program has; `None` for one that has rules of its own.
pub(super) fn table(name: &str) -> Option<TaskTable> {
    let text = match name {
        "gsm8k" => GSM8K,
        _ => return None,
    };
    let table: toml::Table = toml::from_str(text).ok()?;
    TaskTable::deserialize(table).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_read() {
        assert_eq!(table("gsm8k").unwrap().filter_list.len(), 3);
        assert_eq!(table("addition"), None);
    }
}
