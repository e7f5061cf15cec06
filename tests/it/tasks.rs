//! The tables of params in `docs/tasks.md`, held against the tasks' schemas.

use kinds::task;
use serde_json::Value;

/// A default as an experiment would write it.
fn toml(default: &Value) -> String {
    let value: toml::Value = serde_json::from_value(default.clone()).unwrap();
    match value {
        toml::Value::Table(fields) => {
            // In the order of the struct, which the schema has lost: as the page has them.
            let order = ["a", "b", "longer_first", "symbols", "steps"];
            let fields = order.iter().filter_map(|name| Some(format!("{name} = {}", fields.get(*name)?)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[test]
fn every_param_of_a_task_is_on_its_page() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tasks.md")).unwrap();
    for task in task::tasks() {
        let name = task.name();
        let start = page
            .find(&format!("\n## `{name}`\n"))
            .unwrap_or_else(|| panic!("`{name}` has no section"));
        let section = page[start + 1..].split("\n## ").next().unwrap();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let schema = task.schema().to_value();
        // A task whose problems are published has none.
        let none = serde_json::Map::new();
        let params = schema["properties"].as_object().unwrap_or(&none);
        for (param, schema) in params {
            let (default, meaning) = (toml(&schema["default"]), schema["description"].as_str().unwrap());
            let row = format!("| `{param}` | `{default}` | {meaning} |");
            assert!(rows.contains(&row.as_str()), "docs/tasks.md lacks, in the section `{name}`:\n{row}");
        }
        let listed = rows.iter().filter(|row| row.matches(" | ").count() == 2).count();
        assert_eq!(listed, params.len(), "`{name}`");
    }
}
