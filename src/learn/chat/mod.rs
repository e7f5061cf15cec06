//! Chats: conversations as texts, written by the chat template of a model, which is a text in Jinja's language.
//!
//! Templates come from others and are written for Transformers (`apply_chat_template`), so they are rendered as there: the same tags,
//! filters and methods, and the same text to the last byte. What they may cost is limited. Today's date is never read: a template that asks
//! for it is given one, or is an error.
//!
//! | file | part |
//! |---|---|
//! | `template` | a template: parsed, limited, rendered |
//! | `generation` | the tags for what the assistant says (`{% generation %}`) |
//! | `spans` | where a text has what the assistant says |
//! | `marks` | finds the contents of messages in a text |
//! | `python` | the methods and filters of Python that templates use |
//! | `json` | `tojson`, as Python writes it |
//! | `date` | the date that a template is given |

mod date;
mod error;
mod generation;
mod json;
mod marks;
mod message;
mod python;
mod spans;
mod template;

pub use date::{Date, DateError};
pub use error::ChatError;
pub use message::Message;
pub use template::{ChatTemplate, RenderedChat, SpecialTokens};

#[cfg(test)]
mod tests;
