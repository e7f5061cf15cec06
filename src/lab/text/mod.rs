//! Text for people: sizes, durations, colours and aligned columns.

mod duration;
mod escape;
mod file_name;
mod paint;
mod shorten;
mod size;
mod table;

pub use duration::duration;
pub use escape::{in_ascii, is_hidden, printable, printable_json, printable_lines};
pub use file_name::clean_file_name;
pub use paint::{Color, Paint};
pub use shorten::{beginning, cut_ends, cut_line, shortened};
pub use size::bytes;
pub use table::{Align, COLUMN_GAP, TextTable, width};

/// `1 stage`, `14 stages`.
pub fn stages(count: usize) -> String {
    format!("{count} {}", if count == 1 { "stage" } else { "stages" })
}
