use serde_json::json;

use super::*;

fn record(value: &serde_json::Value) -> Vec<(String, ExactValue)> {
    let object = value.as_object().unwrap();
    object
        .iter()
        .map(|(name, value)| (name.clone(), serde_json::from_str(&value.to_string()).unwrap()))
        .collect()
}

fn exact(text: &str) -> Vec<(String, ExactValue)> {
    let ExactValue::Object(fields) = serde_json::from_str(text).unwrap() else {
        panic!("{text}")
    };
    fields.into_iter().collect()
}

fn fields(record: &[(String, ExactValue)]) -> TemplateFields<'_> {
    record.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

fn ours(text: &str) -> TaskTemplate {
    TaskTemplate::parse(text, TemplateLanguage::Fields).unwrap()
}

fn jinja(text: &str) -> TaskTemplate {
    TaskTemplate::parse(text, TemplateLanguage::Jinja).unwrap()
}

#[test]
fn fields_and_their_parts_are_written_as_they_stand() {
    let record = exact(
        r#"{"q": "Two?", "n": 0.10, "big": 12345678901234567890123, "yes": true, "meta": {"id": "x"}, "c": ["a", "b", 3.0], "a b": 1, "p.q": "whole"}"#,
    );
    let fields = fields(&record);
    let rendered = |text: &str| ours(text).render(&fields);
    for (template, expected) in [
        ("{{q}} {{ n }}\n", "Two? 0.10\n"),
        ("{{meta.id}}{{c[0]}}{{c[-2]}}{{c[2]}}", "xab3.0"),
        (
            "{{big}} {{yes}} {{c}} {{meta}}",
            "12345678901234567890123 true [\"a\",\"b\",3.0] {\"id\":\"x\"}",
        ),
        ("{{a b}}{{p.q}}", "1whole"),
        ("a {brace} } [0-9]{2,}", "a {brace} } [0-9]{2,}"),
        ("", ""),
    ] {
        assert_eq!(rendered(template).unwrap(), expected);
    }
    for (template, message) in [
        ("{{questoin}}", "no field `questoin` (known: a b, big, c, meta, n, p.q, q, yes)"),
        ("{{meta.name}}", "`meta` has no field `name` (known: id)"),
        ("{{c[3]}}", "`c` has 3 items, and no item 3"),
        ("{{c[-4]}}", "`c` has 3 items, and no item -4"),
        ("{{q.x}}", "`q` is a text and has no parts"),
        ("{{c.x}}", "`c` is a list, which has items (`[0]`) and has no parts"),
    ] {
        assert_eq!(rendered(template).unwrap_err().to_string(), message);
    }
    let wrong = |text: &str| TaskTemplate::parse(text, TemplateLanguage::Fields).unwrap_err();
    assert_eq!(wrong("{{q"), TemplateError::Open);
    assert_eq!(wrong("{{q.strip()}}"), TemplateError::Path("q.strip()".to_owned()));
    for text in ["{{}}", "{{a..b}}", "{{a[x]}}", "{{a[0}}", "{{[0]}}"] {
        assert!(matches!(wrong(text), TemplateError::Path(_)), "{text}");
    }
    assert_eq!(ours("{{meta.id}} {{q}} {{q}}").names(), ["meta", "q"]);
}

#[test]
fn the_first_field_of_a_name_counts() {
    let (of_record, of_row) = (ExactValue::from("record"), ExactValue::from("row"));
    let mut fields: TemplateFields<'_> = [("prompt", &of_record)].into_iter().collect();
    fields.add("prompt", std::borrow::Cow::Borrowed(&of_row));
    fields.add("id", std::borrow::Cow::Owned(ExactValue::from("7")));
    assert_eq!(ours("{{prompt}} {{id}}").render(&fields).unwrap(), "record 7");
}

/// Expected values: `lm_eval.utils.apply_template` of lm_eval 0.4.13 with the same record.
#[test]
fn jinja_is_that_of_the_harness() {
    let record = record(&json!({
        "q": " a b\tc \n", "label": 1, "ok": true, "none": null, "f": 0.1, "big": 1e16, "small": 0.00001, "s": "1",
        "choices": {"text": ["x's", "y \"z\""], "label": ["A", "B"]}, "key": "B", "items": [1, "2", false, null, 2.5],
    }));
    let fields = fields(&record);
    for (template, expected) in [
        ("{{q.strip()}}|{{ q.split(' ')[:-1]|join('-') }}\n", "a b\tc|-a-b\tc\n"),
        (
            "{{ok}} {{none}} {{f}} {{big}} {{small}} {{label + 1}}",
            "True None 0.1 1e+16 1e-05 2",
        ),
        ("{{items}} {{choices.text}}", "[1, '2', False, None, 2.5] [\"x's\", 'y \"z\"']"),
        ("{{choices.label.index(key)}}{{['no','yes'][label]}}", "1yes"),
        (
            "{% if missing is defined %}a{% else %}b{% endif %}{{ s|int - 1 }}{{ label|string }}",
            "b01",
        ),
        (
            "{% for c in choices.text %}{{ loop.index }}. {{ c }}\n{% endfor %}",
            "1. x's\n2. y \"z\"\n",
        ),
        (
            "{{ 'A' if key == 'A' else 'C' }}{{ 'abc'.index('c') }}{{ q|trim|upper }}",
            "C2A B\tC",
        ),
        ("{{ q|regex_replace('[a-c]', '<\\\\g<0>>') }}", " <a> <b>\t<c> \n"),
        ("{{ key.lower().capitalize() ~ label }}", "B1"),
    ] {
        assert_eq!(jinja(template).render(&fields).unwrap(), expected, "{template}");
    }
    let message = |text: &str| jinja(text).render(&fields).unwrap_err().to_string();
    assert!(message("{{question}}").starts_with("no field `question` (known: big, choices, f, items,"));
    assert!(message("a\n{{choices.label.index('Z')}}").starts_with("Jinja, line 2: invalid operation: "));
    assert!(message("{{choices.txt}}").contains("undefined"));
    let broken = TaskTemplate::parse("a\n{{ q", TemplateLanguage::Jinja).unwrap_err().to_string();
    assert!(broken.starts_with("Jinja, line 2: syntax error: "), "{broken}");
}

#[test]
fn a_template_that_does_too_much_is_stopped() {
    let nothing = TemplateFields::new();
    for text in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{{ a * b }}{% endfor %}{% endfor %}",
        "{% set x = 'abcdefgh' * 10000 %}{% for a in range(90000) %}{{ x }}{% endfor %}",
        "{{ 'x' * 9999999999 }}",
    ] {
        assert!(jinja(text).render(&nothing).is_err(), "{text}");
    }
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(TaskTemplate::parse(&format!("{{{{{deep}}}}}"), TemplateLanguage::Jinja).is_err());
}

#[test]
fn a_target_is_a_text_a_number_or_several() {
    let record = record(&json!({"answer": "2", "n": 1, "yes": true, "many": ["a", "2"], "two": [0, 2], "t": "c", "q": "[x"}));
    let fields = fields(&record);
    let choices = ["a", "b", "c"].map(str::to_owned);
    let numbers = ["2", "3", "1"].map(str::to_owned);
    // As `process_results` of the harness: the name of a field gives its value, and a template gives a text, whose digits are a number.
    for (template, choices, expected) in [
        ("answer", &numbers, Gold::One(0)),
        ("{{answer}}", &numbers, Gold::One(2)),
        ("answer", &choices, Gold::Nothing),
        ("{{n}}", &choices, Gold::One(1)),
        ("yes", &choices, Gold::One(1)),
        ("t", &choices, Gold::One(2)),
        ("many", &choices, Gold::Any(vec![0])),
        ("two", &choices, Gold::Any(vec![0, 2])),
        ("{{two}}", &choices, Gold::Any(vec![0, 2])),
        ("{{n + 2}}", &choices, Gold::Nothing),
        ("-1", &choices, Gold::Nothing),
    ] {
        assert_eq!(jinja(template).gold(&fields, choices).unwrap(), expected, "{template}");
    }
    // In our own language a text is a choice first, and else the number of one.
    for (template, choices, expected) in [
        ("{{answer}}", &numbers, Gold::One(0)),
        ("{{answer}}", &choices, Gold::One(2)),
        ("{{n}}", &choices, Gold::One(1)),
        ("1", &choices, Gold::One(1)),
        ("{{t}}", &choices, Gold::One(2)),
        ("{{two}}", &choices, Gold::Any(vec![0, 2])),
        ("5", &choices, Gold::Nothing),
    ] {
        assert_eq!(ours(template).gold(&fields, choices).unwrap(), expected, "{template}");
    }
    let text = |text: &str| Rendered::Text(text.to_owned());
    assert_eq!(jinja("{{q}}]").target(&fields, false).unwrap(), text("[x]"));
    assert_eq!(
        jinja("{{many}}").target(&fields, false).unwrap(),
        Rendered::Many(vec![text("a"), text("2")])
    );
    assert_eq!(
        ours("{{many}}").target(&fields, false).unwrap(),
        Rendered::Many(vec![text("a"), text("2")])
    );
    assert_eq!(ours("{{n}}").target(&fields, false).unwrap(), text("1"));
    assert_eq!(jinja("{{n}}").question(&fields, true).unwrap(), Rendered::Number(1));
    assert_eq!(jinja("n").question(&fields, false).unwrap(), text("1"));
}

#[test]
fn choices_are_lists() {
    let record = record(&json!({"c": ["x's", "\\n"], "a": "it's", "b": "\"b\"\n"}));
    let fields = fields(&record);
    assert_eq!(jinja("c").list(&fields).unwrap(), ["x's", "\\n"]);
    assert_eq!(jinja("{{c}}").list(&fields).unwrap(), ["x's", "\\n"]);
    assert_eq!(jinja("{{[a, b]}}").list(&fields).unwrap(), ["it's", "\"b\"\n"]);
    assert_eq!(jinja("[\"{{a}}\", 'n']").list(&fields).unwrap(), ["it's", "n"]);
    assert_eq!(ours("{{c}}").list(&fields).unwrap(), ["x's", "\\n"]);
    let error = jinja("['{{a}}']").list(&fields).unwrap_err().to_string();
    assert_eq!(
        error,
        "the template gives no list of choices, as `[\"yes\", \"no\"]` is one: `['{{a}}']` gives `['it's']`"
    );
    let texts = ["{{a}}".to_owned(), "no".to_owned()];
    let list = |language| ChoiceTemplates::list(&texts, language).unwrap().render(&fields).unwrap();
    assert_eq!(list(TemplateLanguage::Fields), ["it's", "no"]);
    assert_eq!(list(TemplateLanguage::Jinja), ["{{a}}", "no"]);
}

/// Expected values: `ast.literal_eval` of Python 3.11.
#[test]
fn literals_are_those_of_python() {
    let text = |text: &str| Literal::Text(text.to_owned());
    let plain = |text: &str| Literal::Plain(text.to_owned());
    for (source, expected) in [
        (
            "['a', \"b'c\", 'd\\'e', 'f\\\\n']",
            Literal::List(vec![text("a"), text("b'c"), text("d'e"), text("f\\n")]),
        ),
        (
            "('a' 'b', r'\\n', u'\\u00e9\\x41\\101')",
            Literal::List(vec![text("ab"), text("\\n"), text("éAA")]),
        ),
        (
            "[1, -2.5, True, None,]",
            Literal::List(vec![plain("1"), plain("-2.5"), plain("True"), plain("None")]),
        ),
        ("('a')", text("a")),
        ("('a',)", Literal::List(vec![text("a")])),
        ("'''a\n'b'''", text("a\n'b")),
        (
            "[[], ['x']]",
            Literal::List(vec![Literal::List(Vec::new()), Literal::List(vec![text("x")])]),
        ),
        (" 'a\\qb'", text("a\\qb")),
    ] {
        assert_eq!(python_literal(source), Some(expected), "{source}");
    }
    for source in [
        "", "a", "['it's']", "[1, 01]", "['a' 1]", "['a", "'a\nb'", "[1] 2", "f(1)", "[,]", "['\\x4']",
    ] {
        assert_eq!(python_literal(source), None, "{source}");
    }
    assert_eq!(python_literal(&"[".repeat(100_000)), None);
}

#[test]
fn what_is_plain_means_the_same_in_both_languages() {
    for text in ["{{q}}", "a {{ b.c }} {{d[0]}}{{e[-1][2].f}}", "no field {a}"] {
        assert!(is_plain(text), "{text}");
    }
    for text in [
        "{{q.strip()}}",
        "{{a|b}}",
        "{{a[b]}}",
        "{{ 'x' }}",
        "{% if a %}",
        "{# a #}",
        "{{- a }}",
        "{{a b}}",
        "{{1}}",
        "{{a",
    ] {
        assert!(!is_plain(text), "{text}");
    }
}
