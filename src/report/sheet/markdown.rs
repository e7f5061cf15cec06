//! A sheet as a Markdown table.

use super::Sheet;
use lab::text::Align;

impl Sheet {
    /// The title in bold, then the table.
    pub fn markdown(&self) -> String {
        let titles = self.titles();
        let rule = titles.iter().map(|(_, align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        });
        let mut text = format!("**{}**\n\n", escaped(&self.title));
        text += &line(titles.iter().map(|(title, _)| escaped(title)));
        text += &line(rule);
        for row in &self.rows {
            text += &line(row.cells.iter().map(|cell| escaped(&cell.text)));
        }
        text
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Text in which Markdown sees nothing but text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' | '<' | '>' => out.extend(['\\', character]),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn a_table_with_its_title() {
        insta::assert_snapshot!(example().markdown(), @r"
        **Accuracy & steps**

        | phase | in\_domain % | steps | a\|b |
        | --- | ---: | ---: | --- |
        | warm start | 98.6 ± 0.1 | 2.60 | x\_1 |
        | iteration 1 | – | – | \<b\> |
        | cold start |  | 1.00 | \\ |
        ");
    }
}
