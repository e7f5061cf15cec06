//! Asks a server how likely its model finds texts.
//!
//! A server that repeats the prompt (`echo`) with the log-probabilities of its tokens (`logprobs`) tells those of a text after its context.
//! How many of the tokens are the context's, a request with the context alone says: the server's tokenizer cuts both, as a local one would.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Weighed;
use crate::endpoint::{Asked, Completion, CompletionRequest, Endpoint, PromptScores, Refusal, Written};
use lab::stage::{StageContext, StageError, failed};
use learn::scorer::{Loglikelihood, ScoreRequest};

/// The fields of a request that asks for the log-probabilities of its prompt. Some servers refuse to write no token.
pub(crate) fn score_fields() -> Map<String, Value> {
    let fields = json!({ "max_tokens": 1, "temperature": 0.0, "echo": true, "logprobs": 1 });
    fields.as_object().cloned().unwrap_or_default()
}

/// The log-likelihoods of `requests`, in their order, by a server whose requests have the fields of [`score_fields`].
///
/// # Errors
/// When the server fails, or does not tell log-probabilities of prompts.
pub(super) fn loglikelihoods(server: Endpoint, requests: &[ScoreRequest], context: &StageContext<'_>) -> Result<Vec<Weighed>, StageError> {
    let (texts, places) = texts(requests);
    let asked = texts.into_iter().map(|text| CompletionRequest {
        prompt: Asked::from(text),
        seed: 0,
    });
    let written = server.complete(asked.collect(), context)?;
    let find = |place: usize| written.get(place).map_or_else(|| Err(no_answer()), scores);
    let pairs = requests.iter().zip(places);
    let weigh = pairs.map(|(request, place)| {
        let before = place.context.map(find).transpose();
        match (before, find(place.whole)) {
            (Ok(before), Ok(whole)) => loglikelihood(request, before, whole),
            (Err(refusal), _) | (_, Err(refusal)) => Ok(Err(refusal)),
        }
    });
    weigh.collect()
}

/// Where the texts of a request stand among all that are sent.
struct Places {
    /// The context; `None` where it is empty.
    context: Option<usize>,
    whole: usize,
}

/// The texts to send, each once: contexts before what begins with them, so that the server may find them in its cache.
fn texts(requests: &[ScoreRequest]) -> (Vec<String>, Vec<Places>) {
    let mut texts = Vec::new();
    let mut known = HashMap::new();
    let mut place_of = |text: String| {
        *known.entry(text).or_insert_with_key(|text| {
            texts.push(text.clone());
            texts.len() - 1
        })
    };
    let places = requests.iter().map(|request| {
        let before = request.context_without_blanks();
        Places {
            context: (!before.is_empty()).then(|| place_of(before.to_owned())),
            whole: place_of(request.context.text.clone() + &request.continuation),
        }
    });
    let places = places.collect();
    (texts, places)
}

fn no_answer() -> Refusal {
    Refusal("the server did not answer".to_owned())
}

fn scores(written: &Written) -> Result<&Completion, Refusal> {
    written.as_ref().map_err(Clone::clone)
}

/// The log-likelihood of a continuation, from what the server says of its context and of both.
fn loglikelihood(request: &ScoreRequest, before: Option<&Completion>, whole: &Completion) -> Result<Weighed, StageError> {
    let scores = prompt_scores(whole)?;
    let count = match before {
        None => scores.logprobs.len(),
        Some(before) => {
            let context = prompt_scores(before)?.tokens;
            (scores.tokens as usize).saturating_sub(context as usize)
        }
    };
    // Counted from the end: some servers leave the mark with which a text begins out of the list.
    let first = scores.logprobs.len().checked_sub(count);
    let own = first.and_then(|first| Some((scores.logprobs.get(first..)?, scores.greedy.get(first..)?)));
    let Some((logprobs, greedy)) = own.filter(|(logprobs, _)| !logprobs.is_empty()) else {
        let continuation = &request.continuation;
        return Ok(Err(Refusal(format!(
            "the server's tokenizer makes no tokens of `{continuation}` that are not the context's"
        ))));
    };
    // Nothing comes before the first token of all, which is a mark or not.
    let skipped = usize::from(first == Some(0) && logprobs.first() == Some(&None));
    if skipped == 1 && scores.first_is_text(&(request.context.text.clone() + &request.continuation)) {
        return Err(failed(
            "the server gives no log-probability of the first token of a text, as its model begins texts with no mark: texts without a \
             context cannot be scored there; give the model as `model`",
        ));
    }
    let known: Option<Vec<f64>> = logprobs.iter().skip(skipped).copied().collect();
    let Some(known) = known else {
        return Ok(Err(Refusal("the server leaves out log-probabilities of some tokens".to_owned())));
    };
    Ok(Ok(Loglikelihood {
        sum: known.iter().sum(),
        tokens: u32::try_from(known.len()).unwrap_or(u32::MAX),
        greedy: greedy.iter().skip(skipped).all(|greedy| *greedy),
        cut: 0,
    }))
}

fn prompt_scores(completion: &Completion) -> Result<&PromptScores, StageError> {
    // The requests ask for them, and what comes without is no answer.
    completion
        .prompt
        .as_ref()
        .ok_or_else(|| failed("the server gives no log-probabilities"))
}
