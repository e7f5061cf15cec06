use std::time::Instant;

use super::*;

#[test]
fn errors_say_what_is_wrong_and_where() {
    let error = |pattern: &str| Pattern::new(pattern, false).unwrap_err().to_string();
    let wrong = ["(a", "a)", "[a", "a**", r"a\q", "(?<x>a)", r"\2", "a{3,2}", "[z-a]", "a{99999}"];
    insta::assert_snapshot!(wrong.map(error).join("\n"), @r"
    no regular expression: a bracket is not closed (at character 2)
    no regular expression: a bracket is closed that was not opened (at character 1)
    no regular expression: `]` is missing (at character 1)
    no regular expression: a quantifier follows a quantifier (at character 2)
    no regular expression: `\q` is not known (at character 2)
    no regular expression: what follows `(?` is not known (at character 2)
    no regular expression: there is no group 2 (at character 1)
    no regular expression: the first count is above the second (at character 1)
    no regular expression: the range `z-a` runs backwards (at character 4)
    no regular expression: a count is above 10000 (at character 1)
    ");
}

/// A pattern that takes exponential time, and one that is too large, end soon.
#[test]
fn no_pattern_hangs() {
    let start = Instant::now();
    let hard = Pattern::new(r"(?:(a+)+)+\1c(?=d)", false).unwrap();
    assert_eq!(hard.find(&"a".repeat(5_000)), None);
    for pattern in [
        "((a{1000}){1000}){1000}".to_owned(),
        "(".repeat(1_000) + &")".repeat(1_000),
        "a|".repeat(20_000),
        r"\w{5000}".to_owned(),
    ] {
        let _ = Pattern::new(&pattern, false).map(|pattern| pattern.find_all(&"ab".repeat(1_000)).len());
    }
    let _ = Pattern::new(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", false)
        .unwrap()
        .find_all(&"1 ".repeat(200_000));
    let _ = Pattern::new(r"\b\w+\b", false).unwrap().find_all(&"word ".repeat(20_000));
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn case_may_be_ignored_and_matches_removed() {
    assert!(Pattern::new("straße É", true).unwrap().find("STRAßE é").is_some());
    let pattern = Pattern::new(r"\d*", false).unwrap();
    assert_eq!(
        (pattern.removed("a1b22é3"), Pattern::new("x", false).unwrap().removed("")),
        ("abé".to_owned(), String::new())
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_pattern_or_none(pattern in r"[-a(){}\[\]|*+?.^$\\dwsb0-9,:=!<>P#i&~é]{0,12}", text in proptest::prelude::any::<String>()) {
        if let Ok(pattern) = Pattern::new(&pattern, false) {
            let _ = (pattern.find_all(&text), pattern.removed(&text));
        }
    }

    #[test]
    fn an_escaped_text_finds_itself(text in ".{1,20}") {
        let pattern = Pattern::new(&escape(&text), false).unwrap();
        proptest::prop_assert_eq!(pattern.find(&format!("x{text}y")).map(|found| found.whole.to_owned()), Some(text));
    }
}
