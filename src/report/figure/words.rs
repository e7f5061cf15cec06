//! Texts in figures: their width, and their lines. Nothing is cut: what is too wide is wrapped.

/// The share of the font's size that a character takes on average; of bold text a little more.
const WIDTH: f64 = 0.56;

/// Where a line may end: between words; within a word that is wider than the line, after these.
const ENDS: [&[char]; 2] = [&[' '], &['_', '.', '/', '-', '=', ',']];

/// An estimate of the width of `text` in pixels: text is not measured here.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let share = |character: char| if character < '\u{1100}' { WIDTH } else { 1.0 };
    text.chars().map(share).sum::<f64>() * size
}

/// The lines of `text`, none of which is wider than `room`. A word such as `width=16` is divided only if it has no room on a line of its own.
pub(super) fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines = Vec::new();
    fill(&mut lines, text, size, room, 0);
    lines
        .iter()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

fn fill(lines: &mut Vec<String>, text: &str, size: f64, room: f64, level: usize) {
    let pieces: Vec<String> = match ENDS.get(level) {
        Some(ends) => text.split_inclusive(*ends).map(str::to_owned).collect(),
        None => text.chars().map(String::from).collect(),
    };
    for piece in pieces {
        let fits = |line: &str| width(line.trim_end(), size) <= room;
        match lines.last_mut() {
            Some(line) if fits(&format!("{line}{piece}")) => line.push_str(&piece),
            _ if fits(&piece) || level == ENDS.len() => lines.push(piece),
            _ => {
                if lines.last().is_some_and(|line| !line.is_empty()) {
                    lines.push(String::new());
                }
                fill(lines, &piece, size, room, level + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        let room = width("lr=0.001, width=16,", 10.0);
        assert_eq!(
            wrapped("lr=0.001, width=16, depth=2", 10.0, room),
            ["lr=0.001, width=16,", "depth=2"]
        );
        assert_eq!(wrapped("", 10.0, room), [""; 0]);
        assert_eq!(wrapped("width=16", 10.0, room), ["width=16"]);
    }

    #[test]
    fn a_word_without_room_is_divided_and_nothing_is_lost() {
        let room = width("eval_rouge_l", 10.0);
        let lines = wrapped("mean eval_rouge_l_sum_fmeasure", 10.0, room);
        assert_eq!(lines, ["mean", "eval_rouge_", "l_sum_", "fmeasure"]);
        let long = "x".repeat(50);
        assert_eq!(wrapped(&long, 10.0, room).concat(), long);
        assert_eq!(wrapped("no room", 10.0, 0.0).concat(), "noroom");
        assert!(width("数", 10.0) > width("a", 10.0));
    }
}
