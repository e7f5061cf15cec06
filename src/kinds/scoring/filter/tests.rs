use serde_json::{Value, json};

use super::*;

fn filter(functions: &Value) -> Result<NamedFilter, String> {
    let spec: NamedFilterSpec = serde_json::from_value(json!({"name": "one", "filter": functions})).unwrap();
    spec.compile().map_err(|error| format!("{}: {error}", error.path.join(".")))
}

fn read(functions: &Value, responses: &[&str]) -> Vec<Option<String>> {
    filter(functions).unwrap().apply(responses, &[])
}

#[test]
fn parts_of_a_response_are_read() {
    let text = "First 1,000.50 and \\boxed{7}.\n{\"answer\": {\"value\": 3.0}}\nThe answer is: The Answer is  x \n\n";
    for (function, expected) in [
        (json!({"function": "boxed"}), Some("7")),
        (json!({"function": "json", "field": "answer.value"}), Some("3.0")),
        (json!({"function": "json", "field": "other"}), None),
        (json!({"function": "number"}), Some("3")),
        (json!({"function": "after", "text": "answer is"}), Some(": The Answer is  x")),
        (json!({"function": "after", "text": "answer is", "ignore_case": true}), Some("x")),
        (json!({"function": "after", "text": "(?"}), None),
        (json!({"function": "line"}), Some("The answer is: The Answer is  x")),
    ] {
        assert_eq!(read(&json!([function]), &[text]), [expected.map(str::to_owned)], "{function}");
    }
    for (text, number) in [
        ("about $1,080.00!", Some("1080")),
        ("it is -0.50", Some("-0.5")),
        ("1/3 of it", Some("1/3")),
        ("$1.5 million", Some("1500000")),
        ("eighteen", Some("18")),
        ("18x", None),
        ("", None),
    ] {
        assert_eq!(
            read(&json!([{"function": "number"}]), &[text]),
            [number.map(str::to_owned)],
            "{text}"
        );
    }
}

#[test]
fn what_is_not_found_is_no_answer_and_no_vote() {
    let regex = json!({"function": "regex", "regex_pattern": "#### (.*)"});
    let votes = json!([regex, {"function": "majority_vote"}]);
    let some = |text: &str| vec![Some(text.to_owned())];
    assert_eq!(read(&votes, &["x", "y", "z", "#### 2", "#### 1", "#### 1", "#### 2"]), some("2"));
    assert_eq!(read(&votes, &["x", "y"]), [None]);
    assert_eq!(read(&votes, &[]), [None]);
    assert_eq!(read(&json!([regex, {"function": "take_first"}]), &["#### 1", "x"]), some("1"));
    assert_eq!(read(&json!([regex, {"function": "lowercase"}]), &["x"]), [None]);
    let map = json!({"function": "map", "mapping_dict": {"1": true}});
    assert_eq!(
        read(&json!([regex, map]), &["#### 1", "#### 2", "x"]),
        [Some("true".to_owned()), None, None]
    );
    assert_eq!(read(&json!([]), &["a"]), some("a"));
    let filter = filter(&json!([regex, {"function": "take_first_k", "k": 3}])).unwrap();
    assert_eq!((filter.least_responses(), filter.chooses()), (3, true));
}

#[test]
fn wrong_fields_are_refused_with_their_place() {
    let wrong = [
        json!([{"function": "regex", "k": 2}]),
        json!([{"function": "line"}, {"function": "line", "text": "x"}]),
        json!([{"function": "regex", "regex_pattern": "("}]),
        json!([{"function": "multi_choice_regex", "regexes_to_ignore": ["a", "[b-a]"]}]),
        json!([{"function": "take_first_k"}]),
        json!([{"function": "take_first_k", "k": 0}]),
        json!([{"function": "after", "text": ""}]),
        json!([{"function": "map", "mapping_dict": {"a": ["b"]}}]),
    ];
    insta::assert_snapshot!(wrong.map(|functions| filter(&functions).unwrap_err()).join("\n"), @r"
    filter.0.k: `regex` has no `k` (known: regex_pattern, group_select, fallback)
    filter.1.text: `line` has no `text`, and no other field
    filter.0.regex_pattern: no regular expression: a bracket is not closed (at character 1)
    filter.0.regexes_to_ignore.1: no regular expression: the range `b-a` runs backwards (at character 4)
    filter.0: `take_first_k` needs a field `k`
    filter.0.k: `take_first_k` must take at least 1
    filter.0.text: `text` must not be empty
    filter.0.mapping_dict.a: an answer must be a text or a number
    ");
    let named = |name: &str| NamedFilterSpec {
        name: name.to_owned(),
        filter: Vec::new(),
    };
    let error = NamedFilterSpec::compile_all(&[named("a"), named("b"), named("a")]).unwrap_err();
    assert_eq!(
        (error.path.join("."), error.to_string()),
        (
            "2.name".to_owned(),
            "two filters have the name `a`: give each a name of its own".to_owned()
        )
    );
}
