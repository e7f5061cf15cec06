//! What stages carry along to those that use them, and the stages that some stand for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Draft;
use crate::config::{ConfigValue, Diagnostic, Diagnostics, ParamError};
use crate::stage::{Carried, CarriedFrom, Kind, Stage, StagePart};

/// The stages that a draft stands for, their params read.
pub(super) struct Parts {
    pub over: &'static str,
    pub each: Vec<(&'static Kind, Box<dyn Stage>)>,
    pub output: &'static str,
    pub at: &'static str,
    pub last: (&'static Kind, Box<dyn Stage>),
}

/// Tells each stage, in `order`, what its inputs carry. What is wrong is reported.
pub(super) fn carry(drafts: &mut [Draft<'_>], order: &[usize], problems: &mut Diagnostics) {
    let mut carried: Vec<Option<Value>> = vec![None; drafts.len()];
    // What uses a stage that is wrong need not be told.
    let mut broken = vec![false; drafts.len()];
    for position in order {
        let uses = |draft: &Draft<'_>| {
            draft
                .inputs
                .iter()
                .any(|(_, edges)| edges.iter().any(|edge| broken.get(edge.to) == Some(&true)))
        };
        if drafts.get(*position).is_some_and(uses) {
            mark(&mut broken, *position);
            continue;
        }
        let Some(draft) = drafts.get_mut(*position) else { continue };
        let (Some(kind), Some((mut stage, params))) = (draft.kind, draft.stage.take()) else {
            continue;
        };
        let inputs = inputs(drafts, *position, &carried);
        let told = stage.carry(&inputs);
        let parts = told.and_then(|value| Ok((value, read_parts(stage.as_ref(), &inputs)?)));
        drop(inputs);
        let Some(draft) = drafts.get_mut(*position) else { continue };
        match parts {
            Ok((value, parts)) => {
                draft.parts = parts;
                if let Some(place) = carried.get_mut(*position) {
                    *place = value;
                }
            }
            Err(error) => {
                mark(&mut broken, *position);
                let whole = format!("stage `{}` ({})", draft.declaration.name, kind.name);
                problems.push(located(&error, &params, &whole, draft));
            }
        }
        draft.stage = Some((stage, params));
    }
}

fn mark(broken: &mut [bool], position: usize) {
    if let Some(place) = broken.get_mut(position) {
        *place = true;
    }
}

/// The diagnostic of a stage that lacks something: it points at the stage where no param is wrong.
fn located(error: &ParamError, params: &ConfigValue, whole: &str, draft: &Draft<'_>) -> Diagnostic {
    let found = error.diagnostic(params, whole, &[]);
    if error.path.is_empty() {
        found.at(draft.declaration.origin.key())
    } else {
        found
    }
}

fn inputs<'d>(drafts: &'d [Draft<'_>], position: usize, carried: &'d [Option<Value>]) -> Carried<'d> {
    let own = drafts.get(position).map(|draft| draft.inputs.as_slice()).unwrap_or_default();
    let mut inputs: BTreeMap<&str, Vec<CarriedFrom<'_>>> = BTreeMap::new();
    for (port, edges) in own {
        let from = edges.iter().map(|edge| CarriedFrom {
            stage: drafts.get(edge.to).map_or("", |from| from.declaration.name.as_str()),
            value: carried.get(edge.to).and_then(Option::as_ref),
        });
        inputs.insert(port, from.collect());
    }
    Carried::new(inputs)
}

fn read_parts(stage: &dyn Stage, inputs: &Carried<'_>) -> Result<Option<Parts>, ParamError> {
    let Some(parts) = stage.parts() else { return Ok(None) };
    let given = |kind: &Kind| {
        let names = kind.inputs.iter().map(|input| input.name);
        let is_given = |name: &&'static str| *name == parts.over || *name == parts.at || !inputs.at(name).is_empty();
        names.filter(is_given).collect::<Vec<&str>>()
    };
    let read = |part: &StagePart| {
        let params = ConfigValue::from(part.params.clone());
        Ok((part.kind, (part.kind.parse)(&params, &given(part.kind))?))
    };
    Ok(Some(Parts {
        over: parts.over,
        each: parts.each.iter().map(read).collect::<Result<_, ParamError>>()?,
        output: parts.output,
        at: parts.at,
        last: read(&parts.last)?,
    }))
}
