//! Asks a server, for `sample`.

use serde_json::{Map, Value, json};

use super::{Sample, TaskParam};
use crate::asked::{FEWSHOT, Question, questions};
use crate::data_sets::DataSets;
use crate::endpoint::{self, ApiKey, Asked, Completion, CompletionRequest, Endpoint, Refusal, check_address};
use crate::failed_rows::{FailedRows, OTHERS_ARE_KEPT};
use crate::kept_answers::KeptAnswers;
use crate::likelihoods::{Weigher, score_fields};
use lab::config::ParamError;
use lab::stage::{StageContext, StageError, failed};
use learn::dataset::{Answer, Prompt};
use learn::model::Prompter;
use learn::seed::Stream;

impl Sample {
    /// Checks the params for servers.
    pub(super) fn check_endpoint(&mut self, has_model: bool) -> Result<(), ParamError> {
        let wrong = |path: &str, message: &str| Err(ParamError::new(path, message));
        let Some(endpoint) = &self.endpoint else {
            return match self {
                Self { served: Some(_), .. } => wrong("served", "`served` needs an `endpoint`"),
                Self { api_key_env: Some(_), .. } => wrong("api_key_env", "`api_key_env` needs an `endpoint`"),
                _ if !has_model => Err(ParamError::whole("a model is needed: give the input `model`, or an `endpoint`")),
                _ => Ok(()),
            };
        };
        check_address(endpoint)?;
        if self.api_key_env.as_deref().is_some_and(|name| !is_variable(name)) {
            // The message does not print it: it may be the key itself.
            return wrong(
                "api_key_env",
                "this is the name of an environment variable (letters, digits and `_`), not the key itself",
            );
        }
        match self {
            _ if has_model => return wrong("endpoint", "give a `model` or an `endpoint`, not both"),
            Self { served: None, .. } => return wrong("endpoint", "the name of the model on the server is missing: `served = \"…\"`"),
            Self { top_k: Some(_), .. } => return wrong("top_k", "a served model draws with `temperature` and `top_p` alone"),
            Self { concurrency: 0, .. } => return wrong("concurrency", "0 is too small, it must be at least 1"),
            _ => {}
        }
        self.prompt.get_or_insert_with(|| Prompt::text(Prompt::PLAIN));
        Ok(())
    }

    /// Checks the params for servers that depend on the task, which may have come with the data.
    pub(super) fn check_served_task(&self) -> Result<(), ParamError> {
        let wrong = |path: &str, message: &str| Err(ParamError::new(path, message));
        let in_chat = self.prompt.as_ref().is_some_and(|prompt| prompt.chat.is_some());
        let task = self.task.as_ref().map(|TaskParam(task)| task);
        match (&self.endpoint, self.scored_task()) {
            (None, _) => Ok(()),
            (_, Some(_)) if in_chat => wrong(
                "prompt",
                "a server gives no log-likelihoods in a chat; write the prompt as a text, or give the model as `model`",
            ),
            (_, Some(_)) => Ok(()),
            _ if in_chat && task.is_some_and(|task| task.gen_prefix.is_some()) => wrong(
                "prompt",
                "a server cannot be given the beginning of an answer (`gen_prefix` of the task) in a chat; write the prompt as a text",
            ),
            _ if self.max_tokens == 0 => wrong(
                "endpoint",
                "the longest response of a served model must be given: `max_tokens = 400`",
            ),
            _ => Ok(()),
        }
    }

    /// Asks the server.
    pub(super) fn ask_server(&self, endpoint: &str, context: &StageContext<'_>) -> Result<(), StageError> {
        let prompt = self.prompt.clone().unwrap_or_else(|| Prompt::text(Prompt::PLAIN));
        if let Some(task) = self.scored_task() {
            let weigher = Weigher {
                context,
                prompter: &Prompter::new(&prompt, None).map_err(failed)?,
                task,
                max_failed: self.max_failed,
            };
            let answers = weigher.ask_server(&Self::rows(context)?, self.server(endpoint, score_fields(), context)?)?;
            return context.write_answers("answers", &answers);
        }
        let ask = self.asked_of(&prompt)?;
        let rows = Self::rows(context)?;
        let texts = self.texts(&rows, prompt.chat.is_some(), &context.rows(FEWSHOT)?, |done| context.pause(done))?;
        let asked = questions(&rows, &texts, ask, self.samples);
        let has_begun = context.scratch.join(endpoint::KEPT).exists();
        let mut kept = KeptAnswers::open_once(context, has_begun)?;
        let mut answers: Vec<Option<Answer>> = asked.iter().map(|question| kept.get(question)).collect();
        if !has_begun {
            answers.iter().flatten().try_for_each(|answer| kept.add(answer))?;
        }
        let request = |question: &Question<'_>| {
            Ok(CompletionRequest {
                prompt: Asked::of(&prompt, question).map_err(failed)?,
                // Servers take 32 bits.
                seed: Stream::new(context.seed, &question.label()).below(1 << 31),
            })
        };
        let server = self.server(endpoint, self.response_fields(), context)?;
        let mut open: Vec<(&Question<'_>, &mut Option<Answer>)> =
            asked.iter().zip(&mut answers).filter(|(_, answer)| answer.is_none()).collect();
        let requests: Vec<CompletionRequest> = open.iter().map(|(asked, _)| request(asked)).collect::<Result<_, StageError>>()?;
        let written = if requests.is_empty() {
            Vec::new()
        } else {
            server.complete(requests, context)?
        };
        let mut failed_rows = FailedRows::default();
        for ((question, _), written) in open.iter().zip(&written) {
            if let Err(Refusal(why)) = written {
                failed_rows.add(question.row, why);
            }
        }
        failed_rows.check(self.max_failed, rows.len(), OTHERS_ARE_KEPT, context)?;
        for ((question, answer), written) in open.iter_mut().zip(written) {
            **answer = Some(match written {
                Ok(Completion { text, tokens, cut, .. }) => Answer {
                    response: text,
                    tokens,
                    cut,
                    ..question.answer()
                },
                Err(Refusal(why)) => Answer {
                    failed: Some(why),
                    ..question.answer()
                },
            });
        }
        context.write_answers("answers", &answers.into_iter().flatten().collect::<Vec<_>>())
    }

    /// What all requests for responses share.
    fn response_fields(&self) -> Map<String, Value> {
        let common = json!({
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p.unwrap_or(1.0),
        });
        let mut common = common.as_object().cloned().unwrap_or_default();
        if !self.stop.is_empty() {
            common.insert("stop".to_owned(), json!(self.stop));
        }
        common
    }

    /// The server, to be asked with the fields `common` in all requests.
    fn server(&self, endpoint: &str, common: Map<String, Value>, context: &StageContext<'_>) -> Result<Endpoint, StageError> {
        let secret = self.api_key_env.as_deref().and_then(|variable| context.caller.given(variable));
        let key = match (&self.api_key_env, secret.as_deref().map(str::trim)) {
            (Some(variable), Some(key)) if !key.is_empty() => Some(ApiKey {
                variable: variable.clone(),
                key: key.to_owned(),
            }),
            (Some(variable), _) => return Err(failed(format!("the environment variable `{variable}` (`api_key_env`) is not set"))),
            (None, _) => None,
        };
        Ok(Endpoint {
            address: endpoint.to_owned(),
            served: self.served.clone().unwrap_or_default(),
            concurrency: self.concurrency,
            key,
            common,
            patience: context.patience,
        })
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
