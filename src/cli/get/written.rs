//! What is printed of artifacts that were taken out.

use std::path::Path;

use serde_json::{Value, json};

use super::Taken;
use super::take_out::TakenState;
use lab::text::{Align, Color, Paint, TextTable, bytes};

/// What was taken out, to be printed.
pub(super) struct Written<'a> {
    pub(super) folder: &'a Path,
    pub(super) written: &'a [(&'a Taken<'a>, TakenState)],
    /// What is not there, as messages.
    pub(super) missing: &'a [String],
}

impl Written<'_> {
    pub(super) fn as_json(&self) -> Value {
        let artifact = |(taken, state): &(&Taken<'_>, TakenState)| {
            json!({
                "stage": taken.found.node.name.name, "variant": taken.found.node.name.variant, "port": taken.found.port, "digest": taken.found.artifact.digest,
                "bytes": taken.found.artifact.bytes, "path": self.folder.join(&taken.place), "state": state.word(),
            })
        };
        let artifacts: Vec<Value> = self.written.iter().map(artifact).collect();
        json!({"to": self.folder, "artifacts": artifacts, "missing": self.missing})
    }

    pub(super) fn as_text(&self, paint: Paint) -> String {
        let new = || self.written.iter().filter(|(_, state)| *state != TakenState::Same);
        let count = |count: usize| {
            if count == 1 {
                "1 artifact".to_owned()
            } else {
                format!("{count} artifacts")
            }
        };
        let same = self.written.len() - new().count();
        let folder = self.folder.display();
        if new().next().is_none() {
            return format!("nothing to write: {folder} has the same already ({})\n", count(same));
        }
        let title = |title: &str, align| (title.to_owned(), align);
        let mut table = TextTable::new([title("state", Align::Left), title("size", Align::Right), title("file", Align::Left)]);
        for (taken, state) in self.written {
            let color = match state {
                TakenState::New => Color::Green,
                TakenState::Same => Color::Dim,
                TakenState::Different => Color::Yellow,
            };
            table.row([
                (state.word().to_owned(), Some(color)),
                (bytes(taken.found.artifact.bytes), None),
                (taken.place.display().to_string(), None),
            ]);
        }
        let total = bytes(new().map(|(taken, _)| taken.found.artifact.bytes).sum());
        let mut text = format!("{}\nwrote {} ({total}) into {folder}", table.render(paint), count(new().count()));
        if same > 0 {
            text += &format!(
                "; {} there already",
                if same == 1 { "1 was".to_owned() } else { format!("{same} were") }
            );
        }
        text + "\n"
    }
}
