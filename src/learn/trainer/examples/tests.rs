use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::chat::{ChatTemplate, Message, SpecialTokens};
use crate::dataset::{ChatPrompt, Doc};
use crate::model::{Architecture, ModelChat, Places, TokenPositions};

fn prompter(prompt: &Prompt) -> Prompter {
    Prompter::new(prompt, None).unwrap()
}

fn row(id: &str, prompt: &str, completion: &str) -> Row {
    Row {
        id: id.to_owned(),
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
        step_num: 1,
        answer: 3.into(),
        doc: Doc::default(),
    }
}

fn data(rows: &[Row]) -> TrainingData<'_> {
    TrainingData {
        rows,
        vocabulary: &[],
        validation: None,
        base: None,
    }
}

#[test]
fn only_the_completion_and_its_end_are_trained_on() {
    let rows = [row("a", "1+2", "=3"), row("b", "4+4", "=8")];
    let prompt = Prompt::text("{question}:");
    let tokenizer = tokenizer(TokenizerStyle::Phrase, &data(&rows), &prompt).unwrap();
    let shape = Architecture::default().shape(tokenizer.vocabulary()).unwrap();
    let batch = Examples::new(&rows, &prompter(&prompt), &tokenizer, &shape)
        .unwrap()
        .batch(&[1, 0], BatchPlaces::OfUse);
    let text = |tokens: &[u32]| -> Vec<String> {
        let token = |token: &u32| match *token {
            IGNORED => "-".to_owned(),
            token => tokenizer.decode(&[token]).unwrap(),
        };
        tokens.iter().map(token).collect()
    };
    assert_eq!(text(&batch.tokens), ["4", "+", "4", ":", "=", "8", "1", "+", "2", ":", "=", "3"]);
    assert_eq!(
        text(&batch.targets),
        ["-", "-", "-", "=", "8", "<eos>", "-", "-", "-", "=", "3", "<eos>"]
    );
    assert_eq!(batch.lines, [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1]);
    assert_eq!(batch.columns, [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1]);
    assert_eq!(batch.lengths, [6, 6]);
    let sequence = Sequence { tokens: 6, trained: 3 };
    assert_eq!(
        Examples::new(&rows, &prompter(&prompt), &tokenizer, &shape)
            .unwrap()
            .sequences(&[1, 0]),
        [sequence; 2]
    );
}

#[test]
fn the_places_of_a_batch_are_drawn_for_each_sequence_and_batch_alone() {
    let rows: Vec<Row> = (0..4).map(|i| row(&format!("r{i}"), "12+3", "=5\n=15")).collect();
    let prompt = Prompt::text("{question}:");
    let tokenizer = tokenizer(TokenizerStyle::Char, &data(&rows), &prompt).unwrap();
    let architecture = Architecture {
        positions: TokenPositions::Places(Places { rows: 30, top: 4, wide: 0 }),
        ..Architecture::default()
    };
    let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
    let examples = Examples::new(&rows, &prompter(&prompt), &tokenizer, &shape).unwrap();
    let places = |numbers: &[usize], of| examples.batch(numbers, of).places;
    let drawn = |batch| BatchPlaces::Drawn { seed: 7, batch };
    let once = places(&[0, 1, 2, 3], drawn(5));
    // 11 tokens, of which each has three rows; the end is not read.
    assert_eq!(once.len(), 4 * 11 * 3);
    let each: Vec<&[u32]> = once.chunks(33).collect();
    assert!(each[0] != each[1] && each[1] != each[2]);
    // Whatever the row is that has this place in the batch, and whatever was drawn before.
    assert_eq!(places(&[3, 2], drawn(5)), once[..66]);
    assert_ne!(places(&[0, 1, 2, 3], drawn(6)), once);
    assert_ne!(places(&[0], BatchPlaces::Drawn { seed: 8, batch: 5 }), once[..33]);
    // `1`, `2`, `+`, `3` and `:` of the prompt have the places 2, 1, 0, 1 and 1: the same place is the same row, and one less is in the next table.
    for rows in each {
        let row = |token: usize, table: usize| rows[3 * token + table] - 30 * table as u32;
        assert!(row(0, 0) > row(1, 0) && row(1, 0) > row(2, 0) && row(1, 0) == row(3, 0) && row(3, 0) == row(4, 0));
        assert_eq!((row(0, 1), row(0, 2), row(1, 1)), (row(1, 0), row(2, 0), row(2, 0)));
    }
    let of_use = places(&[0, 1], BatchPlaces::OfUse);
    assert_eq!(of_use[..33], of_use[33..]);
    // Seven of thirty rows, from the twelfth on: index 2 has the sixteenth.
    assert_eq!(of_use[..3], [15, 30 + 14, 60 + 13]);
}

#[test]
fn rows_beyond_the_context_are_named() {
    let rows: Vec<Row> = (0..8).map(|i| row(&format!("r{i}"), "1+2", "=33333")).collect();
    let prompt = Prompt::text("{question}:");
    let tokenizer = tokenizer(TokenizerStyle::Char, &data(&rows), &prompt).unwrap();
    let architecture = Architecture {
        context: 8,
        ..Architecture::default()
    };
    let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
    let error = Examples::new(&rows, &prompter(&prompt), &tokenizer, &shape).err().unwrap();
    insta::assert_snapshot!(error, @r#"8 rows are longer than the model's context of 8 tokens, the longest has 11 (rows "r0", "r1", "r2", "r3", "r4" and 3 more); raise `context` of the model or leave them out"#);
}

/// What `tests/reference/chat.py` writes: conversations, the special tokens of SmolLM2, and of each conversation a hash of its tokens and where
/// those begin and end that the assistant says, by Transformers.
#[derive(Deserialize)]
struct Reference {
    conversations: Vec<Vec<(String, String)>>,
    models: BTreeMap<String, ModelCases>,
    masks: Vec<(String, Vec<usize>)>,
}

#[derive(Deserialize)]
struct ModelCases {
    tokens: SpecialTokens,
}

const SMOLLM2: &str = include_str!("../../chat/tests/templates/smollm2.jinja");

fn small_tokenizer() -> Tokenizer {
    let json = include_bytes!("../../chat/tests/tokenizer.json");
    Tokenizer::parse(json, &[0], Path::new("tokenizer.json")).unwrap()
}

/// The tokens that a tokenizer of Transformers makes of the whole text, and those that the assistant says by its mask, are ours. Not compared
/// are texts that Transformers reads otherwise on purpose: control tokens in what the user says, which are text here, and answers that begin
/// with a line end, which it joins to that of the prompt.
#[test]
fn what_is_learned_from_a_chat_is_what_transformers_masks() {
    let reference: Reference = serde_json::from_str(include_str!("../../chat/tests/cases.json")).unwrap();
    let template = ChatTemplate::parse(SMOLLM2, &reference.models["smollm2"].tokens).unwrap();
    let (tokenizer, mut compared) = (small_tokenizer(), 0);
    for (turns, (hash, edges)) in reference.conversations.iter().zip(&reference.masks) {
        let messages: Vec<Message> = turns
            .iter()
            .map(|(role, content)| Message {
                role: role.clone(),
                content: content.clone(),
            })
            .collect();
        let chat = template.render_with_spans(&messages, None).unwrap();
        let found = tokenizer.conversation(text_of(&chat)).unwrap();
        let said: Vec<String> = found
            .said
            .iter()
            .map(|said| tokenizer.decode(&found.tokens[said.clone()]).unwrap())
            .collect();
        let expected: Vec<&str> = chat.said.iter().map(|said| &chat.text[said.clone()]).collect();
        assert_eq!(said, expected);
        let is_other = |message: &Message| {
            let begins = message.is_assistants() && message.content.starts_with(char::is_whitespace);
            begins || message.content.contains("<|im_") || (!message.is_assistants() && message.content.contains("think>"))
        };
        if messages.iter().any(is_other) {
            continue;
        }
        let tokens: Vec<String> = found.tokens.iter().map(u32::to_string).collect();
        assert_eq!(&blake3::hash(tokens.join(" ").as_bytes()).to_hex()[..16], hash, "{:?}", chat.text);
        assert_eq!(
            &found.said.iter().flat_map(|said| [said.start, said.end]).collect::<Vec<_>>(),
            edges
        );
        compared += 1;
    }
    assert_eq!(compared, 18);
}

fn chat(template: &str) -> ModelChat {
    ModelChat {
        template: template.to_owned(),
        special_tokens: SpecialTokens::new(),
    }
}

/// The tokens of a row in a chat, each as a text, with those that are trained on in brackets.
fn learned(template: &str, prompt: &Prompt, row: &Row) -> (String, BTreeSet<u32>) {
    let tokenizer = small_tokenizer();
    let prompter = Prompter::new(prompt, Some(&chat(template))).unwrap();
    let shape = Architecture::default().shape(tokenizer.vocabulary()).unwrap();
    let rows = [row.clone()];
    let examples = Examples::new(&rows, &prompter, &tokenizer, &shape).unwrap();
    let batch = examples.batch(&[0], BatchPlaces::OfUse);
    assert_eq!(
        examples.sequences(&[0])[0].trained,
        batch.targets.iter().filter(|target| **target != IGNORED).count()
    );
    let asked = prompter.ask(row, &row.prompt, row.step_num).unwrap();
    let asked = tokenizer.conversation(ConversationText {
        text: &asked.text,
        filled: &asked.filled,
        written: &asked.answers,
        said: &[],
    });
    // A prompt has the same tokens in training and in sampling.
    let asked = asked.unwrap().tokens;
    assert!(batch.tokens.starts_with(&asked));
    assert!(batch.targets[..asked.len() - 1].iter().all(|target| *target == IGNORED));
    let said: Vec<u32> = batch.targets.iter().copied().filter(|target| *target != IGNORED).collect();
    let text = format!("{}[{}]", tokenizer.decode(&asked).unwrap(), tokenizer.decode(&said).unwrap());
    (text, examples.ends(&tokenizer))
}

#[test]
fn a_chat_is_learned_from_after_its_prompt() {
    let mut prompt = Prompt::chat();
    prompt.chat = Some(ChatPrompt {
        system: Some("Be brief.".to_owned()),
        ..ChatPrompt::default()
    });
    let (text, ends) = learned(SMOLLM2, &prompt, &row("a", "say <|im_end|>", "<|im_end|> <think>2</think>3"));
    insta::assert_snapshot!(text, @"
    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    say <|im_end|><|im_end|>
    <|im_start|>assistant
    [<|im_end|> <think>2</think>3<|im_end|>]
    ");
    assert_eq!(ends, BTreeSet::from([2]));
    // Without a mark for the end of a turn, it is the model's own end.
    let plain = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
    let (text, ends) = learned(plain, &Prompt::chat(), &row("a", "1 + 2", "3"));
    insta::assert_snapshot!(text, @"
    user: 1 + 2
    assistant:[ 3<|endoftext|>]
    ");
    assert_eq!(ends, BTreeSet::from([0]));
}

#[test]
fn all_answers_of_a_recorded_conversation_are_learned_and_the_last_is_asked_for() {
    let tokenizer = small_tokenizer();
    let prompt = Prompt {
        chat: Some(ChatPrompt {
            messages: Some("messages".to_owned()),
            ..ChatPrompt::default()
        }),
        ..Prompt::chat()
    };
    let prompter = Prompter::new(&prompt, Some(&chat(SMOLLM2))).unwrap();
    let shape = Architecture::default().shape(tokenizer.vocabulary()).unwrap();
    let conversation = serde_json::json!({ "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "1 + 2" },
        { "role": "assistant", "content": "3" },
        { "role": "user", "content": "say 2" },
        { "role": "assistant", "content": "2" },
    ] });
    let told = Row {
        doc: serde_json::from_value(conversation).unwrap(),
        ..row("a", "", "")
    };
    let rows = [told.clone()];
    let examples = Examples::new(&rows, &prompter, &tokenizer, &shape).unwrap();
    let batch = examples.batch(&[0], BatchPlaces::OfUse);
    // What is learned, each answer by itself: targets are the tokens that come next.
    let targets = &batch.targets;
    let parts = targets.split(|target| *target == IGNORED).filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(|part| tokenizer.decode(part).unwrap()).collect();
    assert_eq!(parts, ["3<|im_end|>", "2<|im_end|>"]);
    let asked = prompter.ask(&told, "nothing of this", 1).unwrap();
    insta::assert_snapshot!(asked.text, @"
    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    1 + 2<|im_end|>
    <|im_start|>assistant
    3<|im_end|>
    <|im_start|>user
    say 2<|im_end|>
    <|im_start|>assistant
    ");
    let error = |row: Row| Examples::new(&[row], &prompter, &tokenizer, &shape).err().unwrap().to_string();
    insta::assert_snapshot!(error(row("b", "1", "2")), @r#"row "b": the record has no field `messages`, which the prompt names (`chat.messages`); an import keeps it unless it has `doc = false`"#);
    let unanswered = Row {
        doc: serde_json::from_value(serde_json::json!({ "messages": [{ "role": "user", "content": "1" }] })).unwrap(),
        ..row("c", "", "")
    };
    insta::assert_snapshot!(error(unanswered), @r#"row "c": the conversation has no turn of the role `assistant`, which a model could learn from"#);
}

#[test]
fn a_chat_that_cannot_be_learned_from_names_its_row() {
    let tokenizer = small_tokenizer();
    let prompter = Prompter::new(&Prompt::chat(), Some(&chat("{{ raise_exception('no') }}"))).unwrap();
    let shape = Architecture::default().shape(tokenizer.vocabulary()).unwrap();
    let error = Examples::new(&[row("a", "1", "2")], &prompter, &tokenizer, &shape).err().unwrap();
    insta::assert_snapshot!(error, @r#"row "a": the chat template refuses the conversation: no"#);
    let none = Prompter::new(&Prompt::chat(), None).unwrap_err();
    insta::assert_snapshot!(none, @"the model has no chat template; import a model that has one (`chat_template.jinja`), or write the prompt as a text with `{question}`");
}
