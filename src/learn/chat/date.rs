//! The date that a template writes as today's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A day, written `2024-07-26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

/// A text is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no date; write it as year, month and day: \"2024-07-26\"")]
pub struct DateError(String);

/// The number of characters of a date.
const LENGTH: usize = "2024-07-26".len();

impl Date {
    /// The date in a format of `strftime`: `%d %b %Y`.
    ///
    /// # Errors
    /// When the format asks for something that a date does not have, such as an hour.
    pub(super) fn written(self, format: &str) -> Result<String, String> {
        jiff::fmt::strtime::format(format, self.0).map_err(|error| error.to_string())
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let date = text.parse().ok().filter(|_| text.len() == LENGTH);
        date.map(Self).ok_or_else(|| DateError(text.to_owned()))
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;

    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_a_template_asks() {
        let date: Date = "2024-07-06".parse().unwrap();
        assert_eq!(date.written("%d %b %Y").unwrap(), "06 Jul 2024");
        assert_eq!(date.written("%A, %d %B %Y (%j)").unwrap(), "Saturday, 06 July 2024 (188)");
        assert!(date.written("%H:%M").is_err());
        assert_eq!(date.to_string(), "2024-07-06");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "today", "2024-7-6", "2024-02-30", "2024-07-06T10:00", "+002024-07-06"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
