use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::*;

/// What `tests/reference/chat.py` writes.
#[derive(Deserialize)]
struct Reference {
    date: Date,
    conversations: Vec<Vec<(String, String)>>,
    models: BTreeMap<String, ModelCases>,
}

#[derive(Deserialize)]
struct ModelCases {
    tokens: SpecialTokens,
    /// A hash of the template.
    template: String,
    /// Of each conversation: hashes of the text of the whole and of the prompt for the last answer, and where the assistant speaks in the
    /// whole: starts and ends.
    cases: Vec<(String, String, Vec<usize>)>,
}

fn reference() -> (Reference, Vec<Vec<Message>>) {
    let reference: Reference = serde_json::from_str(include_str!("tests/cases.json")).unwrap();
    let message = |(role, content): &(String, String)| Message {
        role: role.clone(),
        content: content.clone(),
    };
    let conversations = reference.conversations.iter();
    let conversations = conversations.map(|turns| turns.iter().map(message).collect()).collect();
    (reference, conversations)
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

fn template(text: &str) -> ChatTemplate {
    ChatTemplate::parse(text, &SpecialTokens::new()).unwrap()
}

fn asked(template: &ChatTemplate, content: &str) -> Result<String, ChatError> {
    template.render(&[Message::user(content)], true, None)
}

/// Compares the models whose templates are in `folder`, and returns their names.
fn compare(folder: &Path) -> Vec<String> {
    let (reference, conversations) = reference();
    let (date, mut compared) = (Some(reference.date), Vec::new());
    for (name, model) in &reference.models {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.jinja"))) else {
            continue;
        };
        assert_eq!(
            digest(&text),
            model.template,
            "the template of {name} is another one than that of the cases"
        );
        let template = ChatTemplate::parse(&text, &model.tokens).unwrap();
        assert_eq!(model.cases.len(), conversations.len());
        for (messages, (whole, prompt, said)) in conversations.iter().zip(&model.cases) {
            let found = template.render_with_spans(messages, date).unwrap();
            assert_eq!(template.render(messages, false, date).unwrap(), found.text);
            assert_eq!(&digest(&found.text), whole, "{name} {messages:?}: {:?}", found.text);
            let places: Vec<usize> = found.said.iter().flat_map(|said| [said.start, said.end]).collect();
            assert_eq!(&places, said, "{name} {messages:?}: {:?}", found.text);
            let asked = template.prompt(&messages[..messages.len() - 1], date).unwrap();
            assert_eq!(&digest(&asked.text), prompt, "{name} {messages:?}: {:?}", asked.text);
            assert!(asked.said.is_empty());
        }
        compared.push(name.clone());
    }
    compared
}

#[test]
fn texts_and_what_the_assistant_says_are_those_of_transformers() {
    let compared = compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("chat/tests/templates"));
    let expected = ["mistral_nemo", "mistral_v0_3", "own", "phi3", "qwen2_5", "qwen3", "smollm2"];
    assert_eq!(compared, expected);
}

#[test]
#[ignore = "needs the templates of Llama 3.1 and 3.2 in a folder, which RUNNER_CHAT_TEMPLATES names"]
fn texts_of_llama_are_those_of_transformers() {
    #[expect(clippy::disallowed_methods, reason = "says where the templates are")]
    let folder = std::env::var_os("RUNNER_CHAT_TEMPLATES").unwrap();
    let compared = compare(Path::new(&folder));
    assert!(compared.contains(&"llama3_1".to_owned()) && compared.contains(&"llama3_2".to_owned()));
}

#[test]
fn contents_are_found_where_they_stand() {
    let text = "{% for m in messages %}[{{ m.role }}]{{ m.content.strip() }}{% endfor %}{{ messages[0].content | trim }}";
    let messages = [Message::user(" [user]a "), Message::assistant("[user]"), Message::user("  ")];
    let chat = template(text).prompt(&messages, None).unwrap();
    assert_eq!(chat.text, "[user][user]a[assistant][user][user][user]a");
    assert_eq!(chat.filled, [6..13, 36..43]);
    assert_eq!(chat.written.as_slice(), std::slice::from_ref(&(24..30)));
}

/// A template that looks into a content would see the marks around it.
#[test]
fn contents_are_found_where_a_template_looks_into_them() {
    let text = "{% for m in messages %}{% if m.content.startswith('a') %}<{{ m.content }}>{% elif m.content == 'b' %}B{% else %}{{ m.content }};{% endif %}{% endfor %}";
    let messages = ["c", "abc", "b", "d"].map(Message::user);
    let chat = template(text).prompt(&messages, None).unwrap();
    assert_eq!(chat.text, "c;<abc>Bd;");
    assert_eq!(chat.filled, [0..1, 3..6, 8..9]);
}

#[test]
fn tags_say_what_the_assistant_says() {
    let text = "{% for m in messages %}\n{{ m.role }}:\n    {%- if m.role == 'assistant' %}\n        {%- set end = '!' %}\n        {%- generation %}{% set end = '?' %} {{ m.content }}{{ end }}{%- endgeneration -%}\n{{ end }}\n{% else %}{{ m.content }}{% endif %}{% endfor %}";
    let messages = [
        Message::user("a"),
        Message::assistant("b"),
        Message::user("c"),
        Message::assistant("d"),
    ];
    let chat = template(text).render_with_spans(&messages, None).unwrap();
    // As Jinja has it, what is set within the tags is unknown after them.
    assert_eq!(chat.text, "user:aassistant: b?!\nuser:cassistant: d?!\n");
    let said: Vec<&str> = chat.said.iter().map(|said| &chat.text[said.clone()]).collect();
    assert_eq!(said, [" b?", " d?"]);
}

#[test]
fn a_template_that_writes_the_date_is_given_one() {
    let template = template("{{ strftime_now('%d %b %Y') if strftime_now is defined }}");
    assert_eq!(asked(&template, ""), Err(ChatError::NoDate));
    let date = "2024-07-06".parse().ok();
    assert_eq!(template.render(&[], false, date).unwrap(), "06 Jul 2024");
    insta::assert_snapshot!(ChatError::NoDate, @r#"the chat template writes today's date, and a result must not depend on the day; say which date it is to write: `prompt = { chat = { date = "2024-07-26" } }`"#);
}

#[test]
fn a_template_may_refuse_a_conversation() {
    let refuses = template("{{ raise_exception('no ' ~ messages[0].role) }}");
    assert_eq!(asked(&refuses, ""), Err(ChatError::Raised("no user".to_owned())));
    let fails = asked(&template("a\n{{ messages[0].content.pop() }}"), "");
    assert!(matches!(fails, Err(ChatError::Failed { line: 2, .. })), "{fails:?}");
    let invalid = ChatTemplate::parse("a\n{% if %}", &SpecialTokens::new()).unwrap_err();
    assert!(matches!(invalid, ChatError::Syntax { line: 2, .. }), "{invalid}");
}

#[test]
fn a_template_without_end_is_an_error() {
    for text in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set n = namespace(s='aaaaaaaa') %}{% for a in range(999) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
        "{{ 'a' * 999999999999 }}",
        "{{ messages[0].content.replace('', 'aaaaaaaaaaaaaaaaaaaa' * 9999) * 99999 }}",
        "{{ ([0] * 99999999) | tojson }}",
        "{{ ([0] * 99999999) | trim }}",
        "{{ [[0] * 99999999] | tojson }}",
        "{% include 'chat_template' %}",
        "{% extends 'chat_template' %}",
    ] {
        // Some are refused when they are parsed.
        let rendered = ChatTemplate::parse(text, &SpecialTokens::new()).and_then(|template| asked(&template, "aaa"));
        assert!(rendered.is_err(), "{text}");
    }
    let long = ChatTemplate::parse(&"a".repeat((1 << 20) + 1), &SpecialTokens::new());
    assert!(matches!(long, Err(ChatError::TooLong { .. })));
    let much = asked(
        &template("{% for a in range(20) %}{{ messages[0].content }}{% endfor %}"),
        &"a".repeat(1 << 20),
    );
    assert_eq!(much, Err(ChatError::TooMuch { most: 16 << 20 }));
    assert_eq!(asked(&template("{{ messages[0].content }}"), "\u{fdd0}"), Ok("\u{fdd0}".to_owned()));
    let marked = template("").prompt(&[Message::user("\u{fdd0}")], None);
    assert_eq!(marked, Err(ChatError::Noncharacter('\u{fdd0}')));
}

#[test]
fn any_text_is_a_template_or_an_error() {
    let pieces = [
        "{%",
        "%}",
        "{{",
        "}}",
        "{#",
        "-",
        "generation",
        "endgeneration",
        "if",
        "for",
        "m in messages",
        "\"",
        "raw",
        " ",
        "ä",
        "\n",
    ];
    let mut draw = 1_u64;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..12 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += pieces[(draw >> 33) as usize % pieces.len()];
        }
        let messages = [Message::user("a"), Message::assistant("b")];
        let _ = ChatTemplate::parse(&text, &SpecialTokens::new()).map(|template| template.render_with_spans(&messages, None));
    }
}

/// The expected texts are those of Python's `json.dumps` with `ensure_ascii=False`.
#[test]
fn json_is_written_as_python_writes_it() {
    let value = r#"{"b": [1, 2.0, 1e22, 1.5e-7, true, none], "a": "ä\"\n<>&'/", "c": {}, "d": []}"#;
    for (options, expected) in [
        (
            "",
            r#"{"b": [1, 2.0, 1e+22, 1.5e-07, true, null], "a": "ä\"\n<>&'/", "c": {}, "d": []}"#,
        ),
        (
            "ensure_ascii=true",
            r#"{"b": [1, 2.0, 1e+22, 1.5e-07, true, null], "a": "\u00e4\"\n<>&'/", "c": {}, "d": []}"#,
        ),
        (
            "separators=(',', ':'), sort_keys=true",
            r#"{"a":"ä\"\n<>&'/","b":[1,2.0,1e+22,1.5e-07,true,null],"c":{},"d":[]}"#,
        ),
        (
            "indent=2",
            "{\n  \"b\": [\n    1,\n    2.0,\n    1e+22,\n    1.5e-07,\n    true,\n    null\n  ],\n  \"a\": \"ä\\\"\\n<>&'/\",\n  \"c\": {},\n  \"d\": []\n}",
        ),
    ] {
        let text = format!("{{{{ {value} | tojson({options}) }}}}");
        assert_eq!(asked(&template(&text), "").unwrap(), expected, "{options}");
    }
}

#[test]
fn what_python_strips_is_stripped() {
    let text = "{% set c = messages[0].content %}<{{ c.strip() }}|{{ c.lstrip() }}|{{ c.rstrip('\\n ') }}|{{ c | trim }}>";
    let content = "\u{1c} a\u{200b}\u{a0}\n ";
    let expected = "<a\u{200b}|a\u{200b}\u{a0}\n |\u{1c} a\u{200b}\u{a0}|a\u{200b}>";
    assert_eq!(asked(&template(text), content).unwrap(), expected);
}

/// The error for a conversation of a template.
fn unclear(text: &str, messages: &[Message]) -> String {
    template(text).render_with_spans(messages, None).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_told_is_said() {
    let turns = [Message::user("1?"), Message::assistant("<think>a</think>b")];
    let thinking = "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<end>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    insta::assert_snapshot!(unclear(thinking, &turns), @"cannot tell what the assistant says in turn 2 of the conversation: the template leaves out a part of it, such as its thinking; write the prompt as a text with `{question}` instead");
    let asks = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";
    insta::assert_snapshot!(unclear(asks, &[Message::user("1?"), Message::assistant("b")]), @r#"cannot tell what the assistant says in turn 2 of the conversation: the prompt for it ends in "<end><|assistant|><think>\n", and in the conversation "<end><|assistant|>" stands there; write the prompt as a text with `{question}` instead"#);
    insta::assert_snapshot!(unclear("{{ messages[0].content }}", &turns), @"cannot tell what the assistant says in turn 2 of the conversation: the template leaves it out, or writes it as another text");
    insta::assert_snapshot!(unclear("{% if no %}{% generation %}{% endgeneration %}{% endif %}", &turns), @"cannot tell what the assistant says in turn 2 of the conversation: the template has tags for it (`{% generation %}`), and none is around it");
    insta::assert_snapshot!(unclear("", &turns[..1]), @"the conversation has no turn of the role `assistant`, which a model could learn from");
}

/// Turns end with the mark that ends them, or without one with their contents.
#[test]
fn turns_end_with_their_marks() {
    let ends = |text: &str| {
        let messages = [
            Message::user("a"),
            Message::assistant("b "),
            Message::user("c"),
            Message::assistant("d"),
        ];
        let chat = template(text).render_with_spans(&messages, None).unwrap();
        chat.said.iter().map(|said| chat.text[said.clone()].to_owned()).collect::<Vec<_>>()
    };
    let plain = "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}### assistant:\n{% endif %}";
    assert_eq!(ends(plain), ["b", "d"]);
    let marked = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% else %}<|stop|>{% endif %}";
    assert_eq!(ends(marked), ["b </s>", "d</s>"]);
    let spaced = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }} </s>{% endif %}{% endfor %}";
    assert_eq!(ends(spaced), [" b  </s>", " d </s>"]);
}
