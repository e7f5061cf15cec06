//! Resources for the stages of a plan, as their records suggest them.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::config::{MemorySize, TimeSpan, key_text};
use lab::plan::Plan;
use lab::store::{Store, StoreError};
use lab::text::{bytes, counted, duration};

/// The share by which the memory that was used is exceeded: a system has other processes, and another seed other rows.
const MEMORY_MARGIN: f64 = 1.25;

/// The step in which memory is suggested, in bytes.
const MEMORY_STEP: u64 = 256 << 20;

/// The factor by which the longest time is exceeded: a slower machine, or a busy one.
const TIME_MARGIN: f64 = 2.0;

/// The least time that is suggested, and the step of longer ones.
const TIME_STEP: Duration = Duration::from_secs(60);

/// What the records of the stages of one name used.
#[derive(Default)]
struct Used {
    records: usize,
    seconds: f64,
    memory: u64,
    gpus: usize,
}

/// Tables of resources for the stages of which the store has records, as TOML.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn suggest(plan: &Plan, store: &Store) -> Result<String, StoreError> {
    let mut used: BTreeMap<&str, Used> = BTreeMap::new();
    for (_, node, entry) in plan.stages() {
        let Some(key) = entry.key else { continue };
        let Some(record) = store.record(&key)? else { continue };
        let used = used.entry(&node.base).or_default();
        used.records += 1;
        used.seconds = used.seconds.max(record.seconds);
        used.memory = used.memory.max(record.provenance.peak_memory.unwrap_or(0));
        used.gpus = used.gpus.max(record.provenance.gpus.len());
    }
    let tables: Vec<String> = used.iter().map(|(name, used)| table(name, used)).collect();
    Ok(if tables.is_empty() {
        "# The store has no record of these stages yet: run them once.\n".to_owned()
    } else {
        tables.join("\n")
    })
}

/// The table of one name.
fn table(name: &str, used: &Used) -> String {
    let mut text = format!("# from {}\n[resources.{}]\n", counted(used.records, "record"), key_text(name));
    if used.memory > 0 {
        let memory = (used.memory as f64 * MEMORY_MARGIN) as u64;
        let memory = MemorySize(memory.div_ceil(MEMORY_STEP) * MEMORY_STEP);
        text += &line(&format!("memory = \"{memory}\""), &format!("used at most {}", bytes(used.memory)));
    }
    if used.gpus > 0 {
        text += &format!("gpus = {}\n", used.gpus);
    }
    let steps = (used.seconds * TIME_MARGIN / TIME_STEP.as_secs_f64()).ceil().max(1.0);
    let time = TimeSpan(TIME_STEP.mul_f64(steps));
    text + &line(&format!("time = \"{time}\""), &format!("took at most {}", duration(used.seconds)))
}

fn line(value: &str, comment: &str) -> String {
    format!("{value:28}  # {comment}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_leaves_room() {
        let used = Used {
            records: 3,
            seconds: 490.0,
            memory: 2_100_000_000,
            gpus: 0,
        };
        assert_eq!(
            table("fit", &used),
            "# from 3 records\n[resources.fit]\nmemory = \"2560 MiB\"           # used at most 2.1 GB\ntime = \"17m\"                  # took at most 8m10s\n"
        );
        assert!(table("a b", &Used::default()).contains("[resources.\"a b\"]\ntime = \"1m\""));
    }
}
