//! The chat template of a model: `chat_template.jinja`, or a part of `tokenizer_config.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ModelError;
use super::json_file::read_json;
use crate::chat::{ChatError, ChatTemplate, SpecialTokens};
use crate::tokenizer::Tokenizer;

/// The file of a model's folder with its chat template.
pub(super) const CHAT_TEMPLATE_FILE: &str = "chat_template.jinja";
const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// The longest template that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The special tokens that templates know by these names.
pub(super) const SPECIAL_TOKENS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The chat template of a model, as its files have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChat {
    /// A text in Jinja's language.
    pub template: String,
    /// The special tokens by the names under which the template knows them.
    pub special_tokens: SpecialTokens,
}

impl ModelChat {
    /// The template, ready to be rendered.
    ///
    /// # Errors
    /// When the text is no template.
    pub fn parse(&self) -> Result<ChatTemplate, ChatError> {
        ChatTemplate::parse(&self.template, &self.special_tokens)
    }

    /// Reads the chat template in a model's folder, ours or Hugging Face's; `None` if it has none.
    pub(super) fn read(folder: &Path, tokenizer: &Tokenizer) -> Result<Option<Self>, ModelError> {
        let config = object(&folder.join(TOKENIZER_CONFIG_FILE))?;
        let file = folder.join(CHAT_TEMPLATE_FILE);
        let template = if file.is_file() {
            Some(text(file)?)
        } else {
            config.get("chat_template").and_then(default).map(str::to_owned)
        };
        let Some(template) = template else { return Ok(None) };
        let others = object(&folder.join(SPECIAL_TOKENS_FILE))?;
        let mut special_tokens = SpecialTokens::new();
        for name in SPECIAL_TOKENS {
            let token = match (given(&[&config, &others], name), name) {
                (Some(given), _) => given,
                (None, "bos_token") => tokenizer.begin().first().and_then(|token| tokenizer.token(*token)),
                (None, "eos_token") => tokenizer.token(tokenizer.end()),
                (None, _) => None,
            };
            special_tokens.extend(token.map(|token| (name.to_owned(), token)));
        }
        Ok(Some(Self { template, special_tokens }))
    }

    /// Writes the template to a model's folder. The special tokens are in `tokenizer_config.json`.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(CHAT_TEMPLATE_FILE);
        std::fs::write(&path, &self.template).map_err(|error| ModelError::Write { path, error })
    }
}

/// The tokenizer of the model in `folder`, with the token that the folder's files name the first of texts.
pub(super) fn with_first(tokenizer: Tokenizer, folder: &Path) -> Result<Tokenizer, ModelError> {
    let [config, others] = [TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE].map(|file| object(&folder.join(file)));
    let Some(named) = given(&[&config?, &others?], "bos_token") else {
        return Ok(tokenizer);
    };
    let token = named.and_then(|text| tokenizer.find(&text));
    Ok(tokenizer.naming_first(token))
}

/// The special token in the first of `files` that has the field. `None` when no file has it, `Some(None)` when the field is null.
fn given(files: &[&Map<String, Value>], name: &str) -> Option<Option<String>> {
    let given = files.iter().find_map(|file| file.get(name));
    given.map(|given| content(given).map(str::to_owned))
}

/// The template that is used where nothing else is said: a text, or one of a list of named ones.
fn default(given: &Value) -> Option<&str> {
    let Some(list) = given.as_array() else { return given.as_str() };
    let named = list
        .iter()
        .filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("template")?.as_str()?)));
    let named: Vec<(&str, &str)> = named.collect();
    match (named.iter().find(|(name, _)| *name == "default"), named.as_slice()) {
        (Some((_, template)), _) | (None, [(_, template)]) => Some(template),
        _ => None,
    }
}

/// A token: a text, or an object with a `content`.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// The object in a file, which is empty if there is no such file.
fn object(path: &Path) -> Result<Map<String, Value>, ModelError> {
    if path.is_file() { read_json(path) } else { Ok(Map::new()) }
}

fn text(path: PathBuf) -> Result<String, ModelError> {
    let found = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) => return Err(ModelError::Read { path, error }),
    };
    if found > MAX_BYTES {
        let most = MAX_BYTES;
        return Err(ModelError::TooLong { path, found, most });
    }
    std::fs::read_to_string(&path).map_err(|error| ModelError::Read { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Prompt;
    use crate::model::{self, Architecture, Model, initialise};

    fn read(files: &[(&str, &str)]) -> Result<Option<ModelChat>, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let tokenizer = Tokenizer::build(crate::tokenizer::TokenizerStyle::Char, ["a"]).unwrap();
        ModelChat::read(folder.path(), &tokenizer)
    }

    fn template(files: &[(&str, &str)]) -> Option<String> {
        read(files).unwrap().map(|chat| chat.template)
    }

    #[test]
    fn a_template_is_a_file_or_a_part_of_the_tokenizers_settings() {
        let config = |chat: &str| format!(r#"{{"chat_template": {chat}}}"#);
        let in_config = |chat: &str| template(&[(TOKENIZER_CONFIG_FILE, &config(chat))]);
        assert_eq!(in_config(r#""a""#).as_deref(), Some("a"));
        let list = r#"[{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]"#;
        assert_eq!(in_config(list).as_deref(), Some("d"));
        assert_eq!(in_config(r#"[{"name": "rag", "template": "r"}]"#).as_deref(), Some("r"));
        assert_eq!(
            in_config(r#"[{"name": "a", "template": "a"}, {"name": "b", "template": "b"}]"#),
            None
        );
        assert_eq!(in_config("null"), None);
        assert_eq!(template(&[]), None);
        let both = [(TOKENIZER_CONFIG_FILE, config(r#""a""#)), (CHAT_TEMPLATE_FILE, "file\n".to_owned())];
        let both = both.each_ref().map(|(name, text)| (*name, text.as_str()));
        assert_eq!(template(&both).as_deref(), Some("file\n"));
    }

    #[test]
    fn special_tokens_are_texts_or_objects_and_else_the_tokenizers() {
        let files = [
            (CHAT_TEMPLATE_FILE, "a"),
            (TOKENIZER_CONFIG_FILE, r#"{"bos_token": null, "pad_token": {"content": "<p>"}}"#),
            (SPECIAL_TOKENS_FILE, r#"{"bos_token": "<no>", "unk_token": "<u>"}"#),
        ];
        let tokens = read(&files).unwrap().unwrap().special_tokens;
        let tokens: Vec<(&str, &str)> = tokens.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(tokens, [("eos_token", "<eos>"), ("pad_token", "<p>"), ("unk_token", "<u>")]);
    }

    #[test]
    fn a_template_that_is_too_long_is_refused() {
        let long = "a".repeat(MAX_BYTES as usize + 1);
        assert!(matches!(read(&[(CHAT_TEMPLATE_FILE, &long)]), Err(ModelError::TooLong { .. })));
    }

    fn model(chat: Option<ModelChat>) -> Model {
        let json = include_bytes!("../chat/tests/tokenizer.json");
        let tokenizer = Tokenizer::parse(json, &[0], Path::new("tokenizer.json")).unwrap();
        let architecture = Architecture {
            width: 8,
            heads: 2,
            layers: 1,
            lines: 0,
            columns: 0,
            ..Architecture::default()
        };
        let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
        Model {
            weights: initialise(&shape, 1),
            shape,
            tokenizer,
            prompt: Prompt::chat(),
            chat,
        }
    }

    #[test]
    fn a_template_goes_with_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let [saved, imported] = ["saved", "imported"].map(|name| folder.path().join(name));
        let special_tokens = [("eos_token", "<|im_end|>"), ("pad_token", "<|endoftext|>")];
        let chat = ModelChat {
            template: "{{ eos_token }}\n".to_owned(),
            special_tokens: special_tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        };
        model(Some(chat.clone())).save(&saved).unwrap();
        model::import(&saved, true, &imported).unwrap();
        assert_eq!(model::chat_of(&saved).unwrap().as_ref(), Some(&chat));
        for folder in [&saved, &imported] {
            let model = model::open(folder).unwrap();
            assert_eq!(model.chat.as_ref(), Some(&chat));
            assert_eq!(std::fs::read_to_string(folder.join(CHAT_TEMPLATE_FILE)).unwrap(), chat.template);
            // The end of a completion is not the template's.
            assert_eq!(model.tokenizer.ends(), [0]);
        }
        assert_eq!(model::open(&saved).unwrap().prompt, Prompt::chat());
        assert_eq!(chat.parse().unwrap().render(&[], true, None).unwrap(), "<|im_end|>");
    }

    #[test]
    fn a_model_without_a_template_is_written_as_before() {
        let folder = tempfile::tempdir().unwrap();
        model(None).save(folder.path()).unwrap();
        assert!(!folder.path().join(CHAT_TEMPLATE_FILE).exists());
        let config: Value = read_json(&folder.path().join(TOKENIZER_CONFIG_FILE)).unwrap();
        let fields: Vec<&str> = config.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "bos_token",
            "clean_up_tokenization_spaces",
            "eos_token",
            "model_max_length",
            "tokenizer_class",
        ];
        assert_eq!(fields, expected);
        assert_eq!(model::open(folder.path()).unwrap().chat, None);
    }
}
