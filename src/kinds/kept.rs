//! What gc should know of the outputs of stages: which of them are results, and which of their files reports read.

use serde_json::Value;

use lab::stage::{Kind, PortType};

/// The names of files in the folder of an artifact that reports read, beside the artifacts that are results: the metrics themselves, and the
/// curves and the summary of the validation of a model.
pub const KEPT_FILES: &[&str] = &["metrics.json", "training.jsonl", "validation.json"];

/// Whether the output `port` of a stage of this kind is a result: what a report shows as it is, and what a server said, which nobody can
/// have again. Of an unknown kind, every output may be a result.
pub(crate) fn is_result(kinds: &[&'static Kind], kind: &str, params: &Value, port: &str) -> bool {
    let Some(kind) = kinds.iter().find(|known| known.name == kind) else {
        return true;
    };
    if params.get("served").is_some_and(|served| !served.is_null()) {
        return true;
    }
    if let Some(output) = kind.outputs.iter().find(|output| output.name == port) {
        return is_shown(output.port);
    }
    let declared = params.get("outputs").and_then(|outputs| outputs.get(port));
    let declared = declared.map(|output| output.get("type").unwrap_or(output));
    declared.is_some_and(|port| serde_json::from_value(port.clone()).is_ok_and(is_shown))
}

fn is_shown(port: PortType) -> bool {
    matches!(port, PortType::Metrics | PortType::Figure | PortType::Text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_result(kind: &str, params: &Value, port: &str) -> bool {
        super::is_result(crate::kinds(), kind, params, port)
    }

    #[test]
    fn what_a_report_shows_is_a_result() {
        let outputs =
            json!({"plot": {"type": "figure", "path": "a.png"}, "table": "text", "scores": {"type": "metrics"}, "weights": "file"});
        let params = json!({"outputs": outputs, "run": ["true"]});
        let results = |kind: &str, ports: &[&str]| ports.iter().map(|port| is_result(kind, &params, port)).collect::<Vec<_>>();
        assert_eq!(
            results("command", &["plot", "table", "scores", "weights", "none"]),
            [true, true, true, false, false]
        );
        assert_eq!(results("eval", &["metrics"]), [true]);
        assert_eq!(results("train", &["model"]), [false]);
        assert_eq!(results("import", &["data"]), [false]);
        assert_eq!(results("sample", &["answers"]), [false]);
        assert!(
            is_result("sample", &json!({"served": "a-model"}), "answers"),
            "it cannot be asked again"
        );
        assert_eq!(results("a kind of a later version", &["model"]), [true]);
    }
}
