//! What `plan` and `run` say of the time and the disk that a run may take.

use std::collections::BTreeMap;

use lab::config::Settings;
use lab::exec::{cores, stages_at_once, this_machine};
use lab::plan::{Here, PastForecast, Plan, PlanForecast, Range};
use lab::store::Store;
use lab::text::{Align, Paint, TextTable, bytes, counted, duration};

/// The most earlier stages that are compared with what would have been forecast of them.
pub(super) const PAST: usize = 500;

/// The most stages that are named.
const NAMED: usize = 3;

/// How many stages run at once.
pub(super) fn at_once(settings: &Settings) -> usize {
    stages_at_once(settings.jobs(cores()), settings.threads(cores()))
}

/// This machine, and the threads that a stage gets of it.
pub(super) fn here(settings: &Settings) -> Here {
    Here {
        machine: this_machine(&learn::engine::instruction_set(settings.device())),
        threads: (settings.threads(cores()) / at_once(settings)).max(1),
    }
}

/// `about 3m20s (2m10s to 5m05s), 1.2 GB written, and 2 stages of which no record says anything (`fit`, `score`)`; empty when no stage runs.
pub(super) fn summary(plan: &Plan, forecast: &PlanForecast) -> String {
    let mut parts = Vec::new();
    if forecast.seconds.likely > 0.0 {
        parts.push(format!("about {}", spread(forecast.seconds, duration)));
        parts.push(format!("{} written", size(forecast.bytes.likely)));
    }
    let mut names: Vec<&str> = Vec::new();
    for index in &forecast.unknown {
        let name = plan.dag.graph.node_weight(*index).map_or("", |node| node.base.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        let more = if names.len() > NAMED { ", …" } else { "" };
        let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let stages = counted(forecast.unknown.len(), "stage");
        parts.push(format!("{stages} of which no record says anything ({}{more})", shown.join(", ")));
    }
    match parts.pop() {
        None => String::new(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{}, and {last}", parts.join(", ")),
    }
}

/// What to say where the disk may not hold what a run writes.
pub(super) fn lack_of_room(plan: &Plan, forecast: &PlanForecast, store: &Store, settings: &Settings) -> Option<String> {
    let free = store.free_space().filter(|_| plan.to_run().next().is_some())? as f64;
    if forecast.bytes.high <= free {
        return None;
    }
    let will = if forecast.bytes.likely > free { "will probably" } else { "may" };
    let advice = if settings.make_room > 0 {
        "`make_room` lets it delete what gc may take"
    } else {
        "`runner cache gc` frees some, and the setting `make_room` lets a run do so itself"
    };
    Some(format!(
        "the run {will} fill the disk: it writes about {}, and {} are free; {advice}",
        spread(forecast.bytes, size),
        size(free)
    ))
}

/// A table of what is forecast for the stages of each name, what a run takes in all, and how good such forecasts were.
pub(super) fn table(plan: &Plan, forecast: &PlanForecast, past: &[PastForecast], store: &Store, paint: Paint) -> String {
    let mut rows: Vec<(&str, usize, Range, Range)> = Vec::new();
    for (_, node, entry) in plan.to_run() {
        let Some(stage) = entry.forecast else { continue };
        match rows.iter_mut().find(|(name, ..)| *name == node.base) {
            Some((_, count, seconds, bytes)) => {
                *count += 1;
                (*seconds, *bytes) = (seconds.and(stage.seconds), bytes.and(stage.bytes));
            }
            None => rows.push((&node.base, 1, stage.seconds, stage.bytes)),
        }
    }
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = TextTable::new([
        title("stages", Align::Right),
        title("time of all", Align::Right),
        title("four times of five", Align::Left),
        title("writes", Align::Right),
        title("stage", Align::Left),
    ]);
    for (name, count, seconds, bytes) in rows {
        let range = format!("{} to {}", duration(seconds.low), duration(seconds.high));
        let cells = [
            count.to_string(),
            duration(seconds.likely),
            range,
            size(bytes.likely),
            name.to_owned(),
        ];
        table.row(cells.map(|cell| (cell, None)));
    }
    let mut text = String::new();
    let all = summary(plan, forecast);
    if all.is_empty() {
        text += "nothing has to run\n";
    } else if forecast.seconds.likely > 0.0 {
        let free = store
            .free_space()
            .map_or_else(String::new, |free| format!("; {} are free", bytes(free)));
        text += &format!("{}\nthe whole run: {all}{free}\n", table.render(paint));
    } else {
        text += &format!("{all}\n");
    }
    text + &of_past(past)
}

/// How good forecasts were: by kind, how many times lay within the range, and by how much half of them missed.
fn of_past(past: &[PastForecast]) -> String {
    if past.is_empty() {
        return "the store has no earlier runs from which its stages could have been forecast\n".to_owned();
    }
    let mut kinds: BTreeMap<&str, Vec<&PastForecast>> = BTreeMap::new();
    past.iter().for_each(|stage| kinds.entry(&stage.kind).or_default().push(stage));
    let mut text = "\nthe latest stages that ran, forecast from the records that were there before their runs:\n".to_owned();
    for (kind, stages) in kinds {
        let within = stages.iter().filter(|stage| stage.forecast.holds(stage.seconds)).count();
        let mut factors: Vec<f64> = stages.iter().map(|stage| factor(stage)).collect();
        factors.sort_by(f64::total_cmp);
        let median = factors.get(factors.len() / 2).copied().unwrap_or(1.0);
        text += &format!(
            "  {kind}: {within} of {} within the range; half of them within a factor of {median:.2}\n",
            stages.len()
        );
    }
    text
}

/// By what factor a forecast missed, 1 for none.
fn factor(stage: &PastForecast) -> f64 {
    let ratio = stage.seconds.max(1e-6) / stage.forecast.likely.max(1e-6);
    ratio.max(ratio.recip())
}

/// `3m20s (2m10s to 5m05s)`
fn spread(range: Range, text: impl Fn(f64) -> String) -> String {
    format!("{} ({} to {})", text(range.likely), text(range.low), text(range.high))
}

fn size(number: f64) -> String {
    bytes(number.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::event::StageName;
    use report::example::plan as example;

    #[test]
    fn unknown_stages_are_told_apart() {
        let plan = example();
        let text = summary(&plan, &plan.forecast(1));
        assert_eq!(
            text,
            "about 44.2s (22.1s to 1m28s), 2.0 kB written, and 1 stage of which no record says anything (`extra`)"
        );
    }

    #[test]
    fn past_forecasts_are_counted_by_kind() {
        let stage = |kind: &str, seconds: f64| PastForecast {
            stage: StageName::default(),
            kind: kind.to_owned(),
            seconds,
            forecast: Range {
                low: 8.0,
                likely: 10.0,
                high: 15.0,
            },
        };
        let past = [stage("train", 12.0), stage("train", 5.0), stage("mix", 10.0), stage("train", 11.0)];
        let text = of_past(&past);
        assert!(text.ends_with(
            "  mix: 1 of 1 within the range; half of them within a factor of 1.00\n  train: 2 of 3 within the range; half of them within a factor of 1.20\n"
        ), "{text}");
    }
}
