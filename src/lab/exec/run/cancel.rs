//! Ends single stages of a run on request; the others go on.

use std::collections::BTreeSet;

use super::stages::RunStages;
use crate::exec::scheduler::{OpenState, Scheduler};
use crate::plan::Selection;
use crate::runs::{Answer, Cancel};

/// A stage has been found that is to be ended.
pub(super) struct Found {
    pub(super) index: usize,
    pub(super) is_running: bool,
}

/// Finds the stage that a request names.
///
/// # Errors
/// When no such stage is left, or several are: the answer to the request.
pub(super) fn find(asked: &Cancel, stages: &RunStages<'_>, scheduler: &Scheduler) -> Result<Found, Answer> {
    let selection = Selection {
        stages: vec![asked.stage.clone()],
        variants: asked.variants.clone(),
    };
    let fits = |index: &usize| stages.node(*index).members.iter().any(|member| selection.fits(member));
    let named: Vec<usize> = (0..stages.count()).filter(fits).collect();
    let open: Vec<usize> = named
        .iter()
        .copied()
        .filter(|&index| scheduler.state(index) != OpenState::Ended)
        .collect();
    let name = asked.name();
    let nothing = |said: String| Err(Answer::Nothing(said));
    match (named.len(), open.as_slice()) {
        (0, _) => nothing(format!("the run has no stage `{name}`")),
        (1, []) => nothing(format!("`{name}` has ended already")),
        (_, []) => nothing(format!("the stages `{name}` have all ended already")),
        (_, &[index]) => Ok(Found {
            index,
            is_running: scheduler.state(index) == OpenState::Running,
        }),
        (_, open) => {
            let names: BTreeSet<String> = open.iter().map(|&index| stages.name(index).to_string()).collect();
            let listed: Vec<String> = names.into_iter().take(5).collect();
            let more = if open.len() > 5 { "; …" } else { "" };
            nothing(format!(
                "`{name}` matches {} stages ({}{more}): name one with its index (`standard[2]`) or `--variant AXIS=VALUE`",
                open.len(),
                listed.join("; ")
            ))
        }
    }
}
