//! Takes off what does not belong to an answer: thoughts, further questions, the marks of LaTeX.

use std::sync::LazyLock;

use crate::scoring::pattern::Pattern;

/// The marks that end a turn.
const ENDS: &str = r"<\|[^|<>]{1,40}\|>|</s>|<eos>|<end_of_turn>|<\u{ff5c}[^<>]{1,40}\u{ff5c}>";
/// The beginning of a further question, as in few-shot prompts.
const QUESTIONS: &str =
    r"(?im)^[ \t]*(?:\*\*|#+ *)?(?:question|problem|exercise|example|q|human|user|instruction|input)(?: *\d+)? *(?:\*\*)?[:.]";

/// Marks of LaTeX and what stands for them in a plain text.
const PLAIN: [(&str, &str); 26] = [
    ("{,}", ","),
    ("\\,", ""),
    ("\\!", ""),
    ("\\;", " "),
    ("\\:", " "),
    ("\\ ", " "),
    ("~", " "),
    ("\\%", "%"),
    ("\\$", "$"),
    ("\\#", "#"),
    ("\\left", ""),
    ("\\right", ""),
    ("\\(", " "),
    ("\\)", " "),
    ("\\[", " "),
    ("\\]", " "),
    ("\\cdot", "*"),
    ("\\times", "×"),
    ("\\div", "÷"),
    ("\\approx", "="),
    ("\\text{", "{"),
    ("\\textbf{", "{"),
    ("\\mathbf{", "{"),
    ("\\mathrm{", "{"),
    ("^\\circ", "°"),
    ("^{\\circ}", "°"),
];

/// The part of a response that answers its own question: after the thoughts, before the end of the turn and before a further question.
pub(super) fn own_part(text: &str) -> &str {
    static BORDERS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
        let ends = ENDS.replace(r"\u{ff5c}", "｜");
        [ends.as_str(), QUESTIONS]
            .iter()
            .filter_map(|pattern| Pattern::new(pattern, false).ok())
            .collect()
    });
    let mut text = text.rsplit_once("</think>").map_or(text, |(_, answer)| answer);
    for border in &*BORDERS {
        let holds_answer = |before: &&str| before.chars().any(char::is_alphanumeric);
        let cut = border
            .find_all(text)
            .into_iter()
            .find_map(|found| text.get(..found.start()).filter(holds_answer));
        text = cut.unwrap_or(text);
    }
    text
}

/// The text without the marks of LaTeX; what is in `\boxed{}` and `\frac{}{}` stays in them.
pub(super) fn plain(text: &str) -> String {
    let mut plain = text.replace('\u{a0}', " ");
    if plain.contains(['\\', '~']) || plain.contains("{,}") {
        for (mark, instead) in PLAIN {
            plain = plain.replace(mark, instead);
        }
    }
    plain
}
