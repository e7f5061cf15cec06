//! A table as HTML.

use std::fmt::Write;

use super::{ReportTable, TableCell, TableColumn};
use crate::escape;
use lab::text::Align;

impl ReportTable {
    /// A table with a caption, headings with their scope, and a button for each number that opens its stages.
    pub fn html(&self) -> String {
        let mut text = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\n<caption>{0}</caption>\n<thead>\n",
            escape::html(&self.title)
        );
        if self.column_groups.iter().any(|group| !group.title.is_empty()) {
            text += "<tr>";
            for group in &self.column_groups {
                let count = group.columns.len();
                let _ = match group.title.as_str() {
                    "" => write!(text, "<td colspan=\"{count}\"></td>"),
                    title => write!(
                        text,
                        "<th colspan=\"{count}\" scope=\"colgroup\" class=\"span\">{}</th>",
                        escape::html(title)
                    ),
                };
            }
            text += "</tr>\n";
        }
        text += "<tr>";
        for (_, column) in self.columns() {
            let _ = write!(text, "<th scope=\"col\"{}>{}</th>", class(column), escape::html(&column.title));
        }
        text += "</tr>\n</thead>\n<tbody>\n";
        for row in &self.rows {
            text += if row.begins_group { "<tr class=\"begins\">" } else { "<tr>" };
            for (i, (cell, (_, column))) in row.cells.iter().zip(self.columns()).enumerate() {
                text += &if i == 0 { head(cell) } else { body(cell, column) };
            }
            text += "</tr>\n";
        }
        text + "</tbody>\n</table></div>\n"
    }
}

fn class(column: &TableColumn) -> &'static str {
    match column.align {
        Align::Left => "",
        Align::Right => " class=\"r\"",
    }
}

fn head(cell: &TableCell) -> String {
    format!("<th scope=\"row\">{}</th>", content(cell))
}

fn body(cell: &TableCell, column: &TableColumn) -> String {
    format!("<td{}>{}</td>", class(column), content(cell))
}

fn content(cell: &TableCell) -> String {
    let text = escape::html(&cell.text);
    let text = if cell.is_best { format!("<strong>{text}</strong>") } else { text };
    if cell.nodes.is_empty() || cell.text.is_empty() {
        return text;
    }
    let nodes: Vec<String> = cell.nodes.iter().map(ToString::to_string).collect();
    format!("<button type=\"button\" data-stages=\"{}\">{text}</button>", nodes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn a_table_for_people_who_hear_it_too() {
        insta::assert_snapshot!(example().html());
    }
}
