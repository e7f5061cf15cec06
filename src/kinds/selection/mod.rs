//! Selecting, ordering and mixing rows: pure functions on rows, which know no stage.
//!
//! | module | what it does |
//! |---|---|
//! | [`amount`] | numbers of rows, as numbers or shares |
//! | [`record`] | the fields of a row |
//! | [`conditions`] | comparisons on fields |
//! | [`length`] | what a row or an answer is measured by, and bounds on it |
//! | [`order`] | orders of rows, by lengths, fields or chance |
//! | [`shares`] | numbers that are divided in proportion, and rows that are chosen so |
//! | [`words`] | the words of a text, for comparing texts |
//! | [`duplicates`], [`near_duplicates`] | rows with equal or similar texts |
//! | [`contamination`] | questions of test sets in rows, as a whole or in part |
//! | [`known_questions`] | questions of test sets in the data that a model was trained on |
//! | [`mixture`] | how often each row of several data sets is in a mixture |
//! | [`votes`] | what the answers to one question agree on |
//! | [`ids`] | ids that are unique in a data set |
//! | [`tally`] | what was dropped, and why |

pub(crate) mod amount;
pub(crate) mod conditions;
pub(crate) mod contamination;
pub(crate) mod duplicates;
pub(crate) mod ids;
pub(crate) mod known_questions;
pub(crate) mod length;
pub(crate) mod mixture;
pub(crate) mod near_duplicates;
pub(crate) mod order;
pub(crate) mod record;
pub(crate) mod shares;
pub(crate) mod tally;
pub(crate) mod votes;
pub(crate) mod words;
