//! Dotted paths into JSON values: `model.width`.

use serde_json::Value;

/// Calls `visit` with the path and value of every leaf: everything but objects. `path` is the path of `value` itself, and may be empty.
pub fn leaves(path: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    walk(path, [value], &mut |path, [leaf]| visit(path, leaf));
}

/// Calls `visit` with every path at which two values differ, and the values there; `null` for one that does not exist.
pub fn differences(before: &Value, now: &Value, visit: &mut impl FnMut(&str, &Value, &Value)) {
    walk("", [before, now], &mut |path, [before, now]| {
        if before != now {
            visit(path, before, now);
        }
    });
}

/// A value as a person reads it: a text with placeholders (`{"template": "--seed={stage.seed}"}`) is its text.
pub fn readable(value: &Value) -> String {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(fields) => match fields.get("template") {
                Some(text @ Value::String(_)) if fields.len() == 1 => text.clone(),
                _ => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
            },
            other => other.clone(),
        }
    }
    plain(value).to_string()
}

/// Walks several values at once. A path ends where not all of them are objects.
fn walk<const N: usize>(path: &str, values: [&Value; N], visit: &mut impl FnMut(&str, [&Value; N])) {
    let objects: Vec<_> = values.iter().filter_map(|value| value.as_object()).collect();
    if objects.len() < N {
        return visit(path, values);
    }
    for (number, object) in objects.iter().enumerate() {
        let earlier = objects.get(..number).unwrap_or_default();
        for name in object
            .keys()
            .filter(|&name| !earlier.iter().any(|object| object.contains_key(name)))
        {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(&path, values.map(|value| value.get(name).unwrap_or(&Value::Null)), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf_lines(path: &str, value: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        leaves(path, value, &mut |path, leaf| lines.push(format!("{path} = {leaf}")));
        lines
    }

    #[test]
    fn templates_are_read_as_their_texts() {
        let run = json!(["python", {"template": "--seed={stage.seed}"}, {"template": 1}, {"a": {"template": "x"}}]);
        assert_eq!(readable(&run), r#"["python","--seed={stage.seed}",{"template":1},{"a":"x"}]"#);
    }

    #[test]
    fn leaves_are_listed_with_their_paths() {
        let value = json!({"rate": 0.1, "model": {"width": 64, "none": null, "sizes": [1, {"x": 2}], "empty": {}}});
        let expected = ["model.none = null", "model.sizes = [1,{\"x\":2}]", "model.width = 64", "rate = 0.1"];
        let mut lines = leaf_lines("", &value);
        lines.sort();
        assert_eq!(lines, expected);
        assert_eq!(leaf_lines("set", &json!({"x": {"y": 1}})), ["set.x.y = 1"]);
        assert_eq!(leaf_lines("set", &json!(1)), ["set = 1"]);
    }

    #[test]
    fn differences_are_listed_with_their_paths() {
        let before = json!({"same": 1, "model": {"width": 64, "old": 1}, "order": "random", "null": null});
        let now = json!({"same": 1, "model": {"width": 128, "new": 2}, "order": {"by": "length"}});
        let mut lines = Vec::new();
        differences(&before, &now, &mut |path, before, now| {
            lines.push(format!("{path}: {before} → {now}"));
        });
        lines.sort();
        let expected = [
            "model.new: null → 2",
            "model.old: 1 → null",
            "model.width: 64 → 128",
            "order: \"random\" → {\"by\":\"length\"}",
        ];
        assert_eq!(lines, expected);
    }
}
