//! The schema of `[report]`.

use serde_json::{Value, json};

use report::part_name::PartName;

/// One name, or a list of them.
fn names(description: &str) -> Value {
    let name = json!({"type": "string", "minLength": 1});
    json!({"description": description, "anyOf": [name, {"type": "array", "items": name}]})
}

/// The table `[report]`.
pub(super) fn report_table() -> Value {
    let parts = PartName::ALL.map(PartName::as_str);
    let digits = json!({"type": "integer", "minimum": 0, "maximum": 15, "description": "Decimals."});
    let metric = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "A metric; `*` stands for any text."},
            "better": {"enum": ["higher", "lower"], "description": "Which numbers are the better ones; left out, guessed from the name."},
            "digits": digits,
            "title": {"type": "string", "minLength": 1, "description": "The heading."},
            "percent": {"type": "boolean", "description": "Whether it is a share, shown in per cent."},
        },
    });
    let one_metric = json!({"anyOf": [{"type": "string", "minLength": 1}, metric]});
    let best = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["n"],
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "by": {"type": "string", "minLength": 1, "description": "A metric; left out, the first."},
        },
    });
    json!({
        "description": "What the experiment's report shows; never part of a stage's key.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "shows": {
                "description": "The tables and figures that it begins with.",
                "anyOf": [{"enum": parts}, {"type": "array", "uniqueItems": true, "items": {"enum": parts}}],
            },
            "metrics": {
                "description": "The metrics to show, in this order.",
                "anyOf": [one_metric, {"type": "array", "items": one_metric}],
            },
            "stages": names("The stages whose metrics are shown."),
            "rows": names("What separates rows: axes, `stage`, `data`. Means are over all others."),
            "columns": names("Axes whose values are columns."),
            "order": {"type": "string", "minLength": 1, "description": "An axis or a metric to sort by; `-` before it: from high to low."},
            "best": {"description": "The number of rows to show.", "anyOf": [{"type": "integer", "minimum": 1}, best]},
            "baseline": {"type": "string", "minLength": 1, "description": "What to compare with: `score[0]`, `(lr=0.1)`."},
            "digits": digits,
            "interval": {"type": "boolean", "description": "Whether means have a 95 % interval in place of the deviation."},
        },
    })
}
