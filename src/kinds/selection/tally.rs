//! What was dropped, and why: the number of rows by reason, and a few of them as samples.

use learn::dataset::Row;
use serde::Serialize;

/// The most samples of a reason.
const MAX_SAMPLES: usize = 5;

/// The most samples that a message names.
const MAX_NAMED: usize = 3;

/// What was dropped so far.
#[derive(Debug, Default)]
pub struct Tally {
    reasons: Vec<Reason>,
}

/// A reason, and how often it was there.
#[derive(Debug)]
pub struct Reason {
    pub name: String,
    pub count: u64,
    pub samples: Vec<DroppedRow>,
}

/// A row that was dropped.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedRow {
    pub id: String,
    /// The name of the reason.
    pub reason: String,
    /// What is to be said of this row: which row it is like.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    pub row: Row,
}

impl Tally {
    /// A reason for which rows may be dropped: it is counted even if none is.
    pub fn expect(&mut self, name: &str) {
        self.reason(name);
    }

    /// Counts a row.
    pub fn add(&mut self, name: &str, row: &Row, detail: impl FnOnce() -> String) {
        let reason = self.reason(name);
        reason.count += 1;
        if reason.samples.len() < MAX_SAMPLES {
            let sample = DroppedRow {
                id: row.id.clone(),
                reason: name.to_owned(),
                detail: detail(),
                row: row.clone(),
            };
            reason.samples.push(sample);
        }
    }

    /// The reasons, in the order in which they were first named.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The number of rows that were dropped.
    pub fn dropped(&self) -> u64 {
        self.reasons.iter().map(|reason| reason.count).sum()
    }

    /// `12 wrong (such as a, b), 3 max_tokens (c)`: the reasons for which rows were dropped, the most frequent first.
    pub fn in_words(&self) -> String {
        let mut reasons: Vec<&Reason> = self.reasons.iter().filter(|reason| reason.count > 0).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let words = reasons.iter().map(|reason| {
            let named: Vec<String> = reason
                .samples
                .iter()
                .take(MAX_NAMED)
                .map(|sample| format!("`{}`", sample.id))
                .collect();
            let such_as = if reason.count > named.len() as u64 { "such as " } else { "" };
            format!("{} `{}` ({such_as}{})", reason.count, reason.name, named.join(", "))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The warning that nothing is left of so many rows; `None` where something is.
    pub fn nothing_left(&self, what: &str, total: u64) -> Option<String> {
        if total == 0 {
            return Some(format!("there are no {what}: the data set is empty"));
        }
        let is_left = self.dropped() < total;
        (!is_left).then(|| {
            format!(
                "none of {total} {what} is left, and the data set is empty. Dropped: {}",
                self.in_words()
            )
        })
    }

    fn reason(&mut self, name: &str) -> &mut Reason {
        let known = self.reasons.iter().position(|reason| reason.name == name);
        let place = known.unwrap_or_else(|| {
            self.reasons.push(Reason {
                name: name.to_owned(),
                count: 0,
                samples: Vec::new(),
            });
            self.reasons.len() - 1
        });
        &mut self.reasons[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted_by_reason() {
        let row = |id: &str| Row {
            id: id.to_owned(),
            prompt: String::new(),
            completion: String::new(),
            step_num: 1,
            answer: 1.into(),
            doc: learn::dataset::Doc::default(),
        };
        let mut tally = Tally::default();
        tally.expect("wrong");
        tally.expect("never");
        tally.add("long", &row("a"), String::new);
        for id in 0..7 {
            tally.add("wrong", &row(&id.to_string()), || format!("is {id}"));
        }
        let counts: Vec<(&str, u64, usize)> = tally
            .reasons()
            .iter()
            .map(|r| (r.name.as_str(), r.count, r.samples.len()))
            .collect();
        assert_eq!(counts, [("wrong", 7, 5), ("never", 0, 0), ("long", 1, 1)]);
        assert_eq!(tally.in_words(), "7 `wrong` (such as `0`, `1`, `2`); 1 `long` (`a`)");
        assert_eq!((tally.nothing_left("rows", 9), tally.dropped()), (None, 8));
        assert_eq!(
            tally.nothing_left("rows", 8).unwrap(),
            "none of 8 rows is left, and the data set is empty. Dropped: 7 `wrong` (such as `0`, `1`, `2`); 1 `long` (`a`)"
        );
        assert_eq!(
            Tally::default().nothing_left("rows", 0).unwrap(),
            "there are no rows: the data set is empty"
        );
        let sample = serde_json::to_string(&tally.reasons()[2].samples[0]).unwrap();
        assert_eq!(
            sample,
            r#"{"id":"a","reason":"long","row":{"id":"a","prompt":"","completion":"","step_num":1,"answer":1}}"#
        );
    }
}
