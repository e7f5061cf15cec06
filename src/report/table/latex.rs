//! A table as a LaTeX table, for `booktabs`.

use super::{ColumnGroup, ReportTable, TableCell};
use crate::escape;
use lab::text::Align;

impl ReportTable {
    /// A floating table with a caption, for the package `booktabs`.
    pub fn latex(&self) -> String {
        let columns: String = self
            .columns()
            .map(|(_, column)| if column.align == Align::Left { 'l' } else { 'r' })
            .collect();
        let mut text = format!(
            "\\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n",
            escape::latex(&self.title)
        );
        if self.column_groups.iter().any(|group| !group.title.is_empty()) {
            text += &line(self.column_groups.iter().map(heading));
            text += &rules(&self.column_groups);
        }
        text += &line(self.columns().map(|(_, column)| escape::latex(&column.title)));
        for (i, row) in self.rows.iter().enumerate() {
            if i == 0 || row.begins_group {
                text += "    \\midrule\n";
            }
            text += &line(row.cells.iter().map(cell_text));
        }
        text + "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    }
}

/// The best of a column is bold.
fn cell_text(cell: &TableCell) -> String {
    let text = escape::latex(&cell.text);
    if cell.is_best { format!("\\textbf{{{text}}}") } else { text }
}

/// The heading over a group's columns.
fn heading(group: &ColumnGroup) -> String {
    match (group.columns.len(), group.title.as_str()) {
        (0 | 1, title) => escape::latex(title),
        (count, title) => format!("\\multicolumn{{{count}}}{{c}}{{{}}}", escape::latex(title)),
    }
}

/// A rule under the heading of each group that has one.
fn rules(column_groups: &[ColumnGroup]) -> String {
    let (mut first, mut rules) = (1, Vec::new());
    for group in column_groups {
        let last = first + group.columns.len() - 1;
        if !group.title.is_empty() {
            rules.push(format!("\\cmidrule(lr){{{first}-{last}}}"));
        }
        first = last + 1;
    }
    format!("    {}\n", rules.join(" "))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join(" & ");
    // `[` or `*` after the end of the previous line would be read as its option.
    let guard = if line.starts_with(['[', '*']) { "{}" } else { "" };
    format!("    {guard}{line} \\\\\n")
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
        assert_eq!(
            line(["[-1, 2]", "a-1"].map(escape::latex).into_iter()),
            "    {}[$-$1, 2] & a-1 \\\\\n"
        );
        assert_eq!(
            line(["*", "-0.02 [-0.03, +0.00]"].map(escape::latex).into_iter()),
            "    {}* & $-$0.02 [$-$0.03, +0.00] \\\\\n"
        );
    }
}
