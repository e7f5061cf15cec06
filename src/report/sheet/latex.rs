//! A sheet as a LaTeX table, for `booktabs`.

use super::{Sheet, Span};
use lab::text::Align;

impl Sheet {
    /// A floating table with its caption; it needs the package `booktabs`.
    pub fn latex(&self) -> String {
        let columns: String = self
            .columns()
            .map(|(_, column)| if column.align == Align::Left { 'l' } else { 'r' })
            .collect();
        let mut text = format!(
            "\\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n",
            escaped(&self.title)
        );
        if self.spans.iter().any(|span| !span.title.is_empty()) {
            text += &line(self.spans.iter().map(heading));
            text += &rules(&self.spans);
        }
        text += &line(self.columns().map(|(_, column)| escaped(&column.title)));
        for (i, row) in self.rows.iter().enumerate() {
            if i == 0 || row.begins {
                text += "    \\midrule\n";
            }
            text += &line(row.cells.iter().map(|cell| escaped(&cell.text)));
        }
        text + "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    }
}

/// The heading over a span's columns.
fn heading(span: &Span) -> String {
    match (span.columns.len(), span.title.as_str()) {
        (0 | 1, title) => escaped(title),
        (count, title) => format!("\\multicolumn{{{count}}}{{c}}{{{}}}", escaped(title)),
    }
}

/// A rule under the heading of each span that has one.
fn rules(spans: &[Span]) -> String {
    let (mut first, mut rules) = (1, Vec::new());
    for span in spans {
        let last = first + span.columns.len() - 1;
        if !span.title.is_empty() {
            rules.push(format!("\\cmidrule(lr){{{first}-{last}}}"));
        }
        first = last + 1;
    }
    format!("    {}\n", rules.join(" "))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join(" & ");
    // After the end of a line they would be its options.
    let guard = if line.starts_with(['[', '*']) { "{}" } else { "" };
    format!("    {guard}{line} \\\\\n")
}

/// Text in which LaTeX sees nothing but text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let begins = std::mem::replace(&mut before, character);
        match character {
            '-' if " [(=,".contains(begins) && characters.peek().is_some_and(char::is_ascii_digit) => out += "$-$",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', character]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '±' => out += "$\\pm$",
            '×' => out += "$\\times$",
            '÷' => out += "$\\div$",
            'Δ' => out += "$\\Delta$",
            '–' => out += "--",
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_floating_table_with_rules_between_groups() {
        insta::assert_snapshot!(example().latex(), @r"
        \begin{table}
          \centering
          \caption{Accuracy \& steps}
          \begin{tabular}{lrrl}
            \toprule
             & \multicolumn{2}{c}{in\_domain} &  \\
            \cmidrule(lr){2-3}
            phase & \% & steps & a|b \\
            \midrule
            warm start & 98.6 $\pm$ 0.1 & 2.60 & x\_1 \\
            iteration 1 & -- & -- & \textless{}b\textgreater{} \\
            \midrule
            cold start &  & 1.00 & \textbackslash{} \\
            \bottomrule
          \end{tabular}
        \end{table}
        ");
    }

    #[test]
    fn a_line_has_no_options_and_numbers_have_a_minus() {
        assert_eq!(line(["[-1, 2]", "a-1"].map(escaped).into_iter()), "    {}[$-$1, 2] & a-1 \\\\\n");
        assert_eq!(
            line(["*", "-0.02 [-0.03, +0.00]"].map(escaped).into_iter()),
            "    {}* & $-$0.02 [$-$0.03, +0.00] \\\\\n"
        );
    }
}
