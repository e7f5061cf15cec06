//! `[resources.NAME]`: what a stage needs of the machine, how long it may take, and when it is tried again. Never part of a key.

use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use super::ParamError;

/// What the attempts of a stage may end by, for it to be tried again, where the experiment says nothing.
const RETRY_ON: [RetryCause; 3] = [RetryCause::Refused, RetryCause::Memory, RetryCause::Signal];

/// An entry of `[resources]`: what is left out is not limited, and shared as the settings say.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Threads for the stage alone. Left out, the running stages share all threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<NonZeroUsize>,
    /// Memory of the stage and the programs that it starts: kept free for it, and its limit. `"16 GiB"`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySize>,
    /// How far its memory may be raised when it is tried again after it needed more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<MemorySize>,
    /// GPUs that the stage sees, and no other stage uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<usize>,
    /// The memory that it needs on each of them. Then other stages may use the rest of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<MemorySize>,
    /// How long it may take: then it is asked to stop. `"90m"`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeSpan>,
    /// How long it has to stop when it is asked to. Then it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<TimeSpan>,
    /// How long it may write nothing to its log and make no progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<TimeSpan>,
    /// How often it is tried again when it ended by one of the causes in `retry_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// `"refused"`, `"memory"`, `"signal"`, `"time"`, `"silent"`, and exit codes of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<RetryCause>>,
}

impl Resources {
    /// These, with the fields that `site` has in place of their own.
    #[must_use]
    pub fn overridden_by(self, site: &Self) -> Self {
        Self {
            cores: site.cores.or(self.cores),
            memory: site.memory.or(self.memory),
            max_memory: site.max_memory.or(self.max_memory),
            gpus: site.gpus.or(self.gpus),
            gpu_memory: site.gpu_memory.or(self.gpu_memory),
            time: site.time.or(self.time),
            grace: site.grace.or(self.grace),
            silent: site.silent.or(self.silent),
            retries: site.retries.or(self.retries),
            retry_on: site.retry_on.clone().or(self.retry_on),
        }
    }

    /// The resources of a stage that two variants share and describe each in its own way: the larger need, and the longer time, where none
    /// is the longest.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self {
            cores: self.cores.max(other.cores),
            memory: self.memory.max(other.memory),
            max_memory: self.max_memory.max(other.max_memory),
            gpus: self.gpus.max(other.gpus),
            gpu_memory: self.gpu_memory.max(other.gpu_memory),
            time: longer(self.time, other.time),
            grace: self.grace.max(other.grace),
            silent: longer(self.silent, other.silent),
            retries: self.retries.max(other.retries),
            retry_on: self.retry_on.max(other.retry_on),
        }
    }

    /// The same without devices: for a stage that computes on none.
    #[must_use]
    pub fn without_gpus(self) -> Self {
        Self {
            gpus: None,
            gpu_memory: None,
            ..self
        }
    }

    /// The number of GPUs: one where only their memory is given.
    pub fn gpus(&self) -> usize {
        self.gpus.unwrap_or(usize::from(self.gpu_memory.is_some()))
    }

    /// Whether it is tried again when it ended by `cause`.
    pub fn retries_on(&self, cause: RetryCause) -> bool {
        self.retry_on.as_deref().unwrap_or(&RETRY_ON).contains(&cause)
    }

    /// Checks what no single field shows.
    ///
    /// # Errors
    /// When a field needs another one, or does not fit it.
    pub fn check(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
        match (self.memory, self.max_memory) {
            (None, Some(_)) => return wrong("max_memory", "`max_memory` needs `memory`, which it raises".to_owned()),
            (Some(memory), Some(most)) if most < memory => {
                return wrong("max_memory", format!("`max_memory` ({most}) is less than `memory` ({memory})"));
            }
            _ => {}
        }
        if self.gpus == Some(0) && self.gpu_memory.is_some() {
            return wrong("gpu_memory", "`gpu_memory` needs a GPU, and `gpus` is 0".to_owned());
        }
        if self.retry_on.is_some() && self.retries.is_none() {
            return wrong(
                "retry_on",
                "`retry_on` needs `retries`: how often the stage is tried again".to_owned(),
            );
        }
        let spans = [("time", self.time), ("silent", self.silent)];
        match spans.iter().find(|(_, span)| span.is_some_and(|span| span.0.is_zero())) {
            Some((field, _)) => wrong(field, format!("`{field}` is 0, which no stage can keep; leave it out for no limit")),
            None => Ok(()),
        }
    }
}

/// The longer of two limits of time; none is the longest.
fn longer(one: Option<TimeSpan>, other: Option<TimeSpan>) -> Option<TimeSpan> {
    Some(one?.max(other?))
}

/// An amount of memory, written `"16 GiB"` or `"800 MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct MemorySize(pub u64);

/// A span of time, written `"90m"`, `"2h 30m"` or `"45s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct TimeSpan(pub Duration);

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A bare number is more likely a slip than a count of bytes.
        let is_bare = text.trim().bytes().all(|byte| byte.is_ascii_digit());
        let size: Option<ByteSize> = text.parse().ok().filter(|_| !is_bare);
        let bytes = size.map(|size| size.as_u64()).filter(|bytes| *bytes > 0);
        bytes.map(Self).ok_or_else(|| format!("`{text}` is no size such as \"16 GiB\""))
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is no span of time such as \"90m\" or \"2h 30m\""))
    }
}

impl Display for MemorySize {
    /// In the largest unit that it is a whole number of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let whole = units.iter().find(|(unit, _)| self.0.is_multiple_of(*unit));
        let (unit, name) = whole.copied().unwrap_or((1, "B"));
        write!(f, "{} {name}", self.0 / unit)
    }
}

impl Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

/// Reads a value from its text.
struct FromText<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err = String>> Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText(std::marker::PhantomData, "a size such as \"16 GiB\""))
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText(std::marker::PhantomData, "a span of time such as \"90m\""))
    }
}

impl Serialize for MemorySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A cause for which a stage may be tried again. A plain failure is none: it would fail again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub enum RetryCause {
    /// A server refused the connection, or broke it off.
    Refused,
    /// It needed more memory than it may use, or than there was.
    Memory,
    /// Its process was ended by a signal.
    Signal,
    /// It took longer than `time`.
    Time,
    /// It was silent for longer than `silent`.
    Silent,
    /// Its program ended with this code.
    Exit(i32),
}

const NAMED_CAUSES: [(&str, RetryCause); 5] = [
    ("refused", RetryCause::Refused),
    ("memory", RetryCause::Memory),
    ("signal", RetryCause::Signal),
    ("time", RetryCause::Time),
    ("silent", RetryCause::Silent),
];

struct CauseVisitor;

impl Visitor<'_> for CauseVisitor {
    type Value = RetryCause;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = NAMED_CAUSES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        write!(f, "{} or an exit code from 1 to 255", names.join(", "))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryCause, E> {
        let found = NAMED_CAUSES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, cause)| *cause)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, code: i64) -> Result<RetryCause, E> {
        let code = i32::try_from(code).ok().filter(|code| (1..=255).contains(code));
        code.map(RetryCause::Exit)
            .ok_or_else(|| E::custom("an exit code of a failure is from 1 to 255"))
    }

    fn visit_u64<E: de::Error>(self, code: u64) -> Result<RetryCause, E> {
        self.visit_i64(i64::try_from(code).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for RetryCause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CauseVisitor)
    }
}

impl Serialize for RetryCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, NAMED_CAUSES.iter().find(|(_, cause)| cause == self)) {
            (Self::Exit(code), _) => serializer.serialize_i32(*code),
            (_, named) => serializer.serialize_str(named.map_or("", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::ConfigValue;

    fn read(value: serde_json::Value) -> Result<Resources, String> {
        let value = ConfigValue::from(value);
        let read: Result<Resources, _> = value.read();
        let read = read.map_err(|error| error.to_string())?;
        read.check().map(|()| read).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_and_spans_are_read_as_people_write_them_and_written_so() {
        let given = json!({"memory": "1.5 GiB", "max_memory": "2GB", "time": "2h 30m", "retries": 2, "retry_on": ["memory", 75]});
        let resources = read(given).unwrap();
        assert_eq!(resources.memory, Some(MemorySize(3 << 29)));
        assert_eq!(resources.time, Some(TimeSpan(Duration::from_secs(9000))));
        assert!(resources.retries_on(RetryCause::Exit(75)) && !resources.retries_on(RetryCause::Signal));
        let written = serde_json::to_value(&resources).unwrap();
        let back: Resources = serde_json::from_value(written.clone()).unwrap();
        assert_eq!((back.time, back.retry_on), (resources.time, resources.retry_on));
        assert_eq!(written["memory"], "1536 MiB");
        assert!(Resources::default().retries_on(RetryCause::Signal) && !Resources::default().retries_on(RetryCause::Time));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (given, says) in [
            (json!({"memory": "16"}), "no size such as"),
            (json!({"memory": 16}), "a size such as"),
            (json!({"time": "soon"}), "no span of time"),
            (json!({"time": "0s"}), "no stage can keep"),
            (json!({"max_memory": "1 GiB"}), "needs `memory`"),
            (json!({"memory": "2 GiB", "max_memory": "1 GiB"}), "less than"),
            (json!({"gpus": 0, "gpu_memory": "1 GiB"}), "needs a GPU"),
            (json!({"retry_on": ["time"]}), "needs `retries`"),
            (json!({"retries": 1, "retry_on": ["failure"]}), "exit code"),
            (json!({"retries": 1, "retry_on": [0]}), "from 1 to 255"),
            (json!({"cpus": 1}), "cpus"),
        ] {
            let error = read(given.clone()).unwrap_err();
            assert!(error.contains(says), "{given}: {error}");
        }
    }

    #[test]
    fn a_site_overrides_by_field_and_the_larger_need_of_two_counts() {
        let one = read(json!({"cores": 2, "time": "1h", "memory": "1 GiB"})).unwrap();
        let site = read(json!({"time": "2h", "gpus": 1})).unwrap();
        let both = one.clone().overridden_by(&site);
        assert_eq!(both, read(json!({"cores": 2, "time": "2h", "memory": "1 GiB", "gpus": 1})).unwrap());
        let joined = one.joined(read(json!({"cores": 1, "memory": "2 GiB"})).unwrap());
        assert_eq!(
            joined,
            read(json!({"cores": 2, "memory": "2 GiB"})).unwrap(),
            "no limit is the longest"
        );
    }
}
