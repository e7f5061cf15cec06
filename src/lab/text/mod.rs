//! Text for people: sizes, durations, colours and aligned columns.

mod duration;
mod escape;
mod file_name;
mod hide;
mod paint;
mod shorten;
mod size;
mod table;

pub use duration::duration;
pub use escape::{in_ascii, is_hidden, printable, printable_json, printable_lines};
pub use file_name::clean_file_name;
pub use hide::hide;
pub use paint::{Color, Paint};
pub use shorten::{beginning, cut_ends, cut_line, shortened};
pub use size::bytes;
pub use table::{Align, COLUMN_GAP, TextTable, width};

/// `1 thread`, `2 threads`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `1 stage`, `14 stages`.
pub fn stages(count: usize) -> String {
    counted(count, "stage")
}
