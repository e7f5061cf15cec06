//! The schemas of `[params]`, `[matrix]` and `[ablate]`.

use serde_json::{Value, json};

/// The types of a param.
fn param_value() -> Value {
    json!({"type": ["string", "number", "boolean", "array"]})
}

pub(super) fn params_table() -> Value {
    json!({
        "description": "Values that templates use: `{name}`.",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": {"anyOf": [
            param_value(),
            {
                "description": "A value for each value of the param or axis that `by` names, and one for all `else`.",
                "type": "object",
                "additionalProperties": param_value(),
            },
        ]},
    })
}

pub(super) fn matrix_table() -> Value {
    let combinations = |description: &str| json!({"type": "array", "items": {"type": "object"}, "description": description});
    json!({
        "description": "Axes: every combination of their values is a variant.",
        "type": "object",
        "properties": {
            "exclude": combinations("Combinations left out: all that have these values."),
            "include": combinations("Further combinations; each names every axis."),
            "sample": {"anyOf": [sample_table(), axis()]},
        },
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": axis(),
    })
}

/// The values of an axis: a list, or a range of numbers.
fn axis() -> Value {
    let scale = |name: &str, description: &str| {
        json!({
            "type": "object",
            "properties": {
                name: {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "description": description},
                "n": {"type": "integer", "minimum": 2, "description": "The number of values, the ends among them."},
            },
            "required": [name, "n"],
            "additionalProperties": false,
        })
    };
    json!({"anyOf": [
        {"type": "array", "minItems": 1, "uniqueItems": true},
        {"type": "string", "pattern": r"^\s*-?\d+\s*\.\.=?\s*-?\d+\s*$", "description": "Whole numbers: `1..=5`."},
        scale("linear", "The first and the last value; all differences are equal."),
        scale("log", "The first and the last value; all ratios are equal."),
    ]})
}

fn sample_table() -> Value {
    json!({
        "description": "Some of the combinations, chosen by their hashes: a larger `n` keeps those of a smaller one. Each is taken with all seeds.",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "The number of combinations, seeds not counted."},
            "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "Another seed chooses others."},
        },
        "required": ["n"],
        "additionalProperties": false,
    })
}

pub(super) fn ablate_table() -> Value {
    json!({
        "description": "Changes made one at a time: each value of a param, and each table of params, is a variant beside the baseline.",
        "type": "object",
        "additionalProperties": {"anyOf": [
            {"type": "array", "uniqueItems": true, "items": param_value()},
            {"type": "object", "minProperties": 1, "additionalProperties": param_value()},
        ]},
    })
}
