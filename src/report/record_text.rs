//! Records as text: when, by whom and with which program a stage was executed.

use lab::hash::SHORT_DIGITS;
use lab::json_path;
use lab::store::{Acceptance, Record};
use lab::text::printable;
use serde_json::Value;

/// `2026-11-24 13:50:12 UTC by ada`
pub fn time_and_user(record: &Record) -> String {
    let time = time(record.started);
    match record.provenance.user.as_str() {
        "" => time,
        user => format!("{time} by {user}"),
    }
}

/// Seconds since 1970, as people read them.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || "at an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// `accepted 2026-11-24 13:50:12 UTC by ada: only a comment (key 1a2b3c4d5e6f ran)`
pub fn acceptance(accepted: &Acceptance) -> String {
    format!("accepted {}", claim_and_key(accepted))
}

/// `2026-11-24 13:50:12 UTC by ada: only a comment (key 1a2b3c4d5e6f ran)`
pub fn claim_and_key(accepted: &Acceptance) -> String {
    format!("{} (key {} ran)", claim(accepted), accepted.ran.key().short())
}

/// `2026-11-24 13:50:12 UTC by ada: only a comment`, on one line.
pub(crate) fn claim(accepted: &Acceptance) -> String {
    let words: Vec<&str> = accepted.why.split_whitespace().collect();
    printable(&format!("{} by {}: {}", time(accepted.at), accepted.by, words.join(" "))).into_owned()
}

/// `runner 0.1.0, build 1a2b3c4d5e6f; commit 1a2b3c4d5e6f with changes`
pub fn program_and_commit(record: &Record) -> String {
    let mut text = format!("runner {}", record.machine.runner);
    if let Some(build) = &record.provenance.build {
        text += &format!(", build {}", build.short());
    }
    if let Some(code) = &record.provenance.code {
        text += &format!("; experiment of commit {}", code.commit.get(..SHORT_DIGITS).unwrap_or(&code.commit));
        text += if code.dirty { ", with changes" } else { "" };
    }
    text
}

/// A line for each value of the params: `model.width = 64`.
pub fn param_lines(params: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    json_path::leaves("", params, &mut |path, value| {
        if !value.is_null() {
            // Words of a command line may be templates.
            let path = path.strip_suffix(".template").unwrap_or(path);
            lines.push(format!("{path} = {}", json_path::readable(value)));
        }
    });
    lines
}
