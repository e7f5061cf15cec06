//! Why a Parquet file is refused before it is read, and why a record is.

use std::io;

/// Why the program that reads the records refused one.
pub type RecordRefused = Box<dyn std::error::Error>;

/// Why a field cannot be part of a row.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The message reads after the field's name.
    #[error("is {0}, and must be a text or a number")]
    Type(&'static str),
    #[error("`{0}` stands twice")]
    Repeated(String),
    #[error("`{at}` has no field `{name}` (known: {})", known.join(", "))]
    NoPart { at: String, name: String, known: Vec<String> },
    #[error("`{at}` has {count} items, and no item {place}")]
    NoItem { at: String, place: i64, count: usize },
    #[error("`{at}` is a list: name an item of it (`{at}[0].{name}`)")]
    ListNotObject { at: String, name: String },
    #[error("`{at}` is {what} and has no parts")]
    NoParts { at: String, what: &'static str },
    #[error("{0}")]
    Json(String),
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// Why messages of a chat are no question with its answer; the message reads after the field's name.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error("is no list of messages: message {0} has no `role` and `content` (or `from` and `value`) that are texts")]
    NoMessage(usize),
    #[error("has a message of the role `{0}`, which is not read (known: system, user, assistant)")]
    Role(String),
    #[error("has no message of the user and one of the assistant after it")]
    NoPair,
    #[error(
        "has {count} messages of the user and the assistant, and a row is one question and one answer: name them in `fields` \
         (`prompt = \"{name}[0].content\", completion = \"{name}[1].content\"`)"
    )]
    SeveralTurns { name: String, count: usize },
    #[error(
        "has another chat than `{other}`: name the one that counts in `fields` (`prompt = \"{other}[0].content\", \
         completion = \"{other}[1].content\"`)"
    )]
    Differs { other: String },
}

/// How a Parquet file describes its content wrongly, or in a way that is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it has {what} nested more than {limit} deep")]
    TooDeep { what: &'static str, limit: usize },
    #[error("it has a value of the unknown type {0}")]
    UnknownType(u8),
    #[error("it declares {count} values or bytes where {left} bytes are left")]
    TooMany { count: u64, left: u64 },
    #[error("it ends in the middle of a value")]
    Truncated,
    #[error("it has a number of more than 64 bits")]
    NumberTooLong,
    #[error("it declares {0} groups of rows")]
    RowGroups(u64),
    #[error("a group of its schema has {children} of {elements} elements")]
    SchemaChildren { children: i64, elements: u64 },
    #[error("it has a group of rows whose pages take {0} bytes at a time: write the file again with fewer columns")]
    Held(u64),
    #[error("column `{name}` {problem}")]
    Column { name: String, problem: Box<LayoutError> },
    #[error("has a negative size")]
    NegativeSize,
    #[error("ends beyond the file")]
    BeyondFile,
    #[error("is packed with {0}, which is not read: write the file again with zstd, gzip or snappy")]
    Compression(&'static str),
    #[error("has texts in a delta encoding, which is not read: write the file again with plain or dictionary encoding")]
    DeltaEncoding,
    #[error("has a page of {packed} bytes where {left} are left")]
    PackedPage { packed: i64, left: u64 },
    #[error("declares a page of {0} bytes")]
    UnpackedPage(i64),
    #[error("declares {values} values in a dictionary of {bytes} bytes")]
    Dictionary { values: i64, bytes: u64 },
}

/// Why a Parquet file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParquetFailure {
    #[error("not a Parquet file that can be read: {0}")]
    Broken(String),
    #[error("it has no columns")]
    NoColumns,
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Refused(#[from] RecordRefused),
}
