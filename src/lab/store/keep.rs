//! How long outputs are to be kept: words for it, and which of them apply to one output.
//!
//! It advises gc alone. It is in no key, so it may be changed at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Units of durations, the longest first.
const UNITS: [(&str, u64); 5] = [("w", 7 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)];

/// How long an output is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// It may go as soon as the stages that use it have run.
    Never,
    /// It may go when it has not been used for so long.
    For(Duration),
    /// What a report shows stays; the rest may go when somebody asks for room.
    #[default]
    Results,
    /// It stays.
    Always,
}

/// Whether an output may be removed. The weakest first: of several answers, the least counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// It must stay.
    Held,
    /// A rule may take it.
    IfAsked,
    /// It goes without being asked for.
    Free,
}

/// A text is no [`Keep`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"always\", \"results\", \"never\" or a time such as \"7d\" or \"12h\"")]
pub struct NotAKeep;

impl FromStr for Keep {
    type Err = NotAKeep;

    fn from_str(text: &str) -> Result<Self, NotAKeep> {
        match text {
            "always" => return Ok(Self::Always),
            "results" => return Ok(Self::Results),
            "never" => return Ok(Self::Never),
            _ => {}
        }
        let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
        let (number, seconds) = unit.ok_or(NotAKeep)?;
        let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|_| is_plain).ok_or(NotAKeep)?;
        let seconds = number.checked_mul(seconds).ok_or(NotAKeep)?;
        Ok(Self::For(Duration::from_secs(seconds)))
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Results => f.write_str("results"),
            Self::Never => f.write_str("never"),
            Self::For(time) => {
                let seconds = time.as_secs();
                // A week is written as it mostly is: as seven days.
                let whole = UNITS.iter().skip(1).find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
                let (unit, length) = whole.copied().unwrap_or(("s", 1));
                write!(f, "{}{unit}", seconds / length)
            }
        }
    }
}

/// What one stage of an experiment wishes for its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageKeep {
    /// For all outputs that are not named.
    pub all: Keep,
    /// For outputs by name.
    pub ports: BTreeMap<String, Keep>,
}

impl StageKeep {
    /// What is wished for the output `port`. Results go only where they are named: whoever wants to be rid of the models of a stage does
    /// not mean its scores.
    pub fn of(&self, port: &str, is_result: bool) -> Keep {
        let unnamed = || match self.all {
            Keep::Never | Keep::For(_) if is_result => Keep::Results,
            keep => keep,
        };
        self.ports.get(port).copied().unwrap_or_else(unnamed)
    }
}

/// `7d,model=never`
impl fmt::Display for StageKeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        self.ports.iter().try_for_each(|(port, keep)| write!(f, ",{port}={keep}"))
    }
}

impl FromStr for StageKeep {
    type Err = NotAKeep;

    fn from_str(text: &str) -> Result<Self, NotAKeep> {
        let mut parts = text.split(',');
        let all = parts.next().unwrap_or_default().parse()?;
        let port = |part: &str| {
            let (port, keep) = part.split_once('=').ok_or(NotAKeep)?;
            Ok((port.to_owned(), keep.parse()?))
        };
        let ports = parts.map(port).collect::<Result<_, NotAKeep>>()?;
        Ok(Self { all, ports })
    }
}

/// The wishes of the equal stages of an experiment, as one text: `7d;always`. The default alone is an empty text.
pub fn keep_text(wishes: &BTreeSet<StageKeep>) -> String {
    let default = StageKeep::default();
    if wishes.iter().all(|wish| *wish == default) {
        return String::new();
    }
    wishes.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

/// Reads [`keep_text`].
pub(super) fn read_keep(text: &str) -> Result<Vec<StageKeep>, NotAKeep> {
    match text {
        "" => Ok(vec![StageKeep::default()]),
        text => text.split(';').map(str::parse).collect(),
    }
}

/// Whether a wish lets an output go that was last used so long ago. With `forget`, results may go like everything else.
pub(super) fn hold(keep: Keep, unused: Duration, is_result: bool, forget: bool) -> Hold {
    match keep {
        Keep::Always => Hold::Held,
        Keep::Results if is_result && !forget => Hold::Held,
        Keep::Results => Hold::IfAsked,
        Keep::For(time) if unused < time => Hold::Held,
        Keep::For(_) | Keep::Never => Hold::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_times_are_read_and_written() {
        for text in ["always", "results", "never", "7d", "12h", "90s", "61m"] {
            assert_eq!(text.parse::<Keep>().unwrap().to_string(), text);
        }
        assert_eq!("2w".parse::<Keep>().unwrap().to_string(), "14d");
        assert_eq!("0d".parse::<Keep>().unwrap().to_string(), "0s");
        for text in [
            "",
            "d",
            "7",
            "7 d",
            "+7d",
            "-7d",
            "7y",
            "1.5d",
            "Always",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert_eq!(text.parse::<Keep>(), Err(NotAKeep), "{text}");
        }
        for text in ["7d,model=never", "always", "results,a=1h,b=always"] {
            assert_eq!(text.parse::<StageKeep>().unwrap().to_string(), text);
        }
        for text in ["", "7d,", "7d,model", "model=never"] {
            assert_eq!(text.parse::<StageKeep>(), Err(NotAKeep), "{text}");
        }
    }

    #[test]
    fn results_of_a_stage_go_only_where_they_are_named() {
        let stage: StageKeep = "never,scores=7d".parse().unwrap();
        assert_eq!(stage.of("model", false), Keep::Never);
        assert_eq!(stage.of("table", true), Keep::Results);
        assert_eq!(stage.of("scores", true), Keep::For(Duration::from_secs(7 * 86400)));
        let always: StageKeep = "always".parse().unwrap();
        assert_eq!((always.of("a", true), always.of("a", false)), (Keep::Always, Keep::Always));
    }

    #[test]
    fn a_wish_decides_by_last_use_and_by_what_is_asked() {
        let day = Duration::from_secs(86400);
        let week = Keep::For(day * 7);
        assert_eq!(hold(week, day, false, false), Hold::Held);
        assert_eq!(hold(week, day * 7, true, false), Hold::Free);
        assert_eq!(hold(Keep::Never, Duration::ZERO, false, false), Hold::Free);
        assert_eq!(hold(Keep::Results, day, true, false), Hold::Held);
        assert_eq!(hold(Keep::Results, day, true, true), Hold::IfAsked);
        assert_eq!(hold(Keep::Results, day, false, false), Hold::IfAsked);
        assert_eq!(hold(Keep::Always, day, false, true), Hold::Held);
    }

    #[test]
    fn the_default_needs_no_text() {
        let wishes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<StageKeep>>();
        assert_eq!(keep_text(&wishes(&[])), "");
        assert_eq!(keep_text(&wishes(&["results"])), "");
        assert_eq!(keep_text(&wishes(&["results", "7d,a=never"])), "7d,a=never;results");
        assert_eq!(read_keep("7d,a=never;results").unwrap().len(), 2);
        assert_eq!(read_keep("").unwrap(), [StageKeep::default()]);
    }
}
