//! What a model wrote for one request, and how likely it finds the prompt.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The text that the model generated for one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Completion {
    /// The number of the request.
    pub(super) at: usize,
    pub text: String,
    pub tokens: u32,
    /// Whether the text was cut at the limit.
    #[serde(default)]
    pub cut: bool,
    /// How likely the model finds the prompt, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptScores>,
}

/// How likely a model finds each token of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PromptScores {
    /// Number of the prompt's tokens, as the server counts them.
    pub tokens: u32,
    /// The natural logarithm of each token's probability after those before it. The first of all has none. Servers may leave out the mark
    /// with which a text begins, so that there is one less than `tokens`.
    pub logprobs: Vec<Option<f64>>,
    /// Whether each token is the likeliest.
    pub greedy: Vec<bool>,
    /// The text of the first token.
    first: Option<String>,
}

impl PromptScores {
    /// Those in a response, if it has any: the fields of OpenAI's completions with `echo` and `logprobs`. The list has the tokens that were
    /// generated too, `generated` of them.
    pub(super) fn read(answer: &Value, generated: u32) -> Option<Self> {
        let list = |field: &str| answer.pointer("/choices/0/logprobs")?.get(field)?.as_array();
        let tokens = answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64)?;
        let logprobs = list("token_logprobs")?;
        let count = logprobs.len().checked_sub(generated as usize)?;
        // A server that does not repeat the prompt has those of the generated tokens alone.
        if count == 0 || (count as u64) + 1 < tokens {
            return None;
        }
        let logprobs: Vec<Option<f64>> = logprobs.iter().take(count).map(Value::as_f64).collect();
        let greedy = logprobs.iter().zip(list("top_logprobs")?);
        let greedy: Vec<bool> = greedy.map(|(logprob, top)| is_likeliest(*logprob, top)).collect();
        (greedy.len() == count).then_some(Self {
            tokens: u32::try_from(tokens).ok()?,
            logprobs,
            greedy,
            first: list("tokens").and_then(|tokens| tokens.first()?.as_str().map(str::to_owned)),
        })
    }

    /// Whether the first token is the beginning of `text`, and no mark that the server put before it.
    pub fn first_is_text(&self, text: &str) -> bool {
        self.first.as_ref().is_none_or(|first| text.starts_with(first.as_str()))
    }
}

/// Whether no token of `top`, a map from tokens to log-probabilities, is likelier.
fn is_likeliest(logprob: Option<f64>, top: &Value) -> bool {
    let top = top.as_object().into_iter().flatten().filter_map(|(_, logprob)| logprob.as_f64());
    logprob.is_some_and(|logprob| top.fold(logprob, f64::max) <= logprob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(first: &str, logprobs: &Value, top: &Value, tokens: u32) -> Value {
        let logprobs = json!({ "token_logprobs": logprobs, "top_logprobs": top, "tokens": [first, "b", "c"] });
        json!({ "choices": [{ "text": "abc", "logprobs": logprobs }], "usage": { "prompt_tokens": tokens, "completion_tokens": 1 } })
    }

    #[test]
    fn the_prompt_s_tokens_are_read_without_the_generated_one() {
        let top = json!([null, { "b": -0.5, "x": -1.0 }, { "c": -0.1 }]);
        let read = |tokens| PromptScores::read(&answer("a", &json!([null, -0.5, -0.1]), &top, tokens), 1);
        let scores = read(2).unwrap();
        assert_eq!(
            (scores.logprobs.as_slice(), scores.greedy.as_slice()),
            ([None, Some(-0.5)].as_slice(), [false, true].as_slice())
        );
        assert!(scores.first_is_text("ab") && !scores.first_is_text("b"));
        // The mark before a text may be missing; more may not.
        assert!(read(3).is_some());
        assert_eq!(read(4), None);
        // Another token is likelier.
        let top = json!([null, { "b": -0.5, "x": -0.4 }, null]);
        let scores = PromptScores::read(&answer("a", &json!([null, -0.5, -0.1]), &top, 2), 1).unwrap();
        assert_eq!(scores.greedy, [false, false]);
    }

    #[test]
    fn a_response_without_the_prompt_has_none() {
        let alone = answer("c", &json!([-0.1]), &json!([{ "c": -0.1 }]), 2);
        assert_eq!(PromptScores::read(&alone, 1), None);
        assert_eq!(PromptScores::read(&json!({ "choices": [{ "text": "c" }] }), 1), None);
        let no_top = answer("a", &json!([null, -0.5, -0.1]), &Value::Null, 2);
        assert_eq!(PromptScores::read(&no_top, 1), None);
    }
}
