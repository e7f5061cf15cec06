//! A sheet as a table of the page.

use std::fmt::Write;

use super::{Cell, Column, Sheet};
use crate::escaped;
use lab::text::Align;

impl Sheet {
    /// A real table: a caption, headings with their scope, and a button for every number, which leads to its stages.
    pub fn html(&self) -> String {
        let mut text = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\n<caption>{0}</caption>\n<thead>\n",
            escaped(&self.title)
        );
        if self.spans.iter().any(|span| !span.title.is_empty()) {
            text += "<tr>";
            for span in &self.spans {
                let count = span.columns.len();
                let _ = match span.title.as_str() {
                    "" => write!(text, "<td colspan=\"{count}\"></td>"),
                    title => write!(
                        text,
                        "<th colspan=\"{count}\" scope=\"colgroup\" class=\"span\">{}</th>",
                        escaped(title)
                    ),
                };
            }
            text += "</tr>\n";
        }
        text += "<tr>";
        for (_, column) in self.columns() {
            let _ = write!(text, "<th scope=\"col\"{}>{}</th>", class(column), escaped(&column.title));
        }
        text += "</tr>\n</thead>\n<tbody>\n";
        for row in &self.rows {
            text += if row.begins { "<tr class=\"begins\">" } else { "<tr>" };
            for (i, (cell, (_, column))) in row.cells.iter().zip(self.columns()).enumerate() {
                text += &if i == 0 { head(cell) } else { body(cell, column) };
            }
            text += "</tr>\n";
        }
        text + "</tbody>\n</table></div>\n"
    }
}

fn class(column: &Column) -> &'static str {
    match column.align {
        Align::Left => "",
        Align::Right => " class=\"r\"",
    }
}

fn head(cell: &Cell) -> String {
    format!("<th scope=\"row\">{}</th>", content(cell))
}

fn body(cell: &Cell, column: &Column) -> String {
    format!("<td{}>{}</td>", class(column), content(cell))
}

fn content(cell: &Cell) -> String {
    if cell.sources.is_empty() || cell.text.is_empty() {
        return escaped(&cell.text);
    }
    let sources: Vec<String> = cell.sources.iter().map(ToString::to_string).collect();
    format!(
        "<button type=\"button\" data-stages=\"{}\">{}</button>",
        sources.join(" "),
        escaped(&cell.text)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn a_table_for_people_who_hear_it_too() {
        insta::assert_snapshot!(example().html());
    }
}
