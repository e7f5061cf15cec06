//! What a report would read, and gc has deleted.

use crate::request::ReportRequest;
use lab::plan::{Plan, StageState};
use lab::stage::PortType;

/// The most outputs that the warning names.
const MOST_NAMED: usize = 6;

/// A warning that names the outputs which gc deleted and the report would read, if there are any. Of models it reads what gc keeps of them.
/// Data sets are read to find test questions among the training data, whatever is printed.
pub fn warning_of_deleted(request: &ReportRequest, plan: &Plan) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, node, entry) in plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
        let deleted = node.outputs.iter().filter(|output| entry.deleted.contains(output.name.as_ref()));
        let read = deleted.filter(|output| output.port == PortType::Dataset || request.reads(node, output));
        names.extend(read.map(|output| format!("`{}.{}`", node.name, output.name)));
    }
    let first = names.first()?;
    let more = if names.len() > MOST_NAMED { ", …" } else { "" };
    let named = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let stage = first.trim_matches('`').split(['.', ' ']).next().unwrap_or_default();
    Some(format!(
        "deleted by gc, so that what the report says of it is missing: {named}{more}; `runner run FILE '{stage}'` with the name of a stage computes its outputs again"
    ))
}
